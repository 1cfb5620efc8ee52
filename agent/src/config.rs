//! The agent's settings: file, then environment, then flags. Every problem is reported at once; nothing starts before.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use windflow_engine::{DockerOptions, PULL_STALL, client_config_dir};
use windflow_kit::settings::{self, Form, Setting, Settings};

use crate::{
    cli::{RunArgs, TargetChoice},
    failure::CommandError,
};

/// The file that is read if no other is named.
pub const DEFAULT_FILE: &str = "/etc/windflow/agent.toml";
/// The state directory if no other is named.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/windflow-agent";

/// All settings of `run`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where the agent keeps identity, journal and work files. `state_dir`, `WINDFLOW_STATE_DIR`, `--state-dir`.
    pub state_dir: PathBuf,
    /// Where stacks run. `target`, `WINDFLOW_TARGET`, `--target`.
    pub target: TargetChoice,
    /// Address of the engine, as `DOCKER_HOST`. `docker_host`, `DOCKER_HOST`.
    pub docker_host: Option<String>,
    /// Directory of the Docker client's `config.json` with credentials of registries. `docker_config`, `DOCKER_CONFIG`.
    pub docker_config: Option<PathBuf>,
    /// How long a pull may stand still. `pull_stall_s`, `WINDFLOW_PULL_STALL_S`.
    pub pull_stall: Duration,
    /// What a controller may do here. `policy_file`, `WINDFLOW_POLICY_FILE`.
    pub policy_file: PathBuf,
    /// Where Prometheus may ask for `/metrics`; nowhere without it. `metrics_listen`, `WINDFLOW_METRICS_LISTEN`.
    pub metrics_listen: Option<SocketAddr>,
    /// False builds images with the engine's classic builder. `DOCKER_BUILDKIT`.
    pub buildkit: Option<bool>,
    /// Socket of the SSH agent that builds may use. `SSH_AUTH_SOCK`.
    pub ssh_agent: Option<PathBuf>,
}

/// Every setting. The loader below and `windflow-agent config reference` both come from this.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "state_dir",
        env: "WINDFLOW_STATE_DIR",
        flag: Some("--state-dir"),
        default: DEFAULT_STATE_DIR,
        form: Form::Text,
        help: "Directory for identity, journal and work files.",
    },
    Setting {
        key: "target",
        env: "WINDFLOW_TARGET",
        flag: Some("--target"),
        default: "docker",
        form: Form::Text,
        help: "Where stacks run: docker (Docker or Podman) or fake (simulated containers).",
    },
    Setting {
        key: "docker_host",
        env: "DOCKER_HOST",
        flag: None,
        default: "",
        form: Form::Text,
        help: "Address of the engine, unix:// or tcp://. Without it: the engine's usual sockets.",
    },
    Setting {
        key: "docker_config",
        env: "DOCKER_CONFIG",
        flag: None,
        default: "",
        form: Form::Text,
        help: "Directory with the Docker client's config.json: credentials of registries, helpers, proxies. Without it: .docker in the home directory.",
    },
    Setting {
        key: "pull_stall_s",
        env: "WINDFLOW_PULL_STALL_S",
        flag: None,
        default: "120",
        form: Form::Number,
        help: "Seconds in which nothing comes from a registry, after which a pull fails. What runs keeps running.",
    },
    Setting {
        key: "policy_file",
        env: "WINDFLOW_POLICY_FILE",
        flag: None,
        default: crate::policy::DEFAULT_FILE,
        form: Form::Text,
        help: "What a controller may do on this host beyond deploying; read anew for every terminal.",
    },
    Setting {
        key: "metrics_listen",
        env: "WINDFLOW_METRICS_LISTEN",
        flag: None,
        default: "",
        form: Form::Text,
        help: "Address and port at which Prometheus may ask for /metrics, like 127.0.0.1:9464. There is no token: bind it to \
               loopback or a private address. Without it: nowhere.",
    },
];

/// All settings with their defaults, as a configuration file.
#[must_use]
pub fn reference() -> String {
    settings::reference("Settings of windflow-agent", SETTINGS)
}

