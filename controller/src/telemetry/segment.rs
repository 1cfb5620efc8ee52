//! A file of records that only grows. Each record has its length and a checksum; what a power cut left half-written is cut
//! off when the file is opened again.
//!
//! ```text
//! file   = "WFMETR" 0 1 · record*
//! record = length (u32) · CRC-32 of the rest (u32) · kind (u8) · body          little-endian
//! ```

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

/// Begin of every file; the last byte is the version.
const MAGIC: [u8; 8] = *b"WFMETR\0\x01";
/// Length, checksum and kind.
const HEAD: usize = 9;
/// No record is longer: more of it is damage.
const MOST: u32 = 64 << 20;

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The columns that blocks after it have.
    Layout,
    /// Points.
    Block,
    /// Samples that are not in a block yet.
    Chunk,
}

impl Kind {
    const fn code(self) -> u8 {
        match self {
            Self::Layout => 1,
            Self::Block => 2,
            Self::Chunk => 3,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Layout),
            2 => Some(Self::Block),
            3 => Some(Self::Chunk),
            _ => None,
        }
    }
}

/// A file that is written.
#[derive(Debug)]
pub(super) struct Writer {
    file: File,
    /// Bytes in the file and in `waiting`.
    len: u64,
    waiting: Vec<u8>,
}

impl Writer {
    /// Makes the file.
    pub(super) fn create(path: PathBuf) -> io::Result<Self> {
        let file = fs_err::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)?;
        Ok(Self {
            file: file.into_parts().0,
            len: MAGIC.len() as u64,
            waiting: MAGIC.to_vec(),
        })
    }

    /// Goes on behind `len` bytes that were found good; the rest is cut off.
    pub(super) fn resume(path: PathBuf, len: u64) -> io::Result<Self> {
        let file = fs_err::OpenOptions::new().write(true).open(&path)?;
        let mut file = file.into_parts().0;
        file.set_len(len)?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self {
            file,
            len,
            waiting: Vec::new(),
        })
    }

    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    /// Appends a record to what the next [`Writer::write`] writes; gives its place.
    pub(super) fn append(&mut self, kind: Kind, body: &[&[u8]]) -> u64 {
        let place = self.len;
        let len: usize = body.iter().map(|part| part.len()).sum();
        let mut checksum = crc32fast::Hasher::new();
        checksum.update(&[kind.code()]);
        body.iter().for_each(|part| checksum.update(part));
        self.waiting.extend((len as u32).to_le_bytes());
        self.waiting.extend(checksum.finalize().to_le_bytes());
        self.waiting.push(kind.code());
        body.iter().for_each(|part| self.waiting.extend_from_slice(part));
        self.len += (HEAD + len) as u64;
        place
    }

    /// Hands everything to the system.
    pub(super) fn write(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.file.write_all(&self.waiting)?;
        self.waiting.clear();
        self.waiting.shrink_to(1 << 20);
        Ok(())
    }

    /// Hands everything to the system and waits until it is on disk.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.write()?;
        self.file.sync_data()
    }
}

/// A record where it lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) kind: Kind,
    pub(super) place: u64,
    /// Bytes of its body.
    pub(super) len: u32,
}

/// A file that is read.
#[derive(Debug)]
pub(super) struct Reader {
    file: File,
}

