//! The part of `doctor` that is about a controller: who this host is, and whether the controller can be reached.

use std::{path::Path, time::Duration};

use windflow_kit::{Chain, Clock};
use windflow_model::Timestamp;
use windflow_transport::{enroll::probe, identity};

use super::Finding;
use crate::{
    enroll::{EnrollError, Identity, resolve},
    failure::CommandError,
    status::{self, LinkStatus},
};

/// Longest wait for the controller's answer.
const WITHIN: Duration = Duration::from_secs(10);

/// Identity and way to the controller.
pub(super) async fn findings(dir: &Path, clock: &Clock) -> Vec<Finding> {
    let now = Timestamp::from_millis(clock.now_ms());
    let loaded = Identity::load(dir);
    let result = match &loaded {
        Ok(None) => Ok("not enrolled: this host works alone".to_owned()),
        Ok(Some(identity)) => who(identity, now),
        Err(error) => Err(failed(error)),
    };
    let mut findings = vec![Finding {
        what: "identity",
        result,
    }];
    if let Ok(Some(identity)) = &loaded {
        findings.push(Finding {
            what: "controller",
            result: controller(dir, identity, now).await,
        });
    }
    findings
}

fn failed(error: &EnrollError) -> CommandError {
    CommandError::failed(Chain(error).to_string())
}

fn who(identity: &Identity, now: Timestamp) -> Result<String, CommandError> {
    let facts = &identity.facts;
    if now < facts.not_before {
        return Err(CommandError::failed(format!(
            "the certificate of {} is valid from {} on, the clock says {now}",
            facts.agent, facts.not_before
        ))
        .hint("Set the clock, for example with NTP."));
    }
    if now > facts.not_after {
        return Ok(format!(
            "{}; its certificate ran out at {} and is renewed at the next contact",
            facts.agent, facts.not_after
        ));
    }
    Ok(format!(
        "{}, certificate valid until {}",
        facts.agent, facts.not_after
    ))
}

/// What the running agent has proved; without one, a handshake that is nobody's session.
async fn controller(dir: &Path, identity: &Identity, now: Timestamp) -> Result<String, CommandError> {
    match status::ask(dir).await? {
        Some(status) => match status.link {
            LinkStatus::Connected {
                controller,
                proven_at,
                rtt_us,
                ..
            } => Ok(format!(
                "connected to {controller}, proved {} s ago in {}.{:03} ms",
                now.since(proven_at).as_secs(),
                rtt_us / 1_000,
                rtt_us % 1_000
            )),
            LinkStatus::Connecting {
                controller,
                last_error,
            } => Err(CommandError::failed(format!(
                "the agent is not connected to {controller}: {}",
                last_error.as_deref().unwrap_or("no attempt has ended yet")
            ))),
            LinkStatus::NotEnrolled => Err(CommandError::failed(
                "the running agent does not know its identity",
            )
            .hint("Restart it: it was started before it was enrolled.")),
        },
        None => reach(identity).await,
    }
}

async fn reach(identity: &Identity) -> Result<String, CommandError> {
    let pin =
        identity::key_hash(&identity.ca).map_err(|error| CommandError::failed(Chain(&error).to_string()))?;
    let mut last =
        CommandError::failed("no address of the controller is known").hint("Enrol this host again.");
    for address in &identity.membership.addresses {
        let remote = match resolve(address).await {
            Ok(remote) => remote,
            Err(error) => {
                last = failed(&error);
                continue;
            }
        };
        let probed = tokio::time::timeout(WITHIN, probe(remote, vec![pin])).await;
        last = match probed {
            Ok(Ok(rtt)) => {
                return Ok(format!(
                    "{address} answers in {}.{:03} ms",
                    rtt.as_micros() / 1_000,
                    rtt.as_micros() % 1_000
                ));
            }
            Ok(Err(error)) if error.is_pin_mismatch() => failed(&EnrollError::PinMismatch {
                address: address.clone(),
            }),
            Ok(Err(error)) => failed(&EnrollError::Unreachable {
                address: address.clone(),
                source: Box::new(error),
            }),
            Err(_) => CommandError::failed(format!(
                "no answer from the controller at {address} within {} s",
                WITHIN.as_secs()
            ))
            .hint("Check that it runs, and that UDP to it is not blocked."),
        };
    }
    Err(last)
}
