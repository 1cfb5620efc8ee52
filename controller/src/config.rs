//! Configuration: a TOML file, then `WINDFLOW_*`, then arguments; the later wins. All problems are told at once.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, ToSocketAddrs as _},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use windflow_kit::settings::{self, Settings, SettingsError};

use crate::{
    ca::LEAF_LIFE,
    egress::EgressOptions,
    event_log::EventRetention,
    fleet::AdmissionOptions,
    recordings::{Recorded, RecordingOptions},
    telemetry::{Retention, remote::RemoteWriteOptions},
};

mod outgoing;
mod table;

pub use table::SETTINGS;

/// Ready to be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Everything that lasts. Default `/var/lib/windflow-controller`.
    pub data_dir: PathBuf,
    /// TCP address of HTTPS. Default `[::]:8443`.
    pub http: SocketAddr,
    /// UDP address of the agent link. Default `[::]:8443`.
    pub quic: SocketAddr,
    /// Names and addresses this controller is reached by, for its certificate; the first one is shown in URLs.
    pub names: Vec<String>,
    /// `host:port` that agents are told to dial, if it is not the first name and the port of `quic`.
    pub quic_address: Option<String>,
    /// Folder with `windflow-agent-ARCH`. Default: where the controller's own binary is.
    pub agent_binaries: Option<PathBuf>,
    /// Life of agents' certificates; renewed at half of it. Default 24 h.
    pub agent_certificate_life: Duration,
    /// How many hosts may knock at once.
    pub admission: AdmissionOptions,
    /// How long and how much of the metrics is kept.
    pub metrics: Retention,
    /// How long and how much of what happened is kept.
    pub events: EventRetention,
    /// Which terminals are recorded, and for how long that is kept.
    pub recordings: RecordingOptions,
    /// What the controller may call.
    pub egress: EgressOptions,
    /// Where metrics are sent.
    pub remote_write: Option<RemoteWriteOptions>,
}

/// What the command line says; it wins over everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arguments {
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `--http`.
    pub http: Option<String>,
    /// `--quic`.
    pub quic: Option<String>,
    /// `--name`, each.
    pub names: Vec<String>,
}

/// The file that is read if no other is named and if it exists.
pub const DEFAULT_FILE: &str = "/etc/windflow/controller.toml";

/// Shortest and longest life of agents' certificates in seconds.
const LIFE_S: RangeInclusive<u64> = 10..=604_800;

/// Variables with the prefix of this program that are not settings: the configuration file itself.
const FOREIGN: &[&str] = &["WINDFLOW_CONTROLLER_CONFIG"];

impl Config {
    /// Loads everything. `variables` is the environment.
    ///
    /// # Errors
    /// [`SettingsError`] with every problem.
    pub fn load(
        file: Option<&Path>,
        variables: &BTreeMap<String, String>,
        arguments: Arguments,
    ) -> Result<Self, SettingsError> {
        let mut settings = Settings::new(SETTINGS);
        settings.file(file.unwrap_or_else(|| Path::new(DEFAULT_FILE)), file.is_some());
        settings.environment(&|name| variables.get(name).cloned());
        // A misspelt variable would be ignored in silence; those of the agent and the scripts are not ours.
        for name in variables.keys() {
            if name.starts_with("WINDFLOW_CONTROLLER_") && !FOREIGN.contains(&name.as_str()) {
                settings.problem(name, "there is no such setting");
            }
        }
        settings.argument("http", arguments.http);
        settings.argument("quic", arguments.quic);
        settings.argument("names", arguments.names);
        let data_dir = settings.value("data_dir", |text| Ok(PathBuf::from(text)));
        let http = settings.value("http", address);
        let quic = settings.value("quic", address);
        let names = settings.list("names");
        for name in &names {
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '*');
            if name.is_empty() || !name.chars().all(fits) {
                settings.problem(
                    "names",
                    &format!("{name:?} is neither a host name nor an address"),
                );
            }
        }
        let quic_address = settings.value("quic_address", |text| {
            let parts = text.rsplit_once(':');
            match parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()) {
                true => Ok(text.to_owned()),
                false => Err(format!("{text:?} is not host:port")),
            }
        });
        let agent_binaries = settings.value("agent_binaries", |text| Ok(PathBuf::from(text)));
        let life_s = settings.value("agent_certificate_life_s", |text| {
            let life = text
                .parse()
                .map_err(|_| format!("{text:?} is not a number of seconds"))?;
            match LIFE_S.contains(&life) {
                true => Ok(life),
                false => Err(format!(
                    "{life} is not between {} and {}",
                    LIFE_S.start(),
                    LIFE_S.end()
                )),
            }
        });
        let mut bound = |key: &'static str, range: RangeInclusive<u32>| {
            settings.value(key, |text| match text.parse() {
                Ok(value) if range.contains(&value) => Ok(value),
                _ => Err(format!(
                    "{text:?} is not a number between {} and {}",
                    range.start(),
                    range.end()
                )),
            })
        };
        let usual = AdmissionOptions::default();
        let places =
            |value: Option<u32>, usual| value.map_or(usual, |value| value.try_into().unwrap_or(usual));
        let admission = AdmissionOptions {
            handshakes: places(bound("link_handshakes", 16..=65_536), usual.handshakes),
            handshakes_per_source: places(
                bound("link_handshakes_per_source", 8..=65_536),
                usual.handshakes_per_source,
            ),
            handshakes_per_s: bound("link_handshakes_per_s", 1..=100_000).unwrap_or(usual.handshakes_per_s),
            joins_per_s: bound("link_joins_per_s", 1..=10_000).unwrap_or(usual.joins_per_s),
        };
        let kept = Retention::default();
        let [raw, minute, ten] = kept.days;
        let metrics_bytes = kept.bytes;
        let kept = EventRetention::default();
        let events = EventRetention {
            days: bound("events_days", 1..=3_650).unwrap_or(kept.days),
            bytes: bound("events_disk_mb", 16..=1_000_000).map_or(kept.bytes, |mb| u64::from(mb) << 20),
        };
        let recorded = RecordingOptions::default();
        let days = bound("recordings_days", 1..=3_650).unwrap_or(recorded.days);
        let bytes =
            bound("recordings_disk_mb", 16..=10_000_000).map_or(recorded.bytes, |mb| u64::from(mb) << 20);
        let metrics = Retention {
            days: [
                bound("metrics_days", 1..=3_650).unwrap_or(raw),
                bound("metrics_minute_days", 1..=3_650).unwrap_or(minute),
                bound("metrics_ten_minute_days", 1..=3_650).unwrap_or(ten),
            ],
            bytes: bound("metrics_disk_mb", 64..=10_000_000).map_or(metrics_bytes, |mb| u64::from(mb) << 20),
        };
        let egress = outgoing::egress(&mut settings);
        let recordings = RecordingOptions {
            days,
            bytes,
            which: settings
                .value("terminal_recording", recorded_of)
                .unwrap_or_default(),
            required: settings.value("terminal_recording_required", |text| Ok(text == "true")) == Some(true),
        };
        let remote_write = outgoing::remote_write(&mut settings, metrics.days[0]);
        settings.finish()?;
        // Neither is missing: both have a default, and what could not be read has ended above.
        let none = || SettingsError {
            problems: vec!["http and quic have no address".to_owned()],
        };
        Ok(Self {
            data_dir: arguments.data_dir.or(data_dir).ok_or_else(none)?,
            http: http.ok_or_else(none)?,
            quic: quic.ok_or_else(none)?,
            names,
            quic_address,
            agent_binaries,
            agent_certificate_life: life_s.map_or(LEAF_LIFE, Duration::from_secs),
            admission,
            metrics,
            events,
            recordings,
            egress,
            remote_write,
        })
    }

    /// The name or address to show in URLs.
    #[must_use]
    pub fn host(&self, listen: SocketAddr, hostname: &str) -> String {
        if let Some(name) = self.names.first() {
            return if name.contains(':') {
                format!("[{name}]")
            } else {
                name.clone()
            };
        }
        match listen.ip() {
            ip if ip.is_unspecified() => hostname.to_owned(),
            std::net::IpAddr::V6(ip) => format!("[{ip}]"),
            std::net::IpAddr::V4(ip) => ip.to_string(),
        }
    }
}

