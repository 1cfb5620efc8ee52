//! What a channel is told, and when: the planning of notifications. Pure; the controller executes it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Severity, channel::Delivery};
use crate::{
    doc::Document,
    id::{AlertId, ChannelId, NoticeId},
    time::Timestamp,
};

/// Most alerts that a notification lists; the rest is counted.
pub const MOST_LISTED: usize = 50;

/// What a notification is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum NoticeStatus {
    /// Something fires.
    Firing,
    /// Everything that it lists has ended.
    Resolved,
    /// Somebody tries the channel.
    Test,
}

/// What a channel is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Notification {
    /// Id: the same at each attempt, so that a receiver can tell a repetition.
    pub id: NoticeId,
    /// When it was made.
    pub at: Timestamp,
    /// What it is about.
    pub status: NoticeStatus,
    /// Highest severity of what is listed.
    pub severity: Severity,
    /// What the alerts have in common: `rule`, `host`, `stack`, `severity`, as the channel groups them.
    pub group: BTreeMap<String, String>,
    /// At most 50, those that fire first, the severest first.
    pub alerts: Vec<NoticeAlert>,
    /// How many fire.
    pub firing: u32,
    /// How many have ended since the last notification.
    pub resolved: u32,
    /// The page of alerts; empty if the controller does not know its own address.
    pub url: String,
}

impl Document for Notification {
    const NAME: &'static str = "notification";
    const SCHEMA: u16 = 1;
}

/// An alert in a notification.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct NoticeAlert {
    /// The alert.
    pub id: AlertId,
    /// Whether it fires.
    pub firing: bool,
    /// Name of its rule.
    pub rule: String,
    /// How bad it is.
    pub severity: Severity,
    /// Name of the host, if it is about one.
    pub host: String,
    /// Stack, if it is about one.
    pub stack: String,
    /// What of the host or stack: a container, a file system, …
    pub part: String,
    /// One sentence: `CPU is 0.97, above 0.9`.
    pub summary: String,
    /// What was written into the rule for whoever reads this.
    pub note: String,
    /// Since when it fires.
    pub since: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
}

/// What an alert is for the planning of one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// The alert.
    pub alert: AlertId,
    /// Whether it fires; else it has ended.
    pub firing: bool,
    /// A silence or a window covers it.
    pub silenced: bool,
    /// Somebody has said that they know: it is not told again.
    pub acknowledged: bool,
}

/// What the receivers of a group were told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// When they were told last.
    pub last: Option<Timestamp>,
    /// Alerts that they believe to fire.
    pub firing: BTreeSet<AlertId>,
    /// Since when there is something that they were not told.
    pub waiting: Option<Timestamp>,
}

/// What is to be done for a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What is to be remembered, together with the notification.
    pub told: Told,
    /// Alerts to be told of: those that fire, those that have ended. `None`: nothing now.
    pub tell: Option<(Vec<AlertId>, Vec<AlertId>)>,
}

impl Told {
    /// Whether nothing need be remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.firing.is_empty() && self.waiting.is_none()
    }

    /// The newest notification did not arrive, and its channel was mended since: what fires is to be told anew. What has ended
    /// meanwhile is still told of, as some of it may have been heard of before.
    pub fn not_told(&mut self, fires: impl Fn(&AlertId) -> bool) {
        self.firing.retain(|alert| !fires(alert));
        self.last = None;
    }

    /// What is to be done now, if `items` are all alerts of the group that fire, or that were told of and have ended.
    #[must_use]
    pub fn plan(&self, items: &[Item], delivery: &Delivery, now: Timestamp) -> Plan {
        let heard = |item: &&Item| !item.silenced;
        let firing: BTreeSet<AlertId> = items
            .iter()
            .filter(heard)
            .filter(|item| item.firing)
            .map(|item| item.alert)
            .collect();
        // What is silenced after it was told of stays believed until it ends; what ended in silence is dropped.
        let quiet: BTreeSet<AlertId> = items
            .iter()
            .filter(|item| item.silenced && item.firing)
            .map(|item| item.alert)
            .collect();
        let still = |alert: &AlertId| firing.contains(alert) || quiet.contains(alert);
        let ended: Vec<AlertId> = items
            .iter()
            .filter(|item| !item.silenced && !item.firing && self.firing.contains(&item.alert))
            .map(|item| item.alert)
            .collect();
        let new = firing.iter().any(|alert| !self.firing.contains(alert));
        let changed = new || (delivery.resolved && !ended.is_empty());
        let mut told = self.clone();
        if !changed {
            told.firing.retain(still);
            told.waiting = None;
            let nagging = items
                .iter()
                .any(|item| item.firing && !item.silenced && !item.acknowledged);
            let due = self
                .last
                .is_some_and(|last| now.since(last).as_secs() >= u64::from(delivery.repeat_s));
            if !(nagging && due && delivery.repeat_s > 0) {
                return Plan { told, tell: None };
            }
        } else {
            let waiting = *told.waiting.get_or_insert(now);
            let first = self.firing.is_empty();
            let waited = now.since(waiting).as_secs() >= u64::from(if first { delivery.wait_s } else { 0 });
            let apart = self
                .last
                .is_none_or(|last| first || now.since(last).as_secs() >= u64::from(delivery.interval_s));
            if !(waited && apart) {
                // What has ended in the meantime is not forgotten: it is told of with the rest.
                told.firing.retain(|alert| still(alert) || ended.contains(alert));
                return Plan { told, tell: None };
            }
        }
        told = Told {
            last: Some(now),
            firing: firing
                .iter()
                .copied()
                .chain(self.firing.iter().copied().filter(|alert| quiet.contains(alert)))
                .collect(),
            waiting: None,
        };
        let ended = if delivery.resolved { ended } else { Vec::new() };
        Plan {
            told,
            tell: Some((firing.into_iter().collect(), ended)),
        }
    }
}

/// How a notification got on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum NoticeState {
    /// It is to be sent, perhaps again.
    Waiting {
        /// Not before this.
        next: Timestamp,
        /// Why the last attempt failed; empty before the first.
        error: String,
    },
    /// The receiver's server has taken it.
    Sent {
        /// When.
        at: Timestamp,
        /// What it said to it, in a line.
        #[serde(default)]
        said: String,
    },
    /// It was given up.
    Failed {
        /// When.
        at: Timestamp,
        /// Why the last attempt failed.
        error: String,
    },
}

/// A notification and how it got on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Notice {
    /// To which channel.
    pub channel: ChannelId,
    /// What it says.
    pub notification: Notification,
    /// Attempts so far.
    pub attempts: u32,
    /// How it got on.
    pub state: NoticeState,
    /// What was odd although it was sent: a template that failed, so that WindFlow's own words went out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remark: String,
}

impl Document for Notice {
    const NAME: &'static str = "notice";
    const SCHEMA: u16 = 1;
}

#[cfg(test)]
mod tests;
