//! `.dockerignore`: which files of a context stay at home. The last pattern that fits decides.

use std::path::{Component, Path};

/// The patterns of one file.
#[derive(Debug, Default)]
pub(super) struct Ignore(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    /// False for an exception: `!PATTERN`.
    hides: bool,
    pattern: Vec<Token>,
}

#[derive(Debug)]
enum Token {
    Letter(char),
    /// `?`
    One,
    /// `*`: within a directory.
    Star,
    /// `**`: anything.
    Deep,
    /// `**/`: no directory, or any.
    DeepDir,
    /// `[a-z]`, `[^a-z]`
    Class {
        not: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Ignore {
    pub(super) fn parse(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = text.lines().filter(|line| !line.starts_with('#')).map(str::trim);
        Self(lines.filter_map(rule).collect())
    }

    /// Whether something below a hidden directory may be taken back in.
    pub(super) fn has_exceptions(&self) -> bool {
        self.0.iter().any(|rule| !rule.hides)
    }

    /// Whether a path, relative to the context, stays at home. A pattern that fits a directory fits what is in it.
    pub(super) fn hides(&self, path: &Path) -> bool {
        let text = path.to_string_lossy();
        let ends: Vec<usize> = text
            .match_indices('/')
            .map(|(at, _)| at)
            .chain([text.len()])
            .collect();
        let fits = |rule: &Rule| {
            ends.iter()
                .any(|end| text.get(..*end).is_some_and(|part| matches(&rule.pattern, part)))
        };
        self.0.iter().fold(false, |hidden, rule| {
            // A rule that would change nothing need not be looked at.
            if rule.hides == hidden || !fits(rule) {
                hidden
            } else {
                rule.hides
            }
        })
    }
}

fn rule(line: &str) -> Option<Rule> {
    let (hides, pattern) = line
        .strip_prefix('!')
        .map_or((true, line), |rest| (false, rest.trim()));
    let mut parts: Vec<&str> = Vec::new();
    for part in Path::new(pattern).components() {
        match part {
            Component::Normal(name) => parts.push(name.to_str()?),
            Component::ParentDir => drop(parts.pop()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    let clean = parts.join("/");
    (!clean.is_empty()).then(|| Rule {
        hides,
        pattern: tokens(&clean),
    })
}

fn tokens(pattern: &str) -> Vec<Token> {
    let mut out = Vec::new();
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        out.push(match letter {
            '*' if letters.peek() == Some(&'*') => {
                while letters.next_if_eq(&'*').is_some() {}
                if letters.next_if_eq(&'/').is_some() {
                    Token::DeepDir
                } else {
                    Token::Deep
                }
            }
            '*' => Token::Star,
            '?' => Token::One,
            '\\' => Token::Letter(letters.next().unwrap_or('\\')),
            '[' => {
                let not = letters.next_if_eq(&'^').is_some();
                let mut ranges = Vec::new();
                while let Some(from) = letters.next().filter(|letter| *letter != ']') {
                    let from = if from == '\\' {
                        letters.next().unwrap_or(from)
                    } else {
                        from
                    };
                    let to = match letters.next_if_eq(&'-') {
                        Some(_) => letters.next().unwrap_or(from),
                        None => from,
                    };
                    ranges.push((from, to));
                }
                Token::Class { not, ranges }
            }
            other => Token::Letter(other),
        });
    }
    out
}

/// All places of the pattern at once, so that no pattern takes longer than its length times the path's.
fn matches(pattern: &[Token], path: &str) -> bool {
    let mut places = vec![false; pattern.len() + 1];
    enter(pattern, &mut places, 0);
    for letter in path.chars() {
        let mut next = vec![false; places.len()];
        for (at, token) in pattern.iter().enumerate() {
            if !places.get(at).is_some_and(|here| *here) {
                continue;
            }
            match token {
                Token::Letter(wanted) if *wanted == letter => enter(pattern, &mut next, at + 1),
                Token::One if letter != '/' => enter(pattern, &mut next, at + 1),
                Token::Star if letter != '/' => enter(pattern, &mut next, at),
                Token::Deep => enter(pattern, &mut next, at),
                Token::DeepDir => {
                    stay(&mut next, at);
                    if letter == '/' {
                        enter(pattern, &mut next, at + 1);
                    }
                }
                Token::Class { not, ranges } => {
                    let within = ranges.iter().any(|(from, to)| (*from..=*to).contains(&letter));
                    if within != *not && letter != '/' {
                        enter(pattern, &mut next, at + 1);
                    }
                }
                _ => {}
            }
        }
        places = next;
    }
    places.last().is_some_and(|end| *end)
}

fn stay(places: &mut [bool], at: usize) {
    if let Some(place) = places.get_mut(at) {
        *place = true;
    }
}

/// Stars may also stand for nothing.
fn enter(pattern: &[Token], places: &mut [bool], at: usize) {
    stay(places, at);
    if let Some(Token::Star | Token::Deep | Token::DeepDir) = pattern.get(at) {
        enter(pattern, places, at + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(patterns: &str, path: &str, hidden: bool) {
        let ignore = Ignore::parse(patterns);
        assert_eq!(ignore.hides(Path::new(path)), hidden, "{patterns:?} on {path}");
    }

    #[test]
    fn rules_of_the_reference() {
        check("# comment\n*.log", "x.log", true);
        check("*.log", "sub/x.log", false);
        check("**/*.log", "sub/deep/x.log", true);
        check("**/*.log", "x.log", true);
        check("node_modules", "node_modules/a/b.js", true);
        check("/node_modules/", "node_modules", true);
        check("**/tmp", "deep/down/tmp/file", true);
        check("**/tmp", "deep/tmpfile", false);
        check("docs/*\n!docs/keep.md", "docs/keep.md", false);
        check("docs/*\n!docs/keep.md", "docs/other.md", true);
        check("!docs/keep.md\ndocs", "docs/keep.md", true);
        check("docs\n!docs/keep", "docs/keep/below", false);
        check("a?c", "abc", true);
        check("a?c", "a/c", false);
        check("./a/../b", "b", true);
        check("[a-c]x", "bx", true);
        check("[^a-c]x", "bx", false);
        check("[^a-c]x", "dx", true);
        check("a\\*b", "a*b", true);
        check("a\\*b", "axb", false);
        check("foo**bar", "foo/x/bar", true);
        check("**", "anything/at/all", true);
        check("*\n!src", "src/main.rs", false);
        check(" spaced ", "spaced", true);
        check("\u{feff}bom", "bom", true);
        check(".", "a", false);
        check("", "a", false);
    }

    #[test]
    fn no_pattern_takes_forever() {
        check(&"*a".repeat(60), &"a".repeat(200).replace("aa", "ab"), false);
        check(&"**/".repeat(60), &"a/".repeat(100), true);
    }
}
