//! The fleet's events: a ring of the newest, a bounded broadcast, and the log on disk behind them. Publishing never waits; a reader
//! that is too slow is told by a [`FleetEventKind::Gap`], one that comes back reads on from the disk.
//!
//! ```text
//! publish ─┬─► ring 1024 ─┐
//!          ├─► broadcast ─┴─► EventReader ◄── files (EventLog), for what is older
//!          └─► EventLog
//! ```

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, OnceLock},
};

use tokio::sync::broadcast;
use windflow_kit::{Chain, Clock};
use windflow_model::{AgentId, EventId, FleetEvent, FleetEventKind, HostEvent, Timestamp};

use super::{App, AppError, AppResult, lock};
use crate::event_log::{EventFilter, EventLog, Known, Past};

/// Events kept for readers that come back, and waiting per reader.
const KEPT: usize = 1_024;

/// Publishes events.
#[derive(Debug)]
pub(crate) struct EventBus {
    /// Number of this run of the controller.
    run: u64,
    clock: Clock,
    ring: Mutex<Ring>,
    live: broadcast::Sender<Arc<FleetEvent>>,
    log: OnceLock<EventLog>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Ring {
    seq: u64,
    kept: VecDeque<Arc<FleetEvent>>,
}

/// What the ring holds, and what comes then.
type Rest = (VecDeque<Arc<FleetEvent>>, broadcast::Receiver<Arc<FleetEvent>>);

/// From where a reader reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// What happens from now on.
    Now,
    /// What happened after this event.
    After(EventId),
    /// What happened since then.
    Since(Timestamp),
}

/// Reads events.
#[derive(Debug)]
pub struct EventReader {
    app: App,
    filter: EventFilter,
    from: Option<From>,
    /// Where it is on disk, until it has come to the present; and whether all was on disk that had happened by then.
    past: Option<(Past, bool)>,
    ready: VecDeque<Arc<FleetEvent>>,
    live: broadcast::Receiver<Arc<FleetEvent>>,
    last: EventId,
}

impl EventBus {
    pub(crate) fn new(run: u64, clock: Clock) -> Self {
        Self {
            run,
            clock,
            ring: Mutex::default(),
            live: broadcast::channel(KEPT).0,
            log: OnceLock::new(),
            known: Mutex::default(),
        }
    }

    /// Keeps what is published from now on, and knows what of hosts is kept already.
    pub(crate) fn keep(&self, log: EventLog, known: Known) {
        *lock(&self.known) = known;
        if self.log.set(log).is_err() {
            tracing::warn!("events are kept already; the first place stays");
        }
    }

    pub(crate) fn publish(&self, kind: FleetEventKind) {
        // Under the lock: the order of numbers is the order of arrival, for readers and on disk.
        let mut ring = lock(&self.ring);
        ring.seq += 1;
        let event = Arc::new(FleetEvent {
            id: EventId {
                run: self.run,
                seq: ring.seq,
            },
            at: Timestamp::from_millis(self.clock.now_ms()),
            kind,
        });
        if ring.kept.len() >= KEPT {
            ring.kept.pop_front();
        }
        ring.kept.push_back(Arc::clone(&event));
        if let Some(log) = self.log.get() {
            log.append(Arc::clone(&event));
        }
        let _nobody_reads = self.live.send(event);
    }

    /// Publishes those events of a host that are new.
    fn publish_of(&self, agent: AgentId, life: u64, events: Vec<HostEvent>) {
        let mut known = lock(&self.known);
        let of_host = known.entry(agent).or_default();
        for event in events {
            if of_host.take(life, &event) {
                self.publish(FleetEventKind::Host { agent, life, event });
            }
        }
    }

    /// What the ring holds after an event, if that is all there is, with everything that comes then.
    fn rest(&self, after: EventId, whatever: bool) -> Option<Rest> {
        let ring = lock(&self.ring);
        let oldest = ring.kept.front().map_or(ring.seq + 1, |event| event.id.seq);
        let seen = if after.run == self.run { after.seq } else { 0 };
        if seen + 1 < oldest && !whatever {
            return None;
        }
        let rest = ring.kept.iter().filter(|event| event.id > after).cloned();
        Some((rest.collect(), self.live.subscribe()))
    }

    fn newest(&self) -> EventId {
        EventId {
            run: self.run,
            seq: lock(&self.ring).seq,
        }
    }

    fn gap(&self, lost: u64, last: EventId) -> Arc<FleetEvent> {
        Arc::new(FleetEvent {
            id: last,
            at: Timestamp::from_millis(self.clock.now_ms()),
            kind: FleetEventKind::Gap { lost },
        })
    }
}

impl App {
    /// The fleet's events, as they happen.
    #[must_use]
    pub fn events(&self, filter: EventFilter, from: From) -> EventReader {
        let bus = &self.0.bus;
        EventReader {
            live: bus.live.subscribe(),
            last: bus.newest(),
            app: self.clone(),
            filter,
            from: Some(from).filter(|from| *from != From::Now),
            past: None,
            ready: VecDeque::new(),
        }
    }

