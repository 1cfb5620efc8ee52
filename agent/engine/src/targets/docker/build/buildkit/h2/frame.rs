//! Frames: nine bytes of head, then what the kind says.

use bytes::{Buf as _, Bytes, BytesMut};

use super::Broken;

/// What a client sends before its first frame.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Flags: the stream's end, an answer to settings or a ping (the same bit), the headers' end, padding, a priority.
pub(super) const END: u8 = 1;
pub(super) const ACK: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 32;

const HEAD: usize = 9;

/// The number of a kind of frame.
pub(super) struct Kind;

impl Kind {
    pub(super) const DATA: u8 = 0;
    pub(super) const HEADERS: u8 = 1;
    pub(super) const RESET: u8 = 3;
    pub(super) const SETTINGS: u8 = 4;
    pub(super) const PUSH: u8 = 5;
    pub(super) const PING: u8 = 6;
    pub(super) const GOAWAY: u8 = 7;
    pub(super) const WINDOW: u8 = 8;
    pub(super) const CONTINUATION: u8 = 9;
}

pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: Bytes,
}

impl Frame {
    /// The next one, once it has come whole.
    pub(super) fn take(input: &mut BytesMut, most: usize) -> Result<Option<Self>, Broken> {
        let Some(&[a, b, c, kind, flags, d, e, f, g]) = input.first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(usize::MAX);
        if length > most {
            return Err(Broken(format!(
                "a frame of {length} bytes, at most {most} are read"
            )));
        }
        if input.len() < HEAD + length {
            return Ok(None);
        }
        input.advance(HEAD);
        Ok(Some(Self {
            kind,
            flags,
            stream: u32::from_be_bytes([d & 0x7f, e, f, g]),
            payload: input.split_to(length).freeze(),
        }))
    }

    /// A payload that is one number, or begins with it.
    pub(super) fn number(&self) -> Result<u32, Broken> {
        let bytes = self.payload.first_chunk::<4>();
        bytes
            .map(|bytes| u32::from_be_bytes(*bytes))
            .ok_or_else(|| Broken::new("a frame is too short"))
    }

    /// The payload without padding, and without the priority that headers may begin with.
    pub(super) fn content(&self, headers: bool) -> Result<Bytes, Broken> {
        let mut content = self.payload.clone();
        let short = || Broken::new("a frame is shorter than its padding");
        if self.kind == Kind::CONTINUATION {
            return Ok(content);
        }
        if self.flags & PADDED != 0 {
            let padding = usize::from(*content.first().ok_or_else(short)?);
            content.advance(1);
            content.truncate(content.len().checked_sub(padding).ok_or_else(short)?);
        }
        if headers && self.flags & PRIORITY != 0 {
            if content.len() < 5 {
                return Err(short());
            }
            content.advance(5);
        }
        Ok(content)
    }
}

pub(super) fn write(output: &mut BytesMut, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let [_, a, b, c] = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    output.extend_from_slice(&[a, b, c, kind, flags]);
    output.extend_from_slice(&stream.to_be_bytes());
    output.extend_from_slice(payload);
}
