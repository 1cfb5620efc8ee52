//! Keys: escaped segments with `/` between them, the organisation first.
//!
//! `Key::new(["org_1", "stack", "stk_9"])` is `org_1/stack/stk_9`. Bytes that are not printable ASCII, `/` and `%` are
//! written as `%XX`, so a segment can never reach into its neighbour's range. Keys sort by their bytes.

use std::fmt;

/// Where one record lives.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Vec<u8>);

/// All keys below some leading segments: `Prefix::of(["org_1", "stack"])` holds `org_1/stack/…` and nothing else.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(Vec<u8>);

impl Key {
    /// From segments, the organisation first.
    #[must_use]
    pub fn new<I>(segments: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        Self(join(segments))
    }

    /// This key with one more segment.
    #[must_use]
    pub fn push(mut self, segment: impl AsRef<[u8]>) -> Self {
        if !self.0.is_empty() {
            self.0.push(b'/');
        }
        escape(segment.as_ref(), &mut self.0);
        self
    }

    /// This key with a number as one more segment: 16 hex digits, so that keys sort like the numbers.
    #[must_use]
    pub fn push_u64(self, number: u64) -> Self {
        self.push(format!("{number:016x}"))
    }

    /// The stored bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// From stored bytes, as [`Key::as_bytes`] gave them.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// The segments, unescaped. Bytes that are no UTF-8 are replaced.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = String> + '_ {
        self.0.split(|byte| *byte == b'/').map(unescape)
    }

    /// The last segment, unescaped: usually the id.
    #[must_use]
    pub fn last(&self) -> String {
        self.segments().next_back().unwrap_or_default()
    }

    /// The last segment as a number written by [`Key::push_u64`].
    #[must_use]
    pub fn last_u64(&self) -> Option<u64> {
        u64::from_str_radix(&self.last(), 16).ok()
    }
}

impl Prefix {
    /// All keys below these segments; with none, every key.
    #[must_use]
    pub fn of<I>(segments: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        let mut bytes = join(segments);
        if !bytes.is_empty() {
            bytes.push(b'/');
        }
        Self(bytes)
    }

    /// Every key.
    #[must_use]
    pub const fn all() -> Self {
        Self(Vec::new())
    }

    /// All keys below `key`.
    #[must_use]
    pub fn below(key: &Key) -> Self {
        let mut bytes = key.0.clone();
        bytes.push(b'/');
        Self(bytes)
    }

    /// Whether `key` lies below.
    #[must_use]
    pub fn holds(&self, key: &Key) -> bool {
        key.0.starts_with(&self.0)
    }

    /// Where a scan from the end begins: all keys that it meets are smaller. `None`: at the last key there is.
    pub(crate) fn top(&self, before: Option<&Key>) -> Option<Vec<u8>> {
        let mut end = self.0.clone();
        while end.pop_if(|last| *last == u8::MAX).is_some() {}
        // The first bytes that do not begin with the prefix any more.
        let end = end.last_mut().map(|last| *last += 1).map(|()| end);
        let before = before.map(|before| before.0.clone());
        let lower = match (before, end) {
            (Some(before), Some(end)) => Some(before.min(end)),
            (before, end) => before.or(end),
        };
        lower.map(|lower| lower.max(self.0.clone()))
    }

    /// The leading bytes shared by all keys below.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

fn join<I>(segments: I) -> Vec<u8>
where
    I: IntoIterator,
    I::Item: AsRef<[u8]>,
{
    let mut out = Vec::new();
    for segment in segments {
        if !out.is_empty() {
            out.push(b'/');
        }
        escape(segment.as_ref(), &mut out);
    }
    out
}

fn escape(segment: &[u8], out: &mut Vec<u8>) {
    if segment.is_empty() {
        // An empty segment would make `a//b`; "%" alone stands for it and is nobody's escape.
        out.push(b'%');
    }
    for byte in segment {
        if byte.is_ascii_graphic() && !matches!(byte, b'/' | b'%') {
            out.push(*byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
}

fn unescape(segment: &[u8]) -> String {
    let mut out = Vec::with_capacity(segment.len());
    let mut rest = segment;
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        if *byte != b'%' {
            out.push(*byte);
        } else if let Some((hex, tail)) = tail.split_at_checked(2) {
            out.extend(
                std::str::from_utf8(hex)
                    .ok()
                    .and_then(|hex| u8::from_str_radix(hex, 16).ok()),
            );
            rest = tail;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prefix({}…)", String::from_utf8_lossy(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn segments_are_escaped_and_come_back() {
        let key = Key::new(["org/1", "", "100%", "ü"]);
        assert_eq!(key.to_string(), "org%2F1/%/100%25/%C3%BC");
        assert_eq!(key.segments().collect::<Vec<_>>(), ["org/1", "", "100%", "ü"]);
        assert_eq!(
            Key::new(["a"]).push("b").push_u64(255).to_string(),
            "a/b/00000000000000ff"
        );
        assert_eq!(Key::new(["a"]).push_u64(255).last_u64(), Some(255));
    }

    #[test]
    fn a_prefix_ends_at_its_segment() {
        let prefix = Prefix::of(["org_1"]);
        assert!(prefix.holds(&Key::new(["org_1", "x"])));
        assert!(!prefix.holds(&Key::new(["org_10", "x"])));
        assert!(!prefix.holds(&Key::new(["org_1"])));
        assert!(!prefix.holds(&Key::new(["org_1/x"])));
        assert!(Prefix::all().holds(&Key::new(["x"])));
    }

    proptest! {
        #[test]
        fn any_segments_round_trip_and_numbers_sort(segments: Vec<String>, a: u64, b: u64) {
            prop_assume!(!segments.is_empty());
            let key = Key::new(&segments);
            prop_assert_eq!(key.segments().collect::<Vec<_>>(), segments);
            let of = |number| Key::new(["n"]).push_u64(number);
            prop_assert_eq!(a.cmp(&b), of(a).cmp(&of(b)));
        }
    }
}
