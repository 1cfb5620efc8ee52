//! Remote write: what hosts measure, carried on to a store that speaks Prometheus remote write 1.0.
//!
//! ```text
//! samples came ─▶ "remote-write" task ─ per host, what is newer than its cursor: from memory, else from the history on disk
//!                     │                        └─ requests of some 10,000 values ─▶ egress ─▶ store
//!                     └─ taken, or refused for good: the cursor goes on, and is put on disk after each round
//! ```
//! Nothing waits for the store: what it does not take stays where it is, in the history, and is read from there later. So
//! what waits is bounded by `backlog`; what is older is dropped and counted. A request that was cut in the middle is sent
//! again: stores take the same value twice, or refuse it, and then the rest is sent without it.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use hyper::StatusCode;
use thiserror::Error;
use tokio::time::Instant;
use windflow_kit::{Backoff, BackoffOptions, Chain, Random, Secret, Stop, TaskSet};
use windflow_model::{AgentId, OrgId};

use super::{Telemetry, block::Block};
use crate::{
    app::App,
    egress::{Answer, Egress, EgressError, Request},
};

mod cursor;
mod figures;
mod options;
mod parcel;
#[cfg(test)]
mod tests;
mod wire;

pub use options::{Credentials, RemoteWriteOptions};

pub(super) use figures::Figures;

use self::{
    cursor::Cursors,
    parcel::{MOST, Parcel, Part, cut, values},
};

/// Shortest time between two rounds: samples of many hosts go together.
const GATHER: Duration = Duration::from_secs(5);
/// Names of hosts are read again after this time.
const NAMES: Duration = Duration::from_secs(60);
/// Time for a request.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time for which a store is left alone, also if it asks for more.
const LONGEST: Duration = Duration::from_secs(600);
const BACKOFF: BackoffOptions = BackoffOptions::between(Duration::from_secs(1), Duration::from_secs(60));
/// After so many requests in a row of which no part was taken, refused ones are not taken apart any more.
const FRUITLESS: u32 = 8;

