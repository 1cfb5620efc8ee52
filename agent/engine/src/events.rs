//! What happens on the host, as its container engine tells it: followed for as long as somebody reads, taken up again where it
//! broke off.
//!
//! ```text
//! engine: GET events?since=… ──► Told ── kind_of ──► Happened ──► reader
//!          └─ broken, or none: "no longer answers"; again with growing pauses; "answers"
//! ```

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use tokio::time::Instant;
use windflow_kit::{Backoff, BackoffOptions, Clock, Random, error::Chain};
use windflow_model::{
    ContainerAction, EventContainer, HostEventKind, ImageAction, ResourceAction, Timestamp,
};

use crate::{
    plan::labels,
    targets::{Stream, Target, TargetErrorKind, Told, ToldQuery, ToldScope},
};

/// An engine keeps so many of its newest events (Docker: `eventsLimit`); what is older than those is lost.
const KEPT_BY_ENGINE: usize = 256;
/// An engine repeats what happened before a question at once.
const REPEATS: Duration = Duration::from_secs(5);
/// Characters of a name; labels may hold anything.
const LONGEST_NAME: usize = 256;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// When, in nanoseconds since 1970, by the clock of the engine.
    pub at: i64,
    /// What.
    pub kind: HostEventKind,
}

struct Follow {
    target: Arc<dyn Target>,
    clock: Clock,
    backoff: Backoff,
    /// Of the newest event that was told.
    last: Option<i64>,
    open: Option<Stream<Told>>,
    /// Whether the reader takes the engine to answer.
    answers: bool,
    /// Events since it was opened that happened before that.
    caught_up: usize,
    opened_at: i64,
    /// Until then the engine may repeat what was told before; later, its clock was set back.
    repeats_until: Instant,
}

/// Events after that time (nanoseconds since 1970), then new ones; only new ones if `None`. Ends only if the target has no events.
pub(crate) fn follow(
    target: Arc<dyn Target>,
    clock: Clock,
    random: Random,
    after: Option<i64>,
) -> BoxStream<'static, Happened> {
    let backoff = BackoffOptions::between(Duration::from_millis(500), Duration::from_secs(10)).build(random);
    let follow = Follow {
        target,
        backoff,
        // What happens between two tries to reach the engine is wanted, too.
        last: Some(after.unwrap_or_else(|| nanos(&clock))),
        clock,
        open: None,
        answers: true,
        caught_up: 0,
        opened_at: 0,
        repeats_until: Instant::now(),
    };
    stream::unfold(follow, |mut follow| async move {
        follow.next().await.map(|happened| (happened, follow))
    })
    .boxed()
}

impl Follow {
    async fn next(&mut self) -> Option<Happened> {
        loop {
            let Some(events) = &mut self.open else {
                // Some engines answer a question for events with the first event only.
                if !self.answers && self.target.ping().await.is_ok() {
                    self.answers = true;
                    return Some(self.engine(true, String::new()));
                }
                // A clock that was set back: nothing is known of the time until then.
                let now = nanos(&self.clock);
                self.last = self.last.map(|last| last.min(now));
                let since = self
                    .last
                    .map(|at| Timestamp::from_millis(at.div_euclid(1_000_000)));
                let query = ToldQuery {
                    scope: ToldScope::All,
                    since,
                    until: None,
                };
                let opened = self.target.told(query).await;
                match opened {
                    Ok(events) => {
                        self.open = Some(events);
                        self.caught_up = 0;
                        self.opened_at = nanos(&self.clock);
                        self.repeats_until = Instant::now() + REPEATS;
                        self.backoff.reset();
                    }
                    Err(error) if error.kind == TargetErrorKind::Unsupported => return None,
                    Err(error) => {
                        let told = std::mem::replace(&mut self.answers, false);
                        if told {
                            return Some(self.engine(false, error.failure().message));
                        }
                        tokio::time::sleep(self.backoff.next_delay()).await;
                    }
                }
                continue;
            };
            match events.next().await {
                Some(Ok(told)) => {
                    // Asked for by the millisecond: some were told before.
                    let repeats = Instant::now() < self.repeats_until;
                    if repeats && self.last.is_some_and(|last| told.at <= last) {
                        continue;
                    }
                    self.last = Some(told.at);
                    if told.at < self.opened_at {
                        self.caught_up += 1;
                    }
                    if self.caught_up == KEPT_BY_ENGINE {
                        self.caught_up += 1;
                        let kind = HostEventKind::Missed { lost: None };
                        return Some(Happened { at: told.at, kind });
                    }
                    if let Some(kind) = kind_of(&told) {
                        return Some(Happened { at: told.at, kind });
                    }
                }
                Some(Err(error)) => {
                    tracing::debug!(error = %Chain(&error), "the engine's events broke off");
                    self.open = None;
                }
                None => self.open = None,
            }
        }
    }

    fn engine(&self, answers: bool, reason: String) -> Happened {
        Happened {
            at: nanos(&self.clock),
            kind: HostEventKind::Engine { answers, reason },
        }
    }
}

fn nanos(clock: &Clock) -> i64 {
    clock.now_ms().saturating_mul(1_000_000)
}

