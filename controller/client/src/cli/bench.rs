//! `windflow bench …`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand, ValueEnum};
use windflow_bench::Profile;

use super::value::parse_duration;

/// `bench`.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Run simulated hosts with real links against this controller, measure, and remove them again.
    Fleet(FleetArgs),
}

/// What the hosts do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProfileArg {
    /// Nothing: memory, processor and bytes on the wire of connected hosts.
    Idle,
    /// Run one stack, sent to all of them in one request, and remove it again.
    DeployWave,
    /// Lose their connection and come back.
    ReconnectStorm,
    /// Write logs that somebody reads: how far behind a viewer is, and what a line costs.
    Logs,
    /// Send samples: processor time, bytes on the wire and on disk.
    Metrics,
}

impl From<ProfileArg> for Profile {
    fn from(arg: ProfileArg) -> Self {
        match arg {
            ProfileArg::Idle => Self::Idle,
            ProfileArg::DeployWave => Self::DeployWave,
            ProfileArg::ReconnectStorm => Self::ReconnectStorm,
            ProfileArg::Metrics => Self::Metrics,
            ProfileArg::Logs => Self::Logs,
        }
    }
}

/// `bench fleet`.
#[derive(Debug, Args)]
pub struct FleetArgs {
    /// How many hosts, 1 to 20000. Each needs about 60 KB of memory here.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub agents: u32,
    /// What they do, with commas, in this order.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "idle")]
    pub profile: Vec<ProfileArg>,
    /// How long nothing happens in `idle`, samples are sent in `metrics`, and lines are read in `logs`.
    #[arg(long, value_parser = parse_duration, default_value = "60s")]
    pub hold: Duration,
    /// How long a deployment takes on a host, up to half longer or shorter.
    #[arg(long, value_parser = parse_duration, default_value = "2s")]
    pub apply: Duration,
    /// Containers on each host that belong to no stack.
    #[arg(long, default_value_t = 5)]
    pub containers: u16,
    /// In `metrics`: between two samples of a host.
    #[arg(long, value_parser = parse_duration, default_value = "10s")]
    pub sample_every: Duration,
    /// In `metrics`: samples in a frame, 1 to 60; an agent that nobody watches sends six.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u8).range(1..=60))]
    pub samples_together: u8,
    /// In `logs`: hosts whose log is read, each by a viewer of its own.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub viewers: u16,
    /// In `logs`: lines that each of these hosts writes in a second.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub lines_per_s: u32,
    /// In `logs`: bytes in a line.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u32).range(14..=65_536))]
    pub line_bytes: u32,
    /// Keep the hosts at the controller and their keys in this file; a later run uses them again.
    #[arg(long, value_name = "FILE")]
    pub keep: Option<PathBuf>,
    /// The controller's process if it runs on this machine, for its memory and processor time: a number, or a file that
    /// holds it.
    #[arg(long, value_name = "PID|FILE")]
    pub controller_pid: Option<String>,
    /// `reconnect-storm` begins when you restart the controller, instead of with a cut of all connections.
    #[arg(long)]
    pub await_restart: bool,
    /// Address of the controller for agents (UDP), if it is not the one that it announces.
    #[arg(long, value_name = "HOST:PORT")]
    pub quic: Option<String>,
}
