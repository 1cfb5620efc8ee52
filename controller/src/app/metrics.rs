//! What hosts measure, as people ask for it.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::time::{Interval, MissedTickBehavior};
use windflow_api::{HostMetrics, MetricsHistory, MetricsHistoryQuery, MetricsQuery, MetricsSeries, Page};
use windflow_model::{AgentId, AgentRecord, OrgId, Timestamp};

use super::{App, AppError, AppResult, keys};
use crate::{
    context::OpContext,
    telemetry::{
        AskError, Newest, Question, STALE, Series,
        measure::{MADE, Measure},
        query::{Filter, Function, Steps},
    },
};

/// Most steps of an answer.
const MOST_STEPS: i64 = 11_000;
/// Most series of an answer.
const MOST_SERIES: usize = 5_000;
/// Fastest and slowest pace of a live feed in milliseconds.
const EVERY_MS: std::ops::RangeInclusive<u32> = 1_000..=10_000;
/// Hosts that one reader may have at another pace than the usual one.
const MOST_FAST: usize = 100;
/// The hosts are asked for their pace again after this time, for three times as long.
const RENEW: Duration = Duration::from_secs(10);

impl App {
    /// The newest of hosts, by name. Hosts that said nothing since the start are left out.
    ///
    /// # Errors
    /// No such host, or a label that is none.
    pub async fn metrics_list(&self, op: &OpContext, query: &MetricsQuery) -> AppResult<Page<HostMetrics>> {
        let hosts = self
            .selected(op.org, query.agent.as_deref(), query.label.as_deref())
            .await?;
        let detail = query.detail || query.agent.is_some() && hosts.len() == 1;
        let mut items: Vec<_> = hosts
            .iter()
            .filter_map(|(agent, record)| Some(view(self.telemetry().newest(*agent)?, &record.name, detail)))
            .collect();
        items.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Page::whole(items))
    }

    /// The newest of one host.
    ///
    /// # Errors
    /// No such host, or it has not said anything since the controller started.
    pub async fn agent_metrics(&self, op: &OpContext, id: AgentId) -> AppResult<HostMetrics> {
        let record = self.need_agent("agent_metrics", op.org, id).await?.value;
        let newest = self.telemetry().newest(id);
        newest
            .map(|newest| view(newest, &record.name, true))
            .ok_or_else(|| AppError::not_found(format!("measurement of host {}", record.name)))
    }

    /// Names of all hosts, for `/metrics`.
    pub(crate) async fn host_names(&self, org: OrgId) -> AppResult<BTreeMap<AgentId, String>> {
        let hosts = self.selected(org, None, None).await?;
        Ok(hosts.into_iter().map(|(id, record)| (id, record.name)).collect())
    }

    /// Hosts by id and labels; all of them without either.
    async fn selected(
        &self,
        org: OrgId,
        agents: Option<&str>,
        labels: Option<&str>,
    ) -> AppResult<BTreeMap<AgentId, AgentRecord>> {
        let mut hosts = BTreeMap::new();
        if let Some(text) = agents {
            for word in text.split(',').map(str::trim) {
                let id: AgentId = word
                    .parse()
                    .map_err(|_| AppError::bad(format!("agent: {word:?} is no id of a host")))?;
                hosts.insert(id, self.need_agent("metrics", org, id).await?.value);
            }
        } else {
            let all = self.all::<AgentRecord>("metrics", &keys::agents(org)).await?;
            hosts.extend(all.into_iter().map(|entry| (entry.value.id, entry.value)));
        }
        if let Some(text) = labels {
            let mut wanted = Vec::new();
            for pair in text.split(',').map(str::trim) {
                let pair = pair.split_once('=');
                wanted.push(pair.ok_or_else(|| AppError::bad("label: use KEY=VALUE, several with commas"))?);
            }
            hosts.retain(|_, record| {
                let has =
                    |(key, value): &(&str, &str)| record.labels.get(*key).is_some_and(|held| held == value);
                wanted.iter().all(has)
            });
        }
        Ok(hosts)
    }

    /// Answers a question about the history.
    ///
    /// # Errors
    /// Words that mean nothing, times out of order, or an answer that would be too long.
    pub async fn metrics_query(
        &self,
        op: &OpContext,
        query: &MetricsHistoryQuery,
    ) -> AppResult<MetricsHistory> {
        let function = function(query.function.as_deref().unwrap_or("mean"))?;
        let measure = Measure::named(&query.metric).ok_or_else(|| {
            let made: Vec<_> = MADE.iter().map(|(name, _, _)| *name).collect();
            let message = format!(
                "metric: {:?} is none; there are {} and those of /metrics",
                query.metric,
                made.join(", ")
            );
            AppError::bad(message)
        })?;
        let steps = steps(query, self.now())?;
        let hosts = self
            .selected(op.org, query.agent.as_deref(), query.label.as_deref())
            .await?;
        let question = Question {
            measure,
            function,
            steps,
            filter: Filter {
                key: query.key.clone(),
                stack: query.stack.clone(),
                service: query.service.clone(),
            },
        };
        let by = By::named(query.by.as_deref().unwrap_or("series"))?;
        let combine = Combine::named(query.combine.as_deref(), &measure)?;
        let telemetry = self.telemetry().clone();
        let agents: Vec<_> = hosts.keys().copied().collect();
        let answered = windflow_kit::blocking::run(move || telemetry.ask(&question, &agents)).await;
        let series = answered
            .map_err(AppError::internal("metrics_query"))?
            .map_err(|error| match error {
                AskError::TooMuch => AppError::bad(error.to_string()),
                AskError::Read(_) => AppError::internal("metrics_query")(error),
            })?;
        let series = combined(series, &hosts, by, combine, function);
        if series.len() > MOST_SERIES {
            let message = format!(
                "{} series: ask for fewer hosts, or combine them with `by`",
                series.len()
            );
            return Err(AppError::bad(message));
        }
        Ok(MetricsHistory {
            metric: query.metric.clone(),
            function: query.function.clone().unwrap_or_else(|| "mean".to_owned()),
            from: Timestamp::from_millis(steps.from),
            step_s: u32::try_from(steps.step / 1_000).unwrap_or(u32::MAX),
            series,
        })
    }

    /// The newest of hosts as they come. While the stream is read they sample as often as it asks.
    ///
    /// # Errors
    /// As [`App::metrics_list`]; a pace out of range, or for too many hosts.
    pub async fn metrics_live(
        &self,
        op: &OpContext,
        query: &MetricsQuery,
    ) -> AppResult<BoxStream<'static, Vec<HostMetrics>>> {
        let every_ms = query.every_ms.unwrap_or(*EVERY_MS.end());
        if !EVERY_MS.contains(&every_ms) {
            return Err(AppError::bad(format!(
                "every_ms: {every_ms} is not between {} and {}",
                EVERY_MS.start(),
                EVERY_MS.end()
            )));
        }
        let hosts = self
            .selected(op.org, query.agent.as_deref(), query.label.as_deref())
            .await?;
        if every_ms < *EVERY_MS.end() && hosts.len() > MOST_FAST {
            let message = format!(
                "every_ms: at most {MOST_FAST} hosts may be watched faster than every 10 s; name them"
            );
            return Err(AppError::bad(message));
        }
        let every = Duration::from_millis(u64::from(every_ms));
        let mut beat = tokio::time::interval(every.min(Duration::from_secs(2)));
        beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut renew = tokio::time::interval(RENEW);
        renew.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let live = Live {
            app: self.clone(),
            org: op.org,
            query: query.clone(),
            hosts: hosts.into_iter().map(|(id, record)| (id, record.name)).collect(),
            every,
            seen: HashMap::new(),
            beat,
            renew,
        };
        Ok(stream::unfold(live, |mut live| async move { Some((live.next().await, live)) }).boxed())
    }
}

