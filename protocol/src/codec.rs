//! Frames as bytes: a big-endian `u32` length, then postcard. A frame of an unknown variant is skipped.

use bytes::{Buf as _, BytesMut};
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

/// Bytes of the length before each frame.
pub const PREFIX: usize = 4;

/// An enum that travels as frames.
pub trait Frame: Serialize + DeserializeOwned {
    /// Name for error messages.
    const KIND: &'static str;
    /// Number of variants this build knows; a higher discriminant is skipped.
    const VARIANTS: u32;
    /// Longest frame in bytes, checked before anything is stored.
    const MAX: usize;
}

/// Why bytes are not frames, or a frame not bytes. Ends the stream: after it the place of the next frame is unknown.
#[derive(Debug, Error)]
pub enum CodecError {
    /// Longer than allowed.
    #[error("{kind} of {len} bytes: at most {max} are allowed")]
    TooLarge {
        /// [`Frame::KIND`].
        kind: &'static str,
        /// Its length.
        len: usize,
        /// [`Frame::MAX`].
        max: usize,
    },
    /// Not a frame of this kind.
    #[error("{kind} cannot be read")]
    Malformed {
        /// [`Frame::KIND`].
        kind: &'static str,
        /// What postcard says.
        #[source]
        source: postcard::Error,
    },
    /// A known frame with bytes behind it.
    #[error("{kind} has {extra} bytes too many")]
    Trailing {
        /// [`Frame::KIND`].
        kind: &'static str,
        /// How many.
        extra: usize,
    },
    /// It has no form in postcard.
    #[error("{kind} cannot be written")]
    Write {
        /// [`Frame::KIND`].
        kind: &'static str,
        /// What postcard says.
        #[source]
        source: postcard::Error,
    },
}

/// Appends a frame with its length to `out`; on an error `out` is as before.
///
/// # Errors
/// [`CodecError::TooLarge`] or [`CodecError::Write`].
pub fn encode<F: Frame>(frame: &F, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let body = postcard::to_allocvec(frame).map_err(|source| CodecError::Write {
        kind: F::KIND,
        source,
    })?;
    let too_large = CodecError::TooLarge {
        kind: F::KIND,
        len: body.len(),
        max: F::MAX,
    };
    if body.len() > F::MAX {
        return Err(too_large);
    }
    let Ok(len) = u32::try_from(body.len()) else {
        return Err(too_large);
    };
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&body);
    Ok(())
}

/// One decoded frame.
#[derive(Debug, Clone, PartialEq)]
pub enum Decoded<F> {
    /// A frame of this build.
    Frame(F),
    /// A frame of a newer build, skipped.
    Unknown {
        /// Its discriminant.
        variant: u32,
        /// Its length.
        len: usize,
    },
}

/// Decodes the bytes between two length prefixes.
///
/// # Errors
/// [`CodecError::Malformed`] or [`CodecError::Trailing`].
pub fn decode<F: Frame>(body: &[u8]) -> Result<Decoded<F>, CodecError> {
    let bad = |source| CodecError::Malformed {
        kind: F::KIND,
        source,
    };
    let (variant, _) = postcard::take_from_bytes::<u32>(body).map_err(bad)?;
    if variant >= F::VARIANTS {
        return Ok(Decoded::Unknown {
            variant,
            len: body.len(),
        });
    }
    let (frame, rest) = postcard::take_from_bytes::<F>(body).map_err(bad)?;
    if rest.is_empty() {
        Ok(Decoded::Frame(frame))
    } else {
        Err(CodecError::Trailing {
            kind: F::KIND,
            extra: rest.len(),
        })
    }
}

/// Cuts a stream of bytes into frames. Holds at most one frame of [`Frame::MAX`] and what was pushed behind it.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
}

impl Decoder {
    /// Adds bytes as they arrive.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether a part of a frame waits for the rest.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The next frame, or `None` until more bytes arrive.
    ///
    /// # Errors
    /// Any [`CodecError`] but `Write`; the stream is then useless.
    pub fn next_frame<F: Frame>(&mut self) -> Result<Option<Decoded<F>>, CodecError> {
        let Some(&prefix) = self.buffer.first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        let len = usize::try_from(u32::from_be_bytes(prefix)).unwrap_or(usize::MAX);
        if len > F::MAX {
            return Err(CodecError::TooLarge {
                kind: F::KIND,
                len,
                max: F::MAX,
            });
        }
        if self.buffer.len() < PREFIX + len {
            return Ok(None);
        }
        self.buffer.advance(PREFIX);
        let body = self.buffer.split_to(len);
        if self.buffer.is_empty() {
            // Most of the time a link is silent: it must not keep the memory of its largest frame meanwhile.
            self.buffer = BytesMut::new();
        }
        decode(&body).map(Some)
    }
}
