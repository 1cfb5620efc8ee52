//! Rules of alerts.

use std::collections::BTreeMap;

use windflow_api::{Page, PageQuery, RulePreview, RuleSight, RuleView};
use windflow_model::{
    AlertRule, OrgId, RuleId, Timestamp,
    alert::{Condition, RuleSpec, Seen},
};
use windflow_store::{Entry, Txn};

use super::{
    App, AppError, AppResult,
    agent::agent_name,
    alerting::{self, measured},
    db::{create, hold, put, replace},
    idempotency::IdempotencyKey,
    keys,
    records::{Made, NameHolder, RulesMade},
    stack::{page_of, same_version},
};
use crate::context::OpContext;

mod standard;

/// Rules of an organisation.
const MOST: usize = 500;
/// Longest note, in characters.
const NOTE: usize = 4_096;
/// A week, the longest patience, in seconds.
const PATIENCE: u32 = 604_800;
/// Channels and kinds of events that a rule may name.
const NAMED: usize = 50;
/// Subjects that a preview lists.
const SIGHTS: usize = 200;

impl App {
    /// Makes a rule.
    ///
    /// # Errors
    /// A name that is taken, a number out of its range, something named that does not exist, or too many rules.
    pub async fn rule_create(
        &self,
        op: &OpContext,
        spec: RuleSpec,
        key: Option<&IdempotencyKey>,
    ) -> AppResult<RuleView> {
        const OP: &str = "rule_create";
        let spec = self.rule_fits(op, spec).await?;
        if self.keys_below(OP, &keys::rules(op.org)).await?.len() >= MOST {
            return Err(AppError::conflict(
                format!("there are {MOST} rules already"),
                "Delete some that are not needed any more.",
            ));
        }
        let id = self.new_rule_id()?;
        let made = self
            .retry(|| async {
                if let Some(Made::Rule(before)) = self.made_before(key).await? {
                    return Ok(before);
                }
                if self.rule_name_taken(op.org, id, &spec.name).await? {
                    return Ok(id);
                }
                let now = self.now();
                let rule = AlertRule {
                    id,
                    spec: spec.clone(),
                    since: now,
                    created_at: now,
                    updated_at: now,
                    updated_by: Some(op.user),
                };
                let txn = create(Txn::new(), OP, keys::rule(op.org, id), &rule)?;
                let txn = hold(txn, OP, keys::rule_name(op.org, &spec.name), id)?;
                let txn = self.remember(txn, OP, key, || Made::Rule(id))?;
                let txn = self.audited(txn, op, OP, id, format!("rule {}", spec.name))?;
                self.commit(OP, txn).await?;
                Ok(id)
            })
            .await?;
        self.alerting_changed();
        self.rule_view(op, made).await
    }

    /// Whether the name is held by this rule already; an error if it is by another one.
    async fn rule_name_taken(&self, org: OrgId, id: RuleId, name: &str) -> AppResult<bool> {
        let held = self
            .find::<NameHolder>("rule_name", &keys::rule_name(org, name))
            .await?;
        match held {
            None => Ok(false),
            Some(held) if held.value.id == id.to_string() => Ok(true),
            Some(held) => Err(AppError::conflict(
                format!("the name {name:?} is taken by rule {}", held.value.id),
                "Choose another name, or change that rule.",
            )),
        }
    }

    async fn rule_fits(&self, op: &OpContext, mut spec: RuleSpec) -> AppResult<RuleSpec> {
        spec.name = agent_name(&spec.name)?;
        in_range(&spec).map_err(AppError::bad)?;
        measured::check(&spec.condition).map_err(AppError::bad)?;
        if let Some(targets) = &spec.targets {
            self.meant(op, targets).await?;
        }
        if let Condition::DeploymentFailed { stack: Some(stack) }
        | Condition::RolloutFailed { stack: Some(stack) } = &spec.condition
        {
            self.need_stack("rule", op.org, *stack).await?;
        }
        for channel in &spec.channels {
            self.need_channel("rule", op.org, *channel).await?;
        }
        Ok(spec)
    }

    pub(crate) async fn need_rule(
        &self,
        op: &'static str,
        org: OrgId,
        id: RuleId,
    ) -> AppResult<Entry<AlertRule>> {
        let found = self.find(op, &keys::rule(org, id)).await?;
        found.ok_or_else(|| AppError::not_found(format!("rule {id}")))
    }

    /// Rules in the order of their creation.
    ///
    /// # Errors
    /// A cursor that is not one of ours.
    pub async fn rule_list(&self, op: &OpContext, query: &PageQuery) -> AppResult<Page<RuleView>> {
        let (after, limit) = page_of(query, |id: RuleId| keys::rule(op.org, id))?;
        let page = self
            .page("rule_list", &keys::rules(op.org), after.as_ref(), limit)
            .await?;
        let counts = self.rule_counts(op.org).await?;
        Ok(Page {
            items: page
                .entries
                .into_iter()
                .map(|entry| view(entry, &counts))
                .collect(),
            next_cursor: page.next.map(|key| key.last()),
        })
    }

