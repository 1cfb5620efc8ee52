//! What becomes of a packet: lost, late, twice, out of turn, damaged, too long.

use std::time::Duration;

use tokio::time::Instant;
use windflow_kit::Random;

/// What is wrong at the moment. Shares are of 1,000 packets, each way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Nothing reaches the controller.
    pub drop_up: bool,
    /// Nothing reaches the agents.
    pub drop_down: bool,
    /// Every packet is this late, each way.
    pub delay: Duration,
    /// And up to this much later, each by itself.
    pub jitter: Duration,
    /// Lost.
    pub lost: u64,
    /// Sent twice.
    pub doubled: u64,
    /// Held back until others have overtaken them.
    pub reordered: u64,
    /// One bit is another.
    pub damaged: u64,
    /// Bytes a second, 0 for as many as come. What waits longer than a second is lost.
    pub rate: u32,
    /// Longest UDP payload that passes, 0 for any; longer ones vanish, as behind a tunnel that says nothing.
    pub mtu: usize,
}

/// A packet that is held back waits this long beyond its time.
const HELD_BACK: Duration = Duration::from_millis(20);
/// Longest queue before a slow line.
const QUEUE: Duration = Duration::from_secs(1);

/// One direction.
#[derive(Debug)]
pub(super) struct Shape {
    random: Random,
    /// When the slow line is free again.
    free: Instant,
}

/// When it is passed on, and what.
pub(super) type Packet = (Instant, Vec<u8>);

impl Shape {
    pub(super) fn new(random: Random, now: Instant) -> Self {
        Self { random, free: now }
    }

    fn hit(&self, share: u64) -> bool {
        share > 0 && self.random.up_to(999) < share
    }

    /// What comes out of one packet.
    pub(super) fn pass(&mut self, faults: &Faults, now: Instant, packet: &[u8]) -> Vec<Packet> {
        if (faults.mtu > 0 && packet.len() > faults.mtu) || self.hit(faults.lost) {
            return Vec::new();
        }
        let mut due = now + faults.delay;
        if faults.rate > 0 {
            let takes = Duration::from_secs_f64(packet.len() as f64 / f64::from(faults.rate));
            self.free = self.free.max(now) + takes;
            if self.free > now + QUEUE {
                self.free -= takes;
                return Vec::new();
            }
            due = self.free + faults.delay;
        }
        let copies = 1 + usize::from(self.hit(faults.doubled));
        let out = (0..copies).map(|_| {
            let mut bytes = packet.to_vec();
            if self.hit(faults.damaged) && !bytes.is_empty() {
                let at = self.random.up_to(bytes.len() as u64 * 8 - 1);
                let place = usize::try_from(at / 8).unwrap_or(0);
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= 1 << (at % 8);
                }
            }
            let jitter = u64::try_from(faults.jitter.as_micros()).unwrap_or(0);
            let mut late = due + Duration::from_micros(self.random.up_to(jitter));
            if self.hit(faults.reordered) {
                late += HELD_BACK;
            }
            (late, bytes)
        });
        out.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKETS: usize = 10_000;

    /// Out of 10,000 packets, 1 ms apart: how many arrive, how many are damaged, how many out of turn, and how late the
    /// last one is (ms).
    fn check(
        faults: Faults,
        arrive: std::ops::Range<usize>,
        damaged: bool,
        turned: bool,
        last: std::ops::Range<u64>,
    ) {
        let start = Instant::now();
        let mut shape = Shape::new(Random::seeded(1), start);
        let mut out = Vec::new();
        for n in 0..PACKETS {
            let now = start + Duration::from_millis(n as u64);
            let bytes = (n as u64).to_be_bytes();
            out.extend(
                shape
                    .pass(&faults, now, &bytes)
                    .into_iter()
                    .map(|(due, got)| (due, n, got != bytes)),
            );
        }
        assert!(arrive.contains(&out.len()), "{faults:?}: {} arrive", out.len());
        assert_eq!(out.iter().any(|(_, _, bad)| *bad), damaged, "{faults:?}");
        let latest = out
            .iter()
            .map(|(due, n, _)| *due - start - Duration::from_millis(*n as u64))
            .max();
        let latest = u64::try_from(latest.unwrap_or_default().as_millis()).unwrap();
        assert!(last.contains(&latest), "{faults:?}: {latest} ms late");
        out.sort_by_key(|(due, _, _)| *due);
        assert_eq!(
            out.windows(2).any(|two| two[0].1 > two[1].1),
            turned,
            "{faults:?}"
        );
    }

    #[tokio::test]
    async fn every_fault_does_what_it_says() {
        let none = Faults::default();
        check(none, PACKETS..PACKETS + 1, false, false, 0..1);
        check(Faults { lost: 100, ..none }, 8_800..9_200, false, false, 0..1);
        check(Faults { doubled: 50, ..none }, 10_400..10_600, false, false, 0..1);
        check(
            Faults { damaged: 10, ..none },
            PACKETS..PACKETS + 1,
            true,
            false,
            0..1,
        );
        check(
            Faults {
                reordered: 100,
                ..none
            },
            PACKETS..PACKETS + 1,
            false,
            true,
            20..21,
        );
        let ms = Duration::from_millis;
        check(
            Faults {
                delay: ms(100),
                ..none
            },
            PACKETS..PACKETS + 1,
            false,
            false,
            100..101,
        );
        check(
            Faults {
                jitter: ms(50),
                ..none
            },
            PACKETS..PACKETS + 1,
            false,
            true,
            45..51,
        );
        check(
            Faults { rate: 4_000, ..none },
            5_200..5_800,
            false,
            false,
            990..1_001,
        );
        check(Faults { mtu: 7, ..none }, 0..1, false, false, 0..1);
        check(
            Faults { mtu: 8, ..none },
            PACKETS..PACKETS + 1,
            false,
            false,
            0..1,
        );
    }
}
