//! Samples that wait for the link. The newest are worth most: where there is no room, the oldest go, and their numbers
//! show it.

use std::{collections::VecDeque, sync::Arc};

use windflow_model::metrics::Sample;

/// Memory for waiting samples, in bytes of values: an hour and more of a host with a few containers.
const ROOM: usize = 256 << 10;
/// What a sample costs besides its values.
const OVERHEAD: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Backlog {
    samples: VecDeque<Arc<Sample>>,
    bytes: usize,
}

fn size(sample: &Sample) -> usize {
    sample.values.len() * size_of::<i64>() + OVERHEAD
}

impl Backlog {
    pub(super) fn push(&mut self, sample: Arc<Sample>) {
        self.bytes += size(&sample);
        self.samples.push_back(sample);
        while self.bytes > ROOM && self.samples.len() > 1 {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.samples.pop_front() {
            self.bytes -= size(&oldest);
        }
    }

    pub(super) fn oldest(&self, most: usize) -> Vec<Arc<Sample>> {
        self.samples.iter().take(most).cloned().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.samples.len()
    }

    pub(super) fn taken(&mut self, seq: u64) {
        while self.samples.front().is_some_and(|sample| sample.seq <= seq) {
            self.drop_oldest();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(seq: u64, width: usize) -> Arc<Sample> {
        Arc::new(Sample {
            seq,
            at_ms: 0,
            layout: Arc::default(),
            values: vec![0; width],
        })
    }

    #[test]
    fn the_oldest_make_room_and_memory_has_a_bound() {
        let mut backlog = Backlog::default();
        (1..=10_000).for_each(|seq| backlog.push(sample(seq, 100)));
        assert!(backlog.bytes <= ROOM && backlog.len() < 400, "{}", backlog.len());
        let oldest = backlog.oldest(2);
        assert_eq!(oldest[1].seq, oldest[0].seq + 1);
        backlog.taken(9_999);
        assert_eq!((backlog.len(), backlog.oldest(9)[0].seq), (1, 10_000));
        backlog.taken(u64::MAX);
        assert_eq!((backlog.len(), backlog.bytes), (0, 0));
        // One that is wider than the room still gets its turn.
        backlog.push(sample(1, ROOM));
        assert_eq!(backlog.len(), 1);
    }
}