    /// Alerts of each rule: pending, firing.
    async fn rule_counts(&self, org: OrgId) -> AppResult<BTreeMap<RuleId, (u32, u32)>> {
        let mut counts = BTreeMap::<_, (u32, u32)>::new();
        for entry in self.alerts_open(org).await? {
            let (pending, firing) = counts.entry(entry.value.rule).or_default();
            *if entry.value.state.is_firing() {
                firing
            } else {
                pending
            } += 1;
        }
        Ok(counts)
    }

    /// One rule.
    ///
    /// # Errors
    /// There is no such rule.
    pub async fn rule_view(&self, op: &OpContext, id: RuleId) -> AppResult<RuleView> {
        let entry = self.need_rule("rule_view", op.org, id).await?;
        Ok(view(entry, &self.rule_counts(op.org).await?))
    }

    /// Saves a rule. Its alerts go on, unless it is about something else now: then they end.
    ///
    /// # Errors
    /// No such rule, another version than `version`, or as [`App::rule_create`].
    pub async fn rule_update(
        &self,
        op: &OpContext,
        id: RuleId,
        version: u64,
        spec: RuleSpec,
    ) -> AppResult<RuleView> {
        const OP: &str = "rule_update";
        let was = self.need_rule(OP, op.org, id).await?;
        same_version("rule", Some(version), was.version)?;
        let spec = self.rule_fits(op, spec).await?;
        let now = self.now();
        let rule = AlertRule {
            since: if about(&spec.condition) == about(&was.value.spec.condition) {
                was.value.since
            } else {
                now
            },
            updated_at: now,
            updated_by: Some(op.user),
            spec,
            ..was.value.clone()
        };
        let mut txn = replace(Txn::new(), OP, &was, &rule)?;
        let (name, before) = (&rule.spec.name, &was.value.spec.name);
        if name != before && !self.rule_name_taken(op.org, id, name).await? {
            txn = txn.delete(keys::rule_name(op.org, before));
            txn = hold(txn, OP, keys::rule_name(op.org, name), id)?;
        }
        let txn = self.audited(txn, op, OP, id, format!("rule {name}"))?;
        match self.commit(OP, txn).await {
            // Not tried again: the caller said which version it means.
            Err(error) if error.wants_fresh_read() => {
                let now = self.need_rule(OP, op.org, id).await?;
                if now.value != rule {
                    same_version("rule", Some(version), now.version)?;
                    return Err(error);
                }
            }
            result => drop(result?),
        }
        self.alerting_changed();
        self.rule_view(op, id).await
    }

    /// Deletes a rule. Its alerts end.
    ///
    /// # Errors
    /// There is no such rule.
    pub async fn rule_delete(&self, op: &OpContext, id: RuleId) -> AppResult<()> {
        const OP: &str = "rule_delete";
        self.retry(|| async {
            let was = self.need_rule(OP, op.org, id).await?;
            let name = &was.value.spec.name;
            let txn = Txn::new()
                .expect(was.key.clone(), was.expect())
                .delete(was.key.clone());
            let txn = txn.delete(keys::rule_name(op.org, name));
            let txn = self.audited(txn, op, OP, id, format!("rule {name}"))?;
            self.commit(OP, txn).await.map(drop)
        })
        .await?;
        self.alerting_changed();
        Ok(())
    }

    /// What a rule would see at this moment. Deployments, rollouts, restarts and events are not looked at: they are followed by
    /// rules that are there.
    ///
    /// # Errors
    /// As [`App::rule_create`], but for the name.
    pub async fn rule_preview(&self, op: &OpContext, mut spec: RuleSpec) -> AppResult<RulePreview> {
        if spec.name.trim().is_empty() {
            "preview".clone_into(&mut spec.name);
        }
        let spec = self.rule_fits(op, spec).await?;
        if matches!(
            spec.condition,
            Condition::DeploymentFailed { .. }
                | Condition::RolloutFailed { .. }
                | Condition::ContainerRestarts { .. }
                | Condition::Event { .. }
        ) {
            return Err(AppError::bad(format!(
                "condition: {} cannot be tried out: it is judged by what happens from now on",
                spec.condition.name()
            )));
        }
        let now = self.now();
        let rule = AlertRule {
            id: self.new_rule_id()?,
            spec,
            since: now,
            created_at: now,
            updated_at: now,
            updated_by: Some(op.user),
        };
        let mut facts = self
            .alerting_facts(op.org, self.alerting_fleet(op.org).await?)
            .await?;
        // As if the controller had run for long: those that are away are.
        facts.started = Timestamp::default();
        facts.certificates = self.certificates(op.org).await?;
        let measured = self.measure(&rule, &facts, &[]).await?;
        let sights = alerting::observe(&rule, &facts, &alerting::Followed::default(), measured.as_ref());
        let count = |wanted: Seen| {
            let found = sights.values().filter(|sight| sight.seen == wanted).count();
            u32::try_from(found).unwrap_or(u32::MAX)
        };
        let (holds, clear, unknown) = (count(Seen::Holds), count(Seen::Clear), count(Seen::Unknown));
        let mut sights: Vec<_> = sights
            .into_iter()
            .map(|(subject, sight)| RuleSight {
                host: facts.host_name(subject.agent),
                subject,
                holds: match sight.seen {
                    Seen::Holds => Some(true),
                    Seen::Clear => Some(false),
                    Seen::Unknown | Seen::Ended(_) => None,
                },
                value: sight.value,
                summary: sight.summary,
            })
            .collect();
        sights.sort_by_key(|sight| {
            (
                std::cmp::Reverse(sight.holds),
                sight.host.clone(),
                sight.subject.clone(),
            )
        });
        sights.truncate(SIGHTS);
        Ok(RulePreview {
            holds,
            clear,
            unknown,
            sights,
        })
    }

