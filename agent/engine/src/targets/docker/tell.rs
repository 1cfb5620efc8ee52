//! Events, use of the host, and containers as a whole: over connections of their own.

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body_util::Full;
use hyper::Request;
use serde_json::{Value, json};

use super::{
    DockerTarget,
    error::refused,
    events::{Event, QUIET},
    execute::short,
    wire,
};
use crate::{
    plan::labels,
    targets::{Commit, Stream, TargetError, Told, ToldQuery, ToldScope, Usage},
};

pub(super) async fn told(target: &DockerTarget, query: ToldQuery) -> Result<Stream<Told>, TargetError> {
    let filters = match query.scope {
        ToldScope::All => json!({ "type": ["container", "image", "volume", "network"] }),
        ToldScope::Project(name) => {
            json!({ "type": ["container"], "label": [format!("{}={name}", labels::PROJECT)] })
        }
    };
    let filters = filters.to_string();
    let times = [("since", query.since), ("until", query.until)]
        .map(|(name, at)| at.map(|at| (name, wire::time(at))));
    let mut pairs = vec![("filters", filters.as_str())];
    pairs.extend(times.iter().flatten().map(|(name, at)| (*name, at.as_str())));
    let request = Request::get(format!("/events{}", wire::query(pairs)));
    let messages = wire::messages(target, request, Full::<Bytes>::default(), "read events", QUIET).await?;
    let events = stream::try_unfold(messages, |mut messages| async move {
        let next: Option<Event> = messages.next().await?;
        Ok(next.map(|event| (event_of(event), messages)))
    });
    Ok(events.boxed())
}

/// The shortest question that an engine answers.
pub(super) async fn ping(target: &DockerTarget) -> Result<(), TargetError> {
    let what = "ask the engine for a sign of life";
    let (status, answer) = wire::get(target, "/_ping", what).await?;
    if status.is_success() {
        return Ok(());
    }
    Err(refused(what, status.as_u16(), &answer))
}

fn event_of(event: Event) -> Told {
    let seconds = || event.time.saturating_mul(1_000_000_000);
    Told {
        at: Some(event.time_nano)
            .filter(|nanos| *nanos != 0)
            .unwrap_or_else(seconds),
        kind: event.kind,
        action: event.action,
        container: event.actor.id,
        attributes: event.actor.attributes.unwrap_or_default(),
    }
}

pub(super) async fn usage(target: &DockerTarget, container: &str) -> Result<Usage, TargetError> {
    let what = format!("measure container {}", short(container));
    let path = format!("/containers/{container}/stats?stream=false");
    let (status, answer) = wire::get(target, &path, &what).await?;
    if !status.is_success() {
        return Err(refused(&what, status.as_u16(), &answer));
    }
    Ok(usage_of(&serde_json::from_slice(&answer).unwrap_or_default()))
}

/// By the formulas of the docker command.
fn usage_of(stats: &Value) -> Usage {
    let number = |path: &str| stats.pointer(path).and_then(Value::as_u64);
    let get = |path: &str| number(path).unwrap_or(0);
    let delta =
        |path: &str| get(&format!("/cpu_stats/{path}")).saturating_sub(get(&format!("/precpu_stats/{path}")));
    let (used, host) = (delta("cpu_usage/total_usage"), delta("system_cpu_usage"));
    let counted = stats
        .pointer("/cpu_stats/cpu_usage/percpu_usage")
        .and_then(Value::as_array);
    let processors = number("/cpu_stats/online_cpus")
        .filter(|count| *count > 0)
        .or_else(|| u64::try_from(counted?.len()).ok())
        .unwrap_or(1);
    let memory = get("/memory_stats/usage");
    // Files that could be dropped at any time: by the old hierarchy's name or the new one's.
    let files = number("/memory_stats/stats/total_inactive_file")
        .or_else(|| number("/memory_stats/stats/inactive_file"));
    let files = files.filter(|files| *files < memory).unwrap_or(0);
    let networks = || {
        stats
            .pointer("/networks")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
    };
    let of_networks = |key: &str| networks().filter_map(|(_, one)| one.get(key)?.as_u64()).sum();
    let disks = stats
        .pointer("/blkio_stats/io_service_bytes_recursive")
        .and_then(Value::as_array);
    let of_disks = |op: &str| {
        let named = |one: &&Value| {
            one.get("op")
                .and_then(Value::as_str)
                .is_some_and(|name| name.eq_ignore_ascii_case(op))
        };
        disks
            .into_iter()
            .flatten()
            .filter(named)
            .filter_map(|one| one.get("value")?.as_u64())
            .sum()
    };
    Usage {
        cpu: if used > 0 && host > 0 {
            used as f64 / host as f64 * processors as f64 * 100.0
        } else {
            0.0
        },
        memory: memory - files,
        memory_limit: get("/memory_stats/limit"),
        received: of_networks("rx_bytes"),
        sent: of_networks("tx_bytes"),
        read: of_disks("read"),
        written: of_disks("write"),
        tasks: get("/pids_stats/current"),
    }
}

