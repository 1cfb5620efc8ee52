//! In which order services come, by the project or by labels.

use std::collections::{BTreeMap, BTreeSet};

use windflow_compose::{
    collect::IntoMap as _,
    model::{Condition, Dependency},
};

use super::{Act, Lifecycle};
use crate::{plan::labels, targets::ObservedContainer};

/// Services and what they depend on.
pub(super) struct Graph {
    services: BTreeMap<String, BTreeMap<String, Dependency>>,
}

impl Graph {
    pub(super) fn of(order: &Lifecycle, containers: &[ObservedContainer]) -> Self {
        let mut services: BTreeMap<String, BTreeMap<String, Dependency>> = BTreeMap::new();
        for container in containers {
            let service = container.service().unwrap_or_default().to_owned();
            services
                .entry(service)
                .or_insert_with(|| from_label(container.label(labels::DEPENDS_ON).unwrap_or_default()));
        }
        if let Some(project) = &order.project {
            for (name, service) in &project.services {
                services.insert(name.clone(), service.depends_on.clone());
            }
        }
        if order.act == Act::Restart {
            // Only what wants to be restarted with its dependency hangs together.
            for dependencies in services.values_mut() {
                dependencies.retain(|_, dependency| dependency.restart);
            }
        }
        Self { services }
    }

    pub(super) fn dependencies(&self, service: &str) -> impl Iterator<Item = (&String, &Dependency)> {
        self.services.get(service).into_iter().flatten()
    }

    /// The services to act on.
    pub(super) fn chosen(&self, order: &Lifecycle) -> BTreeSet<String> {
        if order.services.is_empty() {
            return self.services.keys().cloned().collect();
        }
        let mut chosen: BTreeSet<String> = order.services.iter().cloned().collect();
        let follow = match order.act {
            Act::Restart => !order.no_deps,
            Act::Start => order.project.is_some(),
            _ => false,
        };
        loop {
            let before = chosen.len();
            for (name, dependencies) in self.services.iter().filter(|_| follow) {
                if order.act == Act::Restart && dependencies.keys().any(|other| chosen.contains(other)) {
                    chosen.insert(name.clone());
                } else if order.act == Act::Start && chosen.contains(name) {
                    let there = dependencies.iter().filter(|(other, dependency)| {
                        dependency.required && self.services.contains_key(*other)
                    });
                    chosen.extend(there.map(|(other, _)| other.clone()));
                }
            }
            if !follow || chosen.len() == before {
                break;
            }
        }
        chosen
    }

    /// Steps of services that do not depend on each other, dependencies first. A circle in foreign labels is one step.
    pub(super) fn steps(&self, chosen: &BTreeSet<String>, reverse: bool) -> Vec<BTreeSet<String>> {
        let mut rest: BTreeSet<String> = chosen.clone();
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let free = |name: &&String| !self.reaches(name, &rest);
            let mut step: BTreeSet<String> = rest.iter().filter(free).cloned().collect();
            if step.is_empty() {
                step.clone_from(&rest);
            }
            rest.retain(|name| !step.contains(name));
            steps.push(step);
        }
        if reverse {
            steps.reverse();
        }
        steps
    }

    /// Whether a service depends, over any number of others, on one of these.
    fn reaches(&self, name: &str, these: &BTreeSet<String>) -> bool {
        let (mut seen, mut open) = (BTreeSet::from([name.to_owned()]), vec![name.to_owned()]);
        while let Some(next) = open.pop() {
            for (other, _) in self.dependencies(&next) {
                if these.contains(other) && other != name {
                    return true;
                }
                if seen.insert(other.clone()) {
                    open.push(other.clone());
                }
            }
        }
        false
    }
}

/// `service:condition:restart`, comma separated.
fn from_label(text: &str) -> BTreeMap<String, Dependency> {
    let one = |part: &str| {
        let mut words = part.split(':');
        let name = words.next().filter(|name| !name.is_empty())?;
        let condition = match words.next() {
            Some("service_healthy") => Condition::Healthy,
            Some("service_completed_successfully") => Condition::CompletedSuccessfully,
            _ => Condition::Started,
        };
        let restart = words.next() == Some("true");
        let dependency = Dependency {
            condition,
            restart,
            // A label does not say; what is missing stops nothing.
            required: false,
            extensions: BTreeMap::new(),
        };
        Some((name.to_owned(), dependency))
    };
    text.split(',').filter_map(one).into_map()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(lines: &[&str]) -> Graph {
        let services = lines.iter().map(|line| {
            let (name, label) = line.split_once(' ').unwrap_or((line, ""));
            (name.to_owned(), from_label(label))
        });
        Graph {
            services: services.collect(),
        }
    }

    #[test]
    fn dependencies_come_first_also_over_a_service_that_is_left_out() {
        let check = |lines: &[&str], chosen: &str, steps: &str| {
            let chosen = chosen.split(' ').map(str::to_owned).collect();
            let got = graph(lines).steps(&chosen, false);
            let got: Vec<String> = got
                .iter()
                .map(|step| step.iter().cloned().collect::<Vec<_>>().join("+"))
                .collect();
            assert_eq!(got.join(" "), steps, "{lines:?}");
        };
        let chain = ["a b:service_started:false", "b c:service_started:false", "c"];
        check(&chain, "a b c", "c b a");
        check(&chain, "a c", "c a");
        check(&["a", "b"], "a b", "a+b");
        check(&["a b", "b a"], "a b", "a+b");
    }
}
