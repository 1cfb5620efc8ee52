//! What is written to a place, taken in whole first: a file of its own on disk, which has no name and goes with the process.
//!
//! The engine unpacks a tar as it comes. What breaks off in the middle, or turns out to be bad there, would be half done.

use std::{
    io::{self, Read as _, Seek as _, Write as _},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::{Bytes, BytesMut};
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use windflow_kit::{blocking, error::Chain};
use windflow_model::{Code, Failure};

use super::{
    check::Check,
    walk::{Piece, Walk},
};

/// Read at once on the way to the engine.
const PIECE: usize = 256 << 10;
/// Bytes between two questions of how much room the disk has.
const ASKED_EVERY: u64 = 16 << 20;

/// Bytes on their way in.
#[derive(Debug)]
pub struct Intake {
    file: std::fs::File,
    archive: Option<Walk>,
    check: Check,
    length: u64,
    bounds: Bounds,
    /// What has come since the disk was last asked how much it has left.
    unasked: u64,
}

/// What may be taken in.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes in all.
    pub most: u64,
    /// Bytes that must stay free on the disk, which is also that of what the agent must never lose.
    pub reserve: u64,
}

/// All of them, judged.
#[derive(Debug)]
pub struct Taken {
    file: std::fs::File,
    pub(super) archive: bool,
    pub(super) length: u64,
    pub(super) entries: u64,
    pub(super) bytes: u64,
}

impl Intake {
    /// Begins.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn new(folder: &Path, archive: bool, bounds: Bounds) -> Result<Self, Failure> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!(".intake-{}-{number}", std::process::id()));
        let opened = fs_err::OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .and_then(|file| fs_err::remove_file(&path).map(|()| file));
        Ok(Self {
            file: opened.map_err(full)?.into_parts().0,
            archive: archive.then(Walk::new),
            check: Check::default(),
            length: 0,
            bounds,
            unasked: ASKED_EVERY,
        })
    }

    /// Takes the next bytes. Blocks on the disk.
    ///
    /// # Errors
    /// They are too many, the disk is full, or the archive holds what is not taken; nothing has been written to the place.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.length += bytes.len() as u64;
        if self.length > self.bounds.most {
            let text = format!(
                "more than {} MiB may not be written at once on this host",
                self.bounds.most >> 20
            );
            return Err(Failure {
                hint:
                    "Write it in parts, or have the owner of the host raise files_upload_mib in its policy."
                        .to_owned(),
                ..Failure::new(Code::TooLarge, text)
            });
        }
        if let Some(walk) = &mut self.archive {
            walk.push(bytes);
            while let Some(piece) = walk.next().map_err(bad)? {
                if let Piece::Entry(found) = piece {
                    self.check.entry(&found).map_err(|problem| bad(&problem))?;
                }
            }
        }
        self.unasked += bytes.len() as u64;
        if self.unasked >= ASKED_EVERY {
            self.unasked = 0;
            self.leaves_room()?;
        }
        self.file.write_all(bytes).map_err(full)
    }

    fn leaves_room(&self) -> Result<(), Failure> {
        let disk = rustix::fs::fstatvfs(&self.file).map_err(|error| full(error.into()))?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < self.bounds.reserve.saturating_add(ASKED_EVERY) {
            let text = format!("{} MiB are left on the disk", free >> 20);
            return Err(full(io::Error::new(io::ErrorKind::StorageFull, text)));
        }
        Ok(())
    }

    /// There is no more.
    ///
    /// # Errors
    /// The archive breaks off.
    pub fn finish(self) -> Result<Taken, Failure> {
        let archive = match &self.archive {
            Some(walk) if !walk.is_ended() => return Err(bad("breaks off in the middle")),
            Some(_) if self.check.entries == 0 => return Err(bad("holds nothing")),
            archive => archive.is_some(),
        };
        Ok(Taken {
            file: self.file,
            archive,
            length: self.length,
            entries: if archive { self.check.entries } else { 1 },
            bytes: if archive { self.check.bytes } else { self.length },
        })
    }
}

