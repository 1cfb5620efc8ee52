//! Which hosts, by their labels.
//!
//! `key=value`, `key!=value`, `key`, `!key`, `key in (a,b)`, `key notin (a,b)`; several with commas must all hold. As in
//! Kubernetes, `!=` and `notin` also hold for a host without the label.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// Why a text is no selector.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{term:?} is no part of a label selector: {why} (use key=value, key!=value, key, !key, key in (a,b) or key notin (a,b), with commas between them)"
)]
pub struct SelectorError {
    /// The part that does not fit.
    pub term: String,
    /// What is wrong with it.
    pub why: &'static str,
}

/// One demand on the labels of a host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Term {
    Has(String),
    Lacks(String),
    Is(String, String),
    IsNot(String, String),
    OneOf(String, Vec<String>),
    NoneOf(String, Vec<String>),
}

/// Demands on the labels of a host, all of which must hold. Never empty: a selector that names every host by accident
/// does not exist.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector(Vec<Term>);

impl Selector {
    /// Whether a host with these labels is meant.
    #[must_use]
    pub fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|term| match term {
            Term::Has(key) => labels.contains_key(key),
            Term::Lacks(key) => !labels.contains_key(key),
            Term::Is(key, value) => labels.get(key) == Some(value),
            Term::IsNot(key, value) => labels.get(key) != Some(value),
            Term::OneOf(key, values) => labels.get(key).is_some_and(|held| values.contains(held)),
            Term::NoneOf(key, values) => labels.get(key).is_none_or(|held| !values.contains(held)),
        })
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let terms = split(text).into_iter().map(term).collect::<Result<Vec<_>, _>>()?;
        Ok(Self(terms))
    }
}

/// At the commas that are not within brackets.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0_u32, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(text.get(from..at).unwrap_or_default());
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(from..).unwrap_or_default());
    parts
}

fn term(text: &str) -> Result<Term, SelectorError> {
    let text = text.trim();
    let bad = |why| SelectorError {
        term: text.to_owned(),
        why,
    };
    let key = |part: &str| {
        let part = part.trim();
        let fits = |c: char| !c.is_whitespace() && !c.is_control() && !"=!(),".contains(c);
        if part.is_empty() {
            Err(bad("a label's name is missing"))
        } else if part.chars().all(fits) {
            Ok(part.to_owned())
        } else {
            Err(bad("a label's name has no blanks and none of = ! ( ) ,"))
        }
    };
    let value = |part: &str| {
        let part = part.trim();
        if part.chars().any(|c| "(),".contains(c) || c.is_control()) {
            Err(bad("a value has none of ( ) ,"))
        } else {
            Ok(part.to_owned())
        }
    };
    if let Some((before, list)) = text.split_once('(') {
        let list = list
            .strip_suffix(')')
            .ok_or_else(|| bad("the bracket is not closed"))?;
        let words: Vec<_> = before.split_whitespace().collect();
        let values = list.split(',').map(value).collect::<Result<Vec<_>, _>>()?;
        return match words.as_slice() {
            [name, "in"] => Ok(Term::OneOf(key(name)?, values)),
            [name, "notin"] => Ok(Term::NoneOf(key(name)?, values)),
            _ => Err(bad("before a list stands `key in` or `key notin`")),
        };
    }
    if let Some((name, held)) = text.split_once("!=") {
        return Ok(Term::IsNot(key(name)?, value(held)?));
    }
    if let Some((name, held)) = text.split_once('=') {
        let held = held.strip_prefix('=').unwrap_or(held);
        return Ok(Term::Is(key(name)?, value(held)?));
    }
    match text.strip_prefix('!') {
        Some(name) => Ok(Term::Lacks(key(name)?)),
        None => Ok(Term::Has(key(text)?)),
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, term) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            match term {
                Term::Has(key) => f.write_str(key)?,
                Term::Lacks(key) => write!(f, "!{key}")?,
                Term::Is(key, value) => write!(f, "{key}={value}")?,
                Term::IsNot(key, value) => write!(f, "{key}!={value}")?,
                Term::OneOf(key, values) => write!(f, "{key} in ({})", values.join(","))?,
                Term::NoneOf(key, values) => write!(f, "{key} notin ({})", values.join(","))?,
            }
        }
        Ok(())
    }
}

impl Serialize for Selector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Selector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl utoipa::PartialSchema for Selector {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some("Label selector; all of its parts must hold."))
            .examples(["site=paris,tier in (web,edge),!spare"])
            .build()
            .into()
    }
}

#[cfg(feature = "schema")]
impl utoipa::ToSchema for Selector {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_means() {
        let labels = |text: &str| -> BTreeMap<String, String> {
            let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
            pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
        };
        let check = |selector: &str, host: &str, held: bool| {
            let parsed: Selector = selector.parse().unwrap();
            assert_eq!(parsed.holds(&labels(host)), held, "{selector} on {host}");
            let again: Selector = parsed.to_string().parse().unwrap();
            assert_eq!(again, parsed, "{selector}");
            let json = serde_json::to_string(&parsed).unwrap();
            assert_eq!(serde_json::from_str::<Selector>(&json).unwrap(), parsed);
        };
        check("site=paris", "site=paris tier=web", true);
        check("site==paris", "site=rome", false);
        check("site = paris , tier=web", "site=paris tier=web", true);
        check("site=paris,tier=web", "site=paris", false);
        check("site!=paris", "site=rome", true);
        check("site!=paris", "", true);
        check("site!=paris", "site=paris", false);
        check("site", "site=", true);
        check("site=", "site=", true);
        check("!site", "site=rome", false);
        check("!site", "tier=web", true);
        check("tier in (web, edge)", "tier=edge", true);
        check("tier in (web,edge)", "", false);
        check("tier notin (web,edge),site", "tier=db site=x", true);
        check("tier notin (web,edge)", "tier=web", false);
        check("tier notin (web)", "", true);
        check("app.kubernetes.io/name=a=b", "app.kubernetes.io/name=a=b", true);
    }

    #[test]
    fn what_it_refuses() {
        for (text, why) in [
            ("", "missing"),
            ("a=b,", "missing"),
            ("=b", "missing"),
            ("!", "missing"),
            ("a b", "blanks"),
            ("a in (b", "not closed"),
            ("a of (b)", "stands"),
            ("in (b)", "stands"),
            ("a=(b)", "stands"),
            ("!a=b", "blanks"),
        ] {
            let error = text.parse::<Selector>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
