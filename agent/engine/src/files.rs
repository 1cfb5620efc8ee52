//! Files in containers and volumes: looked at, handed out and taken in, by the engine's archives.
//!
//! ```text
//! Files ── resolve (links, part by part) ── engine: HEAD archive
//!   list  ── the kernel (openat2), where this process may; else a tar that is walked along (`walk`) and thrown away
//!   read  ── GET archive ──► the tar, or the content of its one file
//!   write ── Intake (on disk, judged whole: `check`) ──► PUT archive
//!   volume ── door (a container that never runs) ── closed by "file-doors" when its last user drops it
//! ```
//! No program is run for it, neither on the host nor in a container.

mod check;
mod doors;
mod intake;
mod look;
mod walk;

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use futures_util::{
    StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream},
};
use windflow_kit::{Clock, error::Chain};
use windflow_model::{
    Code, Failure, FileEntry, FileKind, FileListing, FilePath, FilePlace, FilesWritten, VolumeList,
};

pub use self::intake::{Bounds, Intake, Taken};
use self::{
    doors::{Doors, Open},
    intake::Like,
    walk::{Found, Piece, Walk},
};
use crate::{
    exec,
    plan::labels,
    targets::{ArchivePut, FileStat, Target, TargetErrorKind},
};

/// Links that are followed for one path, as many as Linux follows.
const MOST_LINKS: usize = 40;
/// Label that says that a container is a door, and whose: `OWNER/LIFE`.
pub(crate) const DOOR_LABEL: &str = "io.windflow.door";
/// Of a file that is new.
const NEW_MODE: u32 = 0o644;

/// Bytes that are handed out.
pub type FileStream = BoxStream<'static, Result<Bytes, Failure>>;

/// The files of this host. Clones share the doors.
#[derive(Debug, Clone)]
pub struct Files {
    target: Arc<dyn Target>,
    clock: Clock,
    doors: Arc<Doors>,
}

/// A place that is there. What is judged by it is what is then used.
#[derive(Debug, Clone)]
pub struct Located {
    /// As it was asked for.
    place: FilePlace,
    /// The container's id.
    container: Option<String>,
    /// The stack that it belongs to, if it does.
    pub stack: Option<String>,
}

/// A place that can be asked for.
struct Opened {
    container: String,
    /// Where the place is in the container; nothing if it is the container itself.
    prefix: &'static str,
    _open: Option<Open>,
}

/// A path after all links, and what is there.
struct Resolved {
    path: FilePath,
    stat: Option<FileStat>,
}

impl Files {
    pub(crate) fn new(target: Arc<dyn Target>, clock: Clock, life: String) -> Self {
        let doors = Arc::new(Doors::new(Arc::clone(&target), life));
        Self { target, clock, doors }
    }

    /// The named volumes.
    ///
    /// # Errors
    /// The engine's failure.
    pub async fn volumes(&self) -> Result<VolumeList, Failure> {
        let volumes = self.target.volumes().await?;
        Ok(VolumeList { volumes })
    }

    /// Looks for a place.
    ///
    /// # Errors
    /// `NotFound`, or the engine's failure.
    pub async fn locate(&self, place: FilePlace) -> Result<Located, Failure> {
        let (container, stack) = match &place {
            FilePlace::Container { container } => {
                let found = exec::container_of(&*self.target, container).await?;
                (Some(found.id), found.project)
            }
            FilePlace::Volume { volume } => {
                let found = self.target.volume(volume).await?;
                let mut found = found.ok_or_else(|| no_volume(volume))?;
                (None, found.labels.remove(labels::PROJECT))
            }
        };
        Ok(Located {
            place,
            container,
            stack,
        })
    }

