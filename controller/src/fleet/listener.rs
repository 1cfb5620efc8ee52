//! From an incoming packet to a peer that is known: lane, hello, admission.

use std::time::Duration;

use windflow_model::AgentId;
use windflow_protocol::{
    AgentHello, VersionRange,
    control::Denial,
    session::{ControllerAction, ControllerSession, HELLO_WITHIN},
};
use windflow_transport::{
    AgentFacts, FrameReader, FrameWriter, Lane,
    endpoint::{self, CLOSE_PROTOCOL, CLOSE_REFUSED},
    identity,
    quinn::{Connection, Incoming},
    streams::CONTROL,
};

use super::{
    admission::Place,
    enroll,
    home::{KeyHash, SessionFacts},
    registry::Shared,
};

/// After a refusal that names no time: long enough to keep the log readable, short enough for a person who just put it right.
const REFUSED_RETRY_MS: u32 = 60_000;
/// How long a refusal may take to arrive before the connection closes under it.
const LINGER: Duration = Duration::from_secs(2);

/// An agent that was let in.
pub(super) struct Greeted {
    pub(super) agent: AgentId,
    pub(super) session_epoch: u64,
    pub(super) facts: AgentFacts,
    pub(super) hello: AgentHello,
    pub(super) connection: Connection,
    pub(super) reader: FrameReader,
    pub(super) writer: FrameWriter,
    pub(super) machine: ControllerSession,
}

/// One incoming connection, until it is somebody. Always ends within `patience` and [`HELLO_WITHIN`]; its place is
/// given back then. `crowded`: hosts that want to join are told to come later.
pub(super) async fn greet(
    shared: Shared,
    incoming: Incoming,
    place: Place,
    patience: Duration,
    crowded: bool,
) -> Option<Greeted> {
    let _until_the_end = place;
    let remote = incoming.remote_address();
    let connecting = match incoming.accept() {
        Ok(connecting) => connecting,
        Err(error) => {
            tracing::debug!(%remote, %error, "connection attempt is no good");
            shared.figures.failed.add();
            return None;
        }
    };
    let connection = match tokio::time::timeout(patience, connecting).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            // An expired or foreign certificate ends here; the peer sees the same reason as a TLS alert.
            tracing::info!(%remote, %error, "handshake refused");
            shared.figures.failed.add();
            return None;
        }
        Err(_) => {
            shared.figures.late.add();
            return None;
        }
    };
    match endpoint::lane(&connection) {
        Lane::Nothing(reason) => {
            tracing::info!(%remote, reason, "connection refused");
            connection.close(CLOSE_PROTOCOL, reason.as_bytes());
            None
        }
        Lane::Enroll => {
            let joined = enroll::serve(&shared, &connection, crowded);
            if tokio::time::timeout(HELLO_WITHIN, joined).await.is_err() {
                connection.close(CLOSE_PROTOCOL, b"no complete request in time");
            }
            None
        }
        Lane::Control(certificate) => {
            let facts = match identity::agent_facts(&certificate) {
                Ok(facts) => facts,
                Err(error) => {
                    tracing::info!(%remote, %error, "connection refused");
                    connection.close(CLOSE_REFUSED, b"the certificate carries no agent id");
                    return None;
                }
            };
            endpoint::widen(&connection);
            let greeting = hello(&shared, connection.clone(), facts);
            tokio::time::timeout(HELLO_WITHIN, greeting)
                .await
                .unwrap_or_else(|_| {
                    connection.close(CLOSE_PROTOCOL, b"no complete greeting in time");
                    None
                })
        }
    }
}

async fn hello(shared: &Shared, connection: Connection, facts: AgentFacts) -> Option<Greeted> {
    let (send, receive) = connection.accept_bi().await.ok()?;
    let (mut reader, mut writer) = (FrameReader::new(receive), FrameWriter::new(send));
    writer.prefer(CONTROL);
    let mut machine = ControllerSession::new(VersionRange::SUPPORTED, Duration::ZERO);
    let frame = reader.next().await.ok().flatten()?;
    let mut actions = machine.on_frame(frame, Duration::ZERO).into_iter();
    let hello = match actions.next() {
        Some(ControllerAction::Greeted(hello)) => hello,
        first => {
            let rest = first.into_iter().chain(actions).collect();
            send_away(facts.agent, &connection, &mut writer, rest).await;
            return None;
        }
    };
    let session = SessionFacts {
        remote: connection.remote_address(),
        build: hello.build.clone(),
        protocol: hello.versions.max.min(VersionRange::SUPPORTED.max).0,
        key: KeyHash(facts.key),
        generation: facts.generation,
        certificate_until: facts.not_after,
        clock_skew_ms: hello.wall_ms.saturating_sub(shared.clock.now_ms()),
        at: shared.now(),
    };
    match shared.home.agent_connected(facts.agent, session).await {
        Ok(session_epoch) => {
            shared.figures.greeted.add();
            Some(Greeted {
                agent: facts.agent,
                session_epoch,
                facts,
                hello,
                connection,
                reader,
                writer,
                machine,
            })
        }
        Err(refusal) => {
            shared.figures.denied.add();
            let retry_ms = match u32::try_from(refusal.retry_after.as_millis()) {
                Ok(0) => REFUSED_RETRY_MS,
                Ok(asked) => asked,
                Err(_) => u32::MAX,
            };
            let denial = Denial::new(refusal.code, refusal.message, retry_ms);
            let actions = machine.refuse(denial);
            send_away(facts.agent, &connection, &mut writer, actions).await;
            None
        }
    }
}

async fn send_away(
    agent: AgentId,
    connection: &Connection,
    writer: &mut FrameWriter,
    actions: Vec<ControllerAction>,
) {
    for action in actions {
        match action {
            ControllerAction::Send(frame) => {
                // If it cannot be told, the close below still says it.
                let _told = writer.send(&frame).await;
                writer.finish();
            }
            ControllerAction::Close(reason) => {
                tracing::info!(%agent, reason, "host refused");
                let _arrived = tokio::time::timeout(LINGER, writer.delivered()).await;
                connection.close(CLOSE_REFUSED, reason.as_bytes());
            }
            _ => {}
        }
    }
}
