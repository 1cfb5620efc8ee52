//! One connected host: frames in and out, until it goes.

use std::{collections::VecDeque, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesOrdered};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::Instant,
};
use windflow_kit::{
    Stop,
    error::Chain,
    seeded::{self, Bug},
    task::{TaskHandle, spawn_scoped},
};
use windflow_model::{Absence, Code, Doc, Document, EngineProof, HostEventList, Presence, Timestamp};
use windflow_protocol::{
    AgentFrame, ControllerFrame,
    control::Denial,
    metrics::{Batch, Decoder},
    session::{ControllerAction, Welcome},
};
use windflow_transport::endpoint;

use super::{
    home::{KeyHash, Report, Withdrawal},
    listener::Greeted,
    registry::{Proof, Shared},
};

/// A host that takes no bytes for so long is as good as gone.
const WRITE_WITHIN: Duration = Duration::from_secs(20);
/// Frames that are worked off together, at most; others get their turn in between.
const TOGETHER: usize = 64;
/// Frames of events on their way to the disk; a host sends the next when one is there.
const STORING: usize = 2;

/// Why a session ended.
#[derive(Debug)]
pub(super) struct Gone {
    pub(super) cause: Absence,
    /// The same for people.
    pub(super) reason: String,
}

impl Gone {
    pub(super) fn because(reason: impl Into<String>) -> Self {
        Self {
            cause: Absence::Other,
            reason: reason.into(),
        }
    }
}

/// Runs until the host goes or `stop`; gives the reason.
pub(super) async fn run(
    shared: Shared,
    greeted: Greeted,
    proofs: watch::Sender<Proof>,
    nudge: Arc<Notify>,
    (withdrawals, pace): (mpsc::Receiver<Withdrawal>, watch::Receiver<Pace>),
    stop: Stop,
) -> Gone {
    let mut session = Session {
        origin: Instant::now(),
        remote: greeted.connection.remote_address(),
        shared,
        greeted,
        proofs,
        cause: None,
        meter: Some(Decoder::default()),
        storing: FuturesOrdered::new(),
    };
    let reason = session.run(nudge, withdrawals, pace, stop).await;
    Gone {
        cause: session.cause(),
        reason,
    }
}

struct Session {
    origin: Instant,
    /// Where the host was, as is shown.
    remote: SocketAddr,
    shared: Shared,
    greeted: Greeted,
    proofs: watch::Sender<Proof>,
    /// Why it ended, if the connection does not say it.
    cause: Option<Absence>,
    /// Reads the host's samples; `None` after one that could not be read.
    meter: Option<Decoder>,
    /// Events on their way to the disk, with the run of the agent that they are of. The host waits for that before it tells more.
    storing: FuturesOrdered<TaskHandle<(u64, u64)>>,
}

/// How often a host shall sample, and for how long; in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Pace {
    pub(super) every_ms: u32,
    pub(super) for_ms: u32,
}

enum Event {
    Frames(Vec<AgentFrame>),
    Tick,
    Nudge,
    Withdraw(Withdrawal),
    Pace(Pace),
    Stored { life: u64, upto: u64 },
    Gone(String),
}

