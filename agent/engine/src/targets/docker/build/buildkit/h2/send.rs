//! What this side of a connection sends.

use bytes::BytesMut;

use super::{
    CANCEL, Connection, FRAME,
    frame::{self, END, END_HEADERS, Kind},
};
use crate::targets::docker::build::buildkit::hpack;

impl Connection {
    /// Begins a request; gives its stream.
    pub(in super::super) fn request(&mut self, headers: &[(&str, &str)]) -> u32 {
        // A client's streams have the odd numbers.
        self.newest = if self.newest == 0 { 1 } else { self.newest + 2 };
        let stream = self.newest;
        self.begin(stream);
        self.block_out(stream, &hpack::encode(headers), false);
        stream
    }

    /// Begins an answer.
    pub(in super::super) fn answer(&mut self, stream: u32, headers: &[(&str, &str)]) {
        if self.streams.contains_key(&stream) {
            self.block_out(stream, &hpack::encode(headers), false);
        }
    }

    /// Sends, as soon as the windows allow.
    pub(in super::super) fn send(&mut self, stream: u32, bytes: &[u8]) {
        if let Some(found) = self.streams.get_mut(&stream) {
            found.waiting.extend_from_slice(bytes);
        }
    }

    /// Nothing more will be sent; headers may come behind the data.
    pub(in super::super) fn end(&mut self, stream: u32, trailers: Option<&[(&str, &str)]>) {
        if let Some(found) = self.streams.get_mut(&stream) {
            found.last = trailers.map(hpack::encode);
            found.closing = true;
        }
    }

    /// Gives a stream up.
    pub(in super::super) fn reset(&mut self, stream: u32) {
        if self.streams.remove(&stream).is_some() {
            frame::write(&mut self.output, Kind::RESET, 0, stream, &CANCEL.to_be_bytes());
        }
    }

    /// So much of what came in a stream has found its reader: as much again may come.
    pub(in super::super) fn consumed(&mut self, stream: u32, length: usize) {
        let more = u32::try_from(length).unwrap_or(0);
        if let Some(found) = self.streams.get_mut(&stream)
            && more > 0
            && !found.got_all
        {
            found.room += i64::from(more);
            frame::write(&mut self.output, Kind::WINDOW, 0, stream, &more.to_be_bytes());
        }
    }

    /// What is to be written now, and how much of it each stream's data is.
    pub(in super::super) fn output(&mut self) -> (BytesMut, Vec<(u32, usize)>) {
        let mut gone = Vec::new();
        let ids: Vec<u32> = self.streams.keys().copied().collect();
        for id in ids {
            let length = self.pump(id);
            if length > 0 {
                gone.push((id, length));
            }
            self.sweep(id);
        }
        (self.output.split(), gone)
    }

    /// Writes as much of one stream as the windows allow.
    fn pump(&mut self, id: u32) -> usize {
        let mut gone = 0;
        let Some(stream) = self.streams.get_mut(&id) else {
            return gone;
        };
        while !stream.waiting.is_empty() {
            let window = usize::try_from(stream.window.min(self.window)).unwrap_or(0);
            let length = stream.waiting.len().min(window).min(self.frame);
            if length == 0 {
                return gone;
            }
            let piece = stream.waiting.split_to(length);
            let end = stream.closing && stream.last.is_none() && stream.waiting.is_empty();
            frame::write(&mut self.output, Kind::DATA, u8::from(end), id, &piece);
            stream.sent_all |= end;
            let length = i64::try_from(length).unwrap_or(0);
            stream.window -= length;
            self.window -= length;
            gone += piece.len();
        }
        if stream.closing && !stream.sent_all {
            stream.sent_all = true;
            match stream.last.take() {
                Some(block) => self.block_out(id, &block, true),
                None => frame::write(&mut self.output, Kind::DATA, END, id, &[]),
            }
        }
        gone
    }

    /// Headers, in as many frames as they take.
    fn block_out(&mut self, stream: u32, block: &[u8], end: bool) {
        let pieces = block.len().div_ceil(FRAME).max(1);
        let mut chunks = block.chunks(FRAME);
        for at in 0..pieces {
            let kind = if at == 0 {
                Kind::HEADERS
            } else {
                Kind::CONTINUATION
            };
            let mut flags = u8::from(end && at == 0);
            if at + 1 == pieces {
                flags |= END_HEADERS;
            }
            let piece = chunks.next().unwrap_or_default();
            frame::write(&mut self.output, kind, flags, stream, piece);
        }
    }
}
