//! `.env` files and `env_file`s.

use crate::interpolate::interpolate;
use indexmap::IndexMap;

/// Largest file of variables, and most bytes of its values: 8 MiB.
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// Why a file of variables could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DotenvError {
    /// Line, from 1.
    pub line: u32,
    /// What is wrong.
    pub message: String,
}

/// Reads a file of variables. A bare key takes its value from `lookup` or is skipped. Expansion asks `lookup` first,
/// then the file's earlier keys.
///
/// # Errors
/// The first line that cannot be read.
pub fn parse(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    unset: &mut dyn FnMut(&str),
) -> Result<IndexMap<String, String>, DotenvError> {
    parse_after(text, lookup, &|_| None, unset)
}

/// The same for one of several files: `before` knows the keys of those before it, which are asked last.
pub(crate) fn parse_after(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    before: &dyn Fn(&str) -> Option<String>,
    unset: &mut dyn FnMut(&str),
) -> Result<IndexMap<String, String>, DotenvError> {
    if text.len() > MOST_BYTES {
        let message = format!("the file has {} bytes; at most {MOST_BYTES} are read", text.len());
        return Err(DotenvError { line: 1, message });
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader {
        text,
        at: 0,
        counted: (0, 1),
    };
    let mut out = IndexMap::new();
    let mut bytes = 0;
    while reader.skip_to_statement() {
        let line = reader.line();
        let fail = |message: String| DotenvError { line, message };
        let (key, inherited) = reader.key().map_err(fail)?;
        if inherited {
            if let Some(value) = lookup(&key) {
                out.insert(key, value);
            }
            continue;
        }
        let (value, expand) = reader.value().map_err(fail)?;
        let value = if expand {
            let find = |name: &str| {
                let own = lookup(name).or_else(|| out.get(name).cloned());
                own.or_else(|| before(name))
            };
            interpolate(&value, &find, unset).map_err(|error| fail(error.to_string()))?
        } else {
            value
        };
        bytes += value.len();
        if bytes > MOST_BYTES {
            return Err(fail(format!(
                "the values have more than {MOST_BYTES} bytes when variables are replaced"
            )));
        }
        out.insert(key, value);
    }
    Ok(out)
}

/// Reads a file in `format: raw`: lines of `KEY=value`, taken as they are.
///
/// # Errors
/// A key with a space in it.
pub fn parse_raw(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<IndexMap<String, String>, DotenvError> {
    let mut out = IndexMap::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line
            .split_once('=')
            .map_or((line, None), |(key, value)| (key, Some(value)));
        if key.is_empty() || key.contains(char::is_whitespace) {
            let line = u32::try_from(number + 1).unwrap_or(u32::MAX);
            return Err(DotenvError {
                line,
                message: format!("the name {key:?} is empty or has a space"),
            });
        }
        match value.map(str::to_owned).or_else(|| lookup(key)) {
            Some(value) => out.insert(key.to_owned(), value),
            None => None,
        };
    }
    Ok(out)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// A place and its line, from which the next line is counted.
    counted: (usize, u32),
}

const fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{85}' | '\u{a0}')
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn line(&mut self) -> u32 {
        let (from, line) = self.counted;
        let between = self.text.get(from..self.at).unwrap_or("");
        let breaks = between.bytes().filter(|byte| *byte == b'\n').count();
        self.counted = (
            self.at,
            line.saturating_add(u32::try_from(breaks).unwrap_or(u32::MAX)),
        );
        self.counted.1
    }

    /// Skips blanks and comment lines; false at the end.
    fn skip_to_statement(&mut self) -> bool {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if trimmed.is_empty() {
                return false;
            }
            if !trimmed.starts_with('#') {
                return true;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    /// The key, and whether it stands alone.
    fn key(&mut self) -> Result<(String, bool), String> {
        if let Some(tail) = self.rest().strip_prefix("export")
            && tail.starts_with(is_blank)
        {
            self.at += "export".len() + (tail.len() - tail.trim_start_matches(is_blank).len());
        }
        let rest = self.rest();
        let mut end = rest.len();
        let mut after = rest.len();
        let mut inherited = true;
        for (at, c) in rest.char_indices() {
            match c {
                '=' | ':' | '\n' => {
                    (end, after, inherited) = (at, at + 1, c == '\n');
                    break;
                }
                _ if is_blank(c) || c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']') => {}
                _ => {
                    let line = rest.lines().next().unwrap_or("");
                    return Err(format!(
                        "unexpected character {c:?} in the variable name near {line:?}"
                    ));
                }
            }
        }
        let key = rest.get(..end).unwrap_or("").trim_end();
        if key.contains(char::is_whitespace) {
            return Err(format!("the name {key:?} has a space"));
        }
        if key.is_empty() {
            return Err("a value without a name".to_owned());
        }
        self.at += after;
        if !inherited {
            let rest = self.rest();
            self.at += rest.len() - rest.trim_start_matches(is_blank).len();
        }
        Ok((key.to_owned(), inherited))
    }

    /// The value, and whether variables in it are expanded.
    fn value(&mut self) -> Result<(String, bool), String> {
        let rest = self.rest();
        let Some(quote) = rest.chars().next().filter(|c| matches!(c, '\'' | '"')) else {
            let end = rest.find('\n').unwrap_or(rest.len());
            self.at += end;
            let line = rest.get(..end).unwrap_or("");
            let value = line.find(" #").map_or(line, |at| line.get(..at).unwrap_or(line));
            return Ok((value.trim_end().to_owned(), true));
        };
        let body = rest.get(1..).unwrap_or("");
        let mut escaped = false;
        for (at, c) in body.char_indices() {
            if c == quote && !escaped {
                self.at += at + 2;
                let value = body.get(..at).unwrap_or("");
                return Ok(if quote == '"' {
                    (unescape(value), true)
                } else {
                    (value.to_owned(), false)
                });
            }
            escaped = c == '\\' && !escaped;
        }
        Err(format!(
            "unterminated quoted value {}",
            rest.lines().next().unwrap_or("")
        ))
    }
}

/// Escapes of double quotes. `\$` becomes `$$`, which the expansion reads as a dollar sign.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('a') => out.push('\u{7}'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('v') => out.push('\u{b}'),
            Some('$') => out.push_str("$$"),
            Some(quoted @ ('"' | '\\')) => out.push(quoted),
            Some('0') => {
                let digits: String = chars.clone().take(3).take_while(|c| c.is_ascii_digit()).collect();
                let code = u32::from_str_radix(&digits, 8).ok().filter(|code| *code < 128);
                match code.and_then(char::from_u32).filter(|_| digits.len() == 3) {
                    Some(c) => out.push(c),
                    // As in the reference, a number that is no character loses its zero.
                    None => out.extend(['\\'].into_iter().chain(digits.chars())),
                }
                chars.by_ref().take(digits.len()).for_each(drop);
            }
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    out
}