/// All settings with their defaults, as a configuration file.
#[must_use]
pub fn reference() -> String {
    settings::reference("Settings of windflow-controller", SETTINGS)
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let found = text.parse().ok().or_else(|| text.to_socket_addrs().ok()?.next());
    found.ok_or_else(|| format!("{text:?} is not an address with a port, like 0.0.0.0:8443"))
}

fn recorded_of(text: &str) -> Result<Recorded, String> {
    match text {
        "off" => Ok(Recorded::Off),
        "host" => Ok(Recorded::Host),
        "all" => Ok(Recorded::All),
        other => Err(format!("`{other}` is none of off, host and all")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: &str, variables: &[(&str, &str)], arguments: Arguments) -> Result<Config, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("controller.toml");
        fs_err::write(&path, file).unwrap();
        let variables = variables
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        Config::load(Some(&path), &variables, arguments).map_err(|error| error.to_string())
    }

    #[test]
    fn arguments_win_over_variables_over_the_file() {
        let arguments = Arguments {
            http: Some("127.0.0.1:3".into()),
            ..Arguments::default()
        };
        let file =
            "http = '127.0.0.1:1'\nquic = '127.0.0.1:1'\ndata_dir = '/a'\nnames = ['wf.example.org']\n";
        let config = load(
            file,
            &[("WINDFLOW_HTTP", "127.0.0.1:2"), ("WINDFLOW_QUIC", "127.0.0.1:2")],
            arguments,
        );
        let config = config.unwrap();
        assert_eq!(config.http.port(), 3);
        assert_eq!(config.quic.port(), 2);
        assert_eq!(config.data_dir, Path::new("/a"));
        assert_eq!(config.host(config.http, "box"), "wf.example.org");
    }

    #[test]
    fn every_problem_is_told() {
        let error = load(
            "http = 'nonsense'\nhtpp = 'x'\nnames = 3\nquic_address = 'x'\n",
            &[("WINDFLOW_QUIC", "7"), ("WINDFLOW_CONTROLLER_X", "1")],
            Arguments::default(),
        );
        let error = error.unwrap_err();
        for says in [
            "controller.toml:1:1: http: \"nonsense\"",
            "controller.toml:2:1: unknown key `htpp`",
            "controller.toml:3:1: names must be a list",
            "WINDFLOW_QUIC: \"7\"",
            "controller.toml:4:1: quic_address",
            "WINDFLOW_CONTROLLER_X: there is no such setting",
        ] {
            assert!(error.contains(says), "{says} is not in:\n{error}");
        }
    }

    #[test]
    fn a_syntax_error_has_its_line() {
        let error = load("http = \n", &[], Arguments::default()).unwrap_err();
        assert!(error.contains("controller.toml:1:8: "), "{error}");
    }

    #[test]
    fn the_guide_has_a_row_for_every_setting() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
        let guide = fs_err::read_to_string(path).unwrap();
        for setting in SETTINGS {
            let row = format!("| `{}` | `{}`", setting.key, setting.env);
            assert!(guide.contains(&row), "docs/configuration.md has no row {row}");
            assert!(reference().contains(setting.env));
        }
    }
}
