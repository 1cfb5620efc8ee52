//! Numbers out of files of the kernel, without making texts of them.

/// The first unsigned number behind blanks, and what follows it.
pub(super) fn number(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let start = bytes.iter().position(|byte| !matches!(byte, b' ' | b'\t'))?;
    let digits = bytes.get(start..)?;
    let len = digits
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(len);
    if digits.is_empty() {
        return None;
    }
    // Counters of the kernel have 64 bits without a sign: the last of them is not reached.
    let value = digits.iter().fold(0_i64, |value, digit| {
        value.saturating_mul(10).saturating_add(i64::from(digit - b'0'))
    });
    Some((value, rest))
}

/// The whole of a short file as a number; `max` and words are none.
pub(super) fn only(bytes: &[u8]) -> Option<i64> {
    number(bytes).map(|(value, _)| value)
}

/// The numbers of a line into `to`; gives how many there were.
pub(super) fn numbers(mut bytes: &[u8], to: &mut [i64]) -> usize {
    let mut found = 0;
    for slot in to {
        let Some((value, rest)) = number(bytes) else { break };
        *slot = value;
        bytes = rest;
        found += 1;
    }
    found
}

/// The lines.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

/// The number behind the first line that begins with `key` and a blank, a colon, or an equals sign.
pub(super) fn keyed(bytes: &[u8], key: &[u8]) -> Option<i64> {
    lines(bytes).find_map(|line| {
        let rest = line.strip_prefix(key)?;
        match rest.split_first()? {
            (b' ' | b':' | b'=', rest) => only(rest),
            _ => None,
        }
    })
}

/// The number behind `key` anywhere in a line.
pub(super) fn after(line: &[u8], key: &[u8]) -> Option<i64> {
    let at = line.windows(key.len()).position(|window| window == key)?;
    only(line.get(at + key.len()..)?)
}

/// The first word of a line and what follows it.
pub(super) fn word(line: &[u8]) -> (&[u8], &[u8]) {
    let start = line.iter().position(|byte| *byte != b' ').unwrap_or(line.len());
    let line = line.get(start..).unwrap_or_default();
    let end = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
    line.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_what_is_none() {
        let check =
            |text: &str, expected: Option<i64>| assert_eq!(only(text.as_bytes()), expected, "{text:?}");
        check("42\n", Some(42));
        check("  7 8", Some(7));
        check("max\n", None);
        check("", None);
        check("-1", None);
        check("99999999999999999999", Some(i64::MAX));
        let mut slots = [0; 4];
        assert_eq!(numbers(b" 1 22  333\n4", &mut slots), 3);
        assert_eq!(slots, [1, 22, 333, 0]);
    }

    #[test]
    fn values_by_their_key() {
        let text = b"MemTotal:       24684084 kB\nMemFree:        21824796 kB\nanon 5\nanon_thp 6\n";
        let check =
            |key: &str, expected: Option<i64>| assert_eq!(keyed(text, key.as_bytes()), expected, "{key}");
        check("MemTotal", Some(24_684_084));
        check("anon", Some(5));
        check("anon_thp", Some(6));
        check("Mem", None);
        assert_eq!(after(b"some avg10=0.00 total=77", b"total="), Some(77));
        assert_eq!(after(b"8:0 rbytes=1 wbytes=2", b" wbytes="), Some(2));
        assert_eq!(word(b"  eth0: 1"), (b"eth0:".as_slice(), b" 1".as_slice()));
    }
}
