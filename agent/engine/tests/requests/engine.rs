//! A Docker engine that runs nothing: it remembers what is created, every container starts at once, every image is
//! there, every health check passes. What changes something is recorded.

use std::{
    collections::BTreeMap,
    io::BufReader,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use serde_json::{Value, json};

use crate::http::{self, Answer, Request};

/// One recorded request.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) body: Value,
    /// Files of an archive.
    pub(crate) files: Vec<Value>,
}

#[derive(Default)]
struct State {
    api: String,
    log: Vec<Recorded>,
    containers: BTreeMap<String, Container>,
    networks: BTreeMap<String, Value>,
    volumes: BTreeMap<String, Value>,
}

struct Container {
    name: String,
    body: Value,
    up: bool,
}

/// The engine; it ends when it is dropped.
pub(crate) struct RecordingEngine {
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
    socket: PathBuf,
    thread: Option<JoinHandle<()>>,
}

impl RecordingEngine {
    /// Listens below a directory. The network `outside-net` and the volume `outside-vol` are there.
    pub(crate) fn start(dir: &Path, api: &str) -> Self {
        let socket = dir.join("engine.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let state = State {
            api: api.to_owned(),
            networks: BTreeMap::from([("outside-net".to_owned(), json!({ "Labels": {} }))]),
            volumes: BTreeMap::from([("outside-vol".to_owned(), json!({ "Labels": {} }))]),
            ..State::default()
        };
        let (state, stop) = (Arc::new(Mutex::new(state)), Arc::new(AtomicBool::new(false)));
        let (shared, stopped) = (Arc::clone(&state), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let shared = Arc::clone(&shared);
                // Ends with its connection.
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self {
            state,
            stop,
            socket,
            thread: Some(thread),
        }
    }

    /// As `DOCKER_HOST`.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    pub(crate) fn recorded(&self) -> Vec<Recorded> {
        self.state.lock().unwrap().log.clone()
    }
}