impl Session {
    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    async fn run(
        &mut self,
        nudge: Arc<Notify>,
        mut withdrawals: mpsc::Receiver<Withdrawal>,
        mut pace: watch::Receiver<Pace>,
        stop: Stop,
    ) -> String {
        tracing::debug!(
            agent = %self.greeted.agent,
            boot = %hex::encode(self.greeted.hello.boot_id),
            "session begins"
        );
        let welcome = Welcome {
            build: self.shared.build.clone(),
            controller_epoch: self.shared.controller_epoch,
            session_epoch: self.greeted.session_epoch,
            // The agent's outbox knows what is acknowledged; repeats change nothing in the application.
            acked_report: 0,
            wall_ms: self.shared.clock.now_ms(),
        };
        let now = self.now();
        let mut actions = self.greeted.machine.welcome(welcome, now);
        loop {
            if let Err(reason) = self.perform(actions).await {
                return reason;
            }
            let deadline = self.greeted.machine.deadline().unwrap_or(Duration::ZERO);
            let event = tokio::select! {
                () = stop.stopped() => Event::Gone("replaced by a newer session".to_owned()),
                frame = self.greeted.reader.next() => match frame {
                    Ok(Some(frame)) => self.arrived(frame),
                    Ok(None) => Event::Gone("closed by the host".to_owned()),
                    Err(error) => Event::Gone(self.why(&error)),
                },
                () = tokio::time::sleep_until(self.origin + deadline) => Event::Tick,
                Some(stored) = self.storing.next() => match stored {
                    Ok((life, upto)) => Event::Stored { life, upto },
                    Err(error) => Event::Gone(Chain(&error).to_string()),
                },
                () = nudge.notified() => Event::Nudge,
                Some(withdrawal) = withdrawals.recv() => Event::Withdraw(withdrawal),
                Ok(()) = pace.changed(), if self.greeted.machine.is_steady() => Event::Pace(*pace.borrow_and_update()),
            };
            let now = self.now();
            actions = match event {
                Event::Frames(frames) => {
                    self.heard();
                    if frames.iter().any(|frame| matches!(frame, AgentFrame::Bye { .. })) {
                        self.cause = Some(Absence::Closed);
                    }
                    let machine = &mut self.greeted.machine;
                    let actions = frames.into_iter().flat_map(|frame| machine.on_frame(frame, now));
                    let mut actions: Vec<_> = actions.collect();
                    actions.sort_by_key(turn);
                    actions
                }
                Event::Tick => {
                    let machine = &mut self.greeted.machine;
                    let before = machine.heard();
                    let actions = machine.on_tick(endpoint::packets(&self.greeted.connection), now);
                    if machine.heard() != before {
                        self.heard();
                        self.moved();
                    }
                    if actions
                        .iter()
                        .any(|action| matches!(action, ControllerAction::Close(_)))
                    {
                        self.cause = Some(Absence::Silent);
                    }
                    actions
                }
                Event::Stored { life, upto } => self.greeted.machine.events_stored(life, upto),
                Event::Nudge => self.waiting().await,
                Event::Withdraw(withdrawal) => sealed(&withdrawal)
                    .map(|doc| ControllerAction::Send(ControllerFrame::Withdraw(doc)))
                    .into_iter()
                    .collect(),
                Event::Pace(Pace { every_ms, for_ms }) => {
                    vec![ControllerAction::Send(ControllerFrame::Pace { every_ms, for_ms })]
                }
                Event::Gone(reason) => {
                    if self.said_goodbye() {
                        self.heard();
                    }
                    return reason;
                }
            };
        }
    }

