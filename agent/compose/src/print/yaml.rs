//! A tree as block-style YAML that YAML 1.1 and 1.2 readers understand alike.

use crate::yaml::{format_float, resolve_plain};
use serde_json::Value;

pub(super) fn write(value: &Value) -> String {
    let mut out = String::new();
    block(value, 0, &mut out);
    out
}

fn indent(depth: usize, out: &mut String) {
    out.extend(std::iter::repeat_n("  ", depth));
}

fn block(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, inner) in map {
                indent(depth, out);
                entry(key, inner, depth, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                indent(depth, out);
                element(item, depth, out);
            }
        }
        other => {
            indent(depth, out);
            out.push_str(&scalar(other));
            out.push('\n');
        }
    }
}

fn entry(key: &str, inner: &Value, depth: usize, out: &mut String) {
    out.push_str(&text(key));
    out.push(':');
    if is_block(inner) {
        out.push('\n');
        block(inner, depth + 1, out);
    } else {
        out.push(' ');
        out.push_str(&scalar(inner));
        out.push('\n');
    }
}

fn element(item: &Value, depth: usize, out: &mut String) {
    out.push_str("- ");
    match item {
        Value::Object(map) if !map.is_empty() => {
            for (index, (key, inner)) in map.iter().enumerate() {
                if index > 0 {
                    indent(depth + 1, out);
                }
                entry(key, inner, depth + 1, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, inner) in items.iter().enumerate() {
                if index > 0 {
                    indent(depth + 1, out);
                }
                element(inner, depth + 1, out);
            }
        }
        other => {
            out.push_str(&scalar(other));
            out.push('\n');
        }
    }
}

fn is_block(value: &Value) -> bool {
    match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => format_float(float),
            _ => number.to_string(),
        },
        Value::String(value) => text(value),
        Value::Array(_) => "[]".to_owned(),
        Value::Object(_) => "{}".to_owned(),
    }
}

/// Plain if every reader takes it for the same text, else in double quotes.
fn text(value: &str) -> String {
    const WORDS: [&str; 8] = ["y", "n", "yes", "no", "on", "off", "true", "false"];
    let plain = !value.is_empty()
        && !WORDS.contains(&value.to_ascii_lowercase().as_str())
        && matches!(resolve_plain(value), crate::yaml::Value::Str(_))
        && !value.starts_with(|c: char| c.is_ascii_digit() && value.contains(':'))
        && !value.starts_with([
            '-', '?', ':', ',', '[', ']', '{', '}', '#', '&', '*', '!', '|', '>', '\'', '"', '%', '@', '`',
            '=', '<', '~', ' ',
        ])
        && !value.ends_with([':', ' '])
        && !value.contains(": ")
        && !value.contains(" #")
        && !value
            .chars()
            .any(|c| c.is_control() || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}'));
    // JSON's form of a text is also YAML's in double quotes.
    if plain {
        value.to_owned()
    } else {
        serde_json::Value::from(value).to_string()
    }
}
