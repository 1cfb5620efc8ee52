//! `windflow`: the command line.
#![forbid(unsafe_code)]

use std::{io::Write as _, process::ExitCode};

use clap::Parser as _;
use windflow_client::{Exit, cli::Cli, commands};
use windflow_kit::Clock;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout and are a success; everything else is a usage error.
            let code = if error.use_stderr() { Exit::Usage } else { Exit::Ok };
            let _ = error.print();
            return ExitCode::from(code.code());
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&windflow_client::Error::failed(format!("cannot start: {error}"))),
    };
    let variable = |name: &str| std::env::var(name).ok();
    let done = runtime.block_on(commands::run(cli, &Clock::system(), &variable));
    // Standard input may be waited for by a thread of its own; the process does not wait for that.
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::from(Exit::Ok.code()),
        Err(error) => fail(&error),
    }
}

fn fail(error: &windflow_client::Error) -> ExitCode {
    if let Exit::Command(code) = error.exit {
        return ExitCode::from(code);
    }
    // A stderr that is gone leaves the exit code.
    let _ = writeln!(std::io::stderr().lock(), "{}", error.report());
    ExitCode::from(error.exit.code())
}
