//! A simulated host: containers that exist in memory, kept in a file so that the "host" survives the agent.
//!
//! It behaves like an engine where plans can tell: names and published ports can be taken, images must be pulled,
//! health takes a moment. Image names choose the trouble: `fake/unpullable` cannot be pulled, `fake/unstartable` does
//! not start, `fake/crash` ends with exit code 1 at once, `fake/job` with 0, `fake/unhealthy` never becomes healthy,
//! `fake/sickens` is healthy for a while and then no more, `fake/slow` takes ten times as long. Any tag does. Every other image works.

mod execute;
mod host;
mod logs;

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{
    StreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use tokio::sync::broadcast;
use windflow_kit::Clock;
use windflow_model::{ContainerState, ContainerSummary, EngineInfo, EngineKind, TargetKind};

use self::host::{Container, Host};
use super::{
    Evidence, ExecRequest, LogLine, LogRequest, ObserveQuery, Observed, Operation, SavedNetwork, Session,
    SessionId, Target, TargetError, TargetErrorKind, TargetEvent, TargetEventKind, Ticker, Vitals,
};
use crate::plan::Settings;

/// Events kept for a reader that lags.
const EVENTS: usize = 1024;

/// How the simulated host behaves.
#[derive(Debug, Clone, Default)]
pub struct FakeOptions {
    /// File that keeps the host between runs; `None` keeps nothing.
    pub file: Option<PathBuf>,
    /// Time of a create and of opening the event stream; a start takes ten times, a pull twenty times as long.
    pub latency: Duration,
    /// Stamps creations.
    pub clock: Clock,
}

/// The simulated host.
#[derive(Debug)]
pub struct FakeTarget {
    options: FakeOptions,
    state: Arc<Mutex<State>>,
    events: broadcast::Sender<TargetEvent>,
}

#[derive(Debug, Default)]
struct State {
    host: Host,
    unreachable: bool,
    /// Names of the operations carried out, in order.
    done: Vec<String>,
    /// Operation names that fail the next time, with the class of error.
    faults: Vec<(String, TargetErrorKind)>,
    /// Ids of containers whose stop was asked for over a connection that broke: the engine is still at it.
    stopping: BTreeSet<String>,
    /// How often the engine has crashed.
    crashes: u64,
    /// Operations until one fails, and whether all after it fail too.
    fault_in: Option<(usize, bool)>,
}

impl FakeTarget {
    /// Opens the host of that file, or a fresh one.
    ///
    /// # Errors
    /// [`TargetErrorKind::Host`] if the file is there and cannot be read.
    pub fn open(options: FakeOptions) -> Result<Self, TargetError> {
        let host = match &options.file {
            Some(file) => Host::read(file)?,
            None => Host::default(),
        };
        let state = Arc::new(Mutex::new(State {
            host,
            ..State::default()
        }));
        Ok(Self {
            options,
            state,
            events: broadcast::channel(EVENTS).0,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the engine answers. An engine that does not breaks its event streams too.
    pub fn set_reachable(&self, reachable: bool) {
        self.state().unreachable = !reachable;
        if !reachable {
            self.wake();
        }
    }

    /// The engine crashes and is back at once: its event streams break, and what ran has ended.
    pub fn crash(&self) {
        let mut state = self.state();
        state.crashes += 1;
        let up = state.host.containers.iter().filter(|(_, one)| one.seen.is_up());
        let up: Vec<String> = up.map(|(id, _)| id.clone()).collect();
        for id in &up {
            state.host.set(id, ContainerState::Exited, Some(143));
        }
        self.keep(&state.host);
        drop(state);
        self.wake();
    }

    /// Lets the event streams see that they are over.
    fn wake(&self) {
        let gone = TargetEvent {
            kind: TargetEventKind::Changed,
            container: String::new(),
            project: None,
        };
        let _ = self.events.send(gone);
    }

    /// Lets the next operation of this name (`pull`, `create`, `start`, …) fail. Where the engine does not answer a stop,
    /// it got the request all the same, and takes its time: until [`Self::stops_come`].
    pub fn fail_next(&self, operation: &str, kind: TargetErrorKind) {
        self.state().faults.push((operation.to_owned(), kind));
    }

    /// How many stops were asked for and not answered.
    #[must_use]
    pub fn stops_open(&self) -> usize {
        self.state().stopping.len()
    }

    /// Stops that were asked for and not answered come through, unless somebody has waited for them.
    pub fn stops_come(&self) {
        let ids = std::mem::take(&mut self.state().stopping);
        let names: Vec<_> = {
            let state = self.state();
            let held = ids.iter().filter_map(|id| state.host.containers.get(id));
            held.filter(|one| one.seen.is_up())
                .map(|one| one.seen.name.clone())
                .collect()
        };
        names.iter().for_each(|name| self.stop(name));
    }

    /// Lets the operation after `more` others fail, whatever it is; with `on`, all after it too.
    pub fn fail_after(&self, more: usize, on: bool) {
        self.state().fault_in = Some((more, on));
    }

    /// No operation fails because somebody asked for it. Whether one that was asked for has not happened.
    pub fn heal(&self) -> bool {
        let mut state = self.state();
        let open = matches!(state.fault_in.take(), Some((_, false)));
        open || !std::mem::take(&mut state.faults).is_empty()
    }

    /// The operations carried out so far: `create web-a-1`, `start web-a-1`, …
    #[must_use]
    pub fn operations(&self) -> Vec<String> {
        self.state().done.clone()
    }

    /// A foreign hand kills a container by name.
    pub fn kill(&self, name: &str) {
        self.foreign(name, &[TargetEventKind::Died], |host, id| {
            host.set(id, ContainerState::Exited, Some(137))
        });
    }

    /// A foreign hand stops a container by name.
    pub fn stop(&self, name: &str) {
        let kinds = [TargetEventKind::Died, TargetEventKind::Stopped];
        self.foreign(name, &kinds, |host, id| {
            host.set(id, ContainerState::Exited, Some(0))
        });
    }

    /// The engine begins to remove a container, and takes its time.
    pub fn removing(&self, name: &str) {
        self.foreign(name, &[TargetEventKind::Died], |host, id| {
            host.set(id, ContainerState::Removing, None);
        });
    }

    /// A foreign hand removes a container by name.
    pub fn remove(&self, name: &str) {
        self.foreign(name, &[TargetEventKind::Removed], |host, id| host.remove(id));
    }

    fn foreign(&self, name: &str, kinds: &[TargetEventKind], act: impl FnOnce(&mut Host, &str)) {
        let mut state = self.state();
        let Some((id, project)) = state.host.find(name) else {
            return;
        };
        act(&mut state.host, &id);
        self.keep(&state.host);
        drop(state);
        for kind in kinds {
            let _ = self.events.send(TargetEvent {
                kind: *kind,
                container: id.clone(),
                project: project.clone(),
            });
        }
    }

    fn keep(&self, host: &Host) {
        if let Some(file) = &self.options.file
            && let Err(error) = host.write(file)
        {
            tracing::error!(error = %windflow_kit::Chain(&error), "the simulated host cannot be kept");
        }
    }

    fn check(&self) -> Result<(), TargetError> {
        if self.state().unreachable {
            return Err(TargetError::new(
                TargetErrorKind::Unreachable,
                "the simulated engine does not answer",
            ));
        }
        Ok(())
    }
}

impl Target for FakeTarget {
    fn kind(&self) -> TargetKind {
        TargetKind::Fake
    }

    fn info(&self) -> BoxFuture<'_, Result<EngineInfo, TargetError>> {
        Box::pin(async move {
            self.check()?;
            Ok(EngineInfo {
                kind: EngineKind::Fake,
                version: windflow_kit::build::VERSION.to_owned(),
                api_version: "1.51".to_owned(),
                min_api_version: "1.41".to_owned(),
            })
        })
    }

    fn observe<'a>(&'a self, query: &'a ObserveQuery) -> BoxFuture<'a, Result<Observed, TargetError>> {
        Box::pin(async move {
            self.check()?;
            Ok(self.state().host.observe(query))
        })
    }

    fn settings<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<Option<Settings>, TargetError>> {
        Box::pin(async move {
            self.check()?;
            let state = self.state();
            Ok(state
                .host
                .containers
                .get(container)
                .map(|held| held.settings.clone()))
        })
    }

    fn execute<'a>(
        &'a self,
        operation: &'a Operation,
        ticker: Ticker,
    ) -> BoxFuture<'a, Result<Evidence, TargetError>> {
        Box::pin(execute::execute(self, operation, ticker))
    }

    fn containers(&self) -> BoxFuture<'_, Result<Vec<ContainerSummary>, TargetError>> {
        Box::pin(async move {
            self.check()?;
            Ok(self.state().host.summaries())
        })
    }

    fn network_saved<'a>(
        &'a self,
        network: &'a str,
        containers: &'a [String],
    ) -> BoxFuture<'a, Result<SavedNetwork, TargetError>> {
        Box::pin(async move {
            self.check()?;
            self.state().host.saved(network, containers)
        })
    }

    fn vitals<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<Option<Vitals>, TargetError>> {
        Box::pin(async move {
            self.check()?;
            let state = self.state();
            Ok(state.host.containers.get(container).map(Container::vitals))
        })
    }

    fn events(&self) -> BoxFuture<'_, Result<BoxStream<'static, TargetEvent>, TargetError>> {
        Box::pin(async move {
            tokio::time::sleep(self.options.latency).await;
            self.check()?;
            let (receiver, state) = (self.events.subscribe(), Arc::clone(&self.state));
            let life = self.state().crashes;
            let stream = stream::unfold((receiver, state), move |(mut receiver, state)| async move {
                let event = receiver.recv().await.ok()?;
                let now = state.lock().unwrap_or_else(PoisonError::into_inner);
                let gone = now.unreachable || now.crashes != life;
                drop(now);
                (!gone).then_some((event, (receiver, state)))
            });
            Ok(stream.boxed())
        })
    }

    fn logs(
        &self,
        request: LogRequest,
    ) -> BoxFuture<'_, Result<BoxStream<'static, Result<LogLine, TargetError>>, TargetError>> {
        Box::pin(async move {
            self.check()?;
            logs::open(self, &request)
        })
    }

    /// In the folder `logs` beside the file of the simulated host, if somebody put one there.
    fn log_files<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<Option<PathBuf>, TargetError>> {
        let name = self
            .state()
            .host
            .containers
            .get(container)
            .map(|found| found.seen.name.clone());
        let path = self.options.file.as_ref().zip(name).map(|(file, name)| {
            let logs = file.with_file_name("logs");
            logs.join(format!("{name}-json.log"))
        });
        Box::pin(async { Ok(path.filter(|path| path.is_file())) })
    }

    fn exec(&self, request: ExecRequest) -> BoxFuture<'_, Result<Session, TargetError>> {
        Box::pin(async move {
            self.check()?;
            self.state()
                .done
                .push(format!("exec {}", request.command.join(" ")));
            // The id carries what the command would end with.
            let fails = request.command.first().is_some_and(|program| program == "false");
            Ok(Session {
                id: SessionId::Exec(u8::from(fails).to_string()),
                output: stream::empty().boxed(),
                input: Box::pin(tokio::io::sink()),
            })
        })
    }

    fn exec_code<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<i64, TargetError>> {
        Box::pin(std::future::ready(Ok(id.parse().unwrap_or(-1))))
    }
}