impl Drop for RecordingEngine {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the thread, which then sees the flag.
        drop(UnixStream::connect(&self.socket));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(stream: UnixStream, state: &Mutex<State>) {
    let Ok(mut writer) = stream.try_clone() else {
        return;
    };
    let mut reader = BufReader::new(stream);
    while let Some(request) = http::read(&mut reader) {
        let (answer, api) = {
            let mut state = state.lock().unwrap();
            (state.answer(&request), state.api.clone())
        };
        let written = http::write(&mut writer, &api, request.method == "HEAD", &answer);
        // After an upgrade the connection is the process's, which has ended.
        if written.is_err() || answer.status == 101 {
            return;
        }
    }
}

/// An id of 64 hex digits out of a name; `prefix` tells the kinds apart.
pub(crate) fn id(prefix: char, name: &str) -> String {
    use sha2::{Digest as _, Sha256};
    let hash = hex::encode(Sha256::digest(name));
    format!("{prefix}{}", &hash[1..])
}

impl State {
    fn answer(&mut self, request: &Request) -> Answer {
        if matches!(request.method.as_str(), "POST" | "PUT" | "DELETE") {
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
                let list = self.containers.iter();
                let list = list.filter(|(_, container)| has_labels(&container.body["Labels"], request));
                let list: Vec<Value> = list.map(|(id, container)| summary(id, container)).collect();
                Answer::json(200, &json!(list))
            }
            ["create"] => {
                let name = request.query("name").unwrap_or_default().to_owned();
                if self.containers.values().any(|container| container.name == name) {
                    return Answer::fault(409, "the container name is already in use");
                }
                let id = id('c', &name);
                let body = request.json();
                self.containers.insert(
                    id.clone(),
                    Container {
                        name,
                        body,
                        up: false,
                    },
                );
                Answer::json(201, &json!({ "Id": id, "Warnings": [] }))
            }
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

    fn container(&mut self, request: &Request, id: &str, action: &[&str]) -> Answer {
        if request.method == "DELETE" {
            self.containers.remove(id);
            return Answer::empty(204);
        }
        let Some(container) = self.containers.get_mut(id) else {
            return Answer::empty(404);
        };
        match action {
            ["json"] => Answer::json(200, &inspected(id, container)),
            ["start" | "restart"] => {
                container.up = true;
                Answer::empty(204)
            }
            ["stop" | "kill"] => {
                container.up = false;
                Answer::empty(204)
            }
            ["rename"] => {
                container.name = request.query("name").unwrap_or_default().to_owned();
                Answer::empty(204)
            }
            ["exec"] => Answer::json(201, &json!({ "Id": "e0" })),
            ["wait"] => Answer::json(200, &json!({ "StatusCode": 0 })),
            _ => Answer::empty(200),
        }
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

/// Filters come as a list or as a map of names to true.
fn has_labels(labels: &Value, request: &Request) -> bool {
    let filters: Value = serde_json::from_str(request.query("filters").unwrap_or("{}")).unwrap_or_default();
    let wanted: Vec<String> = match &filters["label"] {
        Value::Array(items) => items
            .iter()
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect(),
        Value::Object(items) => items.keys().cloned().collect(),
        _ => Vec::new(),
    };
    wanted.iter().all(|wanted| match wanted.split_once('=') {
        Some((name, value)) => labels[name] == value,
        None => labels.get(wanted).is_some(),
    })
}

fn image(name: &str) -> Value {
    json!({
        "Id": format!("sha256:{}", id('a', name)), "RepoTags": [name], "Config": {}, "Os": "linux",
        "Architecture": "amd64", "Created": "2020-01-01T00:00:00Z", "Size": 1,
        "RootFS": { "Type": "layers", "Layers": [] }, "Metadata": { "LastTagTime": "2099-01-01T00:00:00Z" },
    })
}

fn networks_of(container: &Container) -> Value {
    let endpoints = container.body["NetworkingConfig"]["EndpointsConfig"].as_object();
    let names = endpoints.into_iter().flatten();
    names
        .map(|(name, _)| (name.clone(), json!({ "NetworkID": id('f', name) })))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn summary(id: &str, container: &Container) -> Value {
    let (state, status) = if container.up {
        ("running", "Up 3 minutes (healthy)")
    } else {
        ("created", "Created")
    };
    json!({
        "Id": id, "Names": [format!("/{}", container.name)], "Image": container.body["Image"], "ImageID": "",
        "Created": 1_600_000_000, "Ports": [], "Labels": container.body["Labels"], "State": state, "Status": status,
        "NetworkSettings": { "Networks": networks_of(container) }, "Mounts": mounts(container),
    })
}

/// Named volumes, so that the plan after the deploy finds nothing missing.
fn mounts(container: &Container) -> Value {
    let binds = container.body["HostConfig"]["Binds"].as_array();
    let named = binds.into_iter().flatten().filter_map(|bind| {
        let mut parts = bind.as_str()?.split(':');
        let (source, target) = (parts.next()?, parts.next()?);
        (!source.starts_with('/')).then(|| json!({ "Type": "volume", "Name": source, "Destination": target }))
    });
    let mounts = container.body["HostConfig"]["Mounts"].as_array();
    let given = mounts.into_iter().flatten().map(
        |mount| json!({ "Type": mount["Type"], "Name": mount["Source"], "Destination": mount["Target"] }),
    );
    named.chain(given).collect::<Vec<_>>().into()
}

fn inspected(id: &str, container: &Container) -> Value {
    let mut config = container.body.clone();
    for key in ["HostConfig", "NetworkingConfig"] {
        config.as_object_mut().map(|config| config.shift_remove(key));
    }
    let mut state = json!({
        "Status": if container.up { "running" } else { "created" }, "Running": container.up, "ExitCode": 0,
        "StartedAt": "2020-01-01T00:00:00Z", "FinishedAt": "0001-01-01T00:00:00Z",
    });
    if container.up && container.body["Healthcheck"]["Test"].is_array() {
        state["Health"] = json!({ "Status": "healthy", "FailingStreak": 0, "Log": [] });
    }
    json!({
        "Id": id, "Name": format!("/{}", container.name), "Created": "2020-01-01T00:00:00Z", "State": state,
        "Image": "", "Config": config, "HostConfig": container.body["HostConfig"], "Mounts": mounts(container),
        "NetworkSettings": { "Networks": networks_of(container), "Ports": {} }, "Platform": "linux",
    })
}
