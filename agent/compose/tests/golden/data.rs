//! Documents as data, and where two differ.

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

/// A JSON text whose numbers are all of one kind.
pub(crate) fn data(text: &str) -> Value {
    fn even(value: Value) -> Value {
        match value {
            Value::Number(number) => number.as_f64().map_or(Value::Null, Value::from),
            Value::Array(items) => items.into_iter().map(even).collect(),
            Value::Object(map) => map.into_iter().map(|(key, value)| (key, even(value))).collect(),
            other => other,
        }
    }
    serde_json::from_str(text).map_or(Value::Null, even)
}

/// A YAML text as data: what a YAML 1.2 reader sees in a canonical document (no anchors, no tags).
pub(crate) fn yaml(text: &str) -> Value {
    let mut stack: Vec<(Value, Option<String>)> = Vec::new();
    let mut root = Value::Null;
    for event in Parser::new_from_str(text) {
        let done = match event.unwrap().0 {
            Event::SequenceStart(..) => {
                stack.push((Value::Array(Vec::new()), None));
                continue;
            }
            Event::MappingStart(..) => {
                stack.push((Value::Object(Map::new()), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => stack.pop().unwrap().0,
            Event::Scalar(text, style, ..) => {
                if let Some((Value::Object(_), key @ None)) = stack.last_mut() {
                    *key = Some(text.into_owned());
                    continue;
                }
                match (&*text, style) {
                    ("null" | "", ScalarStyle::Plain) => Value::Null,
                    ("true", ScalarStyle::Plain) => Value::Bool(true),
                    ("false", ScalarStyle::Plain) => Value::Bool(false),
                    (text, ScalarStyle::Plain)
                        if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') =>
                    {
                        text.parse::<f64>()
                            .ok()
                            .filter(|number| number.is_finite())
                            .map_or_else(|| Value::from(text), Value::from)
                    }
                    (text, _) => Value::from(text),
                }
            }
            _ => continue,
        };
        match stack.last_mut() {
            Some((Value::Array(items), _)) => items.push(done),
            Some((Value::Object(map), key)) => drop(map.insert(key.take().unwrap(), done)),
            _ => root = done,
        }
    }
    root
}

/// Paths at which two values differ, with both.
pub(crate) fn differences(path: &str, want: &Value, got: &Value, out: &mut Vec<String>) {
    match (want, got) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let path = format!("{path}.{key}");
                match (a.get(key), b.get(key)) {
                    (Some(a), Some(b)) => differences(&path, a, b, out),
                    (a, b) => out.push(format!("{path}: {} instead of {}", shown(b), shown(a))),
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                differences(&format!("{path}[{index}]"), a, b, out);
            }
        }
        (a, b) if a != b => out.push(format!("{path}: {b} instead of {a}")),
        _ => {}
    }
}

pub(crate) fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), Value::to_string)
}
