//! Directories of this host on their way to the builder: it is told every entry, and asks for the files that it lacks.
//!
//! ```text
//! blocking thread: walk ──channel of 256 entries──► told ──► builder
//!                                                             │ file 7!
//!                         pieces of 32 KiB ◄── open file 7 ◄──┘
//! ```

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use fs_err as fs;
use tokio::{
    io::AsyncReadExt as _,
    sync::{Notify, mpsc},
};

use super::{
    call::{Call, Receiver, Sender},
    grpc::Status,
    proto::{Fields, Writer, field},
};
use crate::targets::docker::build::context::Context;

/// Entries on their way from the walk.
const ENTRIES: usize = 256;
/// Bytes of a file that are sent at once.
const PIECE: usize = 32 << 10;

/// Kinds of packets.
const REQUEST: u64 = 1;
const DATA: u64 = 2;
const FINISH: u64 = 3;
const ERROR: u64 = 4;

/// Bits of a file's mode as the builder writes it.
const DIRECTORY: u32 = 1 << 31;
const SYMLINK: u32 = 1 << 27;
const SETUID: u32 = 1 << 23;
const SETGID: u32 = 1 << 22;
const STICKY: u32 = 1 << 20;

/// What one name stands for.
pub(super) enum Source {
    Nothing,
    /// One file that is known already: the Dockerfile.
    File(String, Vec<u8>),
    Directory(Arc<Context>),
}

/// One entry; for a regular file, where it is.
struct Entry {
    stat: Vec<u8>,
    file: Option<PathBuf>,
}

pub(super) async fn send(source: &Source, call: &mut Call) -> Result<(), Status> {
    let (to, entries) = mpsc::channel(ENTRIES);
    match source {
        Source::Nothing => drop(to),
        Source::File(name, content) => {
            let length = u64::try_from(content.len()).unwrap_or(0);
            let stat = Writer::default()
                .bytes(1, name)
                .number(2, 0o644)
                .number(5, length);
            let entry = Entry {
                stat: stat.done(),
                file: Some(PathBuf::new()),
            };
            // There is room for one.
            let _ = to.try_send(Ok(entry));
            drop(to);
        }
        Source::Directory(context) => {
            let context = Arc::clone(context);
            // It ends with its channel, whichever side that ends first.
            drop(tokio::task::spawn_blocking(move || {
                if let Err(error) = walk(&context, &to) {
                    let _ = to.blocking_send(Err(error));
                }
            }));
        }
    }
    let known = match source {
        Source::File(_, content) => Some(content.as_slice()),
        _ => None,
    };
    let asked = Asked::default();
    let Call { receiver, sender } = call;
    // Both at once: a builder that waits to ask must not keep this side from telling, nor the other way round.
    let told = tokio::try_join!(listen(receiver, &asked), tell(sender, entries, &asked, known));
    if let Err(status) = &told {
        let packet = Writer::default().number(1, ERROR).bytes(4, &status.text);
        let _ = sender.send(&packet.done()).await;
    }
    told.map(|_| ())
}

/// What the builder asked for and has not got.
#[derive(Default)]
struct Asked {
    queue: Mutex<(VecDeque<u32>, bool)>,
    bell: Notify,
}

