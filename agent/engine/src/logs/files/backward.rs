//! The files of one container from their ends, the newest lines first, until there are enough.

use std::{collections::VecDeque, io, os::unix::fs::FileExt as _, path::Path, sync::Arc};

use memchr::{memchr, memmem, memrchr};
use windflow_model::{LogMatcher, Timestamp};

use super::{DISORDER, Ended, Entry, LONGEST, Part, Range, find, not_json_lines, place, time_of};
use crate::targets::LogLine;

/// Read at once.
const BLOCK: usize = 1 << 20;
/// What a colour begins with, as JSON writes it.
const ESCAPE: &[u8] = br"\u001b";

/// The files of one container, and how far they are read.
#[derive(Debug)]
pub(in crate::logs) struct Backward {
    /// Newest first.
    parts: VecDeque<Part>,
    matcher: Arc<LogMatcher>,
    range: Range,
    /// The end of a line whose beginning has not been read yet.
    carry: Vec<u8>,
    /// Bytes that were read.
    pub(in crate::logs) bytes: u64,
}

impl Backward {
    /// Opens them; `None` if some are compressed, which only the engine reads.
    ///
    /// # Errors
    /// The newest cannot be opened.
    pub(in crate::logs) fn open(
        path: &Path,
        matcher: Arc<LogMatcher>,
        range: Range,
    ) -> io::Result<Option<Self>> {
        let found = find(path, None)?;
        Ok((found.ended != Ended::Compressed).then(|| Self {
            parts: found.parts,
            matcher,
            range,
            carry: Vec::new(),
            bytes: 0,
        }))
    }

    /// From now on, nothing before this is of interest.
    pub(in crate::logs) fn raise(&mut self, floor: Timestamp) {
        self.range.since = self.range.since.max(Some(floor));
    }

