//! `windflow recording …`.

use std::path::PathBuf;

use clap::Subcommand;
use windflow_model::TerminalId;

/// `recording`.
#[derive(Debug, Subcommand)]
pub enum RecordingCommand {
    /// List recordings of terminals, newest first.
    #[command(alias = "ls")]
    List {
        /// Only on this host, by name or id.
        #[arg(long, value_name = "HOST")]
        on: Option<String>,
        /// Only of this user, by name or id.
        #[arg(long, value_name = "USER")]
        user: Option<String>,
        /// Most recordings.
        #[arg(short = 'n', long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
        limit: u32,
    },
    /// Show a recording, and whether its file is what the audit trail says. Exit 1 if it is not.
    Show {
        /// Its id.
        id: TerminalId,
    },
    /// Play a recording in this terminal.
    Play {
        /// Its id.
        id: TerminalId,
        /// So many times as fast.
        #[arg(long, default_value_t = 1.0, value_parser = faster)]
        speed: f64,
        /// No pause is longer than so many seconds.
        #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = faster)]
        idle: f64,
    },
    /// Save a recording as asciicast v2.
    Save {
        /// Its id.
        id: TerminalId,
        /// Where to; `-` is standard output.
        #[arg(default_value = "-")]
        file: PathBuf,
    },
}

fn faster(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.01..=1_000.0).contains(&value) => Ok(value),
        _ => Err("a number from 0.01 to 1000".to_owned()),
    }
}
