//! Evolving documents: JSON with a schema number.
//!
//! postcard is positional and forgives nothing, so whatever must evolve (specs, inventories, plans, reports) travels
//! and rests as JSON bytes inside a stable envelope. A reader takes every schema number up to its own; unknown JSON
//! fields are ignored, missing ones need a `#[serde(default)]`.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;

/// A type that may travel in a [`Doc`].
pub trait Document: Serialize + DeserializeOwned {
    /// Name for error messages, e.g. `stack spec`.
    const NAME: &'static str;
    /// The schema number this build writes. Raised only when old readers must refuse.
    const SCHEMA: u16;
}

/// Why a document could not be opened or made.
#[derive(Debug, Error)]
pub enum DocError {
    /// Written by a newer WindFlow whose schema this build does not know.
    #[error("{name} has schema {found}, this build reads up to {known}: update this WindFlow first")]
    Newer {
        /// [`Document::NAME`].
        name: &'static str,
        /// Schema number in the envelope.
        found: u16,
        /// [`Document::SCHEMA`].
        known: u16,
    },
    /// The JSON does not fit the type.
    #[error("{name} (schema {schema}) cannot be read")]
    Read {
        /// [`Document::NAME`].
        name: &'static str,
        /// Schema number in the envelope.
        schema: u16,
        /// What the parser says.
        #[source]
        source: serde_json::Error,
    },
    /// The value cannot be written as JSON.
    #[error("{name} cannot be written as JSON")]
    Write {
        /// [`Document::NAME`].
        name: &'static str,
        /// What the writer says.
        #[source]
        source: serde_json::Error,
    },
}

/// The envelope: a schema number and JSON bytes. Its own form never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Doc<T> {
    schema: u16,
    json: Vec<u8>,
    #[serde(skip)]
    kind: PhantomData<fn() -> T>,
}

impl<T: Document> Doc<T> {
    /// Seals a value with the schema number of this build.
    ///
    /// # Errors
    /// [`DocError::Write`] if the value has no JSON form.
    pub fn seal(value: &T) -> Result<Self, DocError> {
        let json = serde_json::to_vec(value).map_err(|source| DocError::Write {
            name: T::NAME,
            source,
        })?;
        Ok(Self {
            schema: T::SCHEMA,
            json,
            kind: PhantomData,
        })
    }

    /// Opens the envelope.
    ///
    /// # Errors
    /// [`DocError::Newer`] for a schema above this build's, [`DocError::Read`] if the JSON does not fit.
    pub fn open(&self) -> Result<T, DocError> {
        if self.schema > T::SCHEMA {
            return Err(DocError::Newer {
                name: T::NAME,
                found: self.schema,
                known: T::SCHEMA,
            });
        }
        serde_json::from_slice(&self.json).map_err(|source| DocError::Read {
            name: T::NAME,
            schema: self.schema,
            source,
        })
    }

    /// Reads a few lasting fields, whatever the schema: enough to refuse a document that cannot be opened. `None` if
    /// they are not there.
    #[must_use]
    pub fn peek<U: DeserializeOwned>(&self) -> Option<U> {
        serde_json::from_slice(&self.json).ok()
    }

    /// Length of the JSON in bytes, for size limits before parsing.
    #[must_use]
    pub fn len(&self) -> usize {
        self.json.len()
    }

    /// Whether there is no JSON at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.json.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Note {
        text: String,
        #[serde(default)]
        more: u8,
    }
    impl Document for Note {
        const NAME: &'static str = "note";
        const SCHEMA: u16 = 2;
    }

    #[test]
    fn evolves_in_both_directions() {
        let doc = Doc::seal(&Note {
            text: "a".into(),
            more: 3,
        })
        .unwrap();
        assert_eq!(doc.open().unwrap().more, 3);
        let older = Doc::<Note> {
            schema: 1,
            json: br#"{"text":"old"}"#.to_vec(),
            kind: PhantomData,
        };
        assert_eq!(
            older.open().unwrap(),
            Note {
                text: "old".into(),
                more: 0
            }
        );
        let wider = Doc::<Note> {
            schema: 2,
            json: br#"{"text":"x","future":[1]}"#.to_vec(),
            kind: PhantomData,
        };
        assert_eq!(wider.open().unwrap().text, "x");
        let newer = Doc::<Note> {
            schema: 3,
            json: b"{}".to_vec(),
            kind: PhantomData,
        };
        assert!(
            newer
                .open()
                .unwrap_err()
                .to_string()
                .contains("update this WindFlow first")
        );
    }
}
