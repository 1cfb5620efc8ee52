//! `windflow-agent top`: the host and its containers, as the sampler sees them. Without an engine the host alone.

use std::{
    io::{self, IsTerminal as _},
    sync::Arc,
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior};
use windflow_engine::targets::Target;
use windflow_kit::Clock;
use windflow_model::metrics::{ContainerUsage, HostUsage, Sample, Usage};

use super::{
    Result,
    project::Caller,
    session::{signals, target},
    show::{self, columns},
    tell::{BINARY, DECIMAL, share, size},
};
use crate::{
    cli::TopArgs,
    failure::CommandError,
    sampler::{Sampler, SamplerOptions},
};

/// The list of containers is asked for again after this time.
const LIST: Duration = Duration::from_secs(5);
/// Between the two samples of one look.
const ONE_LOOK: Duration = Duration::from_secs(1);

/// `top`.
///
/// # Errors
/// The output cannot be written.
pub async fn top(args: TopArgs, clock: Clock, caller: &Caller) -> Result<()> {
    let mut sampler = SamplerOptions::of_this_host(clock).build();
    let engine = target(caller)
        .inspect_err(|error| eprintln_once(&error.message))
        .ok();
    let mut signals = signals()?;
    let every = if args.no_stream {
        ONE_LOOK
    } else {
        args.every.max(ONE_LOOK / 5)
    };
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut listed, mut before): (Option<Instant>, Option<Sample>) = (None, None);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = signals.next() => return Ok(()),
        }
        if listed.is_none_or(|at| at.elapsed() >= LIST) {
            follow(&mut sampler, engine.as_ref(), listed.is_none()).await;
            listed = Some(Instant::now());
        }
        let now = sampler.sample();
        let Some(before) = before.replace(now.clone()) else {
            continue;
        };
        show(&Usage::between(Some(&before), &now), &args)?;
        if args.no_stream {
            return Ok(());
        }
    }
}

async fn follow(sampler: &mut Sampler, engine: Option<&Arc<dyn Target>>, first: bool) {
    let Some(engine) = engine else { return };
    match engine.containers().await {
        Ok(list) => sampler.watch_containers(&list),
        Err(error) if first => eprintln_once(&error.failure().message),
        // What was known goes on being measured.
        Err(_) => {}
    }
}

/// A host without an engine is still a host.
fn eprintln_once(why: &str) {
    use io::Write as _;
    // A stderr that is gone takes nothing away from the output.
    let _ = writeln!(io::stderr(), "no containers are shown: {why}");
}

fn show(usage: &Usage, args: &TopArgs) -> Result<()> {
    if args.json {
        let line = serde_json::to_string(usage).map_err(|error| CommandError::failed(error.to_string()))?;
        return show::data(&format!("{line}\n"));
    }
    let mut text = String::new();
    if !args.no_stream && io::stdout().is_terminal() {
        text.push_str("\u{1b}[2J\u{1b}[H");
    }
    text.push_str(&host(&usage.host));
    text.push_str(&containers(&usage.containers));
    show::data(&text)
}

fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

fn per_second(bytes: f64) -> String {
    // Rates are above zero and far below 2^63.
    format!("{}/s", size(bytes.round() as u64, DECIMAL))
}

fn part(used: u64, all: u64) -> String {
    format!("{} / {}", size(used, BINARY), size(all, BINARY))
}

fn host(host: &HostUsage) -> String {
    let [one, five, fifteen] = host.load;
    let row = [
        percent(host.cpu),
        format!("{one:.2} {five:.2} {fifteen:.2}"),
        part(host.memory_used, host.memory_total),
        part(host.swap_used, host.swap_total),
        format!(
            "{} / {}",
            per_second(host.disk_read),
            per_second(host.disk_written)
        ),
        format!(
            "{} / {}",
            per_second(host.network_received),
            per_second(host.network_sent)
        ),
        host.tasks.to_string(),
    ];
    let header = [
        "HOST CPU",
        "LOAD",
        "MEMORY",
        "SWAP",
        "DISK R / W",
        "NET IN / OUT",
        "TASKS",
    ];
    format!("{}\n", columns(header, vec![row]))
}

fn containers(all: &[ContainerUsage]) -> String {
    let mut all: Vec<_> = all.iter().collect();
    all.sort_by(|a, b| b.cpu.total_cmp(&a.cpu).then_with(|| a.name.cmp(&b.name)));
    let rows = all.into_iter().map(|one| {
        let network = match (one.received, one.sent) {
            (Some(received), Some(sent)) => format!("{} / {}", per_second(received), per_second(sent)),
            _ => "host".to_owned(),
        };
        let (limit, filled) = match one.memory_limit {
            0 => ("no limit".to_owned(), "-".to_owned()),
            limit => (size(limit, BINARY), format!("{:.1}%", share(one.memory, limit))),
        };
        [
            one.id.clone(),
            one.name.clone(),
            percent(one.cpu),
            format!("{} / {limit}", size(one.memory, BINARY)),
            filled,
            network,
            format!("{} / {}", per_second(one.read), per_second(one.written)),
            one.tasks.to_string(),
        ]
    });
    let header = [
        "CONTAINER ID",
        "NAME",
        "CPU %",
        "MEM USAGE / LIMIT",
        "MEM %",
        "NET IN / OUT",
        "DISK R / W",
        "TASKS",
    ];
    columns(header, rows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown() {
        let usage = HostUsage {
            cpu: 0.125,
            load: [0.5, 0.25, 0.1],
            memory_total: 8 << 30,
            memory_used: 2 << 30,
            disk_read: 1_000.4,
            ..HostUsage::default()
        };
        let text = host(&usage);
        assert!(
            text.contains("12.5%     0.50 0.25 0.10  2GiB / 8GiB  0B / 0B  1kB/s / 0B/s"),
            "{text}"
        );
        let one = |name: &str, cpu: f64| ContainerUsage {
            id: "4f3c2b1a0f9e".to_owned(),
            name: name.to_owned(),
            stack: String::new(),
            service: String::new(),
            cpu,
            throttled: 0.0,
            memory: 1 << 20,
            memory_limit: if cpu > 1.0 { 4 << 20 } else { 0 },
            read: 0.0,
            written: 0.0,
            received: (cpu > 1.0).then_some(5.0),
            sent: (cpu > 1.0).then_some(5.0),
            tasks: 3,
        };
        let text = containers(&[one("calm", 0.0), one("busy", 1.5)]);
        let lines: Vec<_> = text.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "4f3c2b1a0f9e  busy  150.0%  1MiB / 4MiB        25.0%  5B/s / 5B/s   0B/s / 0B/s  3",
                "4f3c2b1a0f9e  calm  0.0%    1MiB / no limit    -      host          0B/s / 0B/s  3",
            ]
        );
    }
}
