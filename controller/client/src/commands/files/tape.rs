//! Bytes between HTTP bodies and this machine: files, standard streams and tars.
//!
//! ```text
//! answer ──► mpsc 8 ──► Pipe (a blocking reader) ──► tar ──► files below one folder
//! files ──► tar ──► Pipe (a blocking writer) ──► mpsc 8 ──► request
//! ```

use std::{
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use bytes::{Buf as _, Bytes};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use reqwest::Response;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::mpsc,
};
use tokio_stream::wrappers::ReceiverStream;
use windflow_kit::{BoxError, Chain, blocking};

use crate::error::{Error, Result};

/// Read at once.
const PIECE: usize = 256 << 10;
/// Pieces on the way to or from a tar.
const PIECES: usize = 8;

fn cut(error: &(dyn std::error::Error + 'static)) -> Error {
    Error::failed(format!("the transfer broke off: {}", Chain(error)))
        .hint("The audit trail (windflow audit list --action file_refuse) or the host's log may say why.")
}

fn local(error: &io::Error) -> Error {
    Error::failed(Chain(error).to_string())
}

/// To standard output.
pub(super) async fn print(answer: Response) -> Result<()> {
    let mut body = answer.bytes_stream();
    let mut out = tokio::io::stdout();
    while let Some(piece) = body.try_next().await.map_err(|error| cut(&error))? {
        if out.write_all(&piece).await.is_err() {
            // The reader of our pipe has had enough.
            return Ok(());
        }
    }
    let _gone = out.flush().await;
    Ok(())
}

/// Into a file: under another name until all of it is here, so that what breaks off replaces nothing.
pub(super) async fn save(answer: Response, to: &Path, mode: Option<u32>) -> Result<u64> {
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    let name = to.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.ok_or_else(|| Error::usage(format!("{} names no file", to.display())))?;
    let part = folder.join(format!(".{name}.{}.part", std::process::id()));
    let written = write(answer, &part, mode).await;
    let done = match written {
        Ok(count) => fs_err::rename(&part, to)
            .map(|()| count)
            .map_err(|error| local(&error)),
        Err(error) => Err(error),
    };
    if done.is_err() {
        // It may not have come to be.
        let _none = fs_err::remove_file(&part);
    }
    done
}

async fn write(answer: Response, to: &Path, mode: Option<u32>) -> Result<u64> {
    let mut body = answer.bytes_stream();
    let mut file = fs_err::tokio::File::create(to)
        .await
        .map_err(|error| local(&error))?;
    let mut count = 0;
    while let Some(piece) = body.try_next().await.map_err(|error| cut(&error))? {
        count += piece.len() as u64;
        file.write_all(&piece).await.map_err(|error| local(&error))?;
    }
    file.flush().await.map_err(|error| local(&error))?;
    if let Some(mode) = mode {
        let permissions = std::fs::Permissions::from_mode(mode);
        file.set_permissions(permissions)
            .await
            .map_err(|error| local(&error))?;
    }
    Ok(count)
}

/// Unpacks a tar of one thing: into a folder that is there, or under the new name.
pub(super) async fn unpack(answer: Response, to: &Path) -> Result<u64> {
    let (pieces, inbox) = mpsc::channel(PIECES);
    let to = to.to_owned();
    let unpacking = blocking::run(move || unpacked(Pipe::new(inbox), &to));
    let mut body = answer.bytes_stream();
    let feed = async move {
        while let Some(piece) = body.next().await {
            let broken = piece.is_err();
            let piece = piece.map_err(|error| io::Error::other(Chain(&error).to_string()));
            if pieces.send(piece).await.is_err() || broken {
                return;
            }
        }
    };
    let (done, ()) = tokio::join!(unpacking, feed);
    done.map_err(|error| cut(&error))?.map_err(|error| cut(&error))
}

fn unpacked(pipe: Pipe, to: &Path) -> io::Result<u64> {
    if to.is_dir() {
        return below(pipe, to);
    }
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    let part = folder.join(format!(".windflow-cp-{}.part", std::process::id()));
    fs_err::create_dir(&part)?;
    let done = below(pipe, &part).and_then(|count| {
        let mut inside = fs_err::read_dir(&part)?;
        let one = inside.next().transpose()?.map(|entry| entry.path());
        match (one, inside.next()) {
            (Some(one), None) => fs_err::rename(one, to).map(|()| count),
            _ => Err(io::Error::other("the archive holds more than one thing")),
        }
    });
    fs_err::remove_dir_all(&part)?;
    done
}

/// The library keeps every entry within the folder, also behind links.
fn below(pipe: Pipe, folder: &Path) -> io::Result<u64> {
    let mut archive = tar::Archive::new(pipe);
    let mut count = 0;
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.into_owned();
        if !entry.unpack_in(folder)? {
            let text = format!("{} in the archive leads out of it", name.display());
            return Err(io::Error::other(text));
        }
        count += 1;
    }
    Ok(count)
}

