//! The inventory: what this host is. Slow facts only; nothing here is sampled.

use sysinfo::{MemoryRefreshKind, RefreshKind, System};
use windflow_engine::EngineHandle;
use windflow_model::{Capability, EngineKind, Inventory, TargetKind};

/// Looks at the host and asks the engine who it is.
pub async fn inventory(engine: &EngineHandle) -> Inventory {
    let refresh = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(refresh);
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
        os: System::long_os_version().unwrap_or_default(),
        kernel: System::kernel_version().unwrap_or_default(),
        arch: windflow_kit::build::ARCH.to_owned(),
        cpus: std::thread::available_parallelism()
            .map_or(1, |count| u32::try_from(count.get()).unwrap_or(u32::MAX)),
        memory_bytes: system.map_or(0, |system| system.total_memory()),
        targets: targets.collect(),
        engine: info,
        engine_problem: problem,
        capabilities: [Capability::DEPLOY, Capability::LOGS, Capability::PLAN]
            .map(|word| Capability(word.to_owned()))
            .to_vec(),
        agent_version: windflow_kit::build::VERSION.to_owned(),
    }
}

/// The host's own name; empty if it has none.
#[must_use]
pub fn hostname() -> String {
    System::host_name().unwrap_or_default()
}
