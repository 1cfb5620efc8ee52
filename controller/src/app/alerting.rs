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
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use tokio::time::MissedTickBehavior;
use windflow_kit::{BackoffOptions, Chain, Stop, TaskSet};
use windflow_model::{
    Alert, AlertId, AlertRule, Deployment, FleetEventKind, OrgId, Rollout, RolloutId, RuleId, Stack,
    Timestamp, alert::Condition,
};
use windflow_store::{Entry, Txn};

use super::{
    App, AppResult,
    db::{create, replace},
    event_bus::From,
    keys,
    records::Placement,
};
use crate::event_log::EventFilter;

mod facts;
mod followed;
pub(crate) mod measured;
mod observe;
mod silences;
mod step;
mod tell;
mod telling;
#[cfg(test)]
mod tests;

pub(crate) use facts::{Facts, Fleet};
pub(crate) use followed::Followed;
use followed::Wanted;
use measured::Measured;
pub(crate) use observe::observe;
pub(crate) use silences::covering;
use step::Change;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(10);
/// Alerts moved in one transaction.
const TOGETHER: usize = 40;
/// Certificates are looked at so often: they last for hours.
const CERTIFICATES_EVERY: Duration = Duration::from_secs(60);
/// What is followed is loaded again at most so often.
const RELOAD_EVERY: Duration = Duration::from_secs(60);
/// Hosts and groups are read again after this time at the latest.
const FLEET_EVERY: Duration = Duration::from_secs(300);
/// The history is asked at least so often, however long the window.
const MEASURED_EVERY: Duration = Duration::from_secs(300);
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
    /// When what is followed was loaded last.
    loaded: Option<Timestamp>,
    /// Hosts and groups, until one of them changes.
    fleet: Option<(Timestamp, Fleet)>,
    /// What the history said last, by rule, and of which version of the rule.
    measured: HashMap<RuleId, (Timestamp, Timestamp, Measured)>,
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
            loaded: None,
            fleet: None,
            measured: HashMap::new(),
            certificates: None,
        }
    }

    async fn run(mut self, stop: Stop) {
        if let Err(error) = self.read_rules().await {
            tracing::error!(error = %Chain(&error), "rules cannot be read; they are tried again");
        }
        let back = followed::looked_back(&self.rules);
        let since =
            Timestamp::from_millis(self.started.as_millis() - i64::try_from(back.as_millis()).unwrap_or(0));
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
                        Wanted::All => (self.stale, self.fleet) = (true, None),
                    }
                    if changes_fleet(&event.kind) {
                        self.fleet = None;
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
        let rules = &self.rules;
        self.measured
            .retain(|id, _| rules.iter().any(|rule| rule.id == *id));
        let open = self.step(open, &facts).await?;
        self.tell(open, &facts).await
    }

    /// Loads what is followed, as far as events do not say it themselves.
    async fn follow_up(&mut self) -> AppResult<()> {
        const OP: &str = "alerts";
        let now = self.app.now();
        // Events are missing now and then while very many hosts come at once: each time all of it would be too dear.
        let lately = self.loaded.is_some_and(|at| now.since(at) < RELOAD_EVERY);
        if self.stale && !lately {
            self.loaded = Some(now);
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
        let now = self.app.now();
        let fleet = match &self.fleet {
            Some((at, fleet)) if now.since(*at) < FLEET_EVERY => fleet.clone(),
            _ => {
                let fleet = self.app.alerting_fleet(self.org).await?;
                self.fleet = Some((now, fleet.clone()));
                fleet
            }
        };
        let mut facts = self.app.alerting_facts(self.org, fleet).await?;
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

    /// Moves the alerts. Gives those that are open afterwards.
    async fn step(&mut self, open: Vec<Entry<Alert>>, facts: &Facts) -> AppResult<BTreeMap<AlertId, Alert>> {
        let mut now_open: BTreeMap<AlertId, Alert> = open
            .iter()
            .map(|entry| (entry.value.id, entry.value.clone()))
            .collect();
        let mut entries: BTreeMap<AlertId, Entry<Alert>> =
            open.into_iter().map(|entry| (entry.value.id, entry)).collect();
        let mut by_rule = step::by_rule(entries.values().map(|entry| entry.value.clone()).collect());
        let mut changes = Vec::new();
        let rules = std::mem::take(&mut self.rules);
        for rule in &rules {
            let of_rule = by_rule.remove(&rule.id).unwrap_or_default();
            let measured = match self.measured(rule, facts, &of_rule).await {
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
        self.rules = rules;
        for rest in by_rule.values() {
            changes.extend(step::of_no_rule(rest, facts));
        }
        for some in changes.chunks(TOGETHER) {
            for (id, alert) in self.commit(some, &mut entries).await? {
                match alert.filter(|alert| !alert.state.is_resolved()) {
                    Some(alert) => drop(now_open.insert(id, alert)),
                    None => drop(now_open.remove(&id)),
                }
            }
        }
        Ok(now_open)
    }

    /// What the history says of a rule. It is not asked more often than its window deserves: of very many hosts that is dear.
    async fn measured(
        &mut self,
        rule: &AlertRule,
        facts: &Facts,
        open: &[Alert],
    ) -> AppResult<Option<Measured>> {
        let pace = match rule.spec.condition {
            Condition::Metric { window_s, .. } | Condition::DiskFull { window_s, .. } => {
                Duration::from_secs(u64::from(window_s) / 10).clamp(EVERY, MEASURED_EVERY)
            }
            _ => return Ok(None),
        };
        if let Some((at, version, measured)) = self.measured.get_mut(&rule.id)
            && facts.now.since(*at) < pace
            && *version == rule.updated_at
        {
            measured.now_open(open);
            return Ok(Some(measured.clone()));
        }
        let measured = self.app.measure(rule, facts, open).await?;
        if let Some(measured) = &measured {
            let entry = (facts.now, rule.updated_at, measured.clone());
            self.measured.insert(rule.id, entry);
        }
        Ok(measured)
    }

    /// Writes what changes, and gives what became of it: of each alert how it is now, or that it is not any more.
    async fn commit(
        &self,
        changes: &[Change],
        entries: &mut BTreeMap<AlertId, Entry<Alert>>,
    ) -> AppResult<Vec<(AlertId, Option<Alert>)>> {
        const OP: &str = "alerts";
        let mut txn = Txn::new();
        let (mut became, mut said) = (Vec::new(), Vec::new());
        for change in changes {
            match change {
                Change::New(alert) => {
                    let mut alert = (**alert).clone();
                    alert.id = self.app.new_alert_id()?;
                    txn = create(txn, OP, keys::alert(self.org, alert.id), &alert)?;
                    txn = txn.put(keys::alert_open(self.org, alert.id), Vec::new());
                    became.push((alert.id, Some(alert.clone())));
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
                    became.push((alert.id, Some((**alert).clone())));
                    if was.value.state.name() != alert.state.name() {
                        said.push((**alert).clone());
                    }
                }
                Change::Dropped(id) => {
                    let Some(was) = entries.remove(id) else { continue };
                    txn = txn.expect(was.key.clone(), was.expect()).delete(was.key.clone());
                    txn = txn.delete(keys::alert_open(self.org, *id));
                    became.push((*id, None));
                }
            }
        }
        match self.app.commit(OP, txn).await {
            // Somebody acknowledged one of them at this moment: the next look sees it.
            Err(error) if error.wants_fresh_read() => return Ok(Vec::new()),
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
        Ok(became)
    }
}

/// Whether hosts or groups may be others than before.
const fn changes_fleet(kind: &FleetEventKind) -> bool {
    matches!(
        kind,
        FleetEventKind::AgentEnrolled { .. }
            | FleetEventKind::AgentChanged { .. }
            | FleetEventKind::AgentRemoved { .. }
            | FleetEventKind::GroupChanged { .. }
            | FleetEventKind::GroupDeleted { .. }
    )
}
