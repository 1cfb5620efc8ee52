//! A fleet over real QUIC, and scripted agents.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use windflow_controller::{
    ca::{Ca, ServerCertificate},
    fleet::{AdmissionOptions, FleetHandle, FleetOptions},
};
use windflow_kit::{Clock, Random, Stop, TaskHandle, task::spawn_scoped};
use windflow_model::{AgentId, Doc, Presence};
use windflow_protocol::{
    AgentFrame, AgentHello, ControllerFrame, EnrollReply, EnrollRequest, HeldList, VersionRange,
};
use windflow_transport::{
    FrameReader, FrameWriter, HostKey, Network, endpoint,
    enroll::{AskError, ask},
    identity, quinn, tls,
};

use crate::home::{Memory, TOKEN};

const WITHIN: Duration = Duration::from_secs(10);

/// A fleet on a port of its own.
pub(crate) struct Rig {
    pub(crate) home: Memory,
    pub(crate) ca: Arc<Ca>,
    pub(crate) handle: FleetHandle,
    pub(crate) address: SocketAddr,
    stop: Stop,
    fleet: TaskHandle<()>,
    _dir: tempfile::TempDir,
}

pub(crate) fn rig() -> Rig {
    rig_at(Clock::system())
}

/// With a wall clock of its own.
pub(crate) fn rig_at(clock: Clock) -> Rig {
    rig_with(clock, AdmissionOptions::default())
}

/// With bounds of its own.
pub(crate) fn rig_with(clock: Clock, admission: AdmissionOptions) -> Rig {
    let dir = tempfile::tempdir().unwrap();
    let ca = Arc::new(Ca::open_or_create(dir.path(), "test", Clock::system(), Random::system()).unwrap());
    let home = Memory::default();
    let certificate = ServerCertificate::make(Arc::clone(&ca), Vec::new()).unwrap();
    let options = FleetOptions {
        listen: "127.0.0.1:0".parse().unwrap(),
        network: Network::default(),
        controller_epoch: 1,
        certificate: certificate.live(),
        build: "test".to_owned(),
        clock,
        admission,
    };
    let (fleet, handle) = options.build(Arc::clone(&ca), Arc::new(home.clone())).unwrap();
    let (address, stop) = (fleet.local_addr(), Stop::new());
    Rig {
        home,
        ca,
        handle,
        address,
        fleet: spawn_scoped("fleet", fleet.run(stop.clone())),
        stop,
        _dir: dir,
    }
}

/// A fleet with one host that has joined and is connected.
pub(crate) struct Steady {
    pub(crate) rig: Rig,
    pub(crate) key: HostKey,
    pub(crate) certificate: Vec<u8>,
    pub(crate) agent: AgentId,
    pub(crate) peer: Peer,
}

pub(crate) async fn steady() -> Steady {
    let rig = rig();
    let key = HostKey::generate().unwrap();
    let (agent, certificate) = rig.joined(&key).await;
    let mut peer = rig.dial(&key, &certificate, VersionRange::SUPPORTED).await;
    peer.resume().await;
    rig.connected(agent).await;
    Steady {
        rig,
        key,
        certificate,
        agent,
        peer,
    }
}

impl Rig {
    /// Stops it; the hosts are told when this returns.
    pub(crate) async fn stop(self) {
        self.stop.trigger();
        tokio::time::timeout(WITHIN, self.fleet).await.unwrap().unwrap();
    }

    pub(crate) async fn join(&self, key: &HostKey, token: &str) -> Result<EnrollReply, AskError> {
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
            &Network::default(),
            self.address,
            vec![identity::parse_pin(&self.ca.pin()).unwrap()],
            &request,
        )
        .await
    }

    pub(crate) async fn joined(&self, key: &HostKey) -> (AgentId, Vec<u8>) {
        match self.join(key, TOKEN).await.unwrap() {
            EnrollReply::Granted {
                agent, certificate, ..
            } => (agent, certificate),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn dial(&self, key: &HostKey, certificate: &[u8], versions: VersionRange) -> Peer {
        let tls = tls::agent(certificate.to_vec().into(), key.private_der(), self.ca.root()).unwrap();
        let (endpoint, _recalls) = endpoint::agent(&Network::default(), self.address).unwrap();
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

    pub(crate) async fn connected(&self, agent: AgentId) {
        eventually(async || matches!(self.handle.presence(agent).await, Presence::Connected { .. })).await;
    }
}

/// A scripted agent.
pub(crate) struct Peer {
    pub(crate) endpoint: quinn::Endpoint,
    pub(crate) connection: quinn::Connection,
    pub(crate) writer: FrameWriter,
    reader: FrameReader,
}

impl Peer {
    pub(crate) async fn next(&mut self) -> ControllerFrame {
        tokio::time::timeout(WITHIN, self.reader.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap()
    }

    pub(crate) async fn until(&mut self, wanted: impl Fn(&ControllerFrame) -> bool) -> ControllerFrame {
        loop {
            let frame = self.next().await;
            if wanted(&frame) {
                return frame;
            }
        }
    }

    pub(crate) async fn resume(&mut self) {
        assert!(matches!(self.next().await, ControllerFrame::Hello(_)));
        let held = Doc::seal(&HeldList::default()).unwrap();
        let resume = AgentFrame::Resume {
            held,
            acked_report: 0,
        };
        self.writer.send(&resume).await.unwrap();
    }
}

pub(crate) async fn eventually(check: impl AsyncFn() -> bool) {
    let wait = async {
        while !check().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(WITHIN, wait).await.unwrap();
}
