//! One HTTP/2 connection (RFC 9113), either end of it, without IO: bytes in, events out; calls in, bytes out.
//!
//! A peer's data is held back only by the windows: a stream's is opened again by [`Connection::consumed`], the
//! connection's at once. What is sent waits in its stream until the peer's windows let it go.

mod frame;
mod send;

use std::collections::BTreeMap;

use bytes::{Buf as _, Bytes, BytesMut};

use self::frame::{ACK, END, Frame, Kind, PREFACE};
use super::hpack::{Decoder, Headers};

/// What a stream or a connection may send before it is given more (RFC 9113, 6.9.2).
const WINDOW: i64 = 65_535;
/// The largest frame that this side reads, and what every peer reads.
const FRAME: usize = 16_384;
/// Streams that a client may have open here at once.
const STREAMS: usize = 64;
/// The most bytes that a block of headers may take on the wire.
const BLOCK: usize = 1 << 20;
/// Codes of the standard: a stream that is not wanted, one that is given up.
const REFUSED: u32 = 7;
const CANCEL: u32 = 8;

/// The connection cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("HTTP/2: {0}")]
pub(super) struct Broken(pub(super) String);

impl Broken {
    fn new(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// What a peer did.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A request, the head of an answer, or what comes behind one.
    Headers {
        stream: u32,
        headers: Headers,
        end: bool,
    },
    Data {
        stream: u32,
        bytes: Bytes,
        end: bool,
    },
    /// It gave a stream up.
    Reset {
        stream: u32,
        code: u32,
    },
}

#[derive(Debug, Default)]
struct Stream {
    /// What may still be sent.
    window: i64,
    /// What may still come.
    room: i64,
    waiting: BytesMut,
    /// Headers behind the data.
    last: Option<Vec<u8>>,
    /// This side sends no more once `waiting` is empty.
    closing: bool,
    sent_all: bool,
    got_all: bool,
}

/// Either end of a connection.
#[derive(Debug)]
pub(super) struct Connection {
    client: bool,
    decoder: Decoder,
    input: BytesMut,
    output: BytesMut,
    greeted: bool,
    streams: BTreeMap<u32, Stream>,
    /// What the connection may still send.
    window: i64,
    /// What each of its streams may send at first.
    initial: i64,
    /// Largest frame that the peer reads.
    frame: usize,
    /// Headers whose frames have not all come: stream, end, block.
    block: Option<(u32, bool, BytesMut)>,
    /// The newest stream of whoever asks.
    newest: u32,
}

impl Connection {
    pub(super) fn new(client: bool) -> Self {
        let mut output = BytesMut::new();
        // A client wants no pushes; a server names its most streams.
        let (setting, value) = if client { (2_u16, 0) } else { (3, STREAMS) };
        let mut payload = setting.to_be_bytes().to_vec();
        payload.extend(u32::try_from(value).unwrap_or(0).to_be_bytes());
        if client {
            output.extend_from_slice(PREFACE);
        }
        frame::write(&mut output, Kind::SETTINGS, 0, 0, &payload);
        Self {
            client,
            decoder: Decoder::default(),
            input: BytesMut::new(),
            output,
            // Only a client begins with more than a frame.
            greeted: client,
            streams: BTreeMap::new(),
            window: WINDOW,
            initial: WINDOW,
            frame: FRAME,
            block: None,
            newest: 0,
        }
    }

    /// What the peer's bytes mean.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Result<Vec<Event>, Broken> {
        self.input.extend_from_slice(bytes);
        if !self.greeted {
            let common = self.input.len().min(PREFACE.len());
            if self.input.get(..common) != PREFACE.get(..common) {
                return Err(Broken::new("the engine does not begin as a client does"));
            }
            if common < PREFACE.len() {
                return Ok(Vec::new());
            }
            self.input.advance(common);
            self.greeted = true;
        }
        let mut events = Vec::new();
        while let Some(frame) = Frame::take(&mut self.input, FRAME)? {
            self.frame(frame, &mut events)?;
        }
        Ok(events)
    }

