//! What becomes of each container of a service.

use windflow_compose::model::Service as Spec;
use windflow_model::{Code, ContainerState, Failure, Reason, StepId};

use super::container_name;
use crate::{
    plan::{
        Mode,
        builder::{Builder, plainly},
        containers, hash,
        hash::ServiceHash,
        labels, names, pairs, ports, reasons,
        work::Subject,
    },
    targets::ObservedContainer,
};

/// Why what an interrupted replacement left goes.
pub(super) const LEFT_OVER: &str = "it is left over from an interrupted replacement";

/// A service with the fates of its containers.
pub(super) struct Service<'o> {
    pub(super) name: String,
    pub(super) hash: ServiceHash,
    pub(super) slots: Vec<Slot<'o>>,
    /// Containers to remove, with the reason.
    pub(super) surplus: Vec<(&'o ObservedContainer, Reason)>,
    /// Containers that never took over: they go before anything is created.
    pub(super) halves: Vec<&'o ObservedContainer>,
}

/// One number of a service.
pub(super) struct Slot<'o> {
    pub(super) number: u32,
    /// Its name in the end.
    pub(super) name: String,
    pub(super) fate: Fate<'o>,
    /// Why it is kept.
    pub(super) kept: &'static str,
    /// The step that creates it.
    pub(super) made: Option<StepId>,
}

/// What becomes of it.
pub(super) enum Fate<'o> {
    /// Stays and runs, or stays stopped.
    Keep {
        container: &'o ObservedContainer,
        rename: bool,
    },
    /// Is as it should be, but does not run.
    Start {
        container: &'o ObservedContainer,
        rename: bool,
        reason: Reason,
    },
    /// Is not there.
    New { reason: Reason },
    /// Makes way for a new one; `new` is one that an interrupted replacement has created already.
    Replace {
        old: &'o ObservedContainer,
        new: Option<&'o ObservedContainer>,
        reason: Reason,
    },
}

impl Fate<'_> {
    /// Whether the container is another one afterwards.
    pub(super) const fn is_new(&self) -> bool {
        matches!(self, Self::New { .. } | Self::Replace { new: None, .. })
    }
}

impl Service<'_> {
    /// Whether any of its containers starts or is replaced.
    pub(super) fn moves(&self) -> bool {
        let mut slots = self.slots.iter();
        slots.any(|slot| !matches!(slot.fate, Fate::Keep { .. }))
    }
}

impl<'o> Slot<'o> {
    /// The container that is there already and is the one.
    pub(super) const fn stays(&self) -> Option<&'o ObservedContainer> {
        match &self.fate {
            Fate::Keep { container, .. } | Fate::Start { container, .. } => Some(*container),
            Fate::Replace { new, .. } => *new,
            Fate::New { .. } => None,
        }
    }

    /// The container it will be.
    pub(super) fn subject(&self) -> Option<Subject> {
        match &self.fate {
            Fate::Keep { container, .. }
            | Fate::Start { container, .. }
            | Fate::Replace {
                new: Some(container), ..
            } => Some(Subject::Id(container.id.clone())),
            Fate::New { .. } | Fate::Replace { new: None, .. } => self.made.map(Subject::Made),
        }
    }
}

