//! What goes into one request.

use std::sync::Arc;

use windflow_model::AgentId;

use super::super::block::Block;

/// Values of a request: of that order, stores take requests best.
pub(super) const MOST: usize = 10_000;

/// Points of a host in a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    pub(super) agent: AgentId,
    pub(super) block: Block,
}

/// What goes into one request; of each host in the order of time.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Parcel {
    pub(super) parts: Vec<Part>,
}

impl Parcel {
    /// How many values are in it.
    pub(super) fn values(&self) -> usize {
        self.parts.iter().map(|part| values(&part.block)).sum()
    }

    /// Two halves, the older one of a host first; `None` for a single point.
    pub(super) fn split(mut self) -> Option<(Self, Self)> {
        if self.parts.len() > 1 {
            let rest = self.parts.split_off(self.parts.len() / 2);
            return Some((self, Self { parts: rest }));
        }
        let part = self.parts.pop()?;
        let half = part.block.times.len() / 2;
        if half == 0 {
            return None;
        }
        let (first, rest) = cut(part.block, half);
        let one = |block| Self {
            parts: vec![Part {
                agent: part.agent,
                block,
            }],
        };
        Some((one(first), one(rest)))
    }
}

/// Values of a block that are sent: those with a name, and the one that says when each point was taken.
pub(super) fn values(block: &Block) -> usize {
    let groups = block.layout.groups.iter();
    let named = groups.flat_map(|group| group.metrics.iter().filter(|metric| metric.known().is_some()));
    block.times.len() * (named.count() + 1)
}

/// The first so many points, and the rest.
pub(super) fn cut(mut block: Block, at: usize) -> (Block, Block) {
    let at = at.min(block.times.len());
    let rest = Block {
        layout: Arc::clone(&block.layout),
        times: block.times.split_off(at),
        columns: block
            .columns
            .iter_mut()
            .map(|column| column.split_off(at.min(column.len())))
            .collect(),
    };
    (block, rest)
}
