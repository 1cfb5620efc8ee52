//! The list of containers, shared by all who look at the same moment.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Mutex, time::Instant};
use windflow_model::ContainerSummary;

use crate::targets::{Target, TargetError};

/// A list this young is not asked for again.
const FRESH: Duration = Duration::from_millis(100);

type Containers = Arc<Vec<ContainerSummary>>;

#[derive(Debug)]
pub(super) struct List {
    target: Arc<dyn Target>,
    last: Mutex<Option<(Instant, Containers)>>,
}

impl List {
    pub(super) fn new(target: Arc<dyn Target>) -> Self {
        Self {
            target,
            last: Mutex::default(),
        }
    }

    /// The containers as of at most a moment ago.
    pub(super) async fn get(&self) -> Result<Containers, TargetError> {
        let mut last = self.last.lock().await;
        if let Some((at, list)) = &*last
            && at.elapsed() < FRESH
        {
            return Ok(Arc::clone(list));
        }
        let asked = Instant::now();
        let list = Arc::new(self.target.containers().await?);
        *last = Some((asked, Arc::clone(&list)));
        Ok(list)
    }
}
