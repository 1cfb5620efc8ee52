//! One blow at one durable step: every transaction is named by the machine and the kinds of records that it changes, and
//! the chosen one is cut short, refused, held up or answered wrongly.
//!
//! ```text
//! SlowStore::txn ── Strikes::meets(who, ops) ──▶ what to do with this one ──▶ World (crashes: between two steps)
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use serde::{Deserialize, Serialize};
use windflow_store::{Key, Op};

/// What happens to the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum How {
    /// The process is killed with the transaction on its way; nothing was written.
    KilledBefore,
    /// The process is killed when it is written, and before anybody knows.
    KilledAfter,
    /// The power goes when it is written.
    PowerCutAfter,
    /// EIO, and it was not written.
    FailsUnwritten,
    /// EIO, and it was written.
    FailsWritten,
    /// ENOSPC.
    Full,
    /// It takes five seconds.
    Slow,
    /// The code that wrote it panics.
    Panics,
}

impl How {
    pub(crate) const ALL: [Self; 8] = [
        Self::KilledBefore,
        Self::KilledAfter,
        Self::PowerCutAfter,
        Self::FailsUnwritten,
        Self::FailsWritten,
        Self::Full,
        Self::Slow,
        Self::Panics,
    ];
}

/// The blow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Strike {
    pub(crate) point: String,
    /// Which one of these, from 1.
    pub(crate) nth: u64,
    pub(crate) how: How,
}

/// A process that has to go.
#[derive(Debug, Clone)]
pub(crate) struct Doomed {
    pub(crate) machine: String,
    pub(crate) power: bool,
}

#[derive(Debug, Default)]
struct State {
    planned: Option<Strike>,
    met: BTreeMap<String, u64>,
    doomed: Vec<Doomed>,
    disarmed: bool,
}

/// Shared by all stores of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Strikes(Arc<Mutex<State>>);

impl Strikes {
    pub(crate) fn plan(&self, strike: Option<Strike>) {
        self.0.lock().unwrap().planned = strike;
    }

    /// A transaction comes by. Gives the blow, if it is its turn.
    pub(crate) fn meets(&self, who: &str, ops: &[Op]) -> Option<How> {
        let mut state = self.0.lock().unwrap();
        if state.disarmed {
            return None;
        }
        let point = point(who, ops);
        let met = state.met.entry(point.clone()).or_default();
        *met += 1;
        let met = *met;
        let strike = state.planned.as_ref()?;
        if strike.point != point || strike.nth != met {
            return None;
        }
        Some(strike.how)
    }

    pub(crate) fn dooms(&self, machine: &str, power: bool) {
        let machine = machine.to_owned();
        self.0.lock().unwrap().doomed.push(Doomed { machine, power });
    }

    pub(crate) fn doomed(&self) -> Vec<Doomed> {
        std::mem::take(&mut self.0.lock().unwrap().doomed)
    }

    /// From here on nothing is struck or counted. Gives what was met.
    pub(crate) fn disarm(&self) -> BTreeMap<String, u64> {
        let mut state = self.0.lock().unwrap();
        state.disarmed = true;
        std::mem::take(&mut state.met)
    }
}

/// The name of a durable step: whose, and which kinds of records it writes (`+`) and deletes (`-`).
fn point(who: &str, ops: &[Op]) -> String {
    let kind = |key: &Key| {
        let segments: Vec<String> = key.segments().skip(1).take(2).collect();
        match segments.as_slice() {
            [first, second] if first == "engine" => format!("engine/{second}"),
            [first, ..] => first.clone(),
            [] => String::new(),
        }
    };
    let kinds: BTreeSet<String> = ops
        .iter()
        .map(|op| match op {
            Op::Put { key, .. } => format!("+{}", kind(key)),
            Op::Delete { key } => format!("-{}", kind(key)),
        })
        .collect();
    let who = if who == "controller" { who } else { "host" };
    let kinds: Vec<String> = kinds.into_iter().collect();
    format!("{who}: {}", kinds.join(" "))
}
