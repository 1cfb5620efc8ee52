//! Configuration: a TOML file, then `WINDFLOW_*`, then arguments; the later wins. All problems are told at once.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, ToSocketAddrs as _},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use crate::ca::LEAF_LIFE;

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
}

/// Where each key comes from, before it is checked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `data_dir`, `WINDFLOW_DATA_DIR`, `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `http`, `WINDFLOW_HTTP`, `--http`.
    pub http: Option<String>,
    /// `quic`, `WINDFLOW_QUIC`, `--quic`.
    pub quic: Option<String>,
    /// `names`, `WINDFLOW_NAMES` (commas).
    pub names: Option<Vec<String>>,
    /// `quic_address`, `WINDFLOW_QUIC_ADDRESS`.
    pub quic_address: Option<String>,
    /// `agent_binaries`, `WINDFLOW_AGENT_BINARIES`.
    pub agent_binaries: Option<PathBuf>,
    /// `agent_certificate_life_s`, `WINDFLOW_AGENT_CERTIFICATE_LIFE_S`: 10 to 604,800.
    pub agent_certificate_life_s: Option<u64>,
}

/// Shortest and longest life of agents' certificates in seconds.
const LIFE_S: std::ops::RangeInclusive<u64> = 10..=604_800;

/// Variables with our prefix that are not settings: the configuration file itself.
const FOREIGN: &[&str] = &["WINDFLOW_CONTROLLER_CONFIG"];

/// Everything that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the configuration is not valid:\n  {}", problems.join("\n  "))]
pub struct ConfigError {
    /// One line each, with its place.
    pub problems: Vec<String>,
}

impl Config {
    /// Loads everything. `variables` is the environment.
    ///
    /// # Errors
    /// [`ConfigError`] with every problem.
    pub fn load(
        file: Option<&Path>,
        variables: &BTreeMap<String, String>,
        arguments: Settings,
    ) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let from_file = file.map_or_else(Settings::default, |path| read(path, &mut problems));
        let from_variables = environment(variables, &mut problems);
        let settings = merge(merge(from_file, from_variables), arguments);
        let http = address(
            "http",
            settings.http.as_deref().unwrap_or("[::]:8443"),
            &mut problems,
        );
        let quic = address(
            "quic",
            settings.quic.as_deref().unwrap_or("[::]:8443"),
            &mut problems,
        );
        let names = settings.names.unwrap_or_default();
        for name in &names {
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '*');
            if name.is_empty() || !name.chars().all(fits) {
                problems.push(format!("names: {name:?} is neither a host name nor an address"));
            }
        }
        if let Some(text) = &settings.quic_address
            && text
                .rsplit_once(':')
                .is_none_or(|(host, port)| host.is_empty() || port.parse::<u16>().is_err())
        {
            problems.push(format!("quic_address: {text:?} is not host:port"));
        }
        let life_s = settings.agent_certificate_life_s;
        if let Some(life) = life_s.filter(|life| !LIFE_S.contains(life)) {
            problems.push(format!(
                "agent_certificate_life_s: {life} is not between {} and {}",
                LIFE_S.start(),
                LIFE_S.end()
            ));
        }
        match (http, quic) {
            (Some(http), Some(quic)) if problems.is_empty() => Ok(Self {
                data_dir: settings
                    .data_dir
                    .unwrap_or_else(|| "/var/lib/windflow-controller".into()),
                http,
                quic,
                names,
                quic_address: settings.quic_address,
                agent_binaries: settings.agent_binaries,
                agent_certificate_life: life_s.map_or(LEAF_LIFE, Duration::from_secs),
            }),
            _ => Err(ConfigError { problems }),
        }
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

fn read(path: &Path, problems: &mut Vec<String>) -> Settings {
    let text = match fs_err::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            problems.push(error.to_string());
            return Settings::default();
        }
    };
    let table: toml::Table = match text.parse() {
        Ok(table) => table,
        Err(error) => {
            problems.push(format!("{}: {}", path.display(), error.to_string().trim()));
            return Settings::default();
        }
    };
    // Key by key, so that one bad key does not hide the next.
    let mut settings = Settings::default();
    for (key, value) in table {
        let single = toml::Table::from_iter([(key.clone(), value)]);
        match Settings::deserialize(toml::Value::Table(single)) {
            Ok(one) => settings = merge(settings, one),
            Err(error) => {
                let cause = error.to_string();
                problems.push(format!(
                    "{}: {key}: {}",
                    path.display(),
                    cause.trim().replace('\n', " ")
                ));
            }
        }
    }
    settings
}

fn environment(variables: &BTreeMap<String, String>, problems: &mut Vec<String>) -> Settings {
    let mut settings = Settings::default();
    for (name, value) in variables {
        let Some(key) = name.strip_prefix("WINDFLOW_") else {
            continue;
        };
        let value = value.clone();
        match key {
            "DATA_DIR" => settings.data_dir = Some(value.into()),
            "HTTP" => settings.http = Some(value),
            "QUIC" => settings.quic = Some(value),
            "NAMES" => {
                let names = value.split(',').map(str::trim).filter(|name| !name.is_empty());
                settings.names = Some(names.map(str::to_owned).collect());
            }
            "QUIC_ADDRESS" => settings.quic_address = Some(value),
            "AGENT_BINARIES" => settings.agent_binaries = Some(value.into()),
            "AGENT_CERTIFICATE_LIFE_S" => match value.parse() {
                Ok(life) => settings.agent_certificate_life_s = Some(life),
                Err(_) => problems.push(format!("{name}: {value:?} is not a number of seconds")),
            },
            _ if FOREIGN.contains(&name.as_str()) => {}
            // A misspelt variable would be ignored in silence; those of the agent and the scripts are not ours.
            _ if key.starts_with("CONTROLLER_") => problems.push(format!("{name}: there is no such setting")),
            _ => {}
        }
    }
    settings
}

fn merge(low: Settings, high: Settings) -> Settings {
    Settings {
        data_dir: high.data_dir.or(low.data_dir),
        http: high.http.or(low.http),
        quic: high.quic.or(low.quic),
        names: high.names.or(low.names),
        quic_address: high.quic_address.or(low.quic_address),
        agent_binaries: high.agent_binaries.or(low.agent_binaries),
        agent_certificate_life_s: high.agent_certificate_life_s.or(low.agent_certificate_life_s),
    }
}

fn address(key: &str, text: &str, problems: &mut Vec<String>) -> Option<SocketAddr> {
    let found = text.parse().ok().or_else(|| text.to_socket_addrs().ok()?.next());
    if found.is_none() {
        problems.push(format!(
            "{key}: {text:?} is not an address with a port, like 0.0.0.0:8443"
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: &str, variables: &[(&str, &str)], arguments: Settings) -> Result<Config, String> {
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
        let arguments = Settings {
            http: Some("127.0.0.1:3".into()),
            ..Settings::default()
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
            Settings::default(),
        );
        let error = error.unwrap_err();
        for says in [
            "http: \"nonsense\"",
            "htpp",
            "names:",
            "quic: \"7\"",
            "quic_address",
            "WINDFLOW_CONTROLLER_X",
        ] {
            assert!(error.contains(says), "{says} is not in:\n{error}");
        }
    }

    #[test]
    fn a_syntax_error_has_its_line() {
        let error = load("http = \n", &[], Settings::default()).unwrap_err();
        assert!(error.contains("line 1"), "{error}");
    }
}