impl Asked {
    fn with<T>(&self, change: impl FnOnce(&mut (VecDeque<u32>, bool)) -> T) -> T {
        change(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn listen(receiver: &mut Receiver, asked: &Asked) -> Result<(), Status> {
    while let Some(packet) = receiver.message().await? {
        let (mut kind, mut id) = (0, 0);
        for (field, value) in Fields(&packet) {
            match field {
                1 => kind = value.number(),
                3 => id = u32::try_from(value.number()).unwrap_or(u32::MAX),
                _ => {}
            }
        }
        match kind {
            REQUEST => asked.with(|(queue, _)| queue.push_back(id)),
            FINISH => asked.with(|(_, finished)| *finished = true),
            ERROR => {
                let text = String::from_utf8_lossy(field(&packet, 4)).into_owned();
                return Err(Status::unknown(text));
            }
            _ => {}
        }
        asked.bell.notify_one();
        if kind == FINISH {
            return Ok(());
        }
    }
    Err(Status::unknown("the builder ended a copy before it was done"))
}

async fn tell(
    sender: &Sender,
    mut entries: mpsc::Receiver<io::Result<Entry>>,
    asked: &Asked,
    known: Option<&[u8]>,
) -> Result<(), Status> {
    let broken = |error: io::Error| Status::unknown(error.to_string());
    let mut files: BTreeMap<u32, PathBuf> = BTreeMap::new();
    let (mut next, mut walking) = (0_u32, true);
    loop {
        tokio::select! {
            entry = entries.recv(), if walking => {
                let packet = match entry.transpose().map_err(broken)? {
                    Some(entry) => {
                        if let Some(file) = entry.file {
                            files.insert(next, file);
                        }
                        next += 1;
                        Writer::default().always(2, entry.stat)
                    }
                    // The end of the list is an entry that is none.
                    None => {
                        walking = false;
                        Writer::default()
                    }
                };
                sender.send(&packet.done()).await?;
                continue;
            }
            () = asked.bell.notified() => {}
        }
        while let Some(id) = asked.with(|(queue, _)| queue.pop_front()) {
            let Some(path) = files.remove(&id) else {
                return Err(Status::unknown(format!("invalid file id {id}")));
            };
            match known {
                Some(content) => {
                    for piece in content.chunks(PIECE) {
                        sender.send(&data(id, piece)).await?;
                    }
                }
                None => content(sender, id, &path).await.map_err(|error| match error {
                    Sent::Read(error) => broken(error),
                    Sent::Lost(status) => status,
                })?,
            }
            sender.send(&data(id, &[])).await?;
        }
        if asked.with(|(_, finished)| *finished) {
            let packet = Writer::default().number(1, FINISH);
            return sender.send(&packet.done()).await;
        }
    }
}

enum Sent {
    Read(io::Error),
    Lost(Status),
}

async fn content(sender: &Sender, id: u32, path: &Path) -> Result<(), Sent> {
    let mut file = fs::tokio::File::open(path).await.map_err(Sent::Read)?;
    let mut buffer = vec![0; PIECE];
    loop {
        let length = file.read(&mut buffer).await.map_err(Sent::Read)?;
        if length == 0 {
            return Ok(());
        }
        let piece = buffer.get(..length).unwrap_or_default();
        sender.send(&data(id, piece)).await.map_err(Sent::Lost)?;
    }
}

fn data(id: u32, piece: &[u8]) -> Vec<u8> {
    Writer::default()
        .number(1, DATA)
        .number(3, u64::from(id))
        .bytes(4, piece)
        .done()
}

/// Tells every entry that the patterns let through, a directory before what is in it.
fn walk(context: &Context, to: &mpsc::Sender<io::Result<Entry>>) -> io::Result<()> {
    let mut told: Vec<PathBuf> = Vec::new();
    let tell = |entry: Entry| {
        let told = to.blocking_send(Ok(entry));
        told.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    };
    context.walk(&mut |path, meta, forced| {
        if forced {
            return Ok(());
        }
        told.retain(|above| path.starts_with(above));
        // An exception below a directory that stays at home.
        let above: Vec<&Path> = path
            .ancestors()
            .skip(1)
            .filter(|above| !above.as_os_str().is_empty())
            .collect();
        for above in above.into_iter().rev() {
            if !told.iter().any(|is| is == above) {
                let meta = fs::symlink_metadata(context.directory.join(above))?;
                tell(entry(context, above, &meta)?)?;
                told.push(above.to_path_buf());
            }
        }
        if meta.is_dir() {
            told.push(path.to_path_buf());
        } else if meta.file_type().is_socket() || meta.file_type().is_fifo() {
            // No content to send.
            return Ok(());
        }
        tell(entry(context, path, meta)?)
    })
}

fn entry(context: &Context, path: &Path, meta: &std::fs::Metadata) -> io::Result<Entry> {
    let kind = meta.file_type();
    let mut mode = meta.mode() & 0o777;
    for (bit, is) in [(0o4000, SETUID), (0o2000, SETGID), (0o1000, STICKY)] {
        if meta.mode() & bit != 0 {
            mode |= is;
        }
    }
    let (mut length, mut link) = (0, String::new());
    let full = context.directory.join(path);
    if kind.is_dir() {
        mode |= DIRECTORY;
    } else if kind.is_symlink() {
        mode |= SYMLINK;
        link = fs::read_link(&full)?.to_string_lossy().into_owned();
    } else {
        length = meta.len();
    }
    let changed = meta
        .mtime()
        .saturating_mul(1_000_000_000)
        .saturating_add(meta.mtime_nsec());
    // Whoever owns the files here: in the image they belong to root.
    let stat = Writer::default()
        .bytes(1, path.to_string_lossy().as_bytes())
        .number(2, u64::from(mode))
        .number(5, length)
        .number(6, changed.cast_unsigned())
        .bytes(7, link);
    Ok(Entry {
        stat: stat.done(),
        file: kind.is_file().then_some(full),
    })
}
