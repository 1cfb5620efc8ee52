//! The files of one container from their beginnings, or from so many lines before their end, and on as they grow and rotate.
//!
//! The engine's own stream repeats and leaves out lines when a file rotates under it (20.10): a file that is read by whom it is
//! followed by has neither.

use std::{
    collections::VecDeque,
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use memchr::{memchr, memrchr_iter};
use windflow_model::{LogSource, Timestamp};

use super::{DISORDER, Ended, Entry, LONGEST, Part, Range, find, not_json_lines, place};
use crate::targets::LogLine;

/// Read at once: what a reader that stalls keeps in memory, as lines.
const BLOCK: usize = 64 << 10;

#[derive(Debug)]
pub(in crate::logs) struct Forward {
    path: PathBuf,
    /// Oldest first; `at` bytes of the first are read. The last one stays: it may grow.
    parts: VecDeque<Part>,
    at: u64,
    range: Range,
    /// The beginning of a line of the file.
    carry: Vec<u8>,
    /// What a container has said of a line that has not ended, of both outputs, and when it began.
    open: [(String, Option<Timestamp>); 2],
}

/// What became of files that were read to their end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::logs) enum Growth {
    Nothing,
    /// There is more to read.
    More,
    /// There is more, and what came before it is gone: it rotated away, or was cut off, before it was read.
    MoreAfterLoss,
    /// The container is gone, and its files with it.
    Gone,
}

impl Forward {
    /// Opens them; `None` if some are compressed.
    ///
    /// # Errors
    /// The newest cannot be opened or read.
    pub(in crate::logs) fn open(path: &Path, tail: Option<u32>, range: Range) -> io::Result<Option<Self>> {
        let found = find(path, None)?;
        if found.ended == Ended::Compressed {
            return Ok(None);
        }
        let mut files = Self {
            path: path.to_owned(),
            parts: found.parts.into_iter().rev().collect(),
            at: 0,
            range,
            carry: Vec::new(),
            open: Default::default(),
        };
        if let Some(lines) = tail {
            files.skip_to_last(u64::from(lines))?;
        }
        Ok(Some(files))
    }

    /// Leaves out all but the last lines.
    fn skip_to_last(&mut self, lines: u64) -> io::Result<()> {
        let mut left = lines;
        for index in (0..self.parts.len()).rev() {
            let Some(part) = self.parts.get(index) else {
                continue;
            };
            // A line end begins a line, but the last one: before it are `left` lines as soon as one more was seen.
            let mut at = part.end;
            let mut block = vec![0; BLOCK];
            let mut found = None;
            while at > 0 && found.is_none() {
                let length = usize::try_from(at).unwrap_or(BLOCK).min(BLOCK);
                at -= length as u64;
                let block = block.get_mut(..length).unwrap_or_default();
                part.file.file().read_exact_at(block, at)?;
                for newline in memrchr_iter(b'\n', block) {
                    let behind = at + newline as u64 + 1;
                    if left == 0 {
                        found = Some(behind);
                        break;
                    }
                    if behind < part.end {
                        left -= 1;
                        if left == 0 {
                            found = Some(behind);
                            break;
                        }
                    }
                }
            }
            if let Some(start) = found {
                self.begin_in(index, start);
                return Ok(());
            }
            // Its first line has no line end before it.
            left = left.saturating_sub(u64::from(part.end > 0));
            if left == 0 && (lines > 0 || part.end > 0) {
                self.begin_in(index, if lines == 0 { part.end } else { 0 });
                return Ok(());
            }
        }
        Ok(())
    }

    fn begin_in(&mut self, index: usize, start: u64) {
        self.parts.drain(..index);
        self.at = start;
        if let Some(part) = self.parts.front_mut() {
            part.placed = true;
        }
    }

