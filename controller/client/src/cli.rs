//! The command line of `windflow`, as types.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::output::Format;

/// Deploy container stacks to a fleet of hosts.
#[derive(Debug, Parser)]
#[command(name = "windflow", version = windflow_kit::build::VERSION, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Form of the data on stdout.
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value_t,
        env = "WINDFLOW_OUTPUT"
    )]
    pub output: Format,
    /// No colours (also with NO_COLOR).
    #[arg(long, global = true)]
    pub no_color: bool,
}

/// The verbs and nouns.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Sign in to a controller and remember it.
    Login(LoginArgs),
    /// Make the first administrator of a new controller and sign in.
    Setup(SetupArgs),
    /// End the token and forget the controller.
    Logout,
    /// Show who is signed in, and where.
    Whoami,
    /// Hosts.
    #[command(subcommand)]
    Agent(AgentCommand),
    /// Stacks.
    #[command(subcommand)]
    Stack(StackCommand),
    /// Deployments.
    #[command(subcommand)]
    Deployment(DeploymentCommand),
    /// Show the log lines of a stack.
    Logs(LogsArgs),
    /// Print the completion script of a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// `login`.
#[derive(Debug, Args)]
pub struct LoginArgs {
    /// Address of the controller, `https://HOST:PORT`.
    pub url: String,
    /// Pin of the controller's authority (base64 SHA-256), as its console shows it.
    #[arg(long, env = "WINDFLOW_CA_PIN")]
    pub ca_pin: Option<String>,
    /// Sign-in name; asked for on the terminal if absent.
    #[arg(long)]
    pub username: Option<String>,
    /// File with the password; asked for on the terminal if absent.
    #[arg(long, conflicts_with = "token_file")]
    pub password_file: Option<PathBuf>,
    /// File with an API token, instead of name and password.
    #[arg(long, conflicts_with = "username")]
    pub token_file: Option<PathBuf>,
}

/// `setup`.
#[derive(Debug, Args)]
pub struct SetupArgs {
    /// Address of the controller, `https://HOST:PORT`.
    pub url: String,
    /// Pin of the controller's authority (base64 SHA-256), as its console shows it.
    #[arg(long, env = "WINDFLOW_CA_PIN")]
    pub ca_pin: Option<String>,
    /// File with the setup code (`setup-code` in the controller's data directory).
    #[arg(long)]
    pub code_file: Option<PathBuf>,
    /// Read the setup code from stdin.
    #[arg(long, conflicts_with = "code_file")]
    pub code_stdin: bool,
    /// Sign-in name of the administrator.
    #[arg(long)]
    pub username: Option<String>,
    /// File with the password; asked for on the terminal if absent.
    #[arg(long)]
    pub password_file: Option<PathBuf>,
}

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
        #[arg(long, value_parser = parse_duration)]
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
        /// How to wait.
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Show what a deploy would do, and do nothing.
    Plan {
        /// Name or id of the stack.
        name: String,
        /// Its files; without any, the saved spec.
        #[command(flatten)]
        spec: SpecArgs,
        /// Its hosts.
        #[command(flatten)]
        on: OnArgs,
        /// Exit 1 if anything would change.
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
        /// The revision; the one before the newest if absent.
        #[arg(long)]
        rev: Option<u64>,
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
        #[arg(long)]
        forget: bool,
        /// Do not ask.
        #[arg(short, long)]
        yes: bool,
        /// How to wait.
        #[command(flatten)]
        wait: WaitArgs,
    },
}

/// `deployment`.
#[derive(Debug, Subcommand)]
pub enum DeploymentCommand {
    /// List deployments, newest first.
    #[command(alias = "ls")]
    List {
        /// Only of this stack.
        #[arg(long)]
        stack: Option<String>,
        /// Only on this host.
        #[arg(long)]
        agent: Option<String>,
        /// Only in this state; `active` means not yet ended.
        #[arg(long)]
        state: Option<String>,
    },
    /// Show one deployment with its steps.
    Show {
        /// Id.
        deployment: String,
    },
    /// Follow a deployment until it ends.
    Watch {
        /// Id.
        deployment: String,
        /// Longest time to follow, e.g. 5m.
        #[arg(long, value_parser = parse_duration)]
        timeout: Option<Duration>,
    },
    /// Take a deployment back that has not begun to change its host.
    Cancel {
        /// Id.
        deployment: String,
    },
}

