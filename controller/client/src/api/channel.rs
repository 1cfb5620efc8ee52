//! Channels and notifications.

use reqwest::Method;
use windflow_api::{ChannelSave, ChannelTested, ChannelView, NoticeQuery, NoticeView, Page};
use windflow_model::ChannelId;

use super::{etag, missing, path};
use crate::{error::Result, http::Client};

calls! {
    /// All channels.
    channel_list() -> Vec<ChannelView> = list "/api/v1/channels";
    /// One channel.
    channel_show(id: ChannelId) -> ChannelView = get "/api/v1/channels/{id}";
    /// Makes a channel.
    channel_create(request: &ChannelSave) -> ChannelView = post "/api/v1/channels", request;
    /// Deletes a channel.
    channel_delete(id: ChannelId) -> () = delete "/api/v1/channels/{id}";
}

impl Client {
    /// Sends a test over a channel.
    ///
    /// # Errors
    /// [`crate::error::Error`] with the exit code of the refusal.
    pub async fn channel_test(&self, id: ChannelId) -> Result<ChannelTested> {
        self.json(self.request(Method::POST, &format!("/api/v1/channels/{id}/test")))
            .await
    }

    /// Saves a channel over the version that was read.
    ///
    /// # Errors
    /// [`crate::error::Error`] with the exit code of the refusal; a conflict if it changed since `version`.
    pub async fn channel_update(
        &self,
        id: ChannelId,
        version: u64,
        channel: &ChannelSave,
    ) -> Result<ChannelView> {
        let request = self.request(Method::PUT, &format!("/api/v1/channels/{id}"));
        self.json(request.header("If-Match", etag(version)).json(channel))
            .await
    }

    /// The channel with this id or name.
    ///
    /// # Errors
    /// Not found, or the refusal of the list.
    pub async fn channel_find(&self, text: &str) -> Result<ChannelView> {
        if let Ok(id) = text.parse() {
            return self.channel_show(id).await;
        }
        let channels = self.channel_list().await?;
        let names = channels.iter().map(|view| view.channel.name.clone()).collect();
        let found = channels.into_iter().find(|view| view.channel.name == text);
        found.ok_or_else(|| missing("channel", text, names, "windflow channel list"))
    }

    /// A page of notifications, the newest first.
    ///
    /// # Errors
    /// [`crate::error::Error`] with the exit code of the refusal.
    pub async fn notice_page(&self, query: &NoticeQuery) -> Result<Page<NoticeView>> {
        let parts = [
            ("channel", query.channel.map(|id| id.to_string())),
            ("cursor", query.cursor.clone()),
            ("limit", query.limit.map(|limit| limit.to_string())),
        ];
        self.get(&path("/api/v1/notices", parts)).await
    }
}