/// Why a round ended early; it begins again from what was written.
#[derive(Debug, Error)]
enum RoundError {
    #[error("hosts and their names cannot be read")]
    Names(#[source] crate::app::AppError),
    #[error("the history cannot be read")]
    History(#[source] std::io::Error),
    #[error("the credentials for the store cannot be read")]
    Credentials(#[source] std::io::Error),
    #[error("the request cannot be made")]
    Encode(#[source] snap::Error),
    #[error(transparent)]
    Egress(#[from] EgressError),
    #[error("the store answers {status}: {told}")]
    Status {
        status: u16,
        told: String,
        after: Option<Duration>,
    },
    #[error("the controller stops")]
    Stopping,
}

/// What became of a request.
enum Sent {
    Taken,
    /// For good.
    Refused,
}

/// The task.
#[derive(Debug)]
struct RemoteWrite {
    options: RemoteWriteOptions,
    app: App,
    egress: Egress,
    dir: PathBuf,
    cursors: Cursors,
    names: BTreeMap<AgentId, String>,
    named: Option<Instant>,
    authorization: Option<Secret<String>>,
    fruitless: u32,
    /// What was told last: the same is not told again until something was taken.
    told: Option<String>,
    stop: Stop,
}

impl RemoteWriteOptions {
    /// Starts the task; it begins again if it panics. `dir` is the folder of the history.
    ///
    /// # Errors
    /// The URL is none.
    pub fn start(self, app: &App, tasks: &TaskSet, dir: PathBuf, random: Random) -> Result<(), EgressError> {
        app.egress().trusting(&self.url)?;
        let (app, stop) = (app.clone(), tasks.stop().clone());
        tasks.spawn_restarting("remote-write", BACKOFF, move || {
            let task = self.clone().build(app.clone(), dir.clone(), stop.clone());
            let random = random.clone();
            async move {
                if let Ok(task) = task {
                    task.run(random).await;
                }
            }
        });
        Ok(())
    }

    /// Makes the task. `dir` is the folder of the history; what is read there first is how far it was written.
    ///
    /// # Errors
    /// The URL is none.
    fn build(self, app: App, dir: PathBuf, stop: Stop) -> Result<RemoteWrite, EgressError> {
        let egress = app.egress().trusting(&self.url)?;
        let cursors = Cursors::open(&dir, app.now().as_millis());
        app.telemetry().0.remote.change().on = true;
        Ok(RemoteWrite {
            options: self,
            app,
            egress,
            dir,
            cursors,
            names: BTreeMap::new(),
            named: None,
            authorization: None,
            fruitless: 0,
            told: None,
            stop,
        })
    }
}

impl RemoteWrite {
    /// Writes until `stop`.
    async fn run(mut self, random: Random) {
        let mut backoff: Backoff = BACKOFF.build(random);
        let mut came = self.telemetry().changes();
        let mut settled = self.telemetry().0.settled.subscribe();
        let stop = self.stop.clone();
        if stop.run(settled.wait_for(|settled| *settled)).await.is_none() {
            return;
        }
        loop {
            came.mark_unchanged();
            let ended = self.round().await;
            self.save().await;
            let pause = match ended {
                Ok(()) => {
                    backoff.reset();
                    GATHER
                }
                Err(RoundError::Stopping) => return,
                Err(error) => {
                    self.tell(&Chain(&error).to_string());
                    let asked = match &error {
                        RoundError::Status { after, .. } => after.unwrap_or_default(),
                        _ => Duration::ZERO,
                    };
                    backoff.next_delay_after(asked.min(LONGEST))
                }
            };
            self.measure();
            if stop.run(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
            if backoff.attempts() == 0 && stop.run(came.changed()).await.is_none() {
                return;
            }
        }
    }

    fn telemetry(&self) -> &Telemetry {
        self.app.telemetry()
    }

    /// Writes what there is.
    async fn round(&mut self) -> Result<(), RoundError> {
        self.read_names().await?;
        self.read_credentials().await?;
        let mut parcel = Parcel::default();
        loop {
            let due = self.due();
            if due.is_empty() {
                return Ok(());
            }
            for (agent, newest) in due {
                for block in self.waiting(agent, newest).await? {
                    self.gather(&mut parcel, agent, block).await?;
                }
            }
            self.deliver(std::mem::take(&mut parcel)).await?;
        }
    }

    /// Hosts with samples that are not written, with the time of the newest.
    fn due(&self) -> Vec<(AgentId, i64)> {
        let newest = self.telemetry().newest_times().into_iter();
        newest
            .filter(|(agent, at)| self.names.contains_key(agent) && *at > self.cursors.of(*agent))
            .collect()
    }

    /// What of a host is not written and not too old.
    async fn waiting(&mut self, agent: AgentId, newest: i64) -> Result<Vec<Block>, RoundError> {
        let (telemetry, after) = (self.telemetry().clone(), self.cursors.of(agent));
        let read = windflow_kit::blocking::run(move || telemetry.since(agent, after)).await;
        let found = read.map_err(|error| RoundError::History(std::io::Error::other(error)))?;
        let found = found.map_err(RoundError::History)?;
        if found.is_empty() {
            // Too wide for the history, damaged, or removed meanwhile: there is nothing to come.
            self.cursors.advance(agent, newest);
        }
        let backlog = i64::try_from(self.options.backlog.as_millis()).unwrap_or(i64::MAX);
        let floor = self.app.now().as_millis().saturating_sub(backlog);
        let mut fresh = Vec::new();
        for block in found {
            let old = block.times.partition_point(|time| *time < floor);
            let (gone, rest) = cut(block, old);
            if let Some(last) = gone.last() {
                self.telemetry().0.remote.change().too_old += values(&gone) as u64;
                self.cursors.advance(agent, last);
            }
            if !rest.times.is_empty() {
                fresh.push(rest);
            }
        }
        Ok(fresh)
    }

    /// Puts points into the parcel, and sends it whenever it is full.
    async fn gather(
        &mut self,
        parcel: &mut Parcel,
        agent: AgentId,
        mut block: Block,
    ) -> Result<(), RoundError> {
        while !block.times.is_empty() {
            let room = MOST.saturating_sub(parcel.values()) / (block.columns.len() + 1);
            let (first, rest) = cut(block, room.max(1));
            parcel.parts.push(Part { agent, block: first });
            block = rest;
            if parcel.values() + block.columns.len() >= MOST {
                self.deliver(std::mem::take(parcel)).await?;
            }
        }
        Ok(())
    }

    /// Sends a parcel. What is refused is taken apart as long as that helps, the oldest first: where one value is the
    /// matter, stores refuse whole requests.
    async fn deliver(&mut self, parcel: Parcel) -> Result<(), RoundError> {
        let (mut apart, mut taken) = (false, false);
        let mut left = vec![parcel];
        while let Some(parcel) = left.pop() {
            if parcel.parts.is_empty() {
                continue;
            }
            match self.send(&parcel).await? {
                Sent::Taken => taken = true,
                Sent::Refused => {
                    if self.fruitless < FRUITLESS
                        && let Some((first, rest)) = parcel.clone().split()
                    {
                        apart = true;
                        left.extend([rest, first]);
                        continue;
                    }
                    self.telemetry().0.remote.change().refused += parcel.values() as u64;
                }
            }
            for part in &parcel.parts {
                self.cursors
                    .advance(part.agent, part.block.last().unwrap_or(i64::MIN));
            }
        }
        self.fruitless = match (taken, apart) {
            (true, _) => 0,
            (false, true) => self.fruitless + 1,
            (false, false) => self.fruitless,
        };
        Ok(())
    }

    async fn send(&mut self, parcel: &Parcel) -> Result<Sent, RoundError> {
        let body = wire::encode(parcel, &self.names, &self.options.labels).map_err(RoundError::Encode)?;
        let bytes = body.len() as u64;
        let mut request = Request::new(hyper::Method::POST, &self.options.url)?
            .header("content-type", "application/x-protobuf")?
            .header("content-encoding", "snappy")?
            .header("x-prometheus-remote-write-version", "0.1.0")?
            .timeout(TIMEOUT)
            .body(body);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization.expose())?;
        }
        let answer = self.stop.run(self.egress.send(request)).await;
        match self.judge(answer.ok_or(RoundError::Stopping)?) {
            Ok(Sent::Taken) => {
                let now_ms = self.app.now().as_millis();
                let mut count = self.app.telemetry().0.remote.change();
                count.sent += parcel.values() as u64;
                count.bytes += bytes;
                count.requests += 1;
                count.last_ms = now_ms;
                drop(count);
                if self.told.take().is_some() {
                    tracing::info!("remote write: the store takes samples");
                }
                Ok(Sent::Taken)
            }
            Ok(refused) => Ok(refused),
            Err(error) => {
                self.telemetry().0.remote.change().failed += 1;
                Err(error)
            }
        }
    }

    /// What an answer means: 2xx is taken. What is wrong with the values themselves is for good; everything else may be put right,
    /// at the store or in the settings, and until then the values wait: a wrong token is to cost nothing.
    fn judge(&mut self, answer: Result<Answer, EgressError>) -> Result<Sent, RoundError> {
        let answer = answer?;
        let status = answer.status;
        if status.is_success() {
            return Ok(Sent::Taken);
        }
        let refused = RoundError::Status {
            status: status.as_u16(),
            told: answer.told(200),
            after: answer.retry_after(),
        };
        let of_values = matches!(
            status,
            StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY
        );
        if !of_values {
            return Err(refused);
        }
        self.tell(&refused.to_string());
        Ok(Sent::Refused)
    }

    /// Once until something was taken; each kind of trouble.
    fn tell(&mut self, what: &str) {
        if self.told.as_deref() != Some(what) {
            tracing::warn!(problem = %what, "remote write: samples are not taken");
            self.told = Some(what.to_owned());
        }
    }

    async fn read_names(&mut self) -> Result<(), RoundError> {
        let known = self
            .telemetry()
            .newest_times()
            .iter()
            .all(|(agent, _)| self.names.contains_key(agent));
        if known && self.named.is_some_and(|at| at.elapsed() < NAMES) {
            return Ok(());
        }
        self.names = self
            .app
            .host_names(OrgId::DEFAULT)
            .await
            .map_err(RoundError::Names)?;
        self.named = Some(Instant::now());
        let names = &self.names;
        self.cursors.retain(|agent| names.contains_key(agent));
        Ok(())
    }

    async fn read_credentials(&mut self) -> Result<(), RoundError> {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let (user, path) = match &self.options.credentials {
            Credentials::None => return Ok(()),
            Credentials::Bearer(path) => (None, path),
            Credentials::Basic(user, path) => (Some(user), path),
        };
        let text = fs_err::tokio::read_to_string(path)
            .await
            .map_err(RoundError::Credentials)?;
        let secret = text.trim();
        self.authorization = Some(Secret::new(match user {
            None => format!("Bearer {secret}"),
            Some(user) => format!("Basic {}", STANDARD.encode(format!("{user}:{secret}"))),
        }));
        Ok(())
    }

    async fn save(&mut self) {
        let (mut cursors, dir) = (self.cursors.clone(), self.dir.clone());
        let saved = windflow_kit::blocking::run(move || cursors.save(&dir).map(|()| cursors)).await;
        match saved {
            Ok(Ok(cursors)) => self.cursors = cursors,
            Ok(Err(error)) => self.tell(&format!("how far was written is not kept: {}", Chain(&error))),
            Err(error) => self.tell(&format!("how far was written is not kept: {error}")),
        }
    }

    /// Notes what waits.
    fn measure(&self) {
        let behind = self.due().into_iter();
        let behind: Vec<i64> = behind.map(|(agent, at)| at - self.cursors.of(agent)).collect();
        let mut count = self.app.telemetry().0.remote.change();
        count.hosts_waiting = behind.len() as u64;
        count.waiting_ms = behind.into_iter().max().unwrap_or(0);
    }
}
