use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const WAVES: u32 = 3;

fn by() -> Person {
    Person {
        user: UserId::from_uuid(Uuid::from_u128(1)),
        name: "ada".into(),
    }
}

fn why() -> EndReason {
    EndReason::Failures { failed: 2, limit: 1 }
}

fn at() -> Timestamp {
    Timestamp::from_millis(7)
}

/// Every event, in the order of the columns below.
fn events() -> Vec<RolloutEvent> {
    use RolloutEvent as E;
    vec![
        E::Begun,
        E::WaveEnded,
        E::GateHeld { since: at() },
        E::GateBroken,
        E::Passed,
        E::PassedThenPause { until: Some(at()) },
        E::PassedThenPause { until: None },
        E::Unproven,
        E::Finished { everywhere: true },
        E::Finished { everywhere: false },
        E::Overtaken { hosts: 1 },
        E::Elapsed,
        E::Pause { by: by() },
        E::Resume,
        E::Promote,
        E::Cancel { by: by() },
        E::Undo { by: by() },
        E::Stop { why: why() },
        E::Rollback { why: why() },
        E::WentBack { left: 0 },
        E::WentBack { left: 2 },
    ]
}

fn paused(wave: u32, why: PauseCause, until: Option<Timestamp>) -> RolloutState {
    RolloutState::Paused { wave, why, until }
}

fn gate(wave: u32, since: Option<Timestamp>) -> RolloutState {
    RolloutState::Gate { wave, since }
}

/// A state in three letters: what it is, its wave, and what it waits for.
fn short(state: &RolloutState) -> String {
    use RolloutState as S;
    match state {
        S::Pending => "new".into(),
        S::Running { wave } => format!("r{wave}"),
        S::Gate { wave, since: None } => format!("g{wave}"),
        S::Gate { wave, .. } => format!("h{wave}"),
        S::Paused { wave, why, until } => {
            let letter = match (why, until) {
                (PauseCause::Person { .. }, _) => 'p',
                (PauseCause::Between, Some(_)) => 't',
                (PauseCause::Between, None) => 'm',
                (PauseCause::Unproven, _) => 'u',
                (PauseCause::Overtaken { .. }, _) => 'o',
            };
            format!("{letter}{wave}")
        }
        S::Succeeded => "ok".into(),
        S::Incomplete => "inc".into(),
        S::Stopped { .. } => "stp".into(),
        S::Cancelled { .. } => "can".into(),
        S::RollingBack { .. } => "rb".into(),
        S::RolledBack { .. } => "bk".into(),
        S::RollbackFailed { .. } => "bf".into(),
    }
}

#[rustfmt::skip]
#[test]
fn exhaustive_table() {
    use RolloutState as S;
    let rows: Vec<(S, &str)> = vec![
        //                                    Begun End Held Brk Pass Tim Man Unp Fin+ Fin- Ovt Ela Pau Res Pro Can Und Stp Rol Bk0 Bk2
        (S::Pending,                         "r1    .   .    .   .    .   .   .   .    .    .   .   p1  .   .   can .   .   .   .   ."),
        (S::Running { wave: 1 },             ".     g1  .    .   .    .   .   .   .    .    o1  .   p1  .   r2  can rb  stp rb  .   ."),
        (S::Running { wave: 3 },             ".     g3  .    .   .    .   .   .   .    .    o3  .   p3  .   .   can rb  stp rb  .   ."),
        (gate(2, None),                      ".     .   h2   g2  r3   t3  m3  u3  .    .    o2  .   p2  .   r3  can rb  stp rb  .   ."),
        (gate(2, Some(at())),                ".     .   .    g2  r3   t3  m3  u3  .    .    o2  .   p2  .   r3  can rb  stp rb  .   ."),
        (gate(3, None),                      ".     .   h3   g3  .    .   .   .   ok   inc  o3  .   p3  .   .   can rb  stp rb  .   ."),
        (gate(3, Some(at())),                ".     .   .    g3  .    .   .   .   ok   inc  o3  .   p3  .   .   can rb  stp rb  .   ."),
        (paused(2, PauseCause::Between, Some(at())),
                                             ".     .   .    .   .    .   .   .   .    .    o2  r2  p2  r2  r2  can rb  stp rb  .   ."),
        (paused(2, PauseCause::Between, None),
                                             ".     .   .    .   .    .   .   .   .    .    .   .   m2  r2  r2  can rb  stp rb  .   ."),
        (paused(2, PauseCause::Unproven, None),
                                             ".     .   .    .   .    .   .   .   .    .    .   .   u2  r2  r2  can rb  stp rb  .   ."),
        (paused(2, PauseCause::Overtaken { hosts: 1 }, None),
                                             ".     .   .    .   .    .   .   .   .    .    .   .   o2  r2  r2  can rb  stp rb  .   ."),
        (paused(2, PauseCause::Person { by: by() }, None),
                                             ".     .   .    .   .    .   .   .   .    .    .   .   p2  r2  r2  can rb  stp rb  .   ."),
        (S::Succeeded,                       ".     .   .    .   .    .   .   .   .    .    .   .   .   .   .   .   rb  .   .   .   ."),
        (S::Incomplete,                      ".     .   .    .   .    .   .   .   .    .    .   .   .   .   .   .   rb  .   .   .   ."),
        (S::Stopped { why: why() },          ".     .   .    .   .    .   .   .   .    .    .   .   .   .   .   .   rb  .   .   .   ."),
        (S::Cancelled { by: by() },          ".     .   .    .   .    .   .   .   .    .    .   .   .   .   .   .   rb  .   .   .   ."),
        (S::RollingBack { why: why() },      ".     .   .    .   .    .   .   .   .    .    .   .   .   .   .   .   .   .   .   bk  bf"),
        (S::RolledBack { why: why() },       ".     .   .    .   .    .   .   .   .    .    .   .   .   .   .   .   .   .   .   .   ."),
        (S::RollbackFailed { why: why(), hosts: 2 },
                                             ".     .   .    .   .    .   .   .   .    .    .   .   .   .   .   .   rb  .   .   .   ."),
    ];
    let mut seen: Vec<_> = rows.iter().map(|(state, _)| state.name()).collect();
    seen.dedup();
    assert_eq!(seen, RolloutState::NAMES);
    for (state, row) in &rows {
        let expected: Vec<_> = row.split_whitespace().collect();
        assert_eq!(expected.len(), events().len(), "{state:?}");
        for (event, expected) in events().iter().zip(expected) {
            let next = state.next(event, WAVES).map_or_else(|_| ".".to_owned(), |next| short(&next));
            assert_eq!(next, expected, "{state:?} {event:?}");
        }
    }
}

proptest! {
    /// Whatever happens: a wave never goes back, never past the last one, an end is only left by going back, and a
    /// rollout that went back never goes forward again.
    #[test]
    fn waves_only_rise(picks in proptest::collection::vec(0_usize..21, 0..60), waves in 1_u32..5) {
        let events = events();
        let (mut state, mut wave, mut back) = (RolloutState::Pending, 0, false);
        for pick in picks {
            let before = state.clone();
            let Ok(next) = state.next(&events[pick], waves) else { continue };
            if let Some(now) = next.wave() {
                prop_assert!(now >= wave && now <= waves, "{before:?} {:?} {next:?}", events[pick]);
                prop_assert!(now <= wave + 1);
                prop_assert!(!back);
                wave = now;
            }
            if before.is_terminal() {
                prop_assert_eq!(next.name(), "rolling_back");
            }
            back |= matches!(next, RolloutState::RollingBack { .. });
            state = next;
        }
    }
}
