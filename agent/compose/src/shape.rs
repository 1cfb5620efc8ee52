//! The shape of a Compose file: which keys exist and what they take. All problems of a file are found in one walk.

mod service;
mod table;

use crate::problem::Report;
use crate::yaml::{Node, Value, join};
pub(crate) use table::FILE;

/// What a value may be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    Any,
    Null,
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A text that the function accepts; the text says what is allowed.
    Pattern(fn(&str) -> bool, &'static str),
    Bool,
    Int(i64, i64),
    Number,
    List(&'static Self),
    /// A list without equal items.
    Set(&'static Self),
    /// Any keys that fit a name, all with values of one shape.
    Dict(fn(&str) -> bool, &'static Self),
    /// Known keys and `x-*`.
    Object(&'static [(&'static str, Self)], &'static [&'static str]),
    /// Known keys only.
    Closed(&'static [(&'static str, Self)], &'static [&'static str]),
    /// Any of these; they differ in the kind of value.
    Any2(&'static [Self]),
}

impl Shape {
    /// Whether a value is of a kind that the shape takes (its inside is not looked at).
    fn takes(&self, value: &Value) -> bool {
        match self {
            Self::Any => true,
            Self::Null => matches!(value, Value::Null),
            Self::Text | Self::Word(_) | Self::Pattern(..) => matches!(value, Value::Str(_)),
            Self::Bool => matches!(value, Value::Bool(_)),
            Self::Int(..) => match value {
                Value::Int(_) => true,
                Value::Float(number) => number.fract() == 0.0,
                _ => false,
            },
            Self::Number => matches!(value, Value::Int(_) | Value::Float(_)),
            Self::List(_) | Self::Set(_) => matches!(value, Value::List(_)),
            Self::Dict(..) | Self::Object(..) | Self::Closed(..) => matches!(value, Value::Map(_)),
            Self::Any2(shapes) => shapes.iter().any(|shape| shape.takes(value)),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Any => "anything".to_owned(),
            Self::Null => "nothing".to_owned(),
            Self::Text | Self::Word(_) | Self::Pattern(..) => "a string".to_owned(),
            Self::Bool => "true or false".to_owned(),
            Self::Int(..) => "an integer".to_owned(),
            Self::Number => "a number".to_owned(),
            Self::List(_) | Self::Set(_) => "a list".to_owned(),
            Self::Dict(..) | Self::Object(..) | Self::Closed(..) => "a mapping".to_owned(),
            Self::Any2(shapes) => {
                let mut names: Vec<String> = shapes.iter().map(Self::name).collect();
                names.dedup();
                names.join(" or ")
            }
        }
    }
}

/// Checks a value and reports every problem in it. What is wrong is taken out, so that the rest can be looked at further;
/// false: the value itself is of no use. Missing keys are no problem yet: see [`complete`].
pub(crate) fn check(node: &mut Node, shape: &Shape, path: &str, report: &mut Report) -> bool {
    let shape = match shape {
        Shape::Any2(shapes) => match shapes.iter().find(|shape| shape.takes(&node.value)) {
            Some(Shape::Any2(inner)) => return check(node, &Shape::Any2(inner), path, report),
            Some(found) => found,
            None => return wrong_kind(node, shape, path, report),
        },
        shape => shape,
    };
    if !shape.takes(&node.value) {
        return wrong_kind(node, shape, path, report);
    }
    let at = node.at;
    match (shape, &mut node.value) {
        (Shape::Word(words), Value::Str(text)) if !words.contains(&text.as_str()) => {
            let hint = nearest(text, words.iter().copied()).map(|word| format!("did you mean {word:?}?"));
            let message = format!("must be one of {}, not {text:?}", words.join(", "));
            let mut problem = report.place(at, path, message);
            problem.hint = hint;
            report.push(problem);
            return false;
        }
        (Shape::Pattern(accepts, allowed), Value::Str(text)) if !accepts(text) => {
            report.error(at, path, format!("{text:?} is not allowed here: {allowed}"));
            return false;
        }
        (Shape::Int(least, most), Value::Int(number)) if *number < *least || *number > *most => {
            let range = if *most == i64::MAX {
                format!("at least {least}")
            } else {
                format!("from {least} to {most}")
            };
            report.error(at, path, format!("must be {range}, not {number}"));
            return false;
        }
        (Shape::List(item) | Shape::Set(item), Value::List(items)) => {
            let mut index = 0;
            items.retain_mut(|node| {
                index += 1;
                check(node, item, &format!("{path}[{}]", index - 1), report)
            });
            if matches!(shape, Shape::Set(_)) {
                repeated(items, path, report);
            }
        }
        (Shape::Dict(accepts, item), Value::Map(map)) => map.retain(|key, node| {
            if accepts(key) {
                return check(node, item, &join(path, key), report);
            }
            report.error(
                node.key,
                path,
                format!("the name {key:?} is not allowed: use letters, digits, `.`, `_` and `-`"),
            );
            false
        }),
        (Shape::Object(keys, _) | Shape::Closed(keys, _), Value::Map(map)) => map.retain(|key, node| {
            if let Some((_, shape)) = keys.iter().find(|(known, _)| known == key) {
                return check(node, shape, &join(path, key), report);
            }
            if key.starts_with("x-") && matches!(shape, Shape::Object(..)) {
                return true;
            }
            if report.full() {
                return false;
            }
            let hint = nearest(key, keys.iter().map(|(known, _)| *known)).map_or_else(
                || "own keys must begin with `x-`".to_owned(),
                |known| format!("did you mean {known:?}?"),
            );
            report.hinted(node.key, path, format!("unknown key {key:?}"), hint);
            false
        }),
        _ => {}
    }
    true
}

