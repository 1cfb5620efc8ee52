//! The command line of `windflow`, as types.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::output::Format;

mod agent;
mod alert;
mod audit;
#[cfg(feature = "bench")]
mod bench;
mod channel;
mod event;
mod files;
mod group;
mod recording;
mod rollout;
mod stack;
mod terminal;
mod value;

pub use agent::{AgentCommand, TokenCommand};
pub use alert::{AlertCommand, AlertListArgs, RuleCommand, SilenceCommand, SilenceCreateArgs};
pub use audit::AuditCommand;
#[cfg(feature = "bench")]
pub use bench::{BenchCommand, FleetArgs, ProfileArg};
pub use channel::{ChannelCommand, ChannelSetArgs, Kind as ChannelKind, NoticesArgs};
pub use event::EventsArgs;
pub use files::{CpArgs, FilesArgs, Here, Spot, There};
pub use group::{GroupCommand, GroupUpdateArgs};
pub use recording::RecordingCommand;
pub use rollout::{RolloutArgs, RolloutCommand};
pub use stack::{OnArgs, PolicyArgs, SpecArgs, StackCommand, WaitArgs};
pub use terminal::{ExecArgs, TerminalArgs, TerminalsCommand};
pub use value::{Tail, When};
use value::{parse_duration, parse_tail, parse_when};
use windflow_model::{FieldTest, LogLevel, Selector};

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
    /// Deploys that go out in waves.
    #[command(subcommand)]
    Rollout(RolloutCommand),
    /// Saved choices of hosts.
    #[command(subcommand)]
    Group(GroupCommand),
    /// What is wrong, and who knows.
    #[command(subcommand)]
    Alert(AlertCommand),
    /// Rules that alerts are made of.
    #[command(subcommand)]
    Rule(RuleCommand),
    /// When nobody is told of alerts.
    #[command(subcommand)]
    Silence(SilenceCommand),
    /// Where notifications of alerts go.
    #[command(subcommand)]
    Channel(ChannelCommand),
    /// Show notifications and how they got on, the newest first.
    Notices(NoticesArgs),
    /// What was done, by whom, and whether that record is whole.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Show the log lines of a stack.
    Logs(LogsArgs),
    /// Show what happened in the fleet, or what happens.
    Events(EventsArgs),
    /// Run a command in a container of a service.
    Exec(ExecArgs),
    /// Open a terminal in a container on a host, or on the host itself.
    Terminal(TerminalArgs),
    /// Terminals that are open: who has one, and what it shows.
    #[command(subcommand)]
    Terminals(TerminalsCommand),
    /// Recordings of terminals.
    #[command(subcommand)]
    Recording(RecordingCommand),
    /// Copy files out of a container or volume of a host, or into one.
    Cp(CpArgs),
    /// Show what is in a container or volume of a host.
    Files(FilesArgs),
    /// Show what hosts and containers use, as it changes.
    Top(TopArgs),
    /// Measure what a controller carries.
    #[cfg(feature = "bench")]
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Print the completion script of a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// `top`.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// Hosts by name or id, with commas. Default: all.
    #[arg(long, value_name = "HOST,…", value_delimiter = ',')]
    pub on: Vec<String>,
    /// Hosts that carry this label; several must all fit.
    #[arg(long, value_name = "KEY=VALUE")]
    pub on_label: Vec<String>,
    /// Containers instead of hosts.
    #[arg(short, long)]
    pub containers: bool,
    /// Show the newest values once.
    #[arg(long)]
    pub no_stream: bool,
    /// Between two samples of a host, 1s to 10s; below 10s for at most 100 hosts.
    #[arg(long, value_parser = parse_duration, default_value = "10s")]
    pub every: Duration,
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
    /// Name or id of the stack. Default: every container of the hosts.
    #[arg(required_unless_present_any = ["on", "selector", "group", "container", "search", "regex", "level", "field"])]
    pub stack: Option<String>,
    /// Go on with new lines.
    #[arg(short, long)]
    pub follow: bool,
    /// Only these services, with commas.
    #[arg(long, value_delimiter = ',')]
    pub service: Vec<String>,
    /// Only the containers of these names, with commas.
    #[arg(long, value_delimiter = ',')]
    pub container: Vec<String>,
    /// Only from these hosts, by name or id, or from those with such labels.
    #[arg(long, value_name = "HOST,…|KEY=VALUE,…")]
    pub on: Option<String>,
    /// Only from hosts with these labels.
    #[arg(long)]
    pub selector: Option<Selector>,
    /// Only from the hosts of this group.
    #[arg(long)]
    pub group: Option<String>,
    /// Last lines per container; `all` for everything. A search looks at all.
    #[arg(short = 'n', long, default_value = "100", value_parser = parse_tail)]
    pub tail: Tail,
    /// Only from this time on: 2h (ago), 2026-11-22 or 2026-11-22T08:30:00Z.
    #[arg(long, value_name = "TIME", value_parser = parse_when)]
    pub since: Option<When>,
    /// Only before this time, in the same forms.
    #[arg(long, value_name = "TIME", value_parser = parse_when, conflicts_with = "follow")]
    pub until: Option<When>,
    /// Only this output.
    #[arg(long, value_parser = ["stdout", "stderr"])]
    pub source: Option<String>,
    /// Show the time of each line.
    #[arg(short, long)]
    pub timestamps: bool,
    /// What is looked for.
    #[command(flatten)]
    pub search: SearchArgs,
}

