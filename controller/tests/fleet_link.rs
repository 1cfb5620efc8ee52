//! The fleet over real QUIC on loopback: a memory for an application, and scripted agents.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail like tests"
)]

use std::time::Duration;

use windflow_controller::fleet::{Assignment, Report};
use windflow_kit::{Clock, Random};
use windflow_model::{
    Code, DeploymentEvent, DeploymentId, Doc, HostEvent, HostEventKind, HostEventList, OpId, Presence, Rev,
    StackId, StackSpec, Timestamp, Want,
};
use windflow_protocol::{AgentFrame, ControllerFrame, EnrollReply, EnrollRequest, Version, VersionRange};
use windflow_transport::{HostKey, Network, endpoint, enroll::ask, identity};

macro_rules! id {
    ($kind:ty) => {
        <$kind>::from_uuid(Random::system().uuid_v7(&Clock::system()).unwrap())
    };
}

#[path = "fleet_link/home.rs"]
mod home;
#[path = "fleet_link/rig.rs"]
mod rig;
#[path = "fleet_link/storm.rs"]
mod storm;

use home::TOKEN;
use rig::{Steady, eventually, rig, rig_at, steady};

fn assignment() -> Assignment {
    let spec = StackSpec::default();
    Assignment {
        pin: None,
        deployment: id!(DeploymentId),
        stack: id!(StackId),
        name: "web".parse().unwrap(),
        rev: Rev(1),
        op: id!(OpId),
        want: Want::Present,
        digest: spec.digest(),
        spec,
    }
}

fn accepted(assignment: &Assignment) -> Report {
    Report {
        seq: 1,
        deployment: Some(assignment.deployment),
        stack: assignment.name.clone(),
        rev: assignment.rev,
        op: assignment.op,
        event: DeploymentEvent::Accepted,
        steps: None,
        at: Timestamp::from_millis(1),
    }
}

#[tokio::test]
async fn assigns_reports_and_acknowledges_and_a_rebind_keeps_the_session() {
    let Steady {
        rig, agent, mut peer, ..
    } = steady().await;

    let assignment = assignment();
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

    let report = accepted(&assignment);
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
    let wrong_pin = ask(&Network::default(), rig.address, vec![[7; 32]], &request)
        .await
        .unwrap_err();
    assert!(wrong_pin.is_pin_mismatch(), "{wrong_pin:?}");
    // A clock a year off is named before the token is used.
    match ask(
        &Network::default(),
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
async fn a_host_was_last_seen_when_it_last_spoke_and_not_when_it_was_missed() {
    const SILENT: Duration = Duration::from_secs(22);
    let clock = Clock::manual(Clock::system().now_ms());
    let rig = rig_at(clock.clone());
    let key = HostKey::generate().unwrap();
    let (agent, certificate) = rig.joined(&key).await;
    // Who ends the session, and whether its end is a word of the host's.
    for (by_the_host, generation) in [(false, 1), (true, 2)] {
        let mut peer = rig.dial(&key, &certificate, VersionRange::SUPPORTED).await;
        peer.resume().await;
        rig.connected(agent).await;
        // The answer shows that the frame was taken in at the time before the silence.
        clock.advance(Duration::from_secs(5));
        let spoke = clock.now_ms();
        peer.writer
            .send(&AgentFrame::Ping { nonce: generation })
            .await
            .unwrap();
        peer.until(|frame| *frame == ControllerFrame::Pong { nonce: generation })
            .await;
        clock.advance(SILENT);
        let expected = if by_the_host {
            peer.connection.close(0_u32.into(), b"the agent stops");
            clock.now_ms()
        } else {
            rig.handle.disconnect(agent, "no packet for 22 s").await;
            spoke
        };
        let expected = Timestamp::from_millis(expected);
        eventually(async || match rig.handle.presence(agent).await {
            Presence::Connected { .. } => false,
            Presence::Offline { since, .. } => {
                assert_eq!(since, Some(expected), "by the host: {by_the_host}");
                true
            }
        })
        .await;
        eventually(async || rig.home.0.lock().unwrap().last_heard.last() == Some(&expected)).await;
    }
}

#[tokio::test]
async fn a_removed_host_is_cut_off_and_never_comes_back() {
    let Steady {
        rig,
        key,
        certificate,
        agent,
        peer,
    } = steady().await;
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

#[tokio::test]
async fn a_removed_host_gets_nothing_done_on_the_connection_it_still_has() {
    let Steady { rig, mut peer, .. } = steady().await;
    // Nobody has told the fleet to cut it off yet.
    rig.home.0.lock().unwrap().removed = true;
    let report = Doc::seal(&accepted(&assignment())).unwrap();
    peer.writer
        .send(&AgentFrame::Report { seq: 1, report })
        .await
        .unwrap();
    tokio::time::timeout(Duration::from_secs(1), peer.connection.closed())
        .await
        .unwrap();
    assert!(rig.home.0.lock().unwrap().reports.is_empty());
}

#[tokio::test]
async fn every_renewal_of_a_session_goes_on_from_the_one_before() {
    let Steady {
        rig,
        key,
        agent,
        mut peer,
        ..
    } = steady().await;
    for generation in 2..=4 {
        let csr = key.csr().unwrap();
        peer.writer.send(&AgentFrame::Renew { csr }).await.unwrap();
        let frame = peer
            .until(|frame| matches!(frame, ControllerFrame::Renewed { .. }))
            .await;
        let ControllerFrame::Renewed { certificate } = frame else {
            panic!()
        };
        let facts = identity::agent_facts(&certificate).unwrap();
        assert_eq!((facts.agent, facts.generation), (agent, generation));
    }
    // Another key gets nothing.
    let csr = HostKey::generate().unwrap().csr().unwrap();
    peer.writer.send(&AgentFrame::Renew { csr }).await.unwrap();
    peer.until(|frame| matches!(frame, ControllerFrame::RenewRefused(_)))
        .await;
    assert_eq!(rig.home.0.lock().unwrap().sessions, 1);
}

#[tokio::test]
async fn events_are_acknowledged_once_they_are_kept_and_the_proof_of_the_engine_is_shown() {
    let Steady {
        rig, agent, mut peer, ..
    } = steady().await;
    let event = |seq| HostEvent {
        seq,
        at: Timestamp::from_millis(5),
        kind: HostEventKind::Agent {
            version: "1".to_owned(),
        },
    };
    for upto in [2, 3] {
        let events = HostEventList {
            events: (upto - 1..=upto).map(event).collect(),
        };
        let frame = AgentFrame::Events {
            life: 9,
            events: Doc::seal(&events).unwrap(),
        };
        peer.writer.send(&frame).await.unwrap();
        let ack = peer
            .until(|frame| matches!(frame, ControllerFrame::EventsAck { .. }))
            .await;
        assert_eq!(ack, ControllerFrame::EventsAck { life: 9, upto });
    }
    assert_eq!(
        rig.home.0.lock().unwrap().events,
        [(9, 1), (9, 2), (9, 2), (9, 3)]
    );
    let engine = async || match rig.handle.presence(agent).await {
        Presence::Connected { engine, .. } => engine,
        Presence::Offline { .. } => panic!(),
    };
    assert_eq!(engine().await, None);
    for problem in [None, Some("gone".to_owned())] {
        let frame = AgentFrame::EngineProof {
            age_ms: 4_000,
            took_us: 900,
            problem: problem.clone(),
        };
        peer.writer.send(&frame).await.unwrap();
        eventually(async || {
            engine()
                .await
                .is_some_and(|proof| proof.problem == problem && proof.took_us == 900)
        })
        .await;
    }
}
