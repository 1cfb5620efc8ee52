//! Orders of the controller, into the engine.

use windflow_engine::ApplyError;
use windflow_kit::error::Chain;
use windflow_model::{Code, DeploymentEvent, Doc, DocError, Failure, Timestamp};
use windflow_protocol::{AgentFrame, Assignment, AssignmentHead, Report, Withdrawal, session::AgentAction};

use super::{Link, report, session::seal};

/// Hands an assignment to the engine; a refusal is answered at once.
pub(super) async fn assign(link: &Link, doc: Doc<Assignment>) -> Option<AgentAction> {
    let assignment = match doc.open() {
        Ok(assignment) => assignment,
        Err(error) => {
            tracing::error!(error = %Chain(&error), "assignment cannot be read; update this agent");
            return unreadable(link, &doc, &error);
        }
    };
    let order = report::order(assignment.clone());
    let error = link.engine.apply(order).await.err()?;
    tracing::warn!(stack = %assignment.name, rev = %assignment.rev, error = %Chain(&error), "assignment refused");
    if matches!(error, ApplyError::Diverged { .. }) {
        // The journal has it, and its report says which revision is held. Another word could only come before that one.
        return None;
    }
    let head = AssignmentHead {
        deployment: assignment.deployment,
        name: assignment.name,
        rev: assignment.rev,
        op: assignment.op,
    };
    rejected(link, head, Failure::from(error))
}

/// An assignment of a newer controller: what it is for stays readable, so that it can be refused and not only logged.
fn unreadable(link: &Link, doc: &Doc<Assignment>, error: &DocError) -> Option<AgentAction> {
    let head = doc.peek::<AssignmentHead>()?;
    let text = format!(
        "the agent ({}) cannot read what it shall run: {}",
        link.options.build,
        Chain(error)
    );
    let failure = Failure {
        hint: "Update the agent on this host, then deploy again.".to_owned(),
        ..Failure::new(Code::Unsupported, text)
    };
    rejected(link, head, failure)
}

fn rejected(link: &Link, head: AssignmentHead, failure: Failure) -> Option<AgentAction> {
    let answer = Report {
        seq: 0,
        deployment: Some(head.deployment),
        stack: head.name,
        rev: head.rev,
        op: head.op,
        event: DeploymentEvent::Rejected { failure },
        steps: None,
        at: Timestamp::from_millis(link.options.clock.now_ms()),
    };
    seal(&answer).map(|report| AgentAction::Send(AgentFrame::Refused { report }))
}

/// Hands a withdrawal to the engine.
pub(super) async fn withdraw(link: &Link, doc: Doc<Withdrawal>) {
    let withdrawal = match doc.open() {
        Ok(withdrawal) => withdrawal,
        Err(error) => {
            tracing::error!(error = %Chain(&error), "withdrawal cannot be read; update this agent");
            return;
        }
    };
    // The outcome travels as a report.
    if let Err(error) = link
        .engine
        .cancel(&withdrawal.name, withdrawal.rev, withdrawal.op)
        .await
    {
        tracing::warn!(error = %Chain(&error), "withdrawal not carried out");
    }
}
