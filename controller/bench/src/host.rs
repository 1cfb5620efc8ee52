//! One simulated host: dials as an agent does, speaks through the same session, and lets [`Target`] do the work.

use std::{collections::VecDeque, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::sync::watch;
use windflow_kit::{BackoffOptions, Chain, Clock, Random, Stop};
use windflow_model::{
    Capability, Doc, Document, EngineInfo, EngineKind, Inventory, Timestamp, metrics::Layout,
    target::TargetKind,
};
use windflow_protocol::{
    AgentFrame, AgentHello, HeldList, Report, VersionRange,
    session::{AgentAction, AgentSession, AgentSessionOptions},
};
use windflow_transport::{
    FrameReader, FrameWriter, Recalls,
    endpoint::{self, CLOSE_DONE, DialError},
    quinn::{Connection, Endpoint},
    tls,
};

use crate::{
    LogLoad,
    board::Board,
    identity::Identity,
    logs,
    metrics::{Meter, Pace},
    target::{Target, Told},
};

/// Streams that are served at once; as an agent.
const STREAMS: usize = 64;
/// As an agent's.
const DIAL_WITHIN: Duration = Duration::from_secs(10);

/// What all hosts share.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) endpoints: Vec<(Endpoint, Recalls)>,
    pub(crate) remote: SocketAddr,
    pub(crate) server_name: String,
    pub(crate) ca: Vec<u8>,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) board: Arc<Board>,
    /// How long a deployment takes, up to half longer or shorter.
    pub(crate) apply: Duration,
    /// Containers on each host that belong to no stack.
    pub(crate) containers: usize,
    /// The columns of samples.
    pub(crate) layout: Arc<Layout>,
    /// How often the hosts sample now.
    pub(crate) pace: watch::Receiver<Option<Pace>>,
    /// What a log has, of which only the rate and the length matter here.
    pub(crate) log: LogLoad,
    /// Changes when all connections shall break.
    pub(crate) cut: watch::Receiver<u64>,
}

impl Ground {
    fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.now_ms())
    }
}

/// How a connection ended.
struct Left {
    stay_away: Duration,
    was_up: bool,
}

struct Host {
    ground: Arc<Ground>,
    number: usize,
    identity: Identity,
    boot_id: [u8; 16],
    epoch: u64,
    target: Target,
    outbox: VecDeque<Report>,
}

/// Runs host `number` until `stop`.
pub(crate) async fn run(ground: Arc<Ground>, number: usize, identity: Identity, stop: Stop) {
    let random = ground.random.clone();
    let mut backoff = BackoffOptions::default().build(random.clone());
    let mut host = Host {
        ground,
        number,
        identity,
        boot_id: random.bytes().unwrap_or_default(),
        epoch: 0,
        target: Target::default(),
        outbox: VecDeque::new(),
    };
    while let Some(left) = host.connect(&stop).await {
        if left.was_up {
            backoff.reset();
        }
        let delay = backoff.next_delay_after(left.stay_away);
        if stop.run(tokio::time::sleep(delay)).await.is_none() {
            return;
        }
    }
}

impl Host {
    /// One connection; `None` when it was told to stop.
    async fn connect(&mut self, stop: &Stop) -> Option<Left> {
        self.ground.board.dials();
        let failed = |why: String, stay_away| {
            self.ground.board.dial_failed(why);
            Some(Left {
                stay_away,
                was_up: false,
            })
        };
        let connection = match stop.run(tokio::time::timeout(DIAL_WITHIN, self.dial())).await? {
            Ok(Ok(connection)) => connection,
            Ok(Err((why, stay_away))) => return failed(why, stay_away),
            Err(_) => return failed("no answer in time".to_owned(), Duration::ZERO),
        };
        let left = match connection.open_bi().await {
            Ok((send, receive)) => {
                let hello = AgentHello {
                    versions: VersionRange::SUPPORTED,
                    features: Vec::new(),
                    build: "simulated".to_owned(),
                    boot_id: self.boot_id,
                    wall_ms: self.ground.clock.now_ms(),
                };
                let options = AgentSessionOptions {
                    hello,
                    controller_epoch: self.epoch,
                };
                let (session, actions) = AgentSession::start(options, self.ground.board.now());
                let meter = Meter::new(self.ground.random.clone(), Arc::clone(&self.ground.layout));
                let mut live = Live {
                    host: self,
                    connection: connection.clone(),
                    reader: FrameReader::new(receive),
                    writer: FrameWriter::new(send),
                    session,
                    meter,
                    left: Left {
                        stay_away: Duration::ZERO,
                        was_up: false,
                    },
                };
                let told_to_stop = live.run(actions, stop).await;
                let left = live.left;
                (!told_to_stop).then_some(left)
            }
            Err(error) => failed(error.to_string(), endpoint::stay_away(&error)),
        };
        connection.close(CLOSE_DONE, b"");
        if left.as_ref().is_some_and(|left| !left.was_up) {
            let why = connection.close_reason().map(|reason| reason.to_string());
            self.ground.board.dial_failed(why.unwrap_or_default());
        }
        self.ground.board.lost(self.number, &connection);
        left
    }

