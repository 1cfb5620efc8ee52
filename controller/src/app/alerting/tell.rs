//! Who is told of which alerts, in which groups: pure, between the alerts and the planning of one group in the model.

use std::collections::{BTreeMap, BTreeSet};

use windflow_model::{
    Alert, AlertId, NoticeId, Silence, Timestamp,
    alert::{
        AlertRule, GroupBy, NoticeAlert, NoticeStatus, Notification,
        notice::{Item, MOST_LISTED, Plan},
    },
};

use super::{
    super::records::{ChannelRecord, ToldGroup},
    facts::Facts,
    silences,
};

/// What a group is called: what its alerts have in common.
pub(crate) type Name = BTreeMap<String, String>;

/// What is to be done for a group of a channel.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Telling {
    pub(crate) group: Name,
    pub(crate) plan: Plan,
}

/// The group of a channel that an alert belongs to.
pub(crate) fn name_of(channel: &ChannelRecord, alert: &Alert) -> Name {
    let part = |by: &GroupBy| match by {
        GroupBy::Rule => ("rule".to_owned(), alert.rule_name.clone()),
        GroupBy::Host => ("host".to_owned(), alert.host.clone()),
        GroupBy::Stack => ("stack".to_owned(), alert.subject.stack.clone()),
        GroupBy::Severity => ("severity".to_owned(), alert.severity.name().to_owned()),
    };
    channel.delivery.group_by.iter().map(part).collect()
}

/// Whether a channel is told of the alerts of a rule.
fn routed(channel: &ChannelRecord, rule: &AlertRule) -> bool {
    if rule.spec.channels.is_empty() {
        channel.standard
    } else {
        rule.spec.channels.contains(&channel.id)
    }
}

/// What is to be done for the groups of one channel. `alerts` are all that fire, and those that a group was told of; a group in
/// `busy` has a notification under way and waits for it.
pub(crate) fn of_channel(
    channel: &ChannelRecord,
    groups: &[ToldGroup],
    alerts: &BTreeMap<AlertId, Alert>,
    rules: &[AlertRule],
    silenced: &[Silence],
    busy: &BTreeSet<Name>,
    facts: &Facts,
) -> Vec<Telling> {
    let mut items = BTreeMap::<Name, BTreeMap<AlertId, Item>>::new();
    let item = |alert: &Alert| Item {
        alert: alert.id,
        firing: alert.state.is_firing(),
        silenced: !silences::covering(silenced, alert, facts).is_empty(),
        acknowledged: alert.acknowledged.is_some(),
    };
    for alert in alerts.values().filter(|alert| alert.state.is_firing()) {
        let rule = rules.iter().find(|rule| rule.id == alert.rule);
        if alert.severity >= channel.delivery.severity && rule.is_some_and(|rule| routed(channel, rule)) {
            items
                .entry(name_of(channel, alert))
                .or_default()
                .insert(alert.id, item(alert));
        }
    }
    for group in groups {
        let items = items.entry(group.name.clone()).or_default();
        // One that fires, but in another group by now or for others, is no news here: it has not ended.
        let told = group.told.firing.iter().filter_map(|id| alerts.get(id));
        for alert in told.filter(|alert| !alert.state.is_firing()) {
            items.insert(alert.id, item(alert));
        }
    }
    let told = |name: &Name| {
        let group = groups.iter().find(|group| group.name == *name);
        group.map(|group| group.told.clone()).unwrap_or_default()
    };
    let plan = |(name, items): (Name, BTreeMap<AlertId, Item>)| {
        let items: Vec<_> = items.into_values().collect();
        let plan = told(&name).plan(&items, &channel.delivery, facts.now);
        (!busy.contains(&name)).then_some(Telling { group: name, plan })
    };
    let plans = items.into_iter().filter_map(plan);
    let kept = |name: &Name| groups.iter().any(|group| group.name == *name);
    let counts = |one: &Telling| {
        one.plan.tell.is_some()
            || one.plan.told != told(&one.group)
            || one.plan.told.is_empty() && kept(&one.group)
    };
    plans.filter(counts).collect()
}

/// What is told.
pub(crate) fn notification(
    id: NoticeId,
    now: Timestamp,
    group: Name,
    firing: &[&Alert],
    ended: &[&Alert],
    rules: &[AlertRule],
    url: String,
) -> Notification {
    let mut alerts: Vec<&Alert> = firing.to_vec();
    alerts.sort_by_key(|alert| (std::cmp::Reverse(alert.severity), alert.state.fired()));
    alerts.extend(ended);
    let severity = alerts
        .iter()
        .map(|alert| alert.severity)
        .max()
        .unwrap_or_default();
    let listed = alerts
        .iter()
        .take(MOST_LISTED)
        .enumerate()
        .map(|(index, alert)| NoticeAlert {
            id: alert.id,
            firing: index < firing.len(),
            rule: alert.rule_name.clone(),
            severity: alert.severity,
            host: alert.host.clone(),
            stack: alert.subject.stack.clone(),
            part: match (alert.subject.part.as_str(), alert.subject.service.as_str()) {
                ("", service) => service.to_owned(),
                (part, _) => part.to_owned(),
            },
            summary: alert.summary.clone(),
            note: rules
                .iter()
                .find(|rule| rule.id == alert.rule)
                .map(|rule| rule.spec.note.clone())
                .unwrap_or_default(),
            since: alert.state.since(),
            ended: alert.state.ended(),
        });
    Notification {
        id,
        at: now,
        status: if firing.is_empty() {
            NoticeStatus::Resolved
        } else {
            NoticeStatus::Firing
        },
        severity,
        group,
        alerts: listed.collect(),
        firing: u32::try_from(firing.len()).unwrap_or(u32::MAX),
        resolved: u32::try_from(ended.len()).unwrap_or(u32::MAX),
        url,
    }
}