struct Live {
    app: App,
    org: OrgId,
    query: MetricsQuery,
    hosts: BTreeMap<AgentId, String>,
    every: Duration,
    /// What each host was last seen with.
    seen: HashMap<AgentId, Timestamp>,
    beat: Interval,
    renew: Interval,
}

impl Live {
    async fn next(&mut self) -> Vec<HostMetrics> {
        loop {
            tokio::select! {
                biased;
                _ = self.renew.tick() => self.watch().await,
                _ = self.beat.tick() => {
                    let new = self.unseen();
                    if !new.is_empty() {
                        return new;
                    }
                }
            }
        }
    }

    /// Asks the hosts for their pace, those that have joined meanwhile, too.
    async fn watch(&mut self) {
        let hosts = self
            .app
            .selected(self.org, self.query.agent.as_deref(), self.query.label.as_deref())
            .await;
        // A host that was named and is gone: the others go on.
        if let Ok(hosts) = hosts {
            self.hosts = hosts.into_iter().map(|(id, record)| (id, record.name)).collect();
        }
        let agents = self.hosts.keys().copied().collect();
        self.app
            .hosts()
            .watch_metrics(agents, self.every, RENEW * 3)
            .await;
    }

    fn unseen(&mut self) -> Vec<HostMetrics> {
        let detail = self.query.detail || self.query.agent.is_some() && self.hosts.len() == 1;
        let mut new = Vec::new();
        for (agent, name) in &self.hosts {
            let Some(newest) = self.app.telemetry().newest(*agent) else {
                continue;
            };
            if self.seen.insert(*agent, newest.usage.at) != Some(newest.usage.at) {
                new.push(view(newest, name, detail));
            }
        }
        new
    }
}

fn view(newest: Newest, name: &str, detail: bool) -> HostMetrics {
    let mut usage = newest.usage;
    if !detail {
        usage.containers.clear();
        usage.disks.clear();
        usage.filesystems.clear();
        usage.networks.clear();
        usage.temperatures.clear();
    }
    HostMetrics {
        agent: newest.agent,
        name: name.to_owned(),
        age_ms: u64::try_from(newest.age.as_millis()).unwrap_or(u64::MAX),
        fresh: newest.age <= STALE,
        lost: newest.lost,
        usage,
    }
}

