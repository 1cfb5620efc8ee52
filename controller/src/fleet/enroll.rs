//! The enrolment lane: one request, one reply. Everything here comes from peers that are nobody yet.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::Semaphore, time::Instant};
use windflow_kit::{Secret, error::Chain};
use windflow_model::{Code, Timestamp};
use windflow_protocol::{
    EnrollReply, EnrollRequest, VersionRange, control::Denial, enroll::MAX_CLOCK_SKEW_MS,
};
use windflow_transport::{
    FrameReader, FrameWriter,
    endpoint::{self, CLOSE_BUSY, CLOSE_DONE},
    identity::AgentFacts,
    quinn::Connection,
};

use crate::ca::CaError;

use super::{
    admission::{AdmissionOptions, JoinLane},
    home::{EnrolRequest, KeyHash, Refusal},
    registry::Shared,
};

/// Requests in progress: peers that have proved nothing hold no more than so many places.
const AT_ONCE: usize = 32;
/// Whoever finds all of them taken comes back after this, plus its own jitter.
const TAKEN: Duration = Duration::from_secs(5);
/// How long a reply may take to arrive before the connection closes under it.
const LINGER: Duration = Duration::from_secs(2);

/// The lane of joining: its pace, and its places.
#[derive(Debug)]
pub(super) struct Joins {
    origin: Instant,
    lane: Mutex<JoinLane>,
    places: Semaphore,
}

impl Joins {
    pub(super) fn new(options: AdmissionOptions) -> Self {
        Self {
            origin: Instant::now(),
            lane: Mutex::new(JoinLane::new(options)),
            places: Semaphore::new(AT_ONCE),
        }
    }

    fn take(&self, crowded: bool) -> Result<(), Duration> {
        let mut lane = self.lane.lock().unwrap_or_else(PoisonError::into_inner);
        lane.take(self.origin.elapsed(), crowded)
    }
}

/// `crowded`: hosts that have joined come back in numbers, and come first.
pub(super) async fn serve(shared: &Shared, connection: &Connection, crowded: bool) {
    let Ok(_place) = shared.joins.places.try_acquire() else {
        shared.figures.joins_later.add();
        let code = endpoint::close_for(CLOSE_BUSY, TAKEN);
        connection.close(code, b"too many hosts join at once");
        return;
    };
    let Ok((send, receive)) = connection.accept_bi().await else {
        return;
    };
    let mut writer = FrameWriter::new(send);
    let answer = match FrameReader::new(receive).next::<EnrollRequest>().await {
        Ok(Some(request)) => match shared.joins.take(crowded) {
            Ok(()) => grant(shared, connection, request).await,
            Err(turn) => {
                shared.figures.joins_later.add();
                let message = format!(
                    "many hosts join at once; this one's turn is in {} s",
                    turn.as_secs()
                );
                Err(Refusal::new(Code::RateLimited, message).later(turn))
            }
        },
        Ok(None) | Err(_) => return,
    };
    let wall_ms = shared.clock.now_ms();
    let reply = match answer {
        Ok(reply) => {
            shared.figures.joined.add();
            reply
        }
        Err(refusal) => {
            tracing::info!(remote = %connection.remote_address(), %refusal, "enrolment refused");
            if refusal.retry_after.is_zero() {
                shared.figures.joins_refused.add();
            }
            let retry_ms = u32::try_from(refusal.retry_after.as_millis()).unwrap_or(u32::MAX);
            EnrollReply::Refused {
                denial: Denial::new(refusal.code, refusal.message, retry_ms),
                wall_ms,
            }
        }
    };
    if writer.send(&reply).await.is_ok() {
        writer.finish();
        let _arrived = tokio::time::timeout(LINGER, writer.delivered()).await;
    }
    connection.close(CLOSE_DONE, b"");
}

async fn grant(
    shared: &Shared,
    connection: &Connection,
    request: EnrollRequest,
) -> Result<EnrollReply, Refusal> {
    let (csr, agent, generation) = match request {
        EnrollRequest::Join {
            versions,
            token,
            csr,
            hostname,
            name,
            labels,
            wall_ms,
        } => {
            if VersionRange::SUPPORTED.common(versions).is_none() {
                return Err(Refusal::new(
                    Code::ProtocolVersion,
                    format!(
                        "the agent speaks protocol {versions}, this controller {}",
                        VersionRange::SUPPORTED
                    ),
                ));
            }
            // Before the token is used up: a host with a wrong clock could not use its certificate.
            check_clock(shared, wall_ms)?;
            let key = shared.ca.request_key(&csr).map_err(bad_csr)?;
            let granted = shared
                .home
                .agent_enrol(EnrolRequest {
                    token: Secret::new(token),
                    public_key: KeyHash(key),
                    hostname,
                    name,
                    labels,
                    remote: connection.remote_address().to_string(),
                })
                .await?;
            (csr, granted.agent, granted.generation)
        }
        EnrollRequest::Reattest {
            csr,
            certificate,
            wall_ms,
        } => {
            check_clock(shared, wall_ms)?;
            let (facts, key) = known(shared, &csr, &certificate)?;
            let generation = shared
                .home
                .agent_renew(
                    facts.agent,
                    KeyHash(key),
                    facts.generation,
                    shared.now().plus(shared.ca.leaf_life()),
                )
                .await?;
            (csr, facts.agent, generation)
        }
        EnrollRequest::Leave { csr, certificate } => {
            let (facts, key) = known(shared, &csr, &certificate)?;
            let home = &shared.home;
            home.agent_leave(facts.agent, KeyHash(key), facts.generation)
                .await?;
            return Ok(EnrollReply::Left);
        }
    };
    let certificate = shared.ca.sign_agent(&csr, agent, generation).map_err(|error| {
        tracing::error!(error = %Chain(&error), "cannot sign");
        Refusal::new(
            Code::Internal,
            "the controller cannot sign certificates; see its log",
        )
    })?;
    Ok(EnrollReply::Granted {
        agent,
        certificate,
        ca: shared.ca.root().to_vec(),
        server_name: shared.ca.server_name(),
        wall_ms: shared.clock.now_ms(),
    })
}

/// The host that signed the request with the key of its certificate, which may have run out.
fn known(shared: &Shared, csr: &[u8], certificate: &[u8]) -> Result<(AgentFacts, [u8; 32]), Refusal> {
    let key = shared.ca.request_key(csr).map_err(bad_csr)?;
    let facts = shared
        .ca
        .expired_agent(certificate)
        .filter(|facts| facts.key == key);
    let facts = facts.ok_or_else(|| {
        Refusal::new(
            Code::AgentRemoved,
            "the old certificate is not one of this controller, belongs to another key, or ended more than 90 days ago",
        )
    })?;
    Ok((facts, key))
}

fn bad_csr(_: CaError) -> Refusal {
    Refusal::new(Code::BadRequest, "the certificate request is not valid")
}

fn check_clock(shared: &Shared, host_ms: i64) -> Result<(), Refusal> {
    let own_ms = shared.clock.now_ms();
    if host_ms.abs_diff(own_ms) <= MAX_CLOCK_SKEW_MS.unsigned_abs() {
        return Ok(());
    }
    Err(Refusal::new(
        Code::ClockSkew,
        format!(
            "the host's clock says {}, the controller's {}: set the one that is wrong",
            Timestamp::from_millis(host_ms),
            Timestamp::from_millis(own_ms)
        ),
    ))
}
