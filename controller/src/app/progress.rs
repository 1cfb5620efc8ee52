//! Live progress of running deployments: one step tree and one bounded broadcast per deployment. Publishing never
//! waits; a reader that is too slow gets the whole tree again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::broadcast;
use windflow_model::{AgentId, Deployment, DeploymentId, Progress, Steps};

/// Events waiting per reader before it is given a snapshot instead.
const WAITING: usize = 256;

/// What a reader of one deployment gets.
#[derive(Debug, Clone)]
pub enum FeedEvent {
    /// A step moved.
    Progress(Arc<Progress>),
    /// The state moved.
    State(Arc<Deployment>),
    /// Events were lost: read the deployment again.
    Again,
}

/// The step trees of deployments that run now.
#[derive(Debug, Default)]
pub(crate) struct ProgressHub(Mutex<HashMap<DeploymentId, Feed>>);

#[derive(Debug)]
struct Feed {
    /// The host that may write; learned from the store.
    agent: Option<AgentId>,
    steps: Steps,
    live: broadcast::Sender<FeedEvent>,
}

impl Feed {
    fn new() -> Self {
        Self {
            agent: None,
            steps: Steps::default(),
            live: broadcast::channel(WAITING).0,
        }
    }
}

/// Reads one deployment's feed.
#[derive(Debug)]
pub struct FeedReader(broadcast::Receiver<FeedEvent>);

impl FeedReader {
    /// The next event; `None` once the deployment has ended.
    pub async fn next(&mut self) -> Option<FeedEvent> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(FeedEvent::Again),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

impl ProgressHub {
    fn lock(&self) -> MutexGuard<'_, HashMap<DeploymentId, Feed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A reader of a deployment that has not ended.
    pub(crate) fn read(&self, id: DeploymentId) -> FeedReader {
        FeedReader(self.lock().entry(id).or_insert_with(Feed::new).live.subscribe())
    }

    /// The host that writes this feed, if it is known yet.
    pub(crate) fn writer(&self, id: DeploymentId) -> Option<AgentId> {
        self.lock().get(&id).and_then(|feed| feed.agent)
    }

    /// Opens the feed for its host, beginning with the tree as it was saved.
    pub(crate) fn open(&self, deployment: &Deployment) {
        let mut feeds = self.lock();
        let feed = feeds.entry(deployment.id).or_insert_with(Feed::new);
        if feed.agent.is_none() {
            feed.agent = Some(deployment.agent);
            feed.steps = deployment.steps.clone();
        }
    }

    /// Folds one event in and passes it on.
    pub(crate) fn publish(&self, id: DeploymentId, progress: Progress) {
        if let Some(feed) = self.lock().get_mut(&id) {
            feed.steps.fold(&progress);
            let _nobody_reads = feed.live.send(FeedEvent::Progress(Arc::new(progress)));
        }
    }

    /// The tree as folded so far, if the host said anything since the controller started.
    pub(crate) fn steps(&self, id: DeploymentId) -> Option<Steps> {
        let feeds = self.lock();
        feeds
            .get(&id)
            .filter(|feed| !feed.steps.steps.is_empty() || !feed.steps.notes.is_empty())
            .map(|feed| feed.steps.clone())
    }

    /// Passes a moved state on; a final one ends the feed.
    pub(crate) fn moved(&self, deployment: &Arc<Deployment>) {
        let mut feeds = self.lock();
        if let Some(feed) = feeds.get_mut(&deployment.id) {
            if !deployment.steps.steps.is_empty() {
                feed.steps = deployment.steps.clone();
            }
            let _nobody_reads = feed.live.send(FeedEvent::State(Arc::clone(deployment)));
        }
        if deployment.state.is_terminal() {
            feeds.remove(&deployment.id);
        }
    }

    /// Drops feeds that nobody reads and no host writes; called by the sweep.
    pub(crate) fn sweep(&self) {
        self.lock()
            .retain(|_, feed| feed.agent.is_some() || feed.live.receiver_count() > 0);
    }

    /// Feeds open now.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }
}
