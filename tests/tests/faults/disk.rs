//! Small file systems of a test's own: an ext4 image that can lose its power, and memory that fills up.

use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use windflow_tests::{fleet, program::Launch};

/// A mounted file system; unmounted and removed when it is dropped, whoever still has files of it open.
#[derive(Debug)]
pub(crate) struct Disk {
    image: PathBuf,
    at: PathBuf,
    _dir: tempfile::TempDir,
}

async fn run(program: &str, args: &[&str]) -> Result<(), String> {
    let launch = Launch {
        program: PathBuf::from(program),
        args: args.iter().map(Into::into).collect(),
        env: Vec::new(),
        user: None,
    };
    let done = launch.finish().await;
    if done.code == 0 {
        Ok(())
    } else {
        Err(format!("{program}: {}{}", done.stdout, done.stderr))
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

impl Disk {
    fn folders() -> Self {
        let dir = tempfile::tempdir_in(fleet::memory()).unwrap();
        let at = dir.path().join("at");
        fs::create_dir(&at).unwrap();
        Self {
            image: dir.path().join("image"),
            at,
            _dir: dir,
        }
    }

    /// An empty ext4 of so many MiB in a file; `None`, with a line for the reader, where that cannot be had.
    pub(crate) async fn ext4(mib: u64) -> Option<Self> {
        let disk = Self::folders();
        fs::File::create(&disk.image).unwrap().set_len(mib << 20).unwrap();
        let made = async {
            run("/usr/sbin/mkfs.ext4", &["-q", text(&disk.image)]).await?;
            disk.mount().await
        };
        match made.await {
            Ok(()) => Some(disk),
            Err(why) => {
                println!("SKIPPED: a loop device with ext4 is needed (as root): {why}");
                None
            }
        }
    }

    async fn mount(&self) -> Result<(), String> {
        run(
            "/usr/bin/mount",
            &["-o", "loop", text(&self.image), text(&self.at)],
        )
        .await
    }

    /// What is left if the power goes at this moment: a copy of the image without anything that was not synced.
    pub(crate) async fn cut(&self) -> Self {
        let cut = Self::folders();
        fs::copy(&self.image, &cut.image).unwrap();
        cut
    }

    /// Mounts a copy; the file system repairs itself.
    pub(crate) async fn after(&self) {
        self.mount().await.expect("the file system mounts after the cut");
    }

    /// Memory of so many KiB at a folder that is there already; `None`, with a line for the reader, where only root
    /// may do that.
    pub(crate) fn memory(at: &Path, kib: u64) -> Option<Self> {
        let options = std::ffi::CString::new(format!("size={kib}k")).unwrap();
        if let Err(error) = mount("tmpfs", at, "tmpfs", MountFlags::empty(), options.as_c_str()) {
            println!("SKIPPED: a tmpfs is needed (as root): {error}");
            return None;
        }
        let mut disk = Self::folders();
        disk.at = at.to_path_buf();
        Some(disk)
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        &self.at
    }

    /// Takes all the room that is left.
    pub(crate) fn fill(&self) {
        use std::io::Write as _;
        let mut file = fs::File::create(self.at.join("ballast")).unwrap();
        let mut piece = 1 << 20;
        while piece > 0 {
            match file.write(&vec![0_u8; piece]) {
                Ok(written) if written > 0 => {}
                _ => piece /= 2,
            }
        }
    }

    /// Gives it back.
    pub(crate) fn free(&self) {
        fs::remove_file(self.at.join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Not mounted: nothing to do. In use by a process that is being killed: gone with it.
        let _not_mounted = unmount(&self.at, UnmountFlags::DETACH);
    }
}
