//! LEB128, and reading that never runs over the end.

use super::MetricsError;

/// Appends an unsigned number.
pub fn put_unsigned(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed number: small ones of either sign are short.
pub fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_unsigned(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Bytes that are read from their begin.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// From the begin.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What was not read yet.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// One byte.
    ///
    /// # Errors
    /// [`MetricsError::Cut`].
    pub fn byte(&mut self) -> Result<u8, MetricsError> {
        let (first, rest) = self.rest.split_first().ok_or(MetricsError::Cut)?;
        self.rest = rest;
        Ok(*first)
    }

    /// So many bytes.
    ///
    /// # Errors
    /// [`MetricsError::Cut`].
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], MetricsError> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(MetricsError::Cut)?;
        self.rest = rest;
        Ok(head)
    }

    /// An unsigned number.
    ///
    /// # Errors
    /// [`MetricsError::Cut`], or one of more than 64 bits.
    pub fn unsigned(&mut self) -> Result<u64, MetricsError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                break;
            }
            value |= part << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(MetricsError::Malformed("a number of more than 64 bits"))
    }

    /// A signed number.
    ///
    /// # Errors
    /// As [`Reader::unsigned`].
    pub fn signed(&mut self) -> Result<i64, MetricsError> {
        let value = self.unsigned()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A number of things.
    ///
    /// # Errors
    /// [`MetricsError::TooLarge`] above `most`.
    pub fn count(&mut self, most: usize) -> Result<usize, MetricsError> {
        let count = usize::try_from(self.unsigned()?).unwrap_or(usize::MAX);
        if count > most {
            return Err(MetricsError::TooLarge);
        }
        Ok(count)
    }

    /// A text of at most so many bytes.
    ///
    /// # Errors
    /// [`MetricsError`].
    pub fn text(&mut self, most: usize) -> Result<String, MetricsError> {
        let len = self.count(most)?;
        let text = str::from_utf8(self.bytes(len)?);
        text.map(str::to_owned)
            .map_err(|_| MetricsError::Malformed("a text that is not UTF-8"))
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// [`MetricsError::Malformed`].
    pub const fn end(&self) -> Result<(), MetricsError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(MetricsError::Malformed("bytes behind the end"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_at_their_edges() {
        for value in [0, 1, -1, 63, -64, 64, i64::MAX, i64::MIN] {
            let mut bytes = Vec::new();
            put_signed(&mut bytes, value);
            let mut reader = Reader::new(&bytes);
            assert_eq!((reader.signed(), reader.end()), (Ok(value), Ok(())), "{value}");
        }
        let check = |bytes: &[u8], expected| assert_eq!(Reader::new(bytes).unsigned(), expected, "{bytes:?}");
        let long = Err(MetricsError::Malformed("a number of more than 64 bits"));
        check(&[], Err(MetricsError::Cut));
        check(&[0x80], Err(MetricsError::Cut));
        check(&[0xff; 10], long);
        check(
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            Ok(u64::MAX),
        );
        check(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2], long);
    }
}
