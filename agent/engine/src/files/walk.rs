//! Walks along a tar as its bytes come: what is in it, and the bytes of the files. Nothing of it is ever unpacked here.
//!
//! Headers are read by the library; what goes beyond them (long names of GNU, extended headers of POSIX.1-2001) is put together
//! here, because the bytes come from a stream that cannot block.

use bytes::{Buf as _, Bytes, BytesMut};
use tar::{EntryType, Header};

/// Everything in a tar begins at a multiple of it.
const BLOCK: usize = 512;
/// An extension longer than this is no name.
const LONGEST_EXTENSION: u64 = 1 << 20;
/// No file is larger: what is beyond would not add up. Bytes.
const LARGEST: u64 = 1 << 60;
const NO_SIZE: &str = "has an entry with a size that is no number";

/// An entry of a tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// As it is written.
    pub(crate) name: String,
    pub(crate) kind: EntryType,
    /// Bytes of content that follow.
    pub(crate) size: u64,
    pub(crate) mode: u32,
    pub(crate) user: u64,
    pub(crate) group: u64,
    /// Seconds since 1970.
    pub(crate) modified: i64,
    /// Where a link leads.
    pub(crate) link: Option<String>,
    /// It leaves out holes: its content is not what a reader gets.
    pub(crate) sparse: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Entry(Found),
    /// Content of the last entry.
    Content(Bytes),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Header,
    /// So much content is left, and so much padding after it.
    Content {
        left: u64,
        padding: u64,
    },
    /// An extension of the entry that follows: its type, its length, its padding.
    Extension {
        kind: u8,
        length: u64,
        padding: u64,
    },
    /// Behind the block of zeros.
    Ended,
}