impl Reader {
    /// Opens it, if it is one of these.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut file = fs_err::File::open(path)?;
        let mut magic = [0; MAGIC.len()];
        file.read_exact(&mut magic)?;
        if magic != MAGIC {
            let message = format!("{} is no file of metrics of this version", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(Self {
            file: file.into_parts().0,
        })
    }

    /// Goes over all records: `begin` bytes of each body are handed over. With `checked` each is read and its checksum
    /// compared. Gives how far the file is good.
    pub(super) fn scan(
        &self,
        begin: usize,
        checked: bool,
        mut each: impl FnMut(Found, &[u8]),
    ) -> io::Result<u64> {
        let end = self.file.metadata()?.len();
        let mut place = MAGIC.len() as u64;
        let mut body = Vec::new();
        while let Some(found) = self.head(place, end)? {
            let len = if checked {
                found.len as usize
            } else {
                begin.min(found.len as usize)
            };
            body.resize(len, 0);
            self.file.read_exact_at(&mut body, place + HEAD as u64)?;
            if checked && !self.whole(&found, &body)? {
                break;
            }
            each(found, body.get(..begin.min(body.len())).unwrap_or_default());
            place += HEAD as u64 + u64::from(found.len);
        }
        Ok(place)
    }

    fn head(&self, place: u64, end: u64) -> io::Result<Option<Found>> {
        if place + HEAD as u64 > end {
            return Ok(None);
        }
        let mut head = [0; HEAD];
        self.file.read_exact_at(&mut head, place)?;
        let [a, b, c, d, _, _, _, _, kind] = head;
        let len = u32::from_le_bytes([a, b, c, d]);
        let fits = len <= MOST && place + HEAD as u64 + u64::from(len) <= end;
        let found = Kind::from_code(kind).filter(|_| fits);
        Ok(found.map(|kind| Found { kind, place, len }))
    }

    fn whole(&self, found: &Found, body: &[u8]) -> io::Result<bool> {
        let mut told = [0; 4];
        self.file.read_exact_at(&mut told, found.place + 4)?;
        let mut checksum = crc32fast::Hasher::new();
        checksum.update(&[found.kind.code()]);
        checksum.update(body);
        Ok(checksum.finalize() == u32::from_le_bytes(told))
    }

    /// The body of a record, if its checksum fits.
    pub(super) fn body(&self, place: u64) -> io::Result<Vec<u8>> {
        let end = self.file.metadata()?.len();
        let damaged = || {
            let message = format!("the record at byte {place} is damaged");
            io::Error::new(io::ErrorKind::InvalidData, message)
        };
        let found = self.head(place, end)?.ok_or_else(damaged)?;
        let mut body = vec![0; found.len as usize];
        self.file.read_exact_at(&mut body, place + HEAD as u64)?;
        if self.whole(&found, &body)? {
            Ok(body)
        } else {
            Err(damaged())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_off_or_damaged_is_left_out_and_the_file_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let mut writer = Writer::create(path.clone()).unwrap();
        let places: Vec<u64> = (0..3_u8)
            .map(|n| writer.append(Kind::Chunk, &[b"ab", &[n]]))
            .collect();
        writer.sync().unwrap();
        let whole = fs_err::read(&path).unwrap();
        let good = |bytes: &[u8]| {
            fs_err::write(&path, bytes).unwrap();
            let mut seen = 0;
            let end = Reader::open(&path).map(|reader| {
                reader.scan(2, true, |_, body| {
                    assert_eq!(body, b"ab");
                    seen += 1;
                })
            });
            (seen, end.and_then(|end| end).ok())
        };
        for cut in 8..whole.len() {
            let expected = places[1..].iter().filter(|place| **place <= cut as u64).count();
            let (seen, end) = good(&whole[..cut]);
            assert_eq!(seen, expected, "cut at {cut}");
            assert!(end.unwrap() <= cut as u64);
        }
        assert_eq!(good(&whole[..7]), (0, None));
        let mut flipped = whole;
        flipped[places[1] as usize + 10] ^= 1;
        let (seen, end) = good(&flipped);
        assert_eq!((seen, end), (1, Some(places[1])));
        assert!(Reader::open(&path).unwrap().body(places[1]).is_err());
        // Goes on where it was good.
        let mut writer = Writer::resume(path.clone(), places[1]).unwrap();
        assert_eq!(writer.append(Kind::Layout, &[b"xyz"]), places[1]);
        writer.sync().unwrap();
        assert_eq!(Reader::open(&path).unwrap().body(places[1]).unwrap(), b"xyz");
    }
}
