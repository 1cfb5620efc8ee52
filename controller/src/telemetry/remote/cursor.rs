//! How far each host is written, durably: a controller that was killed goes on where it was.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use windflow_model::AgentId;

/// Name of the file, in the folder of the history.
const FILE: &str = "remote-write.json";

/// How far each host is written, in milliseconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursors {
    /// Nothing older is written: when this was switched on.
    since: i64,
    hosts: BTreeMap<AgentId, i64>,
    #[serde(skip)]
    changed: bool,
}

impl Cursors {
    /// Reads the file; without one, everything begins now. One that cannot be read is as none, and told of: metrics are
    /// written anew, no other harm is done.
    pub(super) fn open(dir: &Path, now_ms: i64) -> Self {
        let path = dir.join(FILE);
        let begin = || Self {
            since: now_ms,
            hosts: BTreeMap::new(),
            changed: true,
        };
        let text = match fs_err::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return begin(),
            Err(error) => {
                tracing::warn!(%error, "remote write begins with what is measured now");
                return begin();
            }
        };
        serde_json::from_slice(&text).unwrap_or_else(|error| {
            tracing::warn!(file = %path.display(), %error, "remote write begins with what is measured now");
            begin()
        })
    }

    /// Up to where a host is written.
    pub(super) fn of(&self, agent: AgentId) -> i64 {
        self.hosts.get(&agent).copied().unwrap_or(self.since)
    }

    pub(super) fn advance(&mut self, agent: AgentId, to: i64) {
        let at = self.hosts.entry(agent).or_insert(to);
        *at = to.max(*at);
        self.changed = true;
    }

    /// Hosts that are gone need none.
    pub(super) fn retain(&mut self, keep: impl Fn(&AgentId) -> bool) {
        let before = self.hosts.len();
        self.hosts.retain(|agent, _| keep(agent));
        self.changed |= self.hosts.len() != before;
    }

    /// Writes the file if anything changed: whole, or not at all.
    ///
    /// # Errors
    /// The disk does not take it; it is tried again the next time.
    pub(super) fn save(&mut self, dir: &Path) -> io::Result<()> {
        if !self.changed {
            return Ok(());
        }
        fs_err::create_dir_all(dir)?;
        let next: PathBuf = dir.join(format!("{FILE}.new"));
        let mut file = fs_err::File::create(&next)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        drop(file);
        fs_err::rename(next, dir.join(FILE))?;
        self.changed = false;
        Ok(())
    }
}
