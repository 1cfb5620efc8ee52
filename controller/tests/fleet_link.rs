//! The fleet over real QUIC on loopback: a memory for an application, and scripted agents.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail like tests"
)]

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use windflow_controller::{
    ca::Ca,
    fleet::{
        Answer, Assignment, EnrolGrant, EnrolRequest, FleetHandle, FleetOptions, Held, Home, HomeError,
        KeyHash, Refusal, Report, SessionFacts, Withdrawal,
    },
};
use windflow_kit::{Clock, Random, Stop, TaskHandle, task::spawn_scoped};
use windflow_model::{
    AgentId, AgentRecord, Code, DeploymentEvent, DeploymentId, Doc, Inventory, OpId, Presence, Progress, Rev,
    StackId, StackSpec, Timestamp, Want, container::ContainerList,
};
use windflow_protocol::{
    AgentFrame, AgentHello, ControllerFrame, EnrollReply, EnrollRequest, HeldList, Version, VersionRange,
};
use windflow_transport::{
    FrameReader, FrameWriter, HostKey, endpoint,
    enroll::{AskError, ask},
    identity, quinn, tls,
};

const TOKEN: &str = "wfj_test_secret";
const WITHIN: Duration = Duration::from_secs(10);

#[derive(Default)]
struct State {
    bound: Option<KeyHash>,
    agent: Option<AgentId>,
    removed: bool,
    sessions: u64,
    reports: Vec<Report>,
    assignments: Vec<Assignment>,
    generation: HashMap<AgentId, u64>,
}

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<State>>);

macro_rules! id {
    ($kind:ty) => {
        <$kind>::from_uuid(Random::system().uuid_v7(&Clock::system()).unwrap())
    };
}

fn now<'a, T: Send + 'a>(value: T) -> Answer<'a, T> {
    Box::pin(std::future::ready(value))
}

impl Home for Memory {
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

    fn agent_renew(
        &self,
        agent: AgentId,
        _key: KeyHash,
        generation: u64,
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
        agent: AgentId,
        _key: KeyHash,
        _generation: u64,
    ) -> Answer<'_, Result<AgentRecord, Refusal>> {
        if self.0.lock().unwrap().removed {
            return now(Err(Refusal::new(Code::AgentRemoved, "this host was removed")));
        }
        now(Ok(AgentRecord {
            id: agent,
            name: "host".to_owned(),
            labels: BTreeMap::new(),
            inventory: Inventory::default(),
            enrolled_at: Timestamp::from_millis(0),
            last_seen_at: None,
        }))
    }

    fn agent_connected(&self, _agent: AgentId, _facts: SessionFacts) -> Answer<'_, Result<u64, Refusal>> {
        let mut state = self.0.lock().unwrap();
        state.sessions += 1;
        now(Ok(state.sessions))
    }

    fn agent_disconnected(&self, _agent: AgentId, _reason: String) -> Answer<'_, ()> {
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
    fn assignments(&self, _agent: AgentId) -> Answer<'_, Vec<Assignment>> {
        now(std::mem::take(&mut self.0.lock().unwrap().assignments))
    }
    fn withdrawals(&self, _agent: AgentId) -> Answer<'_, Vec<Withdrawal>> {
        now(Vec::new())
    }
    fn deployment_report(&self, _agent: AgentId, report: Report) -> Answer<'_, Result<(), HomeError>> {
        self.0.lock().unwrap().reports.push(report);
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

struct Rig {
    home: Memory,
    ca: Arc<Ca>,
    handle: FleetHandle,
    address: SocketAddr,
    _stop: Stop,
    _fleet: TaskHandle<()>,
    _dir: tempfile::TempDir,
}

fn rig() -> Rig {
    let dir = tempfile::tempdir().unwrap();
    let ca = Arc::new(Ca::open_or_create(dir.path(), "test", Clock::system(), Random::system()).unwrap());
    let home = Memory::default();
    let options = FleetOptions {
        listen: "127.0.0.1:0".parse().unwrap(),
        controller_epoch: 1,
        names: Vec::new(),
        build: "test".to_owned(),
        clock: Clock::system(),
    };
    let (fleet, handle) = options.build(Arc::clone(&ca), Arc::new(home.clone())).unwrap();
    let (address, stop) = (fleet.local_addr(), Stop::new());
    Rig {
        home,
        ca,
        handle,
        address,
        _fleet: spawn_scoped("fleet", fleet.run(stop.clone())),
        _stop: stop,
        _dir: dir,
    }
}

