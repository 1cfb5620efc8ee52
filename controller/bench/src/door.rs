//! What the bench needs of the controller's API.

use std::{future::Future, pin::Pin};

use windflow_kit::{BoxError, Secret};
use windflow_model::{AgentId, StackId, StackName, StackSpec};

use crate::LogFeed;

/// A boxed answer, so that a [`Door`] can be an object.
pub type Reply<'a, T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send + 'a>>;

/// The API of one controller, as somebody who may change everything.
pub trait Door: Send + Sync + 'static {
    /// A new enrolment token.
    fn token(&self) -> Reply<'_, Secret<String>>;
    /// Removes a host.
    fn agent_remove(&self, agent: AgentId) -> Reply<'_, ()>;
    /// Makes a stack.
    fn stack_make(&self, name: StackName, spec: StackSpec) -> Reply<'_, StackId>;
    /// Deploys it to hosts, in one request.
    fn deploy(&self, stack: StackId, agents: Vec<AgentId>) -> Reply<'_, ()>;
    /// Removes it from hosts, in one request.
    fn undeploy(&self, stack: StackId, agents: Vec<AgentId>) -> Reply<'_, ()>;
    /// Forgets a stack that runs nowhere.
    fn stack_forget(&self, stack: StackId) -> Reply<'_, ()>;
    /// Follows the log of a stack on a host, from now on.
    fn logs(&self, stack: StackId, agent: AgentId) -> Reply<'_, LogFeed>;
    /// A figure without labels of the controller's `/metrics`.
    fn figure(&self, name: &'static str) -> Reply<'_, Option<f64>>;
    /// One page of hosts and one of deployments, in turn with `number`: what the web UI asks for when somebody looks.
    fn look(&self, number: u64) -> Reply<'_, ()>;
}
