//! One host: an agent with a state directory of its own.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use fs_err as fs;
use tempfile::TempDir;
use windflow_model::AgentId;

use crate::program::{Finished, Launch, Program};

/// Where the host's stacks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Simulated containers.
    Fake,
    /// The engine of this machine.
    Docker,
}

/// A host. Its agent is killed when this is dropped.
#[derive(Debug)]
pub struct Host {
    /// The agent's process.
    pub agent: Program,
    name: String,
    target: Target,
    dir: TempDir,
    id: Option<AgentId>,
    env: Vec<(String, String)>,
}

impl Host {
    /// A host that has not joined yet.
    ///
    /// # Panics
    /// If there is no folder for it.
    #[must_use]
    pub fn new(name: &str, target: Target) -> Self {
        Self::new_in(&std::env::temp_dir(), name, target)
    }

    /// As [`Host::new`], its folder below `root`.
    ///
    /// # Panics
    /// If there is no folder for it.
    #[must_use]
    pub fn new_in(root: &Path, name: &str, target: Target) -> Self {
        let prefix = format!("wft-{name}-");
        let dir = tempfile::Builder::new()
            .prefix(&prefix)
            .tempdir_in(root)
            .expect("a folder");
        Self {
            agent: Program::new(&format!("agent {name}"), dir.path().join("agent.log")),
            name: name.to_owned(),
            target,
            dir,
            id: None,
            env: Vec::new(),
        }
    }

    /// Sets a variable for everything the host runs.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its id.
    ///
    /// # Panics
    /// Before it has joined.
    #[must_use]
    pub fn id(&self) -> AgentId {
        self.id.expect("the host has joined")
    }

    pub(crate) const fn set_id(&mut self, id: AgentId) {
        self.id = Some(id);
    }

    /// Its state directory.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// A folder that goes away with the host.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.dir.path()
    }

    /// A command of the agent with this host's state directory and variables.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Launch {
        let mut launch = Launch::ours("windflow-agent", args.iter().copied());
        launch = launch.env("WINDFLOW_STATE_DIR", self.state_dir());
        // The engine that the test itself looks at.
        if let Some(engine) = std::env::var_os("DOCKER_HOST") {
            launch = launch.env("DOCKER_HOST", engine);
        }
        for (name, value) in &self.env {
            launch = launch.env(name, value);
        }
        launch
    }

    /// `windflow-agent enroll`, whatever comes of it.
    ///
    /// # Panics
    /// If the token cannot be handed over.
    pub async fn enrol(&self, controller: SocketAddr, pin: &str, token: &str) -> Finished {
        let file = self.dir.path().join("token");
        fs::write(&file, token).expect("a file");
        let (to, file) = (controller.to_string(), file.display().to_string());
        let args = [
            "enroll",
            "--controller",
            &to,
            "--ca-pin",
            pin,
            "--token-file",
            &file,
            "--name",
            &self.name,
        ];
        self.command(&args).finish().await
    }

    /// Starts the agent. Does not wait for anything.
    pub fn start(&mut self) {
        let launch = self.launch();
        self.agent.start(&launch);
    }

    /// How the agent is started.
    #[must_use]
    pub fn launch(&self) -> Launch {
        let target = match self.target {
            Target::Fake => "fake",
            Target::Docker => "docker",
        };
        self.command(&["run", "--target", target])
    }
}
