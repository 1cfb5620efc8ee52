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
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// `Err` holds what the refusal must say.
    fn check(text: &str, mode: u32, stack: Option<&str>, expected: Result<(), &str>) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("policy.toml");
        fs_err::write(&file, text).unwrap();
        fs_err::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        let answer = PolicyFile::new(file)
            .read()
            .and_then(|policy| policy.may_exec(stack));
        match (answer, expected) {
            (Ok(()), Ok(())) => {}
            (Err(failure), Err(says)) => {
                assert_eq!(failure.code, Code::PolicyRefused.as_str());
                assert!(failure.message.contains(says), "{text}: {failure}");
                assert!(failure.hint.contains("policy.toml"), "{}", failure.hint);
            }
            (answer, _) => panic!("{text:?} for {stack:?}: {answer:?}"),
        }
    }

    #[test]
    fn rules_of_commands_in_containers() {
        let web = Some("web");
        check("", 0o644, web, Ok(()));
        check("", 0o644, None, Ok(()));
        check("container_exec = true", 0o644, web, Ok(()));
        check(
            "container_exec = false",
            0o644,
            web,
            Err("container_exec = false"),
        );
        check(
            "container_exec = false",
            0o644,
            None,
            Err("container_exec = false"),
        );
        check("container_exec_stacks = [\"web\"]", 0o644, web, Ok(()));
        check("container_exec_stacks = [\"w*\"]", 0o600, web, Ok(()));
        check("container_exec_stacks = [\"a\", \"*b\"]", 0o644, web, Ok(()));
        check(
            "container_exec_stacks = [\"shop\", \"db-*\"]",
            0o644,
            web,
            Err("stack web (container_exec_stacks names shop, db-*)"),
        );
        check(
            "container_exec_stacks = [\"*\"]",
            0o644,
            None,
            Err("containers outside of stacks"),
        );
        for none in ["[]", "[\"\"]"] {
            let text = format!("container_exec_stacks = {none}");
            check(
                &text,
                0o644,
                web,
                Err("stack web (container_exec_stacks names none)"),
            );
            check(&text, 0o644, None, Err("containers outside of stacks"));
        }
        check(
            "container_exec = false\ncontainer_exec_stacks = [\"web\"]",
            0o644,
            web,
            Err("container_exec = false"),
        );
    }

    #[test]
    fn rules_of_files() {
        use FileAccess::{Read, Write};
        let check = |text: &str, wanted: FileAccess, stack: Option<&str>, expected: Result<(), &str>| {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("policy.toml");
            fs_err::write(&file, text).unwrap();
            let answer = PolicyFile::new(file)
                .read()
                .and_then(|policy| policy.may_access(wanted, stack));
            match (answer, expected) {
                (Ok(()), Ok(())) => {}
                (Err(failure), Err(says)) => assert!(failure.message.contains(says), "{text}: {failure}"),
                (answer, _) => panic!("{text:?} for {wanted:?}: {answer:?}"),
            }
        };
        check("", Write, None, Ok(()));
        check(
            "container_exec = false",
            Read,
            None,
            Err("container_exec = false"),
        );
        check("container_exec_stacks = [\"web\"]", Write, Some("web"), Ok(()));
        check(
            "container_exec_stacks = [\"web\"]",
            Read,
            Some("db"),
            Err("stack db"),
        );
        check(
            "volume_browser = \"off\"",
            Read,
            None,
            Err("volume_browser = \"off\""),
        );
        check("volume_browser = \"ro\"", Read, Some("db"), Ok(()));
        check(
            "volume_browser = \"ro\"",
            Write,
            None,
            Err("volume_browser = \"ro\""),
        );
        check(
            "container_exec = false\nvolume_browser = \"rw\"",
            Write,
            None,
            Ok(()),
        );
        check(
            "volume_browser = \"on\"",
            Read,
            None,
            Err("none of off, ro and rw"),
        );
        check("files_upload_mib = 0", Read, None, Err("no number of MiB"));
    }

    #[test]
    fn a_file_with_a_mistake_allows_nothing() {
        check(
            "container_exec = \"yes\"",
            0o644,
            None,
            Err("must be true or false"),
        );
        check("exec = true", 0o644, None, Err("unknown key `exec`"));
        check("terminal_idle_s = 0", 0o644, None, Err("no number of seconds"));
        check("container_exec =", 0o644, None, Err("policy.toml:1:"));
        check("container_exec = true", 0o666, None, Err("may write"));
        check("container_exec = true", 0o664, None, Err("may write"));
    }

    #[test]
    fn without_a_file_the_usual_holds() {
        let policy = PolicyFile::new("/nowhere/policy.toml".into()).read().unwrap();
        assert_eq!(policy.may_exec(None), Ok(()));
        assert_eq!(policy.terminal_idle, Duration::from_secs(1_800));

        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("policy.toml");
        fs_err::os::unix::fs::symlink(dir.path().join("moved.toml"), &link).unwrap();
        let refused = PolicyFile::new(link).read().unwrap_err();
        assert!(
            refused.message.contains("a link to a file that is not there"),
            "{refused}"
        );
    }

    #[test]
    fn patterns() {
        let check = |pattern: &str, text: &str, fits: bool| {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        };
        check("web", "web", true);
        check("web", "web2", false);
        check("web", "aweb", false);
        check("web*", "web2", true);
        check("*web", "aweb", true);
        check("*web", "webs", false);
        check("a*b*c", "a-b-c", true);
        check("a*b*c", "a-c-b", false);
        check("a*a", "a", false);
        check("*", "", true);
        check("", "", true);
    }

    #[test]
    fn the_guide_has_a_row_for_every_rule() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/terminals.md");
        let guide = fs_err::read_to_string(path).unwrap();
        for rule in RULES {
            let row = format!("| `{}` |", rule.key);
            assert!(guide.contains(&row), "docs/terminals.md has no row {row}");
        }
    }
}
