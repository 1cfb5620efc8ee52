//! The command line of `windflow-agent`, as types.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{host_terminal::HostTerminalArgs, local::args::LocalArgs};

/// The WindFlow agent: runs stacks on this host, under a controller or alone.
#[derive(Debug, Parser)]
#[command(name = "windflow-agent", version = windflow_kit::build::VERSION, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Join a controller: make a key, hand in a one-use token, get a certificate.
    #[cfg(feature = "link")]
    Enroll(EnrollArgs),
    /// Leave the controller: it removes this host, and the identity kept here is deleted. Stacks run on.
    #[cfg(feature = "link")]
    Leave(LeaveArgs),
    /// Run the agent until it is told to stop.
    Run(RunArgs),
    /// Show whether the running agent is connected. Exit 0 connected, 1 not, 5 no agent runs.
    Status(StatusArgs),
    /// Check this host: state directory, engine, clock, identity. Exit 1 if something is wrong.
    Doctor(DoctorArgs),
    /// Show what this host and its containers use, as it changes. With or without a controller.
    Top(TopArgs),
    /// About the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Deploy Compose projects on this host without a controller, with docker compose's flags.
    Local(Box<LocalArgs>),
    /// The privileged part that opens a terminal on the host; started by systemd or the agent.
    #[command(hide = true)]
    HostTerminal(HostTerminalArgs),
}

/// `enroll`.
#[cfg(feature = "link")]
#[derive(Debug, Args)]
pub struct EnrollArgs {
    /// Address of the controller for agents, `HOST:PORT` (UDP).
    #[arg(long, env = "WINDFLOW_CONTROLLER", value_name = "HOST:PORT")]
    pub controller: String,
    /// Pin of the controller's authority (base64 SHA-256).
    #[arg(long, env = "WINDFLOW_CA_PIN")]
    pub ca_pin: String,
    /// File with the enrolment token (`-` is stdin); else WINDFLOW_TOKEN, else asked for on the terminal, unseen.
    #[arg(long, env = "WINDFLOW_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// Name of this host; its host name if absent.
    #[arg(long, env = "WINDFLOW_NAME")]
    pub name: Option<String>,
    /// Label of this host; repeat it for several.
    #[arg(
        long = "label",
        value_name = "KEY=VALUE",
        env = "WINDFLOW_LABELS",
        value_delimiter = ','
    )]
    pub labels: Vec<String>,
    /// Where the agent keeps its state.
    #[arg(long, env = "WINDFLOW_STATE_DIR")]
    pub state_dir: Option<PathBuf>,
    /// Throw an existing identity of this host away.
    #[arg(long)]
    pub force_reenroll: bool,
}

/// `leave`.
#[cfg(feature = "link")]
#[derive(Debug, Args)]
pub struct LeaveArgs {
    /// Where the agent keeps its state.
    #[arg(long, env = "WINDFLOW_STATE_DIR")]
    pub state_dir: Option<PathBuf>,
    /// Delete the identity even if the controller cannot be told.
    #[arg(long)]
    pub force: bool,
}

/// `config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print all settings with their defaults, as a configuration file.
    Reference,
}

/// Where stacks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetChoice {
    /// Docker or Podman.
    Docker,
    /// Simulated containers, for tests and demonstrations.
    Fake,
}

/// `run`. Flags win over the environment, which wins over the file.
#[derive(Debug, Clone, Default, Args)]
pub struct RunArgs {
    /// Configuration file; /etc/windflow/agent.toml if it exists.
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Where the agent keeps its state.
    #[arg(long)]
    pub state_dir: Option<PathBuf>,
    /// Where stacks run.
    #[arg(long, value_enum)]
    pub target: Option<TargetChoice>,
}

