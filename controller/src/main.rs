//! `windflow-controller`.
#![forbid(unsafe_code)]

use std::{io::Write as _, process::ExitCode};

use clap::Parser as _;
use windflow_controller::{
    ca,
    cli::{CaPin, Cli, Command, Serve},
    config::{Config, Settings},
    http, serve,
};
use windflow_kit::{Chain, trace};

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let error: &(dyn std::error::Error + 'static) = error.as_ref();
            let said = writeln!(std::io::stderr(), "windflow-controller: {}", Chain(error));
            ExitCode::from(if said.is_ok() { 1 } else { 2 })
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
        Command::CaPin(arguments) => ca_pin(arguments),
        Command::Serve(arguments) => start(arguments),
    }
}

fn start(arguments: Serve) -> anyhow::Result<()> {
    trace::init("info", trace::Format::Auto)?;
    let settings = Settings {
        data_dir: arguments.data_dir,
        http: arguments.http,
        quic: arguments.quic,
        names: (!arguments.names.is_empty()).then_some(arguments.names),
        ..Settings::default()
    };
    let config = Config::load(arguments.config.as_deref(), &serve::variables(), settings)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve::serve(config))
}

/// The authority is only read: the controller may be running.
fn ca_pin(arguments: CaPin) -> anyhow::Result<()> {
    let settings = Settings {
        data_dir: arguments.data_dir,
        ..Settings::default()
    };
    let config = Config::load(arguments.config.as_deref(), &serve::variables(), settings)?;
    let pin = ca::pin_in(&config.data_dir.join("ca"))?;
    writeln!(std::io::stdout(), "{pin}")?;
    Ok(())
}