    async fn dial(&self) -> Result<Connection, (String, Duration)> {
        let plain = |error: String| (error, Duration::ZERO);
        let ground = &self.ground;
        let key = self.identity.key.0.clone().try_into();
        let key = key.map_err(|error: &str| plain(error.to_owned()))?;
        let certificate = self.identity.certificate.0.clone().into();
        let tls = tls::agent(certificate, key, &ground.ca.clone().into())
            .map_err(|error| plain(Chain(&error).to_string()))?;
        let at = self.number / crate::HOSTS_PER_SOCKET;
        let socket = ground.endpoints.get(at).map(|(socket, _)| socket);
        let socket = socket.ok_or_else(|| plain("this host has no socket".to_owned()))?;
        endpoint::dial(socket, ground.remote, &ground.server_name, tls)
            .await
            .map_err(|error| match &error {
                DialError::Connect { source, .. } => (Chain(&error).to_string(), endpoint::stay_away(source)),
                _ => plain(Chain(&error).to_string()),
            })
    }

    fn inventory(&self) -> Inventory {
        Inventory {
            host_terminal_users: Vec::new(),
            hostname: format!("bench-{:05}", self.number),
            os: "Debian GNU/Linux 12 (bookworm)".to_owned(),
            kernel: "6.1.0-28-amd64".to_owned(),
            arch: "x86_64".to_owned(),
            cpus: 4,
            memory_bytes: 8 << 30,
            engine: Some(EngineInfo {
                kind: EngineKind::Fake,
                version: "1".to_owned(),
                api_version: "1.43".to_owned(),
                min_api_version: "1.12".to_owned(),
            }),
            engine_problem: None,
            targets: vec![TargetKind::Docker],
            capabilities: [Capability::DEPLOY, Capability::LOGS, Capability::PLAN]
                .map(|word| Capability(word.to_owned()))
                .into(),
            agent_version: "simulated".to_owned(),
        }
    }
}

struct Live<'a> {
    host: &'a mut Host,
    connection: Connection,
    reader: FrameReader,
    writer: FrameWriter,
    session: AgentSession,
    meter: Meter,
    left: Left,
}

/// The connection is over.
struct Over;

