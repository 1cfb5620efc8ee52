//! The API's operations as typed calls, a name for each as in the OpenAPI document.

use reqwest::Method;
use windflow_api::{
    Agent, AgentPatch, AgentPlan, DeployRequest, DeploymentQuery, DeploymentView, EnrolmentToken,
    EnrolmentTokenCreate, EnrolmentTokenCreated, HostContainers, Info, LoginRequest, Me, Page, PlanRequest,
    RemoveRequest, RollbackRequest, Session, SetupRequest, SetupStatus, StackCreate, StackPreview,
    StackUpdate, StackView, ValidateRequest, Validation,
};
use windflow_model::{AgentId, DeploymentId, Revision, StackId, TokenId};

use crate::{
    error::{Error, Exit, Result},
    http::Client,
};

macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*) -> $out:ty = $call:ident $path:literal $(, $body:ident)?;)*) => {
        impl Client {$(
            $(#[$doc])*
            ///
            /// # Errors
            /// [`Error`] with the exit code of the refusal.
            pub async fn $name(&self, $($arg: $type),*) -> Result<$out> {
                self.$call(&format!($path) $(, $body)?).await
            }
        )*}
    };
}

mod alert;
mod audit;
mod channel;
mod event;
mod files;
mod metrics;
mod recording;
mod rollout;
mod terminal;

pub(crate) use metrics::metrics_path;

calls! {
    /// Whether the first administrator still has to be made.
    setup_status() -> SetupStatus = get "/api/v1/setup";
    /// Makes the first administrator.
    setup(request: &SetupRequest) -> Session = post "/api/v1/setup", request;
    /// Signs in.
    session_create(request: &LoginRequest) -> Session = post "/api/v1/sessions", request;
    /// Ends the credential in use.
    session_delete() -> () = delete "/api/v1/sessions/current";
    /// Who is signed in.
    me() -> Me = get "/api/v1/me";
    /// What the controller is.
    info() -> Info = get "/api/v1/info";
    /// All hosts.
    agent_list() -> Vec<Agent> = list "/api/v1/agents";
    /// The first so many hosts, at most 500.
    agent_page(limit: u32) -> Page<Agent> = get "/api/v1/agents?limit={limit}";
    /// One host.
    agent_show(id: AgentId) -> Agent = get "/api/v1/agents/{id}";
    /// Removes a host.
    agent_delete(id: AgentId) -> () = delete "/api/v1/agents/{id}";
    /// The containers of a host.
    agent_containers(id: AgentId) -> HostContainers = get "/api/v1/agents/{id}/containers";
    /// All enrolment tokens.
    enrolment_token_list() -> Vec<EnrolmentToken> = list "/api/v1/enrolment-tokens";
    /// Makes an enrolment token.
    enrolment_token_create(request: &EnrolmentTokenCreate) -> EnrolmentTokenCreated = post "/api/v1/enrolment-tokens", request;
    /// Revokes an enrolment token.
    enrolment_token_delete(id: TokenId) -> () = delete "/api/v1/enrolment-tokens/{id}";
    /// All stacks.
    stack_list() -> Vec<StackView> = list "/api/v1/stacks";
    /// One stack.
    stack_show(id: StackId) -> StackView = get "/api/v1/stacks/{id}";
    /// Checks a spec without saving it.
    stack_validate(request: &ValidateRequest) -> Validation = post "/api/v1/stacks/validate", request;
    /// Makes a stack.
    stack_create(request: &StackCreate) -> StackView = post "/api/v1/stacks", request;
    /// Forgets a stack that runs nowhere.
    stack_delete(id: StackId) -> () = delete "/api/v1/stacks/{id}";
    /// What hosts would do.
    stack_plan(id: StackId, request: &PlanRequest) -> Vec<AgentPlan> = post_list "/api/v1/stacks/{id}/plan", request;
    /// What hosts would do with a spec that is not saved, of a stack that need not exist.
    stack_preview(request: &StackPreview) -> Vec<AgentPlan> = post_list "/api/v1/stacks/plan", request;
    /// Deploys to hosts.
    deployment_create(id: StackId, request: &DeployRequest) -> Vec<DeploymentView> = post_list "/api/v1/stacks/{id}/deployments", request;
    /// Deploys an old spec as a new revision.
    stack_rollback(id: StackId, request: &RollbackRequest) -> Vec<DeploymentView> = post_list "/api/v1/stacks/{id}/rollback", request;
    /// Removes a stack from hosts.
    stack_remove(id: StackId, request: &RemoveRequest) -> Vec<DeploymentView> = post_list "/api/v1/stacks/{id}/remove", request;
    /// All revisions of a stack.
    revision_list(id: StackId) -> Vec<Revision> = list "/api/v1/stacks/{id}/revisions";
    /// The containers of a stack on all hosts.
    stack_containers(id: StackId) -> Vec<HostContainers> = list "/api/v1/stacks/{id}/containers";
    /// One deployment.
    deployment_show(id: DeploymentId) -> DeploymentView = get "/api/v1/deployments/{id}";
}

impl Client {
    /// Changes a host's name or labels.
    ///
    /// # Errors
    /// [`Error`] with the exit code of the refusal; a conflict if the host changed since `version`.
    pub async fn agent_update(&self, id: AgentId, version: u64, patch: &AgentPatch) -> Result<Agent> {
        let request = self.request(Method::PATCH, &format!("/api/v1/agents/{id}"));
        self.json(request.header("If-Match", etag(version)).json(patch))
            .await
    }

