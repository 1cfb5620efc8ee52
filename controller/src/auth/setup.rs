//! The setup code: who can read the controller's console or data directory may make the first administrator.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use windflow_kit::{Clock, Random, random::RandomError};
use windflow_model::Timestamp;

use super::secret::same;

/// Life of a code.
pub(crate) const LIFE: Duration = Duration::from_secs(15 * 60);
/// Without letters that look alike.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// 12 letters of 5 bit: 60 bit against 5 tries a minute.
const LETTERS: usize = 12;

/// Holds the present code.
#[derive(Debug)]
pub(crate) struct SetupCodes {
    clock: Clock,
    random: Random,
    present: Mutex<Option<Code>>,
}

#[derive(Clone)]
struct Code {
    text: String,
    expires_at: Timestamp,
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Code").finish_non_exhaustive()
    }
}

impl SetupCodes {
    pub(crate) const fn new(clock: Clock, random: Random) -> Self {
        Self {
            clock,
            random,
            present: Mutex::new(None),
        }
    }

    /// The present code, or a new one if it has expired; `true` if it is new.
    pub(crate) fn present(&self) -> Result<(String, bool), RandomError> {
        let now = Timestamp::from_millis(self.clock.now_ms());
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(code) = present.as_ref().filter(|code| code.expires_at > now) {
            return Ok((code.text.clone(), false));
        }
        let bytes = self.random.bytes::<LETTERS>()?;
        let letters = bytes.iter().map(|byte| {
            let letter = ALPHABET.get(usize::from(byte & 31)).copied();
            char::from(letter.unwrap_or(b'A'))
        });
        let mut text = String::new();
        for (index, letter) in letters.enumerate() {
            if index > 0 && index % 4 == 0 {
                text.push('-');
            }
            text.push(letter);
        }
        *present = Some(Code {
            text: text.clone(),
            expires_at: now.plus(LIFE),
        });
        Ok((text, true))
    }

    /// Whether this is the present code. Small letters, blanks and dashes do not matter.
    pub(crate) fn fits(&self, text: &str) -> bool {
        let now = Timestamp::from_millis(self.clock.now_ms());
        let present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        present
            .as_ref()
            .is_some_and(|code| code.expires_at > now && same(&plain(&code.text), &plain(text)))
    }

    /// The code was used, or is no longer needed.
    pub(crate) fn forget(&self) {
        *self.present.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn plain(text: &str) -> String {
    text.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|letter| letter.to_ascii_uppercase())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_lives_15_minutes_and_is_renewed() {
        let clock = Clock::manual(0);
        let codes = SetupCodes::new(clock.clone(), Random::seeded(1));
        assert!(!codes.fits(""));
        let (first, new) = codes.present().unwrap();
        assert!(new && first.len() == 14, "{first}");
        assert!(codes.fits(&first) && codes.fits(&first.to_lowercase().replace('-', " ")));
        assert!(!codes.fits(&first[1..]) && !codes.fits(""));
        clock.advance(LIFE);
        assert!(!codes.fits(&first));
        let (second, new) = codes.present().unwrap();
        assert!(new && second != first);
        codes.forget();
        assert!(!codes.fits(&second));
    }
}
