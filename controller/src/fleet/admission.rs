//! Who is looked at before it is anybody: arithmetic over times that are passed in, without sockets.
//!
//! Before a handshake only the address is known, and that may be forged. So: a pace for handshakes, which leaves the
//! rest of the processor to the API; a bound on those in progress, in all and per source; and a proof of the address
//! (QUIC Retry, which costs next to nothing) from an eighth of each bound on. A forged address never brings the owner
//! of the address to a refusal, only to the proof. What a connection is for is known after its handshake: hosts that
//! join then wait in a lane of their own, and are told when their turn is.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Handshakes that may start at once after a rest, as a share of a second's worth.
const BURST: Duration = Duration::from_millis(250);
/// Joins at once after a rest, in seconds' worth: the roll-out of a small site passes without waiting.
const JOIN_BURST: Duration = Duration::from_secs(5);
/// No host that may join is sent away for longer.
const LONGEST: Duration = Duration::from_secs(120);
/// When all places are taken: how soon somebody looks again, if none comes free before.
const FULL_FOR: Duration = Duration::from_millis(50);
/// How long a handshake may take, and how long when more than half of all places are taken.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(2));

/// How many may knock at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdmissionOptions {
    /// Handshakes and greetings in progress.
    pub handshakes: usize,
    /// Of them from one source: an IPv4 address, or an IPv6 network of 64 bits.
    pub handshakes_per_source: usize,
    /// Handshakes that are begun in a second. A millisecond of one processor pays for two.
    pub handshakes_per_s: u32,
    /// Hosts that may join in a second.
    pub joins_per_s: u32,
}

impl Default for AdmissionOptions {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            handshakes: 1_024,
            // A site behind one address comes back whole, and leaves a quarter to others.
            handshakes_per_source: 768,
            handshakes_per_s: u32::try_from(processors).unwrap_or(1).saturating_mul(500),
            joins_per_s: 20,
        }
    }
}

/// What is done with a first packet.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Shake hands, within this time.
    Begin(Place, Duration),
    /// Prove the address first.
    Prove,
    /// Too many from this source.
    Refuse,
}

/// Where a packet comes from, as far as one party controls it.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits())),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    sources: HashMap<IpAddr, usize>,
}

type Places = Arc<Mutex<Held>>;

fn lock(places: &Places) -> MutexGuard<'_, Held> {
    places.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A place among the handshakes in progress; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    source: IpAddr,
    places: Places,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = lock(&self.places);
        held.all = held.all.saturating_sub(1);
        if let Some(of_source) = held.sources.get_mut(&self.source) {
            *of_source = of_source.saturating_sub(1);
            if *of_source == 0 {
                held.sources.remove(&self.source);
            }
        }
    }
}

/// The gate before all handshakes.
#[derive(Debug)]
pub(super) struct Gate {
    options: AdmissionOptions,
    pace: Pace,
    places: Places,
}

impl Gate {
    pub(super) fn new(options: AdmissionOptions) -> Self {
        Self {
            pace: Pace::new(options.handshakes_per_s, BURST),
            options,
            places: Places::default(),
        }
    }

    /// How long the next first packet has to wait in the socket's queue; zero if it may be looked at. What does not fit
    /// into the queue is refused there.
    pub(super) fn opens_in(&self, now: Duration) -> Duration {
        let full = self.held() >= self.options.handshakes;
        self.pace
            .wait(now)
            .max(if full { FULL_FOR } else { Duration::ZERO })
    }

    /// Places that are taken.
    pub(super) fn held(&self) -> usize {
        lock(&self.places).all
    }

    /// Whether so much knocks that hosts which want to join should come later.
    pub(super) fn crowded(&self) -> bool {
        self.held() >= (self.options.handshakes / 4).max(1)
    }

    /// What is done with a first packet. `proven`: its sender has shown that it receives at `address`.
    pub(super) fn judge(&mut self, address: IpAddr, proven: bool, now: Duration) -> Verdict {
        let source = source(address);
        let mut held = lock(&self.places);
        let of_source = held.sources.get(&source).copied().unwrap_or(0);
        let AdmissionOptions {
            handshakes,
            handshakes_per_source: per_source,
            ..
        } = self.options;
        if !proven && (held.all >= handshakes.div_ceil(8) || of_source >= per_source.div_ceil(8)) {
            return Verdict::Prove;
        }
        if of_source >= per_source {
            return Verdict::Refuse;
        }
        let patience = if held.all >= handshakes / 2 {
            PATIENCE.1
        } else {
            PATIENCE.0
        };
        held.all += 1;
        *held.sources.entry(source).or_default() += 1;
        drop(held);
        self.pace.take(now);
        let place = Place {
            source,
            places: Arc::clone(&self.places),
        };
        Verdict::Begin(place, patience)
    }
}

/// So many in a second, evenly, with a burst after a rest.
#[derive(Debug)]
struct Pace {
    interval: Duration,
    burst: Duration,
    /// When the next one is due if all come evenly.
    due: Duration,
}

impl Pace {
    fn new(per_s: u32, burst: Duration) -> Self {
        Self {
            interval: Duration::from_secs(1) / per_s.max(1),
            burst,
            due: Duration::ZERO,
        }
    }

    fn wait(&self, now: Duration) -> Duration {
        self.due.saturating_sub(now + self.burst)
    }

    fn take(&mut self, now: Duration) {
        self.due = self.due.max(now) + self.interval;
    }
}

/// The lane of hosts that join.
#[derive(Debug)]
pub(super) struct JoinLane {
    pace: Pace,
    /// The last turn that was promised to a host that was sent away.
    promised: Duration,
}

