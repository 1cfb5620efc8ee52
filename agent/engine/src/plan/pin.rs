//! The pin of a plan: fingerprints of everything that decided it, so that whoever carries it out later can tell that it
//! is still the same plan, and name what moved if it is not.

use serde_json::{Value, json};
use windflow_compose::model::to_json;
use windflow_model::{Action, Failure, Pin, Plan, Step};

use super::{PlanInput, hash, labels};
use crate::{
    order::ApplyOptions,
    targets::{Observed, ObservedContainer},
};

/// The pin of a plan that is otherwise finished.
pub(super) fn of(input: &PlanInput, observed: &Observed, plan: &Plan) -> Pin {
    let mut pin = world(observed, &input.options, plan);
    let mut set = |name: String, value: Value| drop(pin.parts.insert(name, hash::short_digest(&value)));
    let project = &input.project;
    for (name, service) in &project.services {
        let hash = hash::service(project, service, &input.contents).full;
        let whole = to_json(service);
        set(format!("service {name} in the file"), json!([hash, whole]));
    }
    for (key, network) in &project.networks {
        let settings = json!([hash::network(network), network.external]);
        set(format!("network {key} in the file"), settings);
    }
    for (key, volume) in &project.volumes {
        let settings = json!([hash::volume(volume), volume.external]);
        set(format!("volume {key} in the file"), settings);
    }
    let policy = to_json(&input.policy);
    set("the policy of the stack".to_owned(), policy);
    pin
}

/// The parts that a removal depends on too.
pub(super) fn world(observed: &Observed, options: &ApplyOptions, plan: &Plan) -> Pin {
    let mut pin = Pin::default();
    let mut set = |name: String, value: Value| drop(pin.parts.insert(name, hash::short_digest(&value)));
    for network in &observed.networks {
        let short = network.id.get(..12).unwrap_or(&network.id);
        let value = json!([network.id, network.labels.get(labels::WF_HASH)]);
        set(format!("network {} ({short})", network.name), value);
    }
    for volume in &observed.volumes {
        let value = json!([volume.labels, volume.driver]);
        set(format!("volume {}", volume.name), value);
    }
    for (name, image) in &observed.images {
        set(format!("image {name}"), json!(image.id));
    }
    for (name, id) in &observed.names {
        set(format!("the holder of the name {name}"), json!(id));
    }
    let options = ApplyOptions {
        pin: None,
        // Whether the caller waits changes nothing on the host.
        no_wait: false,
        strict_wait: false,
        ..options.clone()
    };
    set("the options of the command".to_owned(), to_json(&options));
    set(
        "the version of the agent".to_owned(),
        json!(windflow_kit::build::VERSION),
    );
    for container in &observed.containers {
        let word = if container.is_up() { "up" } else { "down" };
        let print = format!("{word} {}", hash::short_digest(&facts(container)));
        pin.parts.insert(format!("container {}", container.name), print);
    }
    pin.steps = steps(plan.steps.iter());
    pin
}

/// What decides about a container, besides whether it runs.
fn facts(container: &ObservedContainer) -> Value {
    let networks: Vec<Value> = container
        .networks
        .iter()
        .map(|(name, endpoint)| json!([name, endpoint.network_id]))
        .collect();
    let paused = container.state == windflow_model::ContainerState::Paused;
    json!([container.id, container.image_id, networks, paused])
}

/// What is done to what, in order; waits do nothing.
fn done(step: &&Step) -> bool {
    step.action != Action::Wait
}

fn steps<'s>(steps: impl Iterator<Item = &'s Step>) -> String {
    let all: Vec<Value> = steps
        .filter(done)
        .map(|step| json!([step.action, step.resource, step.service]))
        .collect();
    hash::short_digest(&Value::from(all))
}

/// What is to be done besides fetching images, in words.
fn deeds(plan: &Plan) -> Vec<String> {
    let deeds = plan.steps.iter().filter(done);
    let deeds = deeds.filter(|step| !matches!(step.action, Action::Pull | Action::Build));
    deeds
        .map(|step| format!("{} {} {}", step.action, step.resource.kind, step.resource.name))
        .collect()
}

/// Refuses the rest of a plan if the images that were fetched for it make it another one.
///
/// # Errors
/// [`windflow_model::Code::WorldMoved`] with the steps that were not in the plan, or are not any more.
pub(crate) fn same_after_images(shown: &Plan, rest: &Plan) -> Result<(), Failure> {
    let (shown_deeds, rest_deeds) = (deeds(shown), deeds(rest));
    if shown_deeds == rest_deeds {
        return Ok(());
    }
    let news = rest_deeds
        .iter()
        .filter(|deed| !shown_deeds.contains(deed))
        .cloned();
    let gone = shown_deeds
        .iter()
        .filter(|deed| !rest_deeds.contains(deed))
        .map(|deed| format!("no longer {deed}"));
    let list: Vec<String> = news.chain(gone).take(8).collect();
    Err(moved(
        &shown.stack,
        &[format!(
            "the images that were fetched ask for other steps: {}",
            list.join(", ")
        )],
    ))
}

/// The refusal to carry out a plan for another world.
pub(crate) fn moved(stack: &windflow_model::StackName, what: &[String]) -> Failure {
    const MOST: usize = 12;
    let mut list: Vec<String> = what.iter().take(MOST).cloned().collect();
    if what.len() > MOST {
        list.push(format!("and {} more", what.len() - MOST));
    }
    Failure {
        hint: "Look at a new plan, then deploy that one.".to_owned(),
        ..Failure::new(
            windflow_model::Code::WorldMoved,
            format!(
                "{stack} is not as it was when the plan was made, so the plan was not carried out: {}",
                list.join("; ")
            ),
        )
    }
}
