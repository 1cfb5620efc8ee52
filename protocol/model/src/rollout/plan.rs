//! How a rollout goes about it, and who is in which wave.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// A number of hosts, as such or as a share of all: `3` or `25%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Amount {
    /// So many.
    Count(u32),
    /// So many of a hundred, 0–100.
    Percent(u8),
}

/// Why a text is no amount.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is no number of hosts: use a count like 3 or a share like 25%")]
pub struct AmountError(pub String);

impl Amount {
    /// Of `total`, rounded up: a share of a small fleet is still a host.
    #[must_use]
    pub fn at_least(self, total: u32) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Percent(share) => share_of(share, total, 99),
        }
    }

    /// Of `total`, rounded down: what is tolerated is never more than was said.
    #[must_use]
    pub fn at_most(self, total: u32) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Percent(share) => share_of(share, total, 0),
        }
    }
}

fn share_of(share: u8, total: u32, round: u64) -> u32 {
    let hosts = (u64::from(total) * u64::from(share) + round) / 100;
    u32::try_from(hosts).unwrap_or(u32::MAX)
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(share) => write!(f, "{share}%"),
        }
    }
}

impl FromStr for Amount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        let bad = || AmountError(text.to_owned());
        match text.strip_suffix('%') {
            Some(share) => match share.parse() {
                Ok(share @ 0..=100) => Ok(Self::Percent(share)),
                _ => Err(bad()),
            },
            None => text.parse().map(Self::Count).map_err(|_| bad()),
        }
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl utoipa::PartialSchema for Amount {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .pattern(Some("^([0-9]+|([0-9]|[1-9][0-9]|100)%)$"))
            .description(Some("A number of hosts, or a share of all."))
            .examples(["25%"])
            .build()
            .into()
    }
}

#[cfg(feature = "schema")]
impl utoipa::ToSchema for Amount {}

/// What stands between two waves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Pause {
    /// So long, in seconds.
    Time {
        /// Seconds; 0 goes on at once.
        seconds: u32,
    },
    /// Until a person says so.
    Manual,
}

impl Default for Pause {
    fn default() -> Self {
        Self::Time { seconds: 0 }
    }
}

/// What happens when more hosts fail than are tolerated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// Nothing new begins; what is changed stays.
    #[default]
    Stop,
    /// Every host that this rollout has changed gets the revision it had before.
    Rollback,
}

/// How a rollout goes about it. What is absent has the value of [`RolloutPlan::default`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct RolloutPlan {
    /// Size of the first wave, if it shall be another one than that of the rest. A share is rounded up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<Amount>,
    /// Size of each further wave. A share is one of all hosts, rounded up; the default is all at once.
    pub wave: Amount,
    /// What stands between two waves, after the gate.
    pub pause: Pause,
    /// Seconds for which every host of a wave must stay well before the next one may begin.
    pub gate_s: u32,
    /// Seconds that a wave waits for hosts that are not there. After them a host that the deployment never reached
    /// counts as unreachable, and one that fell silent with it as failed.
    pub deadline_s: u32,
    /// Most hosts that may fail; one more is too many. A share is rounded down.
    pub max_failures: Amount,
    /// What then happens.
    pub on_failure: OnFailure,
}

impl Default for RolloutPlan {
    fn default() -> Self {
        Self {
            canary: None,
            wave: Amount::Percent(100),
            pause: Pause::default(),
            gate_s: 10,
            deadline_s: 600,
            max_failures: Amount::Count(0),
            on_failure: OnFailure::Stop,
        }
    }
}

/// Why a plan cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanError {
    /// There is nobody to deploy to.
    #[error("no host is meant")]
    NoHosts,
    /// A wave of nobody.
    #[error("{0}: a wave has at least one host; use a count from 1 or a share from 1%")]
    EmptyWave(&'static str),
    /// More waves than anybody wants to look at.
    #[error(
        "{waves} waves are too many: at most {}; choose a larger wave",
        RolloutPlan::MAX_WAVES
    )]
    TooManyWaves {
        /// So many it would be.
        waves: u32,
    },
    /// A time that is longer than it may be.
    #[error("{field}: at most {} s (30 days)", RolloutPlan::MAX_SECONDS)]
    TooLong {
        /// Which.
        field: &'static str,
    },
}

