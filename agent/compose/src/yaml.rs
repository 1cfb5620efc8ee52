//! The located YAML tree: what a file says, with the place of every key and value.
//!
//! Scalars are resolved as Go's yaml package does. Anchors are expanded under a budget of nodes and bytes, nesting is
//! limited, and merge keys are applied, so that a hostile file costs bounded time and memory.

mod parse;
mod scalar;

pub(crate) use parse::parse;
pub(crate) use scalar::{format_float, resolve_plain};

use indexmap::IndexMap;

/// A place in a file. Line 0 means "nowhere": the value was made by the loader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) file: u32,
    /// From 1.
    pub(crate) line: u32,
    /// In characters, from 1.
    pub(crate) column: u32,
}

/// What a merge does to the base before it takes the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Directive {
    /// `!reset`: the base's value goes, nothing comes.
    Reset,
    /// `!override`: the base's value goes, this one comes.
    Override,
}

pub(crate) type Map = IndexMap<String, Node>;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(String),
    /// A date or time without quotes: no key of the language takes one.
    Time(String),
    List(Vec<Node>),
    Map(Map),
}

/// A value and its places.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) value: Value,
    /// Where the value begins.
    pub(crate) at: Mark,
    /// Where the key begins, if the node is the value of a key.
    pub(crate) key: Mark,
    pub(crate) directive: Option<Directive>,
}

impl Node {
    pub(crate) fn new(value: Value, at: Mark) -> Self {
        Self {
            value,
            at,
            key: at,
            directive: None,
        }
    }

    pub(crate) fn text(text: impl Into<String>, at: Mark) -> Self {
        Self::new(Value::Str(text.into()), at)
    }

    pub(crate) fn map(entries: impl IntoIterator<Item = (&'static str, Self)>, at: Mark) -> Self {
        Self::new(
            Value::Map(
                entries
                    .into_iter()
                    .map(|(key, node)| (key.to_owned(), node))
                    .collect(),
            ),
            at,
        )
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(crate) fn as_map_mut(&mut self) -> Option<&mut Map> {
        match &mut self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(crate) fn as_list(&self) -> Option<&[Self]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    pub(crate) fn as_list_mut(&mut self) -> Option<&mut Vec<Self>> {
        match &mut self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.as_map()?.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        self.as_map_mut()?.get_mut(key)
    }

    pub(crate) fn str_at(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    pub(crate) fn is_true(&self) -> bool {
        matches!(self.value, Value::Bool(true))
    }

    /// Sets a key of a map. Does nothing to other nodes.
    pub(crate) fn set(&mut self, key: &str, node: Self) {
        if let Some(map) = self.as_map_mut() {
            map.insert(key.to_owned(), node);
        }
    }

    /// The text of a scalar as Go prints it with `%v`; none for null, lists and maps.
    pub(crate) fn scalar_text(&self) -> Option<String> {
        match &self.value {
            Value::Bool(value) => Some(value.to_string()),
            Value::Int(value) => Some(value.to_string()),
            Value::Float(value) => Some(format_float(*value)),
            Value::Str(text) | Value::Time(text) => Some(text.clone()),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// The word for the kind of value, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Int(_) => "an integer",
            Value::Float(_) => "a number",
            Value::Str(_) => "a string",
            Value::Time(_) => "a date",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// The tree without its places.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Int(value) => Json::from(*value),
            Value::Float(value) => serde_json::Number::from_f64(*value).map_or(Json::Null, Json::Number),
            // A day without a time is its beginning.
            Value::Time(text) if text.len() == "2001-12-14".len() => {
                Json::String(format!("{text}T00:00:00Z"))
            }
            Value::Str(text) | Value::Time(text) => Json::String(text.clone()),
            Value::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Value::Map(map) => Json::Object(
                map.iter()
                    .map(|(key, node)| (key.clone(), node.to_json()))
                    .collect(),
            ),
        }
    }
}

/// `parent.key`, without a dot at the beginning.
pub(crate) fn join(parent: &str, key: &str) -> String {
    if parent.is_empty() {
        key.to_owned()
    } else {
        format!("{parent}.{key}")
    }
}

/// Whether a path of keys fits a pattern whose `*` stands for one key.
pub(crate) fn fits(path: &[&str], pattern: &str) -> bool {
    let mut keys = path.iter();
    pattern
        .split('.')
        .all(|want| keys.next().is_some_and(|key| want == "*" || want == *key))
        && keys.next().is_none()
}