fn bad(problem: &str) -> Failure {
    Failure {
        hint: "Nothing was written. Pack the files anew, without what the message names.".to_owned(),
        ..Failure::new(Code::BadRequest, format!("the archive {problem}"))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn full(error: io::Error) -> Failure {
    let text = format!("what is to be written cannot be taken in: {}", Chain(&error));
    Failure {
        hint: "Nothing was written. Free space on the disk of the agent's data directory.".to_owned(),
        ..Failure::new(Code::HostFailure, text)
    }
}

impl Taken {
    /// As it came.
    pub(super) fn into_stream(self) -> BoxStream<'static, io::Result<Bytes>> {
        let state = (Some(self.file), true);
        stream::unfold(state, |(file, first)| async move {
            let mut file = file?;
            let read = blocking::run(move || {
                if first {
                    file.rewind()?;
                }
                let mut piece = vec![0; PIECE];
                let length = file.read(&mut piece)?;
                piece.truncate(length);
                Ok::<_, io::Error>((file, Bytes::from(piece)))
            });
            match read.await {
                Ok(Ok((_, piece))) if piece.is_empty() => None,
                Ok(Ok((file, piece))) => Some((Ok(piece), (Some(file), false))),
                Ok(Err(error)) => Some((Err(error), (None, false))),
                Err(error) => Some((Err(io::Error::other(error)), (None, false))),
            }
        })
        .boxed()
    }

    /// The one file, as a tar.
    pub(super) fn into_tar(
        self,
        name: &str,
        like: &Like,
    ) -> io::Result<BoxStream<'static, io::Result<Bytes>>> {
        let mut header = tar::Header::new_gnu();
        header.set_size(self.length);
        header.set_mode(like.mode);
        header.set_uid(like.user);
        header.set_gid(like.group);
        header.set_mtime(u64::try_from(like.now_s).unwrap_or(0));
        let mut head = tar::Builder::new(Vec::new());
        // The header alone, with its extensions; the content comes behind it, and then the end of the tar.
        head.append_data(&mut header, name, io::empty())?;
        let mut head = head.into_inner()?;
        let end = head.split_off(head.len() - END);
        let padding = self.length.next_multiple_of(512) - self.length;
        let mut tail = BytesMut::zeroed(usize::try_from(padding).unwrap_or(0));
        tail.extend_from_slice(&end);
        let first = stream::iter([Ok(Bytes::from(head))]);
        let last = stream::iter([Ok(tail.freeze())]);
        Ok(first.chain(self.into_stream()).chain(last).boxed())
    }
}

/// Two blocks of zeros.
const END: usize = 1024;

/// Whose a file is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Like {
    pub(super) mode: u32,
    pub(super) user: u64,
    pub(super) group: u64,
    /// Time of the writing.
    pub(super) now_s: i64,
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt as _;

    use super::*;

    const BOUNDS: Bounds = Bounds {
        most: 1 << 20,
        reserve: 0,
    };

    #[tokio::test]
    async fn one_file_becomes_a_tar() {
        let folder = tempfile::tempdir().unwrap();
        for length in [0_usize, 1, 511, 512, 513, 700_000] {
            let content: Vec<u8> = (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect();
            let mut intake = Intake::new(folder.path(), false, BOUNDS).unwrap();
            for piece in content.chunks(10_000) {
                intake.take(piece).unwrap();
            }
            let like = Like {
                mode: 0o640,
                user: 999,
                group: 7,
                now_s: 1_790_000_000,
            };
            let name = format!("{}é", "n".repeat(150));
            let tar = intake.finish().unwrap().into_tar(&name, &like).unwrap();
            let tar: Vec<u8> = tar.map_ok(|piece| piece.to_vec()).try_concat().await.unwrap();
            let mut archive = tar::Archive::new(tar.as_slice());
            let mut entries = archive.entries().unwrap();
            let mut entry = entries.next().unwrap().unwrap();
            let (mut read, header) = (Vec::new(), entry.header().clone());
            entry.read_to_end(&mut read).unwrap();
            assert_eq!(read, content);
            assert_eq!(entry.path().unwrap().to_str().unwrap(), name);
            assert_eq!(
                (
                    header.mode().unwrap(),
                    header.uid().unwrap(),
                    header.gid().unwrap()
                ),
                (0o640, 999, 7)
            );
            assert!(entries.next().is_none());
        }
        // Nothing of it has a name.
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_not_taken_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let check = |archive: bool, bytes: &[u8], says: &str| {
            let mut intake = Intake::new(folder.path(), archive, BOUNDS).unwrap();
            let done = intake.take(bytes).and_then(|()| intake.finish());
            let failure = done.unwrap_err();
            assert!(failure.message.contains(says), "{failure}");
        };
        check(false, &vec![0; (1 << 20) + 1], "more than 1 MiB");
        check(true, b"", "holds nothing");
        check(true, &[0; 1024], "holds nothing");
        check(true, &[b'x'; 512], "is no tar");
        check(true, &[b'x'; 100], "breaks off");
        let reserve = u64::MAX;
        let mut tight = Intake::new(folder.path(), false, Bounds { reserve, ..BOUNDS }).unwrap();
        let error = tight.take(b"x").unwrap_err();
        assert!(error.message.contains("are left on the disk"), "{error}");
        let error = Intake::new(Path::new("/nowhere"), false, BOUNDS).unwrap_err();
        assert!(error.message.contains("/nowhere"), "{error}");
    }
}
