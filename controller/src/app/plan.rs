//! Plans: hosts are asked what a deploy would do. Nothing is written.

use futures_util::{StreamExt as _, stream};
use windflow_api::{AgentPlan, Page, PlanRequest};
use windflow_model::{StackId, Want};

use super::{App, AppError, AppResult, compose};
use crate::{context::OpContext, fleet::Assignment};

/// Hosts asked at once.
const AT_ONCE: usize = 16;

impl App {
    /// One plan, or the reason why there is none, per host.
    ///
    /// # Errors
    /// No such stack, host or revision; files that cannot be deployed.
    pub async fn stack_plan(
        &self,
        op: &OpContext,
        id: StackId,
        request: PlanRequest,
    ) -> AppResult<Page<AgentPlan>> {
        const OP: &str = "stack_plan";
        let stack = self.need_stack(OP, op.org, id).await?.value;
        if request.agents.is_empty() || request.agents.len() > 256 {
            return Err(AppError::bad("agents: name 1 to 256 hosts"));
        }
        for agent in &request.agents {
            self.need_agent(OP, op.org, *agent).await?;
        }
        let spec = match (request.spec, request.rev) {
            (Some(_), Some(_)) => return Err(AppError::bad("give rev or spec, not both")),
            (Some(spec), None) => spec,
            (None, Some(rev)) => self.need_revision(OP, op.org, id, rev).await?.value.spec,
            (None, None) => stack.spec.clone(),
        };
        compose::require(&stack.name, &spec).await?;
        let digest = spec.digest();
        let ask = request.agents.iter().map(|agent| {
            let assignment = self.new_deployment_id().and_then(|deployment| {
                Ok(Assignment {
                    deployment,
                    stack: id,
                    name: stack.name.clone(),
                    rev: stack.latest_rev.next(),
                    op: self.new_op_id()?,
                    want: Want::Present,
                    digest,
                    spec: spec.clone(),
                })
            });
            async move {
                let result = self.hosts().plan(*agent, assignment?).await;
                let (plan, error) = match result {
                    Ok(plan) => (Some(plan), None),
                    Err(failure) => (None, Some(failure)),
                };
                Ok(AgentPlan {
                    agent: *agent,
                    summary: plan.as_ref().map(windflow_model::Plan::summary),
                    plan,
                    error,
                })
            }
        });
        let asked: Vec<_> = ask.collect();
        let plans: Vec<AppResult<AgentPlan>> = stream::iter(asked).buffered(AT_ONCE).collect().await;
        Ok(Page::whole(plans.into_iter().collect::<AppResult<_>>()?))
    }
}