/// Standard input.
pub(super) fn standard() -> impl Stream<Item = std::result::Result<Bytes, BoxError>> + Send + 'static {
    read(tokio::io::stdin())
}

/// A file's content.
pub(super) fn file(
    path: &Path,
) -> Result<impl Stream<Item = std::result::Result<Bytes, BoxError>> + Send + 'static> {
    let file = fs_err::File::open(path).map_err(|error| local(&error))?;
    Ok(read(tokio::fs::File::from_std(file.into_parts().0)))
}

fn read<R: tokio::io::AsyncRead + Unpin + Send + 'static>(
    from: R,
) -> impl Stream<Item = std::result::Result<Bytes, BoxError>> + Send + 'static {
    stream::try_unfold(from, |mut from| async move {
        let mut piece = vec![0; PIECE];
        let length = from.read(&mut piece).await?;
        piece.truncate(length);
        Ok((length > 0).then(|| (Bytes::from(piece), from)))
    })
}

/// Permissions of a file here.
pub(super) fn mode(path: &Path) -> Result<u32> {
    let found = fs_err::metadata(path).map_err(|error| local(&error))?;
    Ok(found.permissions().mode() & 0o7777)
}

/// A folder as a tar, under this name.
pub(super) fn pack(
    folder: PathBuf,
    name: String,
) -> impl Stream<Item = std::result::Result<Bytes, BoxError>> + Send + 'static {
    let (pieces, inbox) = mpsc::channel(PIECES);
    let packing = blocking::run(move || {
        let mut tar = tar::Builder::new(Outlet {
            pieces: pieces.clone(),
        });
        tar.follow_symlinks(false);
        let packed = tar.append_dir_all(&name, &folder).and_then(|()| tar.finish());
        if let Err(error) = packed {
            // If nobody reads any more, nobody needs to know.
            let _gone = pieces.blocking_send(Err(error));
        }
    });
    // The work goes on for as long as somebody takes what it makes.
    let packing = stream::once(packing).filter_map(|_| async { None });
    stream::select(ReceiverStream::new(inbox).map_err(BoxError::from), packing)
}

/// Reads what comes from an asynchronous side.
struct Pipe {
    inbox: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl Pipe {
    fn new(inbox: mpsc::Receiver<io::Result<Bytes>>) -> Self {
        Self {
            inbox,
            piece: Bytes::new(),
        }
    }
}

impl Read for Pipe {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.inbox.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let length = out.len().min(self.piece.len());
        self.piece
            .copy_to_slice(out.get_mut(..length).unwrap_or_default());
        Ok(length)
    }
}

/// Hands on what is written to an asynchronous side.
struct Outlet {
    pieces: mpsc::Sender<io::Result<Bytes>>,
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Bytes::copy_from_slice(bytes);
        match self.pieces.blocking_send(Ok(piece)) {
            Ok(()) => Ok(bytes.len()),
            Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
