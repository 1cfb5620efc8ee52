//! Where an alert stands, and the one function that moves it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Why an alert ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// Its condition does not hold any more.
    Cleared,
    /// What it was about is not there any more: host removed, container removed, …
    Gone,
    /// Its rule was changed, switched off or deleted.
    Rule,
}

/// Where an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum AlertState {
    /// Its condition holds, not yet for long enough.
    Pending {
        /// Since when it holds.
        since: Timestamp,
    },
    /// It fires.
    Firing {
        /// Since when its condition held.
        since: Timestamp,
        /// Since when it fires.
        fired: Timestamp,
        /// Since when its condition does not hold, if it must not for a while before the alert ends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clearing: Option<Timestamp>,
    },
    /// It has ended.
    Resolved {
        /// Since when its condition held.
        since: Timestamp,
        /// Since when it fired.
        fired: Timestamp,
        /// When it ended.
        at: Timestamp,
        /// Why.
        why: Resolution,
    },
}

/// What is seen of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It holds.
    Holds,
    /// It does not.
    Clear,
    /// Nobody can tell: the host is silent, there is no sample. Nothing gets better or worse by it.
    Unknown,
    /// It cannot hold any more.
    Ended(Resolution),
}

/// How long a condition must hold, or not, before that counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Patience {
    /// Until an alert fires.
    pub hold: Duration,
    /// Until it ends.
    pub clear: Duration,
}

impl AlertState {
    /// Where an alert stands after something was seen of its condition; `None`: there is none. What has ended never comes back: if
    /// its condition holds again, that is another alert.
    #[must_use]
    pub fn next(before: Option<Self>, seen: Seen, patience: Patience, now: Timestamp) -> Option<Self> {
        match (before, seen) {
            (None, Seen::Holds) => Some(Self::held(now, patience, now)),
            (None | Some(Self::Pending { .. }), Seen::Clear | Seen::Ended(_)) | (None, Seen::Unknown) => None,
            (Some(Self::Pending { since }), Seen::Holds) => Some(Self::held(since, patience, now)),
            (Some(Self::Firing { since, fired, .. }), Seen::Holds | Seen::Unknown) => Some(Self::Firing {
                since,
                fired,
                clearing: None,
            }),
            (
                Some(Self::Firing {
                    since,
                    fired,
                    clearing,
                }),
                Seen::Clear,
            ) => {
                let clearing = clearing.unwrap_or(now);
                if now.since(clearing) < patience.clear {
                    return Some(Self::Firing {
                        since,
                        fired,
                        clearing: Some(clearing),
                    });
                }
                Some(Self::Resolved {
                    since,
                    fired,
                    at: now,
                    why: Resolution::Cleared,
                })
            }
            (Some(Self::Firing { since, fired, .. }), Seen::Ended(why)) => Some(Self::Resolved {
                since,
                fired,
                at: now,
                why,
            }),
            (Some(same @ Self::Pending { .. }), Seen::Unknown) | (Some(same @ Self::Resolved { .. }), _) => {
                Some(same)
            }
        }
    }

    fn held(since: Timestamp, patience: Patience, now: Timestamp) -> Self {
        if now.since(since) < patience.hold {
            return Self::Pending { since };
        }
        Self::Firing {
            since,
            fired: now,
            clearing: None,
        }
    }

    /// Whether it fires.
    #[must_use]
    pub const fn is_firing(&self) -> bool {
        matches!(self, Self::Firing { .. })
    }

    /// Whether it has ended.
    #[must_use]
    pub const fn is_resolved(&self) -> bool {
        matches!(self, Self::Resolved { .. })
    }

