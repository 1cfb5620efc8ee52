//! One connection: dial, greet, work, until it is gone.
//!
//! ```text
//! loop: frames, recalls, engine, clock ─▶ AgentSession ─▶ FrameWriter (waits) ─▶ stream
//! ```
//! Reading and writing never wait for one another: two ends that both only write would wait for good. What need not be
//! sent (progress) or can wait (lists) is not taken up while much waits in the writer.

use std::time::Duration;

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::{sync::broadcast, time::Instant};
use windflow_engine::StackProgress;
use windflow_kit::{
    Stop, TaskHandle,
    error::Chain,
    seeded::{self, Bug},
    task::spawn_scoped,
};
use windflow_model::{Code, Doc, Document, Timestamp};
use windflow_protocol::{
    AgentFrame, AgentHello, VersionRange,
    hello::{FEATURE_EVENTS, FEATURE_METRICS},
    session::{AgentAction, AgentSession, AgentSessionOptions, Opened},
};
use windflow_transport::{
    FrameReader, FrameWriter, Recalls, StreamError,
    endpoint::{self, CLOSE_DONE},
    quinn::Connection,
    streams::CONTROL,
};

use super::{
    Left, Link,
    dial::{Dialled, dial, lost},
    events::Teller,
    metrics::Meter,
    orders, report, streams,
};

/// Time for a name and a handshake.
const DIAL_WITHIN: Duration = Duration::from_secs(10);
/// A controller that takes no bytes for so long is as good as gone.
const WRITE_WITHIN: Duration = Duration::from_secs(20);
/// More of this much waiting for the stream (bytes), and only what must be said is said.
const CALM: usize = 64 << 10;
/// With so much waiting (bytes) nothing is read, either: the controller asks faster than it takes answers.
const FULL: usize = 4 << 20;
/// Streams served at once; the controller is told by the stream limit of QUIC.
const STREAMS: usize = 256;

/// `None` when the agent stops.
pub(super) async fn connect_and_run(link: &mut Link, stop: &Stop) -> Option<Left> {
    let dialled = match stop.run(tokio::time::timeout(DIAL_WITHIN, dial(link))).await? {
        Ok(Ok(connected)) => connected,
        Ok(Err(left)) => return Some(left),
        Err(_) => {
            let reason = format!("no answer within {} s", DIAL_WITHIN.as_secs());
            return Some(Left::down(reason));
        }
    };
    let Dialled {
        connection,
        endpoint: keep,
        recalls,
    } = dialled;
    let opened = connection.open_bi().await;
    let left = match opened {
        Ok((send, receive)) => {
            let writer = FrameWriter::new(send);
            writer.prefer(CONTROL);
            let (session, actions) = AgentSession::start(options(link), Duration::ZERO);
            let live = Live {
                origin: Instant::now(),
                connection: connection.clone(),
                reader: FrameReader::new(receive),
                writer,
                session,
                recalls,
                take_by: Instant::now() + WRITE_WITHIN,
                was_up: false,
                renew_at: None,
                meter: Meter::new(link.sampler.as_ref()),
                teller: Teller::new(link.told.as_ref(), link.options.clock.clone()),
            };
            live.run(link, actions, stop).await
        }
        Err(error) => Some(lost(&error, link)),
    };
    let why = left.as_ref().map_or("the agent was stopped", |left| &left.reason);
    connection.close(CLOSE_DONE, why.as_bytes());
    // The farewell must leave the socket before it closes.
    let _in_time = tokio::time::timeout(Duration::from_secs(2), keep.wait_idle()).await;
    left
}

fn options(link: &Link) -> AgentSessionOptions {
    AgentSessionOptions {
        hello: AgentHello {
            versions: VersionRange::SUPPORTED,
            features: Vec::new(),
            build: link.options.build.clone(),
            boot_id: link.boot_id,
            wall_ms: link.options.clock.now_ms(),
        },
        controller_epoch: link.identity.controller_epoch(),
    }
}

