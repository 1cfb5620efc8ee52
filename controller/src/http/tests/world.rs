//! One controller without ports.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode},
};
use futures_util::future::BoxFuture;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use windflow_kit::{Clock, Random, Secret, Stop, TaskSet};
use windflow_model::{
    AgentId, Code, DeploymentEvent, DeploymentId, Failure, LogQuery, Plan, Presence, Timestamp,
};
use windflow_store::{MemStore, SharedStore};

use crate::{
    app::{
        App, AppOptions,
        hosts::{Hosts, LogEvents},
    },
    egress::{Allow, EgressOptions},
    fleet::{Assignment, EnrolRequest, KeyHash, Report, Withdrawal},
    http::{Facts, Web, router},
    jobs::Jobs,
};

#[derive(Debug, Default)]
pub(super) struct FakeHosts {
    pub(super) connected: Mutex<Vec<AgentId>>,
    /// When all of them were last proven to be there.
    pub(super) proven_at_ms: AtomicI64,
    pub(super) withdrawn: Mutex<Vec<DeploymentId>>,
    pub(super) disconnected: Mutex<Vec<AgentId>>,
}

impl Hosts for FakeHosts {
    fn presences(&self) -> BoxFuture<'_, BTreeMap<AgentId, Presence>> {
        let there = self.connected.lock().unwrap().clone();
        let proven_at = Timestamp::from_millis(self.proven_at_ms.load(Ordering::Relaxed));
        Box::pin(async move {
            let presence = Presence::Connected {
                since: Timestamp::from_millis(0),
                proven_at,
                rtt_us: 1,
                remote: "10.0.0.9:1".into(),
                engine: None,
            };
            there.into_iter().map(|agent| (agent, presence.clone())).collect()
        })
    }

    fn nudge(&self, _: AgentId) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn withdraw(&self, _: AgentId, withdrawal: Withdrawal) -> BoxFuture<'_, ()> {
        self.withdrawn.lock().unwrap().push(withdrawal.deployment);
        Box::pin(async {})
    }

    fn plan(&self, agent: AgentId, _: Assignment) -> BoxFuture<'_, Result<Plan, Failure>> {
        Box::pin(async move { Err(Failure::new(Code::AgentOffline, format!("{agent}"))) })
    }

    fn logs(&self, agent: AgentId, _: LogQuery) -> BoxFuture<'_, Result<LogEvents, Failure>> {
        Box::pin(async move { Err(Failure::new(Code::AgentOffline, format!("{agent}"))) })
    }

    fn disconnect(&self, agent: AgentId, _: String) -> BoxFuture<'_, ()> {
        self.disconnected.lock().unwrap().push(agent);
        Box::pin(async {})
    }
}

pub(super) struct World {
    pub(super) app: App,
    pub(super) hosts: Arc<FakeHosts>,
    pub(super) clock: Clock,
    pub(super) token: String,
    router: Router,
}

pub(super) const NOW_MS: i64 = 1_795_264_511_042;
pub(super) const YAML: &str = "services: {web: {image: nginx}}";

impl World {
    /// Nobody has signed in yet.
    pub(super) fn empty() -> Self {
        let clock = Clock::manual(NOW_MS);
        Self::over(Arc::new(MemStore::new(clock.clone())), clock)
    }

    pub(super) fn over(store: SharedStore, clock: Clock) -> Self {
        let app = AppOptions {
            store,
            clock: clock.clone(),
            random: Random::system(),
            tasks: TaskSet::new(Stop::new(), Random::seeded(1)),
            epoch: 1,
            // Receivers of notifications are on this machine.
            egress: EgressOptions {
                allow: Allow::read(&["127.0.0.1/32".to_owned()]).unwrap(),
                ca_file: None,
            }
            .build()
            .unwrap(),
            vault: crate::vault::Vault::passing(Random::system()).unwrap(),
        }
        .build();
        let hosts = Arc::new(FakeHosts::default());
        app.attach(Arc::clone(&hosts) as Arc<dyn Hosts>);
        let facts = Facts {
            url: "https://wf.example:8443".into(),
            ..Facts::default()
        };
        let router = router(Web::new(app.clone(), facts, Jobs::default()));
        Self {
            app,
            hosts,
            clock,
            token: String::new(),
            router,
        }
    }

