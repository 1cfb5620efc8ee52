//! Proof that the container engine answers: a round trip through its API every [`EVERY`].
//!
//! ```text
//! task "engine-proof" ──watch<EngineProof>──► link
//! ```

use std::time::Duration;

use tokio::{sync::watch, time::Instant};
use windflow_engine::EngineHandle;
use windflow_kit::{Clock, Stop};
use windflow_model::{EngineProof, Timestamp};

/// Between two round trips; each is one short question over a connection that is open.
const EVERY: Duration = Duration::from_secs(10);
/// An engine that has not answered by then hangs.
const WITHIN: Duration = Duration::from_secs(8);

/// Asks until `stop`.
pub async fn run(engine: EngineHandle, clock: Clock, proofs: watch::Sender<Option<EngineProof>>, stop: Stop) {
    loop {
        let begun = Instant::now();
        let Some(answer) = stop.run(tokio::time::timeout(WITHIN, engine.prove())).await else {
            return;
        };
        let problem = match answer {
            Ok(Ok(())) => None,
            Ok(Err(failure)) => Some(failure.message),
            Err(_) => Some(format!(
                "the engine has not answered within {} s",
                WITHIN.as_secs()
            )),
        };
        proofs.send_replace(Some(EngineProof {
            at: Timestamp::from_millis(clock.now_ms()),
            took_us: u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX),
            problem,
        }));
        if stop.run(tokio::time::sleep(EVERY)).await.is_none() {
            return;
        }
    }
}
