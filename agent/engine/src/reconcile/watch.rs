//! Looks at the host: keeps the list of containers fresh and tells the loop what needs a look.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::StreamExt as _;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use windflow_kit::{BackoffOptions, Stop};
use windflow_model::{ContainerState, ContainerSummary, container::ContainerList};

use super::context::Shared;
use crate::targets::{TargetEvent, TargetEventKind};

/// Events this close together make one new list.
const COALESCE: Duration = Duration::from_millis(150);
/// How long to wait for the word that a container was stopped on request, before it counts as killed.
const ON_REQUEST: Duration = Duration::from_secs(2);
/// A new list at least this often: ages and missed events.
const REFRESH: Duration = Duration::from_secs(30);

/// A stack needs a look.
#[derive(Debug)]
pub(super) struct Signal {
    pub(super) project: String,
    /// The containers that died and were not stopped on request.
    pub(super) killed: BTreeSet<String>,
}

pub(super) async fn run(shared: Arc<Shared>, signals: mpsc::Sender<Signal>, stop: Stop) {
    let mut delays = BackoffOptions::between(Duration::from_millis(500), Duration::from_secs(10))
        .build(shared.options.random.clone());
    let mut told = false;
    while !stop.is_stopped() {
        // An engine may take its time to answer, and nobody who stops waits for that.
        let Some(opened) = stop.run(shared.target.events()).await else {
            return;
        };
        match opened {
            Ok(events) => {
                told = false;
                delays.reset();
                let mut watch = Watch {
                    shared: &shared,
                    signals: &signals,
                    dead: BTreeMap::new(),
                    stopped: BTreeSet::new(),
                };
                if stop.run(watch.follow(events)).await.is_none() {
                    return;
                }
                shared.engine_left();
            }
            Err(error) => {
                if !told {
                    tracing::warn!(failure = %error.failure(), "cannot follow the engine; trying again");
                }
                told = true;
            }
        }
        if stop.run(tokio::time::sleep(delays.next_delay())).await.is_none() {
            return;
        }
    }
}

struct Watch<'w> {
    shared: &'w Arc<Shared>,
    signals: &'w mpsc::Sender<Signal>,
    /// Died, and nobody has said yet that it was on request: container to project and deadline.
    dead: BTreeMap<String, (String, Instant)>,
    /// Stopped on request just before it died.
    stopped: BTreeSet<String>,
}

impl Watch<'_> {
    async fn follow(&mut self, mut events: futures_util::stream::BoxStream<'static, TargetEvent>) {
        let before = Arc::clone(&self.shared.view.containers.borrow());
        self.refresh().await;
        self.taken_down(&before).await;
        let mut list_at: Option<Instant> = None;
        let mut refresh_at = Instant::now() + REFRESH;
        loop {
            let verdict_at = self.dead.values().map(|(_, at)| *at).min();
            let next = [list_at, verdict_at, Some(refresh_at)]
                .into_iter()
                .flatten()
                .min()
                .unwrap_or(refresh_at);
            tokio::select! {
                event = events.next() => match event {
                    Some(event) => {
                        list_at.get_or_insert_with(|| Instant::now() + COALESCE);
                        self.event(event);
                    }
                    None => return,
                },
                () = sleep_until(next) => {
                    let now = Instant::now();
                    if list_at.is_some_and(|at| at <= now) || refresh_at <= now {
                        self.refresh().await;
                        (list_at, refresh_at) = (None, now + REFRESH);
                    }
                    self.verdicts(now);
                }
            }
        }
    }

    fn event(&mut self, event: TargetEvent) {
        let Some(project) = event.project else { return };
        match event.kind {
            TargetEventKind::Died => {
                if !self.stopped.remove(&event.container) {
                    self.dead
                        .insert(event.container, (project, Instant::now() + ON_REQUEST));
                }
            }
            TargetEventKind::Stopped => {
                if self.dead.remove(&event.container).is_none() {
                    // Some engines say it the other way round.
                    self.stopped.insert(event.container);
                }
            }
            TargetEventKind::Started => {
                self.dead.remove(&event.container);
                self.stopped.remove(&event.container);
            }
            TargetEventKind::Removed => {
                self.dead.remove(&event.container);
                self.stopped.remove(&event.container);
                self.tell(Signal {
                    project,
                    killed: BTreeSet::new(),
                });
            }
            TargetEventKind::Changed => {}
        }
    }

    fn verdicts(&mut self, now: Instant) {
        let due: Vec<String> = self
            .dead
            .iter()
            .filter(|(_, (_, at))| *at <= now)
            .map(|(container, _)| container.clone())
            .collect();
        for container in due {
            if let Some((project, _)) = self.dead.remove(&container) {
                self.tell(Signal {
                    project,
                    killed: [container].into(),
                });
            }
        }
    }

    /// An engine that crashed takes its containers down when it comes back, and takes that for somebody's wish: it does not
    /// start them again. Nobody said so while it was away, so they count as killed. No later look would tell, so the loop
    /// is waited for.
    async fn taken_down(&self, before: &ContainerList) {
        let now = Arc::clone(&self.shared.view.containers.borrow());
        let ran = |container: &&ContainerSummary| container.state == ContainerState::Running;
        let ran: BTreeSet<&str> = before
            .containers
            .iter()
            .filter(ran)
            .map(|one| one.id.as_str())
            .collect();
        let mut down: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for one in &now.containers {
            if let (ContainerState::Exited, Some(project), true) =
                (one.state, &one.project, ran.contains(one.id.as_str()))
            {
                down.entry(project).or_default().insert(one.id.clone());
            }
        }
        for (project, killed) in down {
            let project = project.to_owned();
            // The loop has ended: so does this.
            let _over = self.signals.send(Signal { project, killed }).await;
        }
    }

    fn tell(&self, signal: Signal) {
        if self.signals.try_send(signal).is_err() {
            tracing::debug!("signals overflow; the drift timer finds it");
        }
    }

    async fn refresh(&self) {
        match self.shared.target.containers().await {
            Ok(containers) => {
                let list = ContainerList { containers };
                self.shared.view.containers.send_if_modified(|held| {
                    let changed = **held != list;
                    if changed {
                        *held = Arc::new(list);
                    }
                    changed
                });
            }
            Err(error) => tracing::debug!(failure = %error.failure(), "cannot list containers"),
        }
    }
}

#[cfg(test)]
mod tests;
