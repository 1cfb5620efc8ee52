//! Files in containers and volumes of a host.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{doc::Document, time::Timestamp};

/// What the files are in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FilePlace {
    /// A container, whether it runs or not, with what is mounted in it.
    Container {
        /// Its id, or its name.
        container: String,
    },
    /// A named volume, whether anything uses it or not.
    Volume {
        /// Its name.
        volume: String,
    },
}

impl fmt::Display for FilePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Container { container } => write!(f, "container {container}"),
            Self::Volume { volume } => write!(f, "volume {volume}"),
        }
    }
}

/// An absolute path within a [`FilePlace`]: parts between single slashes, none of them `.` or `..`; `/` is the place itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(try_from = "String", into = "String")]
pub struct FilePath(String);

/// Why a text is no path.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the path {path:?} {problem}")]
pub struct FilePathError {
    path: String,
    problem: &'static str,
}

impl FilePath {
    /// Longest path, in bytes (`PATH_MAX` of Linux, with its final zero).
    pub const LONGEST: usize = 4095;

    /// The place itself.
    #[must_use]
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// With slashes, from the root.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its parts, from the root.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/').filter(|part| !part.is_empty())
    }

    /// The last part; `None` for the root.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.parts().next_back()
    }

    /// What it is in; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let (parent, name) = self.0.rsplit_once('/')?;
        (!name.is_empty()).then(|| Self(if parent.is_empty() { "/" } else { parent }.to_owned()))
    }

    /// Something in it.
    ///
    /// # Errors
    /// The name is no part of a path, or it would be too long.
    pub fn join(&self, name: &str) -> Result<Self, FilePathError> {
        format!("{}/{name}", self.0.trim_end_matches('/')).parse()
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for FilePath {
    type Err = FilePathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |problem| {
            Err(FilePathError {
                path: text.chars().take(200).collect(),
                problem,
            })
        };
        if !text.starts_with('/') {
            return wrong("does not begin with a slash");
        }
        if text.len() > Self::LONGEST {
            return wrong("is longer than 4095 bytes");
        }
        if text.contains('\0') {
            return wrong("holds a zero byte");
        }
        let mut path = String::with_capacity(text.len());
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => return wrong("has a part \"..\": name the folder itself"),
                part => {
                    path.push('/');
                    path.push_str(part);
                }
            }
        }
        if path.is_empty() {
            path.push('/');
        }
        Ok(Self(path))
    }
}

impl TryFrom<String> for FilePath {
    type Error = FilePathError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<FilePath> for String {
    fn from(path: FilePath) -> Self {
        path.0
    }
}

/// What is to be done with files of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum FileQuery {
    /// Which named volumes there are.
    Volumes,
    /// What is at a path, and in it if it is a folder.
    List {
        /// In what.
        place: FilePlace,
        /// Where in it.
        path: FilePath,
    },
    /// Hand out what is at a path.
    Read {
        /// In what.
        place: FilePlace,
        /// Where in it.
        path: FilePath,
        /// As a tar, which folders need; otherwise the bytes of one file.
        archive: bool,
    },
    /// Take bytes in.
    Write {
        /// In what.
        place: FilePlace,
        /// Where in it: the file itself, or, for an archive, the folder that is there.
        path: FilePath,
        /// The bytes are a tar, to be unpacked there; otherwise they are one file.
        archive: bool,
        /// Permissions of a file that is not there yet, as the twelve lowest bits of `st_mode`.
        #[serde(default)]
        mode: Option<u32>,
    },
}

impl Document for FileQuery {
    const NAME: &'static str = "file query";
    const SCHEMA: u16 = 1;
}

/// What kind of thing is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A device, pipe or socket.
    Other,
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct FileEntry {
    /// The last part of its path; bytes that are no UTF-8 are replaced. Empty for the root.
    pub name: String,
    /// What it is.
    pub kind: FileKind,
    /// Bytes of a file.
    pub size: u64,
    /// Permissions, as the twelve lowest bits of `st_mode`.
    pub mode: u32,
    /// When it was last written.
    pub modified: Option<Timestamp>,
    /// Where a link leads, in its own words.
    pub target: Option<String>,
}

/// A look at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct FileListing {
    /// Where it really is, after links.
    pub path: FilePath,
    /// What is there.
    pub entry: FileEntry,
    /// What is in it, by name, if it is a folder.
    pub entries: Vec<FileEntry>,
    /// Why that is not all, if it is not.
    pub cut: Option<String>,
}

impl Document for FileListing {
    const NAME: &'static str = "file listing";
    const SCHEMA: u16 = 1;
}

/// A named volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct VolumeSummary {
    /// Its name.
    pub name: String,
    /// Who keeps it: `local`, or a plug-in.
    pub driver: String,
    /// Compose project, if it belongs to one.
    pub project: Option<String>,
    /// Names of the containers that mount it.
    pub containers: Vec<String>,
}

/// The volumes of a host, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeList {
    /// Each.
    pub volumes: Vec<VolumeSummary>,
}

impl Document for VolumeList {
    const NAME: &'static str = "volume list";
    const SCHEMA: u16 = 1;
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct FilesWritten {
    /// Files, folders and links.
    pub entries: u64,
    /// Bytes in the files.
    pub bytes: u64,
}

impl Document for FilesWritten {
    const NAME: &'static str = "files written";
    const SCHEMA: u16 = 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let check = |text: &str, expected: Result<(&str, Option<&str>, Option<&str>), &str>| match (
            text.parse::<FilePath>(),
            expected,
        ) {
            (Ok(path), Ok((shown, parent, name))) => {
                let found = path.parent().map(String::from);
                assert_eq!(
                    (path.as_str(), found.as_deref(), path.name()),
                    (shown, parent, name)
                );
            }
            (Err(error), Err(says)) => assert!(error.to_string().contains(says), "{error}"),
            (found, _) => panic!("{text:?}: {found:?}"),
        };
        check("/", Ok(("/", None, None)));
        check("//", Ok(("/", None, None)));
        check("/a", Ok(("/a", Some("/"), Some("a"))));
        check("/a/./b//c/", Ok(("/a/b/c", Some("/a/b"), Some("c"))));
        check("/a b/é…/..c", Ok(("/a b/é…/..c", Some("/a b/é…"), Some("..c"))));
        check("", Err("slash"));
        check("a/b", Err("slash"));
        check("/a/../b", Err("\"..\""));
        check("/..", Err("\"..\""));
        check("/a\0b", Err("zero byte"));
        check(&format!("/{}", "a".repeat(4095)), Err("longer"));
        let root = FilePath::root();
        assert_eq!(root.join("a").unwrap().join("b").unwrap().as_str(), "/a/b");
        assert!(root.join("..").is_err());
    }
}