pub(crate) fn function(word: &str) -> AppResult<Function> {
    Ok(match word {
        "mean" | "avg" | "rate" => Function::Mean,
        "max" => Function::Highest,
        "min" => Function::Lowest,
        "last" => Function::Last,
        "p50" => Function::Percentile(50),
        "p90" => Function::Percentile(90),
        "p95" => Function::Percentile(95),
        "p99" => Function::Percentile(99),
        other => {
            let message = format!(
                "function: {other:?} is none; there are mean, rate, max, min, last, p50, p90, p95, p99"
            );
            return Err(AppError::bad(message));
        }
    })
}

/// The steps of a question: whole multiples of the step, so that the same question gives the same steps.
fn steps(query: &MetricsHistoryQuery, now: Timestamp) -> AppResult<Steps> {
    let to = query.to.unwrap_or(now).as_millis();
    let from = query
        .from
        .map_or_else(|| to.saturating_sub(3_600_000), Timestamp::as_millis);
    if from >= to {
        return Err(AppError::bad("from: must be before `to`"));
    }
    let span = to.saturating_sub(from);
    let step = match query.step_s {
        Some(0) => return Err(AppError::bad("step_s: must be at least 1")),
        Some(step) => i64::from(step) * 1_000,
        None => (span / 100 / 1_000 * 1_000).max(10_000),
    };
    let begin = from.div_euclid(step) * step;
    let count = (to - begin + step - 1) / step;
    if count > MOST_STEPS {
        let message = format!("step_s: {count} steps are more than {MOST_STEPS}; make them longer");
        return Err(AppError::bad(message));
    }
    Ok(Steps {
        from: begin,
        step,
        count: usize::try_from(count).unwrap_or(0),
    })
}

/// What becomes one series.
#[derive(Clone, Copy)]
enum By {
    Series,
    Host,
    Stack,
    Service,
    All,
}

impl By {
    fn named(word: &str) -> AppResult<Self> {
        Ok(match word {
            "series" => Self::Series,
            "host" => Self::Host,
            "stack" => Self::Stack,
            "service" => Self::Service,
            "all" => Self::All,
            other => {
                let message = format!("by: {other:?} is none; there are series, host, stack, service, all");
                return Err(AppError::bad(message));
            }
        })
    }
}

/// How series become one.
#[derive(Clone, Copy)]
enum Combine {
    Sum,
    Mean,
    Highest,
}

impl Combine {
    fn named(word: Option<&str>, measure: &Measure) -> AppResult<Self> {
        Ok(match word {
            None if measure.is_share() => Self::Mean,
            None | Some("sum") => Self::Sum,
            Some("mean") => Self::Mean,
            Some("max") => Self::Highest,
            Some(other) => {
                let message = format!("combine: {other:?} is none; there are sum, mean, max");
                return Err(AppError::bad(message));
            }
        })
    }
}

fn combined(
    all: Vec<Series>,
    hosts: &BTreeMap<AgentId, AgentRecord>,
    by: By,
    combine: Combine,
    function: Function,
) -> Vec<MetricsSeries> {
    let name = |agent: AgentId| {
        hosts
            .get(&agent)
            .map(|record| record.name.clone())
            .unwrap_or_default()
    };
    let mut groups: BTreeMap<[String; 4], Vec<Series>> = BTreeMap::new();
    for series in all {
        let (agent, subject) = (series.agent.to_string(), &series.subject);
        let none = String::new;
        let key = match by {
            By::Series => [agent, subject.key.clone(), none(), none()],
            By::Host => [agent, none(), none(), none()],
            By::Stack => [none(), none(), subject.stack.clone(), none()],
            By::Service => [none(), none(), subject.stack.clone(), subject.service.clone()],
            By::All => Default::default(),
        };
        groups.entry(key).or_default().push(series);
    }
    let mut found: Vec<_> = groups
        .into_values()
        .filter_map(|group| {
            let values = Series::combine(&group, function, |values| fold(values, combine));
            let first = group.into_iter().next()?;
            let (one, subject) = (matches!(by, By::Series), first.subject);
            let agent = matches!(by, By::Series | By::Host).then_some(first.agent);
            let only = |text: String, kept: bool| if kept { text } else { String::new() };
            Some(MetricsSeries {
                host: agent.map(name).unwrap_or_default(),
                agent,
                key: only(subject.key, one),
                name: only(subject.name, one),
                stack: only(subject.stack, one || matches!(by, By::Stack | By::Service)),
                service: only(subject.service, one || matches!(by, By::Service)),
                values,
            })
        })
        .collect();
    found.sort_by(|a, b| {
        (&a.host, &a.stack, &a.service, &a.name, &a.key)
            .cmp(&(&b.host, &b.stack, &b.service, &b.name, &b.key))
    });
    found
}

fn fold(values: &[f64], combine: Combine) -> f64 {
    let sum: f64 = values.iter().sum();
    match combine {
        Combine::Sum => sum,
        Combine::Mean => sum / values.len().max(1) as f64,
        Combine::Highest => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    }
}
