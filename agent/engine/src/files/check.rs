//! What a tar that comes from outside may hold. It is judged whole before anything of it is unpacked, so that a tar with one bad
//! entry leaves nothing behind.

use std::collections::BTreeMap;

use super::walk::Found;

/// Entries of one tar.
pub(crate) const MOST_ENTRIES: u64 = 100_000;
/// Bytes of a path (`PATH_MAX`).
const LONGEST_PATH: usize = 4095;
/// Folders that lie in one another.
const DEEPEST: usize = 255;
/// Bytes of all paths, which are remembered.
const MOST_NAMES: usize = 32 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Folder,
    Link,
}

/// What has come so far.
#[derive(Debug, Default)]
pub(crate) struct Check {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    paths: BTreeMap<String, Kind>,
    /// Bytes of all paths.
    names: usize,
}

impl Check {
    /// Judges the next entry. `Err` completes "the archive …".
    pub(crate) fn entry(&mut self, found: &Found) -> Result<(), String> {
        let shown: String = found.name.chars().take(200).collect();
        let wrong = |problem: &str| Err(format!("holds {shown:?}, which {problem}"));
        self.entries += 1;
        self.bytes += found.size;
        if self.entries > MOST_ENTRIES {
            return Err(format!("holds more than {MOST_ENTRIES} entries"));
        }
        if found.sparse {
            return wrong("leaves out holes (write it without --sparse)");
        }
        let Some(path) = plain(&found.name) else {
            return wrong("lies outside of the folder");
        };
        if found.name.len() > LONGEST_PATH || found.name.contains('\0') {
            return wrong("is no name");
        }
        if above(&path).count() > DEEPEST {
            return wrong(&format!("lies more than {DEEPEST} folders deep"));
        }
        for above in above(&path) {
            match self.paths.get(above) {
                Some(Kind::Link) => return wrong(&format!("lies behind the link {above:?}")),
                Some(Kind::File) => return wrong(&format!("lies behind the file {above:?}")),
                Some(Kind::Folder) | None => {}
            }
        }
        let kind = found.kind;
        let kind = if kind.is_symlink() {
            let target = found.link.as_deref().unwrap_or_default();
            if !stays(&path, target) {
                return wrong(&format!("is a link that leads out of the folder, to {target:?}"));
            }
            Kind::Link
        } else if kind.is_hard_link() {
            let target = found.link.as_deref().and_then(plain);
            let target = target.and_then(|target| self.paths.get(&target));
            if target != Some(&Kind::File) {
                return wrong("is a hard link to something that is not before it in the archive");
            }
            Kind::File
        } else if kind.is_dir() {
            Kind::Folder
        } else if kind.is_file() || kind.is_contiguous() {
            Kind::File
        } else {
            return wrong("is a device, a pipe or of another kind that is not taken");
        };
        // The engine would stop there, with what came before it unpacked.
        let before = self.before(&path);
        if before.is_some_and(|before| (before == Kind::Folder) != (kind == Kind::Folder)) {
            return wrong("is a folder and something else");
        }
        self.names += path.len();
        if self.names > MOST_NAMES {
            return Err(format!("has names of more than {} MiB", MOST_NAMES >> 20));
        }
        self.paths.insert(path, kind);
        Ok(())
    }

    /// What is at a path so far; what something lies in is a folder.
    fn before(&self, path: &str) -> Option<Kind> {
        let inside = format!("{path}/");
        let next = self.paths.range(inside.clone()..).next();
        if path.is_empty() || next.is_some_and(|(next, _)| next.starts_with(&inside)) {
            return Some(Kind::Folder);
        }
        self.paths.get(path).copied()
    }
}

/// A relative path without detours, of plain parts; `None` if it is absolute or climbs.
fn plain(name: &str) -> Option<String> {
    let mut parts = name.split('/').filter(|part| !part.is_empty() && *part != ".");
    let climbs = name.starts_with('/') || parts.clone().any(|part| part == "..");
    (!climbs).then(|| parts.by_ref().collect::<Vec<_>>().join("/"))
}

/// Whether a link at this path stays within: it may climb at its beginning, as far as it lies deep. Climbing back out of a folder
/// that may itself be a link could lead anywhere.
fn stays(path: &str, target: &str) -> bool {
    let depth = path.matches('/').count();
    let mut parts = target
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .peekable();
    let mut climbed = 0;
    while parts.next_if(|part| *part == "..").is_some() {
        climbed += 1;
    }
    !target.starts_with('/') && !target.is_empty() && climbed <= depth && !parts.any(|part| part == "..")
}

/// The folders above a path.
fn above(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').filter_map(|(at, _)| path.get(..at))
}

#[cfg(test)]
mod tests {
    use tar::{EntryType, Header};

    use super::{
        super::walk::{Piece, Walk},
        *,
    };

    type Entry<'a> = (u8, &'a str, &'a str);

