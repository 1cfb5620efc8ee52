//! Jobs: work that nobody waits for.
//!
//! ```text
//! TaskSet ─┬─ "dispatch"    2 s            hosts with open deployments look for work
//!          ├─ "rollout"     nudge or 1 s   rollouts go as far as they can
//!          ├─ "notices"     nudge or 1 s   notifications that are due go out
//!          ├─ "old-notices" 600 s          those that are old are removed
//!          ├─ "expiry"      5 s            deployments whose time in the queue is over
//!          ├─ "sweep"       60 s           expired tokens and credentials; what a crash left half-done
//!          ├─ "audit"       1 s            audit records under the next seal of their chain
//!          ├─ "heard"       60 s           when the connected hosts were last heard, for after a crash
//!          └─ "setup-code"  2 s            while no user exists: a code on the console and in the data directory
//! ```
//! Each takes no input, reads everything anew, may be stopped anywhere, begins again if it panics, and shows in `/metrics`.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    future::Future,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use windflow_kit::{BackoffOptions, Chain, TaskSet};

use crate::app::{App, AppResult, lock};

mod rollout;
mod setup_code;

/// Until a job that panicked runs again.
const AGAIN: BackoffOptions = BackoffOptions {
    min: Duration::from_millis(500),
    max: Duration::from_secs(10),
    factor: 2.0,
};

/// The last runs of all jobs.
#[derive(Debug, Clone, Default)]
pub struct Jobs(Arc<Mutex<BTreeMap<&'static str, Run>>>);

#[derive(Debug, Clone, Copy, Default)]
struct Run {
    runs: u64,
    failures: u64,
    last_at_ms: i64,
    last_took_ms: u128,
}

impl Jobs {
    /// Starts all jobs. `setup_file` is where the setup code is kept.
    pub fn start(&self, app: &App, tasks: &TaskSet, setup_file: PathBuf) {
        let dispatch = |app: App| async move { app.dispatch_all().await.map(drop) };
        self.every("dispatch", Duration::from_secs(2), app, tasks, dispatch);
        self.every("rollout", Duration::from_secs(1), app, tasks, rollout::advance);
        let notices = |app: App| async move { app.notices_deliver().await.map(drop) };
        self.every("notices", Duration::from_secs(1), app, tasks, notices);
        let old = |app: App| async move { app.notices_sweep().await.map(drop) };
        self.every("old-notices", Duration::from_secs(600), app, tasks, old);
        let expiry = |app: App| async move { app.expire_all().await.map(drop) };
        self.every("expiry", Duration::from_secs(5), app, tasks, expiry);
        let sweep = |app: App| async move { app.sweep().await.map(drop) };
        self.every("sweep", Duration::from_secs(60), app, tasks, sweep);
        let audit = |app: App| async move { app.audit_seal().await.map(drop) };
        self.every("audit", Duration::from_secs(1), app, tasks, audit);
        let heard = |app: App| async move { app.note_heard().await.map(drop) };
        self.every("heard", Duration::from_secs(60), app, tasks, heard);
        let code = move |app: App| setup_code::keep(app, setup_file.clone());
        self.every("setup-code", Duration::from_secs(2), app, tasks, code);
    }

    fn every<F, Fut>(&self, name: &'static str, tick: Duration, app: &App, tasks: &TaskSet, run: F)
    where
        F: Fn(App) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = AppResult<()>> + Send,
    {
        let (jobs, app, stop) = (self.clone(), app.clone(), tasks.stop().clone());
        let (run, mut first) = (Arc::new(run), true);
        // A run that panics is one that failed: without its jobs a controller looks well and does nothing.
        tasks.spawn_restarting(name, AGAIN, move || {
            if !std::mem::take(&mut first) {
                jobs.note(name, app.now().as_millis(), Duration::ZERO, true);
            }
            let (jobs, app, stop, run) = (jobs.clone(), app.clone(), stop.clone(), Arc::clone(&run));
            async move {
                loop {
                    let started = tokio::time::Instant::now();
                    let result = run(app.clone()).await;
                    if let Err(error) = &result {
                        tracing::error!(job = name, error = %Chain(error), "job failed; it runs again");
                    }
                    jobs.note(name, app.now().as_millis(), started.elapsed(), result.is_err());
                    let nudged = async {
                        match name {
                            "rollout" => app.rollouts_wanted().await,
                            "notices" => app.notices_wanted().await,
                            _ => std::future::pending::<()>().await,
                        }
                    };
                    let next = tokio::time::timeout(tick, nudged);
                    if stop.run(next).await.is_none() {
                        return;
                    }
                }
            }
        });
    }

    fn note(&self, name: &'static str, at_ms: i64, took: Duration, failed: bool) {
        let mut all = lock(&self.0);
        let run = all.entry(name).or_default();
        run.runs += 1;
        run.failures += u64::from(failed);
        run.last_at_ms = at_ms;
        run.last_took_ms = took.as_millis();
    }

    /// In the text format of Prometheus.
    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        type Figure = fn(&Run) -> i128;
        let figures: [(&str, &str, Figure); 4] = [
            ("windflow_job_runs_total", "counter", |run| i128::from(run.runs)),
            ("windflow_job_failures_total", "counter", |run| {
                i128::from(run.failures)
            }),
            ("windflow_job_last_run_ms", "gauge", |run| {
                i128::from(run.last_at_ms)
            }),
            ("windflow_job_last_took_ms", "gauge", |run| {
                i128::try_from(run.last_took_ms).unwrap_or(i128::MAX)
            }),
        ];
        for (name, kind, figure) in figures {
            // Writing to a String does not fail.
            let _ = writeln!(text, "# TYPE {name} {kind}");
            for (job, run) in lock(&self.0).iter() {
                let _ = writeln!(text, "{name}{{job=\"{job}\"}} {}", figure(run));
            }
        }
        text
    }
}
