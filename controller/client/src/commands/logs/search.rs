//! A search that ends: every host gives its newest matches, not in order; they are shown together, in the order of time.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
};

use windflow_api::{LogFrame, LogParams};
use windflow_model::{AgentId, LogEvent, LogSearch, LogSearched, SearchBound, Timestamp};

use super::{Session, line};
use crate::{
    error::{Error, Result},
    live::LogFeed,
    output::{Format, bytes, note},
};

/// What was found so far.
#[derive(Default)]
struct Found {
    /// With the place in the order of arrival, for lines of one moment.
    lines: Vec<(Option<Timestamp>, u64, LogFrame)>,
    arrived: u64,
    searched: Vec<(AgentId, LogSearched)>,
    /// Hosts, or containers of theirs, that could not be searched.
    failed: Vec<(AgentId, String)>,
    /// Matches that were left out because there are enough newer ones.
    older: u64,
}

pub(super) async fn print(
    session: &Session<'_>,
    names: &BTreeMap<AgentId, String>,
    params: &LogParams,
    feed: &mut LogFeed,
) -> Result<()> {
    let limit = usize::try_from(params.limit.unwrap_or(LogSearch::LIMIT)).unwrap_or(usize::MAX);
    let mut found = Found::default();
    while let Some(frame) = feed.next().await? {
        found.take(frame, limit);
    }
    found.cut(limit);
    let mut out = std::io::BufWriter::new(std::io::stdout());
    let (mut seen, color) = (Vec::new(), session.out.color);
    for (_, _, frame) in &mut found.lines {
        let text = match session.out.format {
            Format::Json => serde_json::to_string(frame).map_err(|error| Error::failed(error.to_string()))?,
            Format::Table => {
                let host = names.get(&frame.agent).map_or("?", String::as_str);
                if color && let LogEvent::Line { text, .. } = &mut frame.event {
                    *text = marked(text, params);
                }
                line(host, names.len() > 1, frame, true, color, &mut seen).unwrap_or_default()
            }
        };
        if writeln!(out, "{text}").is_err() {
            // The reader of our pipe has had enough.
            return Ok(());
        }
    }
    if session.out.format == Format::Json {
        for (agent, searched) in &found.searched {
            let frame = LogFrame {
                agent: *agent,
                event: LogEvent::Searched(searched.clone()),
            };
            let text = serde_json::to_string(&frame).map_err(|error| Error::failed(error.to_string()))?;
            if writeln!(out, "{text}").is_err() {
                return Ok(());
            }
        }
    }
    if out.flush().is_err() {
        return Ok(());
    }
    found.tell(names, limit);
    match found.failed.is_empty() {
        true => Ok(()),
        false => Err(Error::failed("not all logs could be searched")),
    }
}

impl Found {
    fn take(&mut self, frame: LogFrame, limit: usize) {
        match frame.event {
            LogEvent::Line { at, .. } => {
                self.arrived += 1;
                self.lines.push((at, self.arrived, frame));
                // Those of a few thousand hosts would be more than anybody reads.
                if self.lines.len() > limit.saturating_mul(2).max(4096) {
                    self.cut(limit);
                }
            }
            LogEvent::Gap { reason, .. } => self.failed.push((frame.agent, reason)),
            LogEvent::Searched(searched) => self.searched.push((frame.agent, searched)),
            LogEvent::End { reason } if reason != LogEvent::COMPLETE => {
                self.failed.push((frame.agent, reason))
            }
            LogEvent::End { .. } => {}
        }
    }

    /// Keeps the newest, in the order of time. Those of one moment came newest first.
    fn cut(&mut self, limit: usize) {
        self.lines
            .sort_by(|(at, number, _), (other, later, _)| at.cmp(other).then(later.cmp(number)));
        let older = self.lines.len().saturating_sub(limit);
        self.older += u64::try_from(older).unwrap_or(u64::MAX);
        self.lines.drain(..older);
    }

