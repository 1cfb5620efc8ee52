//! `exec` and `terminal`.

use clap::Args;

/// `exec`.
#[derive(Debug, Args)]
pub struct ExecArgs {
    /// STACK/SERVICE.
    #[arg(value_name = "STACK/SERVICE", value_parser = parse_service)]
    pub service: Service,
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
    /// Program and arguments; none means a shell of the container.
    #[arg(last = true)]
    pub command: Vec<String>,
}

/// `terminal`.
#[derive(Debug, Args)]
pub struct TerminalArgs {
    /// Name or id of the host.
    pub host: String,
    /// STACK/SERVICE.
    #[arg(value_name = "STACK/SERVICE", value_parser = parse_service, required_unless_present = "container", conflicts_with = "container")]
    pub service: Option<Service>,
    /// In this container (name or id), whoever made it.
    #[arg(long)]
    pub container: Option<String>,
    /// How it is run.
    #[command(flatten)]
    pub how: HowArgs,
    /// Program and arguments; none means a shell of the container.
    #[arg(last = true)]
    pub command: Vec<String>,
}

/// As whom, where and with what a command is run.
#[derive(Debug, Args)]
pub struct HowArgs {
    /// Number of the container within its service.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub index: Option<u32>,
    /// Instead of the container's user: name or number, `:GROUP` behind it.
    #[arg(short, long)]
    pub user: Option<String>,
    /// Instead of the container's working directory.
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
