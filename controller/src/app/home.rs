//! The application as the fleet sees it.

use std::{net::SocketAddr, time::Duration};

use tokio::sync::SemaphorePermit;
use windflow_kit::Chain;
use windflow_model::{
    AgentId, Code, DeploymentId, FleetEventKind, HostEvent, Inventory, Progress, Timestamp,
    container::ContainerList, metrics::Sample,
};

use super::{App, AppError, AppResult};
use crate::fleet::{
    Answer, EnrolGrant, EnrolRequest, Held, Home, HomeError, KeyHash, Refusal, Report, SessionFacts, Work,
};

/// When a host may ask again for what failed here.
const FAILED: Duration = Duration::from_secs(10);
/// Hosts whose reports and questions are worked on at once: a commit carries many of them, and a request to the API still
/// waits for few.
pub(super) const HOST_TURNS: usize = 128;

fn refusal(error: AppError) -> Refusal {
    match error {
        AppError::Refused(refused) => {
            let after = Duration::from_secs(refused.retry_after_s.unwrap_or(0));
            Refusal::new(refused.code, refused.message).later(after)
        }
        other => {
            tracing::error!(error = %Chain(&other), "a host's request failed");
            Refusal::new(Code::Internal, "the controller could not do it now; try again").later(FAILED)
        }
    }
}

/// For what has no way to answer: one log line, and the next tick or reconnect tries again.
fn noted<T: Default>(what: &'static str, agent: AgentId, result: AppResult<T>) -> T {
    result.unwrap_or_else(|error| {
        tracing::error!(agent = %agent, error = %Chain(&error), "{what} failed");
        T::default()
    })
}

impl App {
    /// A host's turn at the store. A person's request takes none: it waits behind [`HOST_TURNS`] hosts, and not behind
    /// all that came back at once or were deployed to.
    pub(super) async fn host_turn(&self) -> Option<SemaphorePermit<'_>> {
        // `None` would be a closed semaphore, and nobody closes it.
        self.0.host_turns.acquire().await.ok()
    }
}

impl Home for App {
    fn agent_enrol(&self, request: EnrolRequest) -> Answer<'_, Result<EnrolGrant, Refusal>> {
        Box::pin(async move { self.agent_enrol(request).await.map_err(refusal) })
    }

    fn agent_renew(
        &self,
        agent: AgentId,
        key: KeyHash,
        generation: u64,
        until: Timestamp,
    ) -> Answer<'_, Result<u64, Refusal>> {
        Box::pin(async move {
            self.agent_renew(agent, key, generation, until)
                .await
                .map_err(refusal)
        })
    }

    fn agent_leave(&self, agent: AgentId, key: KeyHash, generation: u64) -> Answer<'_, Result<(), Refusal>> {
        let owner = self.clone();
        // A host that hangs up must not leave it half-done.
        let left = self.owned("agent_leave", async move {
            owner.agent_leave(agent, key, generation).await
        });
        Box::pin(async move { left.await.map_err(refusal) })
    }

    fn agent_admit(&self, agent: AgentId, key: KeyHash, generation: u64) -> Answer<'_, Result<(), Refusal>> {
        Box::pin(async move {
            let _turn = self.host_turn().await;
            self.agent_admit(agent, key, generation).await.map_err(refusal)
        })
    }

    fn agent_remotes(&self) -> Answer<'_, Vec<SocketAddr>> {
        Box::pin(async move {
            let found = self.agent_remotes().await;
            found.unwrap_or_else(|error| {
                tracing::warn!(error = %Chain(&error), "hosts are not called back; each finds out by itself");
                Vec::new()
            })
        })
    }

    fn agent_connected(&self, agent: AgentId, facts: SessionFacts) -> Answer<'_, Result<u64, Refusal>> {
        Box::pin(async move {
            let _turn = self.host_turn().await;
            self.agent_connected(agent, &facts).await.map_err(refusal)
        })
    }

    fn agent_disconnected(&self, agent: AgentId, heard_at: Timestamp, reason: String) -> Answer<'_, ()> {
        Box::pin(async move {
            let _turn = self.host_turn().await;
            self.agent_disconnected(agent, heard_at, reason).await;
        })
    }

    fn agent_inventory(&self, agent: AgentId, inventory: Inventory) -> Answer<'_, ()> {
        Box::pin(async move {
            let _turn = self.host_turn().await;
            noted(
                "keeping the inventory",
                agent,
                self.agent_inventory(agent, inventory).await,
            )
        })
    }

    fn agent_containers(&self, agent: AgentId, list: ContainerList) -> Answer<'_, ()> {
        Box::pin(async move { self.agent_containers_seen(agent, list) })
    }

    fn agent_events(&self, agent: AgentId, life: u64, events: Vec<HostEvent>) -> Answer<'_, u64> {
        Box::pin(self.agent_events(agent, life, events))
    }

    fn agent_engine_changed(&self, agent: AgentId) {
        self.publish(FleetEventKind::AgentChanged { agent });
    }

    fn agent_samples(&self, agent: AgentId, samples: Vec<Sample>) {
        self.telemetry().push(agent, samples);
    }

    fn agent_held(&self, agent: AgentId, held: Vec<Held>) -> Answer<'_, ()> {
        Box::pin(async move {
            let _turn = self.host_turn().await;
            noted(
                "reconciling the host's journal",
                agent,
                self.agent_held(agent, held).await,
            )
        })
    }

    fn work(&self, agent: AgentId) -> Answer<'_, Work> {
        Box::pin(async move {
            let _turn = self.host_turn().await;
            noted("looking for work", agent, self.work(agent).await)
        })
    }

    fn deployment_reports(&self, agent: AgentId, reports: Vec<Report>) -> Answer<'_, Result<(), HomeError>> {
        Box::pin(async move {
            let upto = reports.last().map_or(0, |report| report.seq);
            let what = format!("reports of {agent} up to {upto}");
            let _turn = self.host_turn().await;
            self.deployment_reports(agent, reports)
                .await
                .map_err(|error| HomeError {
                    what,
                    source: Box::new(error),
                })
        })
    }

    fn deployment_progress(
        &self,
        agent: AgentId,
        deployment: DeploymentId,
        progress: Progress,
    ) -> Answer<'_, ()> {
        Box::pin(self.deployment_progress(agent, deployment, progress))
    }
}
