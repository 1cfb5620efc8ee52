//! What a release has left on disk: a controller's and a host's folder in one archive below `tests/releases`, with what
//! their owner knew of them. Each release adds its archive and keeps those before it: every later one has to open them.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use fs_err as fs;
use serde::{Deserialize, Serialize};
use windflow_api::LoginRequest;
use windflow_client::{Client, Context};
use windflow_kit::Secret;

use crate::{
    Fleet, Host,
    fleet::free_port,
    program::{Launch, Program},
    wait::until,
};

/// Until a program of today has taken the files over.
const START_WITHIN: Duration = Duration::from_secs(60);
const FACTS: &str = "facts.json";

/// What the owner knew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Version of the programs that wrote the files.
    pub version: String,
    /// Pin of the controller's authority.
    pub pin: String,
    /// The administrator's name and password.
    pub user: (String, String),
    /// Where the controller was (UDP), as the host has written down.
    pub address: SocketAddr,
    /// The host's id.
    pub agent: String,
    /// The stack that it has.
    pub stack: String,
    /// Text of its Compose file.
    pub compose: String,
    /// Revision that the host holds.
    pub rev: u64,
    /// Every deployment there was, and how it ended.
    pub deployments: Vec<(String, String)>,
    /// Name of a group of hosts.
    pub group: String,
    /// Records of the audit trail that were sealed.
    pub audited: u64,
}

/// Puts a controller and a host whose programs have ended into an archive.
///
/// # Panics
/// If a file cannot be read or written.
pub fn pack(fleet: &Fleet, host: &Host, facts: &Facts, to: &Path) {
    let file = fs::File::create(to).expect("an archive");
    let mut archive = tar::Builder::new(file);
    // With their modes: keys that others can read are refused.
    archive.mode(tar::HeaderMode::Complete);
    let folders = [("controller", fleet.data_dir()), ("agent", host.state_dir())];
    for (name, folder) in folders {
        archive.append_dir_all(name, folder).expect("a folder");
    }
    let facts = serde_json::to_vec_pretty(facts).expect("facts");
    let mut header = tar::Header::new_gnu();
    header.set_size(facts.len() as u64);
    header.set_mode(0o600);
    archive
        .append_data(&mut header, FACTS, facts.as_slice())
        .expect("a file");
    archive.finish().expect("an archive");
}

/// The archives, oldest first.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn archives() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("releases");
    let found = fs::read_dir(folder).expect("tests/releases");
    let found = found.map(|entry| entry.expect("an entry").path());
    let mut found: Vec<PathBuf> = found
        .filter(|path| path.extension().is_some_and(|kind| kind == "tar"))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no archive in tests/releases");
    found
}

/// An archive whose files the programs of today work on.
#[derive(Debug)]
pub struct Release {
    /// What their owner knew.
    pub facts: Facts,
    /// The controller of today.
    pub controller: Program,
    /// The agent of today.
    pub agent: Program,
    client: Client,
    context: Context,
    http: SocketAddr,
    dir: tempfile::TempDir,
}

impl Release {
    /// Unpacks an archive; starts nothing.
    ///
    /// # Panics
    /// If it is not one that [`pack`] wrote.
    #[must_use]
    pub fn unpack(archive: &Path) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("wft-release-")
            .tempdir()
            .expect("a folder");
        let file = fs::File::open(archive).expect("the archive");
        let mut archive = tar::Archive::new(file);
        archive.set_preserve_permissions(true);
        archive.unpack(dir.path()).expect("a whole archive");
        let facts = fs::read(dir.path().join(FACTS)).expect("facts");
        let facts: Facts = serde_json::from_slice(&facts).expect("facts");
        let http = SocketAddr::from(([127, 0, 0, 1], free_port()));
        // The host knows its controller by an address that may be another one's today.
        let known = dir.path().join("agent/controller.toml");
        let text = fs::read_to_string(&known).expect("the host's controller");
        let moved = text.replace(&facts.address.to_string(), &http.to_string());
        assert_ne!(text, moved, "{} is not in {text}", facts.address);
        fs::write(&known, moved).expect("a file");
        let context = Context {
            url: format!("https://{http}"),
            ca_pin: windflow_client::pin::parse_pin(&facts.pin),
            token: None,
        };
        Self {
            controller: Program::new("controller", dir.path().join("controller.log")),
            agent: Program::new("agent", dir.path().join("agent.log")),
            client: Client::new(&context).expect("a client"),
            context,
            facts,
            http,
            dir,
        }
    }

    /// The controller's folder.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("controller")
    }

    /// The host's folder.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.dir.path().join("agent")
    }

    /// The administrator's client.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Starts the controller of today on the files, and signs in as the administrator that they know.
    ///
    /// # Panics
    /// If it does not come up, or does not let the administrator in.
    pub async fn start_controller(&mut self) {
        let at = self.http.to_string();
        let mut launch = Launch::ours(
            "windflow-controller",
            ["serve", "--http", &at, "--quic", &at, "--data-dir"],
        );
        launch.args.push(self.data_dir().into());
        self.controller.start(&launch);
        let (username, password) = self.facts.user.clone();
        let login = LoginRequest {
            username,
            password,
            token: true,
        };
        let session = until("the controller takes the files over", START_WITHIN, async || {
            assert!(self.controller.is_running(), "{}", self.controller.said());
            self.client.session_create(&login).await.ok()
        })
        .await;
        self.context.token = session.token.map(Secret::new);
        self.client = Client::new(&self.context).expect("a client");
    }

    /// Starts the agent of today on the files.
    pub fn start_agent(&mut self) {
        let launch = Launch::ours("windflow-agent", ["run", "--target", "fake"]);
        self.agent
            .start(&launch.env("WINDFLOW_STATE_DIR", self.state_dir()));
    }
}
