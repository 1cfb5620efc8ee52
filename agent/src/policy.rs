//! What a controller may do on this host beyond deploying: a file of the host's owner, which nothing on the wire can
//! change. It is read anew each time it is asked, so a change holds at once. One that cannot be read, that others may
//! write, or that has a mistake in it, allows nothing.

use std::{
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use windflow_kit::{
    error::Chain,
    settings::{Form, Setting, Settings},
};
use windflow_model::{Code, Failure};

/// The file that is read if the configuration names no other.
pub const DEFAULT_FILE: &str = "/etc/windflow/policy.toml";

/// Every rule. The environment has no say here.
pub const RULES: &[Setting] = &[
    rule(
        "container_exec",
        "true",
        Form::Switch,
        "Whether commands and terminals may be run in containers.",
    ),
    rule(
        "container_exec_stacks",
        "",
        Form::List,
        "Only in containers of these stacks; a * stands for any characters. Without it: in all containers of the host.",
    ),
    rule(
        "host_terminal_users",
        "",
        Form::List,
        "Users of the host as whom terminals and commands may be run on the host itself. Without it: as nobody.",
    ),
    rule(
        "volume_browser",
        "",
        Form::Text,
        "What may be done with files in containers and volumes: off, ro or rw. Without it: rw where commands may be run.",
    ),
    rule(
        "files_upload_mib",
        "1024",
        Form::Number,
        "MiB that may be written at once; they lie in the agent's state directory first.",
    ),
    rule(
        "terminal_idle_s",
        "1800",
        Form::Number,
        "Seconds without a keystroke after which a terminal is closed.",
    ),
    rule(
        "terminal_longest_s",
        "43200",
        Form::Number,
        "Seconds after which a terminal or command is closed, whatever it does.",
    ),
];

const fn rule(key: &'static str, default: &'static str, form: Form, help: &'static str) -> Setting {
    Setting {
        key,
        env: "",
        flag: None,
        default,
        form,
        help,
    }
}

/// Where the rules are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFile(PathBuf);

/// The rules of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    file: PathBuf,
    container_exec: bool,
    /// `None`: all.
    stacks: Option<Vec<String>>,
    /// As whom terminals on the host itself may be opened.
    pub host_users: Vec<String>,
    /// `None`: what commands may be run in may be written.
    files: Option<FileAccess>,
    /// Bytes that may be written at once.
    pub files_upload: u64,
    /// Without a keystroke.
    pub terminal_idle: Duration,
    /// In all.
    pub terminal_longest: Duration,
}

/// What may be done with files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileAccess {
    /// Nothing.
    Off,
    /// They may be seen and handed out.
    Read,
    /// They may be written, too.
    Write,
}

impl PolicyFile {
    /// At this path; it need not be there.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The rules as they are now.
    ///
    /// # Errors
    /// [`Code::PolicyRefused`] with what is wrong with the file.
    pub fn read(&self) -> Result<Policy, Failure> {
        let path = &self.0;
        let broken = |problem: String| {
            refused(
                path,
                format!("the policy of this host cannot be used, so nothing is allowed: {problem}"),
            )
        };
        guarded(path).map_err(broken)?;
        let mut rules = Settings::new(RULES);
        rules.file(path, false);
        let container_exec = rules.value("container_exec", |text| Ok(text == "true"));
        let stacks = rules.given_list("container_exec_stacks");
        let host_users = rules.given_list("host_terminal_users").unwrap_or_default();
        let files = rules.value("volume_browser", |text| match text {
            "off" => Ok(FileAccess::Off),
            "ro" => Ok(FileAccess::Read),
            "rw" => Ok(FileAccess::Write),
            other => Err(format!("`{other}` is none of off, ro and rw")),
        });
        let upload = rules.value("files_upload_mib", |text| match text.parse::<u64>() {
            Ok(mib @ 1..=1_048_576) => Ok(mib << 20),
            _ => Err(format!("`{text}` is no number of MiB from 1 to 1048576")),
        });
        let idle = rules.value("terminal_idle_s", seconds);
        let longest = rules.value("terminal_longest_s", seconds);
        rules
            .finish()
            .map_err(|error| broken(error.problems.join("; ")))?;
        Ok(Policy {
            file: path.clone(),
            container_exec: container_exec.unwrap_or(false),
            stacks,
            host_users: host_users.into_iter().filter(|user| !user.is_empty()).collect(),
            files,
            files_upload: upload.unwrap_or_default(),
            terminal_idle: idle.unwrap_or_default(),
            terminal_longest: longest.unwrap_or_default(),
        })
    }
}