/// Decides for one service. `torn` is a service whose namespaces it shares and whose container is replaced.
pub(super) fn decide<'o>(
    builder: &Builder<'o>,
    name: &str,
    torn: Option<&str>,
) -> Result<Service<'o>, Failure> {
    let project = builder.input.project.clone();
    let Some(spec) = project.services.get(name) else {
        return Err(Failure::new(
            Code::ComposeInvalid,
            format!("service {name} does not exist"),
        ));
    };
    let hash = hash::service(&project, spec, &builder.input.contents);
    let mine: Vec<&'o ObservedContainer> = builder
        .observed
        .containers
        .iter()
        .filter(|c| c.service() == Some(name) && !c.is_oneoff())
        .collect();
    let wanted = builder
        .input
        .options
        .scale
        .get(name)
        .copied()
        .unwrap_or_else(|| spec.replicas());
    let why = |container: &ObservedContainer| -> Option<Reason> {
        match &builder.input.mode {
            Mode::Deploy => {}
            Mode::Repair { .. } => return None,
            Mode::Back { failed, .. } => {
                if container.label(labels::WF_OP) == Some(failed.to_string().as_str()) {
                    return Some(plainly("the revision that did not work out made it"));
                }
                let (names, found) = reasons::configuration(builder, name, spec, &hash, container)?;
                return Some(reasons::reason(format!("{} changed", names.join(", ")), found));
            }
        }
        if let Some(parent) = torn {
            let text = format!("service {parent}, whose namespaces or volumes it uses, gets a new container");
            return Some(builder.because(text, sharing(name, spec, parent)));
        }
        let options = &builder.input.options;
        let named = options.services.is_empty() || options.services.iter().any(|service| service == name);
        let forced = if named {
            options.force_recreate
        } else {
            options.recreate_deps
        };
        if forced {
            return Some(plainly("a recreate was asked for"));
        }
        let differs = containers::diverged(builder, name, spec, &hash, container)?;
        (!builder.input.options.no_recreate).then_some(differs)
    };
    let mut service = Service {
        name: name.to_owned(),
        hash: hash.clone(),
        slots: Vec::new(),
        surplus: Vec::new(),
        halves: Vec::new(),
    };
    let mut groups = groups(
        mine,
        &mut service,
        |number| container_name(&project, name, number),
        &why,
    );
    let count = u32::try_from(groups.len()).unwrap_or(u32::MAX);
    if count > wanted {
        // Those that would be replaced anyway go first, then the highest numbers.
        groups.sort_by_key(|(number, group)| (group.diverged.is_some(), *number));
        for (_, group) in groups.split_off(usize::try_from(wanted).unwrap_or(usize::MAX)) {
            let reason = scaled(builder, name, spec, "fewer containers are wanted", count, wanted);
            service.surplus.extend(group.old.map(|old| (old, reason.clone())));
            service.surplus.push((group.keeper, reason));
        }
        groups.sort_by_key(|(number, _)| *number);
    }
    let missing = wanted.saturating_sub(count);
    let mut top = groups.iter().map(|(number, _)| *number).max().unwrap_or(0);
    let restarts = spec.is_always_restarted();
    for (number, group) in groups {
        let final_name = container_name(&project, name, number);
        let slot = slot(builder, &why, final_name, number, group, restarts);
        service.slots.push(slot);
    }
    for _ in 0..missing {
        top = free_number(&service, top);
        let reason = if count == 0 {
            builder.because("the service has no container", format!("services.{name}"))
        } else {
            scaled(builder, name, spec, "more containers are wanted", count, wanted)
        };
        let fate = Fate::New { reason };
        service.slots.push(Slot {
            number: top,
            name: container_name(&project, name, top),
            fate,
            kept: "",
            made: None,
        });
    }
    for slot in service.slots.iter().filter(|slot| slot.fate.is_new()) {
        if let Some(id) = builder.observed.names.get(&slot.name) {
            let short = id.get(..12).unwrap_or(id);
            let text = format!(
                "the name {} is used by container {short}, which is not of this stack",
                slot.name
            );
            return Err(Failure::new(Code::NameTaken, text));
        }
    }
    let starts = service
        .slots
        .iter()
        .any(|slot| !matches!(slot.fate, Fate::Keep { .. }));
    if starts && !builder.input.options.no_start {
        ports::check(builder, name)?;
    }
    Ok(service)
}

/// The key by which a service shares something with another.
fn sharing(name: &str, spec: &Spec, parent: &str) -> String {
    let wanted = format!("service:{parent}");
    let modes = [
        ("network_mode", &spec.network_mode),
        ("ipc", &spec.ipc),
        ("pid", &spec.pid),
        ("uts", &spec.uts),
        ("cgroup", &spec.cgroup),
    ];
    let found = modes.iter().find(|(_, mode)| mode.as_ref() == Some(&wanted));
    format!("services.{name}.{}", found.map_or("volumes_from", |(key, _)| key))
}

