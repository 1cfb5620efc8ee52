//! Terminals as calls; [`crate::terminal`] attaches to them.

use reqwest::Method;
use windflow_api::{Page, TerminalCreate, TerminalView};
use windflow_model::TerminalId;

use crate::{error::Result, http::Client};

calls! {
    /// Starts a process on a host; it waits 15 s for somebody to attach.
    terminal_create(request: &TerminalCreate) -> TerminalView = post "/api/v1/terminals", request;
    /// Ends a terminal and its process.
    terminal_delete(id: TerminalId) -> () = delete "/api/v1/terminals/{id}";
}

impl Client {
    /// Terminals that are open now.
    ///
    /// # Errors
    /// [`crate::Error`] with the exit code of the refusal.
    pub async fn terminal_list(&self) -> Result<Vec<TerminalView>> {
        let request = self.request(Method::GET, "/api/v1/terminals");
        let page: Page<TerminalView> = self.json(request).await?;
        Ok(page.items)
    }
}