impl Rig {
    async fn join(&self, key: &HostKey, token: &str) -> Result<EnrollReply, AskError> {
        let request = EnrollRequest::Join {
            versions: VersionRange::SUPPORTED,
            token: token.to_owned(),
            csr: key.csr().unwrap(),
            hostname: "host".to_owned(),
            name: None,
            labels: BTreeMap::new(),
            wall_ms: Clock::system().now_ms(),
        };
        ask(
            self.address,
            vec![identity::parse_pin(&self.ca.pin()).unwrap()],
            &request,
        )
        .await
    }

    async fn joined(&self, key: &HostKey) -> (AgentId, Vec<u8>) {
        match self.join(key, TOKEN).await.unwrap() {
            EnrollReply::Granted {
                agent, certificate, ..
            } => (agent, certificate),
            other => panic!("{other:?}"),
        }
    }

    async fn dial(&self, key: &HostKey, certificate: &[u8], versions: VersionRange) -> Peer {
        let tls = tls::agent(certificate.to_vec().into(), key.private_der(), self.ca.root()).unwrap();
        let endpoint = endpoint::agent(self.address).unwrap();
        let connection = endpoint::dial(&endpoint, self.address, &self.ca.server_name(), tls)
            .await
            .unwrap();
        let (send, receive) = connection.open_bi().await.unwrap();
        let (mut writer, reader) = (FrameWriter::new(send), FrameReader::new(receive));
        let hello = AgentHello {
            versions,
            features: Vec::new(),
            build: "scripted".to_owned(),
            boot_id: [1; 16],
            wall_ms: Clock::system().now_ms(),
        };
        writer.send(&AgentFrame::Hello(hello)).await.unwrap();
        Peer {
            endpoint,
            connection,
            writer,
            reader,
        }
    }

    async fn connected(&self, agent: AgentId) {
        eventually(async || matches!(self.handle.presence(agent).await, Presence::Connected { .. })).await;
    }
}

struct Peer {
    endpoint: quinn::Endpoint,
    connection: quinn::Connection,
    writer: FrameWriter,
    reader: FrameReader,
}

