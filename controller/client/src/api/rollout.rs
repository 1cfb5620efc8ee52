//! Rollouts and groups.

use reqwest::Method;
use windflow_api::{
    GroupCreate, GroupView, RolloutCancel, RolloutCreate, RolloutHost, RolloutPreview, RolloutQuery,
    RolloutView, RolloutWaves,
};
use windflow_model::{GroupId, RolloutId};

use super::{etag, missing, path};
use crate::{error::Result, http::Client};

calls! {
    /// Brings a stack to hosts in waves.
    rollout_create(request: &RolloutCreate) -> RolloutView = post "/api/v1/rollouts", request;
    /// Who would be in which wave.
    rollout_preview(request: &RolloutPreview) -> RolloutWaves = post "/api/v1/rollouts/preview", request;
    /// One rollout.
    rollout_show(id: RolloutId) -> RolloutView = get "/api/v1/rollouts/{id}";
    /// All hosts of a rollout.
    rollout_hosts(id: RolloutId) -> Vec<RolloutHost> = list "/api/v1/rollouts/{id}/hosts";
    /// Ends a rollout, or takes it back.
    rollout_cancel(id: RolloutId, request: &RolloutCancel) -> RolloutView = post "/api/v1/rollouts/{id}/cancel", request;
    /// All groups.
    group_list() -> Vec<GroupView> = list "/api/v1/groups";
    /// One group.
    group_show(id: GroupId) -> GroupView = get "/api/v1/groups/{id}";
    /// Makes a group.
    group_create(request: &GroupCreate) -> GroupView = post "/api/v1/groups", request;
    /// Removes a group.
    group_delete(id: GroupId) -> () = delete "/api/v1/groups/{id}";
}

impl Client {
    /// The rollouts that fit, newest first.
    ///
    /// # Errors
    /// [`crate::error::Error`] with the exit code of the refusal.
    pub async fn rollout_list(&self, query: &RolloutQuery) -> Result<Vec<RolloutView>> {
        let parts = [
            ("stack", query.stack.map(|id| id.to_string())),
            ("state", query.state.clone()),
        ];
        self.list(&path("/api/v1/rollouts", parts)).await
    }

    /// `pause`, `resume` or `promote`; with `version` only if the rollout is still as it was read.
    ///
    /// # Errors
    /// [`crate::error::Error`] with the exit code of the refusal; a conflict if it changed since `version`.
    pub async fn rollout_act(&self, id: RolloutId, act: &str, version: Option<u64>) -> Result<RolloutView> {
        let mut request = self.request(Method::POST, &format!("/api/v1/rollouts/{id}/{act}"));
        if let Some(version) = version {
            request = request.header("If-Match", etag(version));
        }
        self.json(request).await
    }

    /// Saves a group over the version that was read.
    ///
    /// # Errors
    /// [`crate::error::Error`] with the exit code of the refusal; a conflict if it changed since `version`.
    pub async fn group_update(&self, id: GroupId, version: u64, group: &GroupCreate) -> Result<GroupView> {
        let request = self.request(Method::PUT, &format!("/api/v1/groups/{id}"));
        self.json(request.header("If-Match", etag(version)).json(group))
            .await
    }

    /// The group with this id or name.
    ///
    /// # Errors
    /// Not found, or the refusal of the list.
    pub async fn group_find(&self, text: &str) -> Result<GroupView> {
        if let Ok(id) = text.parse() {
            return self.group_show(id).await;
        }
        let groups = self.group_list().await?;
        let names = groups.iter().map(|view| view.group.name.clone()).collect();
        let found = groups.into_iter().find(|view| view.group.name == text);
        found.ok_or_else(|| missing("group", text, names, "windflow group list"))
    }
}