struct Live {
    origin: Instant,
    connection: Connection,
    reader: FrameReader,
    writer: FrameWriter,
    session: AgentSession,
    recalls: Recalls,
    /// When the controller has to have taken some of what waits.
    take_by: Instant,
    was_up: bool,
    /// Wall clock of the next renewal; `None` while one is asked for.
    renew_at: Option<i64>,
    meter: Meter,
    teller: Teller,
}

impl Live {
    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    fn left(&self, reason: String, retry_after: Duration) -> Left {
        Left {
            reason,
            retry_after,
            was_up: self.was_up,
        }
    }

    /// The stream is over; its connection may say more about it.
    fn broken(&self, error: &StreamError, link: &Link) -> Left {
        let left = match self.connection.close_reason() {
            Some(reason) => lost(&reason, link),
            None => Left::down(Chain(error).to_string()),
        };
        Left {
            was_up: self.was_up,
            ..left
        }
    }

    async fn run(mut self, link: &mut Link, first: Vec<AgentAction>, stop: &Stop) -> Option<Left> {
        let mut progress = link.engine.progress();
        let mut outbox = link.engine.reports_changed();
        let mut containers = link.engine.containers();
        let mut inventory = link.inventory.clone();
        let mut served = FuturesUnordered::<TaskHandle<()>>::new();
        self.renew_at = Some(renewal(link));
        let mut actions = first;
        let mut was_steady = false;
        loop {
            if let Err(left) = self.perform(link, actions).await {
                return Some(left);
            }
            actions = Vec::new();
            if self.session.is_steady() && !was_steady {
                was_steady = true;
                inventory.mark_changed();
                containers.mark_changed();
                actions = self.reports(link);
                continue;
            }
            let steady = self.session.is_steady();
            let waiting = self.writer.waiting();
            let calm = steady && waiting < CALM;
            let due = self.session.deadline().unwrap_or(Duration::ZERO);
            let renew_in = self
                .renew_at
                .unwrap_or_default()
                .saturating_sub(link.options.clock.now_ms());
            let renew_in = Duration::from_millis(u64::try_from(renew_in).unwrap_or(0));
            tokio::select! {
                () = stop.stopped() => return None,
                taken = tokio::time::timeout_at(self.take_by, self.writer.advance()), if waiting > 0 => match taken {
                    Ok(Ok(())) => self.take_by = Instant::now() + WRITE_WITHIN,
                    Ok(Err(error)) => return Some(self.broken(&error, link)),
                    Err(_) => return Some(self.left(took_nothing(), Duration::ZERO)),
                },
                frame = self.reader.next(), if waiting < FULL => match frame {
                    Ok(Some(frame)) => {
                        let now = self.now();
                        actions = self.session.on_frame(frame, now);
                        actions.extend(self.reports(link));
                    }
                    Ok(None) => return Some(self.left("the controller ended the session".to_owned(), Duration::ZERO)),
                    Err(error) => return Some(self.broken(&error, link)),
                },
                () = tokio::time::sleep_until(self.origin + due) => {
                    let now = self.now();
                    actions = self.session.on_tick(endpoint::packets(&self.connection), now);
                }
                () = self.recalls.heard() => endpoint::probe(&self.connection),
                // Only while the agent lives does the engine; if it ends, so does everything.
                Ok(()) = outbox.changed(), if steady => actions = self.reports(link),
                Ok(()) = containers.changed(), if calm => {
                    let list = containers.borrow_and_update().clone();
                    actions.extend(seal(&*list).map(|doc| AgentAction::Send(AgentFrame::Containers(doc))));
                }
                Ok(()) = inventory.changed(), if calm => {
                    let found = inventory.borrow_and_update().clone();
                    actions.extend(seal(&*found).map(|doc| AgentAction::Send(AgentFrame::Inventory(doc))));
                }
                () = self.meter.changed(), if calm => {
                    actions = self.meter.due();
                    if !actions.is_empty() {
                        // In the same packet.
                        actions.extend(self.teller.proof());
                    }
                }
                () = self.teller.changed(), if calm => actions = self.teller.due(),
                event = progress.recv(), if calm => match event {
                    Ok(event) => actions.extend(progressed(&event)),
                    Err(broadcast::error::RecvError::Lagged(lost)) => {
                        tracing::debug!(lost, "progress events dropped: the link is slower than the engine");
                    }
                    Err(broadcast::error::RecvError::Closed) => return Some(self.left("the engine stopped".to_owned(), Duration::ZERO)),
                },
                () = tokio::time::sleep(renew_in), if steady && self.renew_at.is_some() => {
                    actions.extend(self.renew(link));
                }
                stream = self.connection.accept_bi(), if steady && served.len() < STREAMS => match stream {
                    Ok((send, receive)) => {
                        served.push(spawn_scoped("stream", streams::serve(streams::Servants::of(link), send, receive)));
                    }
                    Err(error) => return Some(Left { was_up: self.was_up, ..lost(&error, link) }),
                },
                Some(_done) = served.next() => {}
            }
        }
    }

