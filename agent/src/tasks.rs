//! The life of `windflow-agent run`.
//!
//! ```text
//! configuration → state directory (lock) → store → engine (journal replayed) → tasks → ready → signal → drain
//!
//! TaskSet ─┬─ "engine"    OnFailure::Exit   owns the journal and the lanes
//!          ├─ "status"    OnFailure::Log    answers `windflow-agent status`; in: watch<LinkStatus>
//!          ├─ "sampler"   OnFailure::Log    measures; in: watch<ContainerList>, out: watch<Sample>
//!          ├─ "metrics"   OnFailure::Log    only with `metrics_listen`: the newest sample over HTTP
//!          ├─ "link"      OnFailure::Exit   only if enrolled; with "link-status" and "inventory" beside it
//!          └─ "watchdog"  OnFailure::Log    tells systemd that this loop still turns
//! ```

#[cfg(feature = "link")]
mod linked;

use std::{sync::Arc, time::Duration};

use sd_notify::NotifyState;
use tokio::sync::watch;
use windflow_engine::{
    DockerOptions, DockerTarget, EngineHandle, EngineOptions, FakeOptions, FakeTarget, Target,
};
use windflow_kit::{Chain, Clock, DirLock, OnFailure, Random, Stop, TaskSet, stop::Signals};
use windflow_model::Failure;
use windflow_store::{RedbOptions, RedbStore};

use crate::{
    cli::TargetChoice,
    config::Config,
    exposition::Page,
    failure::CommandError,
    host,
    policy::PolicyFile,
    sampler::SamplerOptions,
    status::{self, LinkStatus},
};

/// Longest wait for the tasks to end; below systemd's 90 s.
const DRAIN: Duration = Duration::from_secs(30);

/// Runs the agent until SIGTERM or SIGINT.
///
/// # Errors
/// What stopped it from starting or going on.
pub async fn run(config: Config, clock: Clock, random: Random) -> Result<(), CommandError> {
    let mut signals = Signals::listen().map_err(|error| failed(&error))?;
    let lock = DirLock::acquire(&config.state_dir).map_err(|error| {
        // The kit speaks of --data-dir; the agent's flag is another.
        CommandError::failed(Chain(&error).to_string().replace("--data-dir", "--state-dir"))
    })?;
    let options = RedbOptions {
        clock: clock.clone(),
        ..RedbOptions::default()
    };
    let store = RedbStore::open_locked(Arc::new(lock), options).map_err(|error| failed(&error))?;
    let work_dir = config.state_dir.join("work");
    let options = EngineOptions::new(Arc::new(store), work_dir, clock.clone(), random.clone());
    let (engine, handle) = options
        .build(target(&config)?)
        .await
        .map_err(|error| failed(&error))?;

    let tasks = TaskSet::new(Stop::new(), random.clone());
    let (link, seen) = watch::channel(LinkStatus::NotEnrolled);
    tasks.spawn("engine", OnFailure::Exit, engine.run(tasks.stop().clone()));
    let socket = status::serve(
        config.state_dir.clone(),
        clock.clone(),
        seen.clone(),
        tasks.stop().clone(),
    );
    tasks.spawn("status", OnFailure::Log, socket);
    let (sampler, measured) = SamplerOptions::of_this_host(clock.clone()).build().into_task();
    let sampling = sampler.run(handle.containers(), tasks.stop().clone());
    tasks.spawn("sampler", OnFailure::Log, sampling);
    if let Some(address) = config.metrics_listen {
        #[cfg(feature = "link")]
        let agent = linked::agent(&config.state_dir)?;
        #[cfg(not(feature = "link"))]
        let agent = None;
        let page = Page {
            newest: measured.newest(),
            link: seen,
            agent,
        };
        tasks.spawn(
            "metrics",
            OnFailure::Log,
            page.serve(address, tasks.stop().clone()),
        );
    }
    let policy = PolicyFile::new(config.policy_file.clone());
    #[cfg(feature = "link")]
    linked::start(
        &tasks,
        &config.state_dir,
        &handle,
        (clock, random),
        policy.clone(),
        (link, measured),
    )
    .await?;
    #[cfg(not(feature = "link"))]
    let _nobody_reads = (link, measured);
    tasks.spawn("watchdog", OnFailure::Log, watchdog(tasks.stop().clone()));
    greet(&handle, &policy).await;
    notify(&[NotifyState::Ready]);

    let signal = tasks.stop().run(signals.next()).await;
    tracing::info!(?signal, "stopping");
    notify(&[NotifyState::Stopping]);
    let drained = tokio::select! {
        drained = tasks.drain(DRAIN) => drained,
        // A second signal means now.
        _ = signals.next() => return Err(CommandError::failed("ended before the tasks did")),
    };
    if !drained.unfinished.is_empty() {
        tracing::warn!(tasks = ?drained.unfinished, "not ended in time");
    }
    match drained.failure {
        Some(failure) => Err(failed(&failure)),
        None => Ok(()),
    }
}

/// Makes the target of the configuration; the engine behind it need not answer yet.
///
/// # Errors
/// If its address or its file is not usable.
pub fn target(config: &Config) -> Result<Arc<dyn Target>, CommandError> {
    let broken = |error| CommandError::from(Failure::from(error));
    Ok(match config.target {
        TargetChoice::Docker => Arc::new(
            DockerTarget::connect(DockerOptions {
                host: config.docker_host.clone(),
                client_config: config.docker_config.clone(),
                pull_stall: Some(config.pull_stall),
                buildkit: config.buildkit,
                ssh_agent: config.ssh_agent.clone(),
            })
            .map_err(broken)?,
        ),
        TargetChoice::Fake => Arc::new(
            FakeTarget::open(FakeOptions {
                file: Some(config.state_dir.join("fake.json")),
                ..FakeOptions::default()
            })
            .map_err(broken)?,
        ),
    })
}

/// Says what was found; a missing engine is no reason not to run.
async fn greet(engine: &EngineHandle, policy: &PolicyFile) {
    let found = host::inventory(engine, policy).await;
    tracing::info!(host = %found.hostname, os = %found.os, version = %found.agent_version, "agent runs");
    if let Some(problem) = found.engine_problem {
        tracing::warn!(%problem, "no container engine answers; `windflow-agent doctor` tells more");
    }
}

/// Pets systemd's watchdog twice per period, if there is one.
async fn watchdog(stop: Stop) {
    let Some(period) = sd_notify::watchdog_enabled() else {
        return;
    };
    let mut ticks = tokio::time::interval(period / 2);
    while stop.run(ticks.tick()).await.is_some() {
        notify(&[NotifyState::Watchdog]);
    }
}

fn notify(state: &[NotifyState<'_>]) {
    // Without systemd there is nobody to tell.
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager cannot be told");
    }
}

fn failed(error: &(dyn std::error::Error + 'static)) -> CommandError {
    CommandError::failed(Chain(error).to_string())
}
