//! The last output of a terminal, by position.

use std::collections::VecDeque;

/// Bytes that are kept of a terminal's output: some hundred screens.
pub(super) const SCREENS: usize = 256 << 10;
/// Bytes that are kept of output between pipes: what may be under way to its reader, with room for a long way.
pub(super) const PIPE: usize = 1 << 20;
/// Changes between the two outputs that are remembered.
const TURNS: usize = 8 << 10;

/// Output from some position on, as far as it is kept.
#[derive(Debug)]
pub(super) struct Tape {
    kept: usize,
    bytes: VecDeque<u8>,
    /// Where standard output and error take turns: from which position on it is which. The first one covers the first byte.
    turns: VecDeque<(u64, bool)>,
    /// Position behind the last byte.
    end: u64,
}

/// What a reader gets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// Bytes of one output.
    Bytes { from: u64, stderr: bool, bytes: Vec<u8> },
    /// So many bytes from there are no longer kept.
    Gap { from: u64, lost: u64 },
    /// Nothing more yet.
    Nothing,
}

impl Tape {
    /// An empty one that keeps so many bytes.
    pub(super) const fn new(kept: usize) -> Self {
        Self {
            kept,
            bytes: VecDeque::new(),
            turns: VecDeque::new(),
            end: 0,
        }
    }

    /// How many bytes are kept.
    pub(super) const fn kept(&self) -> usize {
        self.kept
    }

    /// Position behind the last byte.
    pub(super) const fn end(&self) -> u64 {
        self.end
    }

    fn start(&self) -> u64 {
        self.end - u64::try_from(self.bytes.len()).unwrap_or(0)
    }

    pub(super) fn push(&mut self, stderr: bool, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if self.turns.back().is_none_or(|(_, last)| *last != stderr) {
            self.turns.push_back((self.end, stderr));
        }
        // Room first: the buffer never grows beyond what is kept.
        let over = (self.bytes.len() + bytes.len()).saturating_sub(self.kept);
        self.bytes.drain(..over.min(self.bytes.len()));
        let kept = bytes
            .get(bytes.len().saturating_sub(self.kept)..)
            .unwrap_or_default();
        self.bytes.extend(kept);
        self.end += u64::try_from(bytes.len()).unwrap_or(0);
        while self.turns.len() > TURNS {
            // Whose bytes are whose is not told wrongly: they go.
            if let Some((next, _)) = self.turns.get(1) {
                let over = next.saturating_sub(self.start());
                self.bytes.drain(..usize::try_from(over).unwrap_or(0));
            }
            self.turns.pop_front();
        }
        while self.turns.get(1).is_some_and(|(next, _)| *next <= self.start()) {
            self.turns.pop_front();
        }
    }

    /// At most `most` bytes from `from` on.
    pub(super) fn read(&self, from: u64, most: usize) -> Read {
        let start = self.start();
        if from < start {
            return Read::Gap {
                from,
                lost: start - from,
            };
        }
        if from >= self.end {
            return Read::Nothing;
        }
        let turn = self.turns.partition_point(|(at, _)| *at <= from);
        let stderr = turn
            .checked_sub(1)
            .and_then(|turn| self.turns.get(turn))
            .is_some_and(|(_, stderr)| *stderr);
        let until = self.turns.get(turn).map_or(self.end, |(next, _)| *next);
        let at = usize::try_from(from - start).unwrap_or(usize::MAX);
        let count = usize::try_from(until - from).unwrap_or(usize::MAX).min(most);
        let bytes = self
            .bytes
            .range(at..at.saturating_add(count).min(self.bytes.len()));
        Read::Bytes {
            from,
            stderr,
            bytes: bytes.copied().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Everything from `from` on, with the output of each byte; lost bytes are `None`.
    fn all(tape: &Tape, mut from: u64, most: usize) -> Vec<Option<(bool, u8)>> {
        let mut seen = Vec::new();
        loop {
            match tape.read(from, most) {
                Read::Bytes {
                    from: at,
                    stderr,
                    bytes,
                } => {
                    assert_eq!(at, from);
                    assert!(!bytes.is_empty() && bytes.len() <= most);
                    from += bytes.len() as u64;
                    seen.extend(bytes.into_iter().map(|byte| Some((stderr, byte))));
                }
                Read::Gap { from: at, lost } => {
                    assert_eq!(at, from);
                    from += lost;
                    seen.extend(std::iter::repeat_n(None, usize::try_from(lost).unwrap()));
                }
                Read::Nothing => return seen,
            }
        }
    }

    proptest! {
        /// Whatever is written, and from wherever it is read: nothing is lost, repeated or mixed up without being said.
        #[test]
        fn what_is_read_is_what_was_written(
            pieces in proptest::collection::vec((any::<bool>(), any::<u8>(), 0..90_000_usize), 0..12),
            from in 0_u64..300_000,
            most in 1_usize..50_000,
        ) {
            let (mut tape, mut written) = (Tape::new(SCREENS), Vec::new());
            for (stderr, first, length) in &pieces {
                let bytes: Vec<u8> = (0..*length).map(|at| first.wrapping_add((at % 251) as u8)).collect();
                tape.push(*stderr, &bytes);
                written.extend(bytes.iter().map(|byte| (*stderr, *byte)));
            }
            let from = from.min(tape.end());
            let seen = all(&tape, from, most);
            let expected = &written[usize::try_from(from).unwrap()..];
            prop_assert_eq!(seen.len(), expected.len());
            let kept = seen.iter().filter(|byte| byte.is_some()).count();
            prop_assert_eq!(kept, expected.len().min(SCREENS.min(written.len())));
            for (seen, written) in seen.iter().zip(expected) {
                prop_assert!(seen.is_none_or(|seen| seen == *written));
            }
        }
    }

    #[test]
    fn turns_without_end_are_bounded() {
        let mut tape = Tape::new(SCREENS);
        for turn in 0..100_000_u32 {
            tape.push(turn % 2 == 0, &[u8::try_from(turn % 251).unwrap()]);
        }
        assert!(tape.turns.len() <= TURNS, "{}", tape.turns.len());
        let seen = all(&tape, 0, 64);
        assert_eq!(seen.len(), 100_000);
        assert_eq!(
            seen.last(),
            Some(&Some((false, u8::try_from(99_999 % 251).unwrap())))
        );
        assert_eq!(seen.iter().filter(|byte| byte.is_some()).count(), TURNS);
    }
}
