//! Who gets into which lane, over real QUIC on loopback; and that nothing can be resumed.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::{
    net::{SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
use rustls_pki_types::CertificateDer;
use windflow_model::AgentId;
use windflow_protocol::{AgentFrame, EnrollRequest, VersionRange};
use windflow_transport::{
    FrameWriter, HostKey, Lane, Network, Recaller,
    endpoint::{self, StableKeys},
    enroll::ask,
    identity, quinn,
    tls::{self, LiveCertificate},
};

const NAME: &str = "controller.test.windflow";
const WITHIN: Duration = Duration::from_secs(10);

/// A root of its own.
struct Root {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Root {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let certificate = params.self_signed(&key).unwrap().der().clone();
        let issuer = Issuer::from_ca_cert_der(&certificate, key).unwrap();
        Self { certificate, issuer }
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        key: &HostKey,
        usage: ExtendedKeyUsagePurpose,
    ) -> CertificateDer<'static> {
        params.extended_key_usages = vec![usage];
        params.signed_by(key.pair(), &self.issuer).unwrap().der().clone()
    }

    fn server(&self, names: &[&str]) -> (Arc<LiveCertificate>, HostKey) {
        let key = HostKey::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names).unwrap();
        let leaf = self.sign(params, &key, ExtendedKeyUsagePurpose::ServerAuth);
        let chain = vec![leaf, self.certificate.clone()];
        (
            Arc::new(LiveCertificate::new(chain, &key.private_der()).unwrap()),
            key,
        )
    }

    /// A host's certificate that began and ends so many days from now.
    fn agent(&self, key: &HostKey, days: (i64, i64)) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        let agent: AgentId = "agt_01h455vb4pex5vsknk084sn02q".parse().unwrap();
        let uri = identity::agent_uri(agent, 1);
        params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
        let now = windflow_kit::Clock::system().now_ms() / 1_000;
        let at = |day: i64| {
            let seconds = u64::try_from(now + day * 86_400).unwrap();
            rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds)
        };
        (params.not_before, params.not_after) = (at(days.0), at(days.1));
        self.sign(params, key, ExtendedKeyUsagePurpose::ClientAuth)
    }
}

fn listen(certificate: Arc<LiveCertificate>, root: &Root) -> (quinn::Endpoint, SocketAddr) {
    let (endpoint, _recaller) = recalling(certificate, root);
    let address = endpoint.local_addr().unwrap();
    (endpoint, address)
}

fn recalling(certificate: Arc<LiveCertificate>, root: &Root) -> (quinn::Endpoint, Recaller) {
    controller(certificate, root, "127.0.0.1:0".parse().unwrap())
}

fn controller(
    certificate: Arc<LiveCertificate>,
    root: &Root,
    address: SocketAddr,
) -> (quinn::Endpoint, Recaller) {
    let config = tls::server(certificate, &root.certificate).unwrap();
    assert_eq!(config.send_tls13_tickets, 0);
    assert_eq!(config.max_early_data_size, 0);
    assert!(!config.session_storage.can_cache());
    let keys = StableKeys {
        reset: [1; 64],
        connection_id: 1,
    };
    endpoint::controller(
        &Network::default(),
        address,
        tls::quic_server(config).unwrap(),
        &keys,
    )
    .unwrap()
}

