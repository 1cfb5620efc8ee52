//! The frames of a session's output: one byte of source (2 is errors), three zero bytes, a big-endian length, the payload.

use bytes::{Bytes, BytesMut};

use crate::targets::Output;

const HEADER: usize = 8;

/// Takes the frames apart; a piece of a frame is given on as it comes.
#[derive(Debug)]
pub(super) struct Frames {
    raw: bool,
    buffer: BytesMut,
    left: usize,
    errors: bool,
}

impl Frames {
    pub(super) fn new(raw: bool) -> Self {
        Self {
            raw,
            buffer: BytesMut::new(),
            left: 0,
            errors: false,
        }
    }

    pub(super) fn feed(&mut self, piece: &Bytes) -> Vec<Output> {
        if self.raw {
            return vec![Output::Stdout(piece.clone())];
        }
        self.buffer.extend_from_slice(piece);
        let mut out = Vec::new();
        loop {
            if self.left == 0 {
                let Some(header) = self.buffer.first_chunk::<HEADER>() else {
                    return out;
                };
                let [source, _, _, _, a, b, c, d] = *header;
                self.errors = source == 2;
                self.left = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
                let _ = self.buffer.split_to(HEADER);
                continue;
            }
            let take = self.left.min(self.buffer.len());
            if take == 0 {
                return out;
            }
            self.left -= take;
            let bytes = self.buffer.split_to(take).freeze();
            out.push(if self.errors {
                Output::Stderr(bytes)
            } else {
                Output::Stdout(bytes)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_apart_wherever_they_are_cut() {
        let whole = [
            &[1, 0, 0, 0, 0, 0, 0, 3][..],
            b"out",
            &[2, 0, 0, 0, 0, 0, 0, 2],
            b"er",
            &[1, 0, 0, 0, 0, 0, 0, 1],
            b"!",
        ]
        .concat();
        let check = |cut: usize| {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let mut frames = Frames::new(false);
            for piece in whole.chunks(cut) {
                for output in frames.feed(&Bytes::copy_from_slice(piece)) {
                    match output {
                        Output::Stdout(bytes) => out.extend_from_slice(&bytes),
                        Output::Stderr(bytes) => err.extend_from_slice(&bytes),
                    }
                }
            }
            assert_eq!(
                (out.as_slice(), err.as_slice()),
                (&b"out!"[..], &b"er"[..]),
                "{cut}"
            );
        };
        (1..=whole.len()).for_each(check);
    }

    #[test]
    fn a_terminal_has_no_frames() {
        let mut frames = Frames::new(true);
        let piece = Bytes::from_static(&[1, 0, 0, 0, b'x']);
        assert_eq!(frames.feed(&piece), [Output::Stdout(piece.clone())]);
    }
}