/// What an engine's words mean; `None` for what changes nothing anybody looks at: commands in containers are run by the thousand.
fn kind_of(told: &Told) -> Option<HostEventKind> {
    let (word, rest) = told.action.split_once(':').unwrap_or((&told.action, ""));
    let (word, rest) = (word.trim(), rest.trim());
    let name = |key: &str| {
        let name = told.attributes.get(key).filter(|name| !name.is_empty());
        name.map(|name| name.chars().take(LONGEST_NAME).collect::<String>())
    };
    let id = || told.container.chars().take(LONGEST_NAME).collect::<String>();
    match told.kind.as_str() {
        "container" => {
            // A door of the agent's own is nobody's container.
            if told.attributes.contains_key(crate::files::DOOR_LABEL) {
                return None;
            }
            Some(HostEventKind::Container {
                action: container_action(word, rest)?,
                exit_code: exit_code(&told.attributes),
                container: EventContainer {
                    container: id(),
                    name: name("name").unwrap_or_default(),
                    stack: name(labels::PROJECT),
                    service: name(labels::SERVICE),
                    image: name("image").unwrap_or_default(),
                },
            })
        }
        "image" => Some(HostEventKind::Image {
            action: match word {
                "pull" => ImageAction::Pulled,
                "push" => ImageAction::Pushed,
                "tag" => ImageAction::Tagged,
                "untag" => ImageAction::Untagged,
                "delete" | "remove" => ImageAction::Removed,
                "load" | "import" | "loadfromarchive" => ImageAction::Loaded,
                _ => return None,
            },
            image: name("name").unwrap_or_else(id),
        }),
        "volume" => Some(HostEventKind::Volume {
            action: resource_action(word)?,
            volume: id(),
        }),
        "network" => Some(HostEventKind::Network {
            action: resource_action(word)?,
            network: name("name").unwrap_or_else(id),
        }),
        _ => None,
    }
}

fn container_action(word: &str, rest: &str) -> Option<ContainerAction> {
    Some(match word {
        "create" => ContainerAction::Created,
        "start" => ContainerAction::Started,
        // Podman says `died`.
        "die" | "died" => ContainerAction::Died,
        "stop" => ContainerAction::Stopped,
        "restart" => ContainerAction::Restarted,
        "destroy" | "remove" => ContainerAction::Removed,
        "rename" => ContainerAction::Renamed,
        "pause" => ContainerAction::Paused,
        "unpause" => ContainerAction::Resumed,
        "oom" => ContainerAction::OutOfMemory,
        "update" => ContainerAction::Updated,
        "health_status" if rest == "healthy" => ContainerAction::Healthy,
        "health_status" if rest == "unhealthy" => ContainerAction::Unhealthy,
        _ => return None,
    })
}

fn resource_action(word: &str) -> Option<ResourceAction> {
    match word {
        "create" => Some(ResourceAction::Created),
        "destroy" | "remove" => Some(ResourceAction::Removed),
        _ => None,
    }
}

fn exit_code(attributes: &BTreeMap<String, String>) -> Option<i64> {
    let named = ["exitCode", "containerExitCode"];
    named.iter().find_map(|key| attributes.get(*key)?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(kind: &str, action: &str, attributes: &[(&str, &str)]) -> Told {
        let pairs = attributes
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Told {
            at: 1,
            kind: kind.to_owned(),
            action: action.to_owned(),
            container: "id1".to_owned(),
            attributes: pairs.collect(),
        }
    }

    #[test]
    fn words_of_engines() {
        let check = |kind: &str, action: &str, attributes: &[(&str, &str)], expected: &str| {
            let found = kind_of(&told(kind, action, attributes));
            let found = found.map_or_else(String::new, |kind| serde_json::to_string(&kind).unwrap());
            assert_eq!(found, expected, "{kind} {action}");
        };
        let web = [
            ("name", "web-1"),
            ("image", "nginx:1"),
            (labels::PROJECT, "web"),
            (labels::SERVICE, "front"),
            ("exitCode", "137"),
        ];
        check(
            "container",
            "die",
            &web,
            r#"{"subject":"container","action":"died","container":"id1","name":"web-1","stack":"web","service":"front","image":"nginx:1","exit_code":137}"#,
        );
        let plain = |action: &str| {
            format!(r#"{{"subject":"container","action":"{action}","container":"id1","name":"x"}}"#)
        };
        for (word, action) in [
            ("died", "died"),
            ("health_status: healthy", "healthy"),
            ("health_status: unhealthy", "unhealthy"),
            ("health_status:unhealthy", "unhealthy"),
            ("remove", "removed"),
            ("unpause", "resumed"),
            ("oom", "out_of_memory"),
        ] {
            check("container", word, &[("name", "x")], &plain(action));
        }
        for word in [
            "exec_create: sh -c true",
            "exec_die",
            "attach",
            "kill",
            "health_status: starting",
            "top",
        ] {
            check("container", word, &[("name", "x")], "");
        }
        check("container", "create", &[(crate::files::DOOR_LABEL, "a/1")], "");
        check(
            "image",
            "pull",
            &[("name", "busybox:1")],
            r#"{"subject":"image","action":"pulled","image":"busybox:1"}"#,
        );
        check(
            "image",
            "delete",
            &[],
            r#"{"subject":"image","action":"removed","image":"id1"}"#,
        );
        check(
            "volume",
            "create",
            &[("driver", "local")],
            r#"{"subject":"volume","action":"created","volume":"id1"}"#,
        );
        check("volume", "mount", &[], "");
        check(
            "network",
            "destroy",
            &[("name", "shop_default")],
            r#"{"subject":"network","action":"removed","network":"shop_default"}"#,
        );
        check("daemon", "reload", &[], "");
    }
}