    /// Reads about so many bytes more and adds what matches, newest first. `false` once there is no more.
    ///
    /// # Errors
    /// A file cannot be read, or is none of this kind.
    pub(in crate::logs) fn step(&mut self, most: usize, found: &mut Vec<LogLine>) -> io::Result<bool> {
        let before = self.bytes;
        let most = u64::try_from(most).unwrap_or(u64::MAX);
        while self.bytes - before < most {
            let Some(part) = self.parts.front_mut() else {
                return Ok(false);
            };
            if !part.placed {
                part.placed = true;
                if let Some(until) = self.range.until {
                    (_, part.end) = place(&part.file, part.end, until.plus(DISORDER))?;
                }
                self.carry.clear();
            }
            if part.end == 0 {
                self.parts.pop_front();
                self.carry.clear();
                continue;
            }
            let start = part.end.saturating_sub(BLOCK as u64);
            let mut block = vec![0; usize::try_from(part.end - start).unwrap_or(BLOCK)];
            part.file.file().read_exact_at(&mut block, start)?;
            part.end = start;
            self.bytes += block.len() as u64;
            // The first line of the block begins before it, unless the file does here.
            let whole = if start == 0 {
                0
            } else {
                memchr(b'\n', &block).map_or(block.len(), |at| at + 1)
            };
            let none_is_whole = whole == block.len();
            block.append(&mut self.carry);
            if none_is_whole && start > 0 {
                if block.len() > LONGEST {
                    return Err(not_json_lines(&part.file));
                }
                self.carry = block;
                continue;
            }
            self.carry
                .extend_from_slice(block.get(..whole).unwrap_or_default());
            if !self.lines(block.get(whole..).unwrap_or_default(), found) {
                self.parts.clear();
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Adds what matches of whole lines; `false` if all before them is too old.
    fn lines(&mut self, lines: &[u8], found: &mut Vec<LogLine>) -> bool {
        let Some(first) = lines.split(|byte| *byte == b'\n').find_map(time_of) else {
            return true;
        };
        let late = self
            .range
            .until
            .is_some_and(|until| first >= until.plus(DISORDER));
        if !late {
            let candidates = self.candidates(lines);
            for line in candidates.into_iter().rev() {
                found.extend(self.judge(line));
            }
        }
        self.range.since.is_none_or(|since| first.plus(DISORDER) >= since)
    }

    /// Lines that may match, by what every matching line holds.
    fn candidates<'a>(&self, lines: &'a [u8]) -> Vec<&'a [u8]> {
        let literal = self.matcher.literal();
        // A colour in the middle of a word would hide it.
        let literal = literal.filter(|_| memmem::find(lines, ESCAPE).is_none());
        let Some((literal, folded)) = literal else {
            return lines.split(|byte| *byte == b'\n').collect();
        };
        let small = folded.then(|| lines.to_ascii_lowercase());
        let searched = small.as_deref().unwrap_or(lines);
        let finder = memmem::Finder::new(literal);
        let (mut candidates, mut from) = (Vec::new(), 0);
        while let Some(at) = searched.get(from..).and_then(|rest| finder.find(rest)) {
            let at = from + at;
            let start = lines.get(..at).and_then(|before| memrchr(b'\n', before));
            let start = start.map_or(0, |newline| newline + 1);
            let length = lines.get(at..).and_then(|after| memchr(b'\n', after));
            let end = length.map_or(lines.len(), |length| at + length);
            candidates.extend(lines.get(start..end));
            from = end;
        }
        candidates
    }

    fn judge(&self, line: &[u8]) -> Option<LogLine> {
        // What is not whole (the engine is writing it, or a power cut left zeros) is no line.
        let entry: Entry<'_> = serde_json::from_slice(line).ok()?;
        let at: Timestamp = entry.time.parse().ok()?;
        let source = entry.source();
        let text = entry.log.strip_suffix('\n').unwrap_or(&entry.log);
        let text = text.strip_suffix('\r').unwrap_or(text);
        (self.range.holds(at, source) && self.matcher.matches(text)).then(|| LogLine {
            source,
            at: Some(at),
            text: text.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use windflow_model::{LogSearch, LogSource};

    use super::{
        super::{
            suffixed,
            tests::{at, entry, write},
        },
        *,
    };

    fn matcher(text: &str) -> Arc<LogMatcher> {
        let search = LogSearch {
            texts: vec![text.to_owned()],
            ..LogSearch::default()
        };
        Arc::new(search.matcher().unwrap())
    }

    fn read(path: &Path, text: &str, range: Range, step: usize) -> (Vec<String>, u64) {
        let mut files = Backward::open(path, matcher(text), range).unwrap().unwrap();
        let mut found = Vec::new();
        while files.step(step, &mut found).unwrap() {}
        (found.into_iter().map(|line| line.text).collect(), files.bytes)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// What is found is what a plain reading of all files finds, newest first, whatever the sizes of lines and steps.
        #[test]
        fn files_are_searched_as_if_they_were_read_whole(
            texts in prop::collection::vec(prop_oneof![
                "[a-z ]{0,30}", Just("a Needle here".to_owned()), Just("\u{1b}[1mnee\u{1b}[0mdle".to_owned()),
                (2_000_usize..90_000).prop_map(|length| "long".repeat(length / 4)), Just("é \"needle\" <&>\t".to_owned()),
            ], 1..120),
            files in 1_usize..5, step in 1_usize..3_000_000, range in prop::option::of((0_i64..130, 0_i64..130)),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let lines: Vec<String> = (0..).zip(&texts).map(|(second, text)| entry(second, "stdout", text)).collect();
            let path = write(folder.path(), &lines, files);
            let asked = Range { source: None, since: range.map(|(from, _)| at(from)), until: range.map(|(_, to)| at(to)) };
            let matcher = matcher("needle");
            let within = |second: i64| range.is_none_or(|(from, to)| second >= from && second < to);
            let mut expected: Vec<&String> = (0_i64..).zip(&texts)
                .filter(|(second, text)| within(*second) && matcher.matches(text))
                .map(|(_, text)| text).collect();
            expected.reverse();
            let (found, _) = read(&path, "needle", asked, step);
            prop_assert_eq!(found.iter().collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn a_search_in_the_past_reads_only_about_that_time() {
        let folder = tempfile::tempdir().unwrap();
        // 20 MB in two files, a line a second.
        let lines: Vec<String> = (0..40_000)
            .map(|second| entry(second, "stdout", &format!("needle {second} {}", "x".repeat(420))))
            .collect();
        let path = write(folder.path(), &lines, 2);
        let range = Range {
            source: None,
            since: Some(at(25_000)),
            until: Some(at(25_010)),
        };
        let (found, bytes) = read(&path, "NEEDLE", range, 1 << 20);
        let numbers: Vec<&str> = found.iter().filter_map(|text| text.split(' ').nth(1)).collect();
        let expected: Vec<String> = (25_000..25_010).rev().map(|second| second.to_string()).collect();
        assert_eq!(numbers, expected);
        assert!(bytes < 4 << 20, "{bytes} bytes were read");
    }

    #[test]
    fn what_is_damaged_half_written_or_of_the_other_output_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let lines = [
            entry(1, "stderr", "needle of errors"),
            "\0\0\0\0\0\n".to_owned(),
            entry(2, "stdout", "needle of output"),
            "{\"log\":\"needle\n".to_owned(),
            entry(3, "stderr", "another needle").replace("\\n", "\\r\\n"),
            "{\"log\":\"needle of tomor".to_owned(),
        ];
        let path = write(folder.path(), &lines, 1);
        let only = Range {
            source: Some(LogSource::Stderr),
            ..Range::default()
        };
        assert_eq!(
            read(&path, "needle", only, 1).0,
            ["another needle", "needle of errors"]
        );
    }

    #[test]
    fn compressed_files_are_left_to_the_engine() {
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path(), &[entry(1, "stdout", "needle")], 1);
        fs_err::write(suffixed(&path, ".1.gz"), b"x").unwrap();
        assert!(
            Backward::open(&path, matcher("needle"), Range::default())
                .unwrap()
                .is_none()
        );
    }
}
