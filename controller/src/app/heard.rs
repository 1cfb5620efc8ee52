//! When each host was last heard, durably and coarsely: a controller that is killed cannot note who was there.
//!
//! Once a minute the proofs of the connected hosts are written, many hosts to a record: one transaction of at most
//! [`SHARDS`] records, however many hosts there are. What one start has written is read once by the next.

use std::collections::BTreeMap;

use windflow_model::{Absence, AgentId, OrgId, Presence, Timestamp};
use windflow_store::{Entry, Txn};

use super::{App, AppResult, db::put, keys, records::Heard};
use crate::context::OpContext;

/// Records that the hosts share. Fewer than a transaction may hold; with 10,000 hosts each has about 8 KiB.
const SHARDS: u8 = 64;

impl App {
    /// Writes down when the connected hosts were last proven to be there. Gives the number of records written.
    pub(crate) async fn note_heard(&self) -> AppResult<usize> {
        const OP: &str = "heard";
        let org = OpContext::system(OP).org;
        // Before the first write: what the last start has left.
        self.heard_before(org).await?;
        let mut proven: BTreeMap<u8, BTreeMap<AgentId, Timestamp>> = BTreeMap::new();
        for (agent, presence) in self.hosts().presences().await {
            if let Presence::Connected { proven_at, .. } = presence {
                proven.entry(shard(agent)).or_default().insert(agent, proven_at);
            }
        }
        let (mut txn, mut written) = (Txn::new(), 0);
        for (shard, proven) in proven {
            let key = keys::heard(org, shard);
            let was: Option<Entry<Heard>> = self.find(OP, &key).await?;
            let mut heard = was.map(|was| was.value).unwrap_or_default();
            let before = heard.clone();
            heard.hosts.extend(proven);
            if heard != before {
                // One writer, this job: there is nobody to lose a race against.
                txn = put(txn, OP, key, &heard)?;
                written += 1;
            }
        }
        if written > 0 {
            self.commit(OP, txn).await?;
        }
        Ok(written)
    }

    /// Every host that was ever heard, with the best that is known of it: from the fleet, else from before this start.
    pub(super) async fn presences(&self, org: OrgId) -> AppResult<BTreeMap<AgentId, Presence>> {
        let mut all = self.hosts().presences().await;
        for (agent, at) in self.heard_before(org).await? {
            all.entry(*agent).or_insert_with(|| not_since_start(Some(*at)));
        }
        Ok(all)
    }

    async fn heard_before(&self, org: OrgId) -> AppResult<&BTreeMap<AgentId, Timestamp>> {
        let read = || async {
            let shards = self.all::<Heard>("heard", &keys::all_heard(org)).await?;
            Ok(shards.into_iter().flat_map(|entry| entry.value.hosts).collect())
        };
        self.0.heard_before.get_or_try_init(read).await
    }
}

/// Of a host that has not connected to this start of the controller.
pub(super) fn not_since_start(since: Option<Timestamp>) -> Presence {
    let (cause, reason) = match since {
        Some(_) => (
            Absence::NotSinceStart,
            "not connected since the controller started",
        ),
        None => (Absence::NeverConnected, "never connected"),
    };
    Presence::Offline {
        since,
        cause,
        reason: reason.to_owned(),
    }
}

/// The last bits of an id are random.
fn shard(agent: AgentId) -> u8 {
    let bytes = agent.uuid().into_bytes();
    bytes.last().copied().unwrap_or_default() % SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_shards_fit_into_one_transaction() {
        assert!(usize::from(SHARDS) <= windflow_store::MAX_OPS);
    }
}
