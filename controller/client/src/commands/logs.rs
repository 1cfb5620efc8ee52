//! Log lines of a stack, or of any containers of hosts.

use std::{
    collections::BTreeMap,
    io::{BufWriter, Write},
};

use futures_util::FutureExt as _;
use windflow_api::{LogFrame, LogParams};
use windflow_model::{AgentId, LogEvent, LogSource, StackId, printable};

mod search;

use super::{Session, agent_names, meant::meant};
use crate::{
    cli::LogsArgs,
    error::{Error, Result},
    http::Client,
    live::LogFeed,
    output::{Format, note},
};

/// Colours of the prefixes, by order of appearance.
const COLORS: [u8; 6] = [36, 33, 32, 35, 34, 31];

/// `windflow logs`.
pub(super) async fn run(session: &Session<'_>, args: LogsArgs) -> Result<()> {
    let client = session.client()?;
    let (params, stack, searches) = params(session, &client, &args).await?;
    let names = agent_names(&client).await?;
    let feed = match stack {
        Some(stack) => client.stack_logs(stack, &params).await,
        None => client.fleet_logs(&params).await,
    };
    let mut feed = feed?;
    if searches && !params.follow {
        return search::print(session, &names, &params, &mut feed).await;
    }
    let mut out = BufWriter::with_capacity(64 << 10, std::io::stdout());
    match print(session, &names, &args, &mut feed, &mut out).await? {
        End::Cut => Err(Error::failed("not all logs could be read")),
        // The reader of our pipe has had enough.
        End::Whole | End::Unread => Ok(()),
    }
}

/// What is asked, of which stack that the controller knows, and whether it is a search.
async fn params(
    session: &Session<'_>,
    client: &Client,
    args: &LogsArgs,
) -> Result<(LogParams, Option<StackId>, bool)> {
    let stack = match &args.stack {
        Some(text) => Some(client.stack_find(text).await?.stack.id),
        None => None,
    };
    let hosts = meant(
        client,
        args.on.as_deref(),
        args.selector.as_ref(),
        args.group.as_deref(),
    );
    let hosts = hosts.await?;
    let list = |items: &[String]| (!items.is_empty()).then(|| items.join(","));
    let search = &args.search;
    let mut params = LogParams {
        agent: hosts.agent,
        selector: hosts.selector,
        group: hosts.group,
        stack: None,
        service: list(&args.service),
        container: list(&args.container),
        tail: args.tail.0,
        follow: args.follow,
        since: args.since.map(|when| when.before(session.out.now)),
        until: args.until.map(|when| when.before(session.out.now)),
        source: args.source.as_deref().map(|source| match source {
            "stderr" => LogSource::Stderr,
            _ => LogSource::Stdout,
        }),
        timestamps: args.timestamps || session.out.format == Format::Json,
        search: search.search.clone(),
        regex: search.regex.clone(),
        case_sensitive: search.case_sensitive,
        level: search.level,
        field: list(&search.field.iter().map(ToString::to_string).collect::<Vec<_>>()),
        limit: search.limit,
    };
    let search = params.search().map_err(|error| Error::usage(error.to_string()))?;
    // Of lines of many times and places, the time is what orders them.
    params.timestamps |= search.is_some();
    Ok((params, stack, search.is_some()))
}

/// How a feed ended.
enum End {
    /// All lines are printed.
    Whole,
    /// A host broke off.
    Cut,
    /// Nobody reads what is printed.
    Unread,
}

async fn print(
    session: &Session<'_>,
    names: &BTreeMap<AgentId, String>,
    args: &LogsArgs,
    feed: &mut LogFeed,
    out: &mut impl Write,
) -> Result<End> {
    let mut seen: Vec<String> = Vec::new();
    let mut cut = false;
    loop {
        let ready = feed.next().now_or_never();
        // Shown as soon as nothing more is ready: a write for each line would be slow. Notes and the end go to another
        // stream, and must not come before the lines they follow.
        let line_ready =
            matches!(&ready, Some(Ok(Some(frame))) if matches!(frame.event, LogEvent::Line { .. }));
        if !line_ready && out.flush().is_err() {
            return Ok(End::Unread);
        }
        let next = match ready {
            Some(next) => next?,
            None => feed.next().await?,
        };
        let Some(frame) = next else {
            return Ok(if cut { End::Cut } else { End::Whole });
        };
        cut |= matches!(&frame.event, LogEvent::End { reason } if reason != LogEvent::COMPLETE);
        let line = match session.out.format {
            Format::Json => {
                serde_json::to_string(&frame).map_err(|error| Error::failed(error.to_string()))?
            }
            Format::Table => {
                let host = names.get(&frame.agent).map_or("?", String::as_str);
                match line(
                    host,
                    names.len() > 1,
                    &frame,
                    args.timestamps,
                    session.out.color,
                    &mut seen,
                ) {
                    Some(line) => line,
                    None => continue,
                }
            }
        };
        if writeln!(out, "{line}").is_err() {
            return Ok(End::Unread);
        }
    }
}

fn line(
    host: &str,
    many: bool,
    frame: &LogFrame,
    timestamps: bool,
    color: bool,
    seen: &mut Vec<String>,
) -> Option<String> {
    match &frame.event {
        LogEvent::Line {
            container, at, text, ..
        } => {
            let mut prefix = if many {
                format!("{host}/{container}")
            } else {
                container.clone()
            };
            let place = seen.iter().position(|known| *known == prefix).unwrap_or_else(|| {
                seen.push(prefix.clone());
                seen.len() - 1
            });
            if color {
                let code = COLORS.get(place % COLORS.len()).copied().unwrap_or(0);
                prefix = format!("\u{1b}[{code}m{prefix}\u{1b}[0m");
            }
            let text = printable(text, color);
            match at.filter(|_| timestamps) {
                Some(at) => Some(format!("{prefix} | {at} {text}")),
                None => Some(format!("{prefix} | {text}")),
            }
        }
        LogEvent::Gap { lost: 0, reason, .. } => {
            note(&format!("{host}: {reason}"));
            None
        }
        LogEvent::Gap { lost, reason, .. } => {
            note(&format!("{host}: {lost} lines are missing here ({reason})"));
            None
        }
        LogEvent::Searched(_) => None,
        LogEvent::End { reason } => {
            if reason != LogEvent::COMPLETE {
                note(&format!("{host}: {reason}"));
            }
            None
        }
    }
}