    /// A new certificate, on disk first; a connection keeps the one it began with.
    fn renewed(&mut self, link: &mut Link, certificate: Vec<u8>) {
        match link.identity.renewed(certificate) {
            Ok(()) => {
                let facts = link.identity.facts;
                link.status
                    .send_modify(|status| status.certificate_until = Some(facts.not_after));
                tracing::info!(until = %facts.not_after, generation = facts.generation, "certificate renewed");
                self.renew_at = Some(renewal(link));
            }
            Err(error) => {
                tracing::error!(error = %Chain(&error), "renewed certificate cannot be used");
                self.renew_at = Some(again(link, 0));
            }
        }
    }

    /// Asks for a new certificate. One question at a time: the answer to a lost one would be a generation too many.
    fn renew(&mut self, link: &Link) -> Option<AgentAction> {
        self.renew_at = None;
        match link.identity.key.csr() {
            Ok(csr) => Some(AgentAction::Send(AgentFrame::Renew { csr })),
            Err(error) => {
                tracing::error!(error = %Chain(&error), "certificate cannot be renewed");
                self.renew_at = Some(again(link, 0));
                None
            }
        }
    }

    /// Reports that may be sent now.
    fn reports(&mut self, link: &Link) -> Vec<AgentAction> {
        let Some((after, room)) = self.session.report_room() else {
            return Vec::new();
        };
        let mut actions = Vec::new();
        for entry in link.engine.reports(after, room) {
            let seq = entry.seq;
            if let Some(doc) = seal(&report::report(entry)) {
                actions.extend(self.session.report(seq, doc));
            }
        }
        actions
    }

