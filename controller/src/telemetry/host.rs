//! What is in memory of one host: the newest samples, and those that are not in a block on disk yet.

use std::sync::Arc;

use windflow_model::metrics::Sample;
use windflow_protocol::metrics::{Batch, Decoder, Encoder, FORMAT};

use super::block::Block;

/// Points of a block.
pub(super) const BLOCK: usize = 120;
/// Points that wait for a disk that does not take them.
const MOST: usize = 20 * BLOCK;
/// Chunks that need each other to be read.
const RUN: u32 = 64;
/// Samples that may wait to be packed.
const LOOSE: usize = 16;
/// Without a new sample for so long (milliseconds), what there is becomes a block.
const SILENT: i64 = 20 * 60_000;

/// Samples that were packed together.
#[derive(Debug, Clone)]
pub(super) struct Chunk {
    /// Its number since the columns began anew; 0 begins them.
    pub(super) index: u32,
    pub(super) body: Arc<[u8]>,
    points: usize,
}

/// One host.
#[derive(Debug, Default)]
pub(super) struct Host {
    pub(super) newest: Option<Arc<Sample>>,
    before: Option<Arc<Sample>>,
    /// When the newest came, by the clock of the controller.
    pub(super) received_ms: i64,
    /// Samples that never came, by their numbers.
    pub(super) lost: u64,
    loose: Vec<Arc<Sample>>,
    chunks: Vec<Chunk>,
    /// Of the chunks, how many are in the head on disk.
    written: usize,
    encoder: Encoder,
    /// The number of the next chunk.
    next: u32,
    points: usize,
    /// The oldest head that holds chunks of this host.
    pub(super) oldest_head: Option<u32>,
}

impl Host {
    /// Takes a sample. One that is not newer than the last one is left out of the history.
    pub(super) fn push(&mut self, sample: Sample, now_ms: i64) {
        let newer = match &self.newest {
            Some(newest) => {
                // After a restart the numbers begin anew.
                self.lost += sample.seq.saturating_sub(newest.seq + 1);
                newest.at_ms < sample.at_ms
            }
            None => true,
        };
        let sample = match &self.newest {
            // The columns of a new session are the same ones: one copy of them is enough.
            Some(newest) if *newest.layout == *sample.layout => Sample {
                layout: Arc::clone(&newest.layout),
                ..sample
            },
            _ => sample,
        };
        let sample = Arc::new(sample);
        self.received_ms = now_ms;
        self.before = self.newest.replace(Arc::clone(&sample));
        if newer {
            self.loose.push(sample);
            if self.loose.len() >= LOOSE {
                self.pack();
            }
        }
    }

    /// The newest sample and the one before it.
    pub(super) fn pair(&self) -> Option<(Option<Arc<Sample>>, Arc<Sample>)> {
        Some((self.before.clone(), self.newest.clone()?))
    }

    /// Packs loose samples.
    pub(super) fn pack(&mut self) {
        while !self.loose.is_empty() {
            if self.next == RUN {
                self.begin();
            }
            let Some((batch, count)) = self.encoder.encode(&self.loose) else {
                // Too wide: kept as the newest, not in the history.
                self.loose.remove(0);
                continue;
            };
            self.loose.drain(..count);
            self.points += count;
            self.chunks.push(Chunk {
                index: self.next,
                body: batch.body.into(),
                points: count,
            });
            self.next += 1;
        }
        self.bound();
    }

    /// The next chunk stands alone.
    fn begin(&mut self) {
        self.encoder = Encoder::default();
        self.next = 0;
    }

    /// Where the disk takes nothing, the oldest are lost.
    fn bound(&mut self) {
        while self.points > MOST {
            let rest = self.chunks.iter().skip(1).position(|chunk| chunk.index == 0);
            let gone = rest.map_or(self.chunks.len(), |rest| rest + 1);
            if gone == self.chunks.len() {
                self.begin();
            }
            self.sealed(gone);
        }
    }

    /// Chunks that are not in a head yet; they are from now on, in this one.
    pub(super) fn unwritten(&mut self, head: u32) -> Vec<Chunk> {
        let chunks = self.chunks.get(self.written..).unwrap_or_default().to_vec();
        self.written = self.chunks.len();
        if !chunks.is_empty() {
            self.oldest_head.get_or_insert(head);
        }
        chunks
    }

    /// The chunks that shall become blocks now, if it is time.
    pub(super) fn due(&mut self, now_ms: i64) -> Option<Vec<Chunk>> {
        let silent = now_ms.saturating_sub(self.received_ms) > SILENT;
        let due = self.points >= BLOCK || silent && self.points > 0;
        due.then(|| {
            self.begin();
            self.chunks.clone()
        })
    }

    /// The first so many chunks are in blocks.
    pub(super) fn sealed(&mut self, count: usize) {
        let gone: usize = self
            .chunks
            .drain(..count.min(self.chunks.len()))
            .map(|chunk| chunk.points)
            .sum();
        self.points -= gone;
        self.written = self.written.saturating_sub(count);
        if self.written == 0 {
            self.oldest_head = None;
        }
    }

    /// What is not in a block on disk, for readers.
    pub(super) fn recent(&mut self) -> Vec<Chunk> {
        self.pack();
        self.chunks.clone()
    }
}

/// Blocks of chunks: one for each set of columns. Samples up to `after` are left out.
pub(super) fn blocks(chunks: &[Chunk], after: i64) -> Vec<Block> {
    let mut decoder = Decoder::default();
    let mut blocks: Vec<Block> = Vec::new();
    let mut next = None;
    for chunk in chunks {
        if chunk.index == 0 {
            decoder = Decoder::default();
        } else if next != Some(chunk.index) {
            // What is before it was lost, and so is what it says.
            next = None;
            continue;
        }
        next = Some(chunk.index + 1);
        let batch = Batch {
            format: FORMAT,
            body: chunk.body.to_vec(),
        };
        // Our own bytes, under a checksum: what cannot be read was written by another version.
        let samples = decoder.decode(&batch).unwrap_or_default();
        for sample in samples.iter().filter(|sample| sample.at_ms > after) {
            match blocks.last_mut() {
                Some(block) if *block.layout == *sample.layout => block.push(sample),
                _ => {
                    let mut block = Block::new(Arc::clone(&sample.layout));
                    block.push(sample);
                    blocks.push(block);
                }
            }
        }
    }
    blocks
}

impl Chunk {
    /// One that was read from a head.
    pub(super) fn read(index: u32, body: &[u8]) -> Self {
        Self {
            index,
            body: body.into(),
            points: 0,
        }
    }
}
