//! What a container writes is foreign text: it may colour itself, and do nothing else to the terminal that shows it.

use std::{borrow::Cow, ops::RangeInclusive};

const ESCAPE: char = '\u{1b}';
const BELL: char = '\u{7}';

/// The line without what a terminal would obey: cursor moves, titles, the clipboard, links, bells (ECMA-48). Colours stay if they are wanted; tabs always do.
#[must_use]
pub fn printable(line: &str, colours: bool) -> Cow<'_, str> {
    if !line.chars().any(is_control) {
        return Cow::Borrowed(line);
    }
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(is_control) {
        plain.push_str(rest.get(..at).unwrap_or_default());
        let found = rest.get(at..).unwrap_or_default();
        let length = sequence(found);
        let (one, behind) = found.split_at_checked(length).unwrap_or((found, ""));
        if colours && is_colour(one) {
            plain.push_str(one);
        }
        rest = behind;
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

/// Several lines, without colours.
#[must_use]
pub fn printable_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(|line| printable(line, false)).collect();
    lines.join("\n")
}

/// C0 but the tab, DEL, and C1, which some terminals obey as well.
fn is_control(letter: char) -> bool {
    letter.is_control() && letter != '\t'
}

/// How many bytes belong to the control that a text begins with. Of a sequence that does not end, only its beginning does: what is
/// behind it is text that nothing obeys any more.
fn sequence(text: &str) -> usize {
    let mut letters = text.chars();
    let (first, second) = (letters.next(), letters.next());
    let (Some(ESCAPE), Some(introducer)) = (first, second) else {
        return first.map_or(0, char::len_utf8);
    };
    let rest = text.get(1 + introducer.len_utf8()..).unwrap_or_default();
    let length = match introducer {
        '[' => ended(rest, ' '..='?', '@'..='~'),
        // DCS, SOS, OSC, PM, APC: strings that end with a bell or with ST.
        'P' | 'X' | ']' | '^' | '_' => {
            let bell = rest.find(BELL).map(|at| at + 1);
            let st = rest.find("\u{1b}\\").map(|at| at + 2);
            bell.into_iter().chain(st).min()
        }
        // Intermediates, then the end.
        ' '..='/' => ended(rest, ' '..='/', '0'..='~'),
        '0'..='~' => Some(0),
        _ => return 1,
    };
    length.map_or(2, |length| 2 + length)
}

/// How long a text is whose letters are within a range, and its end.
fn ended(text: &str, within: RangeInclusive<char>, end: RangeInclusive<char>) -> Option<usize> {
    let (at, last) = text.char_indices().find(|(_, letter)| !within.contains(letter))?;
    end.contains(&last).then_some(at + 1)
}

/// SGR: `ESC [ numbers m`.
fn is_colour(sequence: &str) -> bool {
    let numbers = sequence
        .strip_prefix("\u{1b}[")
        .and_then(|rest| rest.strip_suffix('m'));
    numbers.is_some_and(|numbers| {
        numbers
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b';' | b':'))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_colours_are_left() {
        for (line, coloured, plain) in [
            ("as it is\té", "as it is\té", "as it is\té"),
            ("\u{1b}[31mred\u{1b}[0m", "\u{1b}[31mred\u{1b}[0m", "red"),
            (
                "\u{1b}[38;5;208mx\u{1b}[4:3my",
                "\u{1b}[38;5;208mx\u{1b}[4:3my",
                "xy",
            ),
            ("a\u{1b}[2Jb\u{1b}[1;1Hc\u{1b}[?25ld", "abcd", "abcd"),
            ("\u{1b}]0;title\u{7}a\u{1b}]52;c;ZXZpbA==\u{1b}\\b", "ab", "ab"),
            (
                "\u{1b}]8;;https://example.com\u{1b}\\link\u{1b}]8;;\u{1b}\\",
                "link",
                "link",
            ),
            ("\u{1b}Pq#0\u{1b}\\a\u{1b}_x\u{1b}\\b\u{1b}^y\u{7}c", "abc", "abc"),
            ("a\u{1b}cb\u{1b}(0c\u{1b}#8d\u{1b}=e", "abcde", "abcde"),
            ("\u{9b}2Ja\u{85}b", "2Jab", "2Jab"),
            ("10 %\r20 %\u{8}\u{7}", "10 %20 %", "10 %20 %"),
            ("\u{1b}[>1m\u{1b}[mx", "\u{1b}[mx", "x"),
            ("a\u{1b}]never ends", "anever ends", "anever ends"),
            ("a\u{1b}[12", "a12", "a12"),
            ("a\u{1b}[12\u{1b}[1mb\u{1b}[é", "a12\u{1b}[1mbé", "a12bé"),
            ("a\u{1b}", "a", "a"),
        ] {
            assert_eq!(printable(line, true), coloured, "{line:?}");
            assert_eq!(printable(line, false), plain, "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_left_that_a_terminal_obeys(line in "(\u{1b}|\\[|\\]|\\\\|m|[0-9;]|\u{7}|\u{9b}|\u{9d}|\t|é|[a-z]|\\PC){0,40}") {
            prop_assert!(!printable(&line, false).chars().any(is_control));
            let coloured = printable(&line, true);
            prop_assert_eq!(printable(&coloured, false), printable(&line, false), "{:?}", line);
            prop_assert_eq!(printable(&coloured, true), coloured.as_ref());
        }
    }
}
