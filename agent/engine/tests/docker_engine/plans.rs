//! Plans on a real engine: what an inspect tells of the old values, and that a plan carried out leaves nothing to do.

use windflow_model::{Action, DeploymentState, Want};

use crate::bench::Bench;

const BASE: &str = r#"
services:
  web:
    image: windflow-test/busybox:1
    command: ["sleep", "3600"]
    stop_signal: SIGKILL
    environment: { MODE: one, DB_PASSWORD: old }
    labels: { team: a }
    mem_limit: 64m
    restart: unless-stopped
    configs: [site]
    volumes: ["data:/data"]
    networks: [back]
volumes: { data: {}, more: {} }
networks:
  back: { attachable: false }
configs:
  site: { content: hello }
"#;

/// A key that changed, with its old and its new value.
type Told<'a> = (&'a str, Option<&'a str>, Option<&'a str>);

#[tokio::test(flavor = "multi_thread")]
async fn docker_what_changes_and_nothing_left_to_do_afterwards() {
    let Some(mut bench) = Bench::start("plans").await else {
        return;
    };
    assert_eq!(bench.apply(BASE).await, DeploymentState::Succeeded);
    let mut yaml = BASE.to_owned();
    // What is replaced, by what, and the changes that the plan must name: key, old, new.
    let rows: &[(&str, &str, &[Told<'_>])] = &[
        (
            "MODE: one",
            "MODE: two",
            &[("services.web.environment.MODE", Some("one"), Some("two"))],
        ),
        (
            "DB_PASSWORD: old",
            "DB_PASSWORD: new",
            &[(
                "services.web.environment.DB_PASSWORD",
                Some("(hidden)"),
                Some("(hidden)"),
            )],
        ),
        (
            "MODE: two, ",
            "",
            &[("services.web.environment.MODE", Some("two"), None)],
        ),
        (
            r#"["sleep", "3600"]"#,
            r#"["sleep", "4000"]"#,
            &[(
                "services.web.command",
                Some(r#"["sleep","3600"]"#),
                Some(r#"["sleep","4000"]"#),
            )],
        ),
        (
            "team: a",
            "team: b",
            &[("services.web.labels.team", Some("a"), Some("b"))],
        ),
        (
            "mem_limit: 64m",
            "mem_limit: 96m",
            &[("services.web.mem_limit", Some("67108864"), Some("100663296"))],
        ),
        (
            "restart: unless-stopped",
            "restart: always",
            &[("services.web.restart", Some("unless-stopped"), Some("always"))],
        ),
        (
            "    mem_limit: 96m\n",
            "    cap_add: [NET_ADMIN]\n",
            &[
                ("services.web.cap_add", None, Some("NET_ADMIN")),
                ("services.web.mem_limit", Some("100663296"), None),
            ],
        ),
        (
            "content: hello",
            "content: good day",
            &[("configs.site.content", None, None)],
        ),
        (
            r#"["data:/data"]"#,
            r#"["data:/data", "more:/more"]"#,
            &[("services.web.volumes", None, Some("wft-engine-plans_more:/more"))],
        ),
        (
            "busybox:1",
            "busybox:2",
            &[(
                "services.web.image",
                Some("windflow-test/busybox:1"),
                Some("windflow-test/busybox:2"),
            )],
        ),
        (
            "attachable: false",
            "attachable: true",
            &[("networks.back.attachable", Some("false"), Some("true"))],
        ),
    ];
    for (from, to, expected) in rows {
        assert!(yaml.contains(from), "{from}");
        yaml = yaml.replace(from, to);
        let order = bench.order(&yaml, Want::Present);
        let plan = bench.handle.plan(order.clone()).await.unwrap();
        let changed = plan
            .resources
            .iter()
            .filter(|held| held.action != Action::Keep && held.action != Action::Create);
        let changes: Vec<_> = changed.flat_map(|held| held.reason.changes.clone()).collect();
        let told: Vec<_> = changes
            .iter()
            .map(|change| (change.key.as_str(), change.old.as_deref(), change.new.as_deref()))
            .collect();
        assert_eq!(told, *expected, "{from} → {to}");
        assert!(
            changes.iter().all(|change| change
                .at
                .as_ref()
                .is_some_and(|at| at.starts_with("compose.yaml:"))),
            "{changes:?}"
        );
        assert!(!plan.interruptions.is_empty(), "{from} → {to}");
        // Just that plan.
        let mut order = order;
        order.options.pin = Some(plan.pin);
        order.options.no_wait = true;
        assert_eq!(
            bench.run(order).await,
            DeploymentState::Succeeded,
            "{from} → {to}"
        );
        let after = bench.order(&yaml, Want::Present);
        let plan = bench.handle.plan(after).await.unwrap();
        assert!(plan.is_empty(), "{from} → {to}: {:#?}", plan.resources);
    }
    bench.end().await;
}
