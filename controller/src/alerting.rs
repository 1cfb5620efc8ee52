//! Alerts: the one task that looks at what is known, moves alerts, and plans who is told.
//!
//! ```text
//! events ──► Followed (outcomes, deaths, happenings) ─┐
//! every 10 s, or when rules change:                   ▼
//!   Facts (hosts, presence, containers, certificates) ─► observe(rule) ─► step ─► alerts in the store ─► AlertChanged
//!   Telemetry ─► Measured ──────────────────────────────┘                 └─► tell ─► groups and notices in the store
//! ```
//! Rules, silences, channels and open alerts are read anew each time; what is followed is made anew after a start. Everything that
//! counts is in the store, so a kill at any moment costs at most the look that was under way: a change of an alert is one
//! transaction, and a notification is made in the transaction that notes that it was made.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::MissedTickBehavior;
use windflow_kit::{BackoffOptions, Chain, Stop, TaskSet};
use windflow_model::{
    Alert, AlertId, AlertRule, ChannelId, Deployment, FleetEventKind, OrgId, Rollout, RolloutId, Silence,
    Stack, Timestamp,
    alert::{Condition, Notice, NoticeState},
};
use windflow_store::{Entry, Txn};

use crate::{
    app::{
        App, AppError, AppResult,
        db::{create, replace},
        event_bus::From,
        keys,
        records::{Placement, ToldGroup},
    },
    event_log::EventFilter,
};

mod facts;
mod followed;
pub(crate) mod measured;
mod observe;
mod silences;
mod step;
mod tell;
#[cfg(test)]
mod tests;

pub(crate) use facts::Facts;
pub(crate) use followed::Followed;
use followed::{LONGEST, Wanted};
pub(crate) use observe::observe;
pub(crate) use silences::covering;
use step::Change;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(10);
/// Alerts moved in one transaction.
const TOGETHER: usize = 40;
/// Certificates are looked at so often: they last for hours.
const CERTIFICATES_EVERY: Duration = Duration::from_secs(60);
/// Newest rollouts that are looked at after a start.
const ROLLOUTS: usize = 500;
/// Until the task runs again after a panic.
const AGAIN: BackoffOptions = BackoffOptions {
    min: Duration::from_secs(1),
    max: Duration::from_secs(30),
    factor: 2.0,
};

/// Starts the task.
pub fn start(app: &App, tasks: &TaskSet) {
    let (app, stop) = (app.clone(), tasks.stop().clone());
    tasks.spawn_restarting("alerts", AGAIN, move || {
        Alerting::new(app.clone()).run(stop.clone())
    });
}

/// The task's own state.
#[derive(Debug)]
pub(crate) struct Alerting {
    app: App,
    org: OrgId,
    started: Timestamp,
    followed: Followed,
    /// Everything that is followed must be loaded.
    stale: bool,
    rollouts: BTreeSet<RolloutId>,
    rules: Vec<AlertRule>,
    certificates: Option<(Timestamp, BTreeMap<windflow_model::AgentId, Timestamp>)>,
}

impl Alerting {
    pub(crate) fn new(app: App) -> Self {
        Self {
            started: app.now(),
            app,
            org: OrgId::DEFAULT,
            followed: Followed::default(),
            stale: true,
            rollouts: BTreeSet::new(),
            rules: Vec::new(),
            certificates: None,
        }
    }

