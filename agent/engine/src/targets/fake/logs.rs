//! Output of simulated containers: a line for every start, and one a second while they run.

use std::{sync::Arc, time::Duration};

use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use windflow_model::{LogSource, Timestamp};

use super::FakeTarget;
use crate::targets::{LogLine, LogRequest, TargetError, TargetErrorKind};

/// Between two lines of a running container.
const EVERY: Duration = Duration::from_secs(1);

pub(super) fn open(
    target: &FakeTarget,
    request: &LogRequest,
) -> Result<BoxStream<'static, Result<LogLine, TargetError>>, TargetError> {
    let found = target
        .state()
        .host
        .containers
        .get(&request.container)
        .map(|c| (c.seen.name.clone(), c.starts));
    let Some((name, starts)) = found else {
        return Err(TargetError::new(
            TargetErrorKind::NotFound,
            format!("no such container: {}", request.container),
        ));
    };
    let clock = target.options.clock.clone();
    let line = move |text: String| {
        Ok(LogLine {
            source: LogSource::Stdout,
            at: Some(Timestamp::from_millis(clock.now_ms())),
            text,
        })
    };
    let mut past: Vec<String> = (1..=starts)
        .map(|start| format!("{name}: start {start}"))
        .collect();
    if let Some(tail) = request.tail {
        past.drain(
            ..past
                .len()
                .saturating_sub(usize::try_from(tail).unwrap_or(usize::MAX)),
        );
    }
    let (since, until) = (request.since, request.until);
    let asked = move |line: &Result<LogLine, TargetError>| {
        let at = line.as_ref().ok().and_then(|line| line.at);
        std::future::ready(
            since.is_none_or(|since| at >= Some(since)) && until.is_none_or(|until| at < Some(until)),
        )
    };
    let first = stream::iter(past).map(line.clone()).filter(asked);
    if !request.follow {
        return Ok(first.boxed());
    }
    let (state, id) = (Arc::clone(&target.state), request.container.clone());
    let ticks = stream::unfold(0_u64, move |tick| {
        let (state, id, name) = (Arc::clone(&state), id.clone(), name.clone());
        async move {
            tokio::time::sleep(EVERY).await;
            let state = state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let up = state
                .host
                .containers
                .get(&id)
                .is_some_and(|container| container.seen.is_up());
            up.then(|| (format!("{name}: tick {tick}"), tick + 1))
        }
    });
    Ok(first.chain(ticks.map(line)).boxed())
}
