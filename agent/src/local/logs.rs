//! `logs`: what containers say, and searches in it.

use std::{
    io::{self, IsTerminal as _},
    sync::{Mutex, PoisonError},
};

use futures_util::StreamExt as _;
use windflow_engine::EngineHandle;
use windflow_model::{
    LogEvent, LogQuery, LogSearch, LogSearched, LogSource, SearchBound, Timestamp, printable,
};

use super::{
    Context, Result,
    args::LogsArgs,
    session::Session,
    show::{data, moment, note},
};
use crate::failure::CommandError;

/// `logs`.
pub(super) async fn run(context: &Context, args: LogsArgs) -> Result<()> {
    let stack = if args.search.everywhere {
        None
    } else {
        let project = context.load_lenient(args.project.clone(), &args.services)?;
        Some(project.name.to_string())
    };
    let search = search(&args)?;
    let until = moment(args.until.as_deref(), &context.clock)?;
    let query = LogQuery {
        stack,
        services: args.services.clone(),
        tail: args.tail.0,
        follow: args.follow,
        since: moment(args.since.as_deref(), &context.clock)?,
        until: until.filter(|_| search.is_some() && !args.follow),
        search,
        ..LogQuery::default()
    };
    let style = LogStyle {
        index: args.index,
        until,
        ..LogStyle::new(args.timestamps, args.no_color, args.no_log_prefix)
    };
    let session = Session::open(context, false).await?;
    let result = session.until_signal(show(&session.engine, query, &style)).await;
    session.close(result).await
}

fn search(args: &LogsArgs) -> Result<Option<LogSearch>> {
    let args = &args.search;
    let search = LogSearch {
        texts: args.search.iter().cloned().collect(),
        regex: args.regex.clone(),
        case_sensitive: args.case_sensitive,
        level: args.level,
        fields: args.field.clone(),
        limit: args.limit.unwrap_or(0),
    };
    if !search.is_asked() {
        return Ok(None);
    }
    let checked = search.matcher();
    checked.map_err(|error| CommandError::usage(error.to_string()))?;
    Ok(Some(search))
}

async fn show(engine: &EngineHandle, query: LogQuery, style: &LogStyle) -> Result<()> {
    let limit = query
        .search
        .as_ref()
        .filter(|_| !query.follow)
        .map(|search| search.enough());
    let mut events = engine.logs(query).await?;
    let mut found = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            LogEvent::Line {
                container,
                source,
                at,
                text,
                ..
            } => match limit {
                Some(_) => found.push((at, container, source, text)),
                None => style.line(&container, source, at, &text)?,
            },
            LogEvent::Gap { lost: 0, reason, .. } => note(&reason),
            LogEvent::Gap { lost, reason, .. } => note(&format!("{lost} lines are missing here ({reason})")),
            LogEvent::Searched(searched) => {
                // They came newest first; those of one moment stay in their order.
                found.reverse();
                found.sort_by_key(|(at, ..)| *at);
                let limit = limit
                    .and_then(|limit| usize::try_from(limit).ok())
                    .unwrap_or(usize::MAX);
                for (at, container, source, text) in found.drain(found.len().saturating_sub(limit)..) {
                    style.line(&container, source, at, &text)?;
                }
                tell(&searched);
            }
            LogEvent::End { .. } => {}
        }
    }
    Ok(())
}

fn tell(searched: &LogSearched) {
    let from = searched
        .complete_from
        .map_or_else(String::new, |at| format!(" older than {at}"));
    let stopped = match searched.stopped_by {
        None => return,
        Some(SearchBound::Matches) => "there are as many matches as were asked for".to_owned(),
        Some(SearchBound::Bytes) => format!("{} MB of logs were read", searched.bytes / 1_000_000),
        Some(SearchBound::Time) => "a search takes no longer".to_owned(),
    };
    note(&format!(
        "{stopped}: lines{from} may match, too (--until, --since or --limit reach them)"
    ));
}

/// How lines of containers are printed.
#[derive(Debug)]
pub(super) struct LogStyle {
    timestamps: bool,
    color: bool,
    prefix: bool,
    index: Option<u32>,
    until: Option<Timestamp>,
    seen: Mutex<Vec<String>>,
}

impl LogStyle {
    pub(super) fn new(timestamps: bool, no_color: bool, no_prefix: bool) -> Self {
        Self {
            timestamps,
            color: !no_color && io::stdout().is_terminal(),
            prefix: !no_prefix,
            index: None,
            until: None,
            seen: Mutex::default(),
        }
    }

    /// Prints a line: standard output's on stdout, errors on stderr.
    pub(super) fn line(
        &self,
        container: &str,
        source: LogSource,
        at: Option<Timestamp>,
        text: &str,
    ) -> Result<()> {
        let other = self
            .index
            .is_some_and(|index| !container.ends_with(&format!("-{index}")));
        if other || (self.until.is_some() && at > self.until) {
            return Ok(());
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let place = seen
            .iter()
            .position(|known| known == container)
            .unwrap_or_else(|| {
                seen.push(container.to_owned());
                seen.len() - 1
            });
        drop(seen);
        let time = at
            .filter(|_| self.timestamps)
            .map_or_else(String::new, |at| format!("{at} "));
        let prefix = match (self.prefix, self.color) {
            (false, _) => String::new(),
            (true, false) => format!("{container}  | "),
            (true, true) => format!("\u{1b}[{}m{container}\u{1b}[0m  | ", 31 + place % 6),
        };
        let text = printable(text, self.color);
        let line = format!("{prefix}{time}{text}");
        if source == LogSource::Stderr {
            note(&line);
            return Ok(());
        }
        data(&format!("{line}\n"))
    }
}
