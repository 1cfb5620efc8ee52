//! `up` in the foreground: prints what the containers say until they have ended, or somebody says stop.
//!
//! ```text
//! "log-reader" per container ──► stdout, stderr        (a line at a time)
//! Following: looks at the list, starts readers, sees containers end, stops the project on a signal or an end
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::StreamExt as _;
use windflow_engine::{
    lifecycle::{self, Act, Lifecycle},
    targets::{LogRequest, Target},
};
use windflow_kit::task::{TaskHandle, spawn_scoped};
use windflow_model::{ContainerState, ContainerSummary, Timestamp};

use super::{
    Context, Result,
    args::UpArgs,
    logs::LogStyle,
    project::Project,
    session::{failed, signals, target},
    show::note,
    up::INTERRUPTED,
};
use crate::failure::CommandError;

/// Between two looks at the list.
const LOOK: Duration = Duration::from_millis(100);
/// Longest wait for the last lines.
const LAST_LINES: Duration = Duration::from_secs(5);

/// When one end ends everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cascade {
    Never,
    AnyEnd,
    Failure,
}

/// A project that is followed.
pub(super) struct Following {
    target: Arc<dyn Target>,
    project: Project,
    attached: BTreeSet<String>,
    monitored: BTreeSet<String>,
    cascade: Cascade,
    exit_code_from: Option<String>,
    timeout: Option<Duration>,
    since: Timestamp,
    style: Arc<LogStyle>,
    readers: BTreeMap<String, TaskHandle<()>>,
    /// Containers that were down at the beginning.
    before: BTreeMap<String, Down>,
    /// Containers that were seen running, and those whose end was seen.
    ran: BTreeSet<String>,
    /// In the order in which they were seen.
    ended: Vec<End>,
}

/// A container that is down, and was before.
struct Down {
    /// The engine's word for when it was last started.
    started: String,
    /// Its status line when that was asked for.
    status: String,
}

/// The end of a container.
struct End {
    id: String,
    service: String,
    code: i64,
}

impl Following {
    /// Knows whom to follow. Nothing is read yet.
    pub(super) fn of(context: &Context, project: &Project, args: &UpArgs) -> Result<Self> {
        let loaded = project.loaded.clone().unwrap_or_default();
        let all: BTreeSet<String> = loaded.services.keys().cloned().collect();
        let named: BTreeSet<String> = args.services.iter().cloned().collect();
        let mut attached = match (
            args.attach.is_empty(),
            named.is_empty() || args.attach_dependencies,
        ) {
            (false, _) => args.attach.iter().cloned().collect(),
            (true, true) => all.clone(),
            (true, false) => named.clone(),
        };
        attached.retain(|name| {
            let quiet = loaded
                .services
                .get(name)
                .is_some_and(|service| service.attach == Some(false));
            !args.no_attach.contains(name) && (!quiet || args.attach.contains(name))
        });
        let cascade = if args.abort_on_container_failure {
            Cascade::Failure
        } else if args.abort_on_container_exit || args.exit_code_from.is_some() {
            Cascade::AnyEnd
        } else {
            Cascade::Never
        };
        if let Some(service) = args.exit_code_from.as_ref().filter(|name| !all.contains(*name)) {
            return Err(CommandError::usage(format!("no such service: {service}")));
        }
        Ok(Self {
            target: target(&context.caller)?,
            project: project.clone(),
            attached,
            monitored: if named.is_empty() { all } else { named },
            cascade,
            exit_code_from: args.exit_code_from.clone(),
            timeout: args.timeout.map(|seconds| Duration::from_secs(seconds.into())),
            since: Timestamp::from_millis(context.clock.now_ms()),
            style: Arc::new(LogStyle::new(args.timestamps, args.no_color, args.no_log_prefix)),
            readers: BTreeMap::new(),
            before: BTreeMap::new(),
            ran: BTreeSet::new(),
            ended: Vec::new(),
        })
    }

