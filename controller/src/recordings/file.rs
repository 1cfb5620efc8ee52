//! One recording on disk.
//!
//! ```text
//! file  = "windflow recording 1" newline · length 4 · head, sealed by the vault · chunk*
//! chunk = length 4 · nonce 8 · last 1 · AES-256-GCM of whole lines, its tag behind them
//! ```
//! The head holds what the recording is of, and its own key. A chunk is bound to the head (SHA-256), to its number and to
//! whether it is the last: cut off, put in another order or from another file it does not open. A file without a last chunk
//! was not ended: a kill left it behind, or somebody cut it; it is played up to its last whole chunk, and said to be so.

use std::{
    fs::File,
    io::{self, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use windflow_kit::{Random, random::RandomError};
use windflow_model::{AgentId, OrgId, TerminalId, TerminalSize, Timestamp, UserId};

use crate::vault::{Vault, VaultError};

const MAGIC: &[u8] = b"windflow recording 1\n";
/// Longest head: commands have 128 KiB at most.
const HEAD_BYTES: usize = 1 << 20;
/// Longest chunk: more is damage.
const CHUNK_BYTES: usize = 4 << 20;
/// Length, nonce, and whether it is the last.
const CHUNK_HEAD: usize = 13;
const TAG: usize = 16;

/// What a recording is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) id: TerminalId,
    pub(crate) org: OrgId,
    pub(crate) agent: AgentId,
    pub(crate) agent_name: String,
    /// Name of the container; empty on the host itself.
    pub(crate) container: String,
    pub(crate) host_user: Option<String>,
    pub(crate) command: Vec<String>,
    pub(crate) tty: bool,
    pub(crate) size: Option<TerminalSize>,
    pub(crate) user: UserId,
    pub(crate) user_name: String,
    pub(crate) started_at: Timestamp,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tail {
    pub(crate) ended_at: Timestamp,
    /// Nothing is missing.
    pub(crate) complete: bool,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    head: Head,
    key: String,
}

/// Why a recording cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The disk.
    #[error("the recording {path} cannot be used")]
    Disk {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The vault.
    #[error("the recording {path} cannot be opened")]
    Vault {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: VaultError,
    },
    /// No randomness.
    #[error("no key can be made for a recording")]
    Random(#[from] RandomError),
    /// It is not what was written.
    #[error("the recording {path} is damaged, or was changed: {what}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where.
        what: &'static str,
    },
}

fn context(org: OrgId, id: TerminalId) -> String {
    format!("recording/{org}/{id}")
}

fn disk(path: &Path) -> impl FnOnce(io::Error) -> RecordingError {
    let path = path.to_owned();
    move |source| RecordingError::Disk { path, source }
}

/// What a chunk is bound to.
fn bound(head: &[u8; 32], number: u64, last: bool) -> [u8; 41] {
    let mut all = [0; 41];
    let parts = head
        .iter()
        .copied()
        .chain(number.to_be_bytes())
        .chain([u8::from(last)]);
    for (to, from) in all.iter_mut().zip(parts) {
        *to = from;
    }
    all
}

fn nonce(number: u64) -> Nonce {
    let mut all = [0; NONCE_LEN];
    for (to, from) in all.iter_mut().rev().zip(number.to_be_bytes().iter().rev()) {
        *to = *from;
    }
    Nonce::assume_unique_for_key(all)
}

fn key_of(bytes: &[u8]) -> Option<LessSafeKey> {
    Some(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes).ok()?))
}

/// A recording that is written.
pub(super) struct Writer {
    path: PathBuf,
    file: File,
    key: LessSafeKey,
    bound: [u8; 32],
    /// Chunks that are in the file.
    chunks: u64,
    /// Chunks that were sealed: no nonce twice, although the disk may not have taken one.
    tries: u64,
    /// Bytes that are good.
    bytes: u64,
    digest: Sha256,
}