/// Reports every key that must be there and is not. For the merged tree: the files it came from need not be complete.
pub(crate) fn complete(node: &Node, shape: &Shape, path: &str, report: &mut Report) {
    match (shape, &node.value) {
        (Shape::Any2(shapes), value) => {
            if let Some(shape) = shapes.iter().find(|shape| shape.takes(value)) {
                complete(node, shape, path, report);
            }
        }
        (Shape::List(item) | Shape::Set(item), Value::List(items)) => {
            for (index, node) in items.iter().enumerate() {
                complete(node, item, &format!("{path}[{index}]"), report);
            }
        }
        (Shape::Dict(_, item), Value::Map(map)) => map
            .iter()
            .for_each(|(key, node)| complete(node, item, &join(path, key), report)),
        (Shape::Object(keys, required) | Shape::Closed(keys, required), Value::Map(map)) => {
            for (key, shape) in *keys {
                if let Some(node) = map.get(*key) {
                    complete(node, shape, &join(path, key), report);
                }
            }
            for key in required.iter().filter(|key| !map.contains_key(**key)) {
                report.error(node.at, path, format!("the key {key:?} is missing"));
            }
        }
        _ => {}
    }
}

fn wrong_kind(node: &Node, shape: &Shape, path: &str, report: &mut Report) -> bool {
    let message = format!("must be {}, not {}", shape.name(), node.kind());
    match (&node.value, shape) {
        (Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::Time(_), Shape::Text) => {
            report.hinted(node.at, path, message, "put the value in quotes");
        }
        _ => report.error(node.at, path, message),
    }
    false
}

fn repeated(items: &[Node], path: &str, report: &mut Report) {
    let mut seen: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
    for (index, item) in items.iter().enumerate() {
        let text = item.to_json().to_string();
        if let Some(first) = seen.get(&text) {
            report.error(item.at, path, format!("items {first} and {index} are equal"));
        } else {
            seen.insert(text, index);
        }
    }
}

/// The known word that is closest to what was written, if one is close.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let most = ((word.chars().count() + 1) / 3).clamp(1, 3);
    known
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(d, _)| *d <= most)
        .min()
        .map(|(_, c)| c)
}

/// Edit distance of two words (insert, remove, replace), each cut to 64 characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().take(64).enumerate() {
        let mut next = vec![i + 1];
        for (j, cb) in b.iter().enumerate() {
            let replace = row.get(j).copied().unwrap_or(0) + usize::from(ca != *cb);
            let remove = row.get(j + 1).copied().unwrap_or(0) + 1;
            let insert = next.get(j).copied().unwrap_or(0) + 1;
            next.push(replace.min(remove).min(insert));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}