    fn frame(&mut self, frame: Frame, events: &mut Vec<Event>) -> Result<(), Broken> {
        if self.block.is_some() && frame.kind != Kind::CONTINUATION {
            return Err(Broken::new("headers are broken off by another frame"));
        }
        let stream = frame.stream;
        match frame.kind {
            Kind::DATA => self.data(frame, events)?,
            Kind::HEADERS => {
                let end = frame.flags & END != 0;
                self.block(stream, end, frame, events)?;
            }
            Kind::CONTINUATION => {
                let Some((of, end, _)) = self.block else {
                    return Err(Broken::new("headers go on that never began"));
                };
                if of != stream {
                    return Err(Broken::new("headers go on in another stream"));
                }
                self.block(stream, end, frame, events)?;
            }
            Kind::RESET => {
                let code = frame.number()?;
                if self.streams.remove(&stream).is_some() {
                    events.push(Event::Reset { stream, code });
                }
            }
            Kind::SETTINGS if frame.flags & ACK == 0 => self.settings(&frame.payload)?,
            Kind::PING if frame.flags & ACK == 0 => {
                frame::write(&mut self.output, Kind::PING, ACK, 0, &frame.payload);
            }
            Kind::GOAWAY => {
                let text = frame.payload.get(8..).unwrap_or_default();
                let text = String::from_utf8_lossy(text);
                return Err(Broken(format!("the engine closes the connection: {text}")));
            }
            Kind::WINDOW => {
                let more = i64::from(frame.number()? & 0x7fff_ffff);
                let window = match self.streams.get_mut(&stream) {
                    _ if stream == 0 => &mut self.window,
                    Some(stream) => &mut stream.window,
                    None => return Ok(()),
                };
                *window += more;
                if *window > i64::from(i32::MAX) {
                    return Err(Broken::new("a window is opened too far"));
                }
            }
            Kind::PUSH => return Err(Broken::new("the engine pushes what nobody asked for")),
            // Priorities, answers to what was sent, and what newer standards add.
            _ => {}
        }
        Ok(())
    }

    fn data(&mut self, frame: Frame, events: &mut Vec<Event>) -> Result<(), Broken> {
        let (stream, end) = (frame.stream, frame.flags & END != 0);
        let length = u32::try_from(frame.payload.len()).unwrap_or(0);
        let bytes = frame.content(false)?;
        if length > 0 {
            frame::write(&mut self.output, Kind::WINDOW, 0, 0, &length.to_be_bytes());
        }
        let Some(found) = self.streams.get_mut(&stream) else {
            // What was on its way when the stream ended.
            return Ok(());
        };
        found.room -= i64::from(length);
        if found.room < 0 || found.got_all {
            return Err(Broken::new("a stream sends more than it may"));
        }
        found.got_all = end;
        let padding = usize::try_from(length).unwrap_or(0) - bytes.len();
        events.push(Event::Data { stream, bytes, end });
        self.consumed(stream, padding);
        self.sweep(stream);
        Ok(())
    }

    /// A piece of headers; they are read once they are whole.
    fn block(&mut self, stream: u32, end: bool, frame: Frame, events: &mut Vec<Event>) -> Result<(), Broken> {
        let last = frame.flags & frame::END_HEADERS != 0;
        let piece = frame.content(frame.kind == Kind::HEADERS)?;
        let (_, _, block) = self.block.get_or_insert_with(|| (stream, end, BytesMut::new()));
        block.extend_from_slice(&piece);
        if block.len() > BLOCK {
            return Err(Broken::new("headers are longer than a megabyte"));
        }
        if !last {
            return Ok(());
        }
        let block = self.block.take().map(|(_, _, block)| block).unwrap_or_default();
        let read = self.decoder.decode(&block);
        let headers = read.map_err(|error| Broken(error.to_string()))?;
        if !self.client && !self.streams.contains_key(&stream) {
            if stream & 1 == 0 || stream <= self.newest {
                return Err(Broken::new("a stream begins that cannot"));
            }
            self.newest = stream;
            if self.streams.len() >= STREAMS {
                frame::write(&mut self.output, Kind::RESET, 0, stream, &REFUSED.to_be_bytes());
                return Ok(());
            }
            self.begin(stream);
        }
        if let Some(found) = self.streams.get_mut(&stream) {
            found.got_all |= end;
            events.push(Event::Headers { stream, headers, end });
            self.sweep(stream);
        }
        Ok(())
    }

    fn settings(&mut self, payload: &[u8]) -> Result<(), Broken> {
        for setting in payload.chunks_exact(6) {
            let [high, low, a, b, c, d] = *setting else {
                continue;
            };
            let value = u32::from_be_bytes([a, b, c, d]);
            match u16::from_be_bytes([high, low]) {
                4 => {
                    if value > 0x7fff_ffff {
                        return Err(Broken::new("a window is opened too far"));
                    }
                    let more = i64::from(value) - self.initial;
                    self.initial = i64::from(value);
                    for stream in self.streams.values_mut() {
                        stream.window += more;
                    }
                }
                5 => self.frame = usize::try_from(value).unwrap_or(FRAME).clamp(FRAME, 1 << 17),
                _ => {}
            }
        }
        frame::write(&mut self.output, Kind::SETTINGS, ACK, 0, &[]);
        Ok(())
    }

    fn begin(&mut self, stream: u32) {
        let begun = Stream {
            window: self.initial,
            room: WINDOW,
            ..Stream::default()
        };
        self.streams.insert(stream, begun);
    }

    /// Forgets a stream that both sides have ended.
    fn sweep(&mut self, stream: u32) {
        if self
            .streams
            .get(&stream)
            .is_some_and(|stream| stream.sent_all && stream.got_all)
        {
            self.streams.remove(&stream);
        }
    }
}

#[cfg(test)]
mod tests;