    /// A frame and those that came with it.
    fn arrived(&mut self, first: AgentFrame) -> Event {
        let mut frames = vec![first];
        while frames.len() < TOGETHER {
            match self.greeted.reader.ready() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return Event::Gone(self.why(&error)),
            }
        }
        Event::Frames(frames)
    }

    fn why(&self, error: &windflow_transport::StreamError) -> String {
        use windflow_transport::quinn::ConnectionError as E;
        match self.greeted.connection.close_reason() {
            Some(E::ApplicationClosed(close)) => {
                let text = String::from_utf8_lossy(&close.reason).into_owned();
                if text.is_empty() {
                    "closed by the host".to_owned()
                } else {
                    text
                }
            }
            Some(E::TimedOut) => "no packet for 30 s".to_owned(),
            Some(E::Reset) => "the host's agent was restarted".to_owned(),
            _ => Chain(error).to_string(),
        }
    }

    fn cause(&self) -> Absence {
        use windflow_transport::quinn::ConnectionError as E;
        self.cause
            .unwrap_or_else(|| match self.greeted.connection.close_reason() {
                Some(E::ApplicationClosed(_)) => Absence::Closed,
                Some(E::TimedOut) => Absence::Silent,
                Some(E::Reset) => Absence::Restarted,
                _ => Absence::Other,
            })
    }

    /// Everything the application wants sent now. Asks for admission first: a removed host gets nothing.
    async fn waiting(&self) -> Vec<ControllerAction> {
        if !self.greeted.machine.is_steady() {
            // It looks by itself as soon as it is.
            return Vec::new();
        }
        if let Err(reason) = self.admitted().await {
            return vec![ControllerAction::Close(reason)];
        }
        let (agent, home) = (self.greeted.agent, &self.shared.home);
        let mut actions = Vec::new();
        let work = home.work(agent).await;
        for withdrawal in work.withdrawals {
            let doc = sealed(&withdrawal);
            actions.extend(doc.map(|doc| ControllerAction::Send(ControllerFrame::Withdraw(doc))));
        }
        for assignment in work.assignments {
            let doc = sealed(&assignment);
            actions.extend(doc.map(|doc| ControllerAction::Send(ControllerFrame::Assign(doc))));
        }
        actions
    }

    /// Carries actions out, in order, and those that follow from them; then sends everything in one write. Reports in a
    /// row are stored together.
    async fn perform(&mut self, actions: Vec<ControllerAction>) -> Result<(), String> {
        let mut queue = VecDeque::from(actions);
        if queue.iter().any(|action| action.is_request()) {
            self.admitted().await?;
        }
        while let Some(action) = queue.pop_front() {
            match action {
                ControllerAction::Report { seq, report } => {
                    let mut reports = vec![numbered(seq, &report)?];
                    while let Some(ControllerAction::Report { seq, report }) =
                        queue.pop_front_if(|next| matches!(next, ControllerAction::Report { .. }))
                    {
                        reports.push(numbered(seq, &report)?);
                    }
                    queue.extend(self.reported(reports).await?);
                }
                ControllerAction::Send(frame) => {
                    let fed = self.greeted.writer.feed(&frame);
                    fed.map_err(|error| Chain(&error).to_string())?;
                }
                ControllerAction::Close(reason) => {
                    let _told = self.flush().await;
                    return Err(reason);
                }
                other => {
                    let more = self.apply(other).await?;
                    queue.extend(more);
                }
            }
        }
        self.flush().await
    }

    async fn flush(&mut self) -> Result<(), String> {
        match tokio::time::timeout(WRITE_WITHIN, self.greeted.writer.flush()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.why(&error)),
            Err(_) => Err(format!("the host took no data for {} s", WRITE_WITHIN.as_secs())),
        }
    }

    async fn reported(&mut self, reports: Vec<Report>) -> Result<Vec<ControllerAction>, String> {
        let upto = reports.last().map_or(0, |report| report.seq);
        let agent = self.greeted.agent;
        let stored = self.shared.home.deployment_reports(agent, reports).await;
        if !seeded::is(Bug::ReportAckedEarly) {
            // Not stored: the session ends and the host sends them again to the next one.
            stored.map_err(|error| Chain(&error).to_string())?;
        }
        Ok(self.greeted.machine.stored(upto))
    }

    /// Asked before the requests of the host are worked off: a removed one gets nothing done any more.
    async fn admitted(&self) -> Result<(), String> {
        let (agent, facts) = (self.greeted.agent, self.greeted.facts);
        let known = self
            .shared
            .home
            .agent_admit(agent, KeyHash(facts.key), facts.generation);
        known.await.map_err(|refusal| refusal.message)
    }

    async fn apply(&mut self, action: ControllerAction) -> Result<Vec<ControllerAction>, String> {
        let agent = self.greeted.agent;
        let home = Arc::clone(&self.shared.home);
        match action {
            ControllerAction::Held(held) => {
                home.agent_held(agent, opened(&held)?.stacks).await;
                return Ok(self.waiting().await);
            }
            ControllerAction::RefusedByHost(report) => {
                let reports = vec![numbered(0, &report)?];
                let stored = home.deployment_reports(agent, reports).await;
                stored.map_err(|error| Chain(&error).to_string())?;
            }
            ControllerAction::Progress { deployment, progress } => {
                home.deployment_progress(agent, deployment, opened(&progress)?)
                    .await
            }
            ControllerAction::Inventory(inventory) => home.agent_inventory(agent, opened(&inventory)?).await,
            ControllerAction::Containers(list) => home.agent_containers(agent, opened(&list)?).await,
            ControllerAction::Proven(rtt) => self.prove(rtt),
            ControllerAction::Samples(batch) => self.measured(&batch),
            ControllerAction::Events { life, events } => self.happened(life, opened(&events)?)?,
            ControllerAction::EngineProof { age, took, problem } => self.engine_proven(age, took, problem),
            ControllerAction::Renew(csr) => return Ok(vec![self.renew(&csr).await]),
            ControllerAction::Greeted(_)
            | ControllerAction::Report { .. }
            | ControllerAction::Send(_)
            | ControllerAction::Close(_) => {}
        }
        Ok(Vec::new())
    }

    /// Whether the end came from the host itself, and not from its silence or from here.
    fn said_goodbye(&self) -> bool {
        use windflow_transport::quinn::ConnectionError as E;
        matches!(
            self.greeted.connection.close_reason(),
            Some(E::ApplicationClosed(_) | E::ConnectionClosed(_) | E::Reset)
        )
    }

    fn heard(&self) {
        let now = self.shared.now();
        self.proofs.send_modify(|proof| proof.heard_at = now);
    }

    /// Samples that cannot be read cost the rest of them in this session, and nothing else.
    fn measured(&mut self, batch: &Batch) {
        let Some(meter) = &mut self.meter else { return };
        match meter.decode(batch) {
            Ok(samples) if samples.is_empty() => {}
            Ok(samples) => self.shared.home.agent_samples(self.greeted.agent, samples),
            Err(error) => {
                self.meter = None;
                tracing::warn!(agent = %self.greeted.agent, %error, "samples of this host are left out until it connects again");
            }
        }
    }

    /// Storing them takes as long as the disk does; nothing else of the host waits for it.
    fn happened(&mut self, life: u64, list: HostEventList) -> Result<(), String> {
        if self.storing.len() >= STORING {
            return Err("protocol error: more events than were asked for".to_owned());
        }
        let (home, agent) = (Arc::clone(&self.shared.home), self.greeted.agent);
        self.storing.push_back(spawn_scoped("events", async move {
            (life, home.agent_events(agent, life, list.events).await)
        }));
        Ok(())
    }

    fn engine_proven(&mut self, age: Duration, took: Duration, problem: Option<String>) {
        let age_ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        let at = self.shared.now().as_millis().saturating_sub(age_ms);
        let proof = EngineProof {
            at: Timestamp::from_millis(at),
            took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            problem,
        };
        let mut changed = false;
        self.proofs.send_modify(|known| {
            if let Presence::Connected { engine, .. } = &mut known.presence {
                let answers = proof.problem.is_none();
                let before = engine.replace(proof);
                changed = before.is_none_or(|before| before.problem.is_none() != answers);
            }
        });
        if changed {
            self.shared.home.agent_engine_changed(self.greeted.agent);
        }
    }

    fn prove(&mut self, rtt: Duration) {
        let now = self.shared.now();
        self.proofs.send_modify(|proof| {
            if let Presence::Connected {
                proven_at, rtt_us, ..
            } = &mut proof.presence
            {
                *proven_at = now;
                *rtt_us = u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX);
            }
        });
        self.moved();
    }

    /// The host may have a new address since.
    fn moved(&mut self) {
        let now = self.greeted.connection.remote_address();
        if std::mem::replace(&mut self.remote, now) == now {
            return;
        }
        self.proofs.send_modify(|proof| {
            if let Presence::Connected { remote, .. } = &mut proof.presence {
                *remote = now.to_string();
            }
        });
    }

    async fn renew(&mut self, csr: &[u8]) -> ControllerAction {
        let refuse = |code, message: String| {
            ControllerAction::Send(ControllerFrame::RenewRefused(Denial::new(code, message, 60_000)))
        };
        let facts = self.greeted.facts;
        if self.shared.ca.request_key(csr).ok() != Some(facts.key) {
            return refuse(
                Code::BadRequest,
                "a renewal must carry the key of this connection".to_owned(),
            );
        }
        let home = &self.shared.home;
        let renewed = home
            .agent_renew(
                facts.agent,
                KeyHash(facts.key),
                facts.generation,
                self.shared.now().plus(self.shared.ca.leaf_life()),
            )
            .await;
        match renewed {
            Ok(generation) => match self.shared.ca.sign_agent(csr, facts.agent, generation) {
                Ok(certificate) => {
                    // The next renewal of this session goes on from here.
                    self.greeted.facts.generation = generation;
                    ControllerAction::Send(ControllerFrame::Renewed { certificate })
                }
                Err(error) => {
                    tracing::error!(error = %Chain(&error), "cannot sign");
                    refuse(
                        Code::Internal,
                        "the controller cannot sign certificates; see its log".to_owned(),
                    )
                }
            },
            Err(refusal) => refuse(refusal.code, refusal.message),
        }
    }
}

/// Reports in a row are stored together, so what came between them goes before them; an end comes last.
const fn turn(action: &ControllerAction) -> u8 {
    match action {
        ControllerAction::Report { .. } => 1,
        ControllerAction::Close(_) => 2,
        _ => 0,
    }
}

fn sealed<T: Document>(value: &T) -> Option<Doc<T>> {
    Doc::seal(value)
        .inspect_err(|error| tracing::error!(error = %Chain(error), "cannot be sent"))
        .ok()
}

fn numbered(seq: u64, report: &Doc<Report>) -> Result<Report, String> {
    let mut report = opened(report)?;
    report.seq = seq;
    Ok(report)
}

fn opened<T: Document>(doc: &Doc<T>) -> Result<T, String> {
    doc.open().map_err(|error| Chain(&error).to_string())
}