impl Writer {
    pub(super) fn create(
        path: PathBuf,
        vault: &Vault,
        random: &Random,
        head: &Head,
    ) -> Result<Self, RecordingError> {
        let key: zeroize::Zeroizing<[u8; 32]> = zeroize::Zeroizing::new(random.bytes()?);
        let sealed = Sealed {
            head: head.clone(),
            key: hex::encode(*key),
        };
        let text =
            zeroize::Zeroizing::new(serde_json::to_vec(&sealed).map_err(|error| disk(&path)(error.into()))?);
        let sealed =
            vault
                .seal(&context(head.org, head.id), &text)
                .map_err(|source| RecordingError::Vault {
                    path: path.clone(),
                    source,
                })?;
        let length = u32::try_from(sealed.len()).unwrap_or(u32::MAX);
        let begin = [MAGIC, &length.to_be_bytes(), &sealed].concat();
        let made = || {
            use fs_err::os::unix::fs::OpenOptionsExt as _;
            let mut file = fs_err::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)?
                .into_parts()
                .0;
            file.write_all(&begin)?;
            Ok(file)
        };
        let file = made().map_err(disk(&path))?;
        let key = key_of(&*key).ok_or_else(|| disk(&path)(io::Error::other("its key is none")))?;
        Ok(Self {
            file,
            key,
            bound: Sha256::digest(&sealed).into(),
            chunks: 0,
            tries: 0,
            bytes: u64::try_from(begin.len()).unwrap_or(0),
            digest: Sha256::new_with_prefix(&begin),
            path,
        })
    }

    /// Bytes of the file.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends whole lines.
    pub(super) fn lines(&mut self, lines: &str) -> Result<(), RecordingError> {
        self.chunk(lines.as_bytes(), false)
    }

    /// Ends it; on disk when this returns, with this SHA-256 over all of the file.
    pub(super) fn finish(&mut self, tail: &Tail) -> Result<[u8; 32], RecordingError> {
        let text = serde_json::to_vec(tail).map_err(|error| disk(&self.path)(error.into()))?;
        self.chunk(&text, true)?;
        self.file.sync_all().map_err(disk(&self.path))?;
        Ok(self.digest.clone().finalize().into())
    }

    fn chunk(&mut self, plain: &[u8], last: bool) -> Result<(), RecordingError> {
        let number = self.tries;
        self.tries += 1;
        let mut text = plain.to_vec();
        let sealed = self.key.seal_in_place_append_tag(
            nonce(number),
            Aad::from(bound(&self.bound, self.chunks, last)),
            &mut text,
        );
        sealed.map_err(|_| disk(&self.path)(io::Error::other("it could not be sealed")))?;
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        let all = [
            &length.to_be_bytes()[..],
            &number.to_be_bytes(),
            &[u8::from(last)],
            &text,
        ]
        .concat();
        let appended = self
            .file
            .seek(SeekFrom::Start(self.bytes))
            .and_then(|_| self.file.write_all(&all));
        if let Err(error) = appended {
            // What is half-written is cut off, so that what comes later follows what is good.
            let _cut = self.file.set_len(self.bytes);
            return Err(disk(&self.path)(error));
        }
        self.chunks += 1;
        self.bytes += u64::try_from(all.len()).unwrap_or(0);
        self.digest.update(&all);
        Ok(())
    }
}

/// A recording that is read.
pub(super) struct Reader {
    path: PathBuf,
    file: BufReader<File>,
    key: LessSafeKey,
    bound: [u8; 32],
    chunks: u64,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Whole lines.
    Lines(Vec<u8>),
    /// Its end.
    Tail(Tail),
    /// There is no more, and no end.
    Torn,
}