impl JoinLane {
    pub(super) fn new(options: AdmissionOptions) -> Self {
        Self {
            pace: Pace::new(options.joins_per_s, JOIN_BURST),
            promised: Duration::ZERO,
        }
    }

    /// `Err` says when this host's turn is: each that is sent away gets one behind the one before, so that they do not
    /// come back together. `crowded`: hosts that have joined come first.
    pub(super) fn take(&mut self, now: Duration, crowded: bool) -> Result<(), Duration> {
        let wait = self.pace.wait(now);
        if wait.is_zero() && !crowded {
            self.pace.take(now);
            return Ok(());
        }
        let earliest = now + wait.max(Duration::from_secs(1));
        self.promised = (self.promised + self.pace.interval)
            .max(earliest)
            .min(now + LONGEST);
        Err(self.promised - now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: AdmissionOptions = AdmissionOptions {
        handshakes: 16,
        handshakes_per_source: 8,
        handshakes_per_s: 1_000,
        joins_per_s: 10,
    };

    /// `taken` places each are taken by `others`, then `address` knocks: what happens to it.
    #[track_caller]
    fn check(others: &[(&str, usize)], address: &str, proven: bool, expected: &str) {
        let mut gate = Gate::new(OPTIONS);
        let mut places = Vec::new();
        for (other, count) in others {
            for _ in 0..*count {
                match gate.judge(other.parse().unwrap(), true, Duration::ZERO) {
                    Verdict::Begin(place, _) => places.push(place),
                    other => panic!("{other:?}"),
                }
            }
        }
        let verdict = gate.judge(address.parse().unwrap(), proven, Duration::ZERO);
        let shown = match &verdict {
            Verdict::Begin(_, patience) => format!("begin {}", patience.as_secs()),
            Verdict::Prove => "prove".to_owned(),
            Verdict::Refuse => "refuse".to_owned(),
        };
        assert_eq!(shown, expected);
        drop(verdict);
        drop(places);
        assert_eq!((gate.held(), lock(&gate.places).sources.len()), (0, 0));
    }

    #[test]
    fn first_packets_are_judged_by_what_is_known_of_them() {
        check(&[], "10.0.0.1", false, "begin 10");
        // An eighth of a bound is taken: prove it.
        check(&[("10.0.0.1", 1)], "10.0.0.1", false, "prove");
        check(&[("10.0.0.1", 1)], "10.0.0.2", false, "begin 10");
        check(&[("10.0.0.1", 2)], "10.0.0.2", false, "prove");
        check(&[("10.0.0.1", 2)], "10.0.0.2", true, "begin 10");
        // One source fills its share, and no more than that.
        check(&[("10.0.0.1", 8)], "10.0.0.1", true, "refuse");
        check(&[("10.0.0.1", 8)], "10.0.0.2", true, "begin 2");
        check(&[("10.0.0.1", 8)], "::ffff:10.0.0.1", true, "refuse");
        // A forged address is asked for a proof before anything else: its owner is never refused by it.
        check(&[("10.0.0.1", 8)], "10.0.0.1", false, "prove");
        // All of an IPv6 network is one source.
        check(
            &[("2001:db8::1", 4), ("2001:db8::2", 4)],
            "2001:db8::3",
            true,
            "refuse",
        );
        check(
            &[("2001:db8::1", 4), ("2001:db8::2", 4)],
            "2001:db8:0:1::3",
            true,
            "begin 2",
        );
    }

    #[test]
    fn the_queue_waits_while_all_places_are_taken() {
        let mut gate = Gate::new(OPTIONS);
        let mut begin = |address: &str| match gate.judge(address.parse().unwrap(), true, Duration::ZERO) {
            Verdict::Begin(place, _) => place,
            other => panic!("{other:?}"),
        };
        let mut places: Vec<_> = (0..16).map(|n| begin(["10.0.0.1", "10.0.0.2"][n % 2])).collect();
        assert_eq!(gate.opens_in(Duration::ZERO), FULL_FOR);
        places.pop();
        assert_eq!(gate.opens_in(Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn handshakes_are_begun_at_their_pace() {
        let mut gate = Gate::new(OPTIONS);
        let (mut now, mut begun) = (Duration::ZERO, 0);
        while now < Duration::from_secs(10) {
            now += gate.opens_in(now);
            match gate.judge("10.0.0.1".parse().unwrap(), true, now) {
                Verdict::Begin(..) => begun += 1,
                other => panic!("{other:?}"),
            }
        }
        // Ten seconds' worth and one burst.
        assert!((10_240..=10_260).contains(&begun), "{begun}");
    }

    #[test]
    fn hosts_that_join_are_told_turns_one_behind_the_other() {
        let mut lane = JoinLane::new(OPTIONS);
        let at = |ms| Duration::from_millis(ms);
        assert_eq!((0..51).filter(|_| lane.take(at(0), false).is_ok()).count(), 51);
        assert_eq!(lane.take(at(0), false), Err(at(1_000)));
        assert_eq!(lane.take(at(0), false), Err(at(1_100)));
        assert_eq!(lane.take(at(500), true), Err(at(1_000)));
        // Whoever comes when the lane is free is let in, but not while hosts come back.
        assert_eq!(lane.take(at(2_000), true), Err(at(1_000)));
        assert_eq!(lane.take(at(2_000), false), Ok(()));
        for _ in 0..5_000 {
            let _turn = lane.take(at(2_000), true);
        }
        assert_eq!(lane.take(at(2_000), true), Err(LONGEST));
        assert_eq!(lane.take(at(3_600_000), false), Ok(()));
    }
}
