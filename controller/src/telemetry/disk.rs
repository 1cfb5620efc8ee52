//! The history on disk.
//!
//! ```text
//! samples ─ every minute, fsync ─▶ head-N.wfm     chunks as they came; a new head every 10 minutes
//!         └ every 120 points ────▶ raw-N.wfm      blocks; a head whose points are all in blocks on disk is removed
//!                                    └ 2 h ─▶ minute-N.wfm └ 20 h ─▶ ten-N.wfm       one point a minute, in ten minutes
//! ```
//! After a crash the heads are read, what no block has becomes blocks, and the heads are gone.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
};

use windflow_model::AgentId;

use super::{
    block::Block,
    host::{Chunk, blocks},
    segment::{Kind, Reader, Writer},
    tier::{Stored, Tier, numbers},
};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
/// The resolutions by name, with milliseconds of a point, and what one block of it spans.
const TIERS: [(&str, i64, i64); 3] = [
    ("raw", 0, 0),
    ("minute", MINUTE, 2 * HOUR),
    ("ten", 10 * MINUTE, 20 * HOUR),
];
/// A head ends after this time.
const HEAD_MS: i64 = 10 * MINUTE;
/// What a host says so late is not waited for.
const LATE: i64 = 30 * MINUTE;

/// How long and how much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Days of samples as they came, of one a minute, of one in ten minutes.
    pub days: [u32; 3],
    /// Bytes on disk; beyond it the oldest of the finest go first.
    pub bytes: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            days: [7, 30, 400],
            bytes: 10 << 30,
        }
    }
}

/// The folder of the history.
#[derive(Debug)]
pub(super) struct Disk {
    dir: PathBuf,
    tiers: [Tier; 3],
    head: Option<(u32, Writer, i64)>,
    next_head: u32,
    /// Until when each host is in the coarser tiers.
    done: [HashMap<AgentId, i64>; 3],
}

impl Disk {
    /// Opens the folder, makes it if it is not there, and puts the heads of the last run into blocks.
    ///
    /// # Errors
    /// The folder cannot be used.
    pub(super) fn open(dir: PathBuf) -> io::Result<Self> {
        fs_err::create_dir_all(&dir)?;
        let [raw, minute, ten] = TIERS.map(|(name, _, _)| Tier::open(&dir, name));
        let mut disk = Self {
            next_head: numbers(&dir, "head")?.last().map_or(1, |last| last + 1),
            dir,
            tiers: [raw?, minute?, ten?],
            head: None,
            done: Default::default(),
        };
        disk.recover()?;
        Ok(disk)
    }

    fn head_path(&self, number: u32) -> PathBuf {
        self.dir.join(format!("head-{number:08}.wfm"))
    }

    fn recover(&mut self) -> io::Result<()> {
        let heads = numbers(&self.dir, "head")?;
        let mut chunks: HashMap<AgentId, Vec<Chunk>> = HashMap::new();
        for number in &heads {
            let path = self.head_path(*number);
            if let Err(error) = read_head(&path, &mut chunks) {
                tracing::warn!(file = %path.display(), %error, "the newest metrics in this file are left out");
            }
        }
        for (agent, chunks) in chunks {
            let after = self.raw().last(agent).unwrap_or(i64::MIN);
            for block in blocks(&chunks, after) {
                self.append(agent, &block)?;
            }
        }
        self.raw().sync()?;
        for number in heads {
            fs_err::remove_file(self.head_path(number))?;
        }
        Ok(())
    }

    fn raw(&mut self) -> &mut Tier {
        let [raw, ..] = &mut self.tiers;
        raw
    }

    /// The head that is written now, by its number.
    ///
    /// # Errors
    /// A new one cannot be made.
    pub(super) fn head(&mut self, now_ms: i64) -> io::Result<u32> {
        let full = self
            .head
            .as_ref()
            .is_none_or(|(_, _, since)| now_ms - since >= HEAD_MS || now_ms < *since);
        if full {
            if let Some((_, mut old, _)) = self.head.take() {
                old.sync()?;
            }
            let number = self.next_head;
            self.next_head += 1;
            let writer = Writer::create(self.head_path(number))?;
            self.head = Some((number, writer, now_ms));
        }
        Ok(self.head.as_ref().map_or(0, |(number, _, _)| *number))
    }

