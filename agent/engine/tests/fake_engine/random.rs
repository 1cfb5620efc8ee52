//! Any project after any other: it comes out as the file says, and doing it again is nothing to do.

use proptest::prelude::*;
use windflow_model::DeploymentState;

use crate::bench::Bench;

#[derive(Debug, Clone)]
struct Service {
    name: char,
    image: u8,
    scale: u8,
    env: u8,
    volume: bool,
    network: bool,
    depends: Option<char>,
}

fn service(name: char) -> impl Strategy<Value = Option<Service>> {
    let parts = (
        0..3_u8,
        0..4_u8,
        0..2_u8,
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    );
    proptest::option::weighted(
        0.75,
        parts.prop_map(move |(image, scale, env, volume, network, depends)| {
            let depends = (depends && name > 'a')
                .then(|| char::from_u32(u32::from(name) - 1))
                .flatten();
            Service {
                name,
                image,
                scale,
                env,
                volume,
                network,
                depends,
            }
        }),
    )
}

fn project() -> impl Strategy<Value = Vec<Service>> {
    ('a'..='d')
        .map(service)
        .collect::<Vec<_>>()
        .prop_map(|services| services.into_iter().flatten().collect::<Vec<_>>())
}

fn yaml(services: &[Service]) -> String {
    let mut out = "name: any\nservices:\n".to_owned();
    for service in services {
        out.push_str(&format!(
            "  {}:\n    image: fake/moving-{}\n    scale: {}\n    environment: {{ E: '{}' }}\n",
            service.name, service.image, service.scale, service.env
        ));
        if service.volume {
            out.push_str("    volumes: ['data:/data']\n");
        }
        if service.network {
            out.push_str("    networks: [back]\n");
        }
        if let Some(on) = service
            .depends
            .filter(|on| services.iter().any(|other| other.name == *on))
        {
            out.push_str(&format!("    depends_on: [{on}]\n"));
        }
    }
    if services.is_empty() {
        out.push_str("  z: { image: z }\n");
    }
    out + "volumes: { data: {} }\nnetworks: { back: {} }\n"
}

fn names(services: &[Service]) -> usize {
    if services.is_empty() {
        1
    } else {
        services.iter().map(|service| usize::from(service.scale)).sum()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn any_project_after_any_other(projects in proptest::collection::vec(project(), 1..5), cuts in proptest::collection::vec(proptest::option::of(0..1_500_u64), 5)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut bench = Bench::start().await;
            for (index, services) in projects.iter().enumerate() {
                let rev = u64::try_from(index).unwrap() * 2 + 1;
                let text = yaml(services);
                let order = bench.order("any", rev, &text);
                bench.handle.apply(order.clone()).await.unwrap();
                if let Some(Some(cut)) = cuts.get(index) {
                    // The agent dies on the way.
                    tokio::time::sleep(std::time::Duration::from_millis(*cut)).await;
                    bench = bench.restart().await;
                }
                let state = bench.ended(&order.stack, order.op).await;
                assert_eq!(state, DeploymentState::Succeeded, "{text}");
                let there = bench.names("any").await;
                assert_eq!(there.len(), names(services), "{there:?} for\n{text}");
                assert!(there.iter().all(|name| name.starts_with("any-")), "{there:?}");
                let plan = bench.handle.plan(bench.order("any", rev + 1, &text)).await.unwrap();
                assert!(plan.is_empty(), "{plan:#?} for\n{text}");
            }
            bench.end().await;
        });
    }
}
