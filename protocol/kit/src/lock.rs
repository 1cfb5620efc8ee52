//! One process per data directory.
//!
//! The lock is a file lock on `LOCK` inside the directory: the kernel drops it with the process, however that ends,
//! so there is no stale lock to clean up. The number inside is for the message only and proves nothing.

use std::{
    fs::TryLockError,
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use fs_err as fs;

/// Name of the lock file.
pub const LOCK_FILE: &str = "LOCK";

/// Holds a directory for this process until dropped.
#[derive(Debug)]
pub struct DirLock {
    dir: PathBuf,
    // Keeps the lock: closing the file releases it.
    _file: fs::File,
}

/// Why a directory could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("data directory {} is in use by {}; stop it or choose another with --data-dir", dir.display(), holder(*pid))]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// Process number found in the lock file, if it could be read.
        pid: Option<u32>,
    },
    /// It does not exist and cannot be made.
    #[error("data directory {} cannot be created; create it or choose another with --data-dir", dir.display())]
    Create {
        /// The directory.
        dir: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// This user may not write into it.
    #[error("data directory {} is not writable; give it to this user (chown) or choose another with --data-dir", dir.display())]
    NotWritable {
        /// The directory.
        dir: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The file system refused the lock itself, as some network file systems do.
    #[error("data directory {} cannot be locked; choose one on a local disk with --data-dir", dir.display())]
    Lock {
        /// The directory.
        dir: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

impl DirLock {
    /// Takes `dir`, creating it (mode 0700) if needed. Does not wait.
    ///
    /// # Errors
    /// [`LockError`], each with its remedy.
    pub fn acquire(dir: impl AsRef<Path>) -> Result<Self, LockError> {
        let dir = dir.as_ref().to_path_buf();
        create_dir(&dir).map_err(|source| LockError::Create {
            dir: dir.clone(),
            source,
        })?;
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(dir.join(LOCK_FILE));
        let mut file = file.map_err(|source| LockError::NotWritable {
            dir: dir.clone(),
            source,
        })?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let pid = (&mut file)
                    .take(16)
                    .read_to_string(&mut text)
                    .ok()
                    .and_then(|_| text.trim().parse().ok());
                return Err(LockError::InUse { dir, pid });
            }
            Err(TryLockError::Error(source)) => return Err(LockError::Lock { dir, source }),
        }
        // A full disk must not keep a process from starting: the number is only for the message.
        if write_pid(&mut file).is_err() {
            tracing::debug!(dir = %dir.display(), "process number not written into the lock file");
        }
        Ok(Self { dir, _file: file })
    }

    /// The directory held.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

fn create_dir(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    // std: fs-err has no builder; the error is wrapped with the path by the caller.
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

fn write_pid(file: &mut fs::File) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(io::SeekFrom::Start(0))?;
    writeln!(file, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn second_holder_is_refused_with_the_number_and_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let lock = DirLock::acquire(dir.path()).unwrap();
        let error = DirLock::acquire(dir.path()).unwrap_err().to_string();
        let expected = format!(
            "data directory {} is in use by process {}; stop it or choose another with --data-dir",
            dir.path().display(),
            std::process::id()
        );
        assert_eq!(error, expected);
        drop(lock);
        DirLock::acquire(dir.path()).unwrap();
    }

    #[test]
    fn makes_the_directory_private() {
        let dir = tempfile::tempdir().unwrap();
        let lock = DirLock::acquire(dir.path().join("a/b")).unwrap();
        assert_eq!(
            fs::metadata(lock.dir()).unwrap().permissions().mode() & 0o777,
            0o700
        );
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("x"), "").unwrap();
        let error = DirLock::acquire(dir.path().join("x")).unwrap_err();
        assert!(matches!(&error, LockError::Create { .. }), "{error:?}");
        assert!(error.to_string().contains("--data-dir"));
    }
}
