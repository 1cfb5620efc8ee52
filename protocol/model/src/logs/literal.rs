//! What every line holds in which an expression is found: a search looks for that first, which is a hundred times as fast.

/// The longest run of letters and digits that is in every match of an expression; empty if there is none to rely on.
///
/// Only what stands for itself outside of groups and classes counts, and nothing of an expression with alternatives or flags: what
/// is not understood here must not hide a line.
pub(super) fn of_regex(pattern: &str) -> String {
    let (mut best, mut run) = (String::new(), String::new());
    let mut depth = 0_u32;
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        if depth == 0 && letter.is_ascii_alphanumeric() {
            run.push(letter);
            continue;
        }
        if matches!(letter, '?' | '*' | '+' | '{') && depth == 0 {
            // The letter before need not be there (a `+` may itself be repeated: `a+*`).
            run.pop();
        }
        if run.len() > best.len() {
            best = std::mem::take(&mut run);
        }
        run.clear();
        match letter {
            '\\' => {
                let escaped = letters.next();
                // Names and numbers in braces are of letters, too: `\x{41}`, `\b{start}`.
                if escaped.is_some_and(|one| one.is_ascii_alphanumeric()) && letters.peek() == Some(&'{') {
                    letters.by_ref().find(|letter| *letter == '}');
                }
                // The digits of `\x41` are a number.
                if matches!(escaped, Some('x' | 'u' | 'U')) {
                    while letters.next_if(char::is_ascii_hexdigit).is_some() {}
                }
            }
            '{' if depth == 0 => {
                letters.by_ref().find(|letter| *letter == '}');
            }
            '[' => class(&mut letters),
            '(' => {
                if letters.peek() == Some(&'?') {
                    return String::new();
                }
                depth += 1;
            }
            ')' => depth = depth.saturating_sub(1),
            '|' if depth == 0 => return String::new(),
            _ => {}
        }
    }
    if run.len() > best.len() { run } else { best }
}

/// Passes over a class; its `[` has been read.
fn class(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    let mut depth = 1_u32;
    // A bracket that comes first stands for itself.
    letters.next_if_eq(&'^');
    letters.next_if_eq(&']');
    while depth > 0 {
        match letters.next() {
            Some('\\') => {
                letters.next();
            }
            Some('[') => depth += 1,
            Some(']') => depth -= 1,
            Some(_) => {}
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex_lite::Regex;

    use super::*;

    #[test]
    fn the_longest_run_is_taken() {
        for (pattern, literal) in [
            ("timeout", "timeout"),
            ("no such (line|word)", "such"),
            (r"took \d{3,} ms$", "took"),
            ("colou?r", "colo"),
            ("ab*cde", "cde"),
            ("ab+cd", "cd"),
            ("0+*", ""),
            ("x{2}yz", "yz"),
            ("a|b", ""),
            ("(?i)abc", ""),
            ("(abc)?d", "d"),
            ("[abc]+def", "def"),
            ("[]abc]d", "d"),
            (r"[\]abc]d", "d"),
            (r"\x41bcdxyz", "xyz"),
            (r"\d4", "4"),
            (r"\.com", "com"),
            ("", ""),
        ] {
            assert_eq!(of_regex(pattern), literal, "{pattern}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        /// Whatever is written: a text in which it is found holds the literal.
        #[test]
        fn every_match_holds_it(
            pattern in r"([a-c0-4]|\\d|\\w|\\.|\\\\|\\x61|\\b|\.|\^|\$|\?|\*|\+|\{1\}|\{0,2\}|\(|\)|\||\[ab\]|\[\^c\]|\[\]a\]|\(\?i\)|\(\?:| ){1,9}",
            text in r"[a-c0-4A-C .\\\]]{0,12}",
        ) {
            if let Ok(regex) = Regex::new(&pattern) && regex.is_match(&text) {
                let literal = of_regex(&pattern);
                prop_assert!(text.contains(&literal), "{pattern} is in {text:?}, {literal:?} is not");
            }
        }
    }
}
