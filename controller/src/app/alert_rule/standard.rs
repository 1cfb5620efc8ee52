//! The rules that WindFlow brings along: what nearly everybody wants to know. They can be changed and deleted like all others.

use std::time::Duration;

use windflow_model::{
    Severity,
    alert::{Compare, Condition, Containers, RuleSpec},
};

pub(super) fn rules(certificate_life: Option<Duration>) -> Vec<RuleSpec> {
    // Certificates are renewed after half of their life: with a quarter left, that has failed for a while.
    let life = certificate_life.unwrap_or(Duration::from_secs(86_400));
    let near = u32::try_from(life.as_secs() / 4).unwrap_or(u32::MAX);
    let share = |metric: &str, window_s: u32, threshold: f64, clear: f64| Condition::Metric {
        metric: metric.to_owned(),
        function: "mean".to_owned(),
        window_s,
        compare: Compare::Above,
        threshold,
        clear: Some(clear),
        key: String::new(),
        containers: Containers::default(),
    };
    let all = Containers::default;
    let rule = |name: &str, severity: Severity, for_s: u32, clear_s: u32, condition: Condition| RuleSpec {
        name: name.to_owned(),
        condition,
        severity,
        targets: None,
        for_s,
        clear_s,
        channels: Vec::new(),
        note: String::new(),
        enabled: true,
    };
    use Severity::{Critical, Info, Warning};
    vec![
        rule("Host offline", Critical, 120, 0, Condition::HostOffline),
        rule(
            "Container engine silent",
            Critical,
            60,
            0,
            Condition::EngineSilent,
        ),
        rule(
            "Deployment failed",
            Critical,
            0,
            0,
            Condition::DeploymentFailed { stack: None },
        ),
        rule(
            "Rollout failed",
            Critical,
            0,
            0,
            Condition::RolloutFailed { stack: None },
        ),
        rule(
            "Container unhealthy",
            Warning,
            60,
            60,
            Condition::ContainerUnhealthy { containers: all() },
        ),
        rule(
            "Container down",
            Warning,
            60,
            0,
            Condition::ContainerDown { containers: all() },
        ),
        rule(
            "Container restarts",
            Warning,
            0,
            300,
            Condition::ContainerRestarts {
                times: 5,
                within_s: 600,
                containers: all(),
            },
        ),
        rule(
            "Out of memory",
            Warning,
            0,
            0,
            Condition::Event {
                kinds: vec!["container.out_of_memory".to_owned()],
                hold_s: 3_600,
                containers: all(),
            },
        ),
        rule(
            "File system nearly full",
            Warning,
            300,
            300,
            share("filesystem_share", 300, 0.9, 0.88),
        ),
        rule(
            "File system full soon",
            Warning,
            1_800,
            1_800,
            Condition::DiskFull {
                window_s: 21_600,
                within_s: 86_400,
            },
        ),
        rule(
            "Memory nearly used up",
            Warning,
            300,
            300,
            share("memory_share", 300, 0.95, 0.9),
        ),
        rule("Processors busy", Info, 600, 300, share("cpu", 300, 0.95, 0.85)),
        rule(
            "Certificate near its end",
            Warning,
            0,
            0,
            Condition::CertificateExpiry {
                within_s: near.max(60),
            },
        ),
    ]
}
