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

    /// The containers as of at most a moment ago, and asked for after `since`: who has just started one must not be told
    /// how it was before.
    pub(super) async fn get(&self, since: Instant) -> Result<Containers, TargetError> {
        let mut last = self.last.lock().await;
        if let Some((at, list)) = &*last
            && at.elapsed() < FRESH
            && *at > since
        {
            return Ok(Arc::clone(list));
        }
        let asked = Instant::now();
        let list = Arc::new(self.target.containers().await?);
        *last = Some((asked, Arc::clone(&list)));
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FakeOptions, FakeTarget};

    /// A container that was started a moment ago was told to have ended: as it had been before.
    #[tokio::test(start_paused = true)]
    async fn no_list_from_before_the_question() {
        let host = Arc::new(FakeTarget::open(FakeOptions::default()).unwrap());
        let list = List::new(Arc::clone(&host) as Arc<dyn Target>);
        let begin = Instant::now();
        let step = Duration::from_millis(1);
        tokio::time::advance(step).await;
        assert!(list.get(begin).await.is_ok());
        host.set_reachable(false);
        tokio::time::advance(step).await;
        assert!(
            list.get(begin).await.is_ok(),
            "shared: it was asked after this began"
        );
        assert!(
            list.get(Instant::now()).await.is_err(),
            "asked anew: it is older than the question"
        );
        tokio::time::advance(FRESH).await;
        assert!(list.get(begin).await.is_err(), "asked anew: it is too old");
    }
}
