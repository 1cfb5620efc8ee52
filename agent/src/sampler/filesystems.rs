//! File systems on disks of this host. Those of other machines are left out: asking one whose server is gone would never
//! return.

use std::{path::PathBuf, time::Duration};

use rustix::fs::statvfs;
use tokio::time::Instant;
use windflow_model::metrics::{Group, Metric, Scope, Subject};

use super::{
    Fit, SamplerOptions,
    file::{Buffer, Kept},
    parse::lines,
};

/// More file systems than this are left out.
const MOST: usize = 32;
/// What is mounted is looked at again after this time.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// Kinds that lie on disks.
const KINDS: [&str; 15] = [
    "ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "vfat", "f2fs", "bcachefs", "ntfs", "ntfs3", "jfs",
    "reiserfs", "exfat", "nilfs2",
];

const METRICS: [Metric; 3] = [
    Metric::FILESYSTEM_TOTAL,
    Metric::FILESYSTEM_AVAILABLE,
    Metric::FILESYSTEM_FILES_FREE,
];

#[derive(Debug)]
pub(super) struct Filesystems {
    table: Kept,
    mounts: Vec<PathBuf>,
    looked: Option<Instant>,
}

impl Filesystems {
    pub(super) fn new(options: &SamplerOptions) -> Self {
        Self {
            table: Kept::new(options.proc.join("self/mountinfo")),
            mounts: Vec::new(),
            looked: None,
        }
    }

    pub(super) fn lay_out(&mut self, buffer: &mut Buffer, groups: &mut Vec<Group>) {
        self.mounts = mounts(self.table.read(buffer).unwrap_or_default());
        self.looked = Some(Instant::now());
        // One that does not answer now has no columns.
        self.mounts.retain(|mount| statvfs(mount).is_ok());
        groups.extend(self.mounts.iter().map(|mount| Group {
            scope: Scope::Filesystem,
            subject: Subject::plain(mount.to_string_lossy().into_owned()),
            metrics: METRICS.to_vec(),
        }));
    }

    pub(super) fn read(&mut self, buffer: &mut Buffer, values: &mut Vec<i64>) -> Fit {
        if self.looked.is_none_or(|looked| looked.elapsed() > LOOK_AGAIN) {
            let mut now = mounts(self.table.read(buffer).unwrap_or_default());
            now.retain(|mount| statvfs(mount).is_ok());
            self.looked = Some(Instant::now());
            if now != self.mounts {
                return Fit::Changed;
            }
        }
        for mount in &self.mounts {
            let Ok(told) = statvfs(mount) else {
                return Fit::Changed;
            };
            let bytes = |blocks: u64| i64::try_from(blocks.saturating_mul(told.f_frsize)).unwrap_or(i64::MAX);
            values.push(bytes(told.f_blocks));
            values.push(bytes(told.f_bavail));
            values.push(i64::try_from(told.f_favail).unwrap_or(i64::MAX));
        }
        Fit::Fits
    }
}

/// Where file systems on disks are mounted, each once: where it is mounted first.
fn mounts(table: &[u8]) -> Vec<PathBuf> {
    let mut seen = Vec::new();
    let mut found = Vec::new();
    for line in lines(table) {
        let Ok(line) = str::from_utf8(line) else { continue };
        let Some((before, behind)) = line.split_once(" - ") else {
            continue;
        };
        let mut fields = before.split(' ').skip(2);
        let (Some(device), Some(_root), Some(mount)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let kind = behind.split(' ').next().unwrap_or_default();
        if !KINDS.contains(&kind) || seen.contains(&device) || found.len() == MOST {
            continue;
        }
        seen.push(device);
        found.push(PathBuf::from(unescaped(mount)));
    }
    found
}

/// Blanks and backslashes are written as three octal digits.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut parts = text.split('\\');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let code = part
            .get(..3)
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) => {
                out.push(char::from(code));
                out.push_str(part.get(3..).unwrap_or_default());
            }
            None => {
                out.push('\\');
                out.push_str(part);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mounted_from_disks() {
        let table = b"22 27 0:21 / /proc rw,relatime - proc proc rw\n\
            27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n\
            25 24 0:23 / /dev/shm rw,relatime - tmpfs tmpfs rw,size=24684084k\n\
            44 27 254:0 /run/netns /run/netns rw,relatime shared:2 - ext4 /dev/vda rw\n\
            45 27 8:1 / /mnt/two\\040words rw shared:3 master:1 - xfs /dev/sda1 rw\n\
            46 27 0:50 / /nfs rw - nfs4 server:/x rw\n\
            nonsense\n";
        assert_eq!(
            mounts(table),
            [PathBuf::from("/"), PathBuf::from("/mnt/two words")]
        );
        assert_eq!(unescaped("a\\134b\\9"), "a\\b\\9");
    }
}
