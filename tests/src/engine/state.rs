//! What the engine remembers, and what each request does to it.

#![expect(clippy::indexing_slicing, reason = "JSON: what is not there is null")]

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
};

use serde_json::{Value, json};

use super::{
    EngineOptions, OnChange,
    http::{Answer, Request},
    views::{has_labels, id, image, inspected, summary},
};

/// One recorded request.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Without version and query.
    pub path: String,
    /// Its query.
    pub query: BTreeMap<String, String>,
    /// Its body, if that is JSON.
    pub body: Value,
    /// Files of an archive.
    pub files: Vec<Value>,
}

/// A container, as whoever looks at the host finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it runs.
    pub up: bool,
}

/// Something happened to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// `create`, `start`, `stop`, `kill`, `remove`.
    pub action: &'static str,
    /// The container, as it was when this began.
    pub container: Running,
}

/// See the module.
#[derive(Default)]
pub(super) struct State {
    api: String,
    record: bool,
    on_change: Option<OnChange>,
    pub(super) log: Vec<Recorded>,
    pub(super) events: Events,
    containers: BTreeMap<String, Container>,
    /// Containers that were ever made, by name: each gets an id of its own.
    made: BTreeMap<String, u64>,
    networks: BTreeMap<String, Value>,
    volumes: BTreeMap<String, Value>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("containers", &self.containers)
            .finish_non_exhaustive()
    }
}

/// One container.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) body: Value,
    pub(super) up: bool,
    /// It ran once and does not any more.
    pub(super) ended: bool,
}

impl Container {
    fn seen(&self, id: &str) -> Running {
        let labels = self.body["Labels"].as_object().into_iter().flatten();
        Running {
            id: id.to_owned(),
            name: self.name.clone(),
            labels: labels
                .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
                .collect(),
            up: self.up,
        }
    }
}

/// The newest events, numbered.
#[derive(Debug, Default)]
pub(super) struct Events {
    ring: VecDeque<String>,
    next: u64,
}

impl Events {
    /// Most events that a slow reader may be behind.
    const KEPT: usize = 4_096;

    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// Those from a number on; the number moves behind them.
    pub(super) fn from(&self, next: &mut u64) -> Vec<String> {
        let behind = usize::try_from(self.next - *next).unwrap_or(usize::MAX);
        *next = self.next;
        let skip = self.ring.len().saturating_sub(behind);
        self.ring.iter().skip(skip).cloned().collect()
    }

    fn push(&mut self, action: &str, id: &str, container: &Container) {
        let mut attributes = container.body["Labels"].clone();
        attributes["name"] = json!(container.name);
        let event = json!({
            "Type": "container", "Action": action, "Actor": { "ID": id, "Attributes": attributes },
            "time": 1_600_000_000, "timeNano": 1_600_000_000_000_000_000_i64,
        });
        self.ring.push_back(format!("{event}\n"));
        self.next += 1;
        if self.ring.len() > Self::KEPT {
            self.ring.pop_front();
        }
    }
}

impl State {
    pub(super) fn new(options: &EngineOptions) -> Self {
        Self {
            api: options.api.clone(),
            record: options.record,
            on_change: options.on_change.clone(),
            networks: BTreeMap::from([("outside-net".to_owned(), json!({ "Labels": {} }))]),
            volumes: BTreeMap::from([("outside-vol".to_owned(), json!({ "Labels": {} }))]),
            ..Self::default()
        }
    }

    pub(super) fn running(&self) -> Vec<Running> {
        self.containers
            .iter()
            .map(|(id, container)| container.seen(id))
            .collect()
    }

    pub(super) fn kill(&mut self, name: &str) -> bool {
        let found = self.containers.iter();
        let mut found = found.filter(|(_, container)| container.name == name && container.up);
        let Some(id) = found.next().map(|(id, _)| id.clone()) else {
            return false;
        };
        self.turn(&id, "kill", false);
        true
    }

    fn tell(&self, action: &'static str, id: &str, container: &Container) {
        if let Some(told) = &self.on_change {
            told(&Change {
                action,
                container: container.seen(id),
            });
        }
    }

