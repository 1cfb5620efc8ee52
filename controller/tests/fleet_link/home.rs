//! A memory for an application.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use windflow_controller::fleet::{
    Answer, Assignment, EnrolGrant, EnrolRequest, Held, Home, HomeError, KeyHash, Refusal, Report,
    SessionFacts, Work,
};
use windflow_kit::{Clock, Random};
use windflow_model::{
    AgentId, Code, DeploymentId, HostEvent, Inventory, Progress, Timestamp, container::ContainerList,
};

pub(crate) const TOKEN: &str = "wfj_test_secret";

#[derive(Default)]
pub(crate) struct State {
    bound: Option<KeyHash>,
    pub(crate) agent: Option<AgentId>,
    pub(crate) removed: bool,
    pub(crate) sessions: u64,
    /// One for each session that ended.
    pub(crate) last_heard: Vec<Timestamp>,
    pub(crate) reports: Vec<Report>,
    pub(crate) assignments: Vec<Assignment>,
    /// The life and the number of each.
    pub(crate) events: Vec<(u64, u64)>,
    pub(crate) generation: HashMap<AgentId, u64>,
}

#[derive(Clone, Default)]
pub(crate) struct Memory(pub(crate) Arc<Mutex<State>>);

fn now<'a, T: Send + 'a>(value: T) -> Answer<'a, T> {
    Box::pin(std::future::ready(value))
}

impl Home for Memory {
    fn agent_events(&self, _: AgentId, life: u64, events: Vec<HostEvent>) -> Answer<'_, u64> {
        let upto = events.last().map_or(0, |event| event.seq);
        let events = events.into_iter().map(|event| (life, event.seq));
        self.0.lock().unwrap().events.extend(events);
        now(upto)
    }

    fn agent_enrol(&self, request: EnrolRequest) -> Answer<'_, Result<EnrolGrant, Refusal>> {
        let mut state = self.0.lock().unwrap();
        if request.token.expose() != TOKEN {
            return now(Err(Refusal::new(
                Code::TokenInvalid,
                "the enrolment token is not known",
            )));
        }
        let bound = *state.bound.get_or_insert(request.public_key);
        if bound != request.public_key {
            return now(Err(Refusal::new(
                Code::TokenInvalid,
                "the enrolment token is used",
            )));
        }
        let agent = *state.agent.get_or_insert_with(|| id!(AgentId));
        now(Ok(EnrolGrant { agent, generation: 1 }))
    }

    fn agent_remotes(&self) -> Answer<'_, Vec<SocketAddr>> {
        now(Vec::new())
    }

    fn agent_renew(
        &self,
        agent: AgentId,
        _key: KeyHash,
        generation: u64,
        _until: Timestamp,
    ) -> Answer<'_, Result<u64, Refusal>> {
        let mut state = self.0.lock().unwrap();
        state.generation.insert(agent, generation + 1);
        now(Ok(generation + 1))
    }

    fn agent_leave(
        &self,
        _agent: AgentId,
        _key: KeyHash,
        _generation: u64,
    ) -> Answer<'_, Result<(), Refusal>> {
        self.0.lock().unwrap().removed = true;
        now(Ok(()))
    }

    fn agent_admit(
        &self,
        _agent: AgentId,
        _key: KeyHash,
        _generation: u64,
    ) -> Answer<'_, Result<(), Refusal>> {
        if self.0.lock().unwrap().removed {
            return now(Err(Refusal::new(Code::AgentRemoved, "this host was removed")));
        }
        now(Ok(()))
    }

    fn agent_connected(&self, _agent: AgentId, _facts: SessionFacts) -> Answer<'_, Result<u64, Refusal>> {
        let mut state = self.0.lock().unwrap();
        if state.removed {
            return now(Err(Refusal::new(Code::AgentRemoved, "this host was removed")));
        }
        state.sessions += 1;
        now(Ok(state.sessions))
    }

    fn agent_disconnected(&self, _agent: AgentId, heard_at: Timestamp, _reason: String) -> Answer<'_, ()> {
        self.0.lock().unwrap().last_heard.push(heard_at);
        now(())
    }
    fn agent_inventory(&self, _agent: AgentId, _inventory: Inventory) -> Answer<'_, ()> {
        now(())
    }
    fn agent_containers(&self, _agent: AgentId, _list: ContainerList) -> Answer<'_, ()> {
        now(())
    }
    fn agent_held(&self, _agent: AgentId, _held: Vec<Held>) -> Answer<'_, ()> {
        now(())
    }
    fn work(&self, _agent: AgentId) -> Answer<'_, Work> {
        now(Work {
            assignments: std::mem::take(&mut self.0.lock().unwrap().assignments),
            withdrawals: Vec::new(),
        })
    }
    fn deployment_reports(&self, _agent: AgentId, reports: Vec<Report>) -> Answer<'_, Result<(), HomeError>> {
        self.0.lock().unwrap().reports.extend(reports);
        now(Ok(()))
    }
    fn deployment_progress(
        &self,
        _agent: AgentId,
        _deployment: DeploymentId,
        _progress: Progress,
    ) -> Answer<'_, ()> {
        now(())
    }
}