    /// Follows while the project comes up.
    pub(super) async fn during(&mut self, work: impl Future<Output = Result<()>>) -> Result<()> {
        self.remember().await?;
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                result = &mut work => return result,
                () = tokio::time::sleep(LOOK) => drop(self.look().await?),
            }
        }
    }

    /// Whose end is none of this `up`, unless they are started again.
    async fn remember(&mut self) -> Result<()> {
        for container in self.target.containers().await.map_err(failed)? {
            if self.is_mine(&container) && is_over(&container) {
                let started = self.started(&container.id).await?;
                let status = container.status;
                self.before.insert(container.id, Down { started, status });
            }
        }
        Ok(())
    }

    async fn started(&self, id: &str) -> Result<String> {
        let vitals = self.target.vitals(id).await.map_err(failed)?;
        Ok(vitals.unwrap_or_default().started)
    }

    /// Follows until everything has ended; Ctrl-C stops the project, a second one kills it.
    pub(super) async fn until_the_end(mut self) -> Result<()> {
        let mut signals = signals()?;
        let (mut interrupted, mut aborted) = (0_u32, false);
        let mut stopping: Option<TaskHandle<Result<()>>> = None;
        loop {
            let up = self.look().await?;
            if !aborted && interrupted == 0 && self.shall_abort() {
                aborted = true;
                note("aborting on container exit...");
                stopping = Some(self.stop());
            }
            let stopped = stopping.as_ref().is_none_or(TaskHandle::is_finished);
            if !up && stopped {
                break;
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = signals.next() => {
                    interrupted += 1;
                    if interrupted == 1 {
                        note("stopping; press Ctrl-C again to kill");
                        stopping = Some(self.stop());
                    } else {
                        self.act(Act::Kill { signal: "SIGKILL".to_owned(), orphans: false }).await?;
                    }
                }
            }
        }
        if let Some(stopping) = stopping {
            match stopping.await {
                Ok(done) => done?,
                Err(error) => return Err(CommandError::failed(error.to_string())),
            }
        }
        self.look().await?;
        for (_, reader) in std::mem::take(&mut self.readers) {
            // A reader that does not end holds nobody up.
            let _ = tokio::time::timeout(LAST_LINES, reader).await;
        }
        if interrupted > 0 {
            return CommandError::exit_code(INTERRUPTED.into());
        }
        match self.code() {
            Some(code) if self.cascade != Cascade::Never => CommandError::exit_code(code),
            _ => Ok(()),
        }
    }

    /// Whether a container has ended whose end shall end everything.
    fn shall_abort(&self) -> bool {
        match self.cascade {
            Cascade::Never => false,
            Cascade::AnyEnd => !self.ended.is_empty(),
            Cascade::Failure => self.ended.iter().any(|end| end.code != 0),
        }
    }

    /// The exit code to end with: that of the first end that counts.
    fn code(&self) -> Option<i64> {
        let counts = |end: &&End| match (&self.exit_code_from, self.cascade) {
            (Some(wanted), _) => *wanted == end.service,
            (None, Cascade::Failure) => end.code != 0,
            (None, _) => true,
        };
        self.ended.iter().find(counts).map(|end| end.code)
    }

    /// Stops what has come up so far.
    pub(super) async fn stopped(&self) -> Result<()> {
        self.act(Act::Stop).await
    }

    fn stop(&self) -> TaskHandle<Result<()>> {
        let order = Lifecycle {
            project: self.project.loaded.clone(),
            timeout: self.timeout,
            ..Lifecycle::new(self.project.name.clone(), Act::Stop)
        };
        let target = Arc::clone(&self.target);
        spawn_scoped("follow-stop", async move {
            lifecycle::run(&target, &order).await.map(drop).map_err(failed)
        })
    }

    async fn act(&self, act: Act) -> Result<()> {
        let order = Lifecycle {
            project: self.project.loaded.clone(),
            ..Lifecycle::new(self.project.name.clone(), act)
        };
        lifecycle::run(&self.target, &order)
            .await
            .map(drop)
            .map_err(failed)
    }

    /// One look: new readers, new ends. Gives whether anything that counts is still up.
    async fn look(&mut self) -> Result<bool> {
        let list = self.target.containers().await.map_err(failed)?;
        let mut any_up = false;
        let mine: Vec<ContainerSummary> = list.into_iter().filter(|one| self.is_mine(one)).collect();
        // One that is gone made way for another: its end was no end of its service.
        self.ended.retain(|end| mine.iter().any(|one| one.id == end.id));
        for container in &mine {
            let service = container.service.clone().unwrap_or_default();
            let up = matches!(
                container.state,
                ContainerState::Running | ContainerState::Paused | ContainerState::Restarting
            );
            if self.attached.contains(&service) && container.state != ContainerState::Created {
                self.read(container);
            }
            if !self.monitored.contains(&service) {
                continue;
            }
            any_up |= up;
            if up {
                self.ran.insert(container.id.clone());
                self.ended.retain(|end| end.id != container.id);
            } else if is_over(container)
                && !self.ended.iter().any(|end| end.id == container.id)
                && (self.ran.contains(&container.id) || self.began_since(container).await?)
            {
                let code = container.exit_code.unwrap_or(0);
                self.ended.push(End {
                    id: container.id.clone(),
                    service,
                    code,
                });
            }
        }
        Ok(any_up)
    }

    /// Whether it was made or started by this `up` and ended before it could be seen running. The engine is asked only
    /// where its list says something new.
    async fn began_since(&mut self, container: &ContainerSummary) -> Result<bool> {
        match self.before.get(&container.id) {
            None => return Ok(true),
            Some(before) if before.status == container.status => return Ok(false),
            Some(_) => {}
        }
        let started = self.started(&container.id).await?;
        let Some(before) = self.before.get_mut(&container.id) else {
            return Ok(true);
        };
        before.status.clone_from(&container.status);
        Ok(before.started != started)
    }

    fn is_mine(&self, container: &ContainerSummary) -> bool {
        container.project.as_deref() == Some(self.project.name.as_str()) && !self.is_one_off(container)
    }

    fn is_one_off(&self, container: &ContainerSummary) -> bool {
        let service = container.service.as_deref().unwrap_or_default();
        ["-", "_"].iter().any(|separator| {
            let start = [self.project.name.as_str(), service, "run", ""].join(separator);
            container.name.starts_with(&start)
        })
    }

    fn read(&mut self, container: &ContainerSummary) {
        if let Some(reader) = self.readers.get(&container.id)
            && !(reader.is_finished() && container.state == ContainerState::Running)
        {
            return;
        }
        let request = LogRequest {
            container: container.id.clone(),
            tail: None,
            follow: true,
            since: Some(self.since),
            ..LogRequest::default()
        };
        let (target, style) = (Arc::clone(&self.target), Arc::clone(&self.style));
        let (name, id) = (container.name.clone(), container.id.clone());
        let reader = spawn_scoped("log-reader", async move {
            let Ok(mut lines) = target.logs(request).await else {
                return;
            };
            while let Some(Ok(line)) = lines.next().await {
                if style.line(&name, line.source, line.at, &line.text).is_err() {
                    return;
                }
            }
        });
        self.readers.insert(id, reader);
    }
}

const fn is_over(container: &ContainerSummary) -> bool {
    matches!(container.state, ContainerState::Exited | ContainerState::Dead)
}
