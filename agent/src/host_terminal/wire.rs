//! What the agent and the privileged part say to each other: frames of one byte kind, four bytes length, body.

use std::io;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use tokio_util::codec::{Decoder, Encoder};
use windflow_model::{Failure, TerminalSize};

/// Longest body: a request with all the words that the controller lets through, as JSON.
const LONGEST: usize = 1 << 20;
const HEAD: usize = 5;
/// Bytes of input or output in one frame.
pub(super) const PIECE: usize = 16 << 10;
/// Input that the agent may send ahead of what the process has read.
pub(super) const WINDOW: usize = 64 << 10;

/// What is to be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Request {
    /// As which user of the host.
    pub(super) user: String,
    /// Program and arguments; none means the login shell.
    pub(super) command: Vec<String>,
    /// Instead of the user's home.
    pub(super) working_dir: Option<String>,
    /// `KEY=value`.
    pub(super) env: Vec<String>,
    /// With a terminal.
    pub(super) tty: bool,
    /// Its size.
    pub(super) size: Option<TerminalSize>,
}

/// From the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ToPart {
    /// The first one, and only the first.
    Start(Request),
    /// For the process to read.
    Input(Bytes),
    /// There is no more.
    EndOfInput,
    /// The terminal has another size.
    Resize(TerminalSize),
}

/// From the part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FromPart {
    /// It runs: program and arguments.
    Started(Vec<String>),
    /// It does not, or cannot go on.
    Failed(Failure),
    /// Standard output, or all output of a terminal.
    Output(Bytes),
    /// Standard error.
    Stderr(Bytes),
    /// The process has read so many bytes more.
    Taken(u32),
    /// The last one: exit code, or 128 and the number of the signal.
    Exited(i32),
}

const START: u8 = 1;
const INPUT: u8 = 2;
const END_OF_INPUT: u8 = 3;
const RESIZE: u8 = 4;
const STARTED: u8 = 65;
const FAILED: u8 = 66;
const OUTPUT: u8 = 67;
const STDERR: u8 = 68;
const TAKEN: u8 = 69;
const EXITED: u8 = 70;

/// Frames of the agent, read by the part; and the other way round.
#[derive(Debug, Default)]
pub(super) struct PartEnd;

/// The other end of [`PartEnd`].
#[derive(Debug, Default)]
pub(super) struct AgentEnd;

fn put(kind: u8, body: &[u8], to: &mut BytesMut) -> io::Result<()> {
    let length = u32::try_from(body.len())
        .ok()
        .filter(|_| body.len() <= LONGEST)
        .ok_or_else(|| wrong("a frame is too long"))?;
    to.reserve(HEAD + body.len());
    to.put_u8(kind);
    to.put_u32(length);
    to.put_slice(body);
    Ok(())
}

/// The next whole frame.
fn take(from: &mut BytesMut) -> io::Result<Option<(u8, Bytes)>> {
    let Some((head, _)) = from.split_first_chunk::<HEAD>() else {
        return Ok(None);
    };
    let [kind, a, b, c, d] = *head;
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    if length > LONGEST {
        return Err(wrong("a frame is too long"));
    }
    if from.len() < HEAD + length {
        from.reserve(HEAD + length - from.len());
        return Ok(None);
    }
    from.advance(HEAD);
    Ok(Some((kind, from.split_to(length).freeze())))
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

fn number(body: &[u8]) -> io::Result<u32> {
    let bytes = body
        .try_into()
        .map_err(|_| wrong("a number has another length"))?;
    Ok(u32::from_be_bytes(bytes))
}

fn json<T: serde::de::DeserializeOwned>(body: &[u8]) -> io::Result<T> {
    serde_json::from_slice(body).map_err(|error| wrong(&error.to_string()))
}

fn to_json<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| wrong(&error.to_string()))
}

impl Decoder for PartEnd {
    type Item = ToPart;
    type Error = io::Error;

    fn decode(&mut self, from: &mut BytesMut) -> io::Result<Option<ToPart>> {
        let Some((kind, body)) = take(from)? else {
            return Ok(None);
        };
        Ok(Some(match kind {
            START => ToPart::Start(json(&body)?),
            INPUT => ToPart::Input(body),
            END_OF_INPUT => ToPart::EndOfInput,
            RESIZE => {
                let both = number(&body)?.to_be_bytes();
                let [a, b, c, d] = both;
                ToPart::Resize(TerminalSize {
                    columns: u16::from_be_bytes([a, b]),
                    rows: u16::from_be_bytes([c, d]),
                })
            }
            _ => return Err(wrong("a frame of an unknown kind")),
        }))
    }
}

impl Encoder<FromPart> for PartEnd {
    type Error = io::Error;

    fn encode(&mut self, frame: FromPart, to: &mut BytesMut) -> io::Result<()> {
        match frame {
            FromPart::Started(command) => put(STARTED, &to_json(&command)?, to),
            FromPart::Failed(failure) => put(FAILED, &to_json(&failure)?, to),
            FromPart::Output(bytes) => put(OUTPUT, &bytes, to),
            FromPart::Stderr(bytes) => put(STDERR, &bytes, to),
            FromPart::Taken(count) => put(TAKEN, &count.to_be_bytes(), to),
            FromPart::Exited(code) => put(EXITED, &code.to_be_bytes(), to),
        }
    }
}

impl Decoder for AgentEnd {
    type Item = FromPart;
    type Error = io::Error;

