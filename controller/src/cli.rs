//! The command line of the controller.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// The WindFlow controller: desired state of the fleet, its queue, its API and the link to its hosts.
#[derive(Debug, Parser)]
#[command(name = "windflow-controller", version = windflow_kit::build::VERSION, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the controller until it is told to stop.
    Serve(Serve),
    /// Prints the OpenAPI document of the HTTP API.
    Openapi,
    /// About the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Prints the pin of this controller's authority, which agents and command lines check.
    CaPin(CaPin),
}

/// `config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Prints all settings with their defaults, as a configuration file.
    Reference,
}

/// Runs the controller. Every setting also as `WINDFLOW_…` and in the configuration file.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Serve {
    /// Configuration file (TOML) [default: /etc/windflow/controller.toml if it exists].
    #[arg(long, value_name = "FILE", env = "WINDFLOW_CONTROLLER_CONFIG")]
    pub config: Option<PathBuf>,
    /// Directory for everything that lasts [default: /var/lib/windflow-controller].
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Address of the HTTPS API and web UI (TCP) [default: [::]:8443].
    #[arg(long, value_name = "ADDR:PORT")]
    pub http: Option<String>,
    /// Address for agents (UDP) [default: [::]:8443].
    #[arg(long, value_name = "ADDR:PORT")]
    pub quic: Option<String>,
    /// Name or address this controller is reached by; repeat it for more. Goes into the certificate.
    #[arg(long = "name", value_name = "NAME")]
    pub names: Vec<String>,
}

/// Where the authority is.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct CaPin {
    /// Configuration file (TOML).
    #[arg(long, value_name = "FILE", env = "WINDFLOW_CONTROLLER_CONFIG")]
    pub config: Option<PathBuf>,
    /// The controller's directory [default: /var/lib/windflow-controller].
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}