/// The lane of the next connection, or why it came to none.
async fn lane(endpoint: &quinn::Endpoint) -> String {
    let incoming = tokio::time::timeout(WITHIN, endpoint.accept())
        .await
        .unwrap()
        .unwrap();
    match incoming.await {
        Ok(connection) => match endpoint::lane(&connection) {
            Lane::Control(certificate) => format!("control, {}", identity::agent_facts(&certificate).is_ok()),
            Lane::Enroll => "enrolment".to_owned(),
            Lane::Nothing(reason) => reason.to_owned(),
        },
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn only_hosts_of_this_root_get_into_the_control_lane() {
    let (root, foreign) = (Root::new(), Root::new());
    let (certificate, _key) = root.server(&[NAME]);
    let (server, address) = listen(certificate, &root);
    let key = HostKey::generate().unwrap();
    let check = async |what: &str, certificate: CertificateDer<'static>, name: &str, expected: &str| {
        let tls = tls::agent(certificate, key.private_der(), &root.certificate).unwrap();
        let (client, _recalls) = endpoint::agent(&Network::default(), address).unwrap();
        let (dialled, found) = tokio::join!(endpoint::dial(&client, address, name, tls), lane(&server));
        assert!(found.contains(expected), "{what}: {found} ({dialled:?})");
    };
    check("a host", root.agent(&key, (-1, 1)), NAME, "control, true").await;
    check(
        "a host of another controller",
        foreign.agent(&key, (-1, 1)),
        NAME,
        "certificate",
    )
    .await;
    check(
        "a certificate that ran out",
        root.agent(&key, (-2, -1)),
        NAME,
        "certificate",
    )
    .await;
    check(
        "a certificate of tomorrow",
        root.agent(&key, (1, 2)),
        NAME,
        "certificate",
    )
    .await;
    check(
        "another controller's name",
        root.agent(&key, (-1, 1)),
        "controller.other.windflow",
        "certificate",
    )
    .await;
}

#[tokio::test]
async fn a_host_that_joins_trusts_the_pinned_key_and_no_other_host() {
    let root = Root::new();
    let request = EnrollRequest::Join {
        versions: VersionRange::SUPPORTED,
        token: "wfj_x_y".to_owned(),
        csr: Vec::new(),
        hostname: String::new(),
        name: None,
        labels: Default::default(),
        wall_ms: 0,
    };
    let pin = identity::key_hash(&root.certificate).unwrap();
    let (certificate, _key) = root.server(&[NAME]);
    let (server, address) = listen(certificate, &root);
    let network = Network::default();
    let (_silence, found) = tokio::join!(
        tokio::time::timeout(
            Duration::from_millis(500),
            ask(&network, address, vec![pin], &request)
        ),
        lane(&server)
    );
    assert_eq!(found, "enrolment");
    let (refused, _lane) = tokio::join!(ask(&network, address, vec![[7; 32]], &request), lane(&server));
    assert!(refused.unwrap_err().is_pin_mismatch());

    // A host of the same root that plays the controller.
    let key = HostKey::generate().unwrap();
    let chain = vec![root.agent(&key, (-1, 1)), root.certificate.clone()];
    let posing = Arc::new(LiveCertificate::new(chain, &key.private_der()).unwrap());
    let (server, address) = listen(posing, &root);
    let (refused, _lane) = tokio::join!(ask(&network, address, vec![pin], &request), lane(&server));
    assert!(refused.unwrap_err().is_pin_mismatch());
}

#[tokio::test]
async fn a_second_connection_has_nothing_to_resume() {
    let root = Root::new();
    let (certificate, _key) = root.server(&[NAME]);
    let (server, address) = listen(certificate, &root);
    let key = HostKey::generate().unwrap();
    let tls = tls::agent(root.agent(&key, (-1, 1)), key.private_der(), &root.certificate).unwrap();
    let config = quinn::ClientConfig::new(Arc::new(tls));
    let (client, _recalls) = endpoint::agent(&Network::default(), address).unwrap();
    for round in 0..2 {
        let dialling = client.connect_with(config.clone(), address, NAME).unwrap();
        let Err(dialling) = dialling.into_0rtt() else {
            panic!("round {round}: early data");
        };
        let (connected, found) = tokio::join!(dialling, lane(&server));
        assert_eq!(found, "control, true");
        // Tickets would come right after the handshake, before this answer.
        connected.unwrap().close(0_u32.into(), b"");
    }
}

#[tokio::test]
async fn a_new_certificate_serves_the_next_handshake() {
    let root = Root::new();
    let (certificate, _key) = root.server(&[NAME]);
    let (server, address) = listen(Arc::clone(&certificate), &root);
    let key = HostKey::generate().unwrap();
    let (client, _recalls) = endpoint::agent(&Network::default(), address).unwrap();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let tls = tls::agent(root.agent(&key, (-1, 1)), key.private_der(), &root.certificate).unwrap();
        let (connection, _lane) = tokio::join!(endpoint::dial(&client, address, NAME, tls), lane(&server));
        let shown = connection.unwrap().peer_identity().unwrap();
        seen.push(shown.downcast::<Vec<CertificateDer<'static>>>().unwrap()[0].clone());
        let (other, other_key) = root.server(&[NAME]);
        certificate
            .replace(other.chain(), &other_key.private_der())
            .unwrap();
        // A key that does not fit changes nothing.
        assert!(
            certificate
                .replace(other.chain(), &HostKey::generate().unwrap().private_der())
                .is_err()
        );
    }
    assert_ne!(seen[0], seen[1]);
}

#[tokio::test]
async fn a_recall_is_heard_once_and_leaves_the_connection_alone() {
    let root = Root::new();
    let (certificate, _key) = root.server(&[NAME]);
    let (server, recaller) = recalling(certificate, &root);
    let address = server.local_addr().unwrap();
    let key = HostKey::generate().unwrap();
    let tls = tls::agent(root.agent(&key, (-1, 1)), key.private_der(), &root.certificate).unwrap();
    let (client, mut recalls) = endpoint::agent(&Network::default(), address).unwrap();
    let (connection, accepted) = tokio::join!(endpoint::dial(&client, address, NAME, tls), async {
        server.accept().await.unwrap().await.unwrap()
    });
    let connection = connection.unwrap();
    let mut there = client.local_addr().unwrap();
    there.set_ip(address.ip());
    for _ in 0..20 {
        recaller.recall(there).unwrap();
    }
    tokio::time::timeout(WITHIN, recalls.heard()).await.unwrap();
    // What follows the recalls has arrived: so have they.
    accepted.open_uni().await.unwrap().write_all(b"on").await.unwrap();
    let mut stream = connection.accept_uni().await.unwrap();
    assert_eq!(
        stream.read_chunk(8, true).await.unwrap().unwrap().bytes.as_ref(),
        b"on"
    );
    let again = tokio::time::timeout(Duration::from_millis(200), recalls.heard()).await;
    assert!(again.is_err(), "one is enough");
}

/// A controller in a runtime of its own, so that it can end without a word, as after a kill.
struct Mortal {
    runtime: tokio::runtime::Runtime,
    address: SocketAddr,
    /// What it accepted, in order; held until it has ended: dropped before, it would be closed with a word.
    accepted: tokio::sync::mpsc::Receiver<quinn::Connection>,
}

impl Mortal {
    fn start(certificate: &Arc<LiveCertificate>, root: &Root) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        let (server, address) = {
            let _in_there = runtime.enter();
            listen(Arc::clone(certificate), root)
        };
        let (sender, accepted) = tokio::sync::mpsc::channel(256);
        runtime.spawn(async move {
            while let Some(incoming) = server.accept().await {
                let _nobody_waits = sender.send(incoming.await.unwrap()).await;
            }
        });
        Self {
            runtime,
            address,
            accepted,
        }
    }

    /// Ends it, and starts another one in its place that knows nothing of its connections.
    async fn replace(self, certificate: Arc<LiveCertificate>, root: &Root) -> (quinn::Endpoint, Recaller) {
        // Nothing of it runs any more when its connections are dropped.
        let end = tokio::task::spawn_blocking(|| self.runtime.shutdown_timeout(WITHIN));
        end.await.unwrap();
        drop(self.accepted);
        let address = self.address;
        let freed = async {
            while UdpSocket::bind(address).is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(WITHIN, freed).await.unwrap();
        controller(certificate, root, address)
    }
}

/// The keep-alive would find out, too, but only after 15 s: a stream that is full has nothing to send.
#[tokio::test]
async fn a_probe_finds_out_that_the_controller_was_restarted_even_if_the_stream_is_full() {
    let root = Root::new();
    let (certificate, _key) = root.server(&[NAME]);
    let mortal = Mortal::start(&certificate, &root);
    let address = mortal.address;
    let key = HostKey::generate().unwrap();
    let tls = tls::agent(root.agent(&key, (-1, 1)), key.private_der(), &root.certificate).unwrap();
    let (client, mut recalls) = endpoint::agent(&Network::default(), address).unwrap();
    let connection = endpoint::dial(&client, address, NAME, tls).await.unwrap();
    let (send, _receive) = connection.open_bi().await.unwrap();
    let mut writer = FrameWriter::new(send);
    for nonce in 0..100_000 {
        writer.feed(&AgentFrame::Ping { nonce }).unwrap();
    }
    let full = tokio::time::timeout(Duration::from_millis(300), writer.flush()).await;
    assert!(full.is_err() && writer.waiting() > 0, "nobody reads");

    let (_restarted, recaller) = mortal.replace(certificate, &root).await;
    let unaware = tokio::time::timeout(Duration::from_millis(300), connection.closed()).await;
    assert!(unaware.is_err(), "{unaware:?}");
    let mut there = client.local_addr().unwrap();
    there.set_ip(address.ip());
    recaller.recall(there).unwrap();
    tokio::time::timeout(WITHIN, recalls.heard()).await.unwrap();
    endpoint::probe(&connection);
    let closed = tokio::time::timeout(WITHIN, connection.closed()).await.unwrap();
    assert!(matches!(closed, quinn::ConnectionError::Reset), "{closed}");
}

/// One reset for all that arrive together would leave most of them to ask again, later and later.
#[tokio::test]
async fn all_who_ask_at_once_learn_at_once_that_the_controller_was_restarted() {
    const HOSTS: usize = 100;
    let root = Root::new();
    let (certificate, _key) = root.server(&[NAME]);
    let mortal = Mortal::start(&certificate, &root);
    let key = HostKey::generate().unwrap();
    let (client, _recalls) = endpoint::agent(&Network::default(), mortal.address).unwrap();
    let mut connections = Vec::new();
    for _ in 0..HOSTS {
        let tls = tls::agent(root.agent(&key, (-1, 1)), key.private_der(), &root.certificate).unwrap();
        connections.push(endpoint::dial(&client, mortal.address, NAME, tls).await.unwrap());
    }
    let (_restarted, _recaller) = mortal.replace(certificate, &root).await;
    for connection in &connections {
        endpoint::probe(connection);
    }
    let all = async {
        for connection in &connections {
            let closed = connection.closed().await;
            assert!(matches!(closed, quinn::ConnectionError::Reset), "{closed}");
        }
    };
    tokio::time::timeout(WITHIN / 2, all).await.unwrap();
}