    async fn perform(&mut self, link: &mut Link, actions: Vec<AgentAction>) -> Result<(), Left> {
        let mut queue = std::collections::VecDeque::from(actions);
        while let Some(action) = queue.pop_front() {
            match action {
                AgentAction::Send(frame) => {
                    if seeded::is(Bug::ReportForgotten)
                        && let AgentFrame::Report { seq, .. } = &frame
                    {
                        let _forgotten = link.engine.reports_ack(*seq).await;
                    }
                    if self.writer.waiting() == 0 {
                        self.take_by = Instant::now() + WRITE_WITHIN;
                    }
                    if let Err(error) = self.writer.feed(&frame) {
                        tracing::error!(error = %Chain(&error), "frame dropped");
                    }
                }
                AgentAction::Opened(opened) => queue.extend(self.opened(link, opened)?),
                AgentAction::Assign(doc) => queue.extend(orders::assign(link, doc).await),
                AgentAction::Withdraw(doc) => orders::withdraw(link, doc).await,
                AgentAction::Acked(upto) => {
                    if let Err(error) = link.engine.reports_ack(upto).await {
                        tracing::warn!(error = %Chain(&error), upto, "acknowledgement not kept; the reports will be sent again");
                    }
                    queue.extend(self.reports(link));
                }
                AgentAction::Proven(rtt) => {
                    self.was_up = true;
                    let now = Timestamp::from_millis(link.options.clock.now_ms());
                    link.status.send_modify(|status| {
                        status.connected_since.get_or_insert(now);
                        status.proven_at = Some(now);
                        status.rtt_us = u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX);
                        status.last_error = None;
                    });
                }
                AgentAction::Pace { every, lasts } => self.meter.pace(every, lasts),
                AgentAction::EventsAcked { life, upto } => queue.extend(self.teller.acked(life, upto)),
                AgentAction::Renewed(certificate) => self.renewed(link, certificate),
                AgentAction::RenewRefused(denial) => {
                    self.renew_at = Some(again(link, denial.retry_after_ms));
                    tracing::warn!(
                        code = denial.code,
                        message = denial.message,
                        "certificate not renewed"
                    );
                }
                AgentAction::Close(denial) => {
                    let _told = tokio::time::timeout_at(self.take_by, self.writer.flush()).await;
                    let hint = Code::ALL.iter().find(|code| code.as_str() == denial.code);
                    let hint = hint.map_or("", |code| code.hint());
                    let text = format!("{} ({}). {hint}", denial.message, denial.code);
                    return Err(self.left(text, Duration::from_millis(u64::from(denial.retry_after_ms))));
                }
            }
        }
        Ok(())
    }

    fn opened(&mut self, link: &mut Link, opened: Opened) -> Result<Vec<AgentAction>, Left> {
        let hello = opened.hello;
        if hello.controller_epoch > link.identity.controller_epoch() {
            // On disk before any order of it is taken: that is what refuses an older copy later.
            link.identity
                .keep_epoch(hello.controller_epoch)
                .map_err(|error| self.left(Chain(&error).to_string(), Duration::ZERO))?;
        }
        if hello.features.iter().any(|feature| feature == FEATURE_METRICS) {
            self.meter.begin();
        }
        if hello.features.iter().any(|feature| feature == FEATURE_EVENTS) {
            self.teller.begin();
        }
        let skew = hello.wall_ms.saturating_sub(link.options.clock.now_ms());
        link.status.send_modify(|status| status.clock_skew_ms = skew);
        tracing::info!(
            controller = hello.build,
            session = hello.session_epoch,
            "connected to the controller"
        );
        let held = report::held(link.engine.held());
        let now = self.now();
        Ok(seal(&held)
            .map(|held| self.session.resume(held, 0, now))
            .unwrap_or_default())
    }
}

fn took_nothing() -> String {
    format!("the controller took no data for {} s", WRITE_WITHIN.as_secs())
}

fn renewal(link: &Link) -> i64 {
    let facts = link.identity.facts;
    let life = facts
        .not_after
        .as_millis()
        .saturating_sub(facts.not_before.as_millis());
    // Half of life, 10 % to either side: a fleet that joined together does not renew together.
    let tenth = u64::try_from(life / 10).unwrap_or(0);
    let jitter = i64::try_from(link.options.random.up_to(tenth)).unwrap_or(0);
    facts.not_before.as_millis() + life / 2 - life / 20 + jitter
}

/// When to ask again after a no, which may carry a time of its own.
fn again(link: &Link, after_ms: u32) -> i64 {
    link.options
        .clock
        .now_ms()
        .saturating_add(i64::from(after_ms.max(60_000)))
}

pub(super) fn seal<T: Document>(value: &T) -> Option<Doc<T>> {
    Doc::seal(value)
        .inspect_err(|error| tracing::error!(error = %Chain(error), "cannot be sent"))
        .ok()
}

fn progressed(event: &StackProgress) -> Option<AgentAction> {
    // Local mode has no deployment and is no business of the controller.
    let deployment = event.deployment?;
    let progress = seal(&event.event)?;
    Some(AgentAction::Send(AgentFrame::Progress { deployment, progress }))
}
