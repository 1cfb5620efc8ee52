//! The files of a stack on this host.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    path::{Component, Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use windflow_compose::collect::IntoMap as _;
use windflow_model::{Code, Failure, SpecFile, StackSpec};

use super::host;

/// Names the files written last, so that those no longer in the spec can go.
const MANIFEST: &str = ".windflow-files.json";

/// The files a load may read: those of a spec in memory, anything else in place. What lies in the spec's directory and
/// is not of the spec does not exist: it may be left over from an older one.
#[derive(Debug, Default)]
pub(super) struct Files {
    directory: Option<PathBuf>,
    content: BTreeMap<PathBuf, String>,
    /// Read from what was kept of an earlier read: nothing else exists.
    kept: bool,
    /// What was read in place.
    read: Mutex<BTreeMap<PathBuf, String>>,
}

impl Files {
    pub(super) fn of(spec: &StackSpec, directory: &Path) -> Result<Self, Failure> {
        let mut content = BTreeMap::new();
        for file in &spec.files {
            content.insert(directory.join(inside(&file.path)?), file.content.clone());
        }
        Ok(Self {
            directory: Some(directory.to_path_buf()),
            content,
            ..Self::default()
        })
    }

    /// In place, or as they were when they were read first.
    pub(super) fn in_place(spec: &StackSpec) -> Self {
        let files = spec.files.iter();
        Self {
            content: files
                .map(|file| (PathBuf::from(&file.path), file.content.clone()))
                .into_map(),
            kept: !spec.files.is_empty(),
            ..Self::default()
        }
    }

    /// What was read in place, to be kept.
    pub(super) fn into_read(self) -> Option<Vec<SpecFile>> {
        if self.kept || self.directory.is_some() {
            return None;
        }
        let read = self.read.into_inner().unwrap_or_else(PoisonError::into_inner);
        let file = |(path, content): (PathBuf, String)| SpecFile {
            path: path.to_string_lossy().into_owned(),
            content,
        };
        Some(read.into_iter().map(file).collect())
    }

    /// A path as it is told: those of a spec as they stand there.
    pub(super) fn shown<'p>(&self, path: &'p Path) -> &'p Path {
        let inside = self
            .directory
            .as_ref()
            .and_then(|directory| path.strip_prefix(directory).ok());
        inside.unwrap_or(path)
    }

    /// Whether these are the files of a spec; files in place otherwise.
    pub(super) const fn are_of_spec(&self) -> bool {
        self.directory.is_some()
    }
}

impl windflow_compose::Files for Files {
    fn read(&self, path: &str) -> Result<Option<String>, String> {
        if let Some(directory) = &self.directory
            && Path::new(path).starts_with(directory)
        {
            return Ok(self.content.get(Path::new(path)).cloned());
        }
        if self.kept {
            return Ok(self.content.get(Path::new(path)).cloned());
        }
        match fs::read_to_string(path) {
            Ok(text) => {
                let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
                read.insert(PathBuf::from(path), text.clone());
                Ok(Some(text))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Writes the files of a spec below `directory`, each by rename, only where the content differs. Files of the last
/// spec that this one no longer has are removed; anything else in the directory is left alone.
pub(super) fn materialise(spec: &StackSpec, directory: &Path) -> Result<(), Failure> {
    let mut kept = BTreeSet::new();
    for file in &spec.files {
        let relative = inside(&file.path)?;
        write(directory, &relative, file.content.as_bytes())?;
        kept.insert(relative);
    }
    let manifest = directory.join(MANIFEST);
    let before: BTreeSet<PathBuf> = match fs::read(&manifest) {
        Ok(json) => serde_json::from_slice(&json).unwrap_or_default(),
        Err(_) => BTreeSet::new(),
    };
    for stale in before.difference(&kept) {
        // Written by us, so inside; a directory or a missing file is not ours to worry about.
        if inside(&stale.to_string_lossy()).is_ok() {
            let _ = fs::remove_file(directory.join(stale));
        }
    }
    if before != kept {
        let json = serde_json::to_vec(&kept).unwrap_or_default();
        write(directory, Path::new(MANIFEST), &json)?;
    }
    Ok(())
}

/// A relative path that stays inside.
fn inside(path: &str) -> Result<PathBuf, Failure> {
    let clean: Option<PathBuf> = Path::new(path)
        .components()
        .filter(|part| *part != Component::CurDir)
        .map(|part| {
            if let Component::Normal(name) = part {
                Some(name)
            } else {
                None
            }
        })
        .collect();
    clean
        .filter(|clean| !clean.as_os_str().is_empty())
        .ok_or_else(|| {
            Failure::new(
                Code::ComposeInvalid,
                format!("the file path {path:?} leaves the project directory"),
            )
        })
}

fn write(directory: &Path, relative: &Path, content: &[u8]) -> Result<(), Failure> {
    let path = directory.join(relative);
    let parent = path.parent().unwrap_or(directory);
    fs::create_dir_all(parent).map_err(|error| host(&error))?;
    // A container with write access to a bind could plant a link that leads out of the directory.
    let mut at = directory.to_path_buf();
    for part in relative {
        at.push(part);
        if fs::symlink_metadata(&at).is_ok_and(|meta| meta.is_symlink()) {
            let text = format!(
                "{} is a symbolic link; files of a stack are not written through links",
                at.display()
            );
            return Err(Failure::new(Code::HostFailure, text));
        }
    }
    if fs::read(&path).is_ok_and(|there| there == content) {
        return Ok(());
    }
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".windflow-new");
    let new = path.with_file_name(name);
    let written = (|| {
        // The directory is for the owner only; inside, containers read files with users of their own.
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o644)
            .open(&new)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&new, &path)
    })();
    written.map_err(|error| host(&error))
}

#[cfg(test)]
mod tests {
    use windflow_model::SpecFile;

    use super::*;

    fn spec(files: &[(&str, &str)]) -> StackSpec {
        let files = files.iter().map(|(path, content)| SpecFile {
            path: (*path).into(),
            content: (*content).into(),
        });
        StackSpec {
            files: files.collect(),
            ..StackSpec::default()
        }
    }

    #[test]
    fn writes_replaces_and_removes_only_its_own() {
        let dir = tempfile::tempdir().unwrap();
        materialise(&spec(&[("compose.yaml", "a"), ("conf/app.env", "b")]), dir.path()).unwrap();
        fs::write(dir.path().join("data.db"), "theirs").unwrap();
        materialise(&spec(&[("compose.yaml", "c")]), dir.path()).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("compose.yaml")).unwrap(), "c");
        assert!(!dir.path().join("conf/app.env").exists());
        assert!(dir.path().join("data.db").exists());
    }

    #[test]
    fn refuses_to_leave() {
        let dir = tempfile::tempdir().unwrap();
        let check = |path: &str| assert!(materialise(&spec(&[(path, "x")]), dir.path()).is_err(), "{path}");
        check("../out");
        check("/etc/x");
        check("a/../../out");
        check("");
        check(".");
        std::os::unix::fs::symlink("/tmp", dir.path().join("link")).unwrap();
        check("link/out");
    }
}
