//! Laws of plans, over random projects and random worlds.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;
use windflow_compose::{LoadRequest, MemoryFiles, Source};
use windflow_model::{Action, ContainerState, DeployPolicy, Health, OpId, Rev, StepId};

use super::{ContentDigests, Mode, PlanInput, Planned, Stamp, Work, image_of, labels, plan};
use crate::{
    order::ApplyOptions,
    targets::{
        Endpoint, Observed, ObservedContainer, ObservedImage, ObservedMount, ObservedNetwork, ObservedVolume,
    },
};

fn input(yaml: &str) -> PlanInput {
    let request = LoadRequest {
        files: vec![Source {
            path: "/p/compose.yaml".to_owned(),
            text: Some(yaml.to_owned()),
        }],
        project_directory: "/p".to_owned(),
        name: Some("any".to_owned()),
        env: BTreeMap::from([("WORD".to_owned(), "w".to_owned())]),
        ..LoadRequest::default()
    };
    let loaded = windflow_compose::load(&request, &MemoryFiles::default())
        .unwrap_or_else(|problems| panic!("{problems:?} in\n{yaml}"));
    let contents = ContentDigests::of::<()>(&loaded.project, &[7; 32], |_| Ok(Some(Vec::new()))).unwrap();
    PlanInput {
        project: Arc::new(loaded.project),
        locations: loaded.locations,
        options: ApplyOptions::default(),
        policy: DeployPolicy::default(),
        stamp: Stamp {
            stack: "any".parse().unwrap(),
            rev: Rev(1),
            op: OpId::from_uuid(uuid::Uuid::from_u128(1)),
        },
        contents,
        mode: Mode::Deploy,
        fetched: std::collections::BTreeSet::new(),
        now: 1_795_000_000,
    }
}

/// A service: bits that choose its keys.
#[derive(Debug, Clone)]
struct Service {
    bits: u32,
    scale: u8,
    image: u8,
}

fn services() -> impl Strategy<Value = Vec<Service>> {
    let one =
        (any::<u32>(), 0..3_u8, 0..3_u8).prop_map(|(bits, scale, image)| Service { bits, scale, image });
    proptest::collection::vec(one, 1..5)
}

fn yaml(services: &[Service]) -> String {
    let mut out = "services:\n".to_owned();
    for (index, service) in services.iter().enumerate() {
        let has = |bit: u32| service.bits & (1 << bit) != 0;
        out.push_str(&format!(
            "  s{index}:\n    image: img:{}\n    scale: {}\n",
            service.image, service.scale
        ));
        let mut key = |bit: u32, text: &str| {
            if has(bit) {
                out.push_str("    ");
                out.push_str(text);
                out.push('\n');
            }
        };
        key(0, "volumes: ['data:/data', '/anonymous']");
        key(1, "networks: [back]");
        key(2, "environment: { A: '1', B: two }");
        key(3, "configs: [site]");
        key(4, "secrets: [word]");
        key(5, "cap_add: [NET_ADMIN]");
        key(6, "ports: ['80']");
        key(7, "healthcheck: { test: [CMD, 'true'], interval: 5s }");
        key(8, "restart: unless-stopped");
        key(9, "labels: { mine: yes }");
        key(10, "tmpfs: [/run]");
        key(11, "mem_limit: 64m");
        if index > 0 && has(12) {
            let condition = if has(13) {
                "service_healthy"
            } else {
                "service_started"
            };
            let restart = has(14);
            out.push_str(&format!(
                "    depends_on: {{ s{}: {{ condition: {condition}, restart: {restart} }} }}\n",
                index - 1
            ));
        } else if index > 0 && has(15) {
            out.push_str(&format!("    pid: 'service:s{}'\n", index - 1));
        }
    }
    out.push_str("volumes: { data: {} }\nnetworks: { back: {} }\nconfigs: { site: { content: hello } }\n");
    out.push_str("secrets: { word: { environment: WORD } }\n");
    out
}

fn images() -> BTreeMap<String, ObservedImage> {
    let one = |number: u8| {
        let image = ObservedImage {
            id: format!("sha256:{number:064}"),
            ..ObservedImage::default()
        };
        (format!("img:{number}"), image)
    };
    (0..3).map(one).collect()
}

/// The world that a plan leads to from nothing.
fn executed(input: &PlanInput, planned: &Planned) -> Observed {
    let mut world = Observed {
        images: images(),
        ..Observed::default()
    };
    for (index, work) in planned.work.iter().enumerate() {
        match work {
            Work::NetworkCreate { key, labels } => world.networks.push(ObservedNetwork {
                id: format!("net{index}"),
                name: input.project.networks[key].name.clone(),
                labels: labels.clone(),
                driver: "bridge".to_owned(),
                settings: BTreeMap::new(),
            }),
            Work::VolumeCreate { key, labels } => world.volumes.push(ObservedVolume {
                name: input.project.volumes[key].name.clone(),
                labels: labels.clone(),
                driver: "local".to_owned(),
                settings: BTreeMap::new(),
            }),
            Work::Create {
                service,
                labels,
                final_name,
                ..
            } => {
                world
                    .containers
                    .push(container(input, service, labels, final_name, index));
            }
            _ => {}
        }
    }
    world
}

