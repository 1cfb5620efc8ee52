//! A search, made ready: whether a line matches, and what the bytes of every matching line hold.

use regex_lite::{Regex, RegexBuilder};
use serde_json::Value;

use super::{FieldTest, FieldTestError, LogLevel, LogSearch, literal, printable};

/// Texts and tests of one search.
const MOST_TESTS: usize = 32;
/// Length of each in bytes.
const MOST_BYTES: usize = 1024;
/// What a compiled expression may take: 64 KiB hold what a person writes, and no bomb of repetitions.
const REGEX_SIZE: usize = 64 << 10;

/// A search that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogSearchError {
    /// The expression cannot be compiled.
    #[error("`{pattern}` is no regular expression that can be searched for: {problem}")]
    Regex {
        /// As it was written.
        pattern: String,
        /// What the parser says.
        problem: String,
    },
    /// A test of a field that cannot hold.
    #[error(transparent)]
    Field(#[from] FieldTestError),
    /// Too many.
    #[error(
        "a search has at most {MOST_TESTS} texts and tests of fields, and each at most {MOST_BYTES} bytes"
    )]
    TooLarge,
    /// More matches than may be asked for.
    #[error(
        "a search gives at most {} lines of each host: ask for a shorter time instead",
        LogSearch::MOST
    )]
    Limit,
    /// Nothing to look for.
    #[error("the search is empty: give it a text, a regular expression, a level or a field")]
    Empty,
}

/// Whether lines match.
#[derive(Debug, Clone)]
pub struct LogMatcher {
    texts: Vec<Needle>,
    regex: Option<Regex>,
    /// Of the expression; in small letters unless these are told apart.
    regex_literal: String,
    case_sensitive: bool,
    level: Option<LogLevel>,
    fields: Vec<FieldTest>,
}

#[derive(Debug, Clone)]
enum Needle {
    Exact(String),
    /// Small letters of ASCII.
    Ascii(String),
    /// Small letters of any alphabet.
    Folded(String),
}

impl LogSearch {
    /// Makes it ready.
    ///
    /// # Errors
    /// What of it cannot be searched for.
    pub fn matcher(&self) -> Result<LogMatcher, LogSearchError> {
        let sizes = self.texts.iter().map(String::len);
        let sizes = sizes.chain(self.fields.iter().map(|test| test.field.len() + test.value.len()));
        let longest = sizes.chain(self.regex.iter().map(String::len)).max().unwrap_or(0);
        if self.texts.len() + self.fields.len() > MOST_TESTS || longest > MOST_BYTES {
            return Err(LogSearchError::TooLarge);
        }
        if self.limit > Self::MOST {
            return Err(LogSearchError::Limit);
        }
        for test in &self.fields {
            test.check()?;
        }
        let texts: Vec<Needle> = self
            .texts
            .iter()
            .filter(|text| !text.is_empty())
            .map(|text| match (self.case_sensitive, text.is_ascii()) {
                (true, _) => Needle::Exact(text.clone()),
                (false, true) => Needle::Ascii(text.to_ascii_lowercase()),
                (false, false) => Needle::Folded(text.to_lowercase()),
            })
            .collect();
        let pattern = self.regex.as_deref().filter(|pattern| !pattern.is_empty());
        let regex = pattern.map(|pattern| {
            RegexBuilder::new(pattern)
                .case_insensitive(!self.case_sensitive)
                .size_limit(REGEX_SIZE)
                .build()
                .map_err(|error| LogSearchError::Regex {
                    pattern: pattern.to_owned(),
                    problem: error.to_string(),
                })
        });
        let mut regex_literal = pattern.map(literal::of_regex).unwrap_or_default();
        if !self.case_sensitive {
            regex_literal.make_ascii_lowercase();
        }
        let matcher = LogMatcher {
            regex_literal,
            case_sensitive: self.case_sensitive,
            texts,
            regex: regex.transpose()?,
            level: self.level,
            fields: self.fields.clone(),
        };
        let empty = matcher.texts.is_empty()
            && matcher.regex.is_none()
            && matcher.level.is_none()
            && matcher.fields.is_empty();
        if empty {
            Err(LogSearchError::Empty)
        } else {
            Ok(matcher)
        }
    }
}

impl LogMatcher {
    /// Whether a line matches.
    #[must_use]
    pub fn matches(&self, line: &str) -> bool {
        let plain = printable(line, false);
        if !self.texts.iter().all(|needle| needle.is_in(&plain)) {
            return false;
        }
        if self.regex.as_ref().is_some_and(|regex| !regex.is_match(&plain)) {
            return false;
        }
        if self.level.is_none() && self.fields.is_empty() {
            return true;
        }
        let object = plain.trim_start();
        let json: Option<Value> = object
            .starts_with('{')
            .then(|| serde_json::from_str(object).ok())
            .flatten();
        let level = self
            .level
            .is_none_or(|wanted| LogLevel::of(&plain, json.as_ref()).is_some_and(|level| level >= wanted));
        level
            && self
                .fields
                .iter()
                .all(|test| json.as_ref().is_some_and(|json| test.holds(json)))
    }

