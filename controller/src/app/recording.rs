//! Recordings of terminals: which there are, what they show, how long they are kept. [`crate::recordings`] has the files.

use windflow_api::{AuditQuery, Page, RecordingQuery, RecordingState, RecordingVerdict, RecordingView};
use windflow_kit::{Chain, blocking};
use windflow_model::TerminalId;

use super::{
    App, AppError, AppResult,
    stack::{bad_cursor, limit_of},
};
use crate::{
    context::OpContext,
    recordings::{Entry, Play, Recordings, of_agent, title},
};

impl App {
    /// Keeps recordings here from now on. Only the first call counts.
    pub(crate) fn keep_recordings(&self, recordings: Recordings) {
        if self.0.recordings.set(recordings).is_err() {
            tracing::warn!("recordings have a place already; the first one stays");
        }
    }

    /// The recordings, if they are kept.
    pub(crate) fn recordings(&self) -> Option<&Recordings> {
        self.0.recordings.get()
    }

    /// Recordings, newest first.
    ///
    /// # Errors
    /// A cursor that is not one of ours.
    pub fn recording_list(&self, op: &OpContext, query: &RecordingQuery) -> AppResult<Page<RecordingView>> {
        let limit = limit_of(query.limit)?;
        let behind = query.cursor.as_deref().map(str::parse).transpose();
        let behind = behind.map_err(|_| bad_cursor())?;
        let fits = |entry: &Entry| {
            let head = &entry.head;
            let of_user = |user: &String| head.user_name == *user || head.user.to_string() == *user;
            head.org == op.org && of_agent(entry, query.agent) && query.user.as_ref().is_none_or(of_user)
        };
        let found = |shelf: &Recordings| shelf.list(behind, limit + 1, fits);
        let mut found = self.recordings().map_or_else(Vec::new, found);
        let more = found.len() > limit;
        found.truncate(limit);
        let last = found
            .last()
            .filter(|_| more)
            .map(|entry| entry.head.id.to_string());
        Ok(Page {
            items: found.iter().map(view).collect(),
            next_cursor: last,
        })
    }

    fn recording_need(&self, op: &OpContext, id: TerminalId) -> AppResult<(Recordings, Entry)> {
        let found = self
            .recordings()
            .and_then(|shelf| Some((shelf.clone(), shelf.entry(id)?)))
            .filter(|(_, entry)| entry.head.org == op.org);
        found.ok_or_else(|| AppError::not_found(format!("recording {id}")))
    }

    /// One of them; of one that has ended also whether its file is what the audit trail says.
    ///
    /// # Errors
    /// No such recording, or its file cannot be read.
    pub async fn recording_view(&self, op: &OpContext, id: TerminalId) -> AppResult<RecordingView> {
        const OP: &str = "recording_view";
        let (shelf, entry) = self.recording_need(op, id)?;
        let mut view = view(&entry);
        if entry.running {
            return Ok(view);
        }
        let digest = blocking::run(move || shelf.digest(id))
            .await
            .map_err(AppError::internal(OP))?
            .map_err(AppError::internal(OP))?;
        let query = AuditQuery {
            action: Some("terminal_close".to_owned()),
            object: Some(id.to_string()),
            ..AuditQuery::default()
        };
        let trail = self.audit_list(op, &query).await?;
        let said = trail.items.iter().find_map(|record| digest_in(&record.detail));
        view.verdict = Some(match said {
            Some(said) if said == digest => RecordingVerdict::Matches,
            Some(_) => RecordingVerdict::Differs,
            None => RecordingVerdict::Unknown,
        });
        view.digest = Some(digest);
        Ok(view)
    }

    /// What one shows; the audit trail has who looked.
    ///
    /// # Errors
    /// No such recording, or its file cannot be read.
    pub(crate) async fn recording_read(&self, op: &OpContext, id: TerminalId) -> AppResult<Play> {
        const OP: &str = "recording_read";
        let (shelf, entry) = self.recording_need(op, id)?;
        self.audit(op, OP, id, title(&entry.head)).await?;
        blocking::run(move || shelf.read(id))
            .await
            .map_err(AppError::internal(OP))?
            .map_err(AppError::internal(OP))
    }

    /// Removes recordings that are too old or too much, the oldest first; the audit trail has each.
    pub(crate) async fn recordings_tidy(&self) -> AppResult<usize> {
        const OP: &str = "recording_expire";
        let Some(shelf) = self.recordings() else {
            return Ok(0);
        };
        let op = OpContext::system("sweep");
        let gone = shelf.too_many(self.now());
        for id in &gone {
            let Some(entry) = shelf.entry(*id) else { continue };
            self.audit(&op, OP, *id, title(&entry.head)).await?;
            let (on, id) = (shelf.clone(), *id);
            let removed = blocking::run(move || on.remove(id))
                .await
                .map_err(AppError::internal(OP))?;
            if let Err(error) = removed {
                tracing::warn!(error = %Chain(&error), "a recording cannot be removed");
                break;
            }
        }
        Ok(gone.len())
    }
}

/// How a digest stands in the record of a terminal's end.
pub(super) const DIGEST: &str = "SHA-256 ";

fn digest_in(detail: &str) -> Option<&str> {
    let (_, rest) = detail.rsplit_once(DIGEST)?;
    rest.get(..64)
}

fn view(entry: &Entry) -> RecordingView {
    let head = &*entry.head;
    RecordingView {
        id: head.id,
        agent: head.agent,
        agent_name: head.agent_name.clone(),
        container: head.container.clone(),
        host_user: head.host_user.clone(),
        command: head.command.clone(),
        tty: head.tty,
        user: head.user,
        user_name: head.user_name.clone(),
        started_at: head.started_at,
        ended_at: entry.tail.as_ref().map(|tail| tail.ended_at),
        state: match (&entry.tail, entry.running) {
            (Some(_), _) => RecordingState::Ended,
            (None, true) => RecordingState::Running,
            (None, false) => RecordingState::NotEnded,
        },
        complete: entry.tail.as_ref().is_some_and(|tail| tail.complete),
        bytes: entry.bytes,
        digest: None,
        verdict: None,
    }
}
