//! Logs of a stack: one stream per host, merged as they come, never stored. What the reader does not take is not
//! pulled from the hosts.

use futures_util::{StreamExt as _, stream, stream::BoxStream};
use windflow_api::{LogFrame, LogParams};
use windflow_model::{AgentId, LogEvent, LogQuery, StackId};

use super::{App, AppError, AppResult};
use crate::context::OpContext;

impl App {
    /// Opens the logs of a stack on one host, or on all that have it.
    ///
    /// # Errors
    /// No such stack or host. A host that cannot be reached is said by its `end`.
    pub async fn stack_logs(
        &self,
        op: &OpContext,
        id: StackId,
        params: &LogParams,
    ) -> AppResult<BoxStream<'static, LogFrame>> {
        let stack = self.need_stack("stack_logs", op.org, id).await?.value;
        let agents = match params.agent {
            Some(agent) => vec![self.need_agent("stack_logs", op.org, agent).await?.value.id],
            None => self.stack_hosts(op, id).await?,
        };
        if agents.is_empty() {
            return Err(AppError::not_found("host that has this stack"));
        }
        let services = params
            .service
            .as_deref()
            .unwrap_or_default()
            .split(',')
            .map(str::trim);
        let query = LogQuery {
            stack: stack.name.to_string(),
            services: services
                .filter(|service| !service.is_empty())
                .map(str::to_owned)
                .collect(),
            tail: params.tail,
            follow: params.follow,
            since: params.since,
        };
        let (timestamps, mut streams) = (params.timestamps, Vec::new());
        for agent in agents {
            let events = self.hosts().logs(agent, query.clone()).await;
            let events = events.unwrap_or_else(|failure| {
                let reason = failure.to_string();
                stream::iter([LogEvent::End { reason }]).boxed()
            });
            streams.push(events.map(move |event| frame(agent, event, timestamps)));
        }
        Ok(stream::select_all(streams).boxed())
    }
}

fn frame(agent: AgentId, mut event: LogEvent, timestamps: bool) -> LogFrame {
    if let LogEvent::Line { at, .. } = &mut event
        && !timestamps
    {
        *at = None;
    }
    LogFrame { agent, event }
}
