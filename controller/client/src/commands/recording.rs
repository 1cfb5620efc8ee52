//! Recordings of terminals.

use std::{io::Write as _, path::Path, time::Duration};

use comfy_table::Cell;
use reqwest::Response;
use windflow_api::{RecordingQuery, RecordingState, RecordingVerdict, RecordingView};
use windflow_model::TerminalId;

use super::Session;
use crate::{
    cli::RecordingCommand,
    error::{Error, Result},
    http::Client,
    output::{Output, bytes, note},
};

/// `windflow recording …`.
pub(super) async fn run(session: &Session<'_>, command: RecordingCommand) -> Result<()> {
    let client = session.client()?;
    match command {
        RecordingCommand::List { on, user, limit } => {
            let agent = match on {
                Some(host) => Some(client.agent_find(&host).await?.record.id),
                None => None,
            };
            let query = RecordingQuery {
                agent,
                user,
                limit: Some(limit),
                cursor: None,
            };
            let found = client.recording_page(&query).await?.items;
            session.out.none(found.is_empty(), "no recordings");
            session.out.show(&found, |out| table(out, &found))
        }
        RecordingCommand::Show { id } => {
            let view = client.recording_view(id).await?;
            session
                .out
                .show(&view, |out| table(out, std::slice::from_ref(&view)))?;
            match view.verdict {
                Some(RecordingVerdict::Differs) => {
                    Err(Error::failed("its file is not what the audit trail says"))
                }
                Some(RecordingVerdict::Matches) => {
                    note("its file is what the audit trail says");
                    Ok(())
                }
                _ => {
                    note("the audit trail has no digest of it");
                    Ok(())
                }
            }
        }
        RecordingCommand::Play { id, speed, idle } => play(&client, id, speed, idle).await,
        RecordingCommand::Save { id, file } => save(&client, id, &file).await,
    }
}

fn table(out: &Output, found: &[RecordingView]) -> String {
    let rows = found.iter().map(|one| {
        let state = match (one.state, one.complete) {
            (RecordingState::Running, _) => "running",
            (RecordingState::Ended, true) => "whole",
            (RecordingState::Ended, false) => "incomplete",
            (RecordingState::NotEnded, _) => "not ended",
        };
        let place = one.host_user.as_ref().unwrap_or(&one.container);
        vec![
            Cell::new(one.id),
            Cell::new(out.ago(one.started_at)),
            Cell::new(&one.agent_name),
            Cell::new(place),
            Cell::new(&one.user_name),
            Cell::new(state),
            Cell::new(bytes(one.bytes)),
        ]
    });
    out.table(
        &["ID", "BEGUN", "HOST", "IN OR AS", "BY", "STATE", "SIZE"],
        rows.collect(),
    )
}

/// The next line of an answer; what comes in pieces is put together.
struct Lines {
    response: Response,
    held: Vec<u8>,
}

impl Lines {
    async fn next(&mut self) -> Result<Option<String>> {
        loop {
            if let Some(end) = self.held.iter().position(|byte| *byte == b'\n') {
                let line: Vec<_> = self.held.drain(..=end).collect();
                return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
            }
            match self.response.chunk().await {
                Ok(Some(piece)) => self.held.extend_from_slice(&piece),
                Ok(None) => return Ok(None),
                Err(error) => return Err(cut(&error)),
            }
        }
    }
}

fn cut(error: &reqwest::Error) -> Error {
    Error::failed(format!("the recording was cut off: {error}")).hint("`windflow recording show` says more.")
}

async fn play(client: &Client, id: TerminalId, speed: f64, idle: f64) -> Result<()> {
    let mut lines = Lines {
        response: client.recording_read(id).await?,
        held: Vec::new(),
    };
    let mut before = 0.0;
    while let Some(line) = lines.next().await? {
        // The first line is about the whole; what a newer controller says beyond this is left out.
        let Ok((at, kind, text)) = serde_json::from_str::<(f64, String, String)>(&line) else {
            continue;
        };
        let pause = (at - before).clamp(0.0, idle) / speed;
        before = at;
        tokio::time::sleep(Duration::from_secs_f64(pause)).await;
        match kind.as_str() {
            "o" => {
                let mut out = std::io::stdout().lock();
                out.write_all(text.as_bytes())
                    .and_then(|()| out.flush())
                    .map_err(|error| Error::failed(format!("cannot write: {error}")))?;
            }
            "m" => note(&format!("windflow: {text}")),
            _ => {}
        }
    }
    Ok(())
}

async fn save(client: &Client, id: TerminalId, file: &Path) -> Result<()> {
    let mut response = client.recording_read(id).await?;
    let failed =
        |error: std::io::Error| Error::failed(format!("{} cannot be written: {error}", file.display()));
    let mut to: Box<dyn std::io::Write + Send> = if file == Path::new("-") {
        Box::new(std::io::stdout())
    } else {
        Box::new(fs_err::File::create(file).map_err(failed)?)
    };
    while let Some(piece) = response.chunk().await.map_err(|error| cut(&error))? {
        to.write_all(&piece).map_err(failed)?;
    }
    to.flush().map_err(failed)
}