    /// What is at a path, and in it.
    ///
    /// # Errors
    /// `NotFound`, a link that leads out of a volume, or the engine's failure.
    pub async fn list(&self, at: &Located, path: &FilePath) -> Result<FileListing, Failure> {
        let place = &at.place;
        if let FilePlace::Volume { .. } = place
            && let Some(root) = self.target.root_of(place).await?
            && let Some(seen) = look::direct(root, path).await
        {
            let name = path.name().unwrap_or_default().to_owned();
            return Ok(FileListing {
                path: path.clone(),
                entry: FileEntry { name, ..seen.folder },
                entries: seen.seen.entries,
                cut: seen.seen.cut,
            });
        }
        let opened = self.open(at).await?;
        let (path, stat) = self.found(&opened, place, path).await?;
        let entry = named(&path, stat.entry);
        if entry.kind != FileKind::Folder {
            return Ok(FileListing {
                path,
                entry,
                entries: Vec::new(),
                cut: None,
            });
        }
        let container = FilePlace::Container {
            container: opened.container.clone(),
        };
        let root = match place {
            FilePlace::Container { .. } => self.target.root_of(&container).await?,
            FilePlace::Volume { .. } => None,
        };
        let direct = match root {
            Some(root) => look::direct(root, &path).await.map(|direct| direct.seen),
            None => None,
        };
        let seen = match direct {
            Some(seen) => seen,
            None => look::packed(&*self.target, &opened.container, &opened.whole(&path)).await?,
        };
        Ok(FileListing {
            path,
            entry,
            entries: seen.entries,
            cut: seen.cut,
        })
    }

    /// Hands out what is at a path: as a tar, or the content of a file.
    ///
    /// # Errors
    /// As [`Files::list`]; `Conflict` if it is a folder, and no archive is asked for.
    pub async fn read(
        &self,
        at: &Located,
        path: &FilePath,
        archive: bool,
    ) -> Result<(FileListing, FileStream), Failure> {
        let place = &at.place;
        let opened = self.open(at).await?;
        let (path, stat) = self.found(&opened, place, path).await?;
        let entry = named(&path, stat.entry);
        if !archive && entry.kind != FileKind::File {
            let what = match entry.kind {
                FileKind::Folder => "is a folder: it can be had as an archive",
                _ => "is no file that can be read",
            };
            return Err(Failure::new(Code::Conflict, format!("{path} in {place} {what}")));
        }
        let pieces = self
            .target
            .archive_get(&opened.container, &opened.whole(&path))
            .await?;
        let pieces = pieces.map_err(|error| error.failure());
        // The door stays open for as long as somebody reads.
        let pieces = stream::unfold((pieces.boxed(), opened), |(mut pieces, opened)| async move {
            Some((pieces.next().await?, (pieces, opened)))
        });
        let (size, bytes) = if archive {
            (entry.size, pieces.boxed())
        } else {
            // It may have grown since it was looked at.
            content(pieces.boxed()).await?
        };
        let listing = FileListing {
            path,
            entry: FileEntry { size, ..entry },
            entries: Vec::new(),
            cut: None,
        };
        Ok((listing, bytes))
    }

    /// Writes what was taken in: a file at a path whose folder is there, or an archive into a folder.
    ///
    /// # Errors
    /// As [`Files::list`]; `Conflict` if a folder is where the file shall be, or none where an archive shall be unpacked.
    pub async fn write(
        &self,
        at: &Located,
        path: &FilePath,
        mode: Option<u32>,
        taken: Taken,
    ) -> Result<FilesWritten, Failure> {
        let place = &at.place;
        let opened = self.open(at).await?;
        let written = FilesWritten {
            entries: taken.entries,
            bytes: taken.bytes,
        };
        let put = if taken.archive {
            let (path, stat) = self.found(&opened, place, path).await?;
            need_folder(place, &path, &stat)?;
            ArchivePut {
                container: opened.container.clone(),
                path: opened.whole(&path),
                keep_owner: false,
                tar: taken.into_stream(),
            }
        } else {
            let (folder, name, like) = self.place_of(&opened, place, path, mode).await?;
            let tar = taken
                .into_tar(&name, &like)
                .map_err(|error| Failure::new(Code::BadRequest, format!("{path}: {}", Chain(&error))))?;
            ArchivePut {
                container: opened.container.clone(),
                path: opened.whole(&folder),
                keep_owner: true,
                tar,
            }
        };
        self.target.archive_put(put).await?;
        Ok(written)
    }

