//! Records and how they rest on disk.
//!
//! ```text
//! byte 0       format, 1
//! bytes 1..5   CRC-32 (IEEE), little-endian, over: format, version, key length (u32), key, value
//! bytes 5..13  version, little-endian
//! bytes 13..   value
//! ```
//! CRC-32 finds every change of up to 32 bits in a row and any single flipped byte. The key is part of it, so a value
//! that surfaces under another key is found as well.

use crate::{error::StoreError, key::Key};

/// Number of a commit: rises strictly with every transaction that changes something, across all keys of a store.
pub type Version = u64;

/// A value and the commit that wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The bytes put.
    pub value: Vec<u8>,
    /// Commit that wrote them.
    pub version: Version,
}

const FORMAT: u8 = 1;
const HEADER: usize = 13;

fn checksum(key: &[u8], version: Version, value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[FORMAT]);
    hasher.update(&version.to_le_bytes());
    hasher.update(&u32::try_from(key.len()).unwrap_or(u32::MAX).to_le_bytes());
    hasher.update(key);
    hasher.update(value);
    hasher.finalize()
}

pub(crate) fn encode(key: &[u8], version: Version, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + value.len());
    out.push(FORMAT);
    out.extend_from_slice(&checksum(key, version, value).to_le_bytes());
    out.extend_from_slice(&version.to_le_bytes());
    out.extend_from_slice(value);
    out
}

/// Checks and opens stored bytes.
pub(crate) fn decode(key: &[u8], bytes: &[u8]) -> Result<Record, StoreError> {
    let (version, value) = open(key, bytes).ok_or_else(|| StoreError::Corrupt {
        key: Key::from_bytes(key),
    })?;
    Ok(Record {
        value: value.to_vec(),
        version,
    })
}

/// Checks stored bytes and gives the version without copying the value.
pub(crate) fn decode_version(key: &[u8], bytes: &[u8]) -> Result<Version, StoreError> {
    let (version, _) = open(key, bytes).ok_or_else(|| StoreError::Corrupt {
        key: Key::from_bytes(key),
    })?;
    Ok(version)
}

fn open<'a>(key: &[u8], bytes: &'a [u8]) -> Option<(Version, &'a [u8])> {
    let (format, rest) = bytes.split_first()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let (version, value) = rest.split_first_chunk::<8>()?;
    let version = Version::from_le_bytes(*version);
    (*format == FORMAT && checksum(key, version, value) == u32::from_le_bytes(*sum))
        .then_some((version, value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_form_on_disk_is_frozen() {
        let bytes = encode(b"a/b", 7, b"hi");
        assert_eq!(
            bytes,
            [1, 170, 255, 76, 31, 7, 0, 0, 0, 0, 0, 0, 0, b'h', b'i'],
            "stores on disk depend on it"
        );
        assert_eq!(decode_version(b"a/b", &bytes).unwrap(), 7);
    }

    proptest! {
        #[test]
        fn any_flipped_bit_cut_or_wrong_key_is_found(
            key: Vec<u8>, value: Vec<u8>, version: u64, at: prop::sample::Index, bit in 0_u8..8,
        ) {
            let good = encode(&key, version, &value);
            prop_assert_eq!(decode(&key, &good).unwrap(), Record { value, version });
            let mut bad = good.clone();
            bad[at.index(good.len())] ^= 1 << bit;
            prop_assert!(decode(&key, &bad).is_err());
            prop_assert!(decode(&key, &good[..at.index(good.len())]).is_err());
            let mut other = key;
            other.push(0);
            prop_assert!(decode(&other, &good).is_err());
        }
    }
}