fn container(
    input: &PlanInput,
    service: &str,
    labels: &BTreeMap<String, String>,
    name: &str,
    index: usize,
) -> ObservedContainer {
    let spec = &input.project.services[service];
    let networks = spec.networks.keys().map(|key| {
        let name = input.project.networks[key].name.clone();
        (
            name,
            Endpoint {
                network_id: "n".to_owned(),
            },
        )
    });
    let mounts = spec.volumes.iter().filter_map(|mount| {
        let source = input.project.volumes.get(mount.source.as_ref()?)?.name.clone();
        Some(ObservedMount {
            kind: "volume".to_owned(),
            source,
            target: mount.target.clone(),
        })
    });
    let image = image_of(&input.project, service);
    ObservedContainer {
        id: format!("{index:064x}"),
        name: name.to_owned(),
        labels: labels.clone(),
        image_id: images()[&image].id.clone(),
        image,
        state: ContainerState::Running,
        health: Health::None,
        exit_code: None,
        created: i64::try_from(index).unwrap(),
        networks: networks.collect(),
        mounts: mounts.collect(),
        settings: None,
    }
}

/// What happened to a container since it was made.
type Fate = (u8, u8, bool);

fn disturbed(world: &Observed, fates: &[Fate]) -> Observed {
    const STATES: [ContainerState; 6] = [
        ContainerState::Running,
        ContainerState::Exited,
        ContainerState::Created,
        ContainerState::Paused,
        ContainerState::Restarting,
        ContainerState::Dead,
    ];
    let mut out = world.clone();
    for (index, container) in out.containers.iter_mut().enumerate() {
        let Some((state, damage, labelled)) = fates.get(index) else {
            continue;
        };
        container.state = STATES[usize::from(*state) % STATES.len()];
        match damage % 9 {
            0 => drop(container.labels.remove(labels::WF_HASH)),
            1 => drop(
                container
                    .labels
                    .insert(labels::WF_HASH.to_owned(), "1:other".to_owned()),
            ),
            2 => container.image_id = "sha256:other".to_owned(),
            3 => container.networks.clear(),
            4 => container.mounts.clear(),
            5 => drop(container.labels.insert(labels::NUMBER.to_owned(), "1".to_owned())),
            6 => container.name = format!("0123456789ab_{}", container.name),
            _ => {}
        }
        if !labelled {
            container
                .labels
                .insert(labels::SERVICE.to_owned(), "gone".to_owned());
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// plan, execute, plan is empty; and so is the plan of what is there already.
    #[test]
    fn nothing_to_do_afterwards(services in services()) {
        let input = input(&yaml(&services));
        let from_nothing = Observed { images: images(), ..Observed::default() };
        let first = plan(&input, &from_nothing).unwrap();
        let world = executed(&input, &first);
        let second = plan(&input, &world).unwrap();
        prop_assert!(second.plan.is_empty(), "{:#?}", second.plan.resources);
        prop_assert!(second.plan.interruptions.is_empty());
        prop_assert_eq!(second.plan.pin.moved(&plan(&input, &world).unwrap().plan.pin), Vec::<String>::new());
    }

    /// No world makes a plan panic, and the order in which it is listed does not matter.
    #[test]
    fn any_world_in_any_order(
        before in services(),
        after in services(),
        fates in proptest::collection::vec((any::<u8>(), any::<u8>(), proptest::bool::weighted(0.9)), 0..12),
        turn in 0..20_usize,
    ) {
        let old = input(&yaml(&before));
        let from_nothing = Observed { images: images(), ..Observed::default() };
        let world = executed(&old, &plan(&old, &from_nothing).unwrap());
        let world = disturbed(&world, &fates);
        let mut listed = world.clone();
        listed.containers.reverse();
        let length = listed.containers.len();
        listed.containers.rotate_left(turn.checked_rem(length).unwrap_or(0));
        listed.networks.reverse();
        listed.volumes.reverse();
        let wanted = input(&yaml(&after));
        for mode in [Mode::Deploy, Mode::Repair { killed: std::collections::BTreeSet::new() }] {
            let wanted = PlanInput { mode, ..wanted.clone() };
            match (plan(&wanted, &world), plan(&wanted, &listed)) {
                (Ok(one), Ok(other)) => {
                    prop_assert_eq!(&one.plan, &other.plan);
                    sound(&one);
                }
                (one, other) => prop_assert_eq!(one.err(), other.err()),
            }
        }
    }
}

/// What every reader of a plan relies on.
fn sound(planned: &Planned) {
    let plan = &planned.plan;
    assert_eq!(plan.steps.len(), planned.work.len());
    for (number, step) in (0..).zip(&plan.steps) {
        assert_eq!(step.id, StepId(number));
        assert!(
            step.after.iter().all(|after| plan.step(*after).is_some()),
            "{step:?}"
        );
    }
    let listed: usize = plan.resources.iter().map(|held| held.steps.len()).sum();
    let waits = plan
        .steps
        .iter()
        .filter(|step| step.action == Action::Wait)
        .count();
    assert_eq!(listed + waits, plan.steps.len());
    for stop in &plan.interruptions {
        assert!(plan.step(stop.from).is_some());
        assert!(stop.until.is_none_or(|until| plan.step(until).is_some()));
    }
}