/// `logs`.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Name or id of the stack.
    pub stack: String,
    /// Go on with new lines.
    #[arg(short, long)]
    pub follow: bool,
    /// Only these services, with commas.
    #[arg(long, value_delimiter = ',')]
    pub service: Vec<String>,
    /// Only from this host.
    #[arg(long)]
    pub agent: Option<String>,
    /// Last lines per container; `all` for everything.
    #[arg(short = 'n', long, default_value = "100", value_parser = parse_tail)]
    pub tail: Tail,
    /// Show the time of each line.
    #[arg(short, long)]
    pub timestamps: bool,
}

/// Lines to begin with; `None` means all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail(pub Option<u32>);

fn parse_tail(text: &str) -> Result<Tail, String> {
    if text == "all" {
        return Ok(Tail(None));
    }
    let lines = text
        .parse()
        .map_err(|_| "give a number of lines, or `all`".to_owned())?;
    Ok(Tail(Some(lines)))
}

/// `90`, `90s`, `5m`, `2h`, `1h30m`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("`{text}` is no duration: use forms like 90s, 5m or 1h30m");
    let mut seconds = 0_u64;
    let mut number = String::new();
    for c in text.chars() {
        if c.is_ascii_digit() {
            number.push(c);
            continue;
        }
        let scale = match c {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return Err(bad()),
        };
        let count: u64 = number.parse().map_err(|_| bad())?;
        number.clear();
        seconds = count
            .checked_mul(scale)
            .and_then(|part| seconds.checked_add(part))
            .ok_or_else(bad)?;
    }
    if !number.is_empty() {
        if seconds > 0 {
            return Err(bad());
        }
        seconds = number.parse().map_err(|_| bad())?;
    } else if text.is_empty() {
        return Err(bad());
    }
    Ok(Duration::from_secs(seconds))
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
    fn durations() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(parse_duration(text).ok().map(|d| d.as_secs()), expected, "{text}");
        };
        check("90", Some(90));
        check("90s", Some(90));
        check("5m", Some(300));
        check("1h30m", Some(5_400));
        check("", None);
        check("m", None);
        check("1h30", None);
        check("5x", None);
        check("99999999999999999999h", None);
    }

    #[test]
    fn lines_that_people_type() {
        let check = |line: &str, good: bool| {
            let parsed = Cli::try_parse_from(line.split_whitespace());
            assert_eq!(parsed.is_ok(), good, "{line}: {parsed:?}");
        };
        check(
            "windflow login https://a:8443 --ca-pin x --username ada --password-file p",
            true,
        );
        check(
            "windflow login https://a:8443 --token-file t --username ada",
            false,
        );
        check("windflow agent list -o json", true);
        check("windflow -o json agent list", true);
        check("windflow agent list -o yaml", false);
        check("windflow agent remove", false);
        check("windflow agent token create --ttl 1h -q", true);
        check("windflow agent token create --ttl 1y", false);
        check(
            "windflow stack deploy web -f a.yaml -f b.yaml --on h1,h2 --timeout 5m",
            true,
        );
        check("windflow stack deploy web --on h1 --on-label a=b", false);
        check("windflow stack deploy web --detach --wait", false);
        check("windflow stack plan web --detailed-exitcode", true);
        check("windflow stack rollback web --rev 3 -d", true);
        check("windflow stack remove web -y --volumes", true);
        check("windflow deployment list --state active", true);
        check("windflow logs web -f --service a,b --tail all -t", true);
        check("windflow logs web --tail many", false);
        check("windflow completions bash", true);
        check("windflow", false);
        check("windflow stak list", false);
    }
}