impl Reader {
    pub(super) fn open(
        path: &Path,
        vault: &Vault,
        org: OrgId,
        id: TerminalId,
    ) -> Result<(Head, Self), RecordingError> {
        let damaged = |what| RecordingError::Damaged {
            path: path.to_owned(),
            what,
        };
        let file = fs_err::File::open(path).map_err(disk(path))?;
        let mut file = BufReader::new(file.into_parts().0);
        let mut magic = [0; MAGIC.len()];
        let begun = file.read_exact(&mut magic).is_ok() && magic == MAGIC;
        let mut length = [0; 4];
        if !begun || file.read_exact(&mut length).is_err() {
            return Err(damaged("it does not begin as one"));
        }
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > HEAD_BYTES {
            return Err(damaged("its head is too long"));
        }
        let mut sealed = vec![0; length];
        file.read_exact(&mut sealed)
            .map_err(|_| damaged("its head is cut"))?;
        let opened = vault
            .open(&context(org, id), &sealed)
            .map_err(|source| RecordingError::Vault {
                path: path.to_owned(),
                source,
            })?;
        let Sealed { head, key } =
            serde_json::from_slice(opened.expose()).map_err(|_| damaged("its head is of another version"))?;
        let key = zeroize::Zeroizing::new(hex::decode(key).unwrap_or_default());
        let key = key_of(&key).ok_or_else(|| damaged("its key is none"))?;
        let reader = Self {
            path: path.to_owned(),
            file,
            key,
            bound: Sha256::digest(&sealed).into(),
            chunks: 0,
        };
        Ok((head, reader))
    }

    fn damaged(&self, what: &'static str) -> RecordingError {
        RecordingError::Damaged {
            path: self.path.clone(),
            what,
        }
    }

    /// The head of the next chunk: bytes, number, whether it is the last.
    fn chunk_head(&mut self) -> Result<Option<(usize, u64, bool)>, RecordingError> {
        let mut head = [0; CHUNK_HEAD];
        match self.file.read_exact(&mut head) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(disk(&self.path)(error)),
        }
        let [a, b, c, d, number @ .., last] = head;
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if !(TAG..=CHUNK_BYTES).contains(&length) || last > 1 {
            return Err(self.damaged("a chunk has no head"));
        }
        Ok(Some((length, u64::from_be_bytes(number), last == 1)))
    }

    /// What comes next; behind the end and behind damage nothing does.
    pub(super) fn next(&mut self) -> Result<Piece, RecordingError> {
        let Some((length, number, last)) = self.chunk_head()? else {
            return Ok(Piece::Torn);
        };
        let mut text = vec![0; length];
        match self.file.read_exact(&mut text) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Piece::Torn),
            Err(error) => return Err(disk(&self.path)(error)),
        }
        let aad = Aad::from(bound(&self.bound, self.chunks, last));
        let plain = self
            .key
            .open_in_place(nonce(number), aad, &mut text)
            .map_err(|_| self.damaged("a chunk does not open at its place"))?;
        self.chunks += 1;
        if !last {
            return Ok(Piece::Lines(plain.to_vec()));
        }
        let tail =
            serde_json::from_slice(plain).map_err(|_| self.damaged("its end is of another version"))?;
        let mut more = [0];
        match self.file.read(&mut more) {
            Ok(0) => Ok(Piece::Tail(tail)),
            _ => Err(self.damaged("something is behind its end")),
        }
    }

    /// How it ended, without reading what is between; `None` if it did not.
    pub(super) fn tail(&mut self) -> Result<Option<Tail>, RecordingError> {
        while let Some((length, _, last)) = self.chunk_head()? {
            if last {
                let back = i64::try_from(CHUNK_HEAD).unwrap_or(0);
                self.file.seek_relative(-back).map_err(disk(&self.path))?;
                return match self.next()? {
                    Piece::Tail(tail) => Ok(Some(tail)),
                    Piece::Lines(_) | Piece::Torn => Ok(None),
                };
            }
            let skip = i64::try_from(length).unwrap_or(0);
            self.file.seek_relative(skip).map_err(disk(&self.path))?;
            self.chunks += 1;
        }
        Ok(None)
    }
}

/// SHA-256 of the whole file.
pub(super) fn digest(path: &Path) -> Result<[u8; 32], RecordingError> {
    let mut file = fs_err::File::open(path).map_err(disk(path))?;
    let mut digest = Sha256::new();
    let mut piece = vec![0; 64 << 10];
    loop {
        match file.read(&mut piece).map_err(disk(path))? {
            0 => return Ok(digest.finalize().into()),
            count => digest.update(piece.get(..count).unwrap_or_default()),
        }
    }
}
