//! `events` and `stats`: what happens to containers, and what they use.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal as _},
    sync::Arc,
};

use futures_util::{StreamExt as _, future::join_all};
use serde_json::json;
use windflow_compose::collect::IntoMap as _;
use windflow_engine::{
    plan::labels,
    targets::{Target, Told, ToldQuery, ToldScope, Usage},
};
use windflow_model::{ContainerState, ContainerSummary, Timestamp};

use super::{
    Context, Result,
    act::is_of,
    args::{EventsArgs, StatsArgs},
    project::Project,
    session::{failed, signals, target},
    show::{self, columns},
};
use crate::failure::CommandError;

/// `events`.
pub(super) async fn events(context: &Context, args: EventsArgs) -> Result<()> {
    let project = context.load_lenient(args.project, &args.services)?;
    let query = ToldQuery {
        scope: ToldScope::Project(project.name.to_string()),
        since: show::moment(args.since.as_deref(), &context.clock)?,
        until: show::moment(args.until.as_deref(), &context.clock)?,
    };
    let mut events = target(&context.caller)?.told(query).await.map_err(failed)?;
    let mut signals = signals()?;
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            _ = signals.next() => return Ok(()),
        };
        let Some(event) = event else { return Ok(()) };
        if let Some(line) = line(&event.map_err(failed)?, &args.services, args.json) {
            show::data(&line)?;
        }
    }
}

/// As docker compose prints it; nothing for one-off containers and other services.
fn line(event: &Told, services: &[String], json: bool) -> Option<String> {
    let label = |name: &str| event.attributes.get(name).map(String::as_str);
    let service = label(labels::SERVICE).unwrap_or_default();
    let other = !services.is_empty() && !services.iter().any(|name| name == service);
    if other || label(labels::ONEOFF) == Some("True") {
        return None;
    }
    let own = event.attributes.iter();
    let own: BTreeMap<&String, &String> = own
        .filter(|(name, _)| !name.starts_with("com.docker.compose."))
        .into_map();
    let (seconds, nanos) = (
        event.at.div_euclid(1_000_000_000),
        event.at.rem_euclid(1_000_000_000),
    );
    let second = Timestamp::from_millis(seconds.saturating_mul(1000)).to_string();
    let second = second.get(..19).unwrap_or_default();
    if json {
        let nanos = format!("{nanos:09}");
        let time = format!("{second}.{}", nanos.trim_end_matches('0'));
        let object = json!({
            "action": event.action, "attributes": own, "id": event.container, "service": service,
            "time": format!("{}Z", time.trim_end_matches('.')), "type": "container",
        });
        return Some(format!("{object}\n"));
    }
    let attributes: Vec<String> = own
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let (time, micros) = (second.replace('T', " "), nanos / 1000);
    let (action, id) = (&event.action, &event.container);
    Some(format!(
        "{time}.{micros:06} container {action} {id} ({})\n",
        attributes.join(", ")
    ))
}

/// `stats`.
pub(super) async fn stats(context: &Context, args: StatsArgs) -> Result<()> {
    let project = context.load_lenient(args.project.clone(), &args.services)?;
    let target = target(&context.caller)?;
    let mut signals = signals()?;
    loop {
        let measured = tokio::select! {
            measured = measure(&target, &project, &args) => measured?,
            _ = signals.next() => return Ok(()),
        };
        if !args.no_stream && args.format == "table" && io::stdout().is_terminal() {
            show::data("\u{1b}[2J\u{1b}[H")?;
        }
        show::data(&table(&measured, &args)?)?;
        if args.no_stream {
            return Ok(());
        }
    }
}

type Measured = Vec<(ContainerSummary, Usage)>;

async fn measure(target: &Arc<dyn Target>, project: &Project, args: &StatsArgs) -> Result<Measured> {
    let mut list = target.containers().await.map_err(failed)?;
    list.retain(|container| {
        is_of(project, &args.services, container) && (args.all || container.state == ContainerState::Running)
    });
    list.sort_by(|a, b| a.name.cmp(&b.name));
    if list.is_empty() && !args.no_stream {
        return Err(CommandError::failed(format!(
            "no container of {} runs",
            project.name
        )));
    }
    let asked = list.into_iter().map(|container| async move {
        // One that is gone meanwhile uses nothing.
        let usage = target.usage(&container.id).await.unwrap_or_default();
        (container, usage)
    });
    Ok(join_all(asked).await)
}