    /// Reads a piece more and adds its lines. `false` once there is no more, for now.
    ///
    /// # Errors
    /// A file cannot be read, or is none of this kind.
    pub(in crate::logs) fn step(&mut self, lines: &mut Vec<LogLine>) -> io::Result<bool> {
        let last = self.parts.len() <= 1;
        let Some(part) = self.parts.front_mut() else {
            return Ok(false);
        };
        if !part.placed {
            part.placed = true;
            self.carry.clear();
            self.at = 0;
            if let Some(since) = self.range.since {
                let before = since.as_millis() - i64::try_from(DISORDER.as_millis()).unwrap_or(0);
                (self.at, _) = place(&part.file, part.end, Timestamp::from_millis(before))?;
                // In the middle of a line, which is before the point.
                if self.at > 0 {
                    self.carry.push(b'?');
                }
            }
        }
        let left = part.end.saturating_sub(self.at);
        let wanted = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        if wanted == 0 {
            if !last {
                self.parts.pop_front();
            }
            return Ok(!last);
        }
        let held = self.carry.len();
        self.carry.resize(held + wanted, 0);
        let fresh = self.carry.get_mut(held..).unwrap_or_default();
        match part.file.file().read_exact_at(fresh, self.at) {
            Ok(()) => {}
            // It was cut off since its end was looked at: that is said by the next look.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.carry.truncate(held);
                self.at = part.end;
                return Ok(true);
            }
            Err(error) => return Err(error),
        }
        self.at += wanted as u64;
        if self.carry.len() > LONGEST {
            return Err(not_json_lines(&part.file));
        }
        let block = std::mem::take(&mut self.carry);
        let mut rest = block.as_slice();
        while let Some(end) = memchr(b'\n', rest) {
            self.line(rest.get(..end).unwrap_or_default(), lines);
            rest = rest.get(end + 1..).unwrap_or_default();
        }
        rest.clone_into(&mut self.carry);
        Ok(true)
    }

    /// Looks whether there is more, once all was read.
    ///
    /// # Errors
    /// What the file system says.
    pub(in crate::logs) fn look(&mut self) -> io::Result<Growth> {
        let Some(part) = self.parts.front_mut() else {
            return Ok(Growth::Gone);
        };
        // The name first: what was written before the engine let go of a file is seen then.
        let named = match fs_err::metadata(&self.path) {
            Ok(found) => Some(found.ino()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let found = part.file.metadata()?;
        if found.len() > part.end {
            part.end = found.len();
            return Ok(Growth::More);
        }
        if found.len() < part.end {
            // With a single file, the engine cuts it off and goes on in it.
            (part.end, self.at) = (found.len(), 0);
            self.carry.clear();
            return Ok(Growth::MoreAfterLoss);
        }
        match named {
            Some(named) if named == found.ino() => Ok(Growth::Nothing),
            None if found.nlink() == 0 => Ok(Growth::Gone),
            // Between two names.
            None => Ok(Growth::Nothing),
            Some(_) => self.rotated(found.ino()),
        }
    }

    /// Goes on with the files that came after the one of this number.
    fn rotated(&mut self, before: u64) -> io::Result<Growth> {
        let found = match find(&self.path, Some(before)) {
            // Between two names.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Growth::Nothing),
            found => found?,
        };
        if found.parts.is_empty() {
            return Ok(Growth::Nothing);
        }
        self.parts = found.parts.into_iter().rev().collect();
        Ok(match found.ended {
            Ended::Known => Growth::More,
            Ended::Oldest | Ended::Compressed => Growth::MoreAfterLoss,
        })
    }

    fn line(&mut self, line: &[u8], lines: &mut Vec<LogLine>) {
        // What is not whole is no line.
        let Ok(entry) = serde_json::from_slice::<Entry<'_>>(line) else {
            return;
        };
        let (Ok(at), source) = (entry.time.parse::<Timestamp>(), entry.source()) else {
            return;
        };
        let [out, err] = &mut self.open;
        let (text, began) = if source == LogSource::Stdout { out } else { err };
        let at = *began.get_or_insert(at);
        let ends = entry.log.ends_with('\n');
        text.push_str(&entry.log);
        if !ends && text.len() <= LogLine::LONGEST {
            return;
        }
        *began = None;
        let mut text = std::mem::take(text);
        if ends {
            text.pop();
        }
        if text.ends_with('\r') {
            text.pop();
        }
        if !self.range.holds(at, source) {
            return;
        }
        let mut push = |text| {
            lines.push(LogLine {
                source,
                at: Some(at),
                text,
            });
        };
        while text.len() > LogLine::LONGEST {
            let rest = text.split_off(text.floor_char_boundary(LogLine::LONGEST));
            push(std::mem::replace(&mut text, rest));
        }
        push(text);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::{
            suffixed,
            tests::{at, entry, write},
        },
        *,
    };

    fn read(path: &Path, range: Range) -> Vec<String> {
        let mut files = Forward::open(path, None, range).unwrap().unwrap();
        let mut lines = Vec::new();
        while files.step(&mut lines).unwrap() {}
        lines.into_iter().map(|line| line.text).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn files_are_read_whole_and_in_order(
            sizes in prop::collection::vec(prop_oneof![0_usize..40, 1000_usize..16_000], 1..150),
            files in 1_usize..5, range in prop::option::of((0_i64..160, 0_i64..160)),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let texts: Vec<String> = (0..).zip(&sizes).map(|(n, size)| format!("{n}{}", "x".repeat(*size))).collect();
            let lines: Vec<String> = (0..).zip(&texts).map(|(second, text)| entry(second, "stdout", text)).collect();
            let path = write(folder.path(), &lines, files);
            let asked = Range { source: None, since: range.map(|(from, _)| at(from)), until: range.map(|(_, to)| at(to)) };
            let wanted: Vec<&String> = (0_i64..).zip(&texts)
                .filter(|(second, _)| range.is_none_or(|(from, to)| *second >= from && *second < to))
                .map(|(_, text)| text).collect();
            let found = read(&path, asked);
            prop_assert_eq!(found.iter().collect::<Vec<_>>(), wanted);
        }
    }

    #[test]
    fn a_line_of_several_parts_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let part = |second: i64, stream: &str, text: &str| entry(second, stream, text).replace("\\n", "");
        let lines = [
            part(1, "stdout", "one "),
            entry(2, "stderr", "other"),
            part(3, "stdout", "two "),
            entry(4, "stdout", "three"),
            entry(4, "stdout", "four"),
            part(4, "stdout", "not ended"),
        ];
        let path = write(folder.path(), &lines, 2);
        assert_eq!(read(&path, Range::default()), ["other", "one two three", "four"]);
    }

    /// Writes, rotates and cuts off as the engine does, and reads now and then.
    #[derive(Debug, Clone)]
    enum Move {
        Write(usize),
        Rotate,
        Read,
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]
        #[test]
        fn files_that_grow_and_rotate_are_read_without_a_seam(
            moves in prop::collection::vec(prop_oneof![
                4 => (1_usize..60).prop_map(Move::Write), 2 => Just(Move::Rotate), 3 => Just(Move::Read),
            ], 1..60),
            before in 0_usize..300, tail in prop::option::of(0_u32..400),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let text = |n: usize| entry(i64::try_from(n).unwrap(), "stdout", &n.to_string());
            let path = write(folder.path(), &(0..before).map(text).collect::<Vec<_>>(), 3);
            if before == 0 {
                fs_err::write(&path, "").unwrap();
            }
            let (mut said, mut lines) = (before, Vec::new());
            let mut files = Forward::open(&path, tail, Range::default()).unwrap().unwrap();
            let mut drain = |files: &mut Forward| loop {
                while files.step(&mut lines).unwrap() {}
                match files.look().unwrap() {
                    Growth::Nothing => return,
                    Growth::More => {}
                    other => panic!("{other:?}"),
                }
            };
            for one in moves.into_iter().chain([Move::Read]) {
                match one {
                    Move::Write(count) => {
                        let mut file = fs_err::OpenOptions::new().append(true).open(&path).unwrap();
                        for n in said..said + count {
                            std::io::Write::write_all(&mut file, text(n).as_bytes()).unwrap();
                        }
                        said += count;
                    }
                    Move::Rotate => {
                        let last = (1..1000).find(|n| !suffixed(&path, &format!(".{n}")).exists()).unwrap();
                        for n in (1..last).rev() {
                            fs_err::rename(suffixed(&path, &format!(".{n}")), suffixed(&path, &format!(".{}", n + 1))).unwrap();
                        }
                        fs_err::rename(&path, suffixed(&path, ".1")).unwrap();
                        fs_err::write(&path, "").unwrap();
                    }
                    Move::Read => drain(&mut files),
                }
            }
            let first = tail.map_or(0, |tail| before.saturating_sub(usize::try_from(tail).unwrap()));
            let wanted: Vec<String> = (first..said).map(|n| n.to_string()).collect();
            prop_assert_eq!(lines.into_iter().map(|line| line.text).collect::<Vec<_>>(), wanted);
        }
    }

    #[test]
    fn what_is_gone_before_it_was_read_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path(), &[entry(1, "stdout", "one")], 1);
        let mut files = Forward::open(&path, None, Range::default()).unwrap().unwrap();
        let mut lines = Vec::new();
        let mut all = |files: &mut Forward| while files.step(&mut lines).unwrap() {};
        all(&mut files);
        assert_eq!(files.look().unwrap(), Growth::Nothing);
        // Rotated twice, and only one file is kept.
        fs_err::remove_file(&path).unwrap();
        fs_err::write(&path, entry(5, "stdout", "five")).unwrap();
        assert_eq!(files.look().unwrap(), Growth::MoreAfterLoss);
        all(&mut files);
        // Cut off.
        fs_err::write(&path, entry(7, "stdout", "7")).unwrap();
        assert_eq!(files.look().unwrap(), Growth::MoreAfterLoss);
        all(&mut files);
        // Cut off between a look and the reading.
        let mut file = fs_err::OpenOptions::new().append(true).open(&path).unwrap();
        std::io::Write::write_all(&mut file, entry(8, "stdout", "lost").as_bytes()).unwrap();
        assert_eq!(files.look().unwrap(), Growth::More);
        fs_err::write(&path, entry(9, "stdout", "9")).unwrap();
        all(&mut files);
        assert_eq!(files.look().unwrap(), Growth::MoreAfterLoss);
        all(&mut files);
        fs_err::remove_file(&path).unwrap();
        assert_eq!(files.look().unwrap(), Growth::Gone);
        let texts: Vec<String> = lines.into_iter().map(|line| line.text).collect();
        assert_eq!(texts, ["one", "five", "7", "9"]);
    }
}
