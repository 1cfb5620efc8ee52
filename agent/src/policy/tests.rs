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
fn rules_of_terminals_on_the_host() {
    let check = |text: &str, user: Option<&str>, expected: Result<&str, (Code, &str)>| {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("policy.toml");
        fs_err::write(&file, text).unwrap();
        let answer = PolicyFile::new(file)
            .read()
            .and_then(|policy| policy.may_host_terminal(user));
        match (answer, expected) {
            (Ok(user), Ok(expected)) => assert_eq!(user, expected, "{text}"),
            (Err(failure), Err((code, says))) => {
                assert_eq!(failure.code, code.as_str(), "{text}: {failure}");
                let all = format!("{} | {}", failure.message, failure.hint);
                assert!(all.contains(says), "{text}: {all}");
            }
            (answer, _) => panic!("{text:?} as {user:?}: {answer:?}"),
        }
    };
    let (refused, two) = (
        Code::PolicyRefused,
        "host_terminal_users = [\"deploy\", \"root\"]",
    );
    check(
        "",
        Some("root"),
        Err((refused, "host_terminal_users names nobody")),
    );
    check(
        "",
        Some("root"),
        Err((refused, "host_terminal_users = [\"root\"] in ")),
    );
    check("", None, Err((refused, "names nobody")));
    check(
        "container_exec = true",
        Some("root"),
        Err((refused, "names nobody")),
    );
    check(
        "host_terminal_users = []",
        Some("root"),
        Err((refused, "names nobody")),
    );
    check(
        "host_terminal_users = [\"\"]",
        Some(""),
        Err((refused, "names nobody")),
    );
    check(
        "host_terminal_users = [\"\"]",
        None,
        Err((refused, "names nobody")),
    );
    check("host_terminal_users = [\"deploy\"]", None, Ok("deploy"));
    check("host_terminal_users = [\"deploy\"]", Some("deploy"), Ok("deploy"));
    check(
        "host_terminal_users = [\"deploy\"]",
        Some("root"),
        Err((refused, "as \"root\" (host_terminal_users names deploy)")),
    );
    check(two, Some("root"), Ok("root"));
    check(two, None, Err((Code::BadRequest, "deploy, root")));
    // Names are names: no pattern, no number, no group behind it, no other case.
    for other in ["*", "0", "root:root", "Root", "roo", "root ", ""] {
        check(two, Some(other), Err((refused, "names deploy, root")));
    }
    check(
        "host_terminal_users = [\"*\"]",
        Some("root"),
        Err((refused, "names *")),
    );
    check(
        "container_exec = false\nhost_terminal_users = [\"root\"]",
        Some("root"),
        Ok("root"),
    );
    check(
        "host_terminal_users = \"root\"\nmistake = 1",
        Some("root"),
        Err((refused, "unknown key")),
    );
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