    /// Makes the rules that WindFlow brings along, once: who deletes them does not get them again.
    pub(crate) async fn rules_bring(&self, org: OrgId) -> AppResult<()> {
        const OP: &str = "rules_bring";
        if self
            .find::<RulesMade>(OP, &keys::rules_made(org))
            .await?
            .is_some()
        {
            return Ok(());
        }
        let now = self.now();
        let mut txn = create(Txn::new(), OP, keys::rules_made(org), &RulesMade { at: now })?;
        for spec in standard::rules(self.certificate_life()) {
            let id = self.new_rule_id()?;
            txn = hold(txn, OP, keys::rule_name(org, &spec.name), id)?;
            let rule = AlertRule {
                id,
                spec,
                since: now,
                created_at: now,
                updated_at: now,
                updated_by: None,
            };
            txn = put(txn, OP, keys::rule(org, id), &rule)?;
        }
        match self.commit(OP, txn).await {
            // Somebody has made a rule of one of these names: then they know what they want.
            Err(error) if error.wants_fresh_read() => {
                let txn = create(Txn::new(), OP, keys::rules_made(org), &RulesMade { at: now })?;
                self.commit(OP, txn).await.map(drop)
            }
            result => result.map(drop),
        }
    }
}

fn view(entry: Entry<AlertRule>, counts: &BTreeMap<RuleId, (u32, u32)>) -> RuleView {
    let (pending, firing) = counts.get(&entry.value.id).copied().unwrap_or_default();
    RuleView {
        version: entry.version,
        rule: entry.value,
        pending,
        firing,
    }
}

/// What a condition is about, without its thresholds.
fn about(condition: &Condition) -> String {
    match condition {
        Condition::Metric {
            metric,
            function,
            key,
            containers,
            compare,
            ..
        } => {
            format!("metric {metric} {function} {key} {containers:?} {compare:?}")
        }
        Condition::ContainerUnhealthy { containers }
        | Condition::ContainerDown { containers }
        | Condition::ContainerRestarts { containers, .. } => format!("{} {containers:?}", condition.name()),
        Condition::DeploymentFailed { stack } | Condition::RolloutFailed { stack } => {
            format!("{} {stack:?}", condition.name())
        }
        Condition::Event {
            kinds, containers, ..
        } => format!("event {kinds:?} {containers:?}"),
        other => other.name().to_owned(),
    }
}

/// Whether the numbers of a rule are in their ranges.
fn in_range(spec: &RuleSpec) -> Result<(), String> {
    let within = |what: &str, value: u32, range: std::ops::RangeInclusive<u32>| {
        if range.contains(&value) {
            Ok(())
        } else {
            Err(format!(
                "{what}: {value} is not between {} and {}",
                range.start(),
                range.end()
            ))
        }
    };
    within("for_s", spec.for_s, 0..=PATIENCE)?;
    within("clear_s", spec.clear_s, 0..=PATIENCE)?;
    if spec.note.chars().count() > NOTE {
        return Err(format!("note: at most {NOTE} characters"));
    }
    if spec.channels.len() > NAMED {
        return Err(format!("channels: at most {NAMED}"));
    }
    match &spec.condition {
        Condition::Metric { window_s, .. } => within("condition.window_s", *window_s, 30..=86_400),
        Condition::DiskFull { window_s, within_s } => {
            within("condition.window_s", *window_s, 600..=86_400)?;
            within("condition.within_s", *within_s, 600..=2_592_000)
        }
        Condition::ContainerRestarts { times, within_s, .. } => {
            within("condition.times", *times, 2..=100)?;
            within("condition.within_s", *within_s, 60..=86_400)
        }
        Condition::CertificateExpiry { within_s } => within("condition.within_s", *within_s, 60..=31_536_000),
        Condition::Event { kinds, hold_s, .. } => {
            if kinds.is_empty() || kinds.len() > NAMED || kinds.iter().any(String::is_empty) {
                return Err(format!(
                    "condition.kinds: name 1 to {NAMED} kinds of events, e.g. container.out_of_memory"
                ));
            }
            // An alert about alerts would feed itself.
            if kinds.iter().any(|kind| kind.starts_with("alert")) {
                return Err("condition.kinds: alerts themselves cannot be the reason of alerts".to_owned());
            }
            within("condition.hold_s", *hold_s, 60..=86_400)
        }
        _ => Ok(()),
    }
}
