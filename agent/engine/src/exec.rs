//! Commands in containers, for terminals: which container is meant, and a process with its two ends.

use std::{pin::Pin, sync::Arc, time::Duration};

use futures_util::stream::BoxStream;
use tokio::io::AsyncWrite;
use windflow_model::{Code, ContainerState, ContainerSummary, Failure, TerminalPlace, TerminalSize};

use crate::targets::{ExecRequest, ObserveQuery, ObservedContainer, Output, SessionId, Target, TargetError};

/// A command that was started this moment cannot be told the size of its terminal yet.
const RESIZE_TRIES: u32 = 500;
const RESIZE_PAUSE: Duration = Duration::from_millis(10);
/// How often, and with which pause, the exit code is asked for.
const CODE_TRIES: u32 = 40;
const CODE_PAUSE: Duration = Duration::from_millis(25);
/// The shells that are looked for, the best one first; the last one is taken unseen.
const SHELLS: [&str; 2] = ["/bin/bash", "/bin/sh"];

/// A container that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The engine's full id.
    pub id: String,
    /// Name without the leading slash.
    pub name: String,
    /// Compose project, if it belongs to one.
    pub stack: Option<String>,
}

/// A command that runs, and its two ends.
pub struct Process {
    /// Program and arguments.
    pub command: Vec<String>,
    /// What it writes, until it ends.
    pub output: BoxStream<'static, Result<Output, TargetError>>,
    /// What it reads; shutting it down is the end of its input.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
    /// For the rest.
    pub control: ProcessControl,
}

/// Tells a process the size of its terminal, and ends it.
#[derive(Debug, Clone)]
pub struct ProcessControl {
    target: Arc<dyn Target>,
    id: SessionId,
}

/// The running container that is meant.
pub(crate) async fn find(target: &dyn Target, place: &TerminalPlace) -> Result<Place, Failure> {
    match place {
        TerminalPlace::Service {
            stack,
            service,
            number,
        } => {
            let query = ObserveQuery {
                project: stack.clone(),
                ..ObserveQuery::default()
            };
            let mut found = target.observe(&query).await?.containers;
            found.retain(|container| {
                container.service() == Some(service.as_str())
                    && number.is_none_or(|number| container.number() == number)
            });
            // One that runs before one that does not, what belongs to the stack before a one-off.
            found.sort_by_key(|container| (!container.is_up(), container.is_oneoff(), container.number()));
            let first = found.into_iter().next().ok_or_else(|| {
                let number = number.map_or_else(String::new, |number| format!(" number {number}"));
                let text =
                    format!("service {service} of stack {stack} has no container{number} on this host");
                Failure::new(Code::NotFound, text)
            })?;
            let place = named(&first);
            running(place, first.state)
        }
        TerminalPlace::Container { container } => {
            let found = container_of(target, container).await?;
            let place = Place {
                id: found.id,
                name: found.name,
                stack: found.project,
            };
            running(place, found.state)
        }
        // Whoever serves the host does not ask the engine.
        TerminalPlace::Host => Err(Failure::new(
            Code::Unsupported,
            "the container engine runs commands in containers, not on the host",
        )),
    }
}

/// The container of this name or id, or whose id begins so.
pub(crate) async fn container_of(target: &dyn Target, named: &str) -> Result<ContainerSummary, Failure> {
    let list = target.containers().await?;
    let found = list
        .into_iter()
        .find(|one| one.id == named || one.name == named || named.len() >= 12 && one.id.starts_with(named));
    found.ok_or_else(|| {
        Failure::new(
            Code::NotFound,
            format!("there is no container {named} on this host"),
        )
    })
}

fn named(container: &ObservedContainer) -> Place {
    Place {
        id: container.id.clone(),
        name: container.name.clone(),
        stack: container.labels.get(crate::plan::labels::PROJECT).cloned(),
    }
}

fn running(place: Place, state: ContainerState) -> Result<Place, Failure> {
    let why = match state {
        ContainerState::Running => return Ok(place),
        ContainerState::Paused => "is paused",
        ContainerState::Restarting => "restarts at this moment",
        _ => "does not run",
    };
    let text = format!("container {} {why}: no command can be run in it", place.name);
    Err(Failure {
        hint: "Start it first, or look at its logs for why it ended.".to_owned(),
        ..Failure::new(Code::Conflict, text)
    })
}

/// Starts a command; without one, a shell that the container has.
pub(crate) async fn start(
    target: &Arc<dyn Target>,
    place: &Place,
    mut request: ExecRequest,
) -> Result<Process, Failure> {
    request.container.clone_from(&place.id);
    if request.command.is_empty() {
        let [best, last] = SHELLS;
        let there = target
            .file_stat(&place.id, best)
            .await
            .is_ok_and(|stat| stat.is_some());
        request.command = vec![if there { best } else { last }.to_owned()];
    }
    let command = request.command.clone();
    let session = target.exec(request).await?;
    Ok(Process {
        command,
        output: session.output,
        input: session.input,
        control: ProcessControl {
            target: Arc::clone(target),
            id: session.id,
        },
    })
}

impl ProcessControl {
    /// Tells the size of the terminal. One that cannot take it, because it has ended, needs none.
    pub async fn resize(&self, size: TerminalSize) {
        for _ in 0..RESIZE_TRIES {
            if self
                .target
                .resize(&self.id, size.columns, size.rows)
                .await
                .is_ok()
            {
                return;
            }
            tokio::time::sleep(RESIZE_PAUSE).await;
        }
    }

    /// The exit code of a process whose output has ended; `None` if it goes on all the same.
    ///
    /// # Errors
    /// What the engine says.
    pub async fn code(&self) -> Result<Option<i64>, Failure> {
        let SessionId::Exec(id) = &self.id else {
            return Ok(Some(-1));
        };
        // The engine closes the output a moment before it knows the code.
        for _ in 0..CODE_TRIES {
            let code = self.target.exec_code(id).await?;
            if code >= 0 {
                return Ok(Some(code));
            }
            tokio::time::sleep(CODE_PAUSE).await;
        }
        Ok(None)
    }

    /// Ends the process if it still runs.
    ///
    /// # Errors
    /// What stands against it.
    pub async fn end(&self) -> Result<(), Failure> {
        let SessionId::Exec(id) = &self.id else {
            return Ok(());
        };
        Ok(self.target.exec_end(id).await?)
    }
}
