//! One resolution on disk: segments of blocks, and where each host's blocks are.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use windflow_model::{AgentId, metrics::Layout};
use windflow_protocol::metrics::{self, put_layout};

use super::{
    block::Block,
    segment::{Kind, Reader, Writer},
};

/// A segment is closed at this size, or when it spans this time.
const SEGMENT_BYTES: u64 = 64 << 20;
const SEGMENT_MS: i64 = 24 * 3_600_000;
/// Host, first and last time, place of the layout.
const HEAD: usize = 40;

/// Where a block is.
#[derive(Debug, Clone, Copy)]
struct Entry {
    segment: u32,
    layout: u32,
    place: u32,
    first: i64,
    last: i64,
}

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    reader: Arc<Reader>,
    bytes: u64,
    first: i64,
    last: i64,
}

/// The segment that is written.
#[derive(Debug)]
struct Open {
    number: u32,
    writer: Writer,
    /// The columns that each host's newest block has here.
    layouts: HashMap<AgentId, (Arc<Layout>, u32)>,
    /// What the next write makes readable.
    waiting: Vec<(AgentId, Entry)>,
}

/// A block that can be read without holding anything.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    reader: Arc<Reader>,
    layout: u32,
    place: u32,
}

impl Stored {
    /// Reads it. `layouts` saves reading the same columns again.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged there.
    pub(super) fn read(&self, layouts: &mut Option<(u32, Arc<Reader>, Arc<Layout>)>) -> io::Result<Block> {
        let known = layouts
            .as_ref()
            .filter(|(place, reader, _)| *place == self.layout && Arc::ptr_eq(reader, &self.reader))
            .map(|(_, _, layout)| Arc::clone(layout));
        let layout = match known {
            Some(layout) => layout,
            None => {
                let body = self.reader.body(u64::from(self.layout))?;
                let mut reader = metrics::Reader::new(body.get(16..).unwrap_or_default());
                let layout = Arc::new(metrics::layout(&mut reader).map_err(invalid)?);
                *layouts = Some((self.layout, Arc::clone(&self.reader), Arc::clone(&layout)));
                layout
            }
        };
        let body = self.reader.body(u64::from(self.place))?;
        Block::decode(layout, body.get(HEAD..).unwrap_or_default()).map_err(invalid)
    }
}