pub(super) async fn export(target: &DockerTarget, container: &str) -> Result<Stream<Bytes>, TargetError> {
    let what = format!("export container {}", short(container));
    let request = Request::get(format!("/containers/{container}/export"));
    wire::pieces(target, request, what, QUIET).await
}

pub(super) async fn commit(target: &DockerTarget, commit: Commit) -> Result<String, TargetError> {
    let what = format!("make an image of container {}", short(&commit.container));
    let name = commit.name.unwrap_or_default();
    let (repository, tag) = match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (name.as_str(), ""),
    };
    let mut pairs = vec![
        ("container", commit.container.as_str()),
        ("repo", repository),
        ("tag", tag),
        ("author", commit.author.as_str()),
        ("comment", commit.message.as_str()),
        ("pause", if commit.pause { "1" } else { "0" }),
    ];
    pairs.extend(commit.changes.iter().map(|line| ("changes", line.as_str())));
    let path = format!("/commit{}", wire::query(pairs));
    let (status, answer) = wire::post(target, &path, &json!({}), &what).await?;
    if !status.is_success() {
        return Err(refused(&what, status.as_u16(), &answer));
    }
    let made: Value = serde_json::from_slice(&answer).unwrap_or_default();
    Ok(made
        .get("Id")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_the_docker_command() {
        let check = |stats: Value, usage: Usage| assert_eq!(usage_of(&stats), usage, "{stats}");
        check(json!({}), Usage::default());
        let whole = json!({
            "cpu_stats": { "cpu_usage": { "total_usage": 3_000 }, "system_cpu_usage": 20_000, "online_cpus": 4 },
            "precpu_stats": { "cpu_usage": { "total_usage": 1_000 }, "system_cpu_usage": 10_000 },
            "memory_stats": { "usage": 5_000, "limit": 9_000, "stats": { "inactive_file": 2_000 } },
            "networks": { "a": { "rx_bytes": 1, "tx_bytes": 2 }, "b": { "rx_bytes": 10, "tx_bytes": 20 } },
            "blkio_stats": { "io_service_bytes_recursive": [
                { "op": "Read", "value": 3 }, { "op": "write", "value": 4 }, { "op": "read", "value": 5 }
            ] },
            "pids_stats": { "current": 6 }
        });
        let usage = Usage {
            cpu: 80.0,
            memory: 3_000,
            memory_limit: 9_000,
            received: 11,
            sent: 22,
            read: 8,
            written: 4,
            tasks: 6,
        };
        check(whole, usage);
        // The first figures after a start have nothing to be compared with; the old hierarchy has another name.
        check(
            json!({
                "cpu_stats": { "cpu_usage": { "total_usage": 3_000, "percpu_usage": [1, 2] }, "system_cpu_usage": 6_000 },
                "memory_stats": { "usage": 5_000, "stats": { "inactive_file": 1, "total_inactive_file": 9_000 } }
            }),
            Usage {
                cpu: 100.0,
                memory: 5_000,
                ..Usage::default()
            },
        );
    }
}