impl Peer {
    async fn next(&mut self) -> ControllerFrame {
        tokio::time::timeout(WITHIN, self.reader.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap()
    }

    async fn until(&mut self, wanted: impl Fn(&ControllerFrame) -> bool) -> ControllerFrame {
        loop {
            let frame = self.next().await;
            if wanted(&frame) {
                return frame;
            }
        }
    }

    async fn resume(&mut self) {
        assert!(matches!(self.next().await, ControllerFrame::Hello(_)));
        let held = Doc::seal(&HeldList::default()).unwrap();
        let resume = AgentFrame::Resume {
            held,
            acked_report: 0,
        };
        self.writer.send(&resume).await.unwrap();
    }
}

async fn eventually(check: impl AsyncFn() -> bool) {
    let wait = async {
        while !check().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(WITHIN, wait).await.unwrap();
}

#[tokio::test]
async fn assigns_reports_and_acknowledges_and_a_rebind_keeps_the_session() {
    let rig = rig();
    let key = HostKey::generate().unwrap();
    let (agent, certificate) = rig.joined(&key).await;
    let mut peer = rig.dial(&key, &certificate, VersionRange::SUPPORTED).await;
    peer.resume().await;
    rig.connected(agent).await;

    let spec = StackSpec::default();
    let assignment = Assignment {
        deployment: id!(DeploymentId),
        stack: id!(StackId),
        name: "web".parse().unwrap(),
        rev: Rev(1),
        op: id!(OpId),
        want: Want::Present,
        digest: spec.digest(),
        spec,
    };
    rig.home.0.lock().unwrap().assignments.push(assignment.clone());
    endpoint::rebind(&peer.endpoint).unwrap();
    rig.handle.nudge(agent).await;
    let frame = peer
        .until(|frame| matches!(frame, ControllerFrame::Assign(_)))
        .await;
    let ControllerFrame::Assign(doc) = frame else {
        panic!()
    };
    assert_eq!(doc.open().unwrap(), assignment);

    let report = Report {
        seq: 1,
        deployment: Some(assignment.deployment),
        stack: assignment.name,
        rev: assignment.rev,
        op: assignment.op,
        event: DeploymentEvent::Accepted,
        steps: None,
        at: Timestamp::from_millis(1),
    };
    for _ in 0..2 {
        let report = Doc::seal(&report).unwrap();
        peer.writer
            .send(&AgentFrame::Report { seq: 1, report })
            .await
            .unwrap();
        let ack = peer
            .until(|frame| matches!(frame, ControllerFrame::ReportAck { .. }))
            .await;
        assert_eq!(ack, ControllerFrame::ReportAck { upto: 1 });
    }
    // The repeat was acknowledged and not handed over again.
    assert_eq!(rig.home.0.lock().unwrap().reports, [report]);
    assert_eq!(rig.home.0.lock().unwrap().sessions, 1);
}

#[tokio::test]
async fn one_token_makes_one_host_whoever_races() {
    let rig = rig();
    let keys: Vec<HostKey> = (0..20).map(|_| HostKey::generate().unwrap()).collect();
    let replies = futures_util::future::join_all(keys.iter().map(|key| rig.join(key, TOKEN))).await;
    let winners: Vec<usize> = (0..keys.len())
        .filter(|index| matches!(replies[*index], Ok(EnrollReply::Granted { .. })))
        .collect();
    assert_eq!(winners.len(), 1);
    // The same key may repeat it and is the same host.
    let (agent, _) = rig.joined(&keys[winners[0]]).await;
    assert_eq!(Some(agent), rig.home.0.lock().unwrap().agent);
}

#[tokio::test]
async fn strangers_are_refused_with_a_reason() {
    let rig = rig();
    let key = HostKey::generate().unwrap();
    match rig.join(&key, "wfj_test_wrong").await.unwrap() {
        EnrollReply::Refused { denial, .. } => assert_eq!(denial.code, Code::TokenInvalid.as_str()),
        other => panic!("{other:?}"),
    }
    let request = EnrollRequest::Reattest {
        csr: Vec::new(),
        certificate: Vec::new(),
        wall_ms: 0,
    };
    let wrong_pin = ask(rig.address, vec![[7; 32]], &request).await.unwrap_err();
    assert!(wrong_pin.is_pin_mismatch(), "{wrong_pin:?}");
    // A clock a year off is named before the token is used.
    match ask(
        rig.address,
        vec![identity::parse_pin(&rig.ca.pin()).unwrap()],
        &request,
    )
    .await
    .unwrap()
    {
        EnrollReply::Refused { denial, .. } => assert_eq!(denial.code, Code::ClockSkew.as_str()),
        other => panic!("{other:?}"),
    }
    let (_, certificate) = rig.joined(&key).await;
    let newer = VersionRange {
        min: Version(2),
        max: Version(2),
    };
    match rig.dial(&key, &certificate, newer).await.next().await {
        ControllerFrame::Refused(denial) => {
            assert_eq!(denial.code, Code::ProtocolVersion.as_str());
            assert!(
                denial.message.contains("update the controller"),
                "{}",
                denial.message
            );
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_removed_host_is_cut_off_and_never_comes_back() {
    let rig = rig();
    let key = HostKey::generate().unwrap();
    let (agent, certificate) = rig.joined(&key).await;
    let mut peer = rig.dial(&key, &certificate, VersionRange::SUPPORTED).await;
    peer.resume().await;
    rig.connected(agent).await;
    rig.home.0.lock().unwrap().removed = true;
    rig.handle.disconnect(agent, "removed").await;
    tokio::time::timeout(Duration::from_secs(1), peer.connection.closed())
        .await
        .unwrap();
    match rig
        .dial(&key, &certificate, VersionRange::SUPPORTED)
        .await
        .next()
        .await
    {
        ControllerFrame::Refused(denial) => assert_eq!(denial.code, Code::AgentRemoved.as_str()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_can_be_resumed() {
    let rig_dir = tempfile::tempdir().unwrap();
    let ca = Ca::open_or_create(rig_dir.path(), "test", Clock::system(), Random::system()).unwrap();
    let server = ca.server_identity(&[]).unwrap();
    let config = tls::server(server.chain, server.key, ca.root()).unwrap();
    assert_eq!(config.send_tls13_tickets, 0);
    assert_eq!(config.max_early_data_size, 0);
    assert!(!config.session_storage.can_cache());
}