fn invalid(error: windflow_protocol::metrics::MetricsError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// One resolution.
#[derive(Debug)]
pub(super) struct Tier {
    dir: PathBuf,
    name: &'static str,
    segments: BTreeMap<u32, Segment>,
    open: Option<Open>,
    hosts: HashMap<AgentId, Vec<Entry>>,
}

impl Tier {
    /// Opens what is in the folder. Segments that cannot be read are left alone and told of.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub(super) fn open(dir: &Path, name: &'static str) -> io::Result<Self> {
        let mut tier = Self {
            dir: dir.to_path_buf(),
            name,
            segments: BTreeMap::new(),
            open: None,
            hosts: HashMap::new(),
        };
        let numbers = numbers(dir, name)?;
        let newest = numbers.last().copied();
        for number in numbers {
            if let Err(error) = tier.load(number, Some(number) == newest) {
                tracing::warn!(file = %tier.path(number).display(), %error, "metrics in this file are left out");
            }
        }
        for entries in tier.hosts.values_mut() {
            entries.sort_by_key(|entry| entry.first);
        }
        Ok(tier)
    }

    fn path(&self, number: u32) -> PathBuf {
        self.dir.join(format!("{}-{number:08}.wfm", self.name))
    }

    fn load(&mut self, number: u32, newest: bool) -> io::Result<()> {
        let path = self.path(number);
        let reader = Arc::new(Reader::open(&path)?);
        let mut found = Vec::new();
        // Only the newest one may have been cut in the middle.
        let end = reader.scan(HEAD, newest, |record, head| {
            if let (Kind::Block, Some((agent, mut entry))) = (record.kind, parse_head(head)) {
                entry.segment = number;
                entry.place = record.place as u32;
                found.push((agent, entry));
            }
        })?;
        if newest {
            // Cut off what is not whole; the next block begins a new segment.
            Writer::resume(path.clone(), end)?;
        }
        let segment = Segment {
            path,
            reader,
            bytes: end,
            first: found
                .iter()
                .map(|(_, entry)| entry.first)
                .min()
                .unwrap_or(i64::MAX),
            last: found
                .iter()
                .map(|(_, entry)| entry.last)
                .max()
                .unwrap_or(i64::MIN),
        };
        self.segments.insert(number, segment);
        for (agent, entry) in found {
            self.hosts.entry(agent).or_default().push(entry);
        }
        Ok(())
    }

    /// The end of what is stored of a host.
    pub(super) fn last(&self, agent: AgentId) -> Option<i64> {
        self.hosts.get(&agent)?.last().map(|entry| entry.last)
    }

    /// The begin of what is stored of a host.
    pub(super) fn first(&self, agent: AgentId) -> Option<i64> {
        self.hosts.get(&agent)?.first().map(|entry| entry.first)
    }

    /// The hosts that have something here.
    pub(super) fn hosts(&self) -> Vec<AgentId> {
        self.hosts.keys().copied().collect()
    }

    /// A host's blocks with points from `from` on and before `to`.
    pub(super) fn blocks(&self, agent: AgentId, from: i64, to: i64) -> Vec<Stored> {
        let entries = self.hosts.get(&agent).map_or(&[][..], Vec::as_slice);
        let begin = entries.partition_point(|entry| entry.last < from);
        let entries = entries.iter().skip(begin).take_while(|entry| entry.first < to);
        let stored = entries.filter_map(|entry| {
            Some(Stored {
                reader: Arc::clone(&self.segments.get(&entry.segment)?.reader),
                layout: entry.layout,
                place: entry.place,
            })
        });
        stored.collect()
    }

    /// Appends a block; it can be read after the next [`Tier::write`].
    ///
    /// # Errors
    /// A new segment cannot be made.
    pub(super) fn append(&mut self, agent: AgentId, block: &Block) -> io::Result<()> {
        let (Some(first), Some(last)) = (block.first(), block.last()) else {
            return Ok(());
        };
        self.roll(first)?;
        let Some(open) = &mut self.open else { return Ok(()) };
        let id = agent.uuid().into_bytes();
        let known = open
            .layouts
            .get(&agent)
            .filter(|(layout, _)| *layout == block.layout);
        let layout = match known {
            Some((_, place)) => *place,
            None => {
                let mut body = Vec::new();
                put_layout(&mut body, &block.layout);
                let place = open.writer.append(Kind::Layout, &[&id, &body]) as u32;
                open.layouts.insert(agent, (Arc::clone(&block.layout), place));
                place
            }
        };
        let mut body = Vec::new();
        block.encode(&mut body);
        let times = [first.to_le_bytes(), last.to_le_bytes()].concat();
        let place = u64::from(layout).to_le_bytes();
        let place = open.writer.append(Kind::Block, &[&id, &times, &place, &body]) as u32;
        let entry = Entry {
            segment: open.number,
            layout,
            place,
            first,
            last,
        };
        open.waiting.push((agent, entry));
        Ok(())
    }

    /// Begins a new segment where there is none, or where the old one has enough.
    fn roll(&mut self, now: i64) -> io::Result<()> {
        if let Some(open) = &self.open {
            let first = self
                .segments
                .get(&open.number)
                .map_or(now, |segment| segment.first);
            let spans = now.saturating_sub(first) > SEGMENT_MS && first != i64::MAX;
            if open.writer.len() < SEGMENT_BYTES && !spans {
                return Ok(());
            }
            self.sync()?;
        }
        let number = self.segments.last_key_value().map_or(0, |(number, _)| *number) + 1;
        let path = self.path(number);
        let mut writer = Writer::create(path.clone())?;
        writer.write()?;
        let segment = Segment {
            reader: Arc::new(Reader::open(&path)?),
            path,
            bytes: 0,
            first: i64::MAX,
            last: i64::MIN,
        };
        self.segments.insert(number, segment);
        self.open = Some(Open {
            number,
            writer,
            layouts: HashMap::new(),
            waiting: Vec::new(),
        });
        Ok(())
    }

    /// Makes what was appended readable.
    ///
    /// # Errors
    /// The disk does not take it.
    pub(super) fn write(&mut self) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        open.writer.write()?;
        let segment = self.segments.get_mut(&open.number);
        let (mut first, mut last) = (i64::MAX, i64::MIN);
        for (agent, entry) in open.waiting.drain(..) {
            (first, last) = (first.min(entry.first), last.max(entry.last));
            self.hosts.entry(agent).or_default().push(entry);
        }
        if let Some(segment) = segment {
            segment.bytes = open.writer.len();
            segment.first = segment.first.min(first);
            segment.last = segment.last.max(last);
        }
        Ok(())
    }

    /// The same, and waits until it is on disk.
    ///
    /// # Errors
    /// The disk does not take it.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.write()?;
        match &mut self.open {
            Some(open) => open.writer.sync(),
            None => Ok(()),
        }
    }

    /// Bytes on disk.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.values().map(|segment| segment.bytes).sum()
    }

    /// Removes segments that end before `before`; never the one that is written.
    pub(super) fn forget_before(&mut self, before: i64) {
        let old = self.segments.iter().filter(|(_, segment)| segment.last < before);
        let old: Vec<u32> = old.map(|(number, _)| *number).collect();
        for number in old {
            self.forget(number);
        }
    }

    /// Removes the oldest segment; gives whether there was one.
    pub(super) fn forget_oldest(&mut self) -> bool {
        let oldest = self.segments.first_key_value().map(|(number, _)| *number);
        oldest.is_some_and(|number| self.forget(number))
    }

    fn forget(&mut self, number: u32) -> bool {
        if self.open.as_ref().is_some_and(|open| open.number == number) {
            return false;
        }
        let Some(segment) = self.segments.remove(&number) else {
            return false;
        };
        if let Err(error) = fs_err::remove_file(&segment.path) {
            tracing::warn!(%error, "old metrics stay on disk");
        }
        self.hosts.retain(|_, entries| {
            entries.retain(|entry| entry.segment != number);
            !entries.is_empty()
        });
        true
    }

    /// Forgets a host that was removed: what it measured can no longer be found, and goes with its segments.
    pub(super) fn forget_host(&mut self, agent: AgentId) {
        self.hosts.remove(&agent);
    }
}

fn parse_head(head: &[u8]) -> Option<(AgentId, Entry)> {
    let number = |at: usize| Some(i64::from_le_bytes(head.get(at..at + 8)?.try_into().ok()?));
    let id: [u8; 16] = head.get(..16)?.try_into().ok()?;
    let entry = Entry {
        segment: 0,
        layout: u32::try_from(number(32)?).ok()?,
        place: 0,
        first: number(16)?,
        last: number(24)?,
    };
    Some((AgentId::from_uuid(uuid::Uuid::from_bytes(id)), entry))
}

/// The numbers of the files `NAME-NUMBER.wfm`, rising.
pub(super) fn numbers(dir: &Path, name: &str) -> io::Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(dir)? {
        let file = entry?.file_name();
        let text = file.to_string_lossy();
        let number = text
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('-'))
            .and_then(|rest| rest.strip_suffix(".wfm"))
            .and_then(|digits| digits.parse::<u32>().ok());
        found.extend(number);
    }
    found.sort_unstable();
    Ok(found)
}
