//! What users see: tables without borders, times as ages, JSON for machines. Data goes to stdout, the rest to stderr.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table, presets::NOTHING};
use serde::Serialize;
use windflow_model::{DeploymentState, Presence, Timestamp};

use crate::error::{Error, Result};

/// Form of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs; times in full, nothing left out.
    Json,
}

/// How to print.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// Table or JSON.
    pub format: Format,
    /// Colours on stdout.
    pub color: bool,
    /// Present time, for ages.
    pub now: Timestamp,
}

/// Meaning of a word, which decides its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// On its way, or to be looked at.
    Busy,
    /// Wrong.
    Bad,
    /// No judgement.
    Plain,
}

impl Output {
    /// Colours only on a terminal, and never against `NO_COLOR`.
    #[must_use]
    pub fn new(format: Format, no_color: bool, now: Timestamp) -> Self {
        Self {
            format,
            color: !no_color && io::stdout().is_terminal(),
            now,
        }
    }

    /// Prints `value` as JSON, or what `table` makes of it.
    ///
    /// # Errors
    /// If stdout is gone.
    pub fn show<T: Serialize + ?Sized>(&self, value: &T, table: impl FnOnce(&Self) -> String) -> Result<()> {
        let text = match self.format {
            Format::Json => serde_json::to_string_pretty(value)
                .map_err(|error| Error::failed(format!("cannot write JSON: {error}")))?,
            Format::Table => table(self),
        };
        print(&text)
    }

    /// Tells a person that a list is empty and what would fill it; a program reads that from the JSON.
    pub fn none(&self, empty: bool, text: &str) {
        if empty && self.format == Format::Table {
            note(text);
        }
    }

    /// A table under `header`.
    #[must_use]
    pub fn table(&self, header: &[&str], rows: Vec<Vec<Cell>>) -> String {
        let mut table = Table::new();
        table.load_style(NOTHING);
        table.set_content_arrangement(ContentArrangement::Disabled);
        if self.color {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        table.set_header(header.iter().map(|word| self.head(word)));
        table.add_rows(rows);
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        table.trim_fmt()
    }

    fn head(&self, word: &str) -> Cell {
        let cell = Cell::new(word).set_alignment(CellAlignment::Left);
        if self.color {
            cell.add_attribute(Attribute::Bold)
        } else {
            cell
        }
    }

    /// A cell coloured by its meaning.
    #[must_use]
    pub fn cell(&self, text: impl ToString, tone: Tone) -> Cell {
        let cell = Cell::new(text);
        let color = match tone {
            Tone::Plain => return cell,
            Tone::Good => Color::Green,
            Tone::Busy => Color::Yellow,
            Tone::Bad => Color::Red,
        };
        if self.color { cell.fg(color) } else { cell }
    }

    /// How long ago `at` was: `5s ago`.
    #[must_use]
    pub fn ago(&self, at: Timestamp) -> String {
        format!("{} ago", age(self.now.since(at)))
    }

    /// Whether the host is there, with the age of the proof.
    #[must_use]
    pub fn presence(&self, presence: &Presence) -> Cell {
        match presence {
            Presence::Connected {
                engine: Some(proof), ..
            } if proof.problem.is_some() => self.cell(
                format!("connected, engine silent ({})", self.ago(proof.at)),
                Tone::Bad,
            ),
            Presence::Connected { proven_at, .. } => {
                self.cell(format!("connected ({})", self.ago(*proven_at)), Tone::Good)
            }
            Presence::Offline {
                since: Some(since), ..
            } => self.cell(
                format!("offline (for {})", age(self.now.since(*since))),
                Tone::Bad,
            ),
            Presence::Offline { since: None, .. } => self.cell("never connected", Tone::Busy),
        }
    }
}

/// What a state means for the reader.
#[must_use]
pub const fn state_tone(state: &DeploymentState) -> Tone {
    match state {
        DeploymentState::Succeeded => Tone::Good,
        DeploymentState::Failed { .. }
        | DeploymentState::RolledBack { .. }
        | DeploymentState::RollbackFailed { .. }
        | DeploymentState::Rejected { .. }
        | DeploymentState::Expired
        | DeploymentState::Diverged { .. } => Tone::Bad,
        DeploymentState::Superseded { .. } | DeploymentState::Cancelled => Tone::Plain,
        _ => Tone::Busy,
    }
}

/// A duration in its two largest units: `42s`, `5m 3s`, `2h 10m`, `3d 4h`.
#[must_use]
pub fn age(duration: Duration) -> String {
    let s = duration.as_secs();
    let pair = |a: u64, x: &str, b: u64, y: &str| match b {
        0 => format!("{a}{x}"),
        b => format!("{a}{x} {b}{y}"),
    };
    match s {
        0..60 => format!("{s}s"),
        60..3_600 => pair(s / 60, "m", s % 60, "s"),
        3_600..86_400 => pair(s / 3_600, "h", s % 3_600 / 60, "m"),
        _ => pair(s / 86_400, "d", s % 86_400 / 3_600, "h"),
    }
}

/// Bytes in binary units: `15.6 GiB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut scaled = count;
    let mut rest = 0;
    let mut unit = 0;
    while scaled >= 1024 && unit + 1 < units.len() {
        rest = scaled % 1024;
        scaled /= 1024;
        unit += 1;
    }
    let name = units.get(unit).copied().unwrap_or("B");
    if unit == 0 {
        format!("{scaled} {name}")
    } else {
        format!("{scaled}.{} {name}", rest * 10 / 1024)
    }
}

/// Prints to stdout with a line end.
///
/// # Errors
/// If stdout is gone; a closed pipe (`| head`) is no error.
pub fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    let wrote = writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush());
    match wrote {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::failed(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// A line for the user, beside the data.
pub fn note(text: &str) {
    // Nothing can be done about a stderr that is gone.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_sizes() {
        let check = |seconds, expected: &str| assert_eq!(age(Duration::from_secs(seconds)), expected);
        check(0, "0s");
        check(59, "59s");
        check(60, "1m");
        check(303, "5m 3s");
        check(7_800, "2h 10m");
        check(86_400 * 3 + 3_600 * 4, "3d 4h");
        assert_eq!(
            [bytes(0), bytes(1_536), bytes(16_777_216)],
            ["0 B", "1.5 KiB", "16.0 MiB"]
        );
    }

    #[test]
    fn tables_are_plain_and_trimmed_without_a_terminal() {
        let output = Output {
            format: Format::Table,
            color: false,
            now: Timestamp::from_millis(61_000),
        };
        let rows = vec![
            vec![
                Cell::new("web"),
                output.cell("succeeded", Tone::Good),
                Cell::new(output.ago(Timestamp::from_millis(0))),
            ],
            vec![
                Cell::new("database"),
                output.cell("failed", Tone::Bad),
                Cell::new("-"),
            ],
        ];
        let text = output.table(&["STACK", "STATE", "SINCE"], rows);
        assert_eq!(
            text,
            "STACK     STATE      SINCE\nweb       succeeded  1m 1s ago\ndatabase  failed     -"
        );
    }
}