impl Policy {
    /// May a command be run in a container of this stack (`None`: of no stack)?
    ///
    /// # Errors
    /// [`Code::PolicyRefused`] with the rule's name.
    pub fn may_exec(&self, stack: Option<&str>) -> Result<(), Failure> {
        if !self.container_exec {
            let text = "the policy of this host forbids terminals and commands in containers (container_exec = false)";
            return Err(refused(&self.file, text.to_owned()));
        }
        let Some(patterns) = &self.stacks else {
            return Ok(());
        };
        if stack.is_some_and(|stack| patterns.iter().any(|pattern| matches(pattern, stack))) {
            return Ok(());
        }
        let what = stack.map_or_else(
            || "containers outside of stacks".to_owned(),
            |stack| format!("stack {stack}"),
        );
        let names = match patterns.as_slice() {
            [] => "none".to_owned(),
            some => some.join(", "),
        };
        let text = format!(
            "the policy of this host forbids terminals and commands in {what} (container_exec_stacks names {names})"
        );
        Err(refused(&self.file, text))
    }
}

impl Policy {
    /// As whom a terminal on the host itself may be opened: as this user, or as the only one if none is asked for.
    ///
    /// # Errors
    /// [`Code::PolicyRefused`] with the rule's name; [`Code::BadRequest`] if several are allowed and none is asked for.
    pub fn may_host_terminal(&self, user: Option<&str>) -> Result<String, Failure> {
        let names = self.host_users.join(", ");
        let asked = match (user, self.host_users.as_slice()) {
            (Some(user), allowed) if allowed.iter().any(|name| name == user) => return Ok(user.to_owned()),
            (None, [only]) => return Ok(only.clone()),
            (None, [_, ..]) => {
                return Err(Failure {
                    hint: format!("Name one of these users: {names}."),
                    ..Failure::new(
                        Code::BadRequest,
                        "a terminal on the host needs the name of a user",
                    )
                });
            }
            (user, _) => user,
        };
        let line = format!("host_terminal_users = [\"{}\"]", asked.unwrap_or("NAME"));
        let file = self.file.display();
        let (text, hint) = if self.host_users.is_empty() {
            let text = "the policy of this host forbids terminals on the host itself (host_terminal_users names nobody)";
            let hint =
                format!("The owner of the host can allow them with {line} in {file}; the controller cannot.");
            (text.to_owned(), hint)
        } else {
            let text = format!(
                "the policy of this host forbids terminals on the host itself as {:?} (host_terminal_users names {names})",
                asked.unwrap_or_default()
            );
            (
                text,
                format!("The owner of the host can change {file}; the controller cannot."),
            )
        };
        Err(Failure {
            hint,
            ..Failure::new(Code::PolicyRefused, text)
        })
    }

    /// May this be done with files of a place that belongs to this stack (`None`: to no stack)?
    ///
    /// # Errors
    /// [`Code::PolicyRefused`] with the rule's name.
    pub fn may_access(&self, wanted: FileAccess, stack: Option<&str>) -> Result<(), Failure> {
        let Some(allowed) = self.files else {
            return self.may_exec(stack).map_err(|failure| Failure {
                message: format!(
                    "{}; files are not shown either, unless volume_browser says so",
                    failure.message
                ),
                ..failure
            });
        };
        if wanted <= allowed {
            return Ok(());
        }
        let text = match allowed {
            FileAccess::Off => "the policy of this host forbids to look at files (volume_browser = \"off\")",
            _ => "the policy of this host forbids to write files (volume_browser = \"ro\")",
        };
        Err(refused(&self.file, text.to_owned()))
    }
}

fn refused(file: &Path, message: String) -> Failure {
    Failure {
        hint: format!(
            "The owner of the host can change {}; the controller cannot.",
            file.display()
        ),
        ..Failure::new(Code::PolicyRefused, message)
    }
}

/// Nobody but root and the agent's own user may have written it.
fn guarded(path: &Path) -> Result<(), String> {
    let found = match fs_err::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // A link to nothing is a mistake, not the owner's word that everything is allowed.
            return match path.symlink_metadata() {
                Ok(_) => Err(format!(
                    "{} is a link to a file that is not there",
                    path.display()
                )),
                Err(_) => Ok(()),
            };
        }
        Err(error) => return Err(Chain(&error).to_string()),
    };
    let shown = path.display();
    let own = rustix::process::geteuid().as_raw();
    if found.uid() != 0 && found.uid() != own {
        return Err(format!(
            "{shown} belongs to user {}; it must be root's",
            found.uid()
        ));
    }
    if found.mode() & 0o022 != 0 {
        return Err(format!(
            "others than its owner may write {shown} (chmod 644 {shown})"
        ));
    }
    Ok(())
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<u64>() {
        Ok(seconds @ 1..=2_592_000) => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("`{text}` is no number of seconds from 1 to 2592000")),
    }
}

/// Whether a text fits a pattern in which `*` stands for any characters.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut last = None;
    for part in parts {
        // A part in the middle fits as early as it can; the last one must be the end.
        if let Some(before) = last.replace(part) {
            match rest.find(before) {
                Some(at) => rest = rest.get(at + before.len()..).unwrap_or_default(),
                None => return false,
            }
        }
    }
    last.map_or(rest.is_empty(), |last| rest.ends_with(last))
}

#[cfg(test)]
mod tests;
