//! Credential helpers: programs named `docker-credential-NAME`, with an argument vector and without a shell.

use std::{process::Stdio, time::Duration};

use serde::Deserialize;
use tokio::{io::AsyncWriteExt as _, process::Command};

use super::Credentials;
use crate::targets::{TargetError, TargetErrorKind};

/// Longest time a helper may take: some ask a service of a cloud.
const BOUND: Duration = Duration::from_secs(30);
/// The word of helpers that know nothing of a registry.
const UNKNOWN: &str = "credentials not found in native keychain";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

/// Asks a helper for the credentials of a registry.
pub(super) async fn get(helper: &str, registry: &str) -> Result<Option<Credentials>, TargetError> {
    let program = format!("docker-credential-{helper}");
    let what = format!("cannot get the credentials of {registry} from {program}");
    let fail = |why: &str| TargetError::new(TargetErrorKind::ImagePull, format!("{what}: {why}"));
    // The name comes from a file of the user's: it names a program of his, not a path.
    if helper.contains('/') {
        return Err(fail("the name of a helper has no slash"));
    }
    let asked = async {
        #[expect(
            clippy::disallowed_methods,
            reason = "credential helpers are programs by their definition; bounded, and killed with this future"
        )]
        let mut child = Command::new(&program)
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(registry.as_bytes()).await?;
        }
        child.wait_with_output().await
    };
    let output = match tokio::time::timeout(BOUND, asked).await {
        Ok(output) => {
            output.map_err(|error| TargetError::caused(TargetErrorKind::ImagePull, what.clone(), error))?
        }
        Err(_) => return Err(fail(&format!("no answer in {} s", BOUND.as_secs()))),
    };
    if !output.status.success() {
        // Helpers say it on either output; the good case has the password on the first.
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        if said.contains(UNKNOWN) {
            return Ok(None);
        }
        return Err(fail(said.trim()));
    }
    let answer: Answer = serde_json::from_slice(&output.stdout).map_err(|_| fail("its answer is no JSON"))?;
    let mut found = Credentials {
        serveraddress: Some(registry.to_owned()),
        ..Credentials::default()
    };
    if answer.username == "<token>" {
        found.identitytoken = Some(answer.secret);
    } else {
        found.username = Some(answer.username);
        found.password = Some(answer.secret);
    }
    Ok(Some(found))
}
