//! Header compression of HTTP/2 (RFC 7541). Reads everything; writes plain literals only, which every peer understands.

use std::collections::VecDeque;

/// Names and values, in the order in which they came.
pub(super) type Headers = Vec<(String, String)>;

/// Most bytes that one block of headers may come to.
const LONGEST: usize = 1 << 20;
/// Bytes of the dynamic table, as both sides begin.
const TABLE: usize = 4096;
/// What an entry of the table costs besides its text (RFC 7541, 4.1).
const ENTRY: usize = 32;

/// Length of the code of each byte, as a letter: `a` is 5 bits. The code is canonical: it follows from the lengths.
const LENGTHS: &[u8; 256] = b"isxxxxxxxtzxxzxxxxxxxxzxxxxxxxxxbffhibdgffdgdbbbaaabbbbbbbcdkbhfibccccccccccccccccccccccdcdioijbkabababbbaccbbbabcbaabccccckgjixprpprrrsrssssststtrstssssqrsrsstrqprrssqsrrtqrssqqrqsrssprrrsrrsvvporsruvvvwwvtuoqvwwvwtqqvvxwwwptpqrqqsrruuttvsvwvvwwwwwxwwwwwv";

/// The names that have a number from 1 on, with their values (RFC 7541, appendix A).
#[rustfmt::skip]
const STATIC: [(&str, &str); 61] = [
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"), (":path", "/index.html"),
    (":scheme", "http"), (":scheme", "https"), (":status", "200"), (":status", "204"), (":status", "206"),
    (":status", "304"), (":status", "400"), (":status", "404"), (":status", "500"), ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""), ("accept", ""),
    ("access-control-allow-origin", ""), ("age", ""), ("allow", ""), ("authorization", ""),
    ("cache-control", ""), ("content-disposition", ""), ("content-encoding", ""), ("content-language", ""),
    ("content-length", ""), ("content-location", ""), ("content-range", ""), ("content-type", ""),
    ("cookie", ""), ("date", ""), ("etag", ""), ("expect", ""), ("expires", ""), ("from", ""), ("host", ""),
    ("if-match", ""), ("if-modified-since", ""), ("if-none-match", ""), ("if-range", ""),
    ("if-unmodified-since", ""), ("last-modified", ""), ("link", ""), ("location", ""), ("max-forwards", ""),
    ("proxy-authenticate", ""), ("proxy-authorization", ""), ("range", ""), ("referer", ""), ("refresh", ""),
    ("retry-after", ""), ("server", ""), ("set-cookie", ""), ("strict-transport-security", ""),
    ("transfer-encoding", ""), ("user-agent", ""), ("vary", ""), ("via", ""), ("www-authenticate", ""),
];

/// The peer's headers cannot be read; the connection is lost with them.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the headers of the answer cannot be read")]
pub(super) struct Malformed;

/// Reads the blocks of one connection, in their order.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// Newest first.
    table: VecDeque<(String, String)>,
    used: usize,
    /// What the peer keeps its table to, if that is less than allowed.
    limit: Option<usize>,
}

impl Decoder {
    pub(super) fn decode(&mut self, block: &[u8]) -> Result<Headers, Malformed> {
        let mut input = Input(block);
        let (mut out, mut length) = (Headers::new(), 0_usize);
        while let Some(first) = input.0.first().copied() {
            let header = if first & 0x80 != 0 {
                self.entry(input.integer(7)?)?
            } else if first & 0x40 != 0 {
                let header = self.literal(&mut input, 6)?;
                self.keep(header.clone());
                header
            } else if first & 0x20 != 0 {
                let limit = input.integer(5)?;
                if limit > TABLE {
                    return Err(Malformed);
                }
                self.limit = Some(limit);
                self.shrink(limit);
                continue;
            } else {
                self.literal(&mut input, 4)?
            };
            length += header.0.len() + header.1.len() + ENTRY;
            if length > LONGEST {
                return Err(Malformed);
            }
            out.push(header);
        }
        Ok(out)
    }

    fn literal(&self, input: &mut Input<'_>, bits: u32) -> Result<(String, String), Malformed> {
        let name = match input.integer(bits)? {
            0 => input.text()?,
            index => self.entry(index)?.0,
        };
        Ok((name, input.text()?))
    }

    fn entry(&self, index: usize) -> Result<(String, String), Malformed> {
        let index = index.checked_sub(1).ok_or(Malformed)?;
        if let Some((name, value)) = STATIC.get(index) {
            return Ok(((*name).to_owned(), (*value).to_owned()));
        }
        let found = self.table.get(index.saturating_sub(STATIC.len()));
        found.cloned().ok_or(Malformed)
    }

    fn keep(&mut self, header: (String, String)) {
        let size = header.0.len() + header.1.len() + ENTRY;
        let limit = self.limit.unwrap_or(TABLE);
        self.shrink(limit.saturating_sub(size));
        if size <= limit {
            self.used += size;
            self.table.push_front(header);
        }
    }

    fn shrink(&mut self, limit: usize) {
        while self.used > limit {
            let Some((name, value)) = self.table.pop_back() else {
                return;
            };
            self.used = self.used.saturating_sub(name.len() + value.len() + ENTRY);
        }
    }
}