    fn tell(&self, names: &BTreeMap<AgentId, String>, limit: usize) {
        let name = |agent: &AgentId| names.get(agent).map_or_else(|| agent.to_string(), Clone::clone);
        let matching: BTreeSet<AgentId> = self.lines.iter().map(|(_, _, frame)| frame.agent).collect();
        let read: u64 = self.searched.iter().map(|(_, searched)| searched.bytes).sum();
        let containers: u32 = self
            .searched
            .iter()
            .map(|(_, searched)| searched.containers)
            .sum();
        note(&format!(
            "{} lines of {} hosts match; {containers} containers of {} hosts were searched, {} of logs read",
            self.lines.len(),
            matching.len(),
            self.searched.len(),
            bytes(read)
        ));
        if self.older > 0 {
            note(&format!(
                "{} older lines match, too: only the newest {limit} are shown (--limit)",
                self.older
            ));
        }
        for (agent, searched) in &self.searched {
            let Some(bound) = searched.stopped_by else {
                continue;
            };
            let from = searched
                .complete_from
                .map_or_else(String::new, |at| format!(" older than {at}"));
            note(&format!(
                "{}: stopped at {}; lines{from} may match, too (--until, --since or --limit reach them)",
                name(agent),
                match bound {
                    SearchBound::Matches => format!("{} matches", searched.matches),
                    SearchBound::Bytes => format!(
                        "{} of logs, the most a host reads for one search",
                        bytes(searched.bytes)
                    ),
                    SearchBound::Time => "the longest time a host searches".to_owned(),
                }
            ));
        }
        for (agent, reason) in &self.failed {
            note(&format!("{}: {reason}", name(agent)));
        }
    }
}

/// The text that was looked for, in reverse video. An expression is found by the hosts alone.
fn marked(text: &str, params: &LogParams) -> String {
    let Some(needle) = params
        .search
        .as_deref()
        .filter(|needle| needle.is_ascii() && !needle.is_empty())
    else {
        return text.to_owned();
    };
    let (mut marked, mut from) = (String::with_capacity(text.len() + 16), 0);
    let same = |part: &[u8]| {
        if params.case_sensitive {
            part == needle.as_bytes()
        } else {
            part.eq_ignore_ascii_case(needle.as_bytes())
        }
    };
    while let Some(at) = text
        .as_bytes()
        .get(from..)
        .and_then(|rest| rest.windows(needle.len()).position(same))
    {
        let (start, end) = (from + at, from + at + needle.len());
        marked.push_str(text.get(from..start).unwrap_or_default());
        marked.push_str("\u{1b}[7m");
        marked.push_str(text.get(start..end).unwrap_or_default());
        marked.push_str("\u{1b}[27m");
        from = end;
    }
    marked.push_str(text.get(from..).unwrap_or_default());
    marked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(agent: AgentId, second: i64, text: &str) -> LogFrame {
        let event = LogEvent::Line {
            seq: 0,
            service: "web".into(),
            container: "web-1".into(),
            source: windflow_model::LogSource::Stdout,
            at: Some(Timestamp::from_millis(second * 1000)),
            text: text.to_owned(),
        };
        LogFrame { agent, event }
    }

    #[test]
    fn the_newest_lines_of_all_hosts_come_in_the_order_of_time() {
        let id = |text: &str| text.parse::<AgentId>().unwrap();
        let one = id("agt_00000000000000000000000001");
        let two = id("agt_00000000000000000000000002");
        let mut found = Found::default();
        for (agent, second, text) in [
            (one, 9, "i"),
            (one, 5, "e"),
            (one, 5, "d"),
            (two, 7, "g"),
            (two, 1, "a"),
        ] {
            found.take(line(agent, second, text), 4);
        }
        found.cut(4);
        let texts = |found: &Found| -> Vec<String> {
            let texts = found.lines.iter().map(|(_, _, frame)| match &frame.event {
                LogEvent::Line { text, .. } => text.clone(),
                other => format!("{other:?}"),
            });
            texts.collect()
        };
        assert_eq!(
            (texts(&found), found.older),
            (["d", "e", "g", "i"].map(str::to_owned).to_vec(), 1)
        );
    }

    #[test]
    fn what_was_looked_for_is_marked() {
        let params = LogParams {
            search: Some("Ab".into()),
            ..LogParams::default()
        };
        assert_eq!(
            marked("xaBé ab", &params),
            "x\u{1b}[7maB\u{1b}[27mé \u{1b}[7mab\u{1b}[27m"
        );
        let exact = LogParams {
            case_sensitive: true,
            ..params
        };
        assert_eq!(marked("xaB", &exact), "xaB");
    }
}
