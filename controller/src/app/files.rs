//! Files on hosts: asked for here, kept by the hosts alone. Who read or wrote what is in the audit trail.

use bytes::Bytes;
use futures_util::stream::BoxStream;
use windflow_api::FileParams;
use windflow_kit::BoxError;
use windflow_model::{AgentId, FileListing, FileQuery, FilesWritten, VolumeSummary};

use super::{App, AppError, AppResult};
use crate::{context::OpContext, fleet::FileBytes};

impl App {
    /// The named volumes of a host.
    ///
    /// # Errors
    /// No such host, or what the host says.
    pub async fn volume_list(&self, op: &OpContext, agent: AgentId) -> AppResult<Vec<VolumeSummary>> {
        self.need_agent("volume_list", op.org, agent).await?;
        let list = self.hosts().volumes(agent).await;
        list.map(|list| list.volumes)
            .map_err(|failure| AppError::of_host(&failure))
    }

    /// What is at a path, and in it.
    ///
    /// # Errors
    /// No such host, or what the host says: its policy, or that nothing is there.
    pub async fn file_list(
        &self,
        op: &OpContext,
        agent: AgentId,
        params: &FileParams,
    ) -> AppResult<FileListing> {
        let (place, path) = params.meant().map_err(AppError::bad)?;
        self.need_agent("file_list", op.org, agent).await?;
        let listing = self.hosts().file_list(agent, place, path).await;
        listing.map_err(|failure| AppError::of_host(&failure))
    }

    /// Hands out a file, or a tar of whatever is there.
    ///
    /// # Errors
    /// As [`App::file_list`].
    pub async fn file_read(
        &self,
        op: &OpContext,
        agent: AgentId,
        params: &FileParams,
    ) -> AppResult<(FileListing, FileBytes)> {
        const OP: &str = "file_read";
        let (place, path) = params.meant().map_err(AppError::bad)?;
        let host = self.need_agent(OP, op.org, agent).await?.value;
        let what = format!("{path} of {place} on {}", host.name);
        // Before it happens: what cannot be recorded is not done.
        self.audit(op, OP, agent, what.clone()).await?;
        match self.hosts().file_read(agent, place, path, params.archive).await {
            Ok(opened) => Ok(opened),
            Err(failure) => {
                self.audit(op, "file_refuse", agent, format!("{what}: {}", failure.message))
                    .await?;
                Err(AppError::of_host(&failure))
            }
        }
    }

    /// Writes a file, or what a tar holds into a folder that is there. What breaks off changes nothing.
    ///
    /// # Errors
    /// As [`App::file_list`]; the body, if it is cut off or too long.
    pub async fn file_write(
        &self,
        op: &OpContext,
        agent: AgentId,
        params: &FileParams,
        body: BoxStream<'static, Result<Bytes, BoxError>>,
    ) -> AppResult<FilesWritten> {
        const OP: &str = "file_write";
        let (place, path) = params.meant().map_err(AppError::bad)?;
        let mode = params.permissions().map_err(AppError::bad)?;
        let host = self.need_agent(OP, op.org, agent).await?.value;
        let how = if params.archive { "a tar into " } else { "" };
        let what = format!("{how}{path} of {place} on {}", host.name);
        self.audit(op, OP, agent, what.clone()).await?;
        let query = FileQuery::Write {
            place,
            path,
            archive: params.archive,
            mode,
        };
        let written = self.hosts().file_write(agent, query, body).await;
        let (action, detail) = match &written {
            Ok(written) => (
                "file_written",
                format!("{what}: {} entries, {} bytes", written.entries, written.bytes),
            ),
            Err(failure) => ("file_refuse", format!("{what}: {}", failure.message)),
        };
        self.audit(op, action, agent, detail).await?;
        written.map_err(|failure| AppError::of_host(&failure))
    }
}
