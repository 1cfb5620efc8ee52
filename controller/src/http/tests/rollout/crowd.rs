//! Hosts that keep a journal and an outbox, as real ones do.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use serde_json::{Value, json};
use windflow_model::{AgentId, DeploymentEvent as E, DeploymentState};

use super::super::world::{World, report};
use crate::{
    app::{App, AppResult},
    fleet::{Assignment, Held},
};

/// How a host ends a deployment; `None` means that it never does.
pub(super) type Answer = Box<dyn Fn(AgentId, &Assignment) -> Option<E> + Send>;

/// One host.
#[derive(Debug, Default)]
pub(super) struct Host {
    journal: Vec<Assignment>,
    outbox: VecDeque<(Assignment, E)>,
}

impl Host {
    /// What it was sent, in order.
    pub(super) fn sent(&self) -> &[Assignment] {
        &self.journal
    }

    pub(super) async fn serve(&mut self, app: &App, agent: AgentId, answer: &Answer) -> AppResult<()> {
        self.tell(app, agent).await?;
        for sent in app.work(agent).await?.assignments {
            self.outbox.push_back((sent.clone(), E::Accepted));
            self.outbox
                .extend(answer(agent, &sent).map(|event| (sent.clone(), event)));
            self.journal.push(sent);
        }
        self.tell(app, agent).await
    }

    /// After the controller, or the connection, came back.
    pub(super) async fn resume(&self, app: &App, agent: AgentId) -> AppResult<()> {
        let last = self.journal.last().map(|sent| Held {
            stack: sent.name.clone(),
            owner: Some(sent.stack),
            deployment: Some(sent.deployment),
            rev: sent.rev,
            op: sent.op,
            want: sent.want,
            digest: sent.digest,
            state: DeploymentState::Accepted,
        });
        app.agent_held(agent, last.into_iter().collect()).await
    }

    async fn tell(&mut self, app: &App, agent: AgentId) -> AppResult<()> {
        while let Some((sent, event)) = self.outbox.front() {
            let report = report(sent, event.clone());
            app.deployment_reports(agent, vec![report]).await?;
            self.outbox.pop_front();
        }
        Ok(())
    }
}

/// A controller with hosts that have revision 1 of a stack.
pub(super) struct Crowd {
    pub(super) world: World,
    pub(super) stack: String,
    pub(super) agents: Vec<AgentId>,
    pub(super) answer: Answer,
    hosts: BTreeMap<AgentId, Host>,
}

impl Crowd {
    pub(super) async fn new(count: u8) -> Self {
        let world = World::new().await;
        let stack = world.stack("web").await;
        let mut crowd = Self {
            world,
            stack,
            agents: Vec::new(),
            answer: Box::new(|_, _| Some(E::Succeeded)),
            hosts: BTreeMap::new(),
        };
        for _ in 0..count {
            crowd.join().await;
        }
        let agents = crowd.agents.clone();
        crowd.world.deploy(&crowd.stack, &agents).await;
        crowd.round().await;
        crowd
    }

    /// One more host, which has nothing yet.
    pub(super) async fn join(&mut self) -> AgentId {
        let number = u8::try_from(self.agents.len()).unwrap();
        let agent = self.world.enrol(number).await;
        let patch = json!({"name": format!("h{number:02}"), "labels": {"fleet": "yes"}});
        self.world
            .ok("PATCH", &format!("/api/v1/agents/{agent}"), Some(patch))
            .await;
        self.agents.push(agent);
        self.hosts.insert(agent, Host::default());
        self.back(agent);
        agent
    }

    pub(super) fn back(&self, agent: AgentId) {
        self.world.hosts.connected.lock().unwrap().push(agent);
    }

    pub(super) fn away(&self, agent: AgentId) {
        self.world
            .hosts
            .connected
            .lock()
            .unwrap()
            .retain(|one| *one != agent);
    }

    pub(super) fn sent(&self, agent: AgentId) -> &[Assignment] {
        self.hosts[&agent].sent()
    }

    pub(super) async fn spec(&self, yaml: &str) {
        let path = format!("/api/v1/stacks/{}", self.stack);
        let version = self.world.ok("GET", &path, None).await["version"].clone();
        let spec = json!({"spec": {"files": [{"path": "compose.yaml", "content": yaml}]}});
        let mut request = self.world.request("PUT", &path, Some(spec));
        request
            .headers_mut()
            .insert("if-match", version.to_string().parse().unwrap());
        assert!(self.world.send(request).await.0.is_success());
    }

    pub(super) async fn try_start(&self, plan: Value) -> (u16, Value) {
        let body = json!({"stack": self.stack, "targets": {"selector": "fleet=yes"}, "plan": plan});
        let (status, answer) = self.world.call("POST", "/api/v1/rollouts", Some(body)).await;
        (status.as_u16(), answer)
    }

    /// Five seconds: the driver has its turn, then every host that is there.
    pub(super) async fn round(&mut self) {
        self.world.clock.advance(Duration::from_secs(5));
        self.world.app.rollouts_advance().await.unwrap();
        let there = self.world.hosts.connected.lock().unwrap().clone();
        for (agent, host) in &mut self.hosts {
            if there.contains(agent) {
                host.serve(&self.world.app, *agent, &self.answer).await.unwrap();
            }
        }
        self.world.app.rollouts_advance().await.unwrap();
    }
}