    async fn run(mut self, stop: Stop) {
        if let Err(error) = self.read_rules().await {
            tracing::error!(error = %Chain(&error), "rules cannot be read; they are tried again");
        }
        let since = Timestamp::from_millis(
            self.started.as_millis() - i64::try_from(LONGEST.as_millis()).unwrap_or(0),
        );
        let mut events = self.app.events(EventFilter::default(), From::Since(since));
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let look = tokio::select! {
                biased;
                () = stop.stopped() => return,
                _ = tick.tick() => true,
                () = self.app.alerting_wanted() => true,
                event = events.next() => {
                    let Some(event) = event else { return };
                    match self.followed.take(&event, &self.rules) {
                        Wanted::Nothing => {}
                        Wanted::Rollout(id) => drop(self.rollouts.insert(id)),
                        Wanted::All => self.stale = true,
                    }
                    false
                }
            };
            if look && let Err(error) = self.look().await {
                tracing::error!(error = %Chain(&error), "alerts could not be looked at; they are again");
            }
        }
    }

    async fn read_rules(&mut self) -> AppResult<()> {
        self.app.rules_bring(self.org).await?;
        let all = self
            .app
            .all::<AlertRule>("alerts", &keys::rules(self.org))
            .await?;
        self.rules = all
            .into_iter()
            .map(|entry| entry.value)
            .filter(|rule| rule.spec.enabled)
            .collect();
        Ok(())
    }

    /// Looks once at everything.
    pub(crate) async fn look(&mut self) -> AppResult<()> {
        self.read_rules().await?;
        let open = self.app.alerts_open(self.org).await?;
        if self.rules.is_empty() && open.is_empty() {
            return Ok(());
        }
        self.follow_up().await?;
        let facts = self.facts().await?;
        self.followed.prune(&self.rules, facts.now);
        self.step(open, &facts).await?;
        self.tell(&facts).await
    }

    /// Loads what is followed, as far as events do not say it themselves.
    async fn follow_up(&mut self) -> AppResult<()> {
        const OP: &str = "alerts";
        if self.stale {
            let placements = self
                .app
                .all::<Placement>(OP, &keys::all_placements(self.org))
                .await?;
            let there = placements.iter().filter(|entry| !entry.value.gone);
            let ids = there
                .map(|entry| keys::deployment(self.org, entry.value.deployment))
                .collect();
            let deployments = self.app.find_each::<Deployment>(OP, ids).await?;
            let deployments = deployments
                .into_iter()
                .flatten()
                .map(|entry| entry.value)
                .collect();
            let rollouts = self
                .app
                .page::<Rollout>(OP, &keys::rollouts(self.org), None, ROLLOUTS)
                .await?;
            let rollouts = rollouts.entries.into_iter().map(|entry| entry.value).collect();
            self.followed.load(deployments, rollouts);
            self.stale = false;
        }
        let wanted = std::mem::take(&mut self.rollouts);
        let wanted = wanted.iter().map(|id| keys::rollout(self.org, *id)).collect();
        for entry in self
            .app
            .find_each::<Rollout>(OP, wanted)
            .await?
            .into_iter()
            .flatten()
        {
            self.followed.rollout(&entry.value);
        }
        let nameless = self.followed.nameless();
        let stacks = nameless.iter().map(|id| keys::stack(self.org, *id)).collect();
        for entry in self
            .app
            .find_each::<Stack>(OP, stacks)
            .await?
            .into_iter()
            .flatten()
        {
            self.followed.name(entry.value.id, entry.value.name.to_string());
        }
        Ok(())
    }

    async fn facts(&mut self) -> AppResult<Facts> {
        let mut facts = self.app.alerting_facts(self.org).await?;
        facts.started = self.started;
        if self
            .rules
            .iter()
            .any(|rule| matches!(rule.spec.condition, Condition::CertificateExpiry { .. }))
        {
            let fresh = |(at, _): &&(Timestamp, _)| facts.now.since(*at) < CERTIFICATES_EVERY;
            if self.certificates.as_ref().filter(fresh).is_none() {
                let all = self.app.certificates(self.org).await?;
                self.certificates = Some((facts.now, all));
            }
            facts.certificates = self
                .certificates
                .iter()
                .flat_map(|(_, all)| all.clone())
                .collect();
        }
        Ok(facts)
    }

    /// Moves the alerts.
    async fn step(&self, open: Vec<Entry<Alert>>, facts: &Facts) -> AppResult<()> {
        let mut entries: BTreeMap<AlertId, Entry<Alert>> =
            open.into_iter().map(|entry| (entry.value.id, entry)).collect();
        let mut by_rule = step::by_rule(entries.values().map(|entry| entry.value.clone()).collect());
        let mut changes = Vec::new();
        for rule in &self.rules {
            let of_rule = by_rule.remove(&rule.id).unwrap_or_default();
            let measured = match self.app.measure(rule, facts, &of_rule).await {
                Ok(measured) => measured,
                Err(error) => {
                    // One rule that asks for too much must not keep the others from being looked at.
                    tracing::warn!(rule = rule.spec.name, error = %Chain(&error), "a rule cannot be looked at");
                    continue;
                }
            };
            let sights = observe(rule, facts, &self.followed, measured.as_ref());
            changes.extend(step::of_rule(rule, &sights, &of_rule, facts));
        }
        for rest in by_rule.values() {
            changes.extend(step::of_no_rule(rest, facts));
        }
        for some in changes.chunks(TOGETHER) {
            self.commit(some, &mut entries).await?;
        }
        Ok(())
    }

    async fn commit(
        &self,
        changes: &[Change],
        entries: &mut BTreeMap<AlertId, Entry<Alert>>,
    ) -> AppResult<()> {
        const OP: &str = "alerts";
        let mut txn = Txn::new();
        let mut said = Vec::new();
        for change in changes {
            match change {
                Change::New(alert) => {
                    let mut alert = (**alert).clone();
                    alert.id = self.app.new_alert_id()?;
                    txn = create(txn, OP, keys::alert(self.org, alert.id), &alert)?;
                    txn = txn.put(keys::alert_open(self.org, alert.id), Vec::new());
                    said.push(alert);
                }
                Change::Moved(alert) => {
                    let Some(was) = entries.remove(&alert.id) else {
                        continue;
                    };
                    txn = replace(txn, OP, &was, alert.as_ref())?;
                    if alert.state.is_resolved() {
                        txn = txn.delete(keys::alert_open(self.org, alert.id));
                    }
                    if was.value.state.name() != alert.state.name() {
                        said.push((**alert).clone());
                    }
                }
                Change::Dropped(id) => {
                    let Some(was) = entries.remove(id) else { continue };
                    txn = txn.expect(was.key.clone(), was.expect()).delete(was.key.clone());
                    txn = txn.delete(keys::alert_open(self.org, *id));
                }
            }
        }
        match self.app.commit(OP, txn).await {
            // Somebody acknowledged one of them at this moment: the next look sees it.
            Err(error) if error.wants_fresh_read() => return Ok(()),
            result => drop(result?),
        }
        for alert in said {
            if alert.state.name() != "pending" {
                tracing::info!(alert = %alert.id, rule = alert.rule_name, host = alert.host, state = alert.state.name(), "{}", alert.summary);
            }
            self.app.publish(FleetEventKind::AlertChanged {
                alert: alert.id,
                rule: alert.rule_name,
                severity: alert.severity,
                state: alert.state.name().to_owned(),
                agent: alert.subject.agent,
                summary: alert.summary,
            });
        }
        Ok(())
    }

    /// Plans who is told what, and notes it together with the notification.
    async fn tell(&self, facts: &Facts) -> AppResult<()> {
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
        for channel in channels.iter().filter(|channel| channel.enabled) {
            let of_channel = of_channels.remove(&channel.id).unwrap_or_default();
            let known: Vec<_> = of_channel.iter().map(|entry| entry.value.clone()).collect();
            let busy = self.busy(&known).await?;
            let tellings = tell::of_channel(channel, &known, &alerts, &self.rules, &silenced, &busy, facts);
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