    /// As somebody who means harm would write it: nothing is put right.
    fn written(entries: &[Entry<'_>]) -> Vec<u8> {
        let mut out = Vec::new();
        for (kind, name, link) in entries {
            let mut header = Header::new_ustar();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
            header.set_entry_type(EntryType::new(*kind));
            header.set_size(0);
            header.set_mode(0o644);
            header.set_cksum();
            out.extend_from_slice(header.as_bytes());
        }
        out
    }

    fn judged(bytes: &[u8]) -> Result<u64, String> {
        let (mut walk, mut check) = (Walk::new(), Check::default());
        walk.push(bytes);
        while let Some(piece) = walk.next()? {
            if let Piece::Entry(found) = piece {
                check.entry(&found)?;
            }
        }
        Ok(check.entries)
    }

    #[test]
    fn nothing_leads_out() {
        let check = |entries: &[Entry<'_>], expected: Result<u64, &str>| match (
            judged(&written(entries)),
            expected,
        ) {
            (Ok(found), Ok(count)) => assert_eq!(found, count, "{entries:?}"),
            (Err(problem), Err(says)) => assert!(problem.contains(says), "{entries:?}: {problem}"),
            (found, _) => panic!("{entries:?}: {found:?}"),
        };
        check(
            &[
                (b'0', "a", ""),
                (b'5', "d/", ""),
                (b'0', "./d/b", ""),
                (b'2', "l", "d/b"),
                (b'1', "h", "a"),
            ],
            Ok(5),
        );
        check(&[(b'5', "./", ""), (b'0', "x..y", "")], Ok(2));
        check(&[(b'2', "a/b/l", "../../x")], Ok(1));
        // A link that is replaced by a file is none any more.
        check(&[(b'2', "l", "x"), (b'0', "l", "")], Ok(2));
        check(&[(b'0', "/etc/x", "")], Err("outside"));
        check(&[(b'0', "../x", "")], Err("outside"));
        check(&[(b'0', "a/../../x", "")], Err("outside"));
        check(&[(b'0', "a/..", "")], Err("outside"));
        check(&[(b'2', "l", "/etc")], Err("leads out"));
        check(&[(b'2', "l", "..")], Err("leads out"));
        check(&[(b'2', "a/l", "../..")], Err("leads out"));
        check(&[(b'2', "a", "."), (b'2', "l", "a/../..")], Err("leads out"));
        check(&[(b'2', "l", "")], Err("leads out"));
        check(
            &[(b'2', "l", "d"), (b'0', "l/x", "")],
            Err("behind the link \"l\""),
        );
        check(&[(b'2', "l", "d"), (b'5', "l/e/f", "")], Err("behind the link"));
        check(
            &[(b'2', "l", "d"), (b'5', "l", "")],
            Err("a folder and something else"),
        );
        check(
            &[(b'0', "d/x", ""), (b'2', "d", "e")],
            Err("a folder and something else"),
        );
        check(&[(b'2', ".", "e")], Err("a folder and something else"));
        check(&[(b'1', "h", "/etc/shadow")], Err("hard link"));
        check(&[(b'1', "h", "later"), (b'0', "later", "")], Err("hard link"));
        check(&[(b'2', "l", "a"), (b'1', "h", "l")], Err("hard link"));
        check(
            &[(b'0', "f", ""), (b'0', "f/x", "")],
            Err("behind the file \"f\""),
        );
        check(
            &[(b'5', "d", ""), (b'0', "d", "")],
            Err("a folder and something else"),
        );
        check(
            &[(b'0', "d", ""), (b'5', "d", "")],
            Err("a folder and something else"),
        );
        check(&[(b'0', "d-x", ""), (b'0', "d", ""), (b'0', "d.y/z", "")], Ok(3));
        check(&[(b'0', ".", "")], Err("a folder and something else"));
        for kind in [b'3', b'4', b'6'] {
            check(&[(kind, "dev", "")], Err("a device"));
        }
    }

    #[test]
    fn there_is_an_end_to_entries() {
        let found = |name: String| Found {
            name,
            kind: EntryType::Regular,
            size: 0,
            mode: 0,
            user: 0,
            group: 0,
            modified: 0,
            link: None,
            sparse: false,
        };
        let deep = Check::default().entry(&found("a/".repeat(300)));
        assert!(deep.unwrap_err().contains("more than 255 folders deep"));
        let mut long = Check::default();
        let mut ended = None;
        for number in 0..10_000 {
            if let Err(problem) = long.entry(&found(format!("{number:04}{}", "x".repeat(4000)))) {
                ended = Some((number, problem));
                break;
            }
        }
        let (number, problem) = ended.unwrap();
        assert!(
            number > 8_000 && problem.contains("more than 32 MiB"),
            "{number}: {problem}"
        );
        let mut check = Check {
            entries: MOST_ENTRIES,
            ..Check::default()
        };
        let mut walk = Walk::new();
        walk.push(&written(&[(b'0', "a", "")]));
        let Ok(Some(Piece::Entry(found))) = walk.next() else {
            panic!("no entry")
        };
        assert!(check.entry(&found).unwrap_err().contains("more than 100000"));
    }
}
