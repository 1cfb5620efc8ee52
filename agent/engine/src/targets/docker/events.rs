//! Changes of containers, as the engine announces them.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use http_body_util::Full;
use hyper::{Request, header};
use serde::Deserialize;
use windflow_kit::task::spawn_scoped;

use super::{
    DockerTarget,
    error::refused,
    wire::{self, Messages},
};
use crate::{
    plan::labels,
    targets::{TargetError, TargetErrorKind, TargetEvent, TargetEventKind as Kind},
};

/// An engine that refuses does so at once.
const REFUSAL: Duration = Duration::from_millis(50);
/// Nothing happens on a quiet host for days.
pub(super) const QUIET: Duration = Duration::from_secs(10 * 365 * 86_400);

/// What the engine says has happened.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Event {
    #[serde(rename = "Type")]
    pub(super) kind: String,
    #[serde(rename = "Action")]
    pub(super) action: String,
    #[serde(rename = "Actor")]
    pub(super) actor: Actor,
    /// Unix time, s.
    pub(super) time: i64,
    /// Unix time, ns; 0 from engines that do not tell.
    #[serde(rename = "timeNano")]
    pub(super) time_nano: i64,
}

/// To which container.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Actor {
    #[serde(rename = "ID")]
    pub(super) id: String,
    #[serde(rename = "Attributes")]
    pub(super) attributes: Option<BTreeMap<String, String>>,
}

pub(super) async fn open(target: &DockerTarget) -> Result<BoxStream<'static, TargetEvent>, TargetError> {
    let what = "follow events";
    // The event stream may answer with its first event only: ask for something else first to know that somebody is there.
    target.fetch_info().await?;
    let (mut sender, connection) = wire::dial(target, what).await?;
    let driver = spawn_scoped("docker-events", async move {
        // Its error is seen as the end of the body.
        let _ = connection.await;
    });
    let path = format!(
        "/events{}",
        wire::query([("filters", r#"{"type":["container"]}"#)])
    );
    let request = Request::get(path)
        .header(header::HOST, "docker")
        .body(Full::<Bytes>::default())
        .map_err(|error| TargetError::caused(TargetErrorKind::Host, format!("cannot {what}"), error))?;
    let opened = async move {
        let broken =
            |error| TargetError::caused(TargetErrorKind::Unreachable, format!("cannot {what}"), error);
        let (head, body) = sender.send_request(request).await.map_err(broken)?.into_parts();
        if head.status.is_success() {
            return Ok(Messages::<Event>::new(body, driver, what, QUIET));
        }
        let body = http_body_util::BodyExt::collect(body).await.map_err(broken)?;
        Err(refused(what, head.status.as_u16(), &body.to_bytes()))
    };
    let events = stream::once(opened).flat_map(|opened| match opened {
        Ok(messages) => stream::unfold(messages, |mut messages| async move {
            let next = messages.next().await.transpose()?;
            Some((next, messages))
        })
        .boxed(),
        Err(error) => stream::once(std::future::ready(Err(error))).boxed(),
    });
    let mut events = events.boxed();
    let first = match tokio::time::timeout(REFUSAL, events.next()).await {
        Ok(Some(Err(error))) => return Err(error),
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
                let attributes = event.actor.attributes.unwrap_or_default();
                Some(TargetEvent {
                    kind: kind(&event.action)?,
                    container: Some(event.actor.id).filter(|id| !id.is_empty())?,
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