    /// Where a file is to be, under which name, and whose: as the one that it replaces, or as its folder.
    async fn place_of(
        &self,
        opened: &Opened,
        place: &FilePlace,
        path: &FilePath,
        new_mode: Option<u32>,
    ) -> Result<(FilePath, String, Like), Failure> {
        let at = self.resolve(opened, place, path).await?;
        let no_file = || Failure::new(Code::Conflict, format!("{} in {place} is a folder", at.path));
        let (Some(folder), Some(name)) = (at.path.parent(), at.path.name().map(str::to_owned)) else {
            return Err(no_file());
        };
        let (of, mode) = match &at.stat {
            Some(stat) if stat.entry.kind == FileKind::File => (at.path.clone(), Some(stat.entry.mode)),
            Some(stat) if stat.entry.kind == FileKind::Folder => return Err(no_file()),
            Some(_) => {
                let text = format!("{} in {place} is no file that can be written", at.path);
                return Err(Failure::new(Code::Conflict, text));
            }
            None => {
                let (folder, stat) = self.found(opened, place, &folder).await?;
                need_folder(place, &folder, &stat)?;
                (folder, None)
            }
        };
        let owner = self.header(opened, &of).await?;
        let like = Like {
            mode: mode.or(new_mode).unwrap_or(NEW_MODE) & 0o7777,
            user: owner.user,
            group: owner.group,
            now_s: self.clock.now_ms().div_euclid(1000),
        };
        Ok((folder, name, like))
    }

    /// What the engine's tar says of a path.
    async fn header(&self, opened: &Opened, path: &FilePath) -> Result<Found, Failure> {
        let whole = opened.whole(path);
        let pieces = self.target.archive_get(&opened.container, &whole).await?;
        let mut pieces = pieces.map_err(|error| error.failure()).boxed();
        first(&mut Walk::new(), &mut pieces).await
    }

    async fn open(&self, at: &Located) -> Result<Opened, Failure> {
        match &at.place {
            FilePlace::Container { container } => Ok(Opened {
                container: at.container.as_ref().unwrap_or(container).clone(),
                prefix: "",
                _open: None,
            }),
            FilePlace::Volume { volume } => {
                let open = self.doors.open(volume).await;
                let open = open.map_err(|error| match error.kind {
                    TargetErrorKind::NotFound => no_volume(volume),
                    _ => error.failure(),
                })?;
                Ok(Opened {
                    container: open.door.container.clone(),
                    prefix: open.door.path,
                    _open: Some(open),
                })
            }
        }
    }

    async fn found(
        &self,
        opened: &Opened,
        place: &FilePlace,
        path: &FilePath,
    ) -> Result<(FilePath, FileStat), Failure> {
        let resolved = self.resolve(opened, place, path).await?;
        match resolved.stat {
            Some(stat) => Ok((resolved.path, stat)),
            None => Err(missing(place, path)),
        }
    }

