//! `windflow agent …`.

use std::time::Duration;

use clap::Subcommand;

use super::value::parse_ttl;

/// `agent`.
#[derive(Debug, Subcommand)]
pub enum AgentCommand {
    /// List all hosts.
    #[command(alias = "ls")]
    List,
    /// Show one host with its containers.
    Show {
        /// Name or id.
        agent: String,
    },
    /// Remove a host: its link ends at once, its stacks keep running.
    #[command(alias = "rm")]
    Remove {
        /// Names or ids.
        #[arg(required = true)]
        agents: Vec<String>,
        /// Do not ask.
        #[arg(short, long)]
        yes: bool,
    },
    /// Give a host another name.
    Rename {
        /// Name or id.
        agent: String,
        /// New name.
        name: String,
    },
    /// Set and remove labels: `windflow agent label web1 site=paris old-`.
    Label {
        /// Name or id.
        agent: String,
        /// `KEY=VALUE` sets, `KEY-` removes.
        #[arg(required = true)]
        labels: Vec<String>,
    },
    /// Enrolment tokens.
    #[command(subcommand)]
    Token(TokenCommand),
}

/// `agent token`.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token for one host and show the line that installs the agent there.
    Create {
        /// A word for the list.
        #[arg(long, default_value = "")]
        note: String,
        /// How long it may be used, 1m to 24h; 15m if absent.
        #[arg(long, value_parser = parse_ttl)]
        ttl: Option<Duration>,
        /// Print only the token, for scripts.
        #[arg(short, long)]
        quiet: bool,
    },
    /// List all tokens.
    #[command(alias = "ls")]
    List,
    /// Revoke a token.
    Revoke {
        /// Id.
        token: String,
    },
}
