//! What came of an attempt.

use std::time::Duration;

use windflow_kit::Chain;
use windflow_model::alert::ChannelSettings;

/// The receiver's server has taken it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// What it said, in a line.
    pub said: String,
}

/// It was not taken, in words for people: which server (host and port) and why. Neither URL nor secret is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct SendError {
    text: String,
    /// Whether the same may be taken later.
    pub again: bool,
    /// How long the server wants to be left alone.
    pub after: Option<Duration>,
}

impl SendError {
    pub(super) fn never(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            again: false,
            after: None,
        }
    }

    pub(super) fn later(text: impl Into<String>, after: Option<Duration>) -> Self {
        Self {
            text: text.into(),
            again: true,
            after,
        }
    }

    /// The settings of the channel do not open.
    pub(crate) fn unopened(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::later(Chain(error).to_string(), None)
    }

    /// Servers repeat what they were asked, e.g. `Cannot POST /services/…`.
    pub(super) fn veiled(self, settings: &ChannelSettings) -> Self {
        Self {
            text: veil(&self.text, settings),
            ..self
        }
    }
}

impl Receipt {
    pub(super) fn veiled(self, settings: &ChannelSettings) -> Self {
        Self {
            said: veil(&self.said, settings),
        }
    }
}

/// Shortest piece that is looked for: shorter ones are in ordinary words, too.
const SHORTEST: usize = 4;

/// The text without the secrets of a channel, whole or in pieces of an address.
fn veil(text: &str, settings: &ChannelSettings) -> String {
    let mut pieces: Vec<&str> = Vec::new();
    for secret in settings.secret_values() {
        pieces.push(secret);
        if let Some((_, rest)) = secret.split_once("://") {
            let path = rest.find('/').map_or("", |at| &rest[at..]);
            pieces.push(path);
            pieces.extend(
                path.split(['/', '?', '&', '=', '#'])
                    .filter(|piece| piece.len() >= 8),
            );
        }
    }
    pieces.retain(|piece| piece.len() >= SHORTEST);
    // The longest first, so that none leaves a rest of another.
    pieces.sort_by_key(|piece| std::cmp::Reverse(piece.len()));
    pieces
        .into_iter()
        .fold(text.to_owned(), |text, piece| text.replace(piece, "…"))
}
