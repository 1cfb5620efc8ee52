//! `windflow group …`.

use clap::{ArgGroup, Args, Subcommand};
use windflow_model::Selector;

/// `group`.
#[derive(Debug, Subcommand)]
pub enum GroupCommand {
    /// List all groups.
    #[command(alias = "ls")]
    List,
    /// Save a choice of hosts under a name. Done already: nothing happens.
    Create {
        /// Its name.
        name: String,
        /// Hosts with these labels belong to it.
        #[arg(long)]
        selector: Option<Selector>,
        /// These hosts belong to it, by name or id, with commas.
        #[arg(
            long,
            value_name = "HOST,…",
            value_delimiter = ',',
            required_unless_present = "selector"
        )]
        on: Vec<String>,
    },
    /// Show one group with the hosts that belong to it now.
    Show {
        /// Name or id.
        group: String,
    },
    /// Change a group. What is not named stays; done already: nothing happens.
    Update(GroupUpdateArgs),
    /// Remove a group; its hosts stay.
    #[command(alias = "rm")]
    Remove {
        /// Name or id.
        group: String,
        /// Do not ask.
        #[arg(short, long)]
        yes: bool,
        /// It is fine if there is none.
        #[arg(long)]
        if_exists: bool,
    },
}

/// `group update`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("change").required(true).multiple(true))]
pub struct GroupUpdateArgs {
    /// Name or id.
    pub group: String,
    /// Its new name.
    #[arg(long, group = "change")]
    pub name: Option<String>,
    /// Hosts with these labels belong to it, instead of those with the labels before.
    #[arg(long, group = "change")]
    pub selector: Option<Selector>,
    /// No host belongs to it by its labels any more.
    #[arg(long, group = "change", conflicts_with = "selector")]
    pub no_selector: bool,
    /// These hosts belong to it by name, and no others; by name or id, with commas.
    #[arg(
        long,
        group = "change",
        value_name = "HOST,…",
        value_delimiter = ',',
        conflicts_with_all = ["add", "drop"]
    )]
    pub on: Vec<String>,
    /// These hosts belong to it, too.
    #[arg(long, group = "change", value_name = "HOST,…", value_delimiter = ',')]
    pub add: Vec<String>,
    /// These hosts no longer belong to it by name.
    #[arg(long, group = "change", value_name = "HOST,…", value_delimiter = ',')]
    pub drop: Vec<String>,
}
