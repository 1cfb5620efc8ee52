//! Certificates of hosts over their life.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use windflow_model::{Code, Presence};
use windflow_protocol::{EnrollReply, EnrollRequest, VersionRange};
use windflow_tests::{Fleet, Target, wait};
use windflow_transport::{HostKey, Network, enroll::ask, identity};

/// Life of certificates here; renewed after half of it.
const LIFE_S: &str = "12";
const SOON: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread")]
async fn thirty_hosts_behind_one_address_join_and_only_refused_joins_are_held_against_it() {
    const HOSTS: usize = 30;
    let fleet = Fleet::start().await;
    let pin = identity::parse_pin(fleet.pin()).unwrap();
    let join = async |host: String, token: String| {
        let key = HostKey::generate().unwrap();
        let request = EnrollRequest::Join {
            versions: VersionRange::SUPPORTED,
            token,
            csr: key.csr().unwrap(),
            hostname: host,
            name: None,
            labels: BTreeMap::new(),
            wall_ms: windflow_kit::Clock::system().now_ms(),
        };
        match ask(&Network::default(), fleet.quic(), vec![pin], &request)
            .await
            .unwrap()
        {
            EnrollReply::Granted { agent, .. } => Ok(agent),
            EnrollReply::Refused { denial, .. } => Err(denial),
            other => panic!("{other:?}"),
        }
    };
    let mut tokens = Vec::new();
    for _ in 0..HOSTS {
        tokens.push(fleet.token().await);
    }
    let begun = tokio::time::Instant::now();
    // Copies of one image: all of one host name, at one moment.
    let joins = tokens.into_iter().map(|token| join("site".to_owned(), token));
    let joined = futures_util::future::join_all(joins).await;
    let agents: Result<BTreeSet<_>, _> = joined.into_iter().collect();
    assert_eq!(agents.unwrap().len(), HOSTS);
    println!(
        "{HOSTS} hosts joined from one address in {} ms",
        begun.elapsed().as_millis()
    );
    // Wrong tokens: ten are told so, then the address waits, with a good token too.
    for guess in 0..10 {
        let denial = join("stranger".to_owned(), format!("wfj_guess_{guess}"))
            .await
            .unwrap_err();
        assert_eq!(denial.code, Code::TokenInvalid.as_str(), "{denial:?}");
    }
    let denial = join("late".to_owned(), fleet.token().await).await.unwrap_err();
    assert_eq!(denial.code, Code::RateLimited.as_str(), "{denial:?}");
    assert!(denial.retry_after_ms > 0, "{denial:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_renewed_without_a_reconnect_and_the_newest_one_is_used_afterwards() {
    let fleet = Fleet::start_with(&[("WINDFLOW_AGENT_CERTIFICATE_LIFE_S", LIFE_S)]).await;
    let mut host = fleet.host("renews", Target::Fake).await;
    let file = host.state_dir().join("agent.crt");
    let generation = || {
        let certificate = identity::load_certificate(&file).ok()?;
        Some(identity::agent_facts(&certificate).ok()?.generation)
    };
    assert_eq!(generation(), Some(1));
    let Presence::Connected { since, .. } = fleet.presence(host.id()).await else {
        panic!("not connected");
    };
    wait::until("the certificate is renewed twice", SOON, async || {
        (generation()? >= 3).then_some(())
    })
    .await;
    match fleet.presence(host.id()).await {
        Presence::Connected { since: still, .. } => assert_eq!(still, since, "it is the same session"),
        Presence::Offline { reason, .. } => panic!("the session ended: {reason}"),
    }
    // A new process shows the newest certificate and is let in.
    host.agent.kill().await;
    host.start();
    wait::until("a new session", SOON, async || {
        match fleet.presence(host.id()).await {
            Presence::Connected { since: newer, .. } => (newer > since).then_some(()),
            Presence::Offline { .. } => None,
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_whose_certificate_ran_out_comes_back_with_its_key_at_whichever_address_answers() {
    let mut fleet = Fleet::start_with(&[("WINDFLOW_AGENT_CERTIFICATE_LIFE_S", "10")]).await;
    let stranger = Fleet::start().await;
    let mut host = fleet.host("sleeps", Target::Fake).await;
    let certificate = identity::load_certificate(&host.state_dir().join("agent.crt")).unwrap();
    let facts = identity::agent_facts(&certificate).unwrap();
    host.agent.kill().await;
    fleet.controller.kill().await;
    // Before the right address: one that is no address, and one where somebody else answers.
    let file = host.state_dir().join("controller.toml");
    let membership = fs_err::read_to_string(&file).unwrap();
    let right = format!("\"{}\"", fleet.quic());
    let more = format!("\"no such name:1\", \"{}\", {right}", stranger.quic());
    assert!(membership.contains(&right), "{membership}");
    fs_err::write(&file, membership.replace(&right, &more)).unwrap();
    wait::until("the certificate has run out", SOON, async || {
        (windflow_kit::Clock::system().now_ms() > facts.not_after.as_millis()).then_some(())
    })
    .await;
    fleet.restart_controller().await;
    host.start();
    fleet.connected(&host).await;
    let certificate = identity::load_certificate(&host.state_dir().join("agent.crt")).unwrap();
    let renewed = identity::agent_facts(&certificate).unwrap();
    assert_eq!((renewed.agent, renewed.key), (facts.agent, facts.key));
    assert!(renewed.generation > facts.generation);
}
