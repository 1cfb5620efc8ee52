//! The agent's settings: file, then environment, then flags. Every problem is reported at once; nothing starts before.

use std::path::{Path, PathBuf};

use windflow_kit::Chain;

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
}

/// Reads everything.
///
/// # Errors
/// All problems, one line each.
pub fn load(args: &RunArgs, variable: &dyn Fn(&str) -> Option<String>) -> Result<Config, CommandError> {
    let mut problems = Vec::new();
    let mut config = Config {
        state_dir: DEFAULT_STATE_DIR.into(),
        target: TargetChoice::Docker,
        docker_host: None,
    };
    let set = |name| variable(name).filter(|value| !value.is_empty());
    let named = args
        .config
        .clone()
        .or_else(|| set("WINDFLOW_AGENT_CONFIG").map(PathBuf::from));
    let file = named.clone().unwrap_or_else(|| DEFAULT_FILE.into());
    match fs_err::read_to_string(&file) {
        Ok(text) => apply_file(&file, &text, &mut config, &mut problems),
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => problems.push(Chain(&error).to_string()),
    }
    if let Some(dir) = set("WINDFLOW_STATE_DIR") {
        config.state_dir = dir.into();
    }
    if let Some(host) = set("DOCKER_HOST") {
        config.docker_host = Some(host);
    }
    if let Some(word) = set("WINDFLOW_TARGET") {
        match parse_target(&word) {
            Ok(target) => config.target = target,
            Err(problem) => problems.push(format!("WINDFLOW_TARGET: {problem}")),
        }
    }
    if let Some(dir) = &args.state_dir {
        config.state_dir.clone_from(dir);
    }
    if let Some(target) = args.target {
        config.target = target;
    }
    if !config.state_dir.is_absolute() {
        match std::path::absolute(&config.state_dir) {
            Ok(dir) => config.state_dir = dir,
            Err(error) => problems.push(format!("state_dir {}: {error}", config.state_dir.display())),
        }
    }
    if problems.is_empty() {
        Ok(config)
    } else {
        Err(CommandError::problems(&problems))
    }
}

/// The state directory as `status` and `enroll` see it.
#[must_use]
pub fn state_dir(given: Option<PathBuf>) -> PathBuf {
    given.unwrap_or_else(|| DEFAULT_STATE_DIR.into())
}

fn parse_target(word: &str) -> Result<TargetChoice, String> {
    match word {
        "docker" => Ok(TargetChoice::Docker),
        "fake" => Ok(TargetChoice::Fake),
        other => Err(format!("`{other}` is no target; it is docker or fake")),
    }
}

fn apply_file(file: &Path, text: &str, config: &mut Config, problems: &mut Vec<String>) {
    let table: toml::Table = match text.parse() {
        Ok(table) => table,
        Err(error) => {
            let error: toml::de::Error = error;
            let place = error
                .span()
                .map_or_else(|| "1:1".to_owned(), |span| place(text, span.start));
            problems.push(format!("{}:{place}: {}", file.display(), error.message()));
            return;
        }
    };
    // In the order of the file, not of the alphabet.
    let mut keys: Vec<_> = table
        .iter()
        .map(|(key, value)| (key_start(text, key), key, value))
        .collect();
    keys.sort_by_key(|(start, ..)| *start);
    for (start, key, value) in keys {
        let at = format!("{}:{}", file.display(), place(text, start));
        let Some(word) = value.as_str() else {
            let known = ["state_dir", "target", "docker_host"].contains(&key.as_str());
            problems.push(if known {
                format!("{at}: {key} must be a text in quotes")
            } else {
                unknown(&at, key)
            });
            continue;
        };
        match key.as_str() {
            "state_dir" => config.state_dir = word.into(),
            "docker_host" => config.docker_host = Some(word.to_owned()),
            "target" => match parse_target(word) {
                Ok(target) => config.target = target,
                Err(problem) => problems.push(format!("{at}: {problem}")),
            },
            _ => problems.push(unknown(&at, key)),
        }
    }
}

fn unknown(at: &str, key: &str) -> String {
    format!("{at}: unknown key `{key}`; there are state_dir, target and docker_host")
}

/// Where a top-level key stands: its first line.
fn key_start(text: &str, key: &str) -> usize {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let bare = line.trim_start().trim_start_matches(['[', '"']);
        if bare
            .strip_prefix(key)
            .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
        {
            return start + (line.len() - line.trim_start().len());
        }
        start += line.len();
    }
    0
}

fn place(text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("{line}:{column}")
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
            Err("a.toml:1:1: `moon` is no target; it is docker or fake\n\
             a.toml:3:3: unknown key `stat`; there are state_dir, target and docker_host\n\
             a.toml:4:1: state_dir must be a text in quotes\n\
             WINDFLOW_TARGET: `x` is no target; it is docker or fake"),
        );
        check(
            "[link]\nx = 1\n",
            &[],
            Err("a.toml:1:1: unknown key `link`; there are state_dir, target and docker_host"),
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
}
