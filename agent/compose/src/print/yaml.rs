//! A tree as YAML text, letter by letter as the reference's library writes it.

use super::doc::Doc;
use crate::yaml::{Value, format_float, resolve_plain};

/// With some blanks for each level.
pub(crate) fn write(doc: &Doc, blanks: usize) -> String {
    let mut out = Writer {
        blanks,
        text: String::new(),
    };
    match doc {
        Doc::Map(entries) if !entries.is_empty() => map(entries, 0, &mut out),
        Doc::List(items) if !items.is_empty() => list(items, 0, &mut out),
        other => scalar(other, 0, &mut out),
    }
    out.text
}

struct Writer {
    blanks: usize,
    text: String,
}

impl Writer {
    fn push(&mut self, c: char) {
        self.text.push(c);
    }

    fn push_str(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn indent(&mut self, depth: usize) {
        self.text.extend(std::iter::repeat_n(' ', depth * self.blanks));
    }
}

fn map(entries: &[(String, Doc)], depth: usize, out: &mut Writer) {
    for (index, (key, value)) in entries.iter().enumerate() {
        if index > 0 {
            out.indent(depth);
        }
        out.push_str(&key_text(key));
        out.push(':');
        if value.is_empty() || !matches!(value, Doc::List(_) | Doc::Map(_)) {
            out.push(' ');
            scalar(value, depth + 1, out);
        } else {
            out.push('\n');
            out.indent(depth + 1);
            nested(value, depth + 1, out);
        }
    }
}

fn list(items: &[Doc], depth: usize, out: &mut Writer) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.indent(depth);
        }
        out.push_str("- ");
        if item.is_empty() {
            scalar(item, depth + 1, out);
        } else {
            nested(item, depth + 1, out);
        }
    }
}

/// A value whose first line is indented already.
fn nested(doc: &Doc, depth: usize, out: &mut Writer) {
    match doc {
        Doc::Map(entries) => map(entries, depth, out),
        Doc::List(items) => list(items, depth, out),
        other => scalar(other, depth, out),
    }
}

fn scalar(doc: &Doc, depth: usize, out: &mut Writer) {
    match doc {
        Doc::Null => out.push_str("null"),
        Doc::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Doc::Int(value) => out.push_str(&value.to_string()),
        Doc::Float(value) if value.is_nan() => out.push_str(".nan"),
        Doc::Float(value) if value.is_infinite() => out.push_str(if *value > 0.0 { ".inf" } else { "-.inf" }),
        Doc::Float(value) => out.push_str(&format_float(*value)),
        Doc::Str(value) => return text(value, depth, out),
        Doc::List(_) => out.push_str("[]"),
        Doc::Map(_) => out.push_str("{}"),
    }
    out.push('\n');
}

/// What can be done with a text, found in one pass.
struct Facts {
    plain: bool,
    single: bool,
    block: bool,
}

const fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

const fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

fn facts(text: &str) -> Facts {
    let mut indicators = text.starts_with("---") || text.starts_with("...");
    let (mut breaks, mut special, mut tabs) = (false, false, false);
    let (mut break_space, mut space_break) = (false, false);
    let (mut after_space, mut after_break, mut after_blank) = (false, false, true);
    let chars: Vec<char> = text.chars().collect();
    for (at, &c) in chars.iter().enumerate() {
        let next = chars.get(at + 1).copied();
        let before_blank = next.is_none_or(|next| matches!(next, ' ' | '\t') || is_break(next));
        indicators |= if at == 0 {
            match c {
                '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@'
                | '`' => true,
                '?' | ':' | '-' => before_blank,
                _ => false,
            }
        } else {
            c == ':' && before_blank || c == '#' && after_blank
        };
        tabs |= c == '\t';
        special |= c != '\t' && !is_printable(c);
        breaks |= is_break(c);
        break_space |= c == ' ' && after_break;
        space_break |= is_break(c) && after_space;
        (after_space, after_break) = (c == ' ', is_break(c));
        after_blank = c == ' ' || c == '\t' || is_break(c);
    }
    let edge = |c: Option<&char>| c.is_some_and(|c| *c == ' ' || is_break(*c));
    let edges = edge(chars.first()) || edge(chars.last());
    let single = !(break_space || space_break || tabs || special);
    Facts {
        plain: single && !edges && !breaks && !indicators,
        single,
        block: !text.is_empty() && !text.ends_with(' ') && !space_break && !special,
    }
}

/// Whether readers of YAML 1.1 or 1.2 take the bare text for a text.
fn reads_as_text(text: &str) -> bool {
    const OLD: [&str; 18] = [
        "y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "n", "N", "no", "No", "NO", "off", "Off", "OFF",
        "true", "false",
    ];
    matches!(resolve_plain(text), Value::Str(_)) && !OLD.contains(&text) && !is_base_60(text)
}

/// `190:20:30.15`: a number to base 60 for readers of YAML 1.1.
fn is_base_60(text: &str) -> bool {
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut parts = body.split(':');
    let first = parts.next().unwrap_or("");
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit() || c == '_');
    let rest: Vec<&str> = parts.collect();
    let Some((last, middle)) = rest.split_last() else {
        return false;
    };
    let sixty = |text: &str| {
        (1..=2).contains(&text.len())
            && text.chars().all(|c| c.is_ascii_digit())
            && text.parse().is_ok_and(|n: u8| n < 60)
    };
    let (whole, fraction) = last.split_once('.').unwrap_or((last, ""));
    first.starts_with(|c: char| c.is_ascii_digit())
        && digits(first)
        && middle.iter().all(|part| sixty(part))
        && sixty(whole)
        && digits(fraction)
}

fn text(value: &str, depth: usize, out: &mut Writer) {
    let facts = facts(value);
    if value.contains('\n') && facts.block {
        return literal(value, depth, out);
    }
    out.push_str(&if value.contains('\n') || !reads_as_text(value) {
        double_quoted(value)
    } else if facts.plain {
        value.to_owned()
    } else if facts.single {
        format!("'{}'", value.replace('\'', "''"))
    } else {
        double_quoted(value)
    });
    out.push('\n');
}

fn key_text(key: &str) -> String {
    let facts = facts(key);
    if key.contains('\n') || !reads_as_text(key) {
        double_quoted(key)
    } else if facts.plain {
        key.to_owned()
    } else if facts.single {
        format!("'{}'", key.replace('\'', "''"))
    } else {
        double_quoted(key)
    }
}

fn literal(value: &str, depth: usize, out: &mut Writer) {
    out.push('|');
    if value.starts_with([' ', '\n']) {
        out.push('2');
    }
    match value.strip_suffix('\n') {
        None => out.push('-'),
        Some(rest) if rest.is_empty() || rest.ends_with('\n') => out.push('+'),
        Some(_) => {}
    }
    out.push('\n');
    for line in value.split_inclusive('\n') {
        if line != "\n" {
            out.indent(depth);
        }
        out.push_str(line);
    }
    if !value.ends_with('\n') {
        out.push('\n');
    }
}

fn double_quoted(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    out.push('"');
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\0' => out.push_str("\\0"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '\u{1b}' => out.push_str("\\e"),
            '\u{85}' => out.push_str("\\N"),
            '\u{2028}' => out.push_str("\\L"),
            '\u{2029}' => out.push_str("\\P"),
            c if is_printable(c) => out.push(c),
            c => {
                let code = u32::from(c);
                out.push_str(&match code {
                    0..=0xff => format!("\\x{code:02X}"),
                    0x100..=0xffff => format!("\\u{code:04X}"),
                    _ => format!("\\U{code:08X}"),
                });
            }
        }
    }
    out.push('"');
    out
}
