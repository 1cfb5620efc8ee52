//! The engine's own log files: the format of Docker's driver `json-file`. Searches read them from their ends, readers of a whole
//! log from their beginnings ([`forward`]).
//!
//! A line of such a file is an object: `{"log":"text\n","stream":"stdout","time":"2026-11-21T12:00:00.123456789Z"}`. The newest
//! file has the name that the engine tells; `.1`, `.2` and so on are older. Reading them takes no work of the engine, and a search
//! stops at as many matches as it wants: of a log of 10 GB the newest thousand lines may be all that is ever read.

mod forward;

use std::{
    borrow::Cow,
    collections::VecDeque,
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use memchr::{memchr, memmem, memrchr};
use serde::Deserialize;
use windflow_model::{LogMatcher, LogSource, Timestamp};

use crate::targets::LogLine;

/// Read at once.
const BLOCK: usize = 1 << 20;
/// Docker splits what is longer than 16 KiB; escaped, that is 100 KB. Beyond this it is no such file.
const LONGEST: usize = 4 << 20;
/// By so much the time of a line may be before that of the line above: two outputs are written by two threads.
const DISORDER: Duration = Duration::from_secs(1);
/// Files of one container that are looked for.
const MOST_FILES: u32 = 1000;
/// What a colour begins with, as JSON writes it.
const ESCAPE: &[u8] = br"\u001b";

pub(super) use self::forward::{Forward, Growth, Range};

/// What is searched for in files.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) matcher: Arc<LogMatcher>,
    pub(super) source: Option<LogSource>,
    pub(super) since: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
}

/// The files of one container, and how far they are read.
#[derive(Debug)]
pub(super) struct Backward {
    /// Newest first.
    parts: VecDeque<Part>,
    wanted: Wanted,
    /// The end of a line whose beginning has not been read yet.
    carry: Vec<u8>,
    /// Bytes that were read.
    pub(super) bytes: u64,
    /// The oldest time that was seen.
    pub(super) reached: Option<Timestamp>,
}

#[derive(Debug)]
struct Part {
    file: fs_err::File,
    /// Everything from here on is done.
    end: u64,
    /// Whether the end for `until` has been looked for.
    placed: bool,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow, default)]
    log: Cow<'a, str>,
    #[serde(borrow, default)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
}

impl Entry<'_> {
    fn source(&self) -> LogSource {
        if self.stream == "stderr" {
            LogSource::Stderr
        } else {
            LogSource::Stdout
        }
    }
}

