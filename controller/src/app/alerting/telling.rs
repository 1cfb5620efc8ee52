//! Who is told: plans of groups become notifications in the store.

use std::collections::{BTreeMap, BTreeSet};

use windflow_model::{
    Alert, AlertId, ChannelId, Silence,
    alert::{Notice, NoticeState},
};
use windflow_store::{Entry, Txn};

use super::{
    super::{
        AppError, AppResult,
        db::{create, replace},
        keys,
        records::{ChannelRecord, ToldGroup},
    },
    Alerting, TOGETHER,
    facts::Facts,
    tell,
};

/// How the newest notifications of a channel's groups got on.
#[derive(Debug, Default)]
struct UnderWay {
    /// On their way: what is new waits for them.
    busy: BTreeSet<tell::Name>,
    /// Given up before the channel was mended: nobody heard them.
    given_up: BTreeSet<tell::Name>,
}

impl Alerting {
    /// Plans who is told what, and notes it together with the notification. `open` are the alerts that are open.
    pub(super) async fn tell(&self, open: BTreeMap<AlertId, Alert>, facts: &Facts) -> AppResult<()> {
        const OP: &str = "alerts";
        let groups = self.app.all::<ToldGroup>(OP, &keys::all_told(self.org)).await?;
        let alerts = self.alerts_to_tell(open, &groups).await?;
        if alerts.is_empty() && groups.is_empty() {
            return Ok(());
        }
        let channels = self
            .app
            .all::<ChannelRecord>(OP, &keys::channels(self.org))
            .await?;
        let channels: Vec<_> = channels.into_iter().map(|entry| entry.value).collect();
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
            let mut known: Vec<_> = of_channel.iter().map(|entry| entry.value.clone()).collect();
            let under_way = self.under_way(channel, &known).await?;
            for group in known
                .iter_mut()
                .filter(|group| under_way.given_up.contains(&group.name))
            {
                let fires = |id: &AlertId| alerts.get(id).is_some_and(|alert| alert.state.is_firing());
                group.told.not_told(fires);
            }
            let busy = &under_way.busy;
            let tellings = tell::of_channel(channel, &known, &alerts, &rules, &silenced, busy, facts);
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
    async fn alerts_to_tell(
        &self,
        mut alerts: BTreeMap<AlertId, Alert>,
        groups: &[Entry<ToldGroup>],
    ) -> AppResult<BTreeMap<AlertId, Alert>> {
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

    /// How the newest notifications of groups got on.
    async fn under_way(&self, channel: &ChannelRecord, groups: &[ToldGroup]) -> AppResult<UnderWay> {
        let with: Vec<_> = groups
            .iter()
            .filter_map(|group| Some((&group.name, group.notice?)))
            .collect();
        let wanted = with.iter().map(|(_, id)| keys::notice(self.org, *id)).collect();
        let notices = self.app.find_each::<Notice>("alerts", wanted).await?;
        let mut under_way = UnderWay::default();
        for ((name, _), notice) in with.into_iter().zip(notices) {
            match notice.map(|entry| entry.value.state) {
                Some(NoticeState::Waiting { .. }) => drop(under_way.busy.insert(name.clone())),
                // As long as nobody mends the channel, another one would only fail too.
                Some(NoticeState::Failed { at, .. }) if at <= channel.updated_at => {
                    under_way.given_up.insert(name.clone());
                }
                _ => {}
            }
        }
        Ok(under_way)
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