fn table(measured: &Measured, args: &StatsArgs) -> Result<String> {
    let rows = measured.iter().map(|(container, usage)| {
        let id = if args.no_trunc {
            Some(container.id.as_str())
        } else {
            container.id.get(..12)
        };
        [
            id.unwrap_or_default().to_owned(),
            container.name.clone(),
            format!("{:.2}%", usage.cpu),
            format!(
                "{} / {}",
                size(usage.memory, BINARY),
                size(usage.memory_limit, BINARY)
            ),
            format!("{:.2}%", share(usage.memory, usage.memory_limit)),
            format!(
                "{} / {}",
                size(usage.received, DECIMAL),
                size(usage.sent, DECIMAL)
            ),
            format!("{} / {}", size(usage.read, DECIMAL), size(usage.written, DECIMAL)),
            usage.tasks.to_string(),
        ]
    });
    if args.format == "json" {
        let lines = rows.zip(measured).map(
            |([id, name, cpu, memory, part, net, disk, tasks], (container, _))| {
                let object = json!({
                    "BlockIO": disk, "CPUPerc": cpu, "Container": container.id, "ID": id, "MemPerc": part,
                    "MemUsage": memory, "Name": name, "NetIO": net, "PIDs": tasks,
                });
                format!("{object}\n")
            },
        );
        return Ok(lines.collect());
    }
    Ok(columns(
        [
            "CONTAINER ID",
            "NAME",
            "CPU %",
            "MEM USAGE / LIMIT",
            "MEM %",
            "NET I/O",
            "BLOCK I/O",
            "PIDS",
        ],
        rows.collect(),
    ))
}

pub(super) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64 * 100.0
    }
}

/// Units with their base and the digits that are shown.
pub(super) type Units = (f64, i32, [&'static str; 6]);
pub(super) const BINARY: Units = (1024.0, 4, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]);
pub(super) const DECIMAL: Units = (1000.0, 3, ["B", "kB", "MB", "GB", "TB", "PB"]);

/// As the docker command writes sizes: so many digits that count, without noughts at the end.
pub(super) fn size(bytes: u64, (base, digits, units): Units) -> String {
    let (mut value, mut names) = (bytes as f64, units.into_iter());
    let mut unit = names.next().unwrap_or_default();
    while value >= base {
        let Some(next) = names.next() else { break };
        value /= base;
        unit = next;
    }
    let before = if value >= 1.0 {
        value.log10().floor() as i32 + 1
    } else {
        1
    };
    let after = usize::try_from(digits - before).unwrap_or(0);
    let text = format!("{value:.after$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_as_docker_does() {
        let check = |bytes: u64, units: Units, text: &str| assert_eq!(size(bytes, units), text, "{bytes}");
        check(0, DECIMAL, "0B");
        check(736, DECIMAL, "736B");
        check(1_136, DECIMAL, "1.14kB");
        check(1_100, DECIMAL, "1.1kB");
        check(123_456, DECIMAL, "123kB");
        check(5_000_000_000, DECIMAL, "5GB");
        check(741_376, BINARY, "724KiB");
        check(25_275_000_000, BINARY, "23.54GiB");
        check(1_047_527_424, BINARY, "999MiB");
        check(1_048_576_000, BINARY, "1000MiB");
    }

    #[test]
    fn events_are_written_as_docker_compose_does() {
        let labels = [
            ("com.docker.compose.service", "web"),
            ("com.docker.compose.project", "shop"),
            ("image", "busybox"),
            ("name", "shop-web-1"),
        ];
        let event = |more: &[(&str, &str)], at: i64| Told {
            kind: "container".to_owned(),
            at,
            action: "die".to_owned(),
            container: "abc".to_owned(),
            attributes: labels
                .iter()
                .chain(more)
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        };
        let at = 1_795_300_946_053_024_710;
        let check = |event: Told, services: &[&str], json: bool, text: Option<&str>| {
            let services: Vec<String> = services.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(line(&event, &services, json).as_deref(), text);
        };
        let plain =
            "2026-11-21 22:42:26.053024 container die abc (exitCode=137, image=busybox, name=shop-web-1)\n";
        let object = "{\"action\":\"die\",\"attributes\":{\"image\":\"busybox\",\"name\":\"shop-web-1\"},\"id\":\"abc\",\"service\":\"web\",\"time\":\"2026-11-21T22:42:26.05302471Z\",\"type\":\"container\"}\n";
        check(event(&[("exitCode", "137")], at), &[], false, Some(plain));
        check(
            event(&[("exitCode", "137")], at),
            &["db", "web"],
            false,
            Some(plain),
        );
        check(event(&[], at), &[], true, Some(object));
        check(event(&[], at), &["db"], true, None);
        check(
            event(&[("com.docker.compose.oneoff", "True")], at),
            &[],
            true,
            None,
        );
    }
}
