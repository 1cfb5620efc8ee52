//! Plans: hosts are asked what a deploy would do. Nothing is written.

use futures_util::{StreamExt as _, stream};
use windflow_api::{AgentPlan, Page, PlanRequest, StackPreview};
use windflow_model::{AgentId, Rev, StackId, StackName, StackSpec, Want};

use super::{App, AppError, AppResult, compose, keys, records::NameHolder};
use crate::{context::OpContext, fleet::Assignment};

/// Hosts asked at once.
const AT_ONCE: usize = 16;

/// What the hosts are asked about.
struct Wanted {
    stack: StackId,
    name: StackName,
    rev: Rev,
    spec: StackSpec,
}

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
        let spec = match (request.spec, request.rev) {
            (Some(_), Some(_)) => return Err(AppError::bad("give rev or spec, not both")),
            (Some(spec), None) => spec,
            (None, Some(rev)) => self.need_revision(OP, op.org, id, rev).await?.value.spec,
            (None, None) => stack.spec.clone(),
        };
        let wanted = Wanted {
            stack: id,
            name: stack.name.clone(),
            rev: stack.latest_rev.next(),
            spec,
        };
        self.plans(op, &request.agents, wanted).await
    }

    /// The same for a spec that is not saved, of a stack that need not exist.
    ///
    /// # Errors
    /// No such host; files that cannot be deployed.
    pub async fn stack_preview(&self, op: &OpContext, request: StackPreview) -> AppResult<Page<AgentPlan>> {
        const OP: &str = "stack_preview";
        let known = self
            .find::<NameHolder>(OP, &keys::stack_name(op.org, &request.name))
            .await?;
        let known = known.and_then(|holder| holder.value.id.parse::<StackId>().ok());
        let (stack, rev) = match known {
            Some(known) => {
                let stack = self.need_stack(OP, op.org, known).await?.value;
                (stack.id, stack.latest_rev.next())
            }
            None => (self.new_stack_id()?, Rev(1)),
        };
        let wanted = Wanted {
            stack,
            name: request.name,
            rev,
            spec: request.spec,
        };
        self.plans(op, &request.agents, wanted).await
    }

    async fn plans(&self, op: &OpContext, agents: &[AgentId], wanted: Wanted) -> AppResult<Page<AgentPlan>> {
        if agents.is_empty() || agents.len() > 256 {
            return Err(AppError::bad("agents: name 1 to 256 hosts"));
        }
        for agent in agents {
            self.need_agent("stack_plan", op.org, *agent).await?;
        }
        compose::require(&wanted.name, &wanted.spec).await?;
        let digest = wanted.spec.digest();
        let ask = agents.iter().map(|agent| {
            let assignment = self.new_deployment_id().and_then(|deployment| {
                Ok(Assignment {
                    deployment,
                    stack: wanted.stack,
                    name: wanted.name.clone(),
                    rev: wanted.rev,
                    op: self.new_op_id()?,
                    want: Want::Present,
                    digest,
                    spec: wanted.spec.clone(),
                    pin: None,
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