/// Writes one block.
pub(super) fn encode(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in headers {
        out.push(0);
        for text in [name, value] {
            integer(&mut out, text.len());
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}

/// A length whose first byte has seven bits for it.
fn integer(out: &mut Vec<u8>, value: usize) {
    let byte = |value: usize| u8::try_from(value).unwrap_or(u8::MAX);
    let Some(mut rest) = value.checked_sub(0x7f) else {
        out.push(byte(value));
        return;
    };
    out.push(0x7f);
    while rest >= 0x80 {
        out.push(byte(rest & 0x7f) | 0x80);
        rest >>= 7;
    }
    out.push(byte(rest));
}

struct Input<'b>(&'b [u8]);

impl Input<'_> {
    fn byte(&mut self) -> Result<u8, Malformed> {
        let (byte, rest) = self.0.split_first().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*byte)
    }

    fn integer(&mut self, bits: u32) -> Result<usize, Malformed> {
        let most = (1_usize << bits) - 1;
        let mut value = usize::from(self.byte()?) & most;
        if value < most {
            return Ok(value);
        }
        // Nothing here is longer than four times seven bits.
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            value += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    fn text(&mut self) -> Result<String, Malformed> {
        let packed = self.0.first().ok_or(Malformed)? & 0x80 != 0;
        let length = self.integer(7)?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        let bytes = if packed { unpack(taken)? } else { taken.to_vec() };
        String::from_utf8(bytes).map_err(|_| Malformed)
    }
}

/// Reads the Huffman code bit by bit: the codes of a length follow each other, and the first of the next length follows
/// from the last of this one.
fn unpack(packed: &[u8]) -> Result<Vec<u8>, Malformed> {
    let letter = |length: u32| b'a' + u8::try_from(length.saturating_sub(5)).unwrap_or(0);
    let mut out = Vec::new();
    let (mut code, mut length, mut first, mut padding) = (0_u32, 0_u32, 0_u32, true);
    let bits = packed
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |at| u32::from(byte >> at & 1)));
    for bit in bits {
        (code, length, padding) = (code << 1 | bit, length + 1, padding && bit == 1);
        first <<= 1;
        if length < 5 {
            continue;
        }
        let of_length = || {
            (0..=u8::MAX)
                .zip(LENGTHS)
                .filter(|(_, is)| **is == letter(length))
        };
        let place = code
            .checked_sub(first)
            .and_then(|place| usize::try_from(place).ok())
            .ok_or(Malformed)?;
        if let Some((byte, _)) = of_length().nth(place) {
            out.push(byte);
            (code, length, first, padding) = (0, 0, 0, true);
            continue;
        }
        if length >= 30 {
            return Err(Malformed);
        }
        first += u32::try_from(of_length().count()).map_err(|_| Malformed)?;
    }
    // What is left of the last byte is ones.
    if padding && length < 8 {
        Ok(out)
    } else {
        Err(Malformed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block(hex: &str) -> Vec<u8> {
        hex::decode(hex.replace(' ', "")).unwrap()
    }

    #[test]
    fn examples_of_the_standard() {
        let mut decoder = Decoder::default();
        let mut check = |hex: &str, is: &[(&str, &str)]| {
            let read = decoder.decode(&block(hex)).unwrap();
            let read: Vec<_> = read
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            assert_eq!(read, is, "{hex}");
        };
        // RFC 7541, C.4: three requests on one connection, packed, with the table.
        let base = [
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/"),
            (":authority", "www.example.com"),
        ];
        check("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", &base);
        let second = [base.as_slice(), &[("cache-control", "no-cache")]].concat();
        check("8286 84be 5886 a8eb 1064 9cbf", &second);
        check(
            "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
            &[
                (":method", "GET"),
                (":scheme", "https"),
                (":path", "/index.html"),
                (":authority", "www.example.com"),
                ("custom-key", "custom-value"),
            ],
        );
        assert_eq!(decoder.used, 164);
    }

    #[test]
    fn what_is_written_is_read() {
        let long = "x".repeat(70_000);
        let headers = [
            (":path", "/a.b.C/D"),
            ("te", "trailers"),
            ("long", long.as_str()),
            ("e", ""),
        ];
        let read = Decoder::default().decode(&encode(&headers)).unwrap();
        let read: Vec<_> = read
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(read, headers);
    }

    #[test]
    fn the_table_is_bounded() {
        let mut decoder = Decoder::default();
        for at in 0..1000 {
            let (name, value) = (format!("name-{at}"), "v".repeat(at));
            let mut bytes = encode(&[(&name, &value)]);
            bytes[0] = 0x40;
            decoder.decode(&bytes).unwrap();
            assert!(decoder.used <= TABLE, "{at}: {}", decoder.used);
        }
        decoder.decode(&[0x20]).unwrap();
        assert_eq!((decoder.used, decoder.table.len()), (0, 0));
    }

    #[test]
    fn nonsense_is_refused() {
        let check = |hex: &str| assert_eq!(Decoder::default().decode(&block(hex)), Err(Malformed), "{hex}");
        check("80");
        check("be");
        check("00");
        check("0005 61");
        check("ffff ffff ffff ff");
        check("3fff ff7f");
        check("0001 6182 0000");
        check("0001 6184 ffff ffff");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Decoder::default().decode(&bytes);
        }
    }
}