    /// Follows all links of a path. What is behind one that leads out of a volume would not be the volume's.
    async fn resolve(
        &self,
        opened: &Opened,
        place: &FilePlace,
        path: &FilePath,
    ) -> Result<Resolved, Failure> {
        let mut rest: VecDeque<String> = path.parts().map(str::to_owned).collect();
        let mut at = FilePath::root();
        let mut links = 0;
        loop {
            let next = match rest.pop_front() {
                Some(part) => at
                    .join(&part)
                    .map_err(|error| Failure::new(Code::BadRequest, error.to_string()))?,
                None => {
                    let stat = self
                        .target
                        .file_stat(&opened.container, &opened.whole(&at))
                        .await?;
                    return Ok(Resolved { path: at, stat });
                }
            };
            let stat = self
                .target
                .file_stat(&opened.container, &opened.whole(&next))
                .await?;
            let Some(stat) = stat else {
                return match rest.is_empty() {
                    true => Ok(Resolved {
                        path: next,
                        stat: None,
                    }),
                    false => Err(missing(place, &next)),
                };
            };
            if stat.entry.kind != FileKind::Link {
                if rest.is_empty() {
                    return Ok(Resolved {
                        path: next,
                        stat: Some(stat),
                    });
                }
                if stat.entry.kind != FileKind::Folder {
                    return Err(missing(
                        place,
                        &next.join(&rest.make_contiguous().join("/")).unwrap_or(next),
                    ));
                }
                at = next;
                continue;
            }
            links += 1;
            if links > MOST_LINKS {
                let text = format!("{path} in {place} leads through more than {MOST_LINKS} links");
                return Err(Failure::new(Code::Conflict, text));
            }
            let leads_to = stat.leads_to.unwrap_or_default();
            let inside = leads_to.strip_prefix(opened.prefix);
            let inside = inside.filter(|rest| rest.is_empty() || rest.starts_with('/'));
            let Some(inside) = inside.and_then(|rest| format!("/{rest}").parse::<FilePath>().ok()) else {
                let text = format!("{next} in {place} is a link that leads out of it, to {leads_to}");
                return Err(Failure {
                    hint: "Name a path within the volume, or look into a container that mounts it."
                        .to_owned(),
                    ..Failure::new(Code::Conflict, text)
                });
            };
            // The engine has followed it to its end; the parts of that are followed all the same, to be sure.
            rest = inside
                .parts()
                .map(str::to_owned)
                .chain(std::mem::take(&mut rest))
                .collect();
            at = FilePath::root();
        }
    }
}

impl Opened {
    /// A path of the place as a path of the container.
    fn whole(&self, path: &FilePath) -> String {
        match (self.prefix, path.as_str()) {
            ("", path) => path.to_owned(),
            (prefix, "/") => prefix.to_owned(),
            (prefix, path) => format!("{prefix}{path}"),
        }
    }
}

fn named(path: &FilePath, entry: FileEntry) -> FileEntry {
    FileEntry {
        name: path.name().unwrap_or_default().to_owned(),
        ..entry
    }
}

fn no_volume(name: &str) -> Failure {
    Failure::new(Code::NotFound, format!("there is no volume {name} on this host"))
}

fn missing(place: &FilePlace, path: &FilePath) -> Failure {
    Failure::new(Code::NotFound, format!("there is no {path} in {place}"))
}

fn need_folder(place: &FilePlace, path: &FilePath, stat: &FileStat) -> Result<(), Failure> {
    match stat.entry.kind {
        FileKind::Folder => Ok(()),
        _ => Err(Failure::new(
            Code::Conflict,
            format!("{path} in {place} is no folder"),
        )),
    }
}

fn engine_says(problem: &str) -> Failure {
    Failure::new(Code::Engine, format!("the engine's archive {problem}"))
}

/// The first entry of a tar.
async fn first(walk: &mut Walk, pieces: &mut FileStream) -> Result<Found, Failure> {
    loop {
        match walk.next().map_err(engine_says)? {
            Some(Piece::Entry(found)) => return Ok(found),
            Some(Piece::Content(_)) => {}
            None => match pieces.try_next().await? {
                Some(piece) => walk.push(&piece),
                None => return Err(engine_says("is empty")),
            },
        }
    }
}

/// The one file in a tar: how long it is, and its content.
async fn content(mut pieces: FileStream) -> Result<(u64, FileStream), Failure> {
    let mut walk = Walk::new();
    let size = first(&mut walk, &mut pieces).await?.size;
    let state = (pieces, walk, size);
    let bytes = stream::try_unfold(state, |(mut pieces, mut walk, left)| async move {
        // What follows is the tar's own; the engine need not send it.
        if left == 0 {
            return Ok(None);
        }
        loop {
            match walk.next().map_err(engine_says)? {
                Some(Piece::Content(bytes)) => {
                    let left = left.saturating_sub(bytes.len() as u64);
                    return Ok(Some((bytes, (pieces, walk, left))));
                }
                Some(Piece::Entry(_)) => return Err(engine_says("breaks off")),
                None => match pieces.try_next().await? {
                    Some(piece) => walk.push(&piece),
                    None => return Err(engine_says("breaks off")),
                },
            }
        }
    });
    Ok((size, bytes.boxed()))
}
