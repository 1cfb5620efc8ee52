//! What a plan was made from, part by part: whoever executes the plan later can tell whether the world moved, and name
//! what moved.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Fingerprints by part. The name of a part is for people (`container web-db-1`, `service db`, `image busybox:1`); the
/// fingerprint is opaque, but for a first word that two states of the same object can differ in (`up`, `down`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Pin {
    /// Digest of the steps: 32 hex digits.
    pub steps: String,
    /// Fingerprints of what the steps were decided from.
    pub parts: BTreeMap<String, String>,
}

impl Pin {
    /// A pin names no more parts than this, and none longer than [`Pin::TEXT`] bytes.
    pub const PARTS: usize = 20_000;
    /// Longest name or fingerprint in bytes.
    pub const TEXT: usize = 1_024;

    /// What moved between this pin and the `present` one, in words, by name. Empty if nothing did.
    #[must_use]
    pub fn moved(&self, present: &Self) -> Vec<String> {
        let names: BTreeSet<&String> = self.parts.keys().chain(present.parts.keys()).collect();
        let mut out: Vec<String> = names
            .into_iter()
            .filter_map(|name| {
                let text = match (self.parts.get(name), present.parts.get(name)) {
                    (Some(then), Some(now)) if then == now => return None,
                    (Some(then), Some(now)) => changed(then, now),
                    (Some(_), None) => "is gone",
                    (None, _) => "is new",
                };
                Some(format!("{name} {text}"))
            })
            .collect();
        if out.is_empty() && self.steps != present.steps {
            out.push("the steps are others, although what they are made from is the same".to_owned());
        }
        out
    }

    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.parts.is_empty()
    }

    /// Whether its size is within bounds; a pin can come from anybody.
    #[must_use]
    pub fn is_reasonable(&self) -> bool {
        self.steps.len() <= Self::TEXT
            && self.parts.len() <= Self::PARTS
            && self
                .parts
                .iter()
                .all(|(name, print)| name.len() <= Self::TEXT && print.len() <= Self::TEXT)
    }
}

fn changed(then: &str, now: &str) -> &'static str {
    let (then_word, then_rest) = then.split_once(' ').unwrap_or(("", then));
    let (now_word, now_rest) = now.split_once(' ').unwrap_or(("", now));
    match (then_rest == now_rest, then_word, now_word) {
        (true, "up", "down") => "has stopped",
        (true, "down", "up") => "runs now",
        _ => "is not the same any more",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_moved() {
        let pin = |parts: &[(&str, &str)]| Pin {
            steps: "s".to_owned(),
            parts: parts
                .iter()
                .map(|(name, print)| ((*name).to_owned(), (*print).to_owned()))
                .collect(),
        };
        let check = |then: &[(&str, &str)], now: &[(&str, &str)], moved: &[&str]| {
            assert_eq!(pin(then).moved(&pin(now)), moved, "{then:?} {now:?}");
        };
        check(&[], &[], &[]);
        check(&[("container a", "up 1")], &[("container a", "up 1")], &[]);
        check(&[("container a", "up 1")], &[], &["container a is gone"]);
        check(&[], &[("container a", "up 1")], &["container a is new"]);
        check(
            &[("container a", "up 1"), ("image i", "1"), ("service s", "x")],
            &[("container a", "down 1"), ("image i", "2"), ("service s", "x")],
            &["container a has stopped", "image i is not the same any more"],
        );
        check(
            &[("container a", "up 1")],
            &[("container a", "down 2")],
            &["container a is not the same any more"],
        );
        let other = Pin {
            steps: "t".to_owned(),
            ..Pin::default()
        };
        assert_eq!(pin(&[]).moved(&other).len(), 1);
    }
}