    /// Its name, as in JSON.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Pending { .. } => "pending",
            Self::Firing { .. } => "firing",
            Self::Resolved { .. } => "resolved",
        }
    }

    /// Since when its condition held.
    #[must_use]
    pub const fn since(&self) -> Timestamp {
        match self {
            Self::Pending { since } | Self::Firing { since, .. } | Self::Resolved { since, .. } => *since,
        }
    }

    /// Since when it fires or fired.
    #[must_use]
    pub const fn fired(&self) -> Option<Timestamp> {
        match self {
            Self::Pending { .. } => None,
            Self::Firing { fired, .. } | Self::Resolved { fired, .. } => Some(*fired),
        }
    }

    /// When it ended.
    #[must_use]
    pub const fn ended(&self) -> Option<Timestamp> {
        match self {
            Self::Resolved { at, .. } => Some(*at),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PATIENCE: Patience = Patience {
        hold: Duration::from_secs(60),
        clear: Duration::from_secs(30),
    };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    /// Walks along what was seen and when; gives the states in one word each, with the second in which they changed.
    fn walk(patience: Patience, seen: &[(i64, Seen)]) -> String {
        let (mut state, mut told) = (None, Vec::new());
        for (second, seen) in seen {
            let next = AlertState::next(state, *seen, patience, at(*second));
            if next != state {
                let name = next.map_or("none", |state| match state {
                    AlertState::Firing {
                        clearing: Some(_), ..
                    } => "clearing",
                    _ => state.name(),
                });
                told.push(format!("{second}:{name}"));
            }
            state = next;
        }
        told.join(" ")
    }

    #[test]
    fn courses() {
        use Resolution::{Gone, Rule};
        use Seen::{Clear, Ended, Holds, Unknown};
        let check =
            |seen: &[(i64, Seen)], expected: &str| assert_eq!(walk(PATIENCE, seen), expected, "{seen:?}");
        check(&[(0, Clear), (1, Unknown), (2, Ended(Gone))], "");
        check(
            &[(0, Holds), (59, Holds), (60, Holds), (61, Holds)],
            "0:pending 60:firing",
        );
        check(
            &[(0, Holds), (30, Clear), (61, Holds)],
            "0:pending 30:none 61:pending",
        );
        // Silence neither fires nor clears.
        check(&[(0, Holds), (90, Unknown), (91, Holds)], "0:pending 91:firing");
        check(
            &[(0, Holds), (60, Holds), (70, Unknown), (999, Unknown)],
            "0:pending 60:firing",
        );
        check(
            &[
                (0, Holds),
                (60, Holds),
                (70, Clear),
                (99, Clear),
                (100, Clear),
                (101, Holds),
            ],
            "0:pending 60:firing 70:clearing 100:resolved",
        );
        check(
            &[
                (0, Holds),
                (60, Holds),
                (70, Clear),
                (80, Holds),
                (90, Clear),
                (119, Clear),
                (120, Clear),
            ],
            "0:pending 60:firing 70:clearing 80:firing 90:clearing 120:resolved",
        );
        check(
            &[(0, Holds), (60, Holds), (70, Clear), (80, Unknown), (105, Clear)],
            "0:pending 60:firing 70:clearing 80:firing 105:clearing",
        );
        check(
            &[(0, Holds), (60, Holds), (61, Ended(Rule))],
            "0:pending 60:firing 61:resolved",
        );
        check(&[(0, Holds), (1, Ended(Gone))], "0:pending 1:none");
        // A clock that is set back makes nobody hurry.
        check(
            &[(0, Holds), (-500, Holds), (59, Holds), (60, Holds)],
            "0:pending 60:firing",
        );
        let at_once = Patience::default();
        assert_eq!(walk(at_once, &[(0, Holds), (1, Clear)]), "0:firing 1:resolved");
    }

    fn seen() -> impl Strategy<Value = Seen> {
        prop_oneof![
            4 => Just(Seen::Holds),
            3 => Just(Seen::Clear),
            2 => Just(Seen::Unknown),
            1 => Just(Seen::Ended(Resolution::Gone)),
        ]
    }

    proptest! {
        #[test]
        fn fires_only_after_holding_without_a_break_and_ends_only_when_that_is_known(
            steps in prop::collection::vec((1_i64..40, seen()), 1..60)
        ) {
            let (mut state, mut now, mut held) = (None, 0, None);
            for (wait, seen) in steps {
                now += wait;
                let next = AlertState::next(state, seen, PATIENCE, at(now));
                match seen {
                    Seen::Holds => { held.get_or_insert(now); }
                    Seen::Unknown => {}
                    Seen::Clear | Seen::Ended(_) => held = None,
                }
                let was = |state: Option<AlertState>| state.is_some_and(|state| state.is_firing());
                if was(next) && !was(state) {
                    prop_assert!(held.is_some_and(|held| now - held >= 60));
                    prop_assert_eq!(seen, Seen::Holds);
                }
                if was(state) && !was(next) {
                    prop_assert!(matches!(seen, Seen::Clear | Seen::Ended(_)));
                }
                state = next.filter(|state| !state.is_resolved());
            }
        }
    }
}
