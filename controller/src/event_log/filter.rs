//! Which events.

use std::collections::BTreeSet;

use windflow_model::{AgentId, FleetEvent, FleetEventKind, StackId, Timestamp};

/// Which events are wanted; what is absent is no test.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Of these hosts. Events that concern no host are left out then.
    pub agents: Option<BTreeSet<AgentId>>,
    /// Of this stack, by its name on hosts and its id.
    pub stack: Option<(String, Option<StackId>)>,
    /// Of these names; one without a dot stands for all that begin with it and a dot.
    pub kinds: BTreeSet<String>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

impl EventFilter {
    /// Whether an event is wanted. That events are missing everybody wants to know.
    #[must_use]
    pub fn holds(&self, event: &FleetEvent) -> bool {
        if let FleetEventKind::Gap { .. } | FleetEventKind::ControllerStarted { .. } = event.kind
            && self.kinds.is_empty()
        {
            return self.in_time(event.at);
        }
        if let FleetEventKind::Gap { .. } = event.kind {
            return true;
        }
        self.in_time(event.at)
            && self.of_host(&event.kind)
            && self.of_stack(&event.kind)
            && self.named(&event.kind)
    }

    fn in_time(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| since <= at) && self.until.is_none_or(|until| at < until)
    }

    fn of_host(&self, kind: &FleetEventKind) -> bool {
        let Some(agents) = &self.agents else { return true };
        kind.agent().is_some_and(|agent| agents.contains(&agent))
    }

    fn of_stack(&self, kind: &FleetEventKind) -> bool {
        let Some((name, id)) = &self.stack else {
            return true;
        };
        match kind {
            FleetEventKind::Host { event, .. } => event.kind.stack() == Some(name),
            other => id.is_some() && other.stack() == *id,
        }
    }

    fn named(&self, kind: &FleetEventKind) -> bool {
        if self.kinds.is_empty() {
            return true;
        }
        let name = kind.name();
        let subject = name.split('.').next().unwrap_or_default();
        self.kinds.contains(name) || self.kinds.contains(subject)
    }
}
