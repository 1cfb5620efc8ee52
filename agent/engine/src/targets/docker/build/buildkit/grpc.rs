//! Messages of gRPC: five bytes of head before each, and a status behind the last.

use bytes::{Buf as _, Bytes, BytesMut};

use super::hpack::Headers;

/// Longest message that is read: as the engine's own limit.
const LONGEST: usize = 16 << 20;
const HEAD: usize = 5;
const OK: u32 = 0;
const UNKNOWN: u32 = 2;
pub(super) const NOT_FOUND: u32 = 5;
pub(super) const UNIMPLEMENTED: u32 = 12;

/// How a call failed. The number is of gRPC's list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(super) struct Status {
    pub(super) code: u32,
    pub(super) text: String,
}

impl Status {
    pub(super) fn new(code: u32, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { code, text }
    }

    pub(super) fn unknown(text: impl Into<String>) -> Self {
        Self::new(UNKNOWN, text)
    }

    /// What the headers behind an answer say; nothing if they say that all is well.
    pub(super) fn read(headers: &Headers) -> Result<(), Self> {
        let value = |wanted: &str| {
            let found = headers.iter().rev().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.as_str())
        };
        if let Some(code) = value("grpc-status") {
            let code = code.parse().unwrap_or(UNKNOWN);
            let text = decode(value("grpc-message").unwrap_or_default());
            return if code == OK {
                Ok(())
            } else {
                Err(Self::new(code, text))
            };
        }
        let status = value(":status").unwrap_or("none");
        Err(Self::unknown(format!(
            "the engine's answer has no result (HTTP status {status})"
        )))
    }
}

/// Takes the next message off what has come, once it is whole.
pub(super) fn take(input: &mut BytesMut) -> Result<Option<Bytes>, Status> {
    let Some(&[packed, a, b, c, d]) = input.first_chunk::<HEAD>() else {
        return Ok(None);
    };
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    if packed != 0 || length > LONGEST {
        return Err(Status::unknown(
            "the engine sends a message that is too long or packed",
        ));
    }
    if input.len() < HEAD + length {
        return Ok(None);
    }
    input.advance(HEAD);
    Ok(Some(input.split_to(length).freeze()))
}

/// A message with its head.
pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut out = vec![0];
    out.extend(length.to_be_bytes());
    out.extend_from_slice(message);
    out
}

/// A status' text may hold anything: other bytes than printable ones are written as `%0A`.
pub(super) fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b' '..=b'$' | b'&'..=b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// Reads what [`encode`] wrote; what is no escape stays as it is. Query strings are written alike.
pub(super) fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let escaped = behind.get(..2).filter(|_| *first == b'%');
        let byte = escaped
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) => {
                out.push(byte);
                rest = behind.get(2..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_come_whole() {
        let whole = [framed(b"one"), framed(b""), framed(b"three")].concat();
        let (mut input, mut seen) = (BytesMut::new(), Vec::new());
        for byte in whole {
            input.extend_from_slice(&[byte]);
            while let Some(message) = take(&mut input).unwrap() {
                seen.push(message);
            }
        }
        assert_eq!(seen, ["one", "", "three"]);
        assert!(input.is_empty());
    }

    #[test]
    fn hostile_heads_are_refused() {
        let check = |bytes: &[u8]| assert!(take(&mut BytesMut::from(bytes)).is_err(), "{bytes:?}");
        check(&[1, 0, 0, 0, 0]);
        check(&[0, 1, 0, 0, 1]);
        check(&[0, 255, 255, 255, 255]);
    }

    #[test]
    fn results() {
        let check = |pairs: &[(&str, &str)], is: Result<(), Status>| {
            let pairs = pairs.iter();
            let headers = pairs
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            assert_eq!(Status::read(&headers), is);
        };
        check(&[(":status", "200"), ("grpc-status", "0")], Ok(()));
        let broken = [("grpc-status", "2"), ("grpc-message", "exit code: 3%0Aé%zz%")];
        check(&broken, Err(Status::unknown("exit code: 3\né%zz%")));
        check(&[("grpc-status", "x")], Err(Status::unknown("")));
        assert!(Status::read(&vec![(":status".into(), "404".into())]).is_err());
    }

    proptest! {
        #[test]
        fn texts_come_back(text in "\\PC*|[\\x00-\\x7f]*") {
            let written = encode(&text);
            prop_assert!(written.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            prop_assert_eq!(decode(&written), text);
        }
    }
}