    /// Starts or ends a container, if it is not so already.
    fn turn(&mut self, id: &str, action: &'static str, up: bool) {
        let Some(mut container) = self.containers.remove(id) else {
            return;
        };
        if container.up != up {
            self.tell(action, id, &container);
            container.ended = !up;
            container.up = up;
            let events: &[&str] = match action {
                "start" => &["start"],
                "stop" => &["kill", "die", "stop"],
                _ => &["die"],
            };
            for event in events {
                self.events.push(event, id, &container);
            }
        }
        self.containers.insert(id.to_owned(), container);
    }

    pub(super) fn answer(&mut self, request: &Request) -> Answer {
        if self.record && matches!(request.method.as_str(), "POST" | "PUT" | "DELETE") {
            self.log.push(record(request));
        }
        let parts: Vec<&str> = request.path.trim_matches('/').split('/').collect();
        match parts.as_slice() {
            ["_ping"] => Answer {
                status: 200,
                body: b"OK".to_vec(),
            },
            ["version"] => Answer::json(
                200,
                &json!({ "Version": "28", "ApiVersion": self.api, "MinAPIVersion": "1.24", "Os": "linux", "Arch": "amd64" }),
            ),
            ["info"] => Answer::json(
                200,
                &json!({ "OSType": "linux", "Architecture": "x86_64", "ServerVersion": "28", "Swarm": { "LocalNodeState": "inactive" } }),
            ),
            ["images", "json"] => Answer::json(200, &json!([])),
            ["images", name @ .., "json"] => Answer::json(200, &image(&name.join("/"))),
            ["containers", rest @ ..] => self.containers(request, rest),
            ["networks", rest @ ..] => self.networks(request, rest),
            ["volumes", rest @ ..] => self.volumes(request, rest),
            ["exec", id, "json"] => Answer::json(200, &json!({ "ID": id, "ExitCode": 0, "Running": false })),
            ["exec", _, "start"] => Answer::empty(101),
            _ => Answer::fault(404, &format!("{} {}", request.method, request.path)),
        }
    }

    fn containers(&mut self, request: &Request, rest: &[&str]) -> Answer {
        match rest {
            ["json"] => {
                let all = matches!(request.query("all"), Some("1" | "true"));
                let list = self.containers.iter();
                let list = list.filter(|(_, container)| all || container.up);
                let list = list.filter(|(_, container)| has_labels(&container.body["Labels"], request));
                let list: Vec<Value> = list.map(|(id, container)| summary(id, container)).collect();
                Answer::json(200, &json!(list))
            }
            ["create"] => self.create(request),
            [which, action @ ..] => {
                let known = self.containers.iter();
                let mut known = known.map(|(id, container)| (id.clone(), container.name.clone()));
                let Some((id, _)) = known.find(|(id, name)| id == which || name == which) else {
                    return Answer::fault(404, "No such container");
                };
                self.container(request, &id, action)
            }
            [] => Answer::empty(404),
        }
    }

    fn create(&mut self, request: &Request) -> Answer {
        let name = request.query("name").unwrap_or_default().to_owned();
        if self.containers.values().any(|container| container.name == name) {
            return Answer::fault(409, "the container name is already in use");
        }
        let made = self.made.entry(name.clone()).or_default();
        *made += 1;
        let id = match made {
            1 => id('c', &name),
            more => id('c', &format!("{name} {more}")),
        };
        let container = Container {
            name,
            body: request.json(),
            up: false,
            ended: false,
        };
        self.tell("create", &id, &container);
        self.events.push("create", &id, &container);
        self.containers.insert(id.clone(), container);
        Answer::json(201, &json!({ "Id": id, "Warnings": [] }))
    }

    fn container(&mut self, request: &Request, id: &str, action: &[&str]) -> Answer {
        if request.method == "DELETE" {
            return self.remove(request, id);
        }
        match action {
            ["start" | "restart"] => {
                self.turn(id, "start", true);
                return Answer::empty(204);
            }
            ["stop" | "kill"] => {
                self.turn(id, "stop", false);
                return Answer::empty(204);
            }
            _ => {}
        }
        let Some(container) = self.containers.get_mut(id) else {
            return Answer::empty(404);
        };
        match action {
            ["json"] => Answer::json(200, &inspected(id, container)),
            ["rename"] => {
                container.name = request.query("name").unwrap_or_default().to_owned();
                Answer::empty(204)
            }
            ["exec"] => Answer::json(201, &json!({ "Id": "e0" })),
            ["wait"] => Answer::json(200, &json!({ "StatusCode": 0 })),
            _ => Answer::empty(200),
        }
    }

