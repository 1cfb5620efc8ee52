//! `windflow stack …`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use windflow_model::{DeployPolicy, ReplaceOrder};

use super::{RolloutArgs, value::parse_duration};

/// Compose files of a spec.
#[derive(Debug, Clone, Default, Args)]
pub struct SpecArgs {
    /// Compose file; repeat it to merge several. Default: compose.yaml of this directory.
    #[arg(short, long = "file", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// File with variables for interpolation; a later one wins. Default: `.env` beside the first file.
    #[arg(long = "env-file", value_name = "FILE")]
    pub env_files: Vec<PathBuf>,
    /// Profile to switch on.
    #[arg(long = "profile", value_name = "NAME")]
    pub profiles: Vec<String>,
}

/// How the hosts go about it; kept with the stack. What is not given stays as the stack has it.
#[derive(Debug, Clone, Default, Args)]
pub struct PolicyArgs {
    /// Whether a host goes back to the last good revision by itself when this one does not work out.
    #[arg(long, value_name = "on|off", value_parser = parse_switch)]
    pub auto_rollback: Option<bool>,
    /// How long to watch it once everything runs and is healthy, e.g. 30s; up to 1h.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub watch: Option<Duration>,
    /// How long it may take to become healthy, e.g. 5m; up to 24h.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub health_timeout: Option<Duration>,
    /// Whether the new container starts before the old one stops; auto: where nothing stands against it.
    #[arg(long, value_name = "auto|start-first|stop-first")]
    pub order: Option<ReplaceOrder>,
}

impl PolicyArgs {
    /// A policy with what was given.
    #[must_use]
    pub fn over(&self, mut policy: DeployPolicy) -> DeployPolicy {
        let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        if let Some(automatic) = self.auto_rollback {
            policy.rollback.automatic = automatic;
        }
        if let Some(watch) = self.watch {
            policy.rollback.watch_s = seconds(watch);
        }
        if let Some(limit) = self.health_timeout {
            policy.health_timeout_s = seconds(limit);
        }
        if let Some(order) = self.order {
            policy.order = order;
        }
        policy
    }
}

fn parse_switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("use on or off".to_owned()),
    }
}

/// Which hosts.
#[derive(Debug, Clone, Default, Args)]
pub struct OnArgs {
    /// Hosts by name or id, with commas. Default: those that have the stack, or the only host.
    #[arg(long, value_name = "HOST,…", value_delimiter = ',')]
    pub on: Vec<String>,
    /// Hosts that carry this label; several must all fit.
    #[arg(long, value_name = "KEY=VALUE", conflicts_with = "on")]
    pub on_label: Vec<String>,
}

/// How to wait.
#[derive(Debug, Clone, Default, Args)]
pub struct WaitArgs {
    /// Do not follow the deployments; print them and end.
    #[arg(short, long)]
    pub detach: bool,
    /// Follow until all have ended (the default).
    #[arg(long, conflicts_with = "detach")]
    pub wait: bool,
    /// Longest time to follow, e.g. 5m; then exit 1 although the deployments go on.
    #[arg(long, value_parser = parse_duration)]
    pub timeout: Option<Duration>,
}

/// `stack`.
#[derive(Debug, Subcommand)]
pub enum StackCommand {
    /// Create or update a stack and deploy it.
    Deploy {
        /// Name of the stack.
        name: String,
        /// Its files.
        #[command(flatten)]
        spec: SpecArgs,
        /// Its hosts.
        #[command(flatten)]
        on: OnArgs,
        /// Carry out the plan in this file (`windflow stack plan NAME -o json` writes one) and nothing else: a host that
        /// is not as it was then changes nothing and says what moved.
        #[arg(long, value_name = "FILE")]
        plan: Option<PathBuf>,
        /// Its policy.
        #[command(flatten)]
        policy: PolicyArgs,
        /// Its waves.
        #[command(flatten)]
        waves: Box<RolloutArgs>,
        /// How to wait.
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Show what a deploy would do, and do nothing.
    Plan {
        /// Name or id of the stack; it need not exist yet.
        name: String,
        /// Its files; without any, the saved spec, or for a stack that does not exist yet those of this directory.
        #[command(flatten)]
        spec: SpecArgs,
        /// Its hosts.
        #[command(flatten)]
        on: OnArgs,
        /// Exit 0 if nothing would change, 1 if anything would, 2 if there is no plan.
        #[arg(long)]
        detailed_exitcode: bool,
    },
    /// Check files without saving them.
    Validate {
        /// Their place.
        #[command(flatten)]
        spec: SpecArgs,
    },
    /// List all stacks.
    #[command(alias = "ls")]
    List,
    /// Show one stack with its containers.
    Show {
        /// Name or id.
        stack: String,
    },
    /// List the revisions of a stack.
    History {
        /// Name or id.
        stack: String,
    },
    /// Deploy the spec of an older revision again, as a new revision.
    Rollback {
        /// Name or id.
        stack: String,
        /// The revision; the newest that ran well with another spec than the latest one's if absent.
        #[arg(long, visible_alias = "rev", value_name = "REV")]
        to: Option<u64>,
        /// Its hosts.
        #[command(flatten)]
        on: OnArgs,
        /// How to wait.
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Remove a stack from hosts; its history stays unless --forget is given.
    #[command(alias = "rm")]
    Remove {
        /// Name or id.
        stack: String,
        /// Its hosts.
        #[command(flatten)]
        on: OnArgs,
        /// Remove its volumes too: their data is lost.
        #[arg(long)]
        volumes: bool,
        /// Then forget the stack and its history.
        #[arg(long, conflicts_with = "detach")]
        forget: bool,
        /// Do not ask.
        #[arg(short, long)]
        yes: bool,
        /// How to wait.
        #[command(flatten)]
        wait: WaitArgs,
    },
}