/// `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Where the agent keeps its state.
    #[arg(long, env = "WINDFLOW_STATE_DIR")]
    pub state_dir: Option<PathBuf>,
    /// Wait up to this time for the connection, e.g. 60s.
    #[arg(long, value_parser = parse_duration)]
    pub wait_connected: Option<Duration>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `top`.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// Look once: two samples, one second apart.
    #[arg(long)]
    pub no_stream: bool,
    /// Print JSON, one object a line.
    #[arg(long)]
    pub json: bool,
    /// Between two looks, e.g. 5s.
    #[arg(long, value_parser = parse_duration, default_value = "2s")]
    pub every: Duration,
}

/// `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Configuration file; /etc/windflow/agent.toml if it exists.
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Where the agent keeps its state.
    #[arg(long)]
    pub state_dir: Option<PathBuf>,
}

/// `90`, `90s`, `5m`, `1h`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("`{text}` is no duration: use forms like 90s, 5m or 1h");
    let (number, scale) = match text.chars().last() {
        Some('s') => (text.strip_suffix('s'), 1),
        Some('m') => (text.strip_suffix('m'), 60),
        Some('h') => (text.strip_suffix('h'), 3_600),
        _ => (Some(text), 1),
    };
    let count: u64 = number.and_then(|number| number.parse().ok()).ok_or_else(bad)?;
    count.checked_mul(scale).map(Duration::from_secs).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn lines_that_people_type() {
        let check = |line: &str, good: bool| {
            let parsed = Cli::try_parse_from(line.split_whitespace());
            assert_eq!(parsed.is_ok(), good, "{line}: {parsed:?}");
        };
        check("windflow-agent run --target fake", true);
        check("windflow-agent run --target moon", false);
        check("windflow-agent leave --force", true);
        check("windflow-agent status --wait-connected 60s", true);
        check("windflow-agent status --wait-connected soon", false);
        check("windflow-agent local -f a.yaml -p x up -d --wait", true);
        check(
            "windflow-agent local up -d -f a.yaml -f b.yaml --env-file e --profile p",
            true,
        );
        check("windflow-agent local up --force-recreate --no-recreate", false);
        check(
            "windflow-agent local up --scale web=3 --pull always -t 5 web",
            true,
        );
        check("windflow-agent local up --scale web", false);
        check(
            "windflow-agent local down -v --rmi local --remove-orphans -t 3",
            true,
        );
        check("windflow-agent local down --rmi some", false);
        check("windflow-agent local ps --format json -a", true);
        check("windflow-agent local logs -f --tail 10 web", true);
        check("windflow-agent local -f a.yaml logs -f", true);
        check("windflow-agent local plan --detailed-exitcode", true);
        check("windflow-agent local config --format yaml", true);
        check("windflow-agent local restart -t 1 web db", true);
        check("windflow-agent lokal up", false);
        check(
            "windflow-agent local run --rm -it -e A=1 -v x:/x -p 80:80 web sh -c true",
            true,
        );
        check("windflow-agent local run -f a.yaml -d --name x web", true);
        check(
            "windflow-agent local run -i=false web -x --flag-of-the-command",
            true,
        );
        check("windflow-agent local run", false);
        check(
            "windflow-agent local exec -T --index=2 -u 1 -w /tmp web ls -la",
            true,
        );
        check("windflow-agent local exec web", false);
        check("windflow-agent local rm -s -f -v web", true);
        check("windflow-agent local kill -s HUP", true);
        check("windflow-agent local scale web=2 db=0", true);
        check("windflow-agent local scale web", false);
        check("windflow-agent local up --abort-on-container-exit -d", false);
        check(
            "windflow-agent local --compatibility --parallel -1 up --menu=false --exit-code-from web",
            true,
        );
        check("windflow-agent top --no-stream --json", true);
        check("windflow-agent top --every soon", false);
        check("windflow-agent local up --compatibility --all-resources", true);
        check(
            "windflow-agent local ps --orphans=false --status running --services",
            true,
        );
        check("windflow-agent local version -f json", true);
        check("windflow-agent local cp web:/a b", true);
        check(
            "windflow-agent local logs -f --since 5m --until 1m --index 1",
            true,
        );
    }
}
