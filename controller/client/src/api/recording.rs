//! Recordings of terminals.

use reqwest::{Method, Response};
use windflow_api::{Page, RecordingQuery, RecordingView};
use windflow_model::TerminalId;

use super::path;
use crate::{error::Result, http::Client};

calls! {
    /// One recording, and whether its file is what the audit trail says.
    recording_view(id: TerminalId) -> RecordingView = get "/api/v1/recordings/{id}";
}

impl Client {
    /// A page of the recordings that fit, newest first.
    ///
    /// # Errors
    /// [`crate::error::Error`] with the exit code of the refusal.
    pub async fn recording_page(&self, query: &RecordingQuery) -> Result<Page<RecordingView>> {
        let parts = [
            ("agent", query.agent.map(|id| id.to_string())),
            ("user", query.user.clone()),
            ("cursor", query.cursor.clone()),
            ("limit", query.limit.map(|limit| limit.to_string())),
        ];
        self.get(&path("/api/v1/recordings", parts)).await
    }

    /// What a recording shows, as asciicast v2.
    ///
    /// # Errors
    /// [`crate::error::Error`] with the exit code of the refusal.
    pub async fn recording_read(&self, id: TerminalId) -> Result<Response> {
        let path = format!("/api/v1/recordings/{id}/cast");
        self.send(self.request(Method::GET, &path)).await
    }
}
