//! `windflow-agent`: the binary.
#![forbid(unsafe_code)]

use std::{
    io::{IsTerminal as _, Write as _},
    process::ExitCode,
};

use clap::Parser as _;
use windflow_agent::{
    cli::{Cli, Command, ConfigCommand, RunArgs},
    config, doctor,
    failure::CommandError,
    host_terminal,
    local::{self, Caller},
    status, tasks,
};
use windflow_compose::collect::IntoMap as _;
use windflow_kit::{Clock, Random, trace};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout and are a success; everything else is a usage error.
            let code = if error.use_stderr() { 2 } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let report = error.report();
            if !report.is_empty() {
                // A stderr that is gone leaves the exit code.
                let _ = writeln!(std::io::stderr().lock(), "{report}");
            }
            ExitCode::from(error.exit)
        }
    }
}

fn run(cli: Cli) -> Result<(), CommandError> {
    if let Command::HostTerminal(args) = &cli.command
        && args.exec
    {
        // Before anything that may begin a thread.
        return Err(host_terminal::enter());
    }
    let filter = if matches!(cli.command, Command::Run(_) | Command::HostTerminal(_)) {
        "info"
    } else {
        "error"
    };
    trace::init(filter, trace::Format::Auto).map_err(|error| CommandError::usage(error.to_string()))?;
    let variable = |name: &str| std::env::var(name).ok();
    let (clock, random) = (Clock::system(), Random::system());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::failed(format!("cannot start: {error}")))?;
    match cli.command {
        Command::Local(args) => {
            let done = runtime.block_on(Box::pin(local::run(*args, clock, random, caller()?)));
            // A read of the terminal may be under way: nobody waits for a key.
            runtime.shutdown_background();
            done
        }
        Command::Config(ConfigCommand::Reference) => {
            // A stdout that is gone leaves the exit code.
            let _ = write!(std::io::stdout(), "{}", config::reference());
            Ok(())
        }
        #[cfg(feature = "link")]
        Command::Enroll(args) => runtime.block_on(windflow_agent::joining::command(args, clock, &variable)),
        #[cfg(feature = "link")]
        Command::Leave(args) => runtime.block_on(windflow_agent::leaving::command(args, clock)),
        Command::Top(args) => runtime.block_on(Box::pin(local::top(args, clock, &caller()?))),
        Command::Run(args) => {
            let config = config::load(&args, &variable)?;
            runtime.block_on(Box::pin(tasks::run(config, clock, random)))
        }
        Command::HostTerminal(args) => runtime.block_on(Box::pin(host_terminal::serve(args))),
        Command::Status(args) => runtime.block_on(status::command(args)),
        Command::Doctor(args) => {
            let args = RunArgs {
                config: args.config,
                state_dir: args.state_dir,
                target: None,
            };
            let config = config::load(&args, &variable)?;
            runtime.block_on(doctor::command(&config, &clock))
        }
    }
}

fn caller() -> Result<Caller, CommandError> {
    let working_dir = std::env::current_dir()
        .map_err(|error| CommandError::usage(format!("the working directory is not usable: {error}")))?;
    let env = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Ok(Caller {
        working_dir,
        env: env.into_map(),
        terminal: std::io::stderr().is_terminal(),
        root: rustix::process::geteuid().is_root(),
    })
}