/// Reads everything.
///
/// # Errors
/// All problems, one line each.
pub fn load(args: &RunArgs, variable: &dyn Fn(&str) -> Option<String>) -> Result<Config, CommandError> {
    let mut settings = Settings::new(SETTINGS);
    let named = args.config.clone().or_else(|| {
        let file = variable("WINDFLOW_AGENT_CONFIG").filter(|file| !file.is_empty());
        file.map(PathBuf::from)
    });
    settings.file(
        named.as_deref().unwrap_or_else(|| Path::new(DEFAULT_FILE)),
        named.is_some(),
    );
    settings.environment(variable);
    let state_dir = settings.value("state_dir", |text| absolute(Path::new(text)));
    let target = settings.value("target", parse_target);
    let docker_host = settings.value("docker_host", |text| Ok(text.to_owned()));
    let docker_config = settings.value("docker_config", |text| Ok(PathBuf::from(text)));
    let pull_stall = settings.value("pull_stall_s", parse_seconds);
    let policy_file = settings.value("policy_file", |text| absolute(Path::new(text)));
    let metrics_listen = settings.value("metrics_listen", |text| {
        let found = text.parse();
        found.map_err(|_| format!("`{text}` is no address with a port, like 127.0.0.1:9464"))
    });
    let given = args.state_dir.as_deref().map(absolute).transpose();
    let given = given.unwrap_or_else(|problem| {
        settings.problem("--state-dir", &problem);
        None
    });
    settings
        .finish()
        .map_err(|error| CommandError::problems(&error.problems))?;
    let builder = DockerOptions::default().with_builder(variable);
    Ok(Config {
        buildkit: builder.buildkit,
        ssh_agent: builder.ssh_agent,
        state_dir: given.or(state_dir).unwrap_or_else(|| DEFAULT_STATE_DIR.into()),
        target: args.target.or(target).unwrap_or(TargetChoice::Docker),
        policy_file: policy_file.unwrap_or_else(|| crate::policy::DEFAULT_FILE.into()),
        metrics_listen,
        docker_host,
        docker_config: docker_config.or_else(|| client_config_dir(variable)),
        pull_stall: pull_stall.unwrap_or(PULL_STALL),
    })
}

fn absolute(dir: &Path) -> Result<PathBuf, String> {
    std::path::absolute(dir).map_err(|error| format!("{}: {error}", dir.display()))
}

/// The state directory as `status` and `enroll` see it.
#[must_use]
pub fn state_dir(given: Option<PathBuf>) -> PathBuf {
    given.unwrap_or_else(|| DEFAULT_STATE_DIR.into())
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<u64>() {
        Ok(seconds @ 1..=86_400) => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("`{text}` is no number of seconds from 1 to 86400")),
    }
}

fn parse_target(word: &str) -> Result<TargetChoice, String> {
    match word {
        "docker" => Ok(TargetChoice::Docker),
        "fake" => Ok(TargetChoice::Fake),
        other => Err(format!("`{other}` is no target; it is docker or fake")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, variables: &[(&str, &str)], expected: Result<(&str, TargetChoice), &str>) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.toml");
        fs_err::write(&file, text).unwrap();
        let args = RunArgs {
            config: Some(file),
            ..RunArgs::default()
        };
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let seen = load(&args, &variable).map_err(|error| {
            assert_eq!(error.exit, 2);
            error.report().replace(&format!("{}/", dir.path().display()), "")
        });
        let seen = seen
            .as_ref()
            .map(|config| (config.state_dir.to_str().unwrap(), config.target))
            .map_err(String::as_str);
        assert_eq!(seen, expected, "{text}");
    }

    #[test]
    fn file_then_environment_and_all_problems_at_once() {
        check("", &[], Ok((DEFAULT_STATE_DIR, TargetChoice::Docker)));
        check(
            "state_dir = \"/a\"\ntarget = \"fake\"",
            &[],
            Ok(("/a", TargetChoice::Fake)),
        );
        check(
            "state_dir = \"/a\"",
            &[("WINDFLOW_STATE_DIR", "/b"), ("WINDFLOW_TARGET", "fake")],
            Ok(("/b", TargetChoice::Fake)),
        );
        check(
            "target = \"moon\"\n\n  stat = 1\nstate_dir = 2\n",
            &[("WINDFLOW_TARGET", "x")],
            Err(
                "a.toml:3:3: unknown key `stat`; there are state_dir, target, docker_host, docker_config, pull_stall_s, policy_file, metrics_listen\n\
             a.toml:4:1: state_dir must be a text in quotes\n\
             WINDFLOW_TARGET: `x` is no target; it is docker or fake",
            ),
        );
        check(
            "target = \"moon\"",
            &[],
            Err("a.toml:1:1: target: `moon` is no target; it is docker or fake"),
        );
        check(
            "metrics_listen = \"9464\"",
            &[],
            Err("a.toml:1:1: metrics_listen: `9464` is no address with a port, like 127.0.0.1:9464"),
        );
        check(
            "[link]\nx = 1\n",
            &[],
            Err(
                "a.toml:1:1: unknown key `link`; there are state_dir, target, docker_host, docker_config, pull_stall_s, policy_file, metrics_listen",
            ),
        );
    }

    #[test]
    fn a_named_file_must_exist() {
        let args = RunArgs {
            config: Some("/nowhere/a.toml".into()),
            ..RunArgs::default()
        };
        let error = load(&args, &|_| None).unwrap_err();
        assert!(error.message.contains("/nowhere/a.toml"), "{error}");
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
