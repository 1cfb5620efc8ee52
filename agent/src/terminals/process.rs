//! The process behind a terminal: in a container, or on the host itself.

use std::{io, pin::Pin};

use futures_util::{StreamExt as _, stream::BoxStream};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use windflow_engine::{EngineHandle, Place, Process, ProcessControl, targets::ExecRequest, targets::Output};
use windflow_model::{Failure, TerminalOpened, TerminalPlace, TerminalQuery, TerminalSize};

use crate::{
    host_terminal::{self, Opener},
    policy::Policy,
};

/// Where it is to run, allowed by the host's policy.
pub(super) enum Where {
    Container(Place),
    /// As this user of the host.
    Host(String),
}

/// It runs.
pub(super) struct Running {
    pub(super) opened: TerminalOpened,
    pub(super) output: BoxStream<'static, Result<Output, String>>,
    pub(super) input: Input,
    pub(super) control: Control,
}

/// What it reads.
pub(super) enum Input {
    Container(Pin<Box<dyn AsyncWrite + Send>>),
    Host(host_terminal::Input),
}

/// Tells it the size of its terminal, and ends it.
pub(super) enum Control {
    Container(ProcessControl),
    Host(host_terminal::Control),
}

/// Finds the place that is meant and asks the policy.
pub(super) async fn allowed(
    engine: &EngineHandle,
    rules: &Policy,
    query: &TerminalQuery,
) -> Result<Where, Failure> {
    if query.place == TerminalPlace::Host {
        return rules.may_host_terminal(query.user.as_deref()).map(Where::Host);
    }
    let place = engine.place(&query.place).await?;
    rules.may_exec(place.stack.as_deref())?;
    Ok(Where::Container(place))
}

/// Starts it.
pub(super) async fn start(
    engine: &EngineHandle,
    opener: &Opener,
    place: Where,
    query: TerminalQuery,
) -> Result<Running, Failure> {
    let opened = TerminalOpened {
        container: String::new(),
        host_user: None,
        command: Vec::new(),
        tty: query.tty,
        position: 0,
        input: 0,
    };
    match place {
        Where::Container(place) => {
            let request = ExecRequest {
                command: query.command,
                env: query.env,
                working_dir: query.working_dir,
                user: query.user,
                tty: query.tty,
                stdin: query.stdin,
                ..ExecRequest::default()
            };
            let Process {
                command,
                output,
                input,
                control,
            } = engine.exec(&place, request).await?;
            Ok(Running {
                opened: TerminalOpened {
                    container: place.name,
                    command,
                    ..opened
                },
                output: output
                    .map(|piece| piece.map_err(|error| error.to_string()))
                    .boxed(),
                input: Input::Container(input),
                control: Control::Container(control),
            })
        }
        Where::Host(user) => {
            let started = opener.open(user.clone(), &query).await?;
            Ok(Running {
                opened: TerminalOpened {
                    host_user: Some(user),
                    command: started.command,
                    ..opened
                },
                output: started.output,
                input: Input::Host(started.input),
                control: Control::Host(started.control),
            })
        }
    }
}

impl Input {
    /// Hands bytes to it.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Container(input) => {
                input.write_all(bytes).await?;
                input.flush().await
            }
            Self::Host(input) => input.write(bytes).await,
        }
    }

    /// There is no more.
    pub(super) async fn end(&mut self) {
        match self {
            Self::Container(input) => {
                // One that has closed its input needs no end of it.
                let _closed = input.shutdown().await;
            }
            Self::Host(input) => input.end().await,
        }
    }
}

impl Control {
    /// Tells the size of the terminal.
    pub(super) async fn resize(&self, size: TerminalSize) {
        match self {
            Self::Container(control) => control.resize(size).await,
            Self::Host(control) => control.resize(size).await,
        }
    }

    /// The exit code of a process whose output has ended; `None` if it goes on all the same.
    pub(super) async fn code(&self) -> Result<Option<i64>, Failure> {
        match self {
            Self::Container(control) => control.code().await,
            Self::Host(control) => control.code(),
        }
    }

    /// Ends it if it still runs.
    pub(super) async fn end(&self) -> Result<(), Failure> {
        match self {
            Self::Container(control) => control.end().await,
            Self::Host(control) => control.end().await,
        }
    }
}
