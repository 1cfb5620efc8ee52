//! `windflow channel …`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};

/// `channel`.
#[derive(Debug, Subcommand)]
pub enum ChannelCommand {
    /// List all channels.
    #[command(alias = "ls")]
    List,
    /// Show one channel, without its secrets.
    Show {
        /// Name or id.
        channel: String,
    },
    /// Make a channel, of a file or of a kind.
    Create(ChannelSetArgs),
    /// Change a channel. What is not named stays, secrets too, unless the server is another one.
    Update(ChannelSetArgs),
    /// Delete a channel; what waits for it is not sent any more.
    #[command(alias = "rm")]
    Delete {
        /// Name or id.
        channel: String,
        /// Do not ask.
        #[arg(short, long)]
        yes: bool,
        /// It is fine if there is none.
        #[arg(long)]
        if_exists: bool,
    },
    /// Send a test over a channel, and show what the server said.
    Test {
        /// Name or id.
        channel: String,
    },
}

/// Kinds that need no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A POST with JSON; the secret is the URL.
    Webhook,
    /// The secret is the URL of the incoming webhook.
    Slack,
    /// The secret is the URL of the webhook.
    Discord,
    /// The secret is the URL of the workflow.
    Teams,
    /// The secret is the bot's token; needs --chat.
    Telegram,
    /// Needs --topic; the secret is an access token, if there is one.
    Ntfy,
    /// Needs --server; the secret is the application's token.
    Gotify,
}

/// `channel create` and `channel update`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).multiple(true))]
pub struct ChannelSetArgs {
    /// Its name; of an update also its id.
    pub channel: String,
    /// All of it as JSON, as the API has it; `-`: from the input.
    #[arg(short, long, group = "what", value_name = "FILE", conflicts_with_all = ["kind", "server", "topic", "chat"])]
    pub file: Option<PathBuf>,
    /// What it is.
    #[arg(long, group = "what")]
    pub kind: Option<Kind>,
    /// Its new name.
    #[arg(long, group = "what")]
    pub name: Option<String>,
    /// Address of a server of ntfy, Gotify or Telegram.
    #[arg(long, group = "what", value_name = "URL")]
    pub server: Option<String>,
    /// Topic of ntfy.
    #[arg(long, group = "what")]
    pub topic: Option<String>,
    /// Chat of Telegram: a number, or @name.
    #[arg(long, group = "what", allow_hyphen_values = true)]
    pub chat: Option<String>,
    /// File with the secret (URL, token or password) in its first line; `-`: from the input. Or WINDFLOW_CHANNEL_SECRET.
    #[arg(long, group = "what", value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// Rules that name no channel use it.
    #[arg(long, group = "what", conflicts_with = "not_standard")]
    pub standard: bool,
    /// Only rules that name it use it.
    #[arg(long, group = "what")]
    pub not_standard: bool,
    /// It is used.
    #[arg(long, group = "what", conflicts_with = "disabled")]
    pub enabled: bool,
    /// It is not used.
    #[arg(long, group = "what")]
    pub disabled: bool,
}

/// `notices`.
#[derive(Debug, Args)]
pub struct NoticesArgs {
    /// Only those of this channel, by name or id.
    #[arg(long)]
    pub channel: Option<String>,
    /// So many.
    #[arg(short = 'n', long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub limit: u32,
}
