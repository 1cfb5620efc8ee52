//! Events: pages of what happened, and what happens as it does.

use std::{collections::VecDeque, pin::Pin};

use futures_util::{Stream, StreamExt as _};
use reqwest::Method;
use windflow_api::{EventParams, Page, live::FLEET};
use windflow_model::FleetEvent;

use super::path;
use crate::{error::Result, http::Client, sse::SseParser};

/// What happens in the fleet, as it comes.
pub struct EventFeed {
    body: Pin<Box<dyn Stream<Item = reqwest::Result<bytes::Bytes>> + Send>>,
    parser: SseParser,
    ready: VecDeque<FleetEvent>,
}

impl EventFeed {
    /// The next event; `None` when the connection ended.
    pub async fn next(&mut self) -> Option<FleetEvent> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let bytes = self.body.next().await?.ok()?;
            let events = self.parser.push(&bytes).into_iter();
            let events = events.filter(|event| event.name == FLEET);
            // What a newer controller says beyond what is known here is left out.
            self.ready
                .extend(events.filter_map(|event| serde_json::from_str::<FleetEvent>(&event.data).ok()));
        }
    }
}

fn event_path(base: &str, params: &EventParams) -> String {
    let parts = [
        ("agent", params.agent.clone()),
        ("selector", params.selector.as_ref().map(ToString::to_string)),
        ("group", params.group.map(|group| group.to_string())),
        ("stack", params.stack.clone()),
        ("kind", params.kind.clone()),
        ("since", params.since.map(|since| since.to_string())),
        ("until", params.until.map(|until| until.to_string())),
        ("cursor", params.cursor.map(|cursor| cursor.to_string())),
        ("limit", params.limit.map(|limit| limit.to_string())),
        ("after", params.after.map(|after| after.to_string())),
    ];
    path(base, parts)
}

impl Client {
    /// A page of what happened, the newest first.
    ///
    /// # Errors
    /// [`crate::error::Error`] with the exit code of the refusal.
    pub async fn event_list(&self, params: &EventParams) -> Result<Page<FleetEvent>> {
        self.get(&event_path("/api/v1/events", params)).await
    }

    /// Opens the feed of what happens.
    ///
    /// # Errors
    /// [`crate::error::Error`] with the exit code of the refusal.
    pub async fn event_live(&self, params: &EventParams) -> Result<EventFeed> {
        let request = self.request(Method::GET, &event_path("/api/v1/events/live", params));
        let answer = self.send(request.header("Accept", "text/event-stream")).await?;
        Ok(EventFeed {
            body: Box::pin(answer.bytes_stream()),
            parser: SseParser::default(),
            ready: VecDeque::new(),
        })
    }
}