    /// Appends chunks to the head.
    pub(super) fn note(&mut self, agent: AgentId, chunks: &[Chunk]) {
        let Some((_, head, _)) = &mut self.head else {
            return;
        };
        let id = agent.uuid().into_bytes();
        for chunk in chunks {
            head.append(Kind::Chunk, &[&id, &chunk.index.to_le_bytes(), &chunk.body]);
        }
    }

    /// Waits until the head is on disk.
    ///
    /// # Errors
    /// The disk does not take it.
    pub(super) fn sync_head(&mut self) -> io::Result<()> {
        match &mut self.head {
            Some((_, head, _)) => head.sync(),
            None => Ok(()),
        }
    }

    /// Appends a block of samples.
    ///
    /// # Errors
    /// As [`Tier::append`].
    pub(super) fn append(&mut self, agent: AgentId, block: &Block) -> io::Result<()> {
        self.raw().append(agent, block)
    }

    /// Makes appended blocks readable.
    ///
    /// # Errors
    /// The disk does not take them.
    pub(super) fn write(&mut self) -> io::Result<()> {
        self.tiers.iter_mut().try_for_each(Tier::write)
    }

    /// Waits for the blocks to be on disk, then removes heads below this number: their points are in blocks.
    ///
    /// # Errors
    /// The disk does not take them.
    pub(super) fn drop_heads(&mut self, below: u32) -> io::Result<()> {
        let old: Vec<u32> = numbers(&self.dir, "head")?
            .into_iter()
            .filter(|number| *number < below)
            .collect();
        if old.is_empty() {
            return Ok(());
        }
        self.tiers.iter_mut().try_for_each(Tier::sync)?;
        old.into_iter()
            .try_for_each(|number| fs_err::remove_file(self.head_path(number)))
    }

    /// The end of what is in blocks of a host.
    pub(super) fn last(&self, agent: AgentId) -> Option<i64> {
        let [raw, ..] = &self.tiers;
        raw.last(agent)
    }

    /// Blocks of a host as they came, with points after this time, the oldest first.
    pub(super) fn raw_since(&self, agent: AgentId, after: i64) -> Vec<Stored> {
        let [raw, ..] = &self.tiers;
        raw.blocks(agent, after.saturating_add(1), i64::MAX)
    }

    /// Blocks of a host in a resolution that suits `step`, with their spans: coarse ones where there are, finer ones
    /// behind them, coarser ones before the others begin.
    pub(super) fn blocks(&self, agent: AgentId, from: i64, to: i64, step: i64) -> Vec<(Stored, i64, i64)> {
        let wanted = TIERS
            .iter()
            .rposition(|(_, point, _)| *point <= step)
            .unwrap_or(0);
        let mut found = Vec::new();
        let (mut begin, mut end) = (i64::MAX, i64::MIN);
        let finer = (0..=wanted).rev();
        for index in finer.chain(wanted + 1..TIERS.len()) {
            let (Some(tier), Some((_, point, _))) = (self.tiers.get(index), TIERS.get(index)) else {
                continue;
            };
            let (Some(first), Some(last)) = (tier.first(agent), tier.last(agent)) else {
                continue;
            };
            let (low, high) = if index <= wanted {
                (from.max(end), to)
            } else {
                (from, to.min(begin))
            };
            let blocks = tier.blocks(agent, low, high);
            found.extend(blocks.into_iter().map(|block| (block, low, high)));
            begin = begin.min(first);
            end = end.max(last + point);
        }
        found
    }

    /// Makes coarser points where there is enough of finer ones; gives how many blocks it made.
    ///
    /// # Errors
    /// The disk does not take them.
    pub(super) fn coarsen(&mut self, now_ms: i64) -> io::Result<usize> {
        let mut made = 0;
        for index in 1..TIERS.len() {
            let hosts = self.tiers.get(index - 1).map(Tier::hosts).unwrap_or_default();
            for agent in hosts {
                made += self.coarsen_host(index, agent, now_ms)?;
            }
            if let Some(tier) = self.tiers.get_mut(index) {
                tier.write()?;
            }
        }
        Ok(made)
    }

