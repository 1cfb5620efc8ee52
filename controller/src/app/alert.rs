//! Alerts: what is wrong, as people see it, and what the task that moves them reads.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::sync::Notify;
use windflow_api::{AlertAcknowledge, AlertQuery, AlertView, Page};
use windflow_model::{
    AgentId, AgentRecord, Alert, AlertId, AlertRule, FleetEventKind, Group, OrgId, Presence, Silence,
    Timestamp, alert::Acknowledgement, rollout::Person,
};
use windflow_store::{Entry, Key, Txn};
use windflow_transport::{identity, tls::LiveCertificate};

use super::{
    App, AppError, AppResult,
    alerting::{
        Facts, Fleet, covering,
        measured::{self, Measured},
    },
    db::replace,
    keys, lock,
    records::AgentKey,
    stack::{bad_cursor, limit_of},
};
use crate::context::OpContext;

/// Longest note of an acknowledgement, in characters.
const NOTE: usize = 500;
/// Alerts looked at for one page.
const LOOKED_AT: usize = 5_000;
/// Ended alerts that are kept, and for how long.
const KEPT: usize = 10_000;
const KEPT_FOR: Duration = Duration::from_secs(90 * 86_400);
/// Ended alerts that are looked at together.
const TOGETHER: usize = 100;

/// What alerting needs to know of the controller itself.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Rules, silences or channels have changed.
    look: Notify,
    url: OnceLock<String>,
    certificate: OnceLock<(Arc<LiveCertificate>, Duration)>,
}

impl App {
    /// Where people reach this controller, for links. Only the first call counts.
    pub fn know_url(&self, url: String) {
        let _known = self.0.alerting.url.set(url);
    }

    /// The controller's own certificate, and how long those of hosts live. Only the first call counts.
    pub fn know_certificates(&self, own: Arc<LiveCertificate>, life: Duration) {
        let _known = self.0.alerting.certificate.set((own, life));
    }

    /// How long certificates of hosts live, if that is known.
    pub(crate) fn certificate_life(&self) -> Option<Duration> {
        self.0.alerting.certificate.get().map(|(_, life)| *life)
    }

    /// The page of alerts; empty if the controller does not know where it is.
    pub(crate) fn alerts_url(&self) -> String {
        let url = self.0.alerting.url.get();
        url.map(|url| format!("{}/alerts", url.trim_end_matches('/')))
            .unwrap_or_default()
    }

    /// Rules, silences or channels have changed: alerts are looked at at once.
    pub(crate) fn alerting_changed(&self) {
        self.0.alerting.look.notify_one();
        self.publish(FleetEventKind::AlertingChanged);
    }

    pub(crate) async fn alerting_wanted(&self) {
        self.0.alerting.look.notified().await;
    }

    /// Hosts and groups.
    pub(crate) async fn alerting_fleet(&self, org: OrgId) -> AppResult<Fleet> {
        const OP: &str = "alerts";
        let hosts = self.all::<AgentRecord>(OP, &keys::agents(org)).await?;
        let groups = self.all::<Group>(OP, &keys::groups(org)).await?;
        let hosts = hosts.into_iter().map(|entry| (entry.value.id, entry.value));
        let groups = groups.into_iter().map(|entry| (entry.value.id, entry.value));
        Ok(Fleet {
            hosts: Arc::new(hosts.collect()),
            groups: Arc::new(groups.collect()),
        })
    }

    /// What rules are judged by, but for certificates of hosts.
    pub(crate) async fn alerting_facts(&self, org: OrgId, fleet: Fleet) -> AppResult<Facts> {
        let own = self.0.alerting.certificate.get();
        let own = own.and_then(|(live, _)| identity::not_after(live.chain().first()?).ok());
        Ok(Facts {
            now: self.now(),
            started: self.now(),
            fleet,
            presences: self.presences(org).await?,
            containers: lock(&self.0.containers).clone(),
            certificates: BTreeMap::new(),
            own_certificate: own,
        })
    }

    /// Until when the newest certificate of each host is good.
    pub(crate) async fn certificates(&self, org: OrgId) -> AppResult<BTreeMap<AgentId, Timestamp>> {
        let all = self.all::<AgentKey>("alerts", &keys::agent_keys(org)).await?;
        let until = all.into_iter().filter_map(|entry| {
            let agent = entry.key.last().parse().ok()?;
            Some((agent, entry.value.certificate_until?))
        });
        Ok(until.collect())
    }

