//! `windflow alert …`, `windflow rule …` and `windflow silence …`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use windflow_model::{AlertId, Severity, SilenceId};

use super::value::{parse_duration, parse_severity};

/// `alert`.
#[derive(Debug, Subcommand)]
pub enum AlertCommand {
    /// List alerts, the newest first.
    #[command(alias = "ls")]
    List(AlertListArgs),
    /// Show one alert.
    Show {
        /// Its id.
        alert: AlertId,
    },
    /// Say that you know: nobody is told of it again, unless it ends.
    #[command(alias = "acknowledge")]
    Ack {
        /// Its id.
        alert: AlertId,
        /// For the others.
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Take that back.
    Unack {
        /// Its id.
        alert: AlertId,
    },
}

/// `alert list`.
#[derive(Debug, Args)]
pub struct AlertListArgs {
    /// Only in this state: open (pending or firing), pending, firing, resolved, all.
    #[arg(long, default_value = "open", value_parser = ["open", "pending", "firing", "resolved", "all"])]
    pub state: String,
    /// Only of at least this severity: info, warning, critical.
    #[arg(long, value_parser = parse_severity)]
    pub severity: Option<Severity>,
    /// Only of this host, by name or id.
    #[arg(long, value_name = "HOST")]
    pub on: Option<String>,
    /// Only of this stack, by its name.
    #[arg(long)]
    pub stack: Option<String>,
    /// Only of this rule, by name or id.
    #[arg(long)]
    pub rule: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 200)]
    pub limit: usize,
}

/// `rule`.
#[derive(Debug, Subcommand)]
pub enum RuleCommand {
    /// List all rules.
    #[command(alias = "ls")]
    List,
    /// Show what a rule says, as JSON that `create` and `update` take.
    Show {
        /// Name or id.
        rule: String,
    },
    /// Make a rule.
    Create {
        /// Its specification as JSON; `-` reads standard input.
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
    },
    /// Change a rule.
    Update {
        /// Name or id.
        rule: String,
        /// Its specification as JSON; `-` reads standard input.
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
    },
    /// Look at what a rule would see at this moment, without making it.
    Try {
        /// Its specification as JSON; `-` reads standard input.
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
    },
    /// Use a rule again.
    Enable {
        /// Name or id.
        rule: String,
    },
    /// Do not use a rule for now; its alerts end.
    Disable {
        /// Name or id.
        rule: String,
    },
    /// Remove a rule; its alerts end.
    #[command(alias = "rm")]
    Remove {
        /// Name or id.
        rule: String,
        /// Do not ask.
        #[arg(short, long)]
        yes: bool,
    },
}

/// `silence`.
#[derive(Debug, Subcommand)]
pub enum SilenceCommand {
    /// List all silences.
    #[command(alias = "ls")]
    List,
    /// Tell nobody of some alerts for a while, or each week at a time of maintenance.
    Create(Box<SilenceCreateArgs>),
    /// Remove a silence; what it covered and still fires is told of.
    #[command(alias = "rm")]
    Remove {
        /// Its id.
        silence: SilenceId,
    },
}

/// `silence create`.
#[derive(Debug, Args)]
pub struct SilenceCreateArgs {
    /// What it is for.
    pub note: String,
    /// From now on for so long, e.g. 2h.
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration, required_unless_present = "weekly")]
    pub span: Option<Duration>,
    /// Each week at this time of the day, e.g. 02:30; how long, --minutes says.
    #[arg(long, value_name = "HH:MM", conflicts_with = "span", requires = "minutes")]
    pub weekly: Option<String>,
    /// How many minutes a time of maintenance lasts.
    #[arg(long, requires = "weekly")]
    pub minutes: Option<u32>,
    /// On these days, e.g. monday,thursday; without it on every day.
    #[arg(long, value_delimiter = ',', requires = "weekly")]
    pub days: Vec<String>,
    /// Time zone of that time, e.g. Europe/Paris; without it UTC.
    #[arg(long, default_value = "", requires = "weekly")]
    pub zone: String,
    /// Only alerts of these hosts, by names or ids with commas, or by labels.
    #[arg(long, value_name = "HOST,…|LABELS")]
    pub on: Option<String>,
    /// Only alerts of the hosts of this group.
    #[arg(long)]
    pub group: Option<String>,
    /// Only alerts of this stack, by its name.
    #[arg(long, default_value = "")]
    pub stack: String,
    /// Only alerts of this rule, by name or id.
    #[arg(long)]
    pub rule: Option<String>,
    /// Only alerts of no more than this severity: info, warning, critical.
    #[arg(long, value_parser = parse_severity)]
    pub severity: Option<Severity>,
}
