//! Events and the proof of the engine on their way to the controller.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};
use windflow_kit::Clock;
use windflow_model::{EngineProof, HostEventList};
use windflow_protocol::{AgentFrame, session::AgentAction};

use super::session::seal;
use crate::events::EventsHandle;

/// Events in one frame.
const TOGETHER: usize = 128;
/// A proof that says what the last one said is not sent sooner.
const PROOF_AFTER: Duration = Duration::from_secs(5);

/// What the host tells of itself: where a link gets it from.
#[derive(Debug, Clone)]
pub struct Told {
    /// What happens.
    pub events: EventsHandle,
    /// Whether its engine answers.
    pub proof: watch::Receiver<Option<EngineProof>>,
}

/// The events of one session: one frame of them is under way at a time.
pub(super) struct Teller {
    told: Option<Told>,
    open: Option<Open>,
    clock: Clock,
}

struct Open {
    newest: watch::Receiver<u64>,
    proof: watch::Receiver<Option<EngineProof>>,
    /// The last number of the frame that is under way.
    sent: Option<u64>,
    proven: Option<(Instant, Arc<EngineProof>)>,
}

impl Teller {
    pub(super) fn new(told: Option<&Told>, clock: Clock) -> Self {
        Self {
            told: told.cloned(),
            open: None,
            clock,
        }
    }

    /// The controller takes events.
    pub(super) fn begin(&mut self) {
        self.open = self.told.as_ref().map(|told| {
            let (mut newest, mut proof) = (told.events.newest(), told.proof.clone());
            // What waits already is sent at once.
            newest.mark_changed();
            proof.mark_changed();
            Open {
                newest,
                proof,
                sent: None,
                proven: None,
            }
        });
    }

    /// Waits for something to tell; for ever where nothing is taken.
    pub(super) async fn changed(&mut self) {
        let Some(open) = &mut self.open else {
            return std::future::pending().await;
        };
        let said = open.proven.as_ref().map(|(_, proof)| proof.problem.clone());
        let another = |proof: &Option<EngineProof>| {
            // One that says the same goes with the samples.
            proof
                .as_ref()
                .is_some_and(|proof| said.as_ref() != Some(&proof.problem))
        };
        let ended = tokio::select! {
            changed = open.newest.changed(), if open.sent.is_none() => changed.is_err(),
            changed = open.proof.wait_for(another) => changed.is_err(),
        };
        if ended {
            // Their tasks have ended, and so does the agent.
            std::future::pending().await
        }
    }

    /// What shall be sent now.
    pub(super) fn due(&mut self) -> Vec<AgentAction> {
        self.proof().into_iter().chain(self.events()).collect()
    }

    /// The newest proof, unless the last one is young and said the same.
    pub(super) fn proof(&mut self) -> Option<AgentAction> {
        let open = self.open.as_mut()?;
        let proof = open.proof.borrow_and_update().clone()?;
        if let Some((at, before)) = &open.proven
            && before.problem == proof.problem
            && (at.elapsed() < PROOF_AFTER || **before == proof)
        {
            return None;
        }
        let age = self.clock.now_ms().saturating_sub(proof.at.as_millis());
        let frame = AgentFrame::EngineProof {
            age_ms: u32::try_from(age.max(0)).unwrap_or(u32::MAX),
            took_us: proof.took_us,
            problem: proof.problem.clone(),
        };
        open.proven = Some((Instant::now(), Arc::new(proof)));
        Some(AgentAction::Send(frame))
    }

    fn events(&mut self) -> Option<AgentAction> {
        let (told, open) = (self.told.as_ref()?, self.open.as_mut()?);
        if open.sent.is_some() {
            return None;
        }
        let events = told.events.after(0, TOGETHER);
        let last = events.last()?.seq;
        let list = seal(&HostEventList { events })?;
        open.sent = Some(last);
        Some(AgentAction::Send(AgentFrame::Events {
            life: told.events.life(),
            events: list,
        }))
    }

    /// The controller has events up to that number, 0 if it could not keep any now; those that wait are next.
    pub(super) fn acked(&mut self, life: u64, upto: u64) -> Option<AgentAction> {
        let (told, open) = (self.told.as_ref()?, self.open.as_mut()?);
        if life != told.events.life() || open.sent.take().is_none() {
            return None;
        }
        told.events.acked(upto);
        self.events()
    }
}

#[cfg(test)]
mod tests {
    use windflow_model::{HostEventKind, Timestamp};

    use super::*;
    use crate::events::Events;

    fn sent(action: Option<AgentAction>) -> Vec<u64> {
        let Some(AgentAction::Send(AgentFrame::Events { life: 4, events })) = action else {
            assert!(action.is_none(), "{action:?}");
            return Vec::new();
        };
        let list = events.open().unwrap();
        list.events.iter().map(|event| event.seq).collect()
    }

    fn proof(at_ms: i64, problem: Option<&str>) -> Option<EngineProof> {
        Some(EngineProof {
            at: Timestamp::from_millis(at_ms),
            took_us: 700,
            problem: problem.map(str::to_owned),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn one_frame_is_under_way_and_what_was_not_kept_is_told_again() {
        let clock = Clock::manual(9_000);
        let (_, events) = Events::new(std::path::Path::new("/nowhere"), 4, clock.clone());
        let (proofs, receiver) = watch::channel(None);
        let told = Told {
            events: events.clone(),
            proof: receiver,
        };
        let push = |count| {
            for _ in 0..count {
                let version = "1".to_owned();
                events.push(HostEventKind::Agent { version }, 0, None);
            }
        };
        let mut teller = Teller::new(Some(&told), clock);
        push(1);
        assert!(
            teller.due().is_empty(),
            "a controller that takes none is told none"
        );
        teller.begin();
        teller.changed().await;
        assert_eq!(sent(teller.due().pop()), [1]);
        push(200);
        assert!(teller.due().is_empty(), "one at a time");
        assert!(sent(teller.acked(9, 1)).is_empty(), "of another run");
        assert_eq!(
            sent(teller.acked(4, 0)).len(),
            TOGETHER,
            "it was not kept: from the begin"
        );
        let next = sent(teller.acked(4, 128));
        assert_eq!((next[0], next.len()), (129, 73));
        assert!(sent(teller.acked(4, 201)).is_empty());
        assert!(sent(teller.acked(4, 201)).is_empty(), "nothing is under way");

        // A proof that says the same goes along now and then; another one at once.
        let frame = |teller: &mut Teller| match teller.proof() {
            Some(AgentAction::Send(AgentFrame::EngineProof { age_ms, problem, .. })) => {
                Some((age_ms, problem.unwrap_or_default()))
            }
            _ => None,
        };
        proofs.send_replace(proof(8_000, None));
        teller.changed().await;
        assert_eq!(frame(&mut teller), Some((1_000, String::new())));
        proofs.send_replace(proof(9_000, None));
        assert_eq!(frame(&mut teller), None, "it is young");
        tokio::time::advance(PROOF_AFTER).await;
        assert_eq!(frame(&mut teller), Some((0, String::new())));
        tokio::time::advance(PROOF_AFTER).await;
        assert_eq!(frame(&mut teller), None, "there is no newer one");
        proofs.send_replace(proof(9_000, Some("gone")));
        teller.changed().await;
        assert_eq!(frame(&mut teller), Some((0, "gone".to_owned())));
    }
}
