//! Users of the host and their groups. The agent is static and has no name service of its own: the files are read, and
//! whom they do not have (users of LDAP and the like) is asked for with `getent` and `id`.

use std::{path::Path, process::Stdio, time::Duration};

use windflow_kit::error::Chain;
use windflow_model::{Code, Failure};

/// Where passwd and group are.
pub(super) const FILES: &str = "/etc";
/// A directory of users that does not answer.
const ASK_WITHIN: Duration = Duration::from_secs(10);
/// Where programs are looked for.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// A user of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) home: String,
    pub(super) shell: String,
    /// All groups, the first one included.
    pub(super) groups: Vec<u32>,
}

/// The user of this name.
pub(super) async fn find(files: &Path, name: &str) -> Result<Account, Failure> {
    let unknown = || Failure {
        hint: "Name a user that exists in host_terminal_users of the host's policy.".to_owned(),
        ..Failure::new(Code::NotFound, format!("this host has no user {name:?}"))
    };
    // As useradd(8) takes them, and what else directories use; never an option or a second field.
    if name.is_empty() || name.starts_with('-') || name.contains([':', ',', '\n', '\0', '/']) {
        return Err(unknown());
    }
    if let Some(mut account) = passwd(&read(files, "passwd")?, name) {
        account.groups = groups(&read(files, "group")?, &account);
        return Ok(account);
    }
    if files != Path::new(FILES) {
        return Err(unknown());
    }
    let line = ask("getent", &["passwd", name]).await.ok_or_else(unknown)?;
    let mut account = passwd(&line, name).ok_or_else(unknown)?;
    let listed = ask("id", &["-G", "--", name]).await.unwrap_or_default();
    account.groups = listed
        .split_whitespace()
        .filter_map(|gid| gid.parse().ok())
        .collect();
    if !account.groups.contains(&account.gid) {
        account.groups.insert(0, account.gid);
    }
    Ok(account)
}

fn read(files: &Path, name: &str) -> Result<String, Failure> {
    let bytes = fs_err::read(files.join(name))
        .map_err(|error| Failure::new(Code::HostFailure, Chain(&error).to_string()))?;
    // A comment field may be in any encoding.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The line of a user, as passwd(5) has it: `name:password:uid:gid:comment:home:shell`.
fn passwd(text: &str, name: &str) -> Option<Account> {
    text.lines().find_map(|line| {
        let fields: Vec<_> = line.trim_end().split(':').collect();
        let [found, _, uid, gid, _, home, shell] = fields.as_slice() else {
            return None;
        };
        if *found != name {
            return None;
        }
        Some(Account {
            name: name.to_owned(),
            uid: uid.parse().ok()?,
            gid: gid.parse().ok()?,
            home: if home.is_empty() { "/" } else { home }.to_owned(),
            shell: if shell.is_empty() { "/bin/sh" } else { shell }.to_owned(),
            groups: Vec::new(),
        })
    })
}

/// The groups of a user, as group(5) has them: `name:password:gid:member,member`.
fn groups(text: &str, account: &Account) -> Vec<u32> {
    let mut all = vec![account.gid];
    for line in text.lines() {
        let fields: Vec<_> = line.trim_end().split(':').collect();
        let [_, _, gid, members] = fields.as_slice() else {
            continue;
        };
        let Ok(gid) = gid.parse() else { continue };
        if members.split(',').any(|member| member == account.name) && !all.contains(&gid) {
            all.push(gid);
        }
    }
    all
}

/// What a program says, if it succeeds in time.
#[expect(
    clippy::disallowed_methods,
    reason = "a static program has no name service; with an argument vector, a deadline, and waited for"
)]
async fn ask(program: &str, args: &[&str]) -> Option<String> {
    let mut command = tokio::process::Command::new(program);
    command
        .args(args)
        .env_clear()
        .env("PATH", PATH)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(ASK_WITHIN, command.output())
        .await
        .ok()?
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n# a comment\nbroken:x:1\n\
        deploy:x:1000:1000:D\u{e9}ploy,,,:/home/deploy:/bin/sh\nbare:x:7:8:::\nhuge:x:99999999999:1::/:/bin/sh\nroot:x:9:9:again:/:/bin/sh\n";
    const GROUP: &str = "root:x:0:\nadm:x:4:syslog,deploy\ndocker:x:998:deploy\ndeploy:x:1000:deploy\nnot:x:5:deployer,xdeploy\n\
        short:x:6\nbad:x:no:deploy\n";

    #[tokio::test]
    async fn users_of_the_files() {
        let dir = tempfile::tempdir().unwrap();
        fs_err::write(dir.path().join("passwd"), PASSWD).unwrap();
        fs_err::write(dir.path().join("group"), GROUP).unwrap();
        let check = async |name: &str, expected: Option<(u32, u32, &str, &str, &[u32])>| {
            let found = find(dir.path(), name).await;
            let Some((uid, gid, home, shell, groups)) = expected else {
                assert_eq!(found.unwrap_err().code, Code::NotFound.as_str(), "{name}");
                return;
            };
            let expected = Account {
                name: name.to_owned(),
                uid,
                gid,
                home: home.to_owned(),
                shell: shell.to_owned(),
                groups: groups.to_vec(),
            };
            assert_eq!(found.unwrap(), expected);
        };
        check("root", Some((0, 0, "/root", "/bin/bash", &[0]))).await;
        check(
            "deploy",
            Some((1000, 1000, "/home/deploy", "/bin/sh", &[1000, 4, 998])),
        )
        .await;
        check("bare", Some((7, 8, "/", "/bin/sh", &[8]))).await;
        for nobody in [
            "",
            "nobody",
            "broken",
            "huge",
            "1000",
            "-G",
            "deploy:x",
            "Root",
            "a,b",
            "# a comment",
        ] {
            check(nobody, None).await;
        }
    }

    #[tokio::test]
    async fn whom_the_files_do_not_have_is_asked_for() {
        // No such user anywhere: the program is asked, and says so.
        let missing = find(Path::new(FILES), "no-such-user-here").await.unwrap_err();
        assert!(
            missing.message.contains("no user \"no-such-user-here\""),
            "{missing}"
        );
    }
}
