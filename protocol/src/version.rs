//! Protocol versions. The ALPN carries the framing; the version chosen in the hello carries everything else.

use std::fmt;

use serde::{Deserialize, Serialize};

/// ALPN of the control connection. The number names the framing, not the protocol version.
pub const ALPN_CONTROL: &[u8] = b"windflow/1";
/// ALPN of enrolment and re-attestation; nothing else can be reached on it.
pub const ALPN_ENROLL: &[u8] = b"windflow-enroll/1";

/// A protocol version. History:
///
/// - 1: hello, resume, assignments, reports, progress, inventory, containers, renewal, log and plan streams. Later, skipped or refused
///   by who does not know them: samples and the pace of them; terminals; files; events and
///   the proof of the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version(pub u16);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The versions one side speaks, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRange {
    /// Oldest.
    pub min: Version,
    /// Newest.
    pub max: Version,
}

impl VersionRange {
    /// What this build speaks.
    pub const SUPPORTED: Self = Self {
        min: Version(1),
        max: Version(1),
    };

    /// The newest version both ranges hold.
    #[must_use]
    pub fn common(self, other: Self) -> Option<Version> {
        let best = self.max.min(other.max);
        (best >= self.min && best >= other.min).then_some(best)
    }

    /// Whether `version` lies in the range.
    #[must_use]
    pub fn holds(self, version: Version) -> bool {
        self.min <= version && version <= self.max
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max {
            write!(f, "{}", self.min)
        } else {
            write!(f, "{} to {}", self.min, self.max)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_common_version_is_chosen() {
        let range = |min, max| VersionRange {
            min: Version(min),
            max: Version(max),
        };
        let check = |a: VersionRange, b: VersionRange, expected: Option<u16>| {
            assert_eq!(a.common(b), expected.map(Version), "{a} and {b}");
            assert_eq!(b.common(a), expected.map(Version), "{b} and {a}");
        };
        check(range(1, 1), range(1, 1), Some(1));
        check(range(1, 3), range(2, 5), Some(3));
        check(range(1, 2), range(3, 4), None);
        check(range(1, 9), range(4, 4), Some(4));
    }
}
