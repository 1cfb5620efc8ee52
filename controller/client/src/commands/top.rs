//! What hosts and containers use.

use std::{
    collections::BTreeMap,
    io::{IsTerminal as _, Write as _},
};

use comfy_table::Cell;
use windflow_api::{HostMetrics, MetricsQuery};
use windflow_model::{AgentId, metrics::ContainerUsage};

use super::Session;
use crate::{
    cli::TopArgs,
    error::{Error, Exit, Result},
    output::{Format, Output, Tone},
};

/// `windflow top`.
pub(super) async fn run(session: &Session<'_>, args: TopArgs) -> Result<()> {
    let client = session.client()?;
    let mut agents = Vec::new();
    for name in &args.on {
        agents.push(client.agent_find(name).await?.record.id.to_string());
    }
    let query = MetricsQuery {
        agent: (!agents.is_empty()).then(|| agents.join(",")),
        label: (!args.on_label.is_empty()).then(|| args.on_label.join(",")),
        detail: args.containers || session.out.format == Format::Json,
        every_ms: None,
    };
    let hosts = client.metrics_list(&query).await?;
    if args.no_stream {
        session.out.none(
            hosts.is_empty(),
            "no host has measured anything since the controller started",
        );
        return session
            .out
            .show(&hosts, |out| table(out, hosts.iter(), args.containers));
    }
    let mut known: BTreeMap<AgentId, HostMetrics> =
        hosts.into_iter().map(|host| (host.agent, host)).collect();
    let every_ms = u32::try_from(args.every.as_millis()).unwrap_or(u32::MAX);
    let query = MetricsQuery {
        every_ms: Some(every_ms),
        ..query
    };
    let mut feed = client.metrics_live(&query).await?;
    while let Some(new) = feed.next().await {
        if session.out.format == Format::Json {
            for host in &new {
                let line = serde_json::to_string(host);
                let line = line.map_err(|error| Error::failed(format!("cannot write JSON: {error}")))?;
                if !say(&format!("{line}\n")) {
                    return Ok(());
                }
            }
            continue;
        }
        known.extend(new.into_iter().map(|host| (host.agent, host)));
        let clear = if std::io::stdout().is_terminal() {
            "\u{1b}[2J\u{1b}[H"
        } else {
            ""
        };
        let mut shown: Vec<_> = known.values().collect();
        shown.sort_by(|a, b| a.name.cmp(&b.name));
        let text = table(&session.out, shown.into_iter(), args.containers);
        if !say(&format!("{clear}{text}\n")) {
            return Ok(());
        }
    }
    Err(Error::new(Exit::Unreachable, "the controller ended the feed")
        .hint("The same command opens it again."))
}

/// Whether anybody reads it.
fn say(text: &str) -> bool {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
}

fn table<'h>(out: &Output, hosts: impl Iterator<Item = &'h HostMetrics>, containers: bool) -> String {
    if containers {
        let rows = hosts.flat_map(|host| host.usage.containers.iter().map(|one| container(out, host, one)));
        let mut rows: Vec<_> = rows.collect();
        rows.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        let header = [
            "HOST",
            "CONTAINER",
            "STACK",
            "CPU",
            "MEMORY",
            "LIMIT",
            "NET IN/S",
            "NET OUT/S",
            "READ/S",
            "WRITTEN/S",
        ];
        return out.table(&header, rows.into_iter().map(|(_, row)| row).collect());
    }
    let header = [
        "HOST",
        "CPU",
        "LOAD",
        "MEMORY",
        "OF",
        "SWAP",
        "NET IN/S",
        "NET OUT/S",
        "READ/S",
        "WRITTEN/S",
        "AGE",
    ];
    out.table(&header, hosts.map(|host| row(out, host)).collect())
}

fn row(out: &Output, host: &HostMetrics) -> Vec<Cell> {
    let usage = &host.usage.host;
    let filled = usage.memory_used as f64 / (usage.memory_total.max(1)) as f64;
    let tone = |share: f64| match share {
        share if share >= 0.9 => Tone::Bad,
        share if share >= 0.7 => Tone::Busy,
        _ => Tone::Plain,
    };
    let age = if host.fresh { Tone::Plain } else { Tone::Bad };
    vec![
        Cell::new(&host.name),
        out.cell(percent(usage.cpu), tone(usage.cpu)),
        Cell::new(format!("{:.2}", usage.load[0])),
        out.cell(bytes(usage.memory_used as f64), tone(filled)),
        Cell::new(bytes(usage.memory_total as f64)),
        Cell::new(bytes(usage.swap_used as f64)),
        Cell::new(bytes(usage.network_received)),
        Cell::new(bytes(usage.network_sent)),
        Cell::new(bytes(usage.disk_read)),
        Cell::new(bytes(usage.disk_written)),
        out.cell(format!("{}s", host.age_ms / 1_000), age),
    ]
}

fn container(_: &Output, host: &HostMetrics, one: &ContainerUsage) -> (f64, Vec<Cell>) {
    let rate = |value: Option<f64>| value.map_or_else(|| "host".to_owned(), bytes);
    let limit = match one.memory_limit {
        0 => "none".to_owned(),
        limit => bytes(limit as f64),
    };
    let row = vec![
        Cell::new(&host.name),
        Cell::new(&one.name),
        Cell::new(&one.stack),
        Cell::new(percent(one.cpu)),
        Cell::new(bytes(one.memory as f64)),
        Cell::new(limit),
        Cell::new(rate(one.received)),
        Cell::new(rate(one.sent)),
        Cell::new(bytes(one.read)),
        Cell::new(bytes(one.written)),
    ];
    (one.cpu, row)
}

fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

/// `1.2 GiB`.
fn bytes(value: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut units) = (value, UNITS.into_iter());
    let mut unit = units.next().unwrap_or_default();
    while value >= 1_024.0 {
        let Some(next) = units.next() else { break };
        value /= 1_024.0;
        unit = next;
    }
    if unit == "B" {
        format!("{value:.0} B")
    } else {
        format!("{value:.1} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_people() {
        let check = |value: f64, text: &str| assert_eq!(bytes(value), text);
        check(0.0, "0 B");
        check(1_023.4, "1023 B");
        check(1_536.0, "1.5 KiB");
        check(25_281_761_280.0, "23.5 GiB");
        check(1e18, "909494.7 TiB");
        assert_eq!(percent(0.1234), "12.3%");
    }
}
