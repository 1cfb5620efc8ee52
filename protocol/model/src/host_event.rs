//! What happens on a host: what its container engine tells, and what its agent sees.

use serde::{Deserialize, Serialize};

use crate::{doc::Document, time::Timestamp};

/// An event with its place among those of its host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct HostEvent {
    /// Rising by one within one run of the agent, from 1.
    pub seq: u64,
    /// When, by the host's clock.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub kind: HostEventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "subject", rename_all = "snake_case")]
pub enum HostEventKind {
    /// To a container.
    Container {
        /// What.
        action: ContainerAction,
        /// Which.
        #[serde(flatten)]
        container: EventContainer,
        /// How it ended, if it did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit_code: Option<i64>,
    },
    /// To an image.
    Image {
        /// What.
        action: ImageAction,
        /// Its name, or its id if it has none.
        image: String,
    },
    /// To a named volume.
    Volume {
        /// What.
        action: ResourceAction,
        /// Its name.
        volume: String,
    },
    /// To a network.
    Network {
        /// What.
        action: ResourceAction,
        /// Its name.
        network: String,
    },
    /// The container engine answers, or it does no longer.
    Engine {
        /// Whether it answers.
        answers: bool,
        /// Why not.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
    /// The agent has begun to run.
    Agent {
        /// Its version.
        version: String,
    },
    /// Events are missing here.
    Missed {
        /// How many; `None` if nobody knows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lost: Option<u64>,
    },
}

/// The container that an event is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct EventContainer {
    /// The engine's full id.
    pub container: String,
    /// Its name.
    pub name: String,
    /// Compose project, if it belongs to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// Compose service, if it belongs to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Image it was made from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image: String,
}

/// What happens to containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ContainerAction {
    /// It was made.
    Created,
    /// It runs.
    Started,
    /// Its process has ended.
    Died,
    /// It was stopped on request.
    Stopped,
    /// It was restarted on request.
    Restarted,
    /// It was removed.
    Removed,
    /// It has another name.
    Renamed,
    /// It was frozen.
    Paused,
    /// It goes on.
    Resumed,
    /// The kernel ended a process of it for want of memory.
    OutOfMemory,
    /// Its health check passes.
    Healthy,
    /// Its health check fails.
    Unhealthy,
    /// Its limits were changed.
    Updated,
    /// What this build does not know.
    #[serde(other)]
    Other,
}

/// What happens to images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ImageAction {
    /// It was fetched.
    Pulled,
    /// It was sent to a registry.
    Pushed,
    /// It got a name.
    Tagged,
    /// It lost a name.
    Untagged,
    /// It was removed.
    Removed,
    /// It came from a file.
    Loaded,
    /// What this build does not know.
    #[serde(other)]
    Other,
}

/// What happens to volumes and networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ResourceAction {
    /// It was made.
    Created,
    /// It was removed.
    Removed,
    /// What this build does not know.
    #[serde(other)]
    Other,
}

impl HostEventKind {
    /// What happened in two words: `container.died`, `image.pulled`, `engine.silent`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Container { action, .. } => match action {
                ContainerAction::Created => "container.created",
                ContainerAction::Started => "container.started",
                ContainerAction::Died => "container.died",
                ContainerAction::Stopped => "container.stopped",
                ContainerAction::Restarted => "container.restarted",
                ContainerAction::Removed => "container.removed",
                ContainerAction::Renamed => "container.renamed",
                ContainerAction::Paused => "container.paused",
                ContainerAction::Resumed => "container.resumed",
                ContainerAction::OutOfMemory => "container.out_of_memory",
                ContainerAction::Healthy => "container.healthy",
                ContainerAction::Unhealthy => "container.unhealthy",
                ContainerAction::Updated => "container.updated",
                ContainerAction::Other => "container.other",
            },
            Self::Image { action, .. } => match action {
                ImageAction::Pulled => "image.pulled",
                ImageAction::Pushed => "image.pushed",
                ImageAction::Tagged => "image.tagged",
                ImageAction::Untagged => "image.untagged",
                ImageAction::Removed => "image.removed",
                ImageAction::Loaded => "image.loaded",
                ImageAction::Other => "image.other",
            },
            Self::Volume { action, .. } => match action {
                ResourceAction::Created => "volume.created",
                ResourceAction::Removed => "volume.removed",
                ResourceAction::Other => "volume.other",
            },
            Self::Network { action, .. } => match action {
                ResourceAction::Created => "network.created",
                ResourceAction::Removed => "network.removed",
                ResourceAction::Other => "network.other",
            },
            Self::Engine { answers: true, .. } => "engine.answers",
            Self::Engine { answers: false, .. } => "engine.silent",
            Self::Agent { .. } => "agent.started",
            Self::Missed { .. } => "events.missed",
        }
    }

    /// The stack that it concerns, if it does one.
    #[must_use]
    pub fn stack(&self) -> Option<&str> {
        match self {
            Self::Container { container, .. } => container.stack.as_deref(),
            _ => None,
        }
    }
}

