//! The inventory: what this host is. Slow facts only; nothing here is sampled.

use rustix::system::uname;
use windflow_engine::EngineHandle;
use windflow_model::{Capability, EngineKind, Inventory, TargetKind};

use crate::policy::PolicyFile;

/// Looks at the host and asks the engine who it is.
pub async fn inventory(engine: &EngineHandle, policy: &PolicyFile) -> Inventory {
    let (info, problem) = match engine.target_info().await {
        Ok(info) => (Some(info), None),
        Err(failure) => (None, Some(failure.message)),
    };
    let targets = info.iter().map(|info| match info.kind {
        EngineKind::Docker | EngineKind::Podman => TargetKind::Docker,
        EngineKind::Fake => TargetKind::Fake,
    });
    Inventory {
        hostname: hostname(),
        os: os(),
        kernel: uname().release().to_string_lossy().into_owned(),
        arch: windflow_kit::build::ARCH.to_owned(),
        cpus: std::thread::available_parallelism()
            .map_or(1, |count| u32::try_from(count.get()).unwrap_or(u32::MAX)),
        memory_bytes: memory_bytes(&fs_err::read_to_string("/proc/meminfo").unwrap_or_default()),
        targets: targets.collect(),
        engine: info,
        engine_problem: problem,
        capabilities: [
            Capability::DEPLOY,
            Capability::LOGS,
            Capability::PLAN,
            Capability::HOST_TERMINAL,
        ]
        .map(|word| Capability(word.to_owned()))
        .to_vec(),
        // A policy with a mistake in it allows nobody.
        host_terminal_users: policy.read().map(|rules| rules.host_users).unwrap_or_default(),
        agent_version: windflow_kit::build::VERSION.to_owned(),
    }
}

/// The host's own name; empty if it has none.
#[must_use]
pub fn hostname() -> String {
    let name = uname().nodename().to_string_lossy().into_owned();
    // What the kernel says as long as nobody has named the host.
    if name == "(none)" { String::new() } else { name }
}

/// The distribution, as os-release(5) names it for people.
fn os() -> String {
    let files = ["/etc/os-release", "/usr/lib/os-release"];
    let text = files.iter().find_map(|file| fs_err::read_to_string(file).ok());
    pretty_name(&text.unwrap_or_default())
}

fn pretty_name(release: &str) -> String {
    let mut lines = release.lines();
    let value = lines.find_map(|line| line.strip_prefix("PRETTY_NAME="));
    value.map_or_else(
        || "Linux".to_owned(),
        |value| value.trim().trim_matches(['"', '\'']).to_owned(),
    )
}

/// From proc(5)'s meminfo, which counts in KiB; 0 if it does not tell.
fn memory_bytes(meminfo: &str) -> u64 {
    let mut lines = meminfo.lines();
    let value = lines.find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = value.and_then(|value| value.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.map_or(0, |kib| kib.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_tells() {
        assert_eq!(
            memory_bytes("MemTotal:       24689220 kB\nMemFree: 1 kB\n"),
            25_281_761_280
        );
        assert_eq!(memory_bytes(""), 0);
        let release = "NAME=\"Debian GNU/Linux\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n";
        assert_eq!(pretty_name(release), "Debian GNU/Linux 12 (bookworm)");
        assert_eq!(pretty_name("PRETTY_NAME='Void Linux'\n"), "Void Linux");
        assert_eq!(pretty_name("ID=x\n"), "Linux");
        assert!(memory_bytes(&fs_err::read_to_string("/proc/meminfo").unwrap()) > 0);
    }
}
