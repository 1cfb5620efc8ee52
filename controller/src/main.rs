//! `windflow-controller`.
#![forbid(unsafe_code)]

use std::{io::Write as _, process::ExitCode};

use clap::Parser as _;
use windflow_controller::{
    ca,
    cli::{CaPin, Cli, Command, ConfigCommand, Serve},
    config::{self, Arguments, Config},
    http, serve,
};
use windflow_kit::{Chain, settings::SettingsError, trace};

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // As clap does for the command line: 2 says that the caller has to change something.
            let code = if error.is::<SettingsError>() { 2 } else { 1 };
            let error: &(dyn std::error::Error + 'static) = error.as_ref();
            // A stderr that is gone leaves the exit code.
            let _ = writeln!(std::io::stderr(), "error: {}", Chain(error));
            ExitCode::from(code)
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Openapi => {
            let text = http::document().to_pretty_json()?;
            writeln!(std::io::stdout(), "{text}")?;
            Ok(())
        }
        Command::Config(ConfigCommand::Reference) => {
            write!(std::io::stdout(), "{}", config::reference())?;
            Ok(())
        }
        Command::CaPin(arguments) => ca_pin(arguments),
        Command::Serve(arguments) => start(arguments),
    }
}

fn start(arguments: Serve) -> anyhow::Result<()> {
    trace::init("info", trace::Format::Auto)?;
    let given = Arguments {
        data_dir: arguments.data_dir,
        http: arguments.http,
        quic: arguments.quic,
        names: arguments.names,
    };
    let config = Config::load(arguments.config.as_deref(), &serve::variables(), given)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve::serve(config))
}

/// The authority is only read: the controller may be running.
fn ca_pin(arguments: CaPin) -> anyhow::Result<()> {
    let given = Arguments {
        data_dir: arguments.data_dir,
        ..Arguments::default()
    };
    let config = Config::load(arguments.config.as_deref(), &serve::variables(), given)?;
    let pin = ca::pin_in(&config.data_dir.join("ca"))?;
    writeln!(std::io::stdout(), "{pin}")?;
    Ok(())
}
