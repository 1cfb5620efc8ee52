//! Server-sent events. The order of events is in [`windflow_api::live`].

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::State,
    response::sse::{Event, KeepAlive, KeepAliveStream, Sse},
};
use futures_util::{Stream, StreamExt as _, stream, stream::BoxStream};
use serde::Serialize;
use windflow_api::live::{END, PROGRESS, SNAPSHOT, STATE};
use windflow_model::DeploymentId;

use super::{
    error::ApiFailure,
    extract::{Caller, Credential, Route},
};
use crate::{
    app::{
        App,
        progress::{FeedEvent, FeedReader},
        session::Shown,
    },
    context::OpContext,
};

/// A comment this often keeps proxies from closing a silent feed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Pause before a reader whose feed was cut opens it again; browsers wait 3 s unless told.
const REOPEN: Duration = Duration::from_millis(500);

pub(super) fn event(name: &str, data: &impl Serialize) -> Event {
    let json = serde_json::to_string(data).unwrap_or_default();
    Event::default().event(name).data(json)
}

/// Ends once the credential no longer stands.
pub(super) async fn signed_out(app: App, shown: Shown) {
    let mut changes = app.session_watch();
    while changes.changed().await.is_some() {
        if app
            .authenticate(&shown, "", "")
            .await
            .is_err_and(|error| error.as_refused().is_some())
        {
            return;
        }
    }
}

/// A feed of server-sent events.
pub(super) type Feed = Sse<KeepAliveStream<BoxStream<'static, Result<Event, Infallible>>>>;

pub(super) fn until_signed_out<S>(app: &App, shown: Shown, events: S) -> Feed
where
    S: Stream<Item = Result<Event, Infallible>> + Send + 'static,
{
    let first = stream::iter([Ok(Event::default().retry(REOPEN))]);
    let events = first
        .chain(events)
        .take_until(Box::pin(signed_out(app.clone(), shown)))
        .boxed();
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

/// The life of one deployment (server-sent events `snapshot`, `progress`, `state`, `end`).
#[utoipa::path(get, path = "/api/v1/deployments/{id}/events", operation_id = "deployment_events", tag = "live",
    params(("id" = DeploymentId, Path)),
    responses((status = 200, body = String, content_type = "text/event-stream")))]
pub(super) async fn deployment_events(
    State(app): State<App>,
    Caller(op): Caller,
    Credential(shown): Credential,
    Route(id): Route<DeploymentId>,
) -> Result<Feed, ApiFailure> {
    // Looked at before the feed is opened, so that ids of nothing cost nothing.
    app.deployment_view(&op, id).await?;
    let follow = Follow {
        reader: Some(app.deployment_feed(id)),
        app: app.clone(),
        op,
        id,
        at: At::Snapshot,
    };
    let events = stream::unfold(follow, |mut follow| async move {
        follow.next().await.map(|event| (Ok(event), follow))
    });
    Ok(until_signed_out(&app, shown, events))
}

struct Follow {
    app: App,
    op: OpContext,
    id: DeploymentId,
    reader: Option<FeedReader>,
    at: At,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Snapshot,
    Live,
    End,
    Over,
}

impl Follow {
    async fn next(&mut self) -> Option<Event> {
        match self.at {
            At::Snapshot => self.look(SNAPSHOT).await,
            At::Live => match self.reader.as_mut()?.next().await {
                Some(FeedEvent::Progress(progress)) => Some(event(PROGRESS, &*progress)),
                Some(FeedEvent::State(_)) => self.look(STATE).await,
                // Missed something, or the feed has ended meanwhile: the record knows.
                Some(FeedEvent::Again) | None => self.look(SNAPSHOT).await,
            },
            At::End => {
                self.at = At::Over;
                Some(event(END, &serde_json::json!({})))
            }
            At::Over => None,
        }
    }

    async fn look(&mut self, name: &str) -> Option<Event> {
        let view = self.app.deployment_view(&self.op, self.id).await.ok()?;
        self.at = if view.deployment.state.is_terminal() {
            self.reader = None;
            At::End
        } else {
            At::Live
        };
        Some(event(name, &view))
    }
}
