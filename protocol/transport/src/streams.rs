//! Typed frames over a QUIC stream.

use quinn::{ConnectionError, ReadError, RecvStream, SendStream, VarInt, WriteError};
use thiserror::Error;
use windflow_protocol::{CodecError, Decoded, Decoder, Frame, encode};

/// Bytes read at once.
const READ: usize = 64 << 10;
/// Bytes that a writer keeps for its next frames.
const KEPT: usize = 4 << 10;

/// Priority of the control stream, for [`FrameWriter::prefer`]: a full house must not look like a dead one.
pub const CONTROL: i32 = 20;
/// Priority of terminals: a keystroke passes every log and transfer that waits.
pub const TERMINAL: i32 = 10;

/// Priority of transfers of files: they take what nothing else wants.
pub const BULK: i32 = -10;

/// Why a stream is over.
#[derive(Debug, Error)]
pub enum StreamError {
    /// Reading failed.
    #[error("the stream broke while reading")]
    Read(#[source] ReadError),
    /// Writing failed.
    #[error("the stream broke while writing")]
    Write(#[source] WriteError),
    /// The bytes are no frames.
    #[error("the peer broke the protocol")]
    Codec(#[source] CodecError),
    /// It ended in the middle of a frame.
    #[error("the stream ended in the middle of a frame")]
    Cut,
}

impl StreamError {
    /// The end of the connection, if that is what broke the stream.
    #[must_use]
    pub fn lost(&self) -> Option<&ConnectionError> {
        match self {
            Self::Read(ReadError::ConnectionLost(error)) | Self::Write(WriteError::ConnectionLost(error)) => {
                Some(error)
            }
            _ => None,
        }
    }
}

/// Reads frames.
#[derive(Debug)]
pub struct FrameReader {
    stream: RecvStream,
    decoder: Decoder,
}

impl FrameReader {
    /// Wraps a stream.
    #[must_use]
    pub fn new(stream: RecvStream) -> Self {
        Self {
            stream,
            decoder: Decoder::default(),
        }
    }

    /// The next known frame, or `None` when the peer has finished. Frames of newer builds are skipped. May be dropped
    /// and called again: nothing is lost.
    ///
    /// # Errors
    /// [`StreamError`]; the stream is then useless.
    pub async fn next<F: Frame>(&mut self) -> Result<Option<F>, StreamError> {
        loop {
            if let Some(frame) = self.ready()? {
                return Ok(Some(frame));
            }
            let chunk = self.stream.read_chunk(READ, true).await;
            match chunk.map_err(StreamError::Read)? {
                Some(chunk) => self.decoder.push(&chunk.bytes),
                None if self.decoder.is_empty() => return Ok(None),
                None => return Err(StreamError::Cut),
            }
        }
    }

    /// The next known frame of those that have been read already; it never waits.
    ///
    /// # Errors
    /// [`StreamError::Codec`]; the stream is then useless.
    pub fn ready<F: Frame>(&mut self) -> Result<Option<F>, StreamError> {
        loop {
            match self.decoder.next_frame().map_err(StreamError::Codec)? {
                Some(Decoded::Frame(frame)) => return Ok(Some(frame)),
                Some(Decoded::Unknown { variant, len }) => {
                    tracing::debug!(kind = F::KIND, variant, len, "frame of a newer build skipped");
                }
                None => return Ok(None),
            }
        }
    }

    /// Tells the peer that nothing more will be read.
    pub fn stop(&mut self) {
        // Fails only if the stream is over already.
        let _over = self.stream.stop(VarInt::from_u32(0));
    }
}

/// Writes frames.
#[derive(Debug)]
pub struct FrameWriter {
    stream: SendStream,
    buffer: Vec<u8>,
}

impl FrameWriter {
    /// Wraps a stream.
    #[must_use]
    pub const fn new(stream: SendStream) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// Which stream of the connection is sent first where not all can be: the one with the higher number. Logs have 0.
    pub fn prefer(&self, priority: i32) {
        // Fails only if the stream is over already.
        let _over = self.stream.set_priority(priority);
    }

    /// Adds a frame to what [`FrameWriter::flush`] sends.
    ///
    /// # Errors
    /// [`StreamError::Codec`] if it is too large.
    pub fn feed<F: Frame>(&mut self, frame: &F) -> Result<(), StreamError> {
        encode(frame, &mut self.buffer).map_err(StreamError::Codec)
    }

    /// Bytes that were fed and not yet taken by the stream.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.buffer.len()
    }

    /// Hands the stream as much of what was fed as it takes; waits until it takes some. May be dropped and called again:
    /// nothing is lost or sent twice.
    ///
    /// # Errors
    /// [`StreamError::Write`].
    pub async fn advance(&mut self) -> Result<(), StreamError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let taken = self.stream.write(&self.buffer).await;
        self.buffer.drain(..taken.map_err(StreamError::Write)?);
        if self.buffer.is_empty() {
            // One large document must not keep its memory for the life of a connection.
            self.buffer.shrink_to(KEPT);
        }
        Ok(())
    }

    /// Hands over all that was fed. May be dropped, as [`FrameWriter::advance`].
    ///
    /// # Errors
    /// [`StreamError::Write`].
    pub async fn flush(&mut self) -> Result<(), StreamError> {
        while !self.buffer.is_empty() {
            self.advance().await?;
        }
        Ok(())
    }

    /// Sends one frame.
    ///
    /// # Errors
    /// [`StreamError`].
    pub async fn send<F: Frame>(&mut self, frame: &F) -> Result<(), StreamError> {
        self.feed(frame)?;
        self.flush().await
    }

    /// No more frames; what was sent still arrives.
    pub fn finish(&mut self) {
        let _over = self.stream.finish();
    }

    /// Breaks it off: what was sent and not yet taken is forgotten.
    pub fn reset(&mut self) {
        let _over = self.stream.reset(VarInt::from_u32(0));
    }

    /// Ends when the peer wants nothing more of this stream, or has everything after [`FrameWriter::finish`], or is gone.
    pub fn unwanted(&self) -> impl Future<Output = ()> + Send + use<> {
        let stopped = self.stream.stopped();
        async move {
            let _either = stopped.await;
        }
    }

    /// Waits until the peer has everything (after [`FrameWriter::finish`]) or does not want more.
    pub async fn delivered(&mut self) {
        let _either = self.stream.stopped().await;
    }
}
