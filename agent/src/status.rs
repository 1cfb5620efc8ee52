//! What the running agent says about itself, and the command that asks it.
//!
//! ```text
//! link ──watch<LinkStatus>──► "status" task (unix socket agent.sock) ──one JSON line──► windflow-agent status
//! ```

use std::{
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    sync::watch,
};
use windflow_kit::{Chain, Stop};
use windflow_model::Timestamp;

use crate::{cli::StatusArgs, config, failure::CommandError};

/// Name of the socket in the state directory.
pub const SOCKET: &str = "agent.sock";
/// Longest wait for a reader or for the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pause between two questions while waiting for a connection.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// Longest answer read, in bytes.
const MAX_ANSWER: u64 = 64 * 1024;

/// Where the link to the controller stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "link", rename_all = "snake_case")]
pub enum LinkStatus {
    /// This agent has no identity: it works alone.
    #[default]
    NotEnrolled,
    /// Trying.
    Connecting {
        /// Address of the controller.
        controller: String,
        /// Why the last attempt failed.
        last_error: Option<String>,
    },
    /// Connected, proved by a round trip.
    Connected {
        /// Address of the controller.
        controller: String,
        /// Since when.
        since: Timestamp,
        /// End of the last round trip.
        proven_at: Timestamp,
        /// Its length in microseconds.
        rtt_us: u64,
    },
}

/// The whole answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the running agent.
    pub version: String,
    /// Its process number.
    pub pid: u32,
    /// Host time of the answer.
    pub at: Timestamp,
    /// The link.
    pub link: LinkStatus,
}