    /// With an administrator, the way one is made.
    pub(super) async fn new() -> Self {
        let mut world = Self::empty();
        world.sign_up().await;
        world
    }

    pub(super) async fn sign_up(&mut self) {
        let (code, _) = self.app.setup().present().unwrap();
        let body = json!({"code": code, "username": "admin", "password": "correct horse", "token": true});
        let (status, answer) = self.call("POST", "/api/v1/setup", Some(body)).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        self.token = answer["token"].as_str().unwrap().to_owned();
    }

    pub(super) async fn send(&self, request: Request<Body>) -> (StatusCode, HeaderMap, Value) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let value = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        (parts.status, parts.headers, value)
    }

    pub(super) fn request(&self, method: &str, path: &str, body: Option<Value>) -> Request<Body> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "wf.example:8443");
        if !self.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        match body {
            Some(body) => request
                .header("content-type", "application/json")
                .body(Body::from(body.to_string()))
                .unwrap(),
            None => request.body(Body::empty()).unwrap(),
        }
    }

    pub(super) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let (status, _, answer) = self.send(self.request(method, path, body)).await;
        (status, answer)
    }

    pub(super) async fn ok(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.call(method, path, body).await;
        assert!(status.is_success(), "{method} {path}: {status} {answer}");
        answer
    }

    pub(super) async fn enrol(&self, key: u8) -> AgentId {
        let made = self.ok("POST", "/api/v1/enrolment-tokens", Some(json!({}))).await;
        let request = enrol_request(made["secret"].as_str().unwrap(), key);
        self.clock.advance(Duration::from_secs(60));
        self.app.agent_enrol(request).await.unwrap().agent
    }

    pub(super) async fn stack(&self, name: &str) -> String {
        let spec = json!({"files": [{"path": "compose.yaml", "content": YAML}]});
        let made = self
            .ok(
                "POST",
                "/api/v1/stacks",
                Some(json!({"name": name, "spec": spec})),
            )
            .await;
        made["id"].as_str().unwrap().to_owned()
    }

    /// Deploys and gives `(deployment, rev)` per host.
    pub(super) async fn deploy(&self, stack: &str, agents: &[AgentId]) -> Vec<(DeploymentId, u64)> {
        let path = format!("/api/v1/stacks/{stack}/deployments");
        let made = self.ok("POST", &path, Some(json!({"agents": agents}))).await;
        let items = made["items"].as_array().unwrap().iter();
        items
            .map(|one| {
                (
                    one["id"].as_str().unwrap().parse().unwrap(),
                    one["rev"].as_u64().unwrap(),
                )
            })
            .collect()
    }

    pub(super) async fn state(&self, id: DeploymentId) -> String {
        let view = self.ok("GET", &format!("/api/v1/deployments/{id}"), None).await;
        view["state"]["phase"].as_str().unwrap().to_owned()
    }

    pub(super) async fn report(&self, agent: AgentId, assignment: &Assignment, event: DeploymentEvent) {
        let report = report(assignment, event);
        self.app.deployment_reports(agent, vec![report]).await.unwrap();
    }
}

pub(super) fn report(assignment: &Assignment, event: DeploymentEvent) -> Report {
    Report {
        seq: 1,
        deployment: Some(assignment.deployment),
        stack: assignment.name.clone(),
        rev: assignment.rev,
        op: assignment.op,
        event,
        steps: None,
        at: Timestamp::from_millis(0),
    }
}

pub(super) fn enrol_request(token: &str, key: u8) -> EnrolRequest {
    EnrolRequest {
        token: Secret::new(token.to_owned()),
        public_key: KeyHash([key; 32]),
        hostname: "box".into(),
        name: None,
        labels: BTreeMap::new(),
        remote: "10.0.0.9:1".into(),
    }
}
