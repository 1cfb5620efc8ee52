//! What came after a moment, for whoever carries it on.

use std::io;

use windflow_model::AgentId;

use super::{Telemetry, block::Block, host::blocks};
use crate::app::lock;

/// Blocks of the history that are read at once.
const AT_ONCE: usize = 8;

impl Telemetry {
    /// Hosts with the time of their newest sample.
    pub(super) fn newest_times(&self) -> Vec<(AgentId, i64)> {
        let hosts = self.hosts().into_iter();
        let newest = hosts.filter_map(|(agent, host)| Some((agent, lock(&host).newest.as_ref()?.at_ms)));
        newest.collect()
    }

    /// Samples of a host after this time as they came, the oldest first; not always all of them. Reads files: not for the
    /// runtime's own threads.
    ///
    /// # Errors
    /// A file cannot be read. A block that is damaged is left out and told of.
    pub(super) fn since(&self, agent: AgentId, after: i64) -> io::Result<Vec<Block>> {
        // Taken before the list of blocks: what becomes a block meanwhile is seen twice, never not at all.
        let recent = self
            .host(agent)
            .map(|host| lock(&host).recent())
            .unwrap_or_default();
        let stored = match &*lock(&self.0.disk) {
            Some(disk) => disk.raw_since(agent, after),
            None => Vec::new(),
        };
        let whole = stored.len() <= AT_ONCE;
        let (mut found, mut layouts) = (Vec::new(), None);
        for stored in stored.into_iter().take(AT_ONCE) {
            match stored.read(&mut layouts) {
                Ok(block) => found.push(block),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    tracing::warn!(%agent, %error, "a block of metrics is left out");
                }
                Err(error) => return Err(error),
            }
        }
        if whole {
            found.extend(blocks(&recent, after));
        }
        found.sort_by_key(Block::first);
        let mut last = after;
        found.retain_mut(|block| {
            let known = block.times.partition_point(|time| *time <= last);
            block.times.drain(..known);
            block.columns.iter_mut().for_each(|column| {
                column.drain(..known.min(column.len()));
            });
            last = block.last().unwrap_or(last);
            !block.times.is_empty()
        });
        Ok(found)
    }
}
