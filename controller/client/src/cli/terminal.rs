//! `exec` and `terminal`.

use clap::{Args, Subcommand};
use windflow_model::TerminalId;

/// `exec`.
#[derive(Debug, Args)]
pub struct ExecArgs {
    /// STACK/SERVICE.
    #[arg(value_name = "STACK/SERVICE", value_parser = parse_service, required_unless_present = "on_host", conflicts_with = "on_host")]
    pub service: Option<Service>,
    /// On the host itself (--on), not in a container: as --user, if its policy allows that user.
    #[arg(long = "host", requires = "on")]
    pub on_host: bool,
    /// On this host; without it, on the one that has the stack.
    #[arg(long, value_name = "HOST")]
    pub on: Option<String>,
    /// How it is run.
    #[command(flatten)]
    pub how: HowArgs,
    /// No terminal, although both ends of this command are one.
    #[arg(short = 'T', long)]
    pub no_tty: bool,
    /// Read nothing from standard input.
    #[arg(short = 'n', long)]
    pub no_stdin: bool,
    /// Program and arguments; none means a shell of the container, or the login shell of the host's user.
    #[arg(last = true)]
    pub command: Vec<String>,
}

/// `terminal`.
#[derive(Debug, Args)]
pub struct TerminalArgs {
    /// Name or id of the host.
    pub host: String,
    /// STACK/SERVICE.
    #[arg(value_name = "STACK/SERVICE", value_parser = parse_service, required_unless_present_any = ["container", "on_host"], conflicts_with_all = ["container", "on_host"])]
    pub service: Option<Service>,
    /// In this container (name or id), whoever made it.
    #[arg(long, conflicts_with = "on_host")]
    pub container: Option<String>,
    /// On the host itself, not in a container: as --user, if the host's policy allows that user.
    #[arg(long = "host")]
    pub on_host: bool,
    /// How it is run.
    #[command(flatten)]
    pub how: HowArgs,
    /// Program and arguments; none means a shell of the container, or the login shell of the host's user.
    #[arg(last = true)]
    pub command: Vec<String>,
}

/// `terminals`.
#[derive(Debug, Subcommand)]
pub enum TerminalsCommand {
    /// List the terminals that are open now.
    #[command(alias = "ls")]
    List,
    /// Show what a terminal shows, from its beginning as far as its host still has it. Control-C ends the watching; the audit
    /// trail has who watched.
    Watch {
        /// Its id.
        id: TerminalId,
    },
    /// End a terminal and its process, whoever opened it.
    Close {
        /// Its id.
        id: TerminalId,
    },
}

/// As whom, where and with what a command is run.
#[derive(Debug, Args)]
pub struct HowArgs {
    /// Number of the container within its service.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub index: Option<u32>,
    /// Instead of the container's user: name or number, `:GROUP` behind it. On the host: name of a user of it.
    #[arg(short, long)]
    pub user: Option<String>,
    /// Instead of the container's working directory, or of the user's home.
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<String>,
    /// Set a variable; repeat it for more.
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub env: Vec<String>,
}

/// A service of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Name or id of the stack.
    pub stack: String,
    /// Its service.
    pub service: String,
}

fn parse_service(text: &str) -> Result<Service, String> {
    match text.split_once('/') {
        Some((stack, service)) if !stack.is_empty() && !service.is_empty() => Ok(Service {
            stack: stack.to_owned(),
            service: service.to_owned(),
        }),
        _ => Err("write STACK/SERVICE, like shop/web".to_owned()),
    }
}