    /// A page of events, the newest first; the second value is the `before` of the next page.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub async fn event_page(
        &self,
        filter: EventFilter,
        before: Option<EventId>,
        most: usize,
    ) -> AppResult<(Vec<FleetEvent>, Option<EventId>)> {
        if let Some(log) = self.0.bus.log.get() {
            return log
                .page(filter, before, most)
                .await
                .map_err(AppError::internal("event_list"));
        }
        let ring = lock(&self.0.bus.ring);
        let wanted = ring
            .kept
            .iter()
            .rev()
            .filter(|event| before.is_none_or(|before| event.id < before));
        let mut found: Vec<FleetEvent> = wanted
            .filter(|event| filter.holds(event))
            .take(most + 1)
            .map(|event| (**event).clone())
            .collect();
        let more = found.len() > most;
        found.truncate(most);
        let next = found.last().map(|last| last.id).filter(|_| more);
        Ok((found, next))
    }

    /// What happened on a host, in order. Gives the number up to which it is on disk; 0 if that cannot be said: then the host will
    /// tell it again.
    pub(crate) async fn agent_events(&self, agent: AgentId, life: u64, events: Vec<HostEvent>) -> u64 {
        let bus = &self.0.bus;
        let Some(upto) = events.last().map(|event| event.seq) else {
            return 0;
        };
        let Some(log) = bus.log.get() else {
            bus.publish_of(agent, life, events);
            return upto;
        };
        if log.has_room() {
            bus.publish_of(agent, life, events);
            if log.flush().await {
                return upto;
            }
        } else {
            let _no_room_either = log.flush().await;
        }
        0
    }

    pub(crate) fn forget_events(&self, agent: AgentId) {
        lock(&self.0.bus.known).remove(&agent);
    }
}

impl EventReader {
    /// The next event; `None` when the controller stops.
    pub async fn next(&mut self) -> Option<Arc<FleetEvent>> {
        if let Some(from) = self.from.take() {
            self.begin(from).await;
        }
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.last = self.last.max(event.id);
                if self.filter.holds(&event) {
                    return Some(event);
                }
                continue;
            }
            if let Some((past, flushed)) = self.past.take() {
                self.step(past, flushed).await;
                continue;
            }
            match self.live.recv().await {
                Ok(event) => self.ready.push_back(event),
                Err(broadcast::error::RecvError::Lagged(lost)) => {
                    self.ready.push_back(self.app.0.bus.gap(lost, self.last));
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    async fn begin(&mut self, from: From) {
        let bus = &self.app.0.bus;
        let after = match from {
            From::After(after) => after,
            From::Now | From::Since(_) => EventId::default(),
        };
        if let From::After(_) = from
            && let Some((rest, live)) = bus.rest(after, false)
            && after.run == bus.run
        {
            (self.ready, self.live, self.last) = (rest, live, after);
            return;
        }
        let Some(log) = bus.log.get() else {
            // Without a disk the ring is all there is.
            let gap = matches!(from, From::After(_)).then(|| bus.gap(0, after));
            self.come_to_the_present(after);
            if let Some(gap) = gap {
                self.ready.push_front(gap);
            }
            return;
        };
        let past = match from {
            From::Since(since) => log.past_since(since).await.map(|past| (past, false)),
            _ => log.past_after(after).await,
        };
        match past {
            Ok((past, gone)) => {
                self.past = Some((past, false));
                if gone {
                    self.ready.push_back(bus.gap(0, after));
                }
            }
            Err(error) => self.unreadable(&error, after),
        }
    }

    async fn step(&mut self, past: Past, flushed: bool) {
        let bus = &self.app.0.bus;
        let Some(log) = bus.log.get() else { return };
        let last = past.last;
        match log.step(past).await {
            Ok(step) => {
                self.ready = step.events.into_iter().map(Arc::new).collect();
                if !step.ended {
                    self.past = Some((step.past, false));
                } else if let Some((rest, live)) = bus.rest(step.past.last, flushed) {
                    self.ready.extend(rest);
                    self.live = live;
                } else {
                    // What had happened by now is on disk then; the rest is in the ring.
                    let _there = log.flush().await;
                    self.past = Some((step.past, true));
                }
            }
            Err(error) => self.unreadable(&error, last),
        }
    }

    fn unreadable(&mut self, error: &std::io::Error, after: EventId) {
        tracing::error!(error = %Chain(error), "events cannot be read from the disk");
        let gap = self.app.0.bus.gap(0, after);
        self.come_to_the_present(after);
        self.ready.push_front(gap);
    }

    fn come_to_the_present(&mut self, after: EventId) {
        if let Some((rest, live)) = self.app.0.bus.rest(after, true) {
            (self.ready, self.live) = (rest, live);
        }
    }
}

#[cfg(test)]
mod tests;
