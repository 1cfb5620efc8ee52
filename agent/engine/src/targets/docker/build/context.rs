//! A build context on its way to the engine: a tar that is written while it is sent.
//!
//! ```text
//! blocking thread: walk ─► tar ─► Pipe ──channel of 16 pieces──► body of the request
//! ```
//! The channel holds at most a megabyte; a slow engine slows the walk down. If the request ends early, the next piece
//! has nobody to go to, and the walk ends with it.

use std::{
    io::{self, Read, Write},
    path::{Component, Path, PathBuf},
};

use bytes::Bytes;
use fs_err as fs;
use hyper::body::Frame;
use tokio::sync::mpsc;
use windflow_compose::model::Build;

use super::ignore::Ignore;

/// Name of a Dockerfile that is not in the context itself.
pub(super) const OUTSIDE: &str = ".windflow.Dockerfile";
/// Pieces on their way.
pub(super) const PIECES: usize = 16;
/// Bytes of a piece.
const PIECE: usize = 64 << 10;

/// What is done with an entry: its path below the context, what it is, whether the patterns hide it.
pub(super) type Visit<'v> = dyn FnMut(&Path, &std::fs::Metadata, bool) -> io::Result<()> + 'v;

/// One piece of the body.
pub(super) type Piece = Result<Frame<Bytes>, io::Error>;

/// Where everything of a build is.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) directory: PathBuf,
    /// Name of the Dockerfile in the tar.
    pub(super) dockerfile: String,
    /// Its content, if it does not lie in the context.
    extra: Option<Vec<u8>>,
    ignore: Ignore,
    /// `.dockerignore` as it is sent, if it is not the file itself.
    ignore_text: Option<String>,
}

impl Context {
    /// Finds Dockerfile and `.dockerignore`. Blocks on files.
    pub(super) fn open(build: &Build) -> io::Result<Self> {
        let directory = PathBuf::from(build.context.as_deref().unwrap_or("."));
        if !fs::metadata(&directory)?.is_dir() {
            return Err(io::Error::other(format!(
                "the build context {} is no directory",
                directory.display()
            )));
        }
        let wanted = build.dockerfile.as_deref().unwrap_or("Dockerfile");
        let path = clean(&directory.join(wanted));
        let inside = path.strip_prefix(clean(&directory)).ok().map(Path::to_path_buf);
        let (dockerfile, extra) = match (&build.dockerfile_inline, &inside) {
            (Some(text), _) => (OUTSIDE.to_owned(), Some(text.clone().into_bytes())),
            (None, Some(inside)) => {
                fs::metadata(&path)?;
                (inside.to_string_lossy().into_owned(), None)
            }
            (None, None) => (OUTSIDE.to_owned(), Some(fs::read(&path)?)),
        };
        // One beside the Dockerfile, with its name in front, is for this build alone.
        let mut own = path.into_os_string();
        own.push(".dockerignore");
        let of_dockerfile = if build.dockerfile_inline.is_some() {
            None
        } else {
            text_of(Path::new(&own))?
        };
        let found = match of_dockerfile {
            Some(text) => Some(text),
            None => text_of(&directory.join(".dockerignore"))?,
        };
        let text = found.unwrap_or_default();
        Ok(Self {
            directory,
            // The guest is not for `COPY . .`.
            ignore_text: extra
                .is_some()
                .then(|| format!("{text}\n{OUTSIDE}\n.dockerignore\n")),
            dockerfile,
            extra,
            ignore: Ignore::parse(&text),
        })
    }

    /// Writes the tar. Blocks, on files and on whoever reads.
    pub(super) fn send(&self, to: mpsc::Sender<Piece>) {
        let failed = to.clone();
        let mut tar = tar::Builder::new(Pipe {
            to,
            held: Vec::with_capacity(PIECE),
        });
        tar.follow_symlinks(false);
        if let Err(error) = self.write(&mut tar).and_then(|()| tar.into_inner()?.flush()) {
            // Nobody there any more: the answer has told why.
            let _ = failed.blocking_send(Err(error));
        }
    }

