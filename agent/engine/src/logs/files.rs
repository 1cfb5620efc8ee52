//! The engine's own log files: the format of Docker's driver `json-file`. Searches read them from their ends ([`backward`]),
//! readers of a whole log from their beginnings ([`forward`]).
//!
//! A line of such a file is an object: `{"log":"text\n","stream":"stdout","time":"2026-11-21T12:00:00.123456789Z"}`. The newest
//! file has the name that the engine tells; `.1`, `.2` and so on are older. Reading them takes no work of the engine, and a search
//! stops at as many matches as it wants: of a log of 10 GB the newest thousand lines may be all that is ever read.

mod backward;
mod forward;

use std::{
    borrow::Cow,
    collections::VecDeque,
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use memchr::{memchr, memmem};
use serde::Deserialize;
use windflow_kit::{blocking, error::Chain};
use windflow_model::{LogSource, Timestamp};

pub(super) use self::{
    backward::Backward,
    forward::{Forward, Growth},
};
use crate::targets::Target;

/// Docker splits what is longer than 16 KiB; escaped, that is 100 KB. Beyond this it is no such file.
const LONGEST: usize = 4 << 20;
/// By so much the time of a line may be before that of the line above: two outputs are written by two threads.
const DISORDER: Duration = Duration::from_secs(1);
/// Where halving a file ends, and reading begins.
const NEAR: u64 = 1 << 20;
/// Files of one container that are looked for.
const MOST_FILES: u32 = 1000;

/// Which lines are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Range {
    /// Only this output.
    pub(super) source: Option<LogSource>,
    /// Only lines at or after this.
    pub(super) since: Option<Timestamp>,
    /// Only lines before this.
    pub(super) until: Option<Timestamp>,
}

impl Range {
    fn holds(&self, at: Timestamp, source: LogSource) -> bool {
        self.since.is_none_or(|since| at >= since)
            && self.until.is_none_or(|until| at < until)
            && self.source.is_none_or(|wanted| wanted == source)
    }
}

/// Opens the files of a container; `None` where only the engine can read them.
pub(super) async fn open<T: Send + 'static>(
    target: &dyn Target,
    container: &str,
    open: impl FnOnce(&Path) -> io::Result<Option<T>> + Send + 'static,
) -> Option<T> {
    let path = target.log_files(container).await.ok()??;
    match blocking::run(move || open(&path)).await.ok()? {
        Ok(files) => files,
        Err(error) => {
            tracing::debug!(error = %Chain(&error), "a log file is read through the engine");
            None
        }
    }
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

/// Files of a container, newest first, up to the one after which nothing is asked for.
struct Found {
    parts: VecDeque<Part>,
    ended: Ended,
}

/// Where a walk along the numbered files ended.
#[derive(PartialEq, Eq)]
enum Ended {
    /// At the oldest.
    Oldest,
    /// At a compressed one, which only the engine reads.
    Compressed,
    /// At the one that was known.
    Known,
}

/// Walks along the files of a container, to the oldest or to the one with this number of the file system.
fn find(path: &Path, known: Option<u64>) -> io::Result<Found> {
    let mut parts = VecDeque::new();
    let mut seen = Vec::new();
    let mut ended = Ended::Oldest;
    for number in 0..MOST_FILES {
        let name = match number {
            0 => path.to_owned(),
            _ => suffixed(path, &format!(".{number}")),
        };
        let file = match fs_err::File::open(&name) {
            Ok(file) => file,
            Err(error) if number > 0 && error.kind() == io::ErrorKind::NotFound => {
                if suffixed(&name, ".gz").exists() {
                    ended = Ended::Compressed;
                }
                break;
            }
            Err(error) => return Err(error),
        };
        let found = file.metadata()?;
        if known == Some(found.ino()) {
            ended = Ended::Known;
            break;
        }
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
    Ok(Found { parts, ended })
}

fn not_json_lines(file: &fs_err::File) -> io::Error {
    let text = format!("{} is no file of json lines", file.path().display());
    io::Error::new(io::ErrorKind::InvalidData, text)
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
    while high - low > NEAR {
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

    use super::*;

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
}
