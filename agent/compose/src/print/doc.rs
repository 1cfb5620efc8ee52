//! The tree that is printed. It keeps the order of keys.

use crate::yaml::{Node, Value};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::cmp::Ordering;
use std::fmt;

/// A value with its keys in the order in which they are printed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Doc {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(String),
    List(Vec<Doc>),
    Map(Vec<(String, Doc)>),
}

impl Doc {
    pub(crate) fn map_mut(&mut self) -> Option<&mut Vec<(String, Self)>> {
        match self {
            Self::Map(entries) => Some(entries),
            _ => None,
        }
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        let entries = self.map_mut()?;
        entries
            .iter_mut()
            .find(|(own, _)| own == key)
            .map(|(_, value)| value)
    }

    pub(crate) fn remove(&mut self, key: &str) {
        if let Some(entries) = self.map_mut() {
            entries.retain(|(own, _)| own != key);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::List(items) => items.is_empty(),
            Self::Map(entries) => entries.is_empty(),
            _ => false,
        }
    }

    /// Changes all texts, those of keys too.
    pub(crate) fn words_mut(&mut self, change: &mut dyn FnMut(&mut String)) {
        match self {
            Self::Str(text) => change(text),
            Self::List(items) => items.iter_mut().for_each(|item| item.words_mut(change)),
            Self::Map(entries) => {
                for (key, value) in entries {
                    change(key);
                    value.words_mut(change);
                }
            }
            _ => {}
        }
    }

    /// Looks at all texts, but those of keys.
    pub(crate) fn texts(&self, hear: &mut dyn FnMut(&str)) {
        match self {
            Self::Str(text) => hear(text),
            Self::List(items) => items.iter().for_each(|item| item.texts(hear)),
            Self::Map(entries) => entries.iter().for_each(|(_, value)| value.texts(hear)),
            _ => {}
        }
    }

    /// Sorts the keys of all mappings.
    pub(crate) fn sort(&mut self, order: fn(&str, &str) -> Ordering) {
        match self {
            Self::List(items) => items.iter_mut().for_each(|item| item.sort(order)),
            Self::Map(entries) => {
                entries.sort_by(|(a, _), (b, _)| order(a, b));
                entries.iter_mut().for_each(|(_, value)| value.sort(order));
            }
            _ => {}
        }
    }
}

impl From<&Node> for Doc {
    fn from(node: &Node) -> Self {
        match &node.value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Int(value) => Self::Int(*value),
            Value::Float(value) => Self::Float(*value),
            Value::Str(text) | Value::Time(text) => Self::Str(text.clone()),
            Value::List(items) => Self::List(items.iter().map(Self::from).collect()),
            Value::Map(map) => Self::Map(
                map.iter()
                    .map(|(key, node)| (key.clone(), Self::from(node)))
                    .collect(),
            ),
        }
    }
}

impl<'de> Deserialize<'de> for Doc {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DocVisitor)
    }
}

struct DocVisitor;

impl<'de> Visitor<'de> for DocVisitor {
    type Value = Doc;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Doc, E> {
        Ok(Doc::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Doc, E> {
        Ok(Doc::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Doc, E> {
        Ok(Doc::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Doc, E> {
        Ok(i64::try_from(value).map_or(Doc::Float(value as f64), Doc::Int))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Doc, E> {
        Ok(Doc::Float(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Doc, E> {
        Ok(Doc::Str(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Doc, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Doc::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Doc, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Doc::Map(entries))
    }
}

/// The order of keys in the reference's YAML: numbers in names count as numbers, and other signs come before letters.
pub(crate) fn natural(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let digit = |c: Option<&char>| c.is_some_and(char::is_ascii_digit);
    let mut digits = false;
    for (at, (x, y)) in a.iter().zip(&b).enumerate() {
        if x == y {
            digits = x.is_ascii_digit();
            continue;
        }
        let less = match (x.is_alphabetic(), y.is_alphabetic()) {
            (true, true) => x < y,
            (letter, other) if letter || other => {
                if digits {
                    letter
                } else {
                    other
                }
            }
            _ => {
                let mut start = 0_i64;
                if *x == '0' || *y == '0' {
                    let before = a.get(..at).unwrap_or_default().iter().rev();
                    if before.take_while(|c| c.is_ascii_digit()).any(|c| *c != '0') {
                        start = 1;
                    }
                }
                let number = |text: &[char]| {
                    let mut value = start;
                    let mut end = at;
                    while digit(text.get(end)) {
                        let next = text.get(end).and_then(|c| c.to_digit(10)).unwrap_or(0);
                        value = value.wrapping_mul(10).wrapping_add(i64::from(next));
                        end += 1;
                    }
                    (value, end)
                };
                let (first, second) = (number(&a), number(&b));
                if first == second { x < y } else { first < second }
            }
        };
        return if less { Ordering::Less } else { Ordering::Greater };
    }
    a.len().cmp(&b.len())
}
