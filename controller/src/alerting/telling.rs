//! Who is told: plans of groups become notifications in the store.

use std::collections::{BTreeMap, BTreeSet};

use windflow_model::{
    Alert, AlertId, ChannelId, Silence,
    alert::{Notice, NoticeState},
};
use windflow_store::{Entry, Txn};

use super::{Alerting, TOGETHER, facts::Facts, tell};
use crate::app::{
    AppError, AppResult,
    db::{create, replace},
    keys,
    records::ToldGroup,
};

impl Alerting {
    /// Plans who is told what, and notes it together with the notification.
    pub(super) async fn tell(&self, facts: &Facts) -> AppResult<()> {
        const OP: &str = "alerts";
        let channels = self.app.channels(self.org).await?;
        let groups = self.app.all::<ToldGroup>(OP, &keys::all_told(self.org)).await?;
        let alerts = self.alerts_to_tell(&groups).await?;
        if alerts.is_empty() && groups.is_empty() {
            return Ok(());
        }
        let silenced = self.app.all::<Silence>(OP, &keys::silences(self.org)).await?;
        let silenced: Vec<_> = silenced.into_iter().map(|entry| entry.value).collect();
        let mut of_channels = BTreeMap::<ChannelId, Vec<&Entry<ToldGroup>>>::new();
        for entry in &groups {
            of_channels.entry(entry.value.channel).or_default().push(entry);
        }
        // A rule whose channels are all deleted must not fall silent: then it means the standard ones.
        let mut rules = self.rules.clone();
        for rule in &mut rules {
            rule.spec
                .channels
                .retain(|id| channels.iter().any(|one| one.id == *id));
        }
        for channel in channels.iter().filter(|channel| channel.enabled) {
            let of_channel = of_channels.remove(&channel.id).unwrap_or_default();
            let known: Vec<_> = of_channel.iter().map(|entry| entry.value.clone()).collect();
            let busy = self.busy(&known).await?;
            let tellings = tell::of_channel(channel, &known, &alerts, &rules, &silenced, &busy, facts);
            for telling in tellings {
                let was = of_channel.iter().find(|entry| entry.value.name == telling.group);
                self.tell_group(channel.id, telling, was.copied(), &alerts, facts)
                    .await?;
            }
        }
        // Of channels that are gone or switched off nobody knows what they were told: they begin anew.
        let mut forget = Txn::new();
        for entry in of_channels.values().flatten().take(TOGETHER) {
            forget = forget.delete(entry.key.clone());
        }
        if !of_channels.is_empty() {
            self.app.commit(OP, forget).await?;
        }
        Ok(())
    }

    /// All that fire, and those that somebody was told of.
    async fn alerts_to_tell(&self, groups: &[Entry<ToldGroup>]) -> AppResult<BTreeMap<AlertId, Alert>> {
        let open = self.app.alerts_open(self.org).await?;
        let mut alerts: BTreeMap<_, _> = open
            .into_iter()
            .map(|entry| (entry.value.id, entry.value))
            .collect();
        alerts.retain(|_, alert| alert.state.is_firing());
        let told: BTreeSet<AlertId> = groups
            .iter()
            .flat_map(|entry| entry.value.told.firing.clone())
            .collect();
        let ended = told.iter().filter(|id| !alerts.contains_key(id));
        let ended = ended.map(|id| keys::alert(self.org, *id)).collect();
        let ended = self.app.find_each::<Alert>("alerts", ended).await?;
        alerts.extend(
            ended
                .into_iter()
                .flatten()
                .map(|entry| (entry.value.id, entry.value)),
        );
        Ok(alerts)
    }

    /// Groups whose newest notification is still under way.
    async fn busy(&self, groups: &[ToldGroup]) -> AppResult<BTreeSet<tell::Name>> {
        let with: Vec<_> = groups
            .iter()
            .filter_map(|group| Some((&group.name, group.notice?)))
            .collect();
        let wanted = with.iter().map(|(_, id)| keys::notice(self.org, *id)).collect();
        let notices = self.app.find_each::<Notice>("alerts", wanted).await?;
        let waits = |notice: &Option<Entry<Notice>>| {
            let state = notice.as_ref().map(|entry| &entry.value.state);
            matches!(state, Some(NoticeState::Waiting { .. }))
        };
        let busy = with.into_iter().zip(notices).filter(|(_, notice)| waits(notice));
        Ok(busy.map(|((name, _), _)| name.clone()).collect())
    }

    async fn tell_group(
        &self,
        channel: ChannelId,
        telling: tell::Telling,
        was: Option<&Entry<ToldGroup>>,
        alerts: &BTreeMap<AlertId, Alert>,
        facts: &Facts,
    ) -> AppResult<()> {
        const OP: &str = "alerts";
        let mut group = ToldGroup {
            channel,
            name: telling.group.clone(),
            told: telling.plan.told,
            notice: was.and_then(|entry| entry.value.notice),
        };
        let mut txn = Txn::new();
        if let Some((firing, ended)) = &telling.plan.tell {
            let of = |ids: &[AlertId]| ids.iter().filter_map(|id| alerts.get(id)).collect::<Vec<_>>();
            let id = self.app.new_notice_id()?;
            let url = self.app.alerts_url();
            let notification = tell::notification(
                id,
                facts.now,
                telling.group,
                &of(firing),
                &of(ended),
                &self.rules,
                url,
            );
            group.notice = Some(id);
            txn = self.app.notice_add(txn, OP, self.org, channel, notification)?;
        }
        let key = keys::told(self.org, channel, &group_hash(&group.name)?);
        txn = match was {
            // With nothing to remember there is nothing to keep, but the notification that may still be under way.
            Some(was) if group.told.is_empty() && telling.plan.tell.is_none() => {
                txn.expect(key.clone(), was.expect()).delete(key)
            }
            Some(was) => replace(txn, OP, was, &group)?,
            None if group.told.is_empty() && telling.plan.tell.is_none() => return Ok(()),
            None => create(txn, OP, key, &group)?,
        };
        match self.app.commit(OP, txn).await {
            Err(error) if error.wants_fresh_read() => Ok(()),
            result => {
                result?;
                self.app.notices_nudge();
                Ok(())
            }
        }
    }
}

fn group_hash(name: &tell::Name) -> AppResult<String> {
    use sha2::Digest as _;
    let text = serde_json::to_vec(name).map_err(AppError::internal("alerts"))?;
    Ok(hex::encode(sha2::Sha256::digest(text)).chars().take(32).collect())
}