    /// What the history says of a rule about metrics; `None` of others. Only hosts that are connected are asked about.
    pub(crate) async fn measure(
        &self,
        rule: &AlertRule,
        facts: &Facts,
        open: &[Alert],
    ) -> AppResult<Option<Measured>> {
        let Some(question) = measured::question(&rule.spec.condition, facts.now) else {
            return Ok(None);
        };
        let there = |agent: &AgentId| matches!(facts.presences.get(agent), Some(Presence::Connected { .. }));
        let agents = facts
            .of(rule.spec.targets.as_ref())
            .map(|host| host.id)
            .filter(there);
        let agents: Vec<_> = agents.collect();
        let open = open.iter().map(|alert| alert.subject.clone()).collect();
        let telemetry = self.telemetry().clone();
        let asked =
            windflow_kit::blocking::run(move || measured::ask(&telemetry, &question, &agents, open)).await;
        let measured = asked.map_err(AppError::internal("alerts"))?;
        measured.map(Some).map_err(AppError::internal("alerts"))
    }

    /// Alerts that are pending or fire.
    pub(crate) async fn alerts_open(&self, org: OrgId) -> AppResult<Vec<Entry<Alert>>> {
        const OP: &str = "alerts";
        let open = self.keys_below(OP, &keys::alerts_open(org)).await?;
        let open = open.iter().filter_map(|key| key.last().parse().ok());
        let open = open.map(|id| keys::alert(org, id)).collect();
        let found = self.find_each::<Alert>(OP, open).await?.into_iter().flatten();
        Ok(found.filter(|entry| !entry.value.state.is_resolved()).collect())
    }

    /// Alerts, the newest first.
    ///
    /// # Errors
    /// A state that is none, or a cursor that is not one of ours.
    pub async fn alert_list(&self, op: &OpContext, query: &AlertQuery) -> AppResult<Page<AlertView>> {
        let limit = limit_of(query.limit)?;
        if let Some(state) = &query.state
            && !["open", "pending", "firing", "resolved"].contains(&state.as_str())
        {
            return Err(AppError::bad(format!(
                "state: {state:?} is none; there are open, pending, firing, resolved"
            )));
        }
        let cursor: Option<AlertId> = match query.cursor.as_deref() {
            Some(text) => Some(text.parse().map_err(|_| bad_cursor())?),
            None => None,
        };
        let wanted = |alert: &Alert| fits(query, alert);
        let (found, next) = if matches!(query.state.as_deref(), Some("open" | "pending" | "firing")) {
            let mut open: Vec<_> = self
                .alerts_open(op.org)
                .await?
                .into_iter()
                .map(|entry| entry.value)
                .collect();
            open.sort_by_key(|alert| std::cmp::Reverse(alert.id));
            open.retain(|alert| wanted(alert) && cursor.is_none_or(|cursor| alert.id < cursor));
            let more = open.len() > limit;
            open.truncate(limit);
            let next = open.last().map(|alert| alert.id).filter(|_| more);
            (open, next)
        } else {
            self.alerts_past(op.org, cursor, limit, wanted).await?
        };
        let items = self.alert_views(op.org, found).await?;
        Ok(Page {
            items,
            next_cursor: next.map(|id| id.to_string()),
        })
    }

    async fn alerts_past(
        &self,
        org: OrgId,
        cursor: Option<AlertId>,
        limit: usize,
        wanted: impl Fn(&Alert) -> bool + Send,
    ) -> AppResult<(Vec<Alert>, Option<AlertId>)> {
        let mut after = cursor.map(|id| keys::alert(org, id));
        let (mut found, mut looked_at) = (Vec::new(), 0);
        loop {
            let page = self
                .page::<Alert>("alert_list", &keys::alerts(org), after.as_ref(), limit)
                .await?;
            after = page.next;
            for entry in page.entries {
                looked_at += 1;
                let last = entry.value.id;
                if wanted(&entry.value) {
                    found.push(entry.value);
                }
                if found.len() >= limit || looked_at >= LOOKED_AT {
                    return Ok((found, Some(last)));
                }
            }
            if after.is_none() {
                return Ok((found, None));
            }
        }
    }

    async fn alert_views(&self, org: OrgId, alerts: Vec<Alert>) -> AppResult<Vec<AlertView>> {
        let silences = self.all::<Silence>("alert_list", &keys::silences(org)).await?;
        let now = self.now();
        let silences: Vec<_> = silences
            .into_iter()
            .map(|entry| entry.value)
            .filter(|silence| silence.until(now).is_some())
            .collect();
        let mut facts = Facts {
            now,
            ..Facts::default()
        };
        // Which hosts are meant is asked only where a silence names any.
        if silences.iter().any(|silence| silence.matcher.targets.is_some()) {
            facts.fleet = self.alerting_fleet(org).await?;
        }
        let view = |alert: Alert| AlertView {
            silenced: if alert.state.is_resolved() {
                Vec::new()
            } else {
                covering(&silences, &alert, &facts)
            },
            alert,
        };
        Ok(alerts.into_iter().map(view).collect())
    }