    fn decode(&mut self, from: &mut BytesMut) -> io::Result<Option<FromPart>> {
        let Some((kind, body)) = take(from)? else {
            return Ok(None);
        };
        Ok(Some(match kind {
            STARTED => FromPart::Started(json(&body)?),
            FAILED => FromPart::Failed(json(&body)?),
            OUTPUT => FromPart::Output(body),
            STDERR => FromPart::Stderr(body),
            TAKEN => FromPart::Taken(number(&body)?),
            EXITED => FromPart::Exited(i32::from_be_bytes(number(&body)?.to_be_bytes())),
            _ => return Err(wrong("a frame of an unknown kind")),
        }))
    }
}

impl Encoder<ToPart> for AgentEnd {
    type Error = io::Error;

    fn encode(&mut self, frame: ToPart, to: &mut BytesMut) -> io::Result<()> {
        match frame {
            ToPart::Start(request) => put(START, &to_json(&request)?, to),
            ToPart::Input(bytes) => put(INPUT, &bytes, to),
            ToPart::EndOfInput => put(END_OF_INPUT, &[], to),
            ToPart::Resize(TerminalSize { columns, rows }) => {
                let both = u32::from(columns) << 16 | u32::from(rows);
                put(RESIZE, &both.to_be_bytes(), to)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn to_part() -> impl Strategy<Value = ToPart> {
        let size = (any::<u16>(), any::<u16>()).prop_map(|(columns, rows)| TerminalSize { columns, rows });
        let words = proptest::collection::vec(".{0,20}", 0..4);
        let request = (
            ".{0,12}",
            words.clone(),
            proptest::option::of(".{0,12}"),
            words,
            any::<bool>(),
            proptest::option::of(size.clone()),
        );
        prop_oneof![
            request.prop_map(|(user, command, working_dir, env, tty, size)| {
                ToPart::Start(Request {
                    user,
                    command,
                    working_dir,
                    env,
                    tty,
                    size,
                })
            }),
            proptest::collection::vec(any::<u8>(), 0..3_000).prop_map(|bytes| ToPart::Input(bytes.into())),
            Just(ToPart::EndOfInput),
            size.prop_map(ToPart::Resize),
        ]
    }

    fn from_part() -> impl Strategy<Value = FromPart> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..3_000).prop_map(Bytes::from);
        prop_oneof![
            proptest::collection::vec(".{0,20}", 0..4).prop_map(FromPart::Started),
            ".{0,40}"
                .prop_map(|text| FromPart::Failed(Failure::new(windflow_model::Code::HostFailure, text))),
            bytes().prop_map(FromPart::Output),
            bytes().prop_map(FromPart::Stderr),
            any::<u32>().prop_map(FromPart::Taken),
            any::<i32>().prop_map(FromPart::Exited),
        ]
    }

    /// Decodes what comes in pieces.
    fn read<D: Decoder<Error = io::Error>>(mut end: D, bytes: &[u8], piece: usize) -> Vec<D::Item> {
        let (mut held, mut seen) = (BytesMut::new(), Vec::new());
        for piece in bytes.chunks(piece.max(1)) {
            held.extend_from_slice(piece);
            while let Some(frame) = end.decode(&mut held).unwrap() {
                seen.push(frame);
            }
        }
        assert!(held.is_empty());
        seen
    }

    proptest! {
        /// Whatever is said arrives, in order, however it is cut.
        #[test]
        fn frames_come_back(
            there in proptest::collection::vec(to_part(), 0..6),
            back in proptest::collection::vec(from_part(), 0..6),
            piece in 1_usize..600,
        ) {
            let (mut bytes, mut end) = (BytesMut::new(), AgentEnd);
            for frame in &there {
                end.encode(frame.clone(), &mut bytes).unwrap();
            }
            prop_assert_eq!(read(PartEnd, &bytes, piece), there);
            let (mut bytes, mut end) = (BytesMut::new(), PartEnd);
            for frame in &back {
                end.encode(frame.clone(), &mut bytes).unwrap();
            }
            prop_assert_eq!(read(AgentEnd, &bytes, piece), back);
        }

        /// Whatever comes, the part neither panics nor keeps more than one frame of it.
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut held = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = PartEnd.decode(&mut held) {}
            let mut held = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = AgentEnd.decode(&mut held) {}
            prop_assert!(held.capacity() <= LONGEST + 4 * HEAD + 800);
        }
    }

    #[test]
    fn golden_frames() {
        let mut bytes = BytesMut::new();
        AgentEnd
            .encode(ToPart::Input(Bytes::from_static(b"ls\n")), &mut bytes)
            .unwrap();
        AgentEnd
            .encode(
                ToPart::Resize(TerminalSize {
                    columns: 258,
                    rows: 3,
                }),
                &mut bytes,
            )
            .unwrap();
        assert_eq!(&bytes[..], b"\x02\0\0\0\x03ls\n\x04\0\0\0\x04\x01\x02\0\x03");
        let mut bytes = BytesMut::new();
        PartEnd.encode(FromPart::Exited(-2), &mut bytes).unwrap();
        assert_eq!(&bytes[..], b"\x46\0\0\0\x04\xff\xff\xff\xfe");
        for broken in [
            &b"\x02\xff\0\0\0"[..],
            b"\x63\0\0\0\0",
            b"\x04\0\0\0\x01a",
            b"\x01\0\0\0\x01a",
        ] {
            assert!(PartEnd.decode(&mut BytesMut::from(broken)).is_err(), "{broken:?}");
        }
    }
}