    /// Saves a spec over the version that was read.
    ///
    /// # Errors
    /// [`Error`] with the exit code of the refusal; a conflict if the stack changed since `version`.
    pub async fn stack_update(&self, id: StackId, version: u64, update: &StackUpdate) -> Result<StackView> {
        let request = self.request(Method::PUT, &format!("/api/v1/stacks/{id}"));
        self.json(request.header("If-Match", etag(version)).json(update))
            .await
    }

    /// Deploys to hosts, once: the same request with the same key again gets what the first one made. Send it again
    /// when no answer came.
    ///
    /// # Errors
    /// [`Error`] with the exit code of the refusal; a conflict if the key came with another request.
    pub async fn deployment_create_once(
        &self,
        id: StackId,
        request: &DeployRequest,
        key: &str,
    ) -> Result<Vec<DeploymentView>> {
        let path = format!("/api/v1/stacks/{id}/deployments");
        let request = self.request(Method::POST, &path).json(request);
        let page: Page<DeploymentView> = self.json(request.header("Idempotency-Key", key)).await?;
        Ok(page.items)
    }

    /// The deployments that fit, newest first; with `latest`, by stack and host.
    ///
    /// # Errors
    /// [`Error`] with the exit code of the refusal.
    pub async fn deployment_list(&self, query: &DeploymentQuery) -> Result<Vec<DeploymentView>> {
        self.list(&deployments(query)).await
    }

    /// The first page of them.
    ///
    /// # Errors
    /// [`Error`] with the exit code of the refusal.
    pub async fn deployment_page(&self, query: &DeploymentQuery) -> Result<Page<DeploymentView>> {
        self.get(&deployments(query)).await
    }

    /// Takes a deployment back.
    ///
    /// # Errors
    /// [`Error`] with the exit code of the refusal.
    pub async fn deployment_cancel(&self, id: DeploymentId) -> Result<DeploymentView> {
        let request = self.request(Method::POST, &format!("/api/v1/deployments/{id}/cancel"));
        self.json(request).await
    }

    /// The host with this id or name.
    ///
    /// # Errors
    /// Not found, or the refusal of the list.
    pub async fn agent_find(&self, text: &str) -> Result<Agent> {
        if let Ok(id) = text.parse() {
            return self.agent_show(id).await;
        }
        let agents = self.agent_list().await?;
        let names = agents.iter().map(|agent| agent.record.name.clone()).collect();
        let found = agents.into_iter().find(|agent| agent.record.name == text);
        found.ok_or_else(|| missing("host", text, names, "windflow agent list"))
    }

    /// The stack with this id or name.
    ///
    /// # Errors
    /// Not found, or the refusal of the list.
    pub async fn stack_find(&self, text: &str) -> Result<StackView> {
        if let Ok(id) = text.parse() {
            return self.stack_show(id).await;
        }
        let stacks = self.stack_list().await?;
        let names = stacks.iter().map(|stack| stack.stack.name.to_string()).collect();
        let found = stacks.into_iter().find(|stack| stack.stack.name.as_str() == text);
        found.ok_or_else(|| missing("stack", text, names, "windflow stack list"))
    }
}

fn deployments(query: &DeploymentQuery) -> String {
    let parts = [
        ("stack", query.stack.map(|id| id.to_string())),
        ("agent", query.agent.map(|id| id.to_string())),
        ("state", query.state.clone()),
        ("latest", query.latest.then(|| "true".to_owned())),
        ("limit", query.limit.map(|limit| limit.to_string())),
    ];
    path("/api/v1/deployments", parts)
}

/// A path with those parts of its query that have a value.
fn path<const N: usize>(base: &str, parts: [(&str, Option<String>); N]) -> String {
    let mut path = base.to_owned();
    let mut next = '?';
    for (name, value) in parts {
        if let Some(value) = value {
            path.push_str(&format!("{next}{name}={}", encode(&value)));
            next = '&';
        }
    }
    path
}

fn etag(version: u64) -> String {
    format!("\"{version}\"")
}

/// Percent-encodes everything that is not plainly safe in a query value.
pub(crate) fn encode(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn missing(kind: &str, text: &str, names: Vec<String>, list: &str) -> Error {
    let near = names.into_iter().min_by_key(|name| distance(name, text));
    let hint = match near.filter(|name| distance(name, text) <= 2) {
        Some(near) => format!("Did you mean `{near}`? `{list}` shows all."),
        None => format!("`{list}` shows all."),
    };
    Error::new(Exit::NotFound, format!("there is no {kind} `{text}`")).hint(hint)
}

/// Edits between two words (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut before = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(&b) {
            let replace = before + usize::from(x != *y);
            before = *cell;
            left = replace.min(*cell + 1).min(left + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_offered() {
        assert_eq!(
            [
                distance("web", "web"),
                distance("web", "wbe"),
                distance("", "ab"),
                distance("kitten", "sitting")
            ],
            [0, 2, 2, 3]
        );
        let error = missing(
            "stack",
            "wbe",
            vec!["api".into(), "web".into()],
            "windflow stack list",
        );
        assert!(error.hint.starts_with("Did you mean `web`?"), "{}", error.hint);
        assert_eq!(error.exit, Exit::NotFound);
    }

    #[test]
    fn query_values_are_encoded() {
        assert_eq!(encode("a b&c=ü"), "a%20b%26c%3D%C3%BC");
    }
}