    fn write(&self, tar: &mut tar::Builder<Pipe>) -> io::Result<()> {
        self.walk(&mut |path, meta, _| {
            if self.ignore_text.is_some() && path == Path::new(".dockerignore") {
                return Ok(());
            }
            let full = self.directory.join(path);
            let kind = meta.file_type();
            let mut header = tar::Header::new_gnu();
            header.set_metadata_in_mode(meta, tar::HeaderMode::Complete);
            // Whoever owns the files here: in the image they belong to root.
            header.set_uid(0);
            header.set_gid(0);
            if kind.is_dir() {
                header.set_size(0);
                tar.append_data(&mut header, path, io::empty())?;
            } else if kind.is_symlink() {
                header.set_size(0);
                tar.append_link(&mut header, path, fs::read_link(&full)?)?;
            } else if kind.is_file() {
                let file = Sized {
                    file: fs::File::open(&full)?,
                    left: meta.len(),
                };
                tar.append_data(&mut header, path, file)?;
            }
            // Sockets and pipes have no content to send.
            Ok(())
        })?;
        if let Some(text) = &self.ignore_text {
            append(tar, ".dockerignore", text.as_bytes())?;
        }
        if let Some(content) = &self.extra {
            append(tar, OUTSIDE, content)?;
        }
        Ok(())
    }

    /// A directory that an image is built from besides its context.
    pub(super) fn beside(directory: PathBuf) -> io::Result<Self> {
        if !fs::metadata(&directory)?.is_dir() {
            return Err(io::Error::other(format!(
                "the additional context {} is no directory",
                directory.display()
            )));
        }
        let text = text_of(&directory.join(".dockerignore"))?;
        Ok(Self {
            directory,
            dockerfile: String::new(),
            extra: None,
            ignore: Ignore::parse(&text.unwrap_or_default()),
            ignore_text: None,
        })
    }

    /// What the Dockerfile says, wherever it lies.
    pub(super) fn dockerfile(&self) -> io::Result<Vec<u8>> {
        match &self.extra {
            Some(content) => Ok(content.clone()),
            None => fs::read(self.directory.join(&self.dockerfile)),
        }
    }

    /// Everything that is sent, in order: a directory, then what is in it. The last argument is true for what the
    /// engine itself reads although the patterns hide it.
    pub(super) fn walk(&self, visit: &mut Visit<'_>) -> io::Result<()> {
        self.below(Path::new(""), visit)
    }

    fn below(&self, below: &Path, visit: &mut Visit<'_>) -> io::Result<()> {
        let mut entries: Vec<_> = fs::read_dir(self.directory.join(below))?.collect::<Result<_, _>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = below.join(entry.file_name());
            let meta = fs::symlink_metadata(self.directory.join(&path))?;
            let needed = path == Path::new(".dockerignore") || path == Path::new(&self.dockerfile);
            let hidden = self.ignore.hides(&path);
            if hidden && !needed {
                let holds = Path::new(&self.dockerfile).starts_with(&path);
                if meta.is_dir() && (self.ignore.has_exceptions() || holds) {
                    self.below(&path, visit)?;
                }
                continue;
            }
            visit(&path, &meta, hidden)?;
            if meta.is_dir() {
                self.below(&path, visit)?;
            }
        }
        Ok(())
    }
}

/// A file in the size that was announced, whatever happens to it meanwhile.
struct Sized {
    file: fs::File,
    left: u64,
}

impl Read for Sized {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let Some(buffer) = buffer.get_mut(..most).filter(|buffer| !buffer.is_empty()) else {
            return Ok(0);
        };
        let read = self.file.read(buffer)?;
        if read == 0 {
            return Err(io::Error::other(format!(
                "{} became shorter while it was sent",
                self.file.path().display()
            )));
        }
        self.left = self.left.saturating_sub(u64::try_from(read).unwrap_or(0));
        Ok(read)
    }
}

/// The text of a file, `None` if there is none.
fn text_of(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn append(tar: &mut tar::Builder<Pipe>, name: &str, content: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(u64::try_from(content.len()).unwrap_or(0));
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    tar.append_data(&mut header, name, content)
}

/// Without `.` and `..`, as far as that can be told from the path alone.
fn clean(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(out.pop()),
            other => out.push(other),
        }
    }
    out
}