    /// Bytes that every matching line holds (`true`: in capital or small letters), without any that a JSON text could write in
    /// another way; the longest such run. `None`: there are none to rely on.
    #[must_use]
    pub fn literal(&self) -> Option<(&[u8], bool)> {
        let runs = self.texts.iter().filter_map(|needle| match needle {
            Needle::Exact(text) => Some((plain_run(text), false)),
            Needle::Ascii(text) => Some((plain_run(text), true)),
            Needle::Folded(_) => None,
        });
        let of_regex = (self.regex_literal.as_bytes(), !self.case_sensitive);
        runs.chain([of_regex])
            .filter(|(run, _)| !run.is_empty())
            .max_by_key(|(run, _)| run.len())
    }
}

impl Needle {
    fn is_in(&self, line: &str) -> bool {
        match self {
            Self::Exact(text) => line.contains(text.as_str()),
            Self::Ascii(text) => {
                let (line, text) = (line.as_bytes(), text.as_bytes());
                line.windows(text.len())
                    .any(|window| window.eq_ignore_ascii_case(text))
            }
            Self::Folded(text) => line.to_lowercase().contains(text.as_str()),
        }
    }
}

/// The longest run of what neither JSON nor a coloured line writes in another way within a word: a colour may begin or end at a
/// space or sign.
fn plain_run(text: &str) -> &[u8] {
    text.as_bytes()
        .split(|byte| !byte.is_ascii_alphanumeric())
        .max_by_key(|run| run.len())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn search(texts: &[&str]) -> LogSearch {
        LogSearch {
            texts: texts.iter().map(|text| (*text).to_owned()).collect(),
            ..LogSearch::default()
        }
    }

    #[test]
    fn lines_match_when_all_holds() {
        let regex = |pattern: &str| LogSearch {
            regex: Some(pattern.to_owned()),
            ..LogSearch::default()
        };
        let exact = |texts: &[&str]| LogSearch {
            case_sensitive: true,
            ..search(texts)
        };
        let level = |level, texts: &[&str]| LogSearch {
            level: Some(level),
            ..search(texts)
        };
        let fields = |tests: &[&str]| LogSearch {
            fields: tests.iter().map(|test| test.parse().unwrap()).collect(),
            ..LogSearch::default()
        };
        let cases: &[(LogSearch, &str, bool)] = &[
            (search(&["timeout"]), "a TimeOut of 3 s", true),
            (search(&["timeout", "3 s"]), "a TimeOut of 3 s", true),
            (search(&["timeout", "4 s"]), "a TimeOut of 3 s", false),
            (exact(&["timeout"]), "a TimeOut of 3 s", false),
            (exact(&["TimeOut"]), "a TimeOut of 3 s", true),
            (search(&["échec"]), "ÉCHEC de la connexion", true),
            (
                search(&["out of"]),
                "\u{1b}[31mtime\u{1b}[0mout \u{1b}[1mof",
                true,
            ),
            (regex(r"took \d{3,} ms$"), "it took 250 ms", true),
            (regex(r"took \d{3,} ms$"), "it took 25 ms", false),
            (regex("^GET /a|^put"), "PUT /b", true),
            (level(LogLevel::Warn, &[]), "ERROR it broke", true),
            (level(LogLevel::Warn, &[]), "INFO it works", false),
            (level(LogLevel::Warn, &[]), "nobody knows", false),
            (
                level(LogLevel::Error, &["disk"]),
                r#"{"level":"error","msg":"the Disk is full"}"#,
                true,
            ),
            (
                fields(&["status>=500", "path~login"]),
                r#" {"status":502,"path":"/login"}"#,
                true,
            ),
            (
                fields(&["status>=500", "path~login"]),
                r#"{"status":502,"path":"/"}"#,
                false,
            ),
            (fields(&["status>=500"]), "status=502", false),
        ];
        for (search, line, wanted) in cases {
            assert_eq!(
                search.matcher().unwrap().matches(line),
                *wanted,
                "{search:?} in {line}"
            );
        }
    }

    #[test]
    fn a_search_that_cannot_be_made_is_refused() {
        let regex = |pattern: &str| LogSearch {
            regex: Some(pattern.to_owned()),
            ..LogSearch::default()
        };
        let cases: &[(LogSearch, &str)] = &[
            (LogSearch::default(), "empty"),
            (search(&[""]), "empty"),
            (regex("a("), "`a(` is no regular expression"),
            (
                regex("((((a{99}){99}){99}){99})"),
                "no regular expression that can be searched for",
            ),
            (search(&["x"; 40]), "at most 32"),
            (search(&["x".repeat(2000).as_str()]), "1024 bytes"),
            (
                LogSearch {
                    limit: 10_001,
                    ..search(&["x"])
                },
                "10000 lines",
            ),
        ];
        for (search, wanted) in cases {
            let error = search.matcher().unwrap_err().to_string();
            assert!(error.contains(wanted), "{error} tells {wanted}");
        }
    }

    proptest! {
        /// A line that matches holds the literal, as Docker writes it into its file, too.
        #[test]
        fn the_literal_is_in_every_matching_line(
            text in "[a-zA-Z0-9 <>&\"é/=.-]{1,12}", before in "(\\PC|\t){0,20}", after in "(\\PC|\t){0,20}", case_sensitive: bool
        ) {
            let search = LogSearch { case_sensitive, ..search(&[text.as_str()]) };
            let matcher = search.matcher().unwrap();
            let line = format!("{before}{text}{after}");
            prop_assert!(matcher.matches(&line));
            if let Some((literal, folded)) = matcher.literal() {
                let written = serde_json::to_string(&line).unwrap();
                let written = if folded { written.to_ascii_lowercase() } else { written };
                prop_assert!(written.as_bytes().windows(literal.len()).any(|window| window == literal));
            }
        }
    }
}