/// Lines to look for. All of it must hold.
#[derive(Debug, Args)]
#[command(next_help_heading = "Search")]
pub struct SearchArgs {
    /// Look for lines that hold this text. Without --follow: the newest on each host, shown in the order of time.
    #[arg(long, value_name = "TEXT")]
    pub search: Option<String>,
    /// Look for lines in which this regular expression is found.
    #[arg(long, value_name = "PATTERN")]
    pub regex: Option<String>,
    /// Tell capital letters from small ones.
    #[arg(long)]
    pub case_sensitive: bool,
    /// Look for lines of at least this level: trace, debug, info, warn, error, fatal.
    #[arg(long)]
    pub level: Option<LogLevel>,
    /// Look for JSON lines with such a field: status>=500, user=anna, path~login.
    #[arg(long, value_name = "TEST")]
    pub field: Vec<FieldTest>,
    /// Most lines; each host stops at as many.
    #[arg(long, value_name = "LINES", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: Option<u32>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// Every line of the guide parses, and the guide shows every command.
    #[test]
    fn the_guide_is_true_and_whole() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
        let guide = fs_err::read_to_string(path).unwrap();
        let fences = guide.split("```sh\n").skip(1);
        let code = fences.filter_map(|part| part.split("```").next());
        let lines: Vec<_> = code.flat_map(str::lines).collect();
        assert!(lines.len() > 30, "{lines:?}");
        for line in &lines {
            let words = line.replace("\"web server\"", "word");
            let parsed = Cli::try_parse_from(words.split_whitespace());
            assert!(parsed.is_ok(), "{line}: {parsed:?}");
        }
        fn check(command: &clap::Command, path: &str, lines: &[&str]) {
            let own: Vec<_> = command
                .get_subcommands()
                .filter(|sub| sub.get_name() != "help")
                .collect();
            if own.is_empty() {
                let shown = lines
                    .iter()
                    .any(|line| *line == path || line.starts_with(&format!("{path} ")));
                assert!(shown, "docs/cli.md does not show `{path}`");
            }
            for sub in own {
                check(sub, &format!("{path} {}", sub.get_name()), lines);
            }
        }
        check(&Cli::command(), "windflow", &lines);
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
        check(
            "windflow stack deploy web --selector a=b,!c --canary 10% --wave 25% --pause manual --gate 20s",
            true,
        );
        check(
            "windflow stack deploy web --group g --max-failures 5% --on-failure rollback",
            true,
        );
        check("windflow stack deploy web --canary some", false);
        check("windflow stack deploy web --plan p --canary 1", false);
        check("windflow stack deploy web --selector =b", false);
        check("windflow channel create c", false);
        check("windflow channel create c --kind slack --secret-file f", true);
        check("windflow channel create c -f c.json", true);
        check("windflow channel create c -f c.json --kind slack", false);
        check("windflow channel create c --kind slack --secret x", false);
        check("windflow channel update c --disabled", true);
        check("windflow channel update c --enabled --disabled", false);
        check("windflow channel delete c -y --if-exists", true);
        check("windflow notices --channel c -n 5", true);
        check("windflow group create g", false);
        check(
            "windflow group update g --name h --no-selector --add a,b --drop c",
            true,
        );
        check("windflow group update g", false);
        check("windflow group update g --selector a=b --no-selector", false);
        check("windflow group update g --on a --add b", false);
        check("windflow group remove g -y --if-exists", true);
        check("windflow rollout cancel web --rollback -y", true);
        check("windflow stack plan web --detailed-exitcode", true);
        check("windflow stack rollback web --rev 3 -d", true);
        check("windflow stack remove web -y --volumes", true);
        check("windflow deployment list --state active", true);
        check(
            "windflow audit list --actor ada --action stack --since 2h --until 2026-11-22 -n 5",
            true,
        );
        check("windflow audit list --actor ada --agent web1", false);
        check("windflow audit list --since soon", false);
        check("windflow audit list --limit 0", false);
        check("windflow logs web -f --service a,b --tail all -t", true);
        check("windflow logs web --tail many", false);
        check("windflow logs", false);
        check(
            "windflow logs --search timeout --on env=prod --since 2h --level warn",
            true,
        );
        check(
            "windflow logs web --regex ^GET --field status>=500 --field user=anna --limit 50",
            true,
        );
        check("windflow logs --search x --limit 0", false);
        check("windflow logs --search x --level loud", false);
        check("windflow logs --field =x", false);
        #[cfg(feature = "bench")]
        {
            check(
                "windflow bench fleet --agents 100 --profile idle,deploy-wave --hold 1m",
                true,
            );
            check("windflow bench fleet --agents 0", false);
            check("windflow bench fleet --agents 10 --profile rest", false);
        }
        check("windflow top --on a,b --on-label env=prod -c --every 1s", true);
        check("windflow top --every soon", false);
        check("windflow completions bash", true);
        check("windflow", false);
        check("windflow stak list", false);
    }
}