/// A reason of the number of containers, at the key that sets it; the command line has no place.
fn scaled(builder: &Builder<'_>, name: &str, spec: &Spec, text: &str, count: u32, wanted: u32) -> Reason {
    let (old, new) = (Some(count.to_string()), Some(wanted.to_string()));
    let key = if spec.scale.is_none()
        && spec
            .deploy
            .as_ref()
            .is_some_and(|deploy| deploy.replicas.is_some())
    {
        format!("services.{name}.deploy.replicas")
    } else {
        format!("services.{name}.scale")
    };
    let mut change = builder.change(key, old, new);
    if builder.input.options.scale.contains_key(name) {
        change.at = None;
    }
    reasons::reason(text, vec![change])
}

/// A repair fills the hole; otherwise numbers go on after the highest.
fn free_number(service: &Service<'_>, top: u32) -> u32 {
    let taken = |number: u32| service.slots.iter().any(|slot| slot.number == number);
    (1..=top).find(|number| !taken(*number)).unwrap_or(top + 1)
}

fn groups<'o>(
    mut mine: Vec<&'o ObservedContainer>,
    service: &mut Service<'o>,
    name: impl Fn(u32) -> String,
    why: &dyn Fn(&ObservedContainer) -> Option<Reason>,
) -> Vec<(u32, pairs::Group<'o>)> {
    let mut numbers: Vec<u32> = mine.iter().map(|container| container.number()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let mut out = Vec::new();
    for number in numbers {
        let (same, others): (Vec<_>, Vec<_>) = mine
            .into_iter()
            .partition(|container| container.number() == number);
        mine = others;
        let diverged = |container: &ObservedContainer| why(container).map(|reason| reason.text);
        if let Some(mut group) = pairs::choose(same, &name(number), &diverged) {
            for left in group.rest.drain(..) {
                // One that was moved aside may be the last good one.
                let never_served = names::is_temporary(&left.name) && left.label(labels::WF_STACK).is_some();
                if never_served && (group.keeper.is_up() || !left.is_up()) {
                    service.halves.push(left);
                } else {
                    service.surplus.push((left, plainly(LEFT_OVER)));
                }
            }
            out.push((number, group));
        }
    }
    out
}

fn slot<'o>(
    builder: &Builder<'o>,
    why: &dyn Fn(&ObservedContainer) -> Option<Reason>,
    name: String,
    number: u32,
    group: pairs::Group<'o>,
    restarts: bool,
) -> Slot<'o> {
    let container = group.keeper;
    // Only containers of ours: somebody else's odd name is his own business.
    let rename = container.name != name && container.label(labels::WF_STACK).is_some();
    let killed = match &builder.input.mode {
        Mode::Repair { killed } => restarts && killed.contains(&container.id),
        Mode::Deploy | Mode::Back { .. } => false,
    };
    let starts = match &builder.input.mode {
        Mode::Deploy => !builder.input.options.no_start,
        Mode::Repair { .. } => killed,
        Mode::Back { .. } => builder.input.runs_again(container),
    };
    let awake = container.is_up() && container.state != ContainerState::Paused;
    let mut kept = "unchanged";
    let fate = match (why(container), group.old) {
        (Some(reason), _) => Fate::Replace {
            old: container,
            new: None,
            reason,
        },
        (None, Some(old)) => Fate::Replace {
            old,
            new: Some(container),
            reason: plainly("its replacement was interrupted and goes on"),
        },
        (None, None) if !awake && starts => {
            let text = if killed {
                "it was killed"
            } else if container.state == ContainerState::Created {
                "it was made and not started"
            } else if matches!(builder.input.mode, Mode::Back { .. }) {
                "it ran before"
            } else {
                "it does not run"
            };
            Fate::Start {
                container,
                rename,
                reason: plainly(text),
            }
        }
        (None, None) => {
            if container.label(labels::WF_STACK).is_none() {
                kept = "adopted as it is";
            } else if !awake {
                kept = "it was stopped and stays so";
            }
            Fate::Keep { container, rename }
        }
    };
    Slot {
        number,
        name,
        fate,
        kept,
        made: None,
    }
}
