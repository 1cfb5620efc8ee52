//! A tree as JSON text, letter by letter as Go writes it.

use super::doc::Doc;

/// With some blanks for each level.
pub(crate) fn pretty(doc: &Doc, blanks: usize) -> String {
    let mut out = String::new();
    write(doc, Some(0), blanks, &mut out);
    out
}

/// Without blanks.
pub(crate) fn compact(doc: &Doc) -> String {
    let mut out = String::new();
    write(doc, None, 0, &mut out);
    out
}

fn line(depth: Option<usize>, blanks: usize, out: &mut String) {
    if let Some(depth) = depth {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', depth * blanks));
    }
}

fn write(doc: &Doc, depth: Option<usize>, blanks: usize, out: &mut String) {
    let inner = depth.map(|depth| depth + 1);
    match doc {
        Doc::Null => out.push_str("null"),
        Doc::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Doc::Int(value) => out.push_str(&value.to_string()),
        Doc::Float(value) => out.push_str(&float(*value)),
        Doc::Str(value) => text(value, out),
        Doc::List(items) if items.is_empty() => out.push_str("[]"),
        Doc::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                line(inner, blanks, out);
                write(item, inner, blanks, out);
            }
            line(depth, blanks, out);
            out.push(']');
        }
        Doc::Map(entries) if entries.is_empty() => out.push_str("{}"),
        Doc::Map(entries) => {
            out.push('{');
            for (index, (key, value)) in entries.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                line(inner, blanks, out);
                text(key, out);
                out.push_str(if depth.is_some() { ": " } else { ":" });
                write(value, inner, blanks, out);
            }
            line(depth, blanks, out);
            out.push('}');
        }
    }
}

/// The shortest form; with an exponent below 1e-6 and from 1e21.
fn float(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{value:e}");
        return if size > 1.0 { text.replace('e', "e+") } else { text };
    }
    value.to_string()
}

fn text(value: &str, out: &mut String) {
    out.push('"');
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
