//! The fleet's event bus: a ring of the newest events and a bounded broadcast. Publishing never waits; a reader that
//! is too slow, or comes back too late, is told by a [`FleetEventKind::Gap`].

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::broadcast;
use windflow_kit::Clock;
use windflow_model::{FleetEvent, FleetEventKind, Timestamp};

/// Events kept for readers that come back, and waiting per reader.
const KEPT: usize = 1_024;

/// Publishes events.
#[derive(Debug)]
pub(crate) struct EventBus {
    /// Start of this run, so that an id of an earlier run is recognised.
    epoch: u64,
    clock: Clock,
    ring: Mutex<Ring>,
    live: broadcast::Sender<Arc<FleetEvent>>,
}

#[derive(Debug, Default)]
struct Ring {
    seq: u64,
    kept: VecDeque<Arc<FleetEvent>>,
}

/// Reads events.
#[derive(Debug)]
pub struct EventReader {
    epoch: u64,
    clock: Clock,
    missed: VecDeque<Arc<FleetEvent>>,
    live: broadcast::Receiver<Arc<FleetEvent>>,
    last: u64,
}

impl EventBus {
    pub(crate) fn new(epoch: u64, clock: Clock) -> Self {
        Self {
            epoch,
            clock,
            ring: Mutex::default(),
            live: broadcast::channel(KEPT).0,
        }
    }

    pub(crate) fn publish(&self, kind: FleetEventKind) {
        // Sent under the lock: the order of numbers is the order of arrival.
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.seq += 1;
        let event = Arc::new(FleetEvent {
            seq: ring.seq,
            at: Timestamp::from_millis(self.clock.now_ms()),
            kind,
        });
        if ring.kept.len() >= KEPT {
            ring.kept.pop_front();
        }
        ring.kept.push_back(Arc::clone(&event));
        let _nobody_reads = self.live.send(event);
    }

    /// A reader. `after` is the id of the last event it saw (`EPOCH-SEQ`), if it comes back.
    pub(crate) fn read(&self, after: Option<&str>) -> EventReader {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let mut reader = EventReader {
            epoch: self.epoch,
            clock: self.clock.clone(),
            missed: VecDeque::new(),
            live: self.live.subscribe(),
            last: ring.seq,
        };
        if let Some(after) = after {
            let seen = parse_id(after).filter(|(epoch, _)| *epoch == self.epoch);
            let seen = seen.map_or(0, |(_, seq)| seq.min(ring.seq));
            let oldest = ring.kept.front().map_or(ring.seq, |event| event.seq - 1);
            if seen < oldest || parse_id(after).is_none_or(|(epoch, _)| epoch != self.epoch) {
                reader
                    .missed
                    .push_back(Arc::new(reader.gap(oldest.saturating_sub(seen))));
            }
            let missed = ring.kept.iter().filter(|event| event.seq > seen).cloned();
            reader.missed.extend(missed);
        }
        reader
    }
}

fn parse_id(text: &str) -> Option<(u64, u64)> {
    let (epoch, seq) = text.split_once('-')?;
    Some((epoch.parse().ok()?, seq.parse().ok()?))
}

impl EventReader {
    /// The next event; `None` when the controller stops.
    pub async fn next(&mut self) -> Option<Arc<FleetEvent>> {
        if let Some(event) = self.missed.pop_front() {
            return Some(event);
        }
        match self.live.recv().await {
            Ok(event) => {
                self.last = event.seq;
                Some(event)
            }
            Err(broadcast::error::RecvError::Lagged(lost)) => Some(Arc::new(self.gap(lost))),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }

    /// The id to give in `Last-Event-ID`.
    #[must_use]
    pub fn id_of(&self, event: &FleetEvent) -> String {
        format!("{}-{}", self.epoch, event.seq)
    }

    fn gap(&self, lost: u64) -> FleetEvent {
        FleetEvent {
            seq: self.last,
            at: Timestamp::from_millis(self.clock.now_ms()),
            kind: FleetEventKind::Gap { lost },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn removed(_: u64) -> FleetEventKind {
        FleetEventKind::Gap { lost: 0 }
    }

    #[tokio::test]
    async fn a_reader_that_comes_back_misses_nothing_or_is_told() {
        let bus = EventBus::new(7, Clock::manual(0));
        (0..10).for_each(|n| bus.publish(removed(n)));
        let mut reader = bus.read(Some("7-8"));
        assert_eq!(reader.next().await.unwrap().seq, 9);
        assert_eq!(reader.next().await.unwrap().seq, 10);
        bus.publish(removed(0));
        let event = reader.next().await.unwrap();
        assert_eq!((event.seq, reader.id_of(&event)), (11, "7-11".to_owned()));
        for id in ["6-8", "nonsense", ""] {
            let mut reader = bus.read(Some(id));
            let first = reader.next().await.unwrap();
            assert!(
                matches!(first.kind, FleetEventKind::Gap { .. }),
                "{id}: {first:?}"
            );
            assert_eq!(reader.next().await.unwrap().seq, 1);
        }
    }

    #[tokio::test]
    async fn a_slow_reader_gets_a_gap_and_goes_on() {
        let bus = EventBus::new(1, Clock::manual(0));
        let mut reader = bus.read(None);
        (0..2_000).for_each(|n| bus.publish(removed(n)));
        let first = reader.next().await.unwrap();
        assert!(
            matches!(first.kind, FleetEventKind::Gap { lost } if lost >= 976),
            "{first:?}"
        );
        assert_eq!(reader.next().await.unwrap().seq, 977);
    }
}