    fn remove(&mut self, request: &Request, id: &str) -> Answer {
        let force = matches!(request.query("force"), Some("1" | "true"));
        if !force && self.containers.get(id).is_some_and(|container| container.up) {
            return Answer::fault(409, "you cannot remove a running container; stop it or use force");
        }
        if let Some(container) = self.containers.remove(id) {
            self.tell("remove", id, &container);
            self.events.push("destroy", id, &container);
        }
        Answer::empty(204)
    }

    fn networks(&mut self, request: &Request, rest: &[&str]) -> Answer {
        let shown = |name: &str, network: &Value| {
            let mut shown = network.clone();
            shown["Name"] = json!(name);
            shown["Id"] = json!(id('f', name));
            shown["Containers"] = json!({});
            shown
        };
        match rest {
            [] => {
                let list = self.networks.iter();
                let list = list.filter(|(_, network)| has_labels(&network["Labels"], request));
                let list: Vec<Value> = list.map(|(name, network)| shown(name, network)).collect();
                Answer::json(200, &json!(list))
            }
            ["create"] => {
                let body = request.json();
                let name = body["Name"].as_str().unwrap_or_default().to_owned();
                if self.networks.contains_key(&name) {
                    return Answer::fault(409, "a network of this name already exists");
                }
                self.networks.insert(name.clone(), body);
                Answer::json(201, &json!({ "Id": id('f', &name), "Warning": "" }))
            }
            [which] => {
                let found = self.networks.iter();
                let mut found = found.filter(|(name, _)| name == which || id('f', name) == **which);
                match found.next() {
                    Some((name, network)) => Answer::json(200, &shown(name, network)),
                    None => Answer::fault(404, &format!("network {which} not found")),
                }
            }
            [which, "connect"] => {
                let body = request.json();
                let container = body["Container"].as_str().unwrap_or_default();
                if let Some(container) = self.containers.get_mut(container) {
                    container.body["NetworkingConfig"]["EndpointsConfig"][*which] =
                        body["EndpointConfig"].clone();
                }
                Answer::empty(200)
            }
            _ => Answer::empty(200),
        }
    }

    fn volumes(&mut self, request: &Request, rest: &[&str]) -> Answer {
        let shown = |name: &str, volume: &Value| json!({ "Name": name, "Driver": "local", "Labels": volume["Labels"], "Mountpoint": "/v", "Scope": "local", "Options": null });
        match rest {
            [] => {
                let list = self.volumes.iter();
                let list = list.filter(|(_, volume)| has_labels(&volume["Labels"], request));
                let list: Vec<Value> = list.map(|(name, volume)| shown(name, volume)).collect();
                Answer::json(200, &json!({ "Volumes": list, "Warnings": null }))
            }
            ["create"] => {
                let body = request.json();
                let name = body["Name"].as_str().unwrap_or_default().to_owned();
                let answer = shown(&name, &body);
                self.volumes.insert(name, body);
                Answer::json(201, &answer)
            }
            [name] => match self.volumes.get(*name) {
                Some(volume) => Answer::json(200, &shown(name, volume)),
                None => Answer::fault(404, "no such volume"),
            },
            _ => Answer::empty(404),
        }
    }
}

fn record(request: &Request) -> Recorded {
    let mut files = Vec::new();
    if request.path.ends_with("/archive") {
        let mut archive = tar::Archive::new(request.body.as_slice());
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let header = entry.header().clone();
            let mut content = String::new();
            std::io::Read::read_to_string(&mut entry, &mut content).unwrap();
            files.push(json!({
                "name": String::from_utf8_lossy(&header.path_bytes()),
                "mode": format!("{:o}", header.mode().unwrap()),
                "uid": header.uid().unwrap(),
                "gid": header.gid().unwrap(),
                "content": content,
            }));
        }
    }
    Recorded {
        path: request.path.clone(),
        query: request.query.iter().cloned().collect(),
        body: request.json(),
        files,
    }
}