impl Backward {
    /// Opens them; `None` if some are compressed, which only the engine reads.
    ///
    /// # Errors
    /// The newest cannot be opened.
    pub(super) fn open(path: &Path, wanted: Wanted) -> io::Result<Option<Self>> {
        let Some(parts) = parts(path)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            parts,
            wanted,
            carry: Vec::new(),
            bytes: 0,
            reached: None,
        }))
    }

    /// From now on, nothing before this is of interest.
    pub(super) fn raise(&mut self, floor: Timestamp) {
        self.wanted.since = self.wanted.since.max(Some(floor));
    }

    /// Reads about so many bytes more and adds what matches, newest first. `false` once there is no more.
    ///
    /// # Errors
    /// A file cannot be read, or is none of this kind.
    pub(super) fn step(&mut self, most: usize, found: &mut Vec<LogLine>) -> io::Result<bool> {
        let before = self.bytes;
        let most = u64::try_from(most).unwrap_or(u64::MAX);
        while self.bytes - before < most {
            let Some(part) = self.parts.front_mut() else {
                return Ok(false);
            };
            if !part.placed {
                part.placed = true;
                if let Some(until) = self.wanted.until {
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
            let rest = block.get(whole..).unwrap_or_default().len();
            block.append(&mut self.carry);
            if whole + rest == whole && start > 0 {
                if block.len() > LONGEST {
                    let text = format!("{} is no file of json lines", part.file.path().display());
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
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
        self.reached = Some(self.reached.map_or(first, |reached| reached.min(first)));
        let late = self
            .wanted
            .until
            .is_some_and(|until| first >= until.plus(DISORDER));
        if !late {
            let candidates = self.candidates(lines);
            for line in candidates.into_iter().rev() {
                found.extend(self.judge(line));
            }
        }
        self.wanted
            .since
            .is_none_or(|since| first.plus(DISORDER) >= since)
    }

    /// Lines that may match, by what every matching line holds.
    fn candidates<'a>(&self, lines: &'a [u8]) -> Vec<&'a [u8]> {
        let literal = self.wanted.matcher.literal();
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
        let wanted = &self.wanted;
        let asked = wanted.since.is_none_or(|since| at >= since)
            && wanted.until.is_none_or(|until| at < until)
            && wanted.source.is_none_or(|wanted| wanted == source);
        let text = entry.log.strip_suffix('\n').unwrap_or(&entry.log);
        let text = text.strip_suffix('\r').unwrap_or(text);
        (asked && wanted.matcher.matches(text)).then(|| LogLine {
            source,
            at: Some(at),
            text: text.to_owned(),
        })
    }
}

/// The files of a container, newest first; `None` if some are compressed.
fn parts(path: &Path) -> io::Result<Option<VecDeque<Part>>> {
    let mut parts = VecDeque::new();
    let mut seen = Vec::new();
    for number in 0..MOST_FILES {
        let name = match number {
            0 => path.to_owned(),
            _ => suffixed(path, &format!(".{number}")),
        };
        let file = match fs_err::File::open(&name) {
            Ok(file) => file,
            Err(error) if number > 0 && error.kind() == io::ErrorKind::NotFound => {
                if suffixed(&name, ".gz").exists() {
                    return Ok(None);
                }
                break;
            }
            Err(error) => return Err(error),
        };
        let found = file.metadata()?;
        // The engine renamed the one before while this was looked for.
        if !found.is_file() || seen.contains(&found.ino()) {
            continue;
        }
        seen.push(found.ino());
        parts.push_back(Part {
            file,
            end: found.len(),
            placed: false,
        });
    }
    Ok(Some(parts))
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The time of a line, without reading all of it: it comes last.
fn time_of(line: &[u8]) -> Option<Timestamp> {
    const KEY: &[u8] = br#""time":""#;
    let at = memmem::rfind(line, KEY)? + KEY.len();
    let rest = line.get(at..)?;
    let text = rest.get(..memchr(b'"', rest)?)?;
    str::from_utf8(text).ok()?.parse().ok()
}

/// Two places in a file: before the first all lines are before a point, from the second on all are at or after it. Found by
/// halving, so that a search in the past does not read what came since.
fn place(file: &fs_err::File, end: u64, point: Timestamp) -> io::Result<(u64, u64)> {
    let (mut low, mut high) = (0, end);
    while high - low > BLOCK as u64 {
        let middle = low + (high - low) / 2;
        match first_time(file, middle, high)? {
            Some((_, at)) if at < point => low = middle + 1,
            Some((start, _)) => high = start.max(low),
            None => break,
        }
    }
    Ok((low, high))
}

/// Where the first whole line behind a place begins, and its time.
fn first_time(file: &fs_err::File, from: u64, end: u64) -> io::Result<Option<(u64, Timestamp)>> {
    const PIECE: usize = 64 << 10;
    let mut piece = Vec::new();
    while piece.len() < LONGEST {
        let at = from + piece.len() as u64;
        let more = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE);
        if more == 0 {
            return Ok(None);
        }
        let length = piece.len();
        piece.resize(length + more, 0);
        file.file()
            .read_exact_at(piece.get_mut(length..).unwrap_or_default(), at)?;
        let mut start = 0;
        let mut ends = memchr::memchr_iter(b'\n', &piece);
        // What is before the first line end began before the place.
        let Some(first) = ends.next() else { continue };
        start += first + 1;
        for end in ends {
            if let Some(time) = piece.get(start..end).and_then(time_of) {
                return Ok(Some((from + start as u64, time)));
            }
            start = end + 1;
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;
    use windflow_model::LogSearch;

    use super::*;

    fn wanted(text: &str) -> Wanted {
        let search = LogSearch {
            texts: vec![text.to_owned()],
            ..LogSearch::default()
        };
        Wanted {
            matcher: Arc::new(search.matcher().unwrap()),
            source: None,
            since: None,
            until: None,
        }
    }

    pub(super) fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(1_790_000_000_000 + second * 1000)
    }

    /// A line as Docker writes it.
    pub(super) fn entry(second: i64, stream: &str, text: &str) -> String {
        let text = serde_json::to_string(&format!("{text}\n")).unwrap();
        format!(
            "{{\"log\":{text},\"stream\":\"{stream}\",\"time\":\"{}\"}}\n",
            at(second)
        )
    }

    fn read(path: &Path, wanted: Wanted, step: usize) -> (Vec<String>, u64) {
        let mut files = Backward::open(path, wanted).unwrap().unwrap();
        let mut found = Vec::new();
        while files.step(step, &mut found).unwrap() {}
        (found.into_iter().map(|line| line.text).collect(), files.bytes)
    }

    /// A log of so many lines, a second apart, in so many files.
    pub(super) fn write(folder: &Path, lines: &[String], files: usize) -> PathBuf {
        let path = folder.join("x-json.log");
        let each = lines.len().div_ceil(files.max(1)).max(1);
        let parts: Vec<&[String]> = lines.chunks(each).collect();
        for (number, part) in parts.iter().rev().enumerate() {
            let name = if number == 0 {
                path.clone()
            } else {
                suffixed(&path, &format!(".{number}"))
            };
            let mut file = fs_err::File::create(name).unwrap();
            for line in *part {
                file.write_all(line.as_bytes()).unwrap();
            }
        }
        path
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
            let mut wanted = wanted("needle");
            wanted.since = range.map(|(from, _)| at(from));
            wanted.until = range.map(|(_, to)| at(to));
            let within = |second: i64| range.is_none_or(|(from, to)| second >= from && second < to);
            let mut expected: Vec<&String> = (0_i64..).zip(&texts)
                .filter(|(second, text)| within(*second) && wanted.matcher.matches(text))
                .map(|(_, text)| text).collect();
            expected.reverse();
            let (found, _) = read(&path, wanted, step);
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
        let range = Wanted {
            since: Some(at(25_000)),
            until: Some(at(25_010)),
            ..wanted("NEEDLE")
        };
        let (found, bytes) = read(&path, range, 1 << 20);
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
        let only = Wanted {
            source: Some(LogSource::Stderr),
            ..wanted("needle")
        };
        assert_eq!(read(&path, only, 1).0, ["another needle", "needle of errors"]);
    }

    #[test]
    fn compressed_files_are_left_to_the_engine() {
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path(), &[entry(1, "stdout", "needle")], 1);
        fs_err::write(suffixed(&path, ".1.gz"), b"x").unwrap();
        assert!(Backward::open(&path, wanted("needle")).unwrap().is_none());
    }
}
