//! Hooks: commands in a container right after its start, or right before its stop.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::StreamExt as _;
use windflow_compose::model::{Hook, Project};

use windflow_model::printable_lines;

use crate::targets::{ExecRequest, Output, SessionId, Target, TargetError, TargetErrorKind};

/// Most bytes of a hook's output that go into an error.
const TAIL: usize = 2048;
/// Most lines of it.
const LINES: usize = 10;

/// Which hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// `post_start`.
    Started,
    /// `pre_stop`.
    Stopping,
}

impl When {
    fn of(self, project: &Project, service: &str) -> Vec<Hook> {
        let found = project.any_service(service);
        let hooks = found.map(|service| match self {
            Self::Started => &service.post_start,
            Self::Stopping => &service.pre_stop,
        });
        hooks.cloned().unwrap_or_default()
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Started => "post_start",
            Self::Stopping => "pre_stop",
        }
    }
}

/// Whether any service of a project has such hooks.
pub(crate) fn any(project: &Project, when: When) -> bool {
    let services = project
        .services
        .iter()
        .chain(&project.disabled_services)
        .map(|(name, _)| name);
    services
        .into_iter()
        .any(|name| !when.of(project, name).is_empty())
}

/// Runs a service's hooks in one container, one after the other. The first that fails ends it.
pub(crate) async fn run(
    target: &Arc<dyn Target>,
    project: &Project,
    service: &str,
    container: &str,
    when: When,
) -> Result<(), TargetError> {
    for (index, hook) in when.of(project, service).iter().enumerate() {
        match one(target, hook, container).await {
            Ok((0, _)) => {}
            Ok((code, tail)) => {
                let tail = if tail.is_empty() {
                    String::new()
                } else {
                    format!("; its last output:\n{}", printable_lines(&tail))
                };
                let text = format!(
                    "{service} hook exited with status {code} ({}[{index}]){tail}",
                    when.word()
                );
                return Err(TargetError::new(TargetErrorKind::ContainerExited, text));
            }
            // Gone, or not running any more: there is nothing left to prepare.
            Err(error) if when == When::Stopping && gone(&error) => return Ok(()),
            Err(error) => {
                let what = format!("{service} {}[{index}]: {}", when.word(), error.what);
                return Err(TargetError { what, ..error });
            }
        }
    }
    Ok(())
}

fn gone(error: &TargetError) -> bool {
    error.kind == TargetErrorKind::NotFound
        || (error.kind == TargetErrorKind::NameTaken && error.what.contains("not running"))
}

async fn one(target: &Arc<dyn Target>, hook: &Hook, container: &str) -> Result<(i64, String), TargetError> {
    let request = ExecRequest {
        container: container.to_owned(),
        command: hook.command.clone().unwrap_or_default(),
        env: variables(&hook.environment),
        working_dir: hook.working_dir.clone(),
        user: hook.user.clone(),
        privileged: hook.privileged,
        ..ExecRequest::default()
    };
    let mut session = target.exec(request).await?;
    let mut tail: Vec<u8> = Vec::new();
    while let Some(output) = session.output.next().await {
        let (Output::Stdout(bytes) | Output::Stderr(bytes)) = output?;
        tail.extend_from_slice(&bytes);
        let over = tail.len().saturating_sub(2 * TAIL);
        tail.drain(..over);
    }
    let code = match &session.id {
        SessionId::Exec(id) => target.exec_code(id).await?,
        SessionId::Container(_) => -1,
    };
    let text = String::from_utf8_lossy(&tail);
    let mut lines: Vec<&str> = text.trim_end().lines().rev().take(LINES).collect();
    lines.reverse();
    let text = lines.join("\n");
    let from = text.len().saturating_sub(TAIL);
    let from = (from..=text.len())
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    Ok((code, text.split_at(from).1.to_owned()))
}

/// `KEY=value`; a key alone unsets it.
pub(crate) fn variables(values: &BTreeMap<String, Option<String>>) -> Vec<String> {
    let one = |(key, value): (&String, &Option<String>)| match value {
        Some(value) => format!("{key}={value}"),
        None => key.clone(),
    };
    values.iter().map(one).collect()
}
