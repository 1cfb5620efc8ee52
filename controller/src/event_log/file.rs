//! Files of events.
//!
//! ```text
//! file = "windflow events 1" newline, line*
//! line = CRC-32 of the rest (eight hexadecimal digits) · space · event (JSON) · newline
//! ```
//! A file is named by its first event, so that the names in order are the events in order.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use windflow_model::{EventId, FleetEvent, FleetEventKind, Timestamp};

use super::{EventRetention, Known};

const MAGIC: &str = "windflow events 1\n";
/// A file ends behind so many bytes.
const FILE_BYTES: u64 = 4 << 20;
/// No line is longer: more of it is damage.
const LINE_BYTES: u64 = 1 << 20;
/// Files that are looked into for what hosts have told: what is not acknowledged is young.
const KNOWN_FILES: usize = 4;
const DAY_MS: i64 = 86_400_000;

/// The folder.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    dir: PathBuf,
    retention: EventRetention,
}

/// A file that is written.
#[derive(Debug)]
pub(super) struct Writer {
    file: File,
    bytes: u64,
}

/// A file that is read, line by line.
pub(super) struct Lines {
    reader: BufReader<File>,
    line: Vec<u8>,
    /// Where the next line begins.
    pub(super) place: u64,
}

impl Folder {
    pub(super) fn open(dir: PathBuf, retention: EventRetention) -> io::Result<Self> {
        fs_err::create_dir_all(&dir)?;
        let folder = Self { dir, retention };
        if let Some((_, path)) = folder.files()?.pop() {
            let good = Lines::open(&path, 0).and_then(|mut lines| {
                while lines.next()?.is_some() {}
                Ok(lines.place)
            });
            match good {
                Ok(good) => fs_err::OpenOptions::new()
                    .write(true)
                    .open(&path)?
                    .set_len(good)?,
                // The power went before its first line was there.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => fs_err::remove_file(&path)?,
                Err(error) => {
                    tracing::warn!(file = %path.display(), %error, "events in this file are left out");
                }
            }
        }
        Ok(folder)
    }

    /// All files, the oldest first.
    pub(super) fn files(&self) -> io::Result<Vec<(EventId, PathBuf)>> {
        let mut files = Vec::new();
        for entry in fs_err::read_dir(&self.dir)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let id = name.and_then(|name| name.strip_suffix(".log")?.parse().ok());
            files.extend(id.map(|id| (id, path)));
        }
        files.sort();
        Ok(files)
    }

    /// How far the events of hosts are here.
    pub(super) fn known(&self) -> io::Result<Known> {
        let mut known = Known::new();
        let files = self.files()?;
        for (_, path) in files.iter().rev().take(KNOWN_FILES).rev() {
            let Ok(mut lines) = Lines::open(path, 0) else {
                continue;
            };
            while let Some(event) = lines.next()? {
                if let FleetEventKind::Host { agent, event, life } = event.kind {
                    let _first = known.entry(agent).or_default().take(life, &event);
                }
            }
        }
        Ok(known)
    }

    /// Appends events, which are on disk then.
    pub(super) fn write(&self, writer: &mut Option<Writer>, events: &[Arc<FleetEvent>]) -> io::Result<()> {
        let Some(first) = events.first() else {
            return Ok(());
        };
        let mut text = Vec::new();
        for event in events {
            line(&mut text, event)?;
        }
        let open = match writer.take() {
            Some(open) if open.bytes < FILE_BYTES => open,
            _ => {
                self.tidy(first.at)?;
                Writer::create(&self.dir.join(format!("{}.log", first.id)), &self.dir)?
            }
        };
        let open = writer.insert(open);
        let done = open.append(&text);
        if done.is_err() {
            // What is half-written is cut off before anything comes behind it.
            let _cut = open.file.set_len(open.bytes);
        }
        done
    }

    /// Removes what is too old or too much. Room for a new file is left.
    fn tidy(&self, now: Timestamp) -> io::Result<()> {
        let files = self.files()?;
        let oldest = now
            .as_millis()
            .saturating_sub(i64::from(self.retention.days) * DAY_MS);
        let sizes = files
            .iter()
            .map(|(_, path)| fs_err::metadata(path).map_or(0, |found| found.len()));
        let mut bytes = sizes.clone().sum::<u64>() + FILE_BYTES;
        for (((_, path), next), size) in files.iter().zip(files.iter().skip(1)).zip(sizes) {
            // A file is as old as the first event of the one behind it.
            let ended = first_at(&next.1)?;
            if bytes <= self.retention.bytes && ended.is_none_or(|at| at.as_millis() >= oldest) {
                break;
            }
            fs_err::remove_file(path)?;
            bytes = bytes.saturating_sub(size);
        }
        Ok(())
    }
}

fn line(text: &mut Vec<u8>, event: &FleetEvent) -> io::Result<()> {
    let json = serde_json::to_vec(event)?;
    write!(text, "{:08x} ", crc32fast::hash(&json))?;
    text.extend_from_slice(&json);
    text.push(b'\n');
    Ok(())
}

/// When the first event of a file happened.
pub(super) fn first_at(path: &Path) -> io::Result<Option<Timestamp>> {
    // A damaged one has none.
    let Ok(mut lines) = Lines::open(path, 0) else {
        return Ok(None);
    };
    Ok(lines.next()?.map(|event| event.at))
}

impl Writer {
    fn create(path: &Path, dir: &Path) -> io::Result<Self> {
        // What an attempt before has left holds nothing that was promised.
        let file = fs_err::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        let mut file = file.into_parts().0;
        file.write_all(MAGIC.as_bytes())?;
        fs_err::File::open(dir)?.sync_all()?;
        Ok(Self {
            file,
            bytes: MAGIC.len() as u64,
        })
    }

    fn append(&mut self, text: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.bytes))?;
        self.file.write_all(text)?;
        self.file.sync_data()?;
        self.bytes += text.len() as u64;
        Ok(())
    }
}

impl Lines {
    /// From a place on, 0 for the begin.
    pub(super) fn open(path: &Path, place: u64) -> io::Result<Self> {
        let mut reader = BufReader::new(fs_err::File::open(path)?.into_parts().0);
        let mut magic = [0; MAGIC.len()];
        reader.read_exact(&mut magic)?;
        if magic != MAGIC.as_bytes() {
            let message = format!("{} holds no events of this version", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let place = place.max(MAGIC.len() as u64);
        reader.seek(SeekFrom::Start(place))?;
        Ok(Self {
            reader,
            line: Vec::new(),
            place,
        })
    }

    /// The next event; `None` at the end, which is also where the file is damaged.
    pub(super) fn next(&mut self) -> io::Result<Option<FleetEvent>> {
        self.line.clear();
        let read = (&mut self.reader)
            .take(LINE_BYTES)
            .read_until(b'\n', &mut self.line)?;
        let Some(event) = event_of(&self.line) else {
            return Ok(None);
        };
        self.place += read as u64;
        Ok(Some(event))
    }
}

fn event_of(line: &[u8]) -> Option<FleetEvent> {
    let line = line.strip_suffix(b"\n")?;
    let (sum, json) = (line.get(..8)?, line.get(9..)?);
    let told = u32::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()?;
    if crc32fast::hash(json) != told {
        return None;
    }
    serde_json::from_slice(json).ok()
}