    fn coarsen_host(&mut self, index: usize, agent: AgentId, now_ms: i64) -> io::Result<usize> {
        let (finer, coarser) = self.tiers.split_at_mut(index);
        let (Some(finer), Some(coarser), Some((_, point, span)), Some(done)) = (
            finer.last(),
            coarser.first_mut(),
            TIERS.get(index),
            self.done.get_mut(index),
        ) else {
            return Ok(0);
        };
        let (Some(first), Some(last)) = (finer.first(agent), finer.last(agent)) else {
            return Ok(0);
        };
        let known = done.get(&agent).copied();
        let known = known.or_else(|| coarser.last(agent).map(|last| last + point));
        let mut begin = known.unwrap_or(first).max(first).div_euclid(*span) * span;
        let mut made = 0;
        while begin + span <= last || begin <= last && begin + span + LATE < now_ms {
            let from = begin.max(known.unwrap_or(i64::MIN));
            let mut layouts = None;
            let mut whole: Vec<Block> = Vec::new();
            for stored in finer.blocks(agent, from, begin + span) {
                let block = match stored.read(&mut layouts) {
                    Ok(block) => block,
                    Err(error) => {
                        tracing::warn!(%agent, %error, "a block of metrics is left out");
                        continue;
                    }
                };
                let Some(block) = block.coarser(from, begin + span, *point) else {
                    continue;
                };
                match whole.last_mut() {
                    Some(before) if *before.layout == *block.layout => join(before, block),
                    _ => whole.push(block),
                }
            }
            for block in whole {
                coarser.append(agent, &block)?;
                made += 1;
            }
            begin += span;
            done.insert(agent, begin);
        }
        Ok(made)
    }

    /// Removes what is too old, or too much.
    pub(super) fn forget(&mut self, retention: &Retention, now_ms: i64) {
        for (tier, days) in self.tiers.iter_mut().zip(retention.days) {
            tier.forget_before(now_ms - i64::from(days) * 24 * HOUR);
        }
        while self.bytes() > retention.bytes {
            if !self.tiers.iter_mut().any(Tier::forget_oldest) {
                break;
            }
        }
    }

    /// Forgets a host.
    pub(super) fn forget_host(&mut self, agent: AgentId) {
        self.tiers.iter_mut().for_each(|tier| tier.forget_host(agent));
        self.done.iter_mut().for_each(|done| {
            done.remove(&agent);
        });
    }

    /// Bytes on disk, without the heads.
    pub(super) fn bytes(&self) -> u64 {
        self.tiers.iter().map(Tier::bytes).sum()
    }
}

/// Puts points behind those of another block with the same columns. A point that both have is the later one's.
fn join(before: &mut Block, mut more: Block) {
    if before.last() == more.first() {
        before.times.pop();
        before.columns.iter_mut().for_each(|column| {
            column.pop();
        });
    }
    before.times.append(&mut more.times);
    for (column, more) in before.columns.iter_mut().zip(&mut more.columns) {
        column.append(more);
    }
}

fn read_head(path: &Path, chunks: &mut HashMap<AgentId, Vec<Chunk>>) -> io::Result<()> {
    let reader = Reader::open(path)?;
    reader.scan(usize::MAX, true, |record, body| {
        let id: Option<[u8; 16]> = body.get(..16).and_then(|id| id.try_into().ok());
        let index = body.get(16..20).and_then(|index| index.try_into().ok());
        if let (Kind::Chunk, Some(id), Some(index), Some(rest)) = (record.kind, id, index, body.get(20..)) {
            let agent = AgentId::from_uuid(uuid::Uuid::from_bytes(id));
            let chunk = Chunk::read(u32::from_le_bytes(index), rest);
            chunks.entry(agent).or_default().push(chunk);
        }
    })?;
    Ok(())
}