    async fn need_alert(&self, op: &'static str, org: OrgId, id: AlertId) -> AppResult<Entry<Alert>> {
        let found = self.find(op, &keys::alert(org, id)).await?;
        found.ok_or_else(|| AppError::not_found(format!("alert {id}")))
    }

    /// One alert.
    ///
    /// # Errors
    /// There is no such alert.
    pub async fn alert_view(&self, op: &OpContext, id: AlertId) -> AppResult<AlertView> {
        let alert = self.need_alert("alert_view", op.org, id).await?.value;
        let mut views = self.alert_views(op.org, vec![alert]).await?;
        views
            .pop()
            .ok_or_else(|| AppError::not_found(format!("alert {id}")))
    }

    /// Somebody knows of an alert (`Some`), or it is told of again (`None`).
    ///
    /// # Errors
    /// No such alert, one that has ended, or a note that is too long.
    pub async fn alert_acknowledge(
        &self,
        op: &OpContext,
        id: AlertId,
        says: Option<AlertAcknowledge>,
    ) -> AppResult<AlertView> {
        const OP: &str = "alert_acknowledge";
        let note = says.as_ref().map(|says| says.note.trim().to_owned());
        if note.as_ref().is_some_and(|note| note.chars().count() > NOTE) {
            return Err(AppError::bad(format!("note: at most {NOTE} characters")));
        }
        self.retry(|| async {
            let was = self.need_alert(OP, op.org, id).await?;
            if was.value.state.is_resolved() {
                return Err(AppError::conflict(
                    format!("alert {id} has ended already"),
                    "There is nothing left to do about it.",
                ));
            }
            let acknowledged = note.as_ref().map(|note| Acknowledgement {
                by: Person {
                    user: op.user,
                    name: op.user_name.clone(),
                },
                at: self.now(),
                note: note.clone(),
            });
            let alert = Alert {
                acknowledged,
                ..was.value.clone()
            };
            let txn = replace(Txn::new(), OP, &was, &alert)?;
            let act = if note.is_some() { OP } else { "alert_unacknowledge" };
            let txn = self.audited(txn, op, act, id, format!("{} {}", alert.rule_name, alert.host))?;
            self.commit(OP, txn).await.map(drop)
        })
        .await?;
        self.alerting_changed();
        self.alert_view(op, id).await
    }

    /// Removes what ended long ago, and of what has ended what is more than is kept.
    pub(crate) async fn alerts_sweep(&self, org: OrgId) -> AppResult<()> {
        const OP: &str = "alerts_sweep";
        let open = self.keys_below(OP, &keys::alerts_open(org)).await?;
        let open: HashSet<String> = open.iter().map(Key::last).collect();
        let all = self.keys_below(OP, &keys::alerts(org)).await?;
        let now = self.now();
        // The newest are the first. One that is young by its id cannot have ended long ago.
        let judged = all.into_iter().enumerate().filter(|(place, key)| {
            let Some(id) = keys::alert_of(key) else {
                return false;
            };
            let age = id.made_at().map_or(Duration::ZERO, |at| now.since(at));
            (*place >= KEPT || age >= KEPT_FOR) && !open.contains(&id.to_string())
        });
        let judged: Vec<_> = judged.collect();
        for some in judged.chunks(TOGETHER) {
            let wanted = some.iter().map(|(_, key)| key.clone()).collect();
            let found = self.find_each::<Alert>(OP, wanted).await?;
            let mut txn = Txn::new();
            for ((place, key), entry) in some.iter().zip(found) {
                let ended = entry.and_then(|entry| entry.value.state.ended());
                if ended.is_some_and(|at| *place >= KEPT || now.since(at) >= KEPT_FOR) {
                    txn = txn.delete(key.clone());
                }
            }
            if !txn.ops().is_empty() {
                self.commit(OP, txn).await?;
            }
        }
        Ok(())
    }
}

fn fits(query: &AlertQuery, alert: &Alert) -> bool {
    let state = match query.state.as_deref() {
        None => true,
        Some("open") => !alert.state.is_resolved(),
        Some(name) => alert.state.name() == name,
    };
    state
        && query.severity.is_none_or(|least| alert.severity >= least)
        && query.agent.is_none_or(|agent| alert.subject.agent == Some(agent))
        && query
            .stack
            .as_ref()
            .is_none_or(|stack| alert.subject.stack == *stack)
        && query.rule.is_none_or(|rule| alert.rule == rule)
}
