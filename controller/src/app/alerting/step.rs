//! From what is seen to what changes: pure.

use std::{collections::BTreeMap, time::Duration};

use windflow_model::{
    Alert, AlertId, AlertState, RuleId,
    alert::{AlertRule, Patience, Resolution, Seen, Subject},
};

use super::{
    facts::Facts,
    observe::{Sights, unseen},
};

/// Alerts that one rule may have open. More of the same say nothing new.
pub(crate) const MOST: usize = 5_000;

/// An alert that is to be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    /// There was none. Its id is to be given.
    New(Box<Alert>),
    /// It moved.
    Moved(Box<Alert>),
    /// It was pending, and it is nothing.
    Dropped(AlertId),
}

/// What becomes of the alerts of one rule. `open` are those that are there.
pub(crate) fn of_rule(rule: &AlertRule, sights: &Sights, open: &[Alert], facts: &Facts) -> Vec<Change> {
    let patience = Patience {
        hold: Duration::from_secs(u64::from(rule.spec.for_s)),
        clear: Duration::from_secs(u64::from(rule.spec.clear_s)),
    };
    let known: BTreeMap<&Subject, &Alert> = open.iter().map(|alert| (&alert.subject, alert)).collect();
    let mut changes = Vec::new();
    for alert in open {
        let sight = sights.get(&alert.subject);
        let seen = if alert.state.since() < rule.since {
            Seen::Ended(Resolution::Rule)
        } else {
            sight.map_or_else(|| unseen(rule, &alert.subject, facts), |sight| sight.seen)
        };
        let next = AlertState::next(Some(alert.state), seen, patience, facts.now);
        if next == Some(alert.state) {
            continue;
        }
        changes.push(match next {
            None => Change::Dropped(alert.id),
            Some(state) => {
                let mut moved = alert.clone();
                moved.state = state;
                moved.severity = rule.spec.severity;
                moved.rule_name.clone_from(&rule.spec.name);
                // The last words of an alert stay those of what was wrong.
                if let (Some(sight), Seen::Holds) = (sight, seen) {
                    moved.value = sight.value;
                    moved.summary.clone_from(&sight.summary);
                }
                Change::Moved(Box::new(moved))
            }
        });
    }
    let room = MOST.saturating_sub(open.len());
    let new = sights.iter().filter(|(subject, _)| !known.contains_key(subject));
    let new = new.filter_map(|(subject, sight)| {
        let state = AlertState::next(None, sight.seen, patience, facts.now)?;
        Some(Change::New(Box::new(Alert {
            // Given when it is written.
            id: AlertId::from_uuid(uuid::Uuid::nil()),
            rule: rule.id,
            rule_name: rule.spec.name.clone(),
            severity: rule.spec.severity,
            subject: subject.clone(),
            host: facts.host_name(subject.agent),
            state,
            summary: sight.summary.clone(),
            value: sight.value,
            acknowledged: None,
        })))
    });
    changes.extend(new.take(room));
    changes
}

/// What becomes of alerts whose rule is gone or switched off.
pub(crate) fn of_no_rule(open: &[Alert], facts: &Facts) -> Vec<Change> {
    let ended = open.iter().map(|alert| {
        let seen = Seen::Ended(Resolution::Rule);
        match AlertState::next(Some(alert.state), seen, Patience::default(), facts.now) {
            None => Change::Dropped(alert.id),
            Some(state) => Change::Moved(Box::new(Alert {
                state,
                ..alert.clone()
            })),
        }
    });
    ended.collect()
}

/// Alerts by their rule.
pub(crate) fn by_rule(open: Vec<Alert>) -> BTreeMap<RuleId, Vec<Alert>> {
    let mut all = BTreeMap::<_, Vec<_>>::new();
    for alert in open {
        all.entry(alert.rule).or_default().push(alert);
    }
    all
}
