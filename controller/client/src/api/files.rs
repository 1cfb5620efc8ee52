//! Files of hosts as calls. Bytes are streamed: of neither direction more than a piece is held.

use bytes::Bytes;
use futures_util::Stream;
use reqwest::{Body, Method, Response};
use windflow_api::{FileParams, Page};
use windflow_kit::BoxError;
use windflow_model::{AgentId, FileListing, FilesWritten, VolumeSummary};

use super::encode;
use crate::{error::Result, http::Client};

impl Client {
    /// The named volumes of a host.
    ///
    /// # Errors
    /// [`crate::Error`] with the exit code of the refusal.
    pub async fn volume_list(&self, agent: AgentId) -> Result<Vec<VolumeSummary>> {
        let page: Page<VolumeSummary> = self.get(&format!("/api/v1/agents/{agent}/volumes")).await?;
        Ok(page.items)
    }

    /// What is at a path, and in it.
    ///
    /// # Errors
    /// [`crate::Error`] with the exit code of the refusal.
    pub async fn file_list(&self, agent: AgentId, params: &FileParams) -> Result<FileListing> {
        self.get(&path(agent, "files", params)).await
    }

    /// The bytes of a file, or a tar.
    ///
    /// # Errors
    /// [`crate::Error`] with the exit code of the refusal; what breaks off later is an error of the body.
    pub async fn file_read(&self, agent: AgentId, params: &FileParams) -> Result<Response> {
        let request = self.request(Method::GET, &path(agent, "files/content", params));
        self.send(request).await
    }

    /// Writes a file, or what a tar holds.
    ///
    /// # Errors
    /// [`crate::Error`] with the exit code of the refusal.
    pub async fn file_write(
        &self,
        agent: AgentId,
        params: &FileParams,
        body: impl Stream<Item = std::result::Result<Bytes, BoxError>> + Send + 'static,
    ) -> Result<FilesWritten> {
        let request = self.request(Method::PUT, &path(agent, "files/content", params));
        // It takes as long as it takes.
        let answer = self.send(request.body(Body::wrap_stream(body))).await?;
        let body = answer.bytes().await.map_err(|error| self.unreachable(&error))?;
        serde_json::from_slice(&body).map_err(|error| {
            crate::Error::failed(format!("the answer of {} is not understood: {error}", self.url()))
        })
    }
}

fn path(agent: AgentId, what: &str, params: &FileParams) -> String {
    let archive = params.archive.then(|| "true".to_owned());
    let pairs = [
        ("container", &params.container),
        ("volume", &params.volume),
        ("path", &params.path),
        ("archive", &archive),
        ("mode", &params.mode),
    ];
    let pairs = pairs
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", encode(value.as_ref()?))));
    format!(
        "/api/v1/agents/{agent}/{what}?{}",
        pairs.collect::<Vec<_>>().join("&")
    )
}
