//! Protocol buffers: as much of the wire format as BuildKit's messages need. Unknown fields are skipped.

use std::collections::BTreeMap;

/// A message being written. Fields with their zero value are left out, as the format wants it.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    fn varint(&mut self, mut value: u64) {
        loop {
            let [low, ..] = value.to_le_bytes();
            value >>= 7;
            if value == 0 {
                self.0.push(low & 0x7f);
                return;
            }
            self.0.push(low | 0x80);
        }
    }

    pub(super) fn number(mut self, field: u32, value: u64) -> Self {
        if value != 0 {
            self.varint(u64::from(field) << 3);
            self.varint(value);
        }
        self
    }

    /// Text, bytes or a message.
    pub(super) fn bytes(self, field: u32, value: impl AsRef<[u8]>) -> Self {
        if value.as_ref().is_empty() {
            self
        } else {
            self.always(field, value)
        }
    }

    /// Written even if it is empty: an item of a list.
    pub(super) fn always(mut self, field: u32, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        self.varint(u64::from(field) << 3 | 2);
        self.varint(u64::try_from(value.len()).unwrap_or(u64::MAX));
        self.0.extend_from_slice(value);
        self
    }

    /// A map of texts.
    pub(super) fn map(mut self, field: u32, pairs: &BTreeMap<String, String>) -> Self {
        for (key, value) in pairs {
            let pair = Self::default().bytes(1, key).bytes(2, value);
            self = self.always(field, pair.done());
        }
        self
    }

    pub(super) fn done(self) -> Vec<u8> {
        self.0
    }
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'b> {
    /// A number, of whatever width.
    Number(u64),
    /// Text, bytes or a message.
    Bytes(&'b [u8]),
}

impl<'b> Value<'b> {
    pub(super) fn number(self) -> u64 {
        match self {
            Self::Number(number) => number,
            Self::Bytes(_) => 0,
        }
    }

    pub(super) fn bytes(self) -> &'b [u8] {
        match self {
            Self::Number(_) => &[],
            Self::Bytes(bytes) => bytes,
        }
    }

    pub(super) fn text(self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }
}

/// The fields of a message, in the order in which they were sent. Ends at the first byte that is no field: a peer that
/// sends nonsense says no more than it has said till then.
#[derive(Debug)]
pub(super) struct Fields<'b>(pub(super) &'b [u8]);

impl<'b> Fields<'b> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn fixed(&mut self, length: usize) -> Option<u64> {
        let bytes = self.take(length)?;
        let number = bytes.iter().rev();
        Some(number.fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
}

impl<'b> Iterator for Fields<'b> {
    type Item = (u32, Value<'b>);

    fn next(&mut self) -> Option<Self::Item> {
        let mut read = || {
            let key = self.varint()?;
            let field = u32::try_from(key >> 3).ok()?;
            let value = match key & 7 {
                0 => Value::Number(self.varint()?),
                1 => Value::Number(self.fixed(8)?),
                2 => {
                    let length = usize::try_from(self.varint()?).ok()?;
                    Value::Bytes(self.take(length)?)
                }
                5 => Value::Number(self.fixed(4)?),
                _ => return None,
            };
            (field != 0).then_some((field, value))
        };
        let item = read();
        if item.is_none() {
            self.0 = &[];
        }
        item
    }
}

/// The bytes of the last field of a number.
pub(super) fn field(message: &[u8], number: u32) -> &[u8] {
    let found = Fields(message).filter(|(field, _)| *field == number).last();
    found.map_or(&[], |(_, value)| value.bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let check = |message: Writer, bytes: &[u8], fields: &[(u32, Value<'_>)]| {
            let written = message.done();
            assert_eq!(written, bytes);
            assert_eq!(Fields(&written).collect::<Vec<_>>(), fields);
        };
        // The examples of the format's own description.
        check(
            Writer::default().number(1, 150),
            &[8, 0x96, 1],
            &[(1, Value::Number(150))],
        );
        let text = [0x12, 7, b't', b'e', b's', b't', b'i', b'n', b'g'];
        check(
            Writer::default().bytes(2, "testing"),
            &text,
            &[(2, Value::Bytes(b"testing"))],
        );
        check(Writer::default().number(1, 0).bytes(2, ""), &[], &[]);
        check(
            Writer::default().always(2, ""),
            &[0x12, 0],
            &[(2, Value::Bytes(b""))],
        );
        let most = [8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1];
        check(
            Writer::default().number(1, u64::MAX),
            &most,
            &[(1, Value::Number(u64::MAX))],
        );
        let pairs = BTreeMap::from([("a".to_owned(), "b".to_owned()), ("c".to_owned(), String::new())]);
        check(
            Writer::default().map(7, &pairs),
            &[0x3a, 6, 10, 1, b'a', 18, 1, b'b', 0x3a, 3, 10, 1, b'c'],
            &[
                (7, Value::Bytes(&[10, 1, b'a', 18, 1, b'b'])),
                (7, Value::Bytes(&[10, 1, b'c'])),
            ],
        );
    }

    #[test]
    fn nonsense_ends_the_message() {
        let check = |bytes: &[u8], fields: usize| assert_eq!(Fields(bytes).count(), fields, "{bytes:?}");
        check(&[8, 1, 0x12], 1);
        check(&[8, 1, 0x12, 9, 1], 1);
        check(&[0x12, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 0], 0);
        check(&[8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1], 0);
        check(&[0x0b, 1], 0);
        check(&[0, 1], 0);
        check(&[0x0d, 1, 0, 0, 0, 9, 2, 0, 0, 0, 0, 0, 0, 0], 2);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let read = Fields(&bytes).map(|(_, value)| value.bytes().len()).sum::<usize>();
            prop_assert!(read <= bytes.len());
        }
    }
}
