//! `windflow audit …`.

use clap::Subcommand;

use super::value::{When, parse_when};

/// `audit`.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// List what was done, newest first.
    #[command(alias = "ls")]
    List {
        /// Only by this user, by name or id, or by this job of the controller.
        #[arg(long, value_name = "USER")]
        actor: Option<String>,
        /// Only by this host, by name or id.
        #[arg(long, value_name = "HOST", conflicts_with = "actor")]
        agent: Option<String>,
        /// Only this operation, e.g. stack_create, or all on a noun, e.g. stack.
        #[arg(long)]
        action: Option<String>,
        /// Only about the object with this id.
        #[arg(long, value_name = "ID")]
        object: Option<String>,
        /// Only from this time on: 2h (ago), 2026-11-22 or 2026-11-22T08:30:00Z.
        #[arg(long, value_name = "TIME", value_parser = parse_when)]
        since: Option<When>,
        /// Only before this time, in the same forms.
        #[arg(long, value_name = "TIME", value_parser = parse_when)]
        until: Option<When>,
        /// Most records.
        #[arg(short = 'n', long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
    },
    /// Check that no record was changed, taken out or put in.
    Verify,
}