impl RolloutPlan {
    /// Most waves of a rollout.
    pub const MAX_WAVES: u32 = 500;
    /// Longest pause, gate and deadline.
    pub const MAX_SECONDS: u32 = 30 * 24 * 3_600;

    /// Sizes of the waves for so many hosts; they add up to all of them.
    ///
    /// # Errors
    /// A plan that makes no sense for so many hosts.
    pub fn waves(&self, total: u32) -> Result<Vec<u32>, PlanError> {
        let pause = match self.pause {
            Pause::Time { seconds } => seconds,
            Pause::Manual => 0,
        };
        for (field, seconds) in [
            ("pause", pause),
            ("gate_s", self.gate_s),
            ("deadline_s", self.deadline_s),
        ] {
            if seconds > Self::MAX_SECONDS {
                return Err(PlanError::TooLong { field });
            }
        }
        if total == 0 {
            return Err(PlanError::NoHosts);
        }
        let size = self.wave.at_least(total).min(total);
        let first = self
            .canary
            .map_or(size, |canary| canary.at_least(total).min(total));
        if size == 0 {
            return Err(PlanError::EmptyWave("wave"));
        }
        if first == 0 {
            return Err(PlanError::EmptyWave("canary"));
        }
        let rest = total - first;
        let waves = 1 + rest.div_ceil(size);
        if waves > Self::MAX_WAVES {
            return Err(PlanError::TooManyWaves { waves });
        }
        let mut sizes = vec![first];
        let mut left = rest;
        while left > 0 {
            let next = left.min(size);
            sizes.push(next);
            left -= next;
        }
        Ok(sizes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plan(canary: &str, wave: &str) -> RolloutPlan {
        RolloutPlan {
            canary: (!canary.is_empty()).then(|| canary.parse().unwrap()),
            wave: wave.parse().unwrap(),
            ..RolloutPlan::default()
        }
    }

    #[test]
    fn who_is_in_which_wave() {
        let check = |canary, wave, total, sizes: &[u32]| {
            assert_eq!(
                plan(canary, wave).waves(total).unwrap(),
                sizes,
                "{canary} {wave} {total}"
            );
        };
        check("", "100%", 7, &[7]);
        check("1", "25%", 10, &[1, 3, 3, 3]);
        check("10%", "25%", 40, &[4, 10, 10, 10, 6]);
        check("1%", "50%", 3, &[1, 2]);
        check("5", "2", 4, &[4]);
        check("", "4", 9, &[4, 4, 1]);
        check("100%", "1", 9, &[9]);
    }

    #[test]
    fn what_makes_no_sense() {
        let check = |plan: RolloutPlan, total, says: &str| {
            let error = plan.waves(total).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        };
        check(plan("", "100%"), 0, "no host");
        check(plan("0", "100%"), 4, "canary");
        check(plan("", "0%"), 4, "wave");
        check(plan("", "1"), 501, "501 waves");
        let long = RolloutPlan {
            gate_s: u32::MAX,
            ..RolloutPlan::default()
        };
        check(long, 1, "gate_s");
        for bad in ["", "x", "-1", "101%", "1.5%", "%"] {
            assert!(bad.parse::<Amount>().is_err(), "{bad}");
        }
        assert_eq!(Amount::Percent(5).at_most(19), 0);
        assert_eq!(Amount::Percent(5).at_most(20), 1);
    }

    proptest! {
        #[test]
        fn waves_hold_everybody_once(canary in proptest::option::of(1_u32..200), wave in 1_u8..=100, total in 1_u32..10_000) {
            let plan = RolloutPlan {
                canary: canary.map(Amount::Count),
                wave: Amount::Percent(wave),
                ..RolloutPlan::default()
            };
            let sizes = plan.waves(total).unwrap();
            prop_assert_eq!(sizes.iter().sum::<u32>(), total);
            prop_assert!(sizes.iter().all(|size| *size > 0));
            prop_assert!(sizes.len() <= 101);
        }
    }
}
