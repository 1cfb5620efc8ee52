//! The commands: each reads its arguments, calls the API and prints.

pub mod agent;
pub mod alert;
mod audit;
#[cfg(feature = "bench")]
mod bench;
mod channel;
pub mod deployment;
mod event;
mod files;
pub mod group;
pub mod logs;
mod meant;
pub mod recording;
mod rollout;
pub mod session;
mod spec;
pub mod stack;
mod terminal;
mod top;

use std::{
    collections::BTreeMap,
    io::{IsTerminal as _, Write as _},
    path::Path,
};

use clap::CommandFactory as _;
use windflow_kit::{Chain, Clock, Secret};
use windflow_model::{AgentId, Timestamp};

use crate::{
    cli::{Cli, Command},
    context::Context,
    error::{Error, Result},
    http::Client,
    output::Output,
};

/// What every command is handed.
pub struct Session<'a> {
    /// How to print.
    pub out: Output,
    /// Environment of the process.
    pub variable: &'a (dyn Fn(&str) -> Option<String> + Sync),
}

impl Session<'_> {
    /// A client for the controller the user is signed in to.
    ///
    /// # Errors
    /// If there is none.
    pub fn client(&self) -> Result<Client> {
        Client::new(&Context::load(&|name| (self.variable)(name))?)
    }
}

/// Runs a command line.
///
/// # Errors
/// What the user shall read, with the exit code.
pub async fn run(cli: Cli, clock: &Clock, variable: &(dyn Fn(&str) -> Option<String> + Sync)) -> Result<()> {
    let no_color = cli.no_color || variable("NO_COLOR").is_some_and(|value| !value.is_empty());
    let session = Session {
        out: Output::new(cli.output, no_color, Timestamp::from_millis(clock.now_ms())),
        variable,
    };
    match cli.command {
        Command::Login(args) => session::login(&session, args).await,
        Command::Setup(args) => session::setup(&session, args).await,
        Command::Logout => session::logout(&session).await,
        Command::Whoami => session::whoami(&session).await,
        Command::Agent(command) => agent::run(&session, command).await,
        Command::Stack(command) => Box::pin(stack::run(&session, command)).await,
        Command::Deployment(command) => deployment::run(&session, command).await,
        Command::Rollout(command) => Box::pin(rollout::run(&session, command)).await,
        Command::Group(command) => group::run(&session, command).await,
        Command::Alert(command) => alert::run(&session, command).await,
        Command::Rule(command) => alert::rule(&session, command).await,
        Command::Silence(command) => alert::silence(&session, command).await,
        Command::Channel(command) => Box::pin(channel::run(&session, command)).await,
        Command::Notices(args) => channel::notices(&session, args).await,
        Command::Audit(command) => audit::run(&session, command).await,
        Command::Logs(args) => logs::run(&session, args).await,
        Command::Events(args) => event::run(&session, args).await,
        Command::Cp(args) => files::copy(&session, args).await,
        Command::Files(args) => files::show(&session, args).await,
        Command::Exec(args) => Box::pin(terminal::exec(&session, args)).await,
        Command::Terminal(args) => Box::pin(terminal::open(&session, args)).await,
        Command::Terminals(command) => terminal::terminals(&session, command).await,
        Command::Recording(command) => recording::run(&session, command).await,
        Command::Top(args) => top::run(&session, args).await,
        #[cfg(feature = "bench")]
        Command::Bench(command) => Box::pin(bench::run(&session, command, clock)).await,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "windflow", &mut std::io::stdout());
            Ok(())
        }
    }
}

/// Names of all hosts by id; hosts that are gone are missing.
async fn agent_names(client: &Client) -> Result<BTreeMap<AgentId, String>> {
    let agents = client.agent_list().await?;
    Ok(agents
        .into_iter()
        .map(|agent| (agent.record.id, agent.record.name))
        .collect())
}

/// Reads a secret from the first line of a file.
fn secret_file(path: &Path) -> Result<Secret<String>> {
    let text = fs_err::read_to_string(path).map_err(|error| Error::usage(Chain(&error).to_string()))?;
    let line = text.lines().next().unwrap_or_default().trim().to_owned();
    if line.is_empty() {
        return Err(Error::usage(format!("{} is empty", path.display())));
    }
    Ok(Secret::new(line))
}

/// Asks on the terminal, not on stdin, which may be a pipe.
fn ask_secret(question: &str, instead: &str) -> Result<Secret<String>> {
    if !std::io::stderr().is_terminal() {
        return Err(Error::usage(format!("there is no terminal to ask for the {question}")).hint(instead));
    }
    rpassword::prompt_password(format!("{question}: "))
        .map(Secret::new)
        .map_err(|error| Error::usage(format!("cannot ask for the {question}: {error}")).hint(instead))
}

/// Asks for a line on the terminal.
fn ask_line(question: &str, instead: &str) -> Result<String> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(Error::usage(format!("there is no terminal to ask: {question}")).hint(instead));
    }
    // A terminal that is gone is noticed at the answer.
    let _ = write!(std::io::stderr().lock(), "{question} ");
    let mut line = String::new();
    std::io::stdin()
        .read_line(&mut line)
        .map_err(|error| Error::usage(format!("cannot read the answer: {error}")))?;
    Ok(line.trim().to_owned())
}

/// Asks for a yes before something is taken away.
fn confirm(question: &str, yes: bool) -> Result<()> {
    if yes
        || ask_line(
            &format!("{question} [y/N]"),
            "Give --yes to do it without a question.",
        )?
        .eq_ignore_ascii_case("y")
    {
        return Ok(());
    }
    Err(Error::failed("nothing was done"))
}