/// Why the socket cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("the status socket {} cannot be opened", path.display())]
pub struct SocketError {
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

/// Answers until stop. The caller holds the state directory, so a socket that lies there is a left-over.
///
/// # Errors
/// [`SocketError`] if the socket cannot be made.
pub async fn serve(
    state_dir: PathBuf,
    clock: windflow_kit::Clock,
    link: watch::Receiver<LinkStatus>,
    stop: Stop,
) -> Result<(), SocketError> {
    let path = state_dir.join(SOCKET);
    let failed = |source| SocketError {
        path: path.clone(),
        source,
    };
    match fs_err::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(&path).map_err(failed)?;
    while let Some(accepted) = stop.run(listener.accept()).await {
        let Ok((mut stream, _)) = accepted else {
            // Out of file handles: they come back, an answer does not matter that much.
            tokio::time::sleep(ASK_AGAIN).await;
            continue;
        };
        let status = Status {
            version: windflow_kit::build::VERSION.to_owned(),
            pid: std::process::id(),
            at: Timestamp::from_millis(clock.now_ms()),
            link: link.borrow().clone(),
        };
        let answer = serde_json::to_vec(&status).unwrap_or_default();
        // A reader that does not read is left; the answer is far below the socket's buffer.
        let _ = tokio::time::timeout(PATIENCE, stream.write_all(&answer)).await;
    }
    let _ = fs_err::remove_file(&path);
    Ok(())
}

/// Asks the running agent. `None` if none runs.
pub(crate) async fn ask(state_dir: &Path) -> Result<Option<Status>, CommandError> {
    let path = state_dir.join(SOCKET);
    let failed = |error: std::io::Error| {
        CommandError::failed(format!("{} cannot be asked: {}", path.display(), Chain(&error)))
            .hint("Run it as the user that the agent runs as (sudo).")
    };
    let mut stream = match UnixStream::connect(&path).await {
        Ok(stream) => stream.take(MAX_ANSWER),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
    };
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    match read {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => return Err(failed(error)),
        Err(_) => return Err(CommandError::failed("the agent does not answer")),
    }
    serde_json::from_slice(&answer)
        .map(Some)
        .map_err(|error| CommandError::failed(format!("the agent's answer is not understood: {error}")))
}

/// `windflow-agent status`.
///
/// # Errors
/// Exit 1 if the agent is not connected, 5 if none runs.
pub async fn command(args: StatusArgs) -> Result<(), CommandError> {
    let dir = config::state_dir(args.state_dir);
    let until = tokio::time::Instant::now() + args.wait_connected.unwrap_or_default();
    let status = loop {
        let status = ask(&dir).await?;
        let connected = status
            .as_ref()
            .is_some_and(|status| matches!(status.link, LinkStatus::Connected { .. }));
        if connected || tokio::time::Instant::now() >= until {
            break status;
        }
        tokio::time::sleep(ASK_AGAIN).await;
    };
    let Some(status) = status else {
        return Err(CommandError {
            exit: 5,
            ..CommandError::failed(format!(
                "no agent runs with the state directory {}",
                dir.display()
            ))
        }
        .hint("Start it (`systemctl start windflow-agent`), or name its directory with --state-dir."));
    };
    let text = if args.json {
        serde_json::to_string_pretty(&status).map_err(|error| CommandError::failed(error.to_string()))?
    } else {
        text(&status)
    };
    // A stdout that is gone leaves the exit code.
    let _ = writeln!(std::io::stdout().lock(), "{text}");
    match &status.link {
        LinkStatus::Connected { .. } => Ok(()),
        LinkStatus::Connecting { last_error, .. } => {
            let why = last_error.as_deref().unwrap_or("no attempt has ended yet");
            Err(CommandError::failed(format!("not connected: {why}")))
        }
        LinkStatus::NotEnrolled => Err(CommandError::failed("this host is not enrolled")
            .hint("`windflow-agent enroll` joins a controller.")),
    }
}

fn text(status: &Status) -> String {
    let mut text = format!("agent {} (process {})", status.version, status.pid);
    let seconds = |from: Timestamp| status.at.since(from).as_secs();
    match &status.link {
        LinkStatus::NotEnrolled => text.push_str("\nworks alone: not enrolled"),
        LinkStatus::Connecting { controller, .. } => text.push_str(&format!("\nconnecting to {controller}")),
        LinkStatus::Connected {
            controller,
            since,
            proven_at,
            rtt_us,
        } => text.push_str(&format!(
            "\nconnected to {controller} for {} s, proved {} s ago in {}.{:03} ms",
            seconds(*since),
            seconds(*proven_at),
            rtt_us / 1_000,
            rtt_us % 1_000
        )),
    }
    text
}

#[cfg(test)]
mod tests {
    use windflow_kit::Clock;

    use super::*;

    #[tokio::test]
    async fn the_command_hears_what_the_agent_says() {
        let dir = tempfile::tempdir().unwrap();
        let args = |wait| StatusArgs {
            state_dir: Some(dir.path().to_owned()),
            wait_connected: wait,
            json: false,
        };
        assert_eq!(command(args(None)).await.unwrap_err().exit, 5);
        let (link, seen) = watch::channel(LinkStatus::NotEnrolled);
        let stop = Stop::new();
        let clock = Clock::manual(5_000);
        let serving = windflow_kit::task::spawn_scoped(
            "status",
            serve(dir.path().to_owned(), clock, seen, stop.clone()),
        );
        let error = loop {
            let error = command(args(None)).await.unwrap_err();
            if error.exit != 5 {
                break error;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(
            (error.exit, error.message.as_str()),
            (1, "this host is not enrolled")
        );
        link.send_replace(LinkStatus::Connected {
            controller: "c:1".into(),
            since: Timestamp::from_millis(1_000),
            proven_at: Timestamp::from_millis(4_000),
            rtt_us: 1_250,
        });
        command(args(Some(Duration::from_secs(5)))).await.unwrap();
        let status = ask(dir.path()).await.unwrap().unwrap();
        assert!(
            text(&status).ends_with("connected to c:1 for 4 s, proved 1 s ago in 1.250 ms"),
            "{}",
            text(&status)
        );
        stop.trigger();
        serving.await.unwrap().unwrap();
        assert!(ask(dir.path()).await.unwrap().is_none());
    }
}