/// What extensions say of the next entry.
#[derive(Debug, Default)]
struct Extended {
    name: Option<String>,
    link: Option<String>,
    size: Option<u64>,
    modified: Option<i64>,
    sparse: bool,
    /// Kinds of extensions that have come: `L`, `K`, `x`.
    kinds: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Walk {
    buffer: BytesMut,
    state: State,
    next: Extended,
}

impl Walk {
    pub(crate) fn new() -> Self {
        Self {
            buffer: BytesMut::new(),
            state: State::Header,
            next: Extended::default(),
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.state != State::Ended {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Whether the tar has come to its end; what follows is not looked at.
    pub(crate) fn is_ended(&self) -> bool {
        // Some writers leave the blocks of zeros out.
        self.state == State::Ended || self.state == State::Header && self.buffer.is_empty()
    }

    /// What comes next; `None` if more bytes are needed, or it has ended. `Err` says what is wrong with the tar.
    pub(crate) fn next(&mut self) -> Result<Option<Piece>, &'static str> {
        loop {
            match self.state {
                State::Ended => return Ok(None),
                State::Header => {
                    if self.buffer.len() < BLOCK {
                        return Ok(None);
                    }
                    let block = self.buffer.split_to(BLOCK);
                    if let Some(found) = self.header(&block)? {
                        return Ok(Some(Piece::Entry(found)));
                    }
                }
                State::Content { left: 0, padding } => {
                    if !self.pass(padding) {
                        return Ok(None);
                    }
                }
                State::Content { left, padding } => {
                    if self.buffer.is_empty() {
                        return Ok(None);
                    }
                    let most = usize::try_from(left).unwrap_or(usize::MAX);
                    let content = self.buffer.split_to(most.min(self.buffer.len())).freeze();
                    let left = left - content.len() as u64;
                    self.state = State::Content { left, padding };
                    return Ok(Some(Piece::Content(content)));
                }
                State::Extension {
                    kind,
                    length,
                    padding,
                } => {
                    let length = usize::try_from(length).unwrap_or(usize::MAX);
                    if self.buffer.len() < length {
                        return Ok(None);
                    }
                    let content = self.buffer.split_to(length);
                    self.extension(kind, &content)?;
                    self.state = State::Content { left: 0, padding };
                }
            }
        }
    }

    /// Passes over padding as far as it has come.
    fn pass(&mut self, padding: u64) -> bool {
        let most = usize::try_from(padding)
            .unwrap_or(usize::MAX)
            .min(self.buffer.len());
        self.buffer.advance(most);
        let left = padding - most as u64;
        self.state = if left == 0 {
            State::Header
        } else {
            State::Content {
                left: 0,
                padding: left,
            }
        };
        left == 0
    }

    fn header(&mut self, block: &[u8]) -> Result<Option<Found>, &'static str> {
        if block.iter().all(|byte| *byte == 0) {
            self.state = State::Ended;
            self.buffer.clear();
            return Ok(None);
        }
        let header = Header::from_byte_slice(block);
        if header.cksum().ok() != Some(sum(block)) {
            return Err("is no tar (the sum of a header is wrong)");
        }
        let kind = header.entry_type();
        let size = header.entry_size().ok().filter(|size| *size <= LARGEST);
        let size = size.ok_or(NO_SIZE)?;
        let padding = |size: u64| size.next_multiple_of(BLOCK as u64) - size;
        if kind.is_gnu_longname()
            || kind.is_gnu_longlink()
            || kind.is_pax_local_extensions()
            || kind.is_pax_global_extensions()
        {
            if size > LONGEST_EXTENSION {
                return Err("has a name that is longer than a name can be");
            }
            self.state = State::Extension {
                kind: kind.as_byte(),
                length: size,
                padding: padding(size),
            };
            return Ok(None);
        }
        let extended = std::mem::take(&mut self.next);
        let has_content = kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse();
        let size = extended.size.unwrap_or(size);
        // Links and folders may name a size; nothing follows them.
        let content = if has_content { size } else { 0 };
        self.state = State::Content {
            left: content,
            padding: padding(content),
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let name = extended.name.unwrap_or_else(|| text(&header.path_bytes()));
        let link = extended
            .link
            .or_else(|| header.link_name_bytes().map(|bytes| text(&bytes)));
        Ok(Some(Found {
            name,
            kind,
            size: content,
            mode: header.mode().unwrap_or(0) & 0o7777,
            user: header.uid().unwrap_or(0),
            group: header.gid().unwrap_or(0),
            modified: extended
                .modified
                .unwrap_or_else(|| i64::try_from(header.mtime().unwrap_or(0)).unwrap_or(0)),
            link: link.filter(|_| kind.is_symlink() || kind.is_hard_link()),
            sparse: extended.sparse || kind.is_gnu_sparse(),
        }))
    }

    fn extension(&mut self, kind: u8, content: &[u8]) -> Result<(), &'static str> {
        let text = |bytes: &[u8]| {
            let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
            String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
        };
        // Readers differ in which one counts where there are two: an archive could say one thing here and another one to the engine.
        let clashes = match kind {
            b'g' => false,
            b'x' => !self.next.kinds.is_empty(),
            kind => self.next.kinds.iter().any(|one| *one == b'x' || *one == kind),
        };
        if clashes {
            return Err("says the name of an entry twice");
        }
        if kind != b'g' {
            self.next.kinds.push(kind);
        }
        match kind {
            b'L' => self.next.name = Some(text(content)),
            b'K' => self.next.link = Some(text(content)),
            b'x' => {
                for record in tar::PaxExtensions::new(content) {
                    let record = record.map_err(|_| "has an extended header that cannot be read")?;
                    let value = String::from_utf8_lossy(record.value_bytes()).into_owned();
                    match record.key_bytes() {
                        b"path" => self.next.name = Some(value),
                        b"linkpath" => self.next.link = Some(value),
                        b"size" => {
                            let size = value.parse().ok().filter(|size| *size <= LARGEST);
                            self.next.size = Some(size.ok_or(NO_SIZE)?);
                        }
                        b"mtime" => {
                            let whole = value.split('.').next().unwrap_or_default();
                            self.next.modified = whole.parse().ok();
                        }
                        key if key.starts_with(b"GNU.sparse") => self.next.sparse = true,
                        _ => {}
                    }
                }
            }
            // What holds for all entries: comments, mostly, and never a name.
            _ => {}
        }
        Ok(())
    }
}

/// Of a header, its own field counted as spaces.
fn sum(block: &[u8]) -> u32 {
    let field = 148..156;
    let byte = |(at, byte): (usize, &u8)| u32::from(if field.contains(&at) { b' ' } else { *byte });
    block.iter().enumerate().map(byte).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Entries with their content.
    type Entries = Vec<(Found, Vec<u8>)>;

    /// Everything, and whether the end has come.
    fn walk(bytes: &[u8], step: usize) -> Result<(Entries, bool), &'static str> {
        let mut walk = Walk::new();
        let mut found = Entries::new();
        for chunk in bytes.chunks(step.max(1)) {
            walk.push(chunk);
            while let Some(piece) = walk.next()? {
                match (piece, found.last_mut()) {
                    (Piece::Entry(entry), _) => found.push((entry, Vec::new())),
                    (Piece::Content(content), Some((_, all))) => all.extend_from_slice(&content),
                    (Piece::Content(_), None) => panic!("content of nothing"),
                }
            }
        }
        Ok((found, walk.is_ended()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Whatever the library writes, and however it is cut, is found.
        #[test]
        fn what_was_written_is_found(
            files in prop::collection::vec(("[a-zé/ ]{1,30}|[a-z/]{90,300}", prop::collection::vec(any::<u8>(), 0..3000), 0_u32..0o1000), 0..8),
            step in 1_usize..2000,
        ) {
            let mut tar = tar::Builder::new(Vec::new());
            let mut wanted = Vec::new();
            for (name, content, mode) in &files {
                let name = format!("a{}b", name.replace("//", "/"));
                let mut header = Header::new_gnu();
                header.set_size(content.len() as u64);
                header.set_mode(*mode);
                header.set_mtime(1_790_000_000);
                if tar.append_data(&mut header, &name, content.as_slice()).is_ok() {
                    wanted.push((name.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/"), content.clone(), *mode));
                }
            }
            let bytes = tar.into_inner().unwrap();
            let (found, ended) = walk(&bytes, step).unwrap();
            let found: Vec<_> = found.into_iter().map(|(entry, content)| {
                (entry.name.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/"), content, entry.mode)
            }).collect();
            prop_assert_eq!(found, wanted);
            prop_assert!(ended);
        }
    }

    #[test]
    fn what_is_no_tar_is_said() {
        let check = |bytes: &[u8], says: &str| {
            let error = walk(bytes, 100).unwrap_err();
            assert!(error.contains(says), "{error}");
        };
        check(&[b'x'; 600], "no tar");
        let mut header = Header::new_gnu();
        header.set_size(2 << 20);
        header.set_entry_type(EntryType::GNULongName);
        header.set_cksum();
        check(header.as_bytes(), "longer than a name");
        header.set_entry_type(EntryType::Regular);
        for size in [
            *b"zzzzzzzzzzz\0",
            [0xff; 12],
            [0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ] {
            header.as_old_mut().size = size;
            header.set_cksum();
            check(header.as_bytes(), "no number");
        }
    }

    /// An extension of the next entry.
    fn extension(kind: u8, content: &[u8]) -> Vec<u8> {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::new(kind));
        header.set_size(content.len() as u64);
        header.set_cksum();
        let mut out = header.as_bytes().to_vec();
        out.extend_from_slice(content);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
        out
    }

    #[test]
    fn a_name_is_said_once() {
        let (long, path) = (extension(b'L', b"long\0"), extension(b'x', b"12 path=one\n"));
        let link = extension(b'K', b"link\0");
        let mut file = Header::new_ustar();
        file.set_path("short").unwrap();
        file.set_size(0);
        file.set_cksum();
        let check = |parts: &[&[u8]], expected: Result<&str, &str>| {
            let bytes = [&parts.concat(), file.as_bytes().as_slice(), &[0; 1024]].concat();
            let found = walk(&bytes, 100)
                .map(|(found, _)| found.into_iter().map(|(found, _)| found.name).collect::<String>());
            match (found, expected) {
                (Ok(name), Ok(wanted)) => assert_eq!(name, wanted),
                (Err(problem), Err(says)) => assert!(problem.contains(says), "{problem}"),
                (found, _) => panic!("{found:?}"),
            }
        };
        check(&[], Ok("short"));
        check(&[&long], Ok("long"));
        check(&[&path], Ok("one"));
        check(&[&link, &long], Ok("long"));
        check(&[&extension(b'g', b"12 path=all\n"), &path], Ok("one"));
        for twice in [[&long, &long], [&path, &path], [&long, &path], [&path, &long]] {
            check(&twice.map(Vec::as_slice), Err("twice"));
        }
        check(
            &[&extension(b'x', b"29 size=18446744073709551615\n")],
            Err("no number"),
        );
    }

    #[test]
    fn a_tar_that_is_cut_off_has_not_ended() {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = Header::new_gnu();
        header.set_size(1000);
        tar.append_data(&mut header, "x", [7_u8; 1000].as_slice())
            .unwrap();
        let bytes = tar.into_inner().unwrap();
        for (length, ended) in [
            (512, false),
            (1000, false),
            (1535, false),
            (1536, true),
            (2560, true),
        ] {
            assert_eq!(walk(&bytes[..length], 512).unwrap().1, ended, "{length}");
        }
    }
}