/// Events of one host, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostEventList {
    /// The events.
    pub events: Vec<HostEvent>,
}

impl Document for HostEventList {
    const NAME: &'static str = "host events";
    const SCHEMA: u16 = 1;
}

/// The last round trip from an agent through the API of its container engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct EngineProof {
    /// When it ended; controller time where a controller tells it.
    pub at: Timestamp,
    /// How long it took, in microseconds.
    pub took_us: u64,
    /// Why it failed; `None` if the engine answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_read_well_and_those_of_newer_agents_are_read() {
        let kind = HostEventKind::Container {
            action: ContainerAction::Died,
            container: EventContainer {
                container: "c1".into(),
                name: "web-1".into(),
                stack: Some("web".into()),
                ..EventContainer::default()
            },
            exit_code: Some(137),
        };
        let event = HostEvent {
            seq: 7,
            at: Timestamp::from_millis(0),
            kind,
        };
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(
            text,
            r#"{"seq":7,"at":"1970-01-01T00:00:00.000Z","subject":"container","action":"died","container":"c1","name":"web-1","stack":"web","exit_code":137}"#
        );
        assert_eq!(serde_json::from_str::<HostEvent>(&text).unwrap(), event);
        assert_eq!(event.kind.name(), "container.died");
        let newer = text.replace("died", "teleported");
        let read: HostEvent = serde_json::from_str(&newer).unwrap();
        assert!(matches!(
            read.kind,
            HostEventKind::Container {
                action: ContainerAction::Other,
                ..
            }
        ));
    }

    /// A name is what JSON calls it: filters and readers use the same words.
    #[test]
    fn names_are_the_words_of_json() {
        for word in [
            "created",
            "started",
            "died",
            "stopped",
            "restarted",
            "removed",
            "renamed",
            "paused",
            "resumed",
            "out_of_memory",
            "healthy",
            "unhealthy",
            "updated",
            "other",
        ] {
            let text = format!(r#"{{"subject":"container","action":"{word}","container":"c","name":"n"}}"#);
            let kind: HostEventKind = serde_json::from_str(&text).unwrap();
            assert_eq!(kind.name(), format!("container.{word}"));
        }
        for word in [
            "pulled", "pushed", "tagged", "untagged", "removed", "loaded", "other",
        ] {
            let text = format!(r#"{{"subject":"image","action":"{word}","image":"i"}}"#);
            let kind: HostEventKind = serde_json::from_str(&text).unwrap();
            assert_eq!(kind.name(), format!("image.{word}"));
        }
        for (subject, word) in ["volume", "network"]
            .into_iter()
            .flat_map(|subject| ["created", "removed", "other"].map(|word| (subject, word)))
        {
            let text = format!(r#"{{"subject":"{subject}","action":"{word}","{subject}":"x"}}"#);
            let kind: HostEventKind = serde_json::from_str(&text).unwrap();
            assert_eq!(kind.name(), format!("{subject}.{word}"));
        }
    }
}