impl Live<'_> {
    /// Whether it ended because it was told to stop.
    async fn run(&mut self, first: Vec<AgentAction>, stop: &Stop) -> bool {
        let ground = Arc::clone(&self.host.ground);
        let at = self.host.number / crate::HOSTS_PER_SOCKET;
        let Some((_, recalls)) = ground.endpoints.get(at) else {
            return false;
        };
        let (mut recalls, mut cut) = (recalls.from_now(), ground.cut.clone());
        let mut pace = ground.pace.clone();
        cut.mark_unchanged();
        let mut actions = first;
        let mut was_steady = false;
        let mut served = FuturesUnordered::new();
        loop {
            if self.perform(actions).await.is_err() {
                return false;
            }
            if self.session.is_steady() && !was_steady {
                was_steady = true;
                actions = self.introduce();
                continue;
            }
            let now = ground.board.now();
            let target = self.host.target.deadline().filter(|_| was_steady);
            let now_paced = pace.borrow_and_update().filter(|_| was_steady);
            let sample = self.meter.due(now_paced, now);
            let due = self
                .session
                .deadline()
                .into_iter()
                .chain(target)
                .chain(sample)
                .min();
            let due = due.unwrap_or(now + DIAL_WITHIN);
            let waiting = self.writer.waiting() > 0;
            actions = tokio::select! {
                () = stop.stopped() => return true,
                changed = cut.changed() => {
                    // Its sender lives as long as the run.
                    let _over = changed;
                    return false;
                }
                taken = self.writer.advance(), if waiting => match taken {
                    Ok(()) => Vec::new(),
                    Err(_) => return false,
                },
                frame = self.reader.next() => match frame {
                    Ok(Some(frame)) => self.session.on_frame(frame, ground.board.now()),
                    Ok(None) => return false,
                    Err(error) => {
                        self.left.stay_away = error.lost().map_or(Duration::ZERO, endpoint::stay_away);
                        return false;
                    }
                },
                stream = self.connection.accept_bi(), if served.len() < STREAMS => {
                    // An end is seen by the reader, too, with its reason.
                    if let Ok((send, receive)) = stream {
                        served.push(logs::serve(Arc::clone(&ground), self.host.number, send, receive));
                    }
                    Vec::new()
                }
                Some(()) = served.next() => Vec::new(),
                () = recalls.heard() => {
                    endpoint::probe(&self.connection);
                    Vec::new()
                }
                Ok(()) = pace.changed() => Vec::new(),
                () = tokio::time::sleep_until(ground.board.origin() + due) => {
                    let now = ground.board.now();
                    let frame = self.meter.tick(now_paced, now, ground.clock.now_ms());
                    let told = self.host.target.tick(now, ground.at());
                    let mut actions = self.tell(told);
                    actions.extend(self.session.on_tick(endpoint::packets(&self.connection), now));
                    if let Some((frame, count)) = frame {
                        if let AgentFrame::Samples(batch) = &frame {
                            ground.board.sampled(count, batch.body.len());
                        }
                        actions.push(AgentAction::Send(frame));
                    }
                    actions
                }
            };
            actions.extend(self.reports());
        }
    }

    /// What an agent sends first.
    fn introduce(&self) -> Vec<AgentAction> {
        let inventory = sealed(&self.host.inventory()).map(AgentFrame::Inventory);
        let frames = inventory.into_iter().chain(self.containers());
        frames.map(AgentAction::Send).collect()
    }

    fn containers(&self) -> Option<AgentFrame> {
        let ground = &self.host.ground;
        let list = self
            .host
            .target
            .containers(ground.containers, Timestamp::from_millis(0));
        sealed(&list).map(AgentFrame::Containers)
    }

    fn tell(&mut self, told: Vec<Told>) -> Vec<AgentAction> {
        let mut actions = Vec::new();
        for one in told {
            match one {
                Told::Report(report) => {
                    let ends = self.host.target.deadline().is_none();
                    // As the engine's outbox: what is not acknowledged yet and says less makes way.
                    self.host
                        .outbox
                        .retain(|old| old.op != report.op || old.stack != report.stack);
                    self.host.outbox.push_back(report);
                    if ends {
                        actions.extend(self.containers().map(AgentAction::Send));
                    }
                }
                Told::Progress(deployment, progress) => {
                    let frame =
                        sealed(&progress).map(|progress| AgentFrame::Progress { deployment, progress });
                    actions.extend(frame.map(AgentAction::Send));
                }
            }
        }
        actions
    }

    fn reports(&mut self) -> Vec<AgentAction> {
        let Some((after, room)) = self.session.report_room() else {
            return Vec::new();
        };
        let waiting = self
            .host
            .outbox
            .iter()
            .filter(|report| report.seq > after)
            .take(room);
        let docs: Vec<_> = waiting
            .filter_map(|report| Some((report.seq, sealed(report)?)))
            .collect();
        let mut actions = Vec::new();
        for (seq, doc) in docs {
            actions.extend(self.session.report(seq, doc));
        }
        actions
    }

    async fn perform(&mut self, actions: Vec<AgentAction>) -> Result<(), Over> {
        let ground = Arc::clone(&self.host.ground);
        let mut queue = VecDeque::from(actions);
        while let Some(action) = queue.pop_front() {
            match action {
                AgentAction::Send(frame) => self.writer.feed(&frame).map_err(|_| Over)?,
                AgentAction::Opened(opened) => {
                    self.host.epoch = self.host.epoch.max(opened.hello.controller_epoch);
                    let stacks = self.host.target.held();
                    let held = sealed(&HeldList { stacks }).ok_or(Over)?;
                    queue.extend(self.session.resume(held, 0, ground.board.now()));
                }
                AgentAction::Assign(doc) => {
                    let assignment = doc.open().map_err(|_| Over)?;
                    let (now, at) = (ground.board.now(), ground.at());
                    let target = &mut self.host.target;
                    let told = target.assign(&assignment, ground.apply, &ground.random, now, at);
                    if !told.is_empty() {
                        ground.board.accepted(self.host.number);
                    }
                    queue.extend(self.tell(told));
                    queue.extend(self.reports());
                }
                AgentAction::Acked(upto) => {
                    self.host.outbox.retain(|report| report.seq > upto);
                    if self.host.outbox.is_empty() && self.host.target.deadline().is_none() {
                        ground.board.finished(self.host.number);
                    }
                }
                AgentAction::Proven(_) => {
                    self.left.was_up = true;
                    ground.board.up(self.host.number, &self.connection);
                }
                // The bench takes nothing back, tells no events, and no run outlives a certificate by much.
                AgentAction::Withdraw(_)
                | AgentAction::EventsAcked { .. }
                | AgentAction::Renewed(_)
                | AgentAction::RenewRefused(_)
                | AgentAction::Pace { .. } => {}
                AgentAction::Close(denial) => {
                    self.left.stay_away = Duration::from_millis(u64::from(denial.retry_after_ms));
                    let _told = self.writer.flush().await;
                    return Err(Over);
                }
            }
        }
        Ok(())
    }
}

/// Our own documents can be written; one that cannot is not sent.
fn sealed<T: Document>(value: &T) -> Option<Doc<T>> {
    Doc::seal(value).ok()
}
