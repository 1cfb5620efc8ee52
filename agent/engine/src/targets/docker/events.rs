//! Changes of containers, as the engine announces them.

use std::collections::HashMap;

use bollard::query_parameters::EventsOptions;
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};

use super::{DockerTarget, error::failed};
use crate::{
    plan::labels,
    targets::{TargetError, TargetEvent, TargetEventKind as Kind},
};

pub(super) async fn open(target: &DockerTarget) -> Result<BoxStream<'static, TargetEvent>, TargetError> {
    // The event stream answers with its first event only: ask for something else first to know that somebody is there.
    target.fetch_info().await?;
    let filters = HashMap::from([("type".to_owned(), vec!["container".to_owned()])]);
    let options = EventsOptions {
        filters: Some(filters),
        ..EventsOptions::default()
    };
    let docker = target.docker()?.clone();
    let mut events = Box::pin(docker.events(Some(options)));
    // An engine that refuses does so at once.
    let first = tokio::time::timeout(std::time::Duration::from_millis(50), events.next()).await;
    let first = match first {
        Ok(Some(Err(error))) => return Err(failed(target, "follow events", error)),
        Ok(Some(Ok(event))) => Some(Ok(event)),
        Ok(None) | Err(_) => None,
    };
    // An error ends the stream: the caller opens it again and looks at the whole list.
    let rest = stream::iter(first)
        .chain(events)
        .take_while(|item| std::future::ready(item.is_ok()));
    Ok(rest
        .filter_map(|item| {
            std::future::ready(item.ok().and_then(|event| {
                let actor = event.actor?;
                let attributes = actor.attributes.unwrap_or_default();
                Some(TargetEvent {
                    kind: kind(event.action.as_deref()?)?,
                    container: actor.id?,
                    project: attributes.get(labels::PROJECT).cloned(),
                })
            }))
        })
        .boxed())
}

/// `None` for what changes nothing anybody looks at: exec and attach happen by the thousand.
fn kind(action: &str) -> Option<Kind> {
    let word = action.split(':').next().unwrap_or(action).trim();
    match word {
        "start" | "restart" => Some(Kind::Started),
        // Podman says `died`.
        "die" | "died" => Some(Kind::Died),
        "stop" => Some(Kind::Stopped),
        "destroy" | "remove" => Some(Kind::Removed),
        "create" | "rename" | "pause" | "unpause" | "health_status" | "oom" | "update" => Some(Kind::Changed),
        _ => None,
    }
}
