//! Documents inside frames: what shall run, what a host holds, what happened to it.

use serde::{Deserialize, Serialize};
use windflow_model::{
    DeploymentEvent, DeploymentId, DeploymentState, Document, OpId, Pin, Rev, SpecDigest, StackId, StackName,
    StackSpec, Steps, Timestamp, Want,
};

/// One revision of a stack for one host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    /// The deployment, unique per stack, revision and host.
    pub deployment: DeploymentId,
    /// The stack.
    pub stack: StackId,
    /// Its name, which is the Compose project's name on the host.
    pub name: StackName,
    /// The revision.
    pub rev: Rev,
    /// The operation: idempotency key on the way to the host and back.
    pub op: OpId,
    /// Present or absent.
    pub want: Want,
    /// Digest of `spec`.
    pub digest: SpecDigest,
    /// The spec.
    pub spec: StackSpec,
    /// Carry out the plan with this pin and nothing else.
    #[serde(default)]
    pub pin: Option<Pin>,
}

impl Document for Assignment {
    const NAME: &'static str = "assignment";
    const SCHEMA: u16 = 1;
}

/// What stays readable of an assignment in every schema: enough to refuse it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AssignmentHead {
    /// The deployment.
    pub deployment: DeploymentId,
    /// Name of the stack on the host.
    pub name: StackName,
    /// The revision.
    pub rev: Rev,
    /// The operation.
    pub op: OpId,
}

/// A revision to be taken back if nothing has changed yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// The deployment.
    pub deployment: DeploymentId,
    /// Name of the stack on the host.
    pub name: StackName,
    /// The revision.
    pub rev: Rev,
    /// The operation.
    pub op: OpId,
}

impl Document for Withdrawal {
    const NAME: &'static str = "withdrawal";
    const SCHEMA: u16 = 1;
}

/// What a host's journal holds of one stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Name on the host.
    pub stack: StackName,
    /// The controller's stack, if a controller sent it; local mode has none.
    #[serde(default)]
    pub owner: Option<StackId>,
    /// The deployment, if a controller sent it.
    #[serde(default)]
    pub deployment: Option<DeploymentId>,
    /// The revision.
    pub rev: Rev,
    /// The operation.
    pub op: OpId,
    /// Present or absent.
    pub want: Want,
    /// Digest of the spec.
    pub digest: SpecDigest,
    /// Where it stands.
    pub state: DeploymentState,
}

/// All stacks of a host's journal.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HeldList {
    /// One entry per stack, sorted by name.
    pub stacks: Vec<Held>,
}

impl Document for HeldList {
    const NAME: &'static str = "list of held stacks";
    const SCHEMA: u16 = 1;
}

/// One entry of a host's durable outbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Number in the outbox, strictly rising. 0 for an answer that never entered the outbox (a refused assignment).
    pub seq: u64,
    /// The deployment, if a controller sent it.
    #[serde(default)]
    pub deployment: Option<DeploymentId>,
    /// Name of the stack on the host.
    pub stack: StackName,
    /// The revision.
    pub rev: Rev,
    /// The operation.
    pub op: OpId,
    /// What happened.
    pub event: DeploymentEvent,
    /// The step tree at that moment, where it is worth keeping.
    #[serde(default)]
    pub steps: Option<Steps>,
    /// Host time.
    pub at: Timestamp,
}

impl Document for Report {
    const NAME: &'static str = "report";
    const SCHEMA: u16 = 1;
}

#[cfg(test)]
mod tests {
    use windflow_model::Doc;

    use super::*;

    #[test]
    fn an_assignment_of_a_newer_controller_can_still_be_refused() {
        let newer = serde_json::json!({
            "deployment": "dep_01h455vb4pex5vsknk084sn02q",
            "name": "web",
            "rev": 7,
            "op": "op_01h455vb4pex5vsknk084sn02q",
            "spec": { "shape": "of tomorrow" },
        });
        let parts = (Assignment::SCHEMA + 1, serde_json::to_vec(&newer).unwrap());
        let doc: Doc<Assignment> = postcard::from_bytes(&postcard::to_allocvec(&parts).unwrap()).unwrap();
        assert!(doc.open().is_err());
        let head: AssignmentHead = doc.peek().unwrap();
        assert_eq!((head.name.as_str(), head.rev), ("web", Rev(7)));
    }
}
