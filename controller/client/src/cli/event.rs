//! `events`.

use clap::Args;
use windflow_model::Selector;

use super::{When, parse_when};

/// `events`.
#[derive(Debug, Args)]
pub struct EventsArgs {
    /// Go on with what happens; after a cut from where it was.
    #[arg(short, long)]
    pub follow: bool,
    /// Only of these hosts, by name or id, or of those with such labels.
    #[arg(long, value_name = "HOST,…|KEY=VALUE,…")]
    pub on: Option<String>,
    /// Only of hosts with these labels.
    #[arg(long)]
    pub selector: Option<Selector>,
    /// Only of the hosts of this group.
    #[arg(long)]
    pub group: Option<String>,
    /// Only of the stack of this name.
    #[arg(long)]
    pub stack: Option<String>,
    /// Only these, with commas: `container.died`, `agent_connected`, or `container` for all of containers.
    #[arg(long, value_delimiter = ',')]
    pub kind: Vec<String>,
    /// Only from this time on: 2h (ago), 2026-11-22 or 2026-11-22T08:30:00Z.
    #[arg(long, value_name = "TIME", value_parser = parse_when)]
    pub since: Option<When>,
    /// Only before this time, in the same forms.
    #[arg(long, value_name = "TIME", value_parser = parse_when, conflicts_with = "follow")]
    pub until: Option<When>,
    /// The newest so many. Default: 50, or all with --since.
    #[arg(short = 'n', long, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
}