/// Cuts what is written into pieces.
struct Pipe {
    to: mpsc::Sender<Piece>,
    held: Vec<u8>,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PIECE.saturating_sub(self.held.len());
        let take = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        self.held.extend_from_slice(take);
        if self.held.len() >= PIECE {
            self.flush()?;
        }
        Ok(take.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.held, Vec::with_capacity(PIECE));
        let sent = self.to.blocking_send(Ok(Frame::data(Bytes::from(piece))));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use http_body_util::{BodyExt as _, StreamBody};
    use tokio_stream::wrappers::ReceiverStream;

    use super::*;

    /// What arrives, by name.
    async fn sent(build: &Build) -> (String, BTreeMap<String, String>) {
        let context = Context::open(build).unwrap();
        let dockerfile = context.dockerfile.clone();
        let (to, from) = mpsc::channel(PIECES);
        let walk = tokio::task::spawn_blocking(move || context.send(to));
        let body = StreamBody::new(ReceiverStream::new(from))
            .collect()
            .await
            .unwrap()
            .to_bytes();
        walk.await.unwrap();
        let mut archive = tar::Archive::new(&body[..]);
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().to_string_lossy().into_owned();
            assert_eq!(entry.header().uid().unwrap(), 0, "{name}");
            let mut text = String::new();
            if let Some(link) = entry.link_name().unwrap() {
                text = format!("-> {}", link.display());
            }
            io::Read::read_to_string(&mut entry, &mut text).unwrap();
            (name, text)
        });
        (dockerfile, entries.collect())
    }

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    fn build(dir: &Path, context: &str, dockerfile: Option<&str>) -> Build {
        Build {
            context: Some(dir.join(context).to_string_lossy().into_owned()),
            dockerfile: dockerfile.map(str::to_owned),
            ..Build::default()
        }
    }

    #[tokio::test]
    async fn what_is_sent() {
        let big = "x".repeat(3 * PIECE + 17);
        let dir = tree(&[
            ("c/Dockerfile", "FROM a"),
            ("c/.dockerignore", "*\n!src"),
            ("c/src/main.rs", &big),
            ("c/target/junk", "no"),
        ]);
        std::os::unix::fs::symlink("main.rs", dir.path().join("c/src/link")).unwrap();
        let (name, files) = sent(&build(dir.path(), "c", None)).await;
        assert_eq!(name, "Dockerfile");
        let names: Vec<&str> = files.keys().map(|name| name.trim_end_matches('/')).collect();
        assert_eq!(
            names,
            [".dockerignore", "Dockerfile", "src", "src/link", "src/main.rs"]
        );
        assert_eq!(files["src/main.rs"].len(), big.len());
        assert_eq!(files["src/link"], "-> main.rs");
    }

    #[tokio::test]
    async fn a_dockerfile_from_elsewhere_is_a_guest() {
        let dir = tree(&[
            ("c/a", "a"),
            ("files/My.Dockerfile", "FROM b"),
            ("files/My.Dockerfile.dockerignore", "b*"),
        ]);
        fs::write(dir.path().join("c/bad"), "no").unwrap();
        let (name, files) = sent(&build(dir.path(), "c", Some("../files/My.Dockerfile"))).await;
        assert_eq!((name.as_str(), files[OUTSIDE].as_str()), (OUTSIDE, "FROM b"));
        assert!(
            files[".dockerignore"].contains(OUTSIDE),
            "it is not copied into the image: {files:?}"
        );
        assert!(files.contains_key("a") && !files.contains_key("bad"), "{files:?}");
        let inline = Build {
            dockerfile_inline: Some("FROM c".to_owned()),
            ..build(dir.path(), "c", None)
        };
        let (name, files) = sent(&inline).await;
        assert_eq!((name.as_str(), files[OUTSIDE].as_str()), (OUTSIDE, "FROM c"));
        assert!(files.contains_key("bad"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let dir = tree(&[("c/a", "a")]);
        let check = |context: &str, dockerfile: Option<&str>, word: &str| {
            let error = Context::open(&build(dir.path(), context, dockerfile)).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        };
        check("c", None, "Dockerfile");
        check("nowhere", None, "nowhere");
        check("c/a", None, "no directory");
        check("c", Some("../other"), "other");
    }
}
