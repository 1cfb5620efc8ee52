//! Small file systems of a test's own: an ext4 that can lose its power, and memory that fills up.
//!
//! The power goes in one moment. A copy that reads while the kernel goes on writing is none: it can have a write without
//! the one that the disk had finished before it, which no disk does. So the image of the ext4 lies on an XFS (itself in
//! memory), which clones a file between two writes.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use fs_err as fs;
use rustix::{
    fs::ioctl_ficlone,
    mount::{MountFlags, UnmountFlags, mount, unmount},
};
use windflow_tests::{fleet, program::Launch};

/// A mounted file system; unmounted and removed when it is dropped, whoever still has files of it open.
#[derive(Debug)]
pub(crate) struct Disk {
    image: PathBuf,
    at: PathBuf,
    // Before the folder: it may be mounted in there.
    below: Option<Arc<Self>>,
    _dir: tempfile::TempDir,
}

/// Size of the XFS below (MiB; its least is 300): room for the image, and for what a cut and the life after it change.
const BELOW: u64 = 2048;

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
            below: None,
            _dir: dir,
        }
    }

    /// Folders of a disk whose image lies on another one.
    fn above(below: Arc<Self>, image: &str) -> Self {
        let mut disk = Self::folders();
        disk.image = below.at.join(image);
        disk.below = Some(below);
        disk
    }

    /// An empty ext4 of so many MiB in a file; `None`, with a line for the reader, where that cannot be had.
    pub(crate) async fn ext4(mib: u64) -> Option<Self> {
        let made = async {
            let below = Self::folders();
            below.make("/usr/sbin/mkfs.xfs", BELOW).await?;
            let disk = Self::above(Arc::new(below), "image");
            disk.make("/usr/sbin/mkfs.ext4", mib).await?;
            Ok::<_, String>(disk)
        };
        match made.await {
            Ok(disk) => Some(disk),
            Err(why) => {
                println!("SKIPPED: loop devices with XFS and ext4 are needed (as root): {why}");
                None
            }
        }
    }

    async fn make(&self, mkfs: &str, mib: u64) -> Result<(), String> {
        fs::File::create(&self.image).unwrap().set_len(mib << 20).unwrap();
        run(mkfs, &["-q", text(&self.image)]).await?;
        self.mount().await
    }

    async fn mount(&self) -> Result<(), String> {
        run(
            "/usr/bin/mount",
            &["-o", "loop", text(&self.image), text(&self.at)],
        )
        .await
    }

    /// What is left if the power goes at this moment: nothing that the kernel has not handed to the disk.
    pub(crate) fn cut(&self) -> Self {
        let below = self.below.as_ref().expect("an ext4");
        let cut = Self::above(Arc::clone(below), "cut");
        // One cut at a time; the one before may be in use by nobody, but its file is there.
        let _none_before = fs::remove_file(&cut.image);
        let (from, to) = (
            fs::File::open(&self.image).unwrap(),
            fs::File::create(&cut.image).unwrap(),
        );
        ioctl_ficlone(to, from).expect("XFS clones files");
        cut
    }

    /// Mounts what is left; the file system repairs itself.
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
