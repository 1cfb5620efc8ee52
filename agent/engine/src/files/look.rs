//! Looking into a folder: by the kernel where this process may, else by a tar of it that is read and thrown away.

use std::{io, os::fd::OwnedFd, time::Duration};

use futures_util::TryStreamExt as _;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use tokio::time::{Instant, timeout_at};
use windflow_kit::blocking;
use windflow_model::{Failure, FileEntry, FileKind, FilePath, Timestamp};

use super::walk::{Found, Piece, Walk};
use crate::targets::Target;

/// Entries of one folder that are told.
const MOST: usize = 10_000;
/// Bytes of their names and of where links lead: what goes over the link as one frame holds them, however JSON writes them.
const NAMES: usize = 1 << 20;
/// What may be read of a tar for a look into a folder: the engine packs everything below it.
const BYTES: u64 = 4 << 30;
/// How long that may take.
const TIME: Duration = Duration::from_secs(20);

/// What is in a folder, by name, and why that is not all.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) entries: Vec<FileEntry>,
    pub(super) cut: Option<String>,
    names: usize,
}

impl Seen {
    /// Adds an entry; `false` if there is no room for it, nor for others.
    fn push(&mut self, entry: FileEntry) -> bool {
        self.names += entry.name.len() + entry.target.as_ref().map_or(0, String::len);
        if self.entries.len() == MOST || self.names > NAMES {
            let shown = self.entries.len();
            self.cut = Some(format!(
                "the folder holds more than the {shown} entries that are shown"
            ));
            return false;
        }
        self.entries.push(entry);
        true
    }
}

/// A folder that was looked at by the kernel.
#[derive(Debug)]
pub(super) struct Direct {
    pub(super) folder: FileEntry,
    pub(super) seen: Seen,
}

/// By the kernel; `None` if this process may not, or it is no folder.
pub(super) async fn direct(root: OwnedFd, path: &FilePath) -> Option<Direct> {
    let path = path.clone();
    blocking::run(move || read(&root, &path).ok())
        .await
        .ok()
        .flatten()
}

fn read(root: &OwnedFd, path: &FilePath) -> io::Result<Direct> {
    let relative = path.as_str().trim_start_matches('/');
    let relative = if relative.is_empty() { "." } else { relative };
    let folder: OwnedFd = rustix::fs::openat2(
        root,
        relative,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
        // Links are followed by the engine, part by part: what is none of the place is not entered.
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
    )?;
    let mut seen = Seen::default();
    for found in Dir::read_from(&folder)? {
        let found = found?;
        let name = found.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        // What was removed meanwhile is not there.
        let Ok(stat) = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        let target = rustix::fs::readlinkat(&folder, name, Vec::new()).ok();
        let entry = entry(
            name.to_string_lossy().into_owned(),
            &stat,
            target.map(|target| target.to_string_lossy().into_owned()),
        );
        if !seen.push(entry) {
            break;
        }
    }
    seen.entries.sort_by(|a, b| a.name.cmp(&b.name));
    let folder = entry(String::new(), &rustix::fs::fstat(&folder)?, None);
    Ok(Direct { folder, seen })
}

fn entry(name: String, stat: &Stat, target: Option<String>) -> FileEntry {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Folder,
        FileType::Symlink => FileKind::Link,
        _ => FileKind::Other,
    };
    FileEntry {
        name,
        size: if kind == FileKind::File {
            u64::try_from(stat.st_size).unwrap_or(0)
        } else {
            0
        },
        kind,
        mode: stat.st_mode & 0o7777,
        modified: Some(Timestamp::from_millis(stat.st_mtime.saturating_mul(1000))),
        target: target.filter(|_| kind == FileKind::Link),
    }
}

/// Through the engine.
pub(super) async fn packed(target: &dyn Target, container: &str, path: &str) -> Result<Seen, Failure> {
    // With a slash at its end it is the folder, even if it is a link to one.
    let path = format!("{}/", path.trim_end_matches('/'));
    let mut pieces = target.archive_get(container, &path).await?;
    let deadline = Instant::now() + TIME;
    let (mut walk, mut seen, mut bytes, mut base) = (Walk::new(), Seen::default(), 0, None);
    'read: loop {
        let piece = match timeout_at(deadline, pieces.try_next()).await {
            Ok(piece) => piece?,
            Err(_) => {
                seen.cut = Some(format!(
                    "the engine packs all that is below a folder to show it, and was at it for {} s",
                    TIME.as_secs()
                ));
                break;
            }
        };
        let Some(piece) = piece else { break };
        bytes += piece.len() as u64;
        walk.push(&piece);
        loop {
            match walk.next() {
                Ok(Some(Piece::Entry(found))) => {
                    let base = base.get_or_insert_with(|| plain(&found.name));
                    let Some(name) = within(base, &found.name) else {
                        continue;
                    };
                    if !seen.push(FileEntry { name, ..told(&found) }) {
                        break 'read;
                    }
                }
                Ok(Some(Piece::Content(_))) => {}
                Ok(None) => break,
                Err(problem) => {
                    return Err(Failure::new(
                        windflow_model::Code::Engine,
                        format!("the engine's archive {problem}"),
                    ));
                }
            }
        }
        if bytes > BYTES {
            seen.cut = Some(format!(
                "the engine packs all that is below a folder to show it, which is more than {} GiB",
                BYTES >> 30
            ));
            break;
        }
    }
    seen.entries.sort_by(|a, b| a.name.cmp(&b.name));
    // A path that is in the archive twice is there once.
    seen.entries.dedup_by(|a, b| a.name == b.name);
    Ok(seen)
}

fn plain(name: &str) -> String {
    let parts = name.split('/').filter(|part| !part.is_empty() && *part != ".");
    parts.collect::<Vec<_>>().join("/")
}

/// The name of what lies in the folder itself; `None` for the folder and what lies deeper.
fn within(base: &str, name: &str) -> Option<String> {
    let name = plain(name);
    let rest = match base {
        "" => name.as_str(),
        base => name.strip_prefix(base)?.strip_prefix('/')?,
    };
    (!rest.is_empty() && !rest.contains('/')).then(|| rest.to_owned())
}

/// An entry of a tar.
pub(super) fn told(found: &Found) -> FileEntry {
    let kind = match found.kind {
        kind if kind.is_dir() => FileKind::Folder,
        kind if kind.is_symlink() => FileKind::Link,
        // The second name of a file is a file; of its size nothing is said.
        kind if kind.is_file() || kind.is_contiguous() || kind.is_hard_link() => FileKind::File,
        _ => FileKind::Other,
    };
    FileEntry {
        name: plain(&found.name)
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned(),
        kind,
        size: found.size,
        mode: found.mode,
        modified: Some(Timestamp::from_millis(found.modified.saturating_mul(1000))),
        target: found.link.clone().filter(|_| kind == FileKind::Link),
    }
}
