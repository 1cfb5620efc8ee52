//! What is known at one moment, read once for all rules.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use windflow_model::{
    AgentId, AgentRecord, Group, GroupId, Presence, Targets, Timestamp, container::ContainerList,
};

/// Hosts and groups as they are stored: they seldom change, and there may be many.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fleet {
    pub(crate) hosts: Arc<BTreeMap<AgentId, AgentRecord>>,
    pub(crate) groups: Arc<BTreeMap<GroupId, Group>>,
}

/// What is known.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) now: Timestamp,
    /// When the controller began to run.
    pub(crate) started: Timestamp,
    pub(crate) fleet: Fleet,
    pub(crate) presences: BTreeMap<AgentId, Presence>,
    /// What hosts said last of their containers, and when.
    pub(crate) containers: HashMap<AgentId, (Timestamp, Arc<ContainerList>)>,
    /// Until when the certificate of each host is good.
    pub(crate) certificates: BTreeMap<AgentId, Timestamp>,
    /// The same of the controller's own.
    pub(crate) own_certificate: Option<Timestamp>,
}

impl Facts {
    /// Whether a host is among those that are meant; all of them, if nobody is named.
    pub(crate) fn meant(&self, targets: Option<&Targets>, agent: AgentId) -> bool {
        let Some(targets) = targets else { return true };
        let Some(host) = self.fleet.hosts.get(&agent) else {
            return false;
        };
        let group = targets.group.and_then(|id| self.fleet.groups.get(&id));
        targets.agents.contains(&agent)
            || targets
                .selector
                .as_ref()
                .is_some_and(|one| one.holds(&host.labels))
            || group.is_some_and(|group| {
                let by_label = group.selector.as_ref().is_some_and(|one| one.holds(&host.labels));
                by_label || group.agents.contains(&agent)
            })
    }

    /// The hosts that are meant.
    pub(crate) fn of<'a>(
        &'a self,
        targets: Option<&'a Targets>,
    ) -> impl Iterator<Item = &'a AgentRecord> + 'a {
        self.fleet
            .hosts
            .values()
            .filter(move |host| self.meant(targets, host.id))
    }

    /// Since when a host is connected, if it is.
    pub(crate) fn connected(&self, agent: AgentId) -> Option<Timestamp> {
        match self.presences.get(&agent) {
            Some(Presence::Connected { since, .. }) => Some(*since),
            _ => None,
        }
    }

    /// For how long the controller has run.
    pub(crate) fn up(&self) -> Duration {
        self.now.since(self.started)
    }

    pub(crate) fn host_name(&self, agent: Option<AgentId>) -> String {
        let host = agent.and_then(|agent| self.fleet.hosts.get(&agent));
        host.map(|host| host.name.clone()).unwrap_or_default()
    }
}
