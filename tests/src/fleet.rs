//! A controller with its administrator, and the way to hosts and stacks from there.

use std::{
    net::{SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    time::Duration,
};

use fs_err as fs;
use tempfile::TempDir;
use windflow_api::{
    Agent, DeployRequest, DeploymentView, EnrolmentTokenCreate, SetupRequest, StackCreate, StackUpdate,
    StackView,
};
use windflow_client::{Client, Context};
use windflow_kit::Secret;
use windflow_model::{AgentId, DeploymentId, Presence, SpecFile, StackSpec};

use crate::{
    host::{Host, Target},
    program::{Launch, Program},
    wait::until,
};

/// Until a controller answers; debug builds on busy machines are slow to start.
const START_WITHIN: Duration = Duration::from_secs(30);
const USER: &str = "admin";
const PASSWORD: &str = "a password for tests";

/// A running controller with an administrator.
#[derive(Debug)]
pub struct Fleet {
    /// The controller's process.
    pub controller: Program,
    root: PathBuf,
    dir: TempDir,
    http: SocketAddr,
    quic: SocketAddr,
    pin: String,
    client: Client,
    env: Vec<(String, String)>,
}

/// A port that is free for TCP and UDP, below the range from which the kernel gives ports to those who ask for any: a
/// controller that is down for a moment finds its port free again.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn free_port() -> u16 {
    let first = 12_000 + u16::try_from(std::process::id() % 9_000).unwrap_or_default();
    let mut ports = first..32_000;
    let free = |port: &u16| {
        let address = ("127.0.0.1", *port);
        TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok()
    };
    ports.find(free).expect("a free port")
}

/// A folder in memory, where there is one. For whatever kills processes often: what they wrote is there after a kill, and
/// no test has to wait for a disk. A power cut needs a disk.
#[must_use]
pub fn memory() -> PathBuf {
    let shared = Path::new("/dev/shm");
    let usable = tempfile::tempdir_in(shared).is_ok();
    if usable {
        shared.to_path_buf()
    } else {
        std::env::temp_dir()
    }
}

/// Name and password of every fleet's administrator.
#[must_use]
pub fn administrator() -> (String, String) {
    (USER.to_owned(), PASSWORD.to_owned())
}

/// A spec of one Compose file.
#[must_use]
pub fn spec(compose: &str) -> StackSpec {
    let mut spec = StackSpec {
        files: vec![SpecFile {
            path: "compose.yaml".to_owned(),
            content: compose.to_owned(),
        }],
        ..StackSpec::default()
    };
    spec.policy.health_timeout_s = 60;
    spec
}

impl Fleet {
    /// Starts a controller and makes its administrator with the setup code.
    ///
    /// # Panics
    /// If it does not come up.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// As [`Fleet::start`], with variables for the controller.
    ///
    /// # Panics
    /// If it does not come up.
    pub async fn start_with(env: &[(&str, &str)]) -> Self {
        Self::start_in(&std::env::temp_dir(), env).await
    }

    /// As [`Fleet::start_with`], everything of it and of its hosts in folders below `root`.
    ///
    /// # Panics
    /// If it does not come up.
    pub async fn start_in(root: &Path, env: &[(&str, &str)]) -> Self {
        Self::prepared(root, env, |_| true)
            .await
            .expect("nothing is prepared")
    }

    /// As [`Fleet::start_in`]; `prepare` gets the empty data directory first, and `None` comes back if it says no.
    ///
    /// # Panics
    /// If it does not come up.
    pub async fn start_on(root: &Path, prepare: impl FnOnce(&Path) -> bool) -> Option<Self> {
        let prepare = |data: &Path| {
            fs::create_dir_all(data).expect("a folder");
            prepare(data)
        };
        Self::prepared(root, &[], prepare).await
    }

    async fn prepared(
        root: &Path,
        env: &[(&str, &str)],
        prepare: impl FnOnce(&Path) -> bool,
    ) -> Option<Self> {
        let dir = tempfile::Builder::new()
            .prefix("wft-fleet-")
            .tempdir_in(root)
            .expect("a folder");
        let http = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let controller = Program::new("controller", dir.path().join("controller.log"));
        let context = |pin, token| Context {
            url: format!("https://{http}"),
            ca_pin: pin,
            token,
        };
        let client = |pin, token| Client::new(&context(pin, token)).expect("a client");
        let mut fleet = Self {
            controller,
            http,
            quic: http,
            pin: String::new(),
            client: client(None, None),
            env: env
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            root: root.to_path_buf(),
            dir,
        };
        if !prepare(&fleet.data_dir()) {
            return None;
        }
        fleet.start_controller();
        let code_file = fleet.data_dir().join("setup-code");
        let code = until("the controller prints its setup code", START_WITHIN, async || {
            assert!(fleet.controller.is_running(), "the controller has ended");
            fs::read_to_string(&code_file).ok()
        });
        let code = code.await.trim().to_owned();
        let said = fleet.controller.said();
        let pin = said.lines().find_map(|line| line.strip_prefix("CA pin: "));
        fleet.pin = pin.expect("the controller prints its pin").trim().to_owned();
        let parsed = windflow_client::pin::parse_pin(&fleet.pin);
        let request = SetupRequest {
            code,
            username: USER.to_owned(),
            password: PASSWORD.to_owned(),
            token: true,
        };
        let session = client(parsed.clone(), None)
            .setup(&request)
            .await
            .expect("the setup code works");
        fleet.client = client(parsed, session.token.map(Secret::new));
        Some(fleet)
    }

    fn start_controller(&mut self) {
        let launch = self.launch();
        self.controller.start(&launch);
    }

    /// How the controller is started.
    #[must_use]
    pub fn launch(&self) -> Launch {
        let mut launch = Launch::ours(
            "windflow-controller",
            [
                "serve",
                "--http",
                &self.http.to_string(),
                "--quic",
                &self.quic.to_string(),
                "--data-dir",
            ],
        );
        launch.args.push(self.data_dir().into());
        for (name, value) in &self.env {
            launch = launch.env(name, value);
        }
        launch
    }

    /// Starts the controller again on its data and ports, and waits until it says that it is ready: its clock may be so
    /// wrong that nobody is let in.
    ///
    /// # Panics
    /// If it does not come up.
    pub async fn restart_ignored(&mut self) {
        let before = self.controller.said().matches("controller is ready").count();
        self.start_controller();
        until("the controller is ready again", START_WITHIN, async || {
            assert!(self.controller.is_running(), "the controller has ended");
            (self.controller.said().matches("controller is ready").count() > before).then_some(())
        })
        .await;
    }

    /// Starts the controller again on its data and ports, and waits until it is ready.
    ///
    /// # Panics
    /// If it does not come up.
    pub async fn restart_controller(&mut self) {
        self.start_controller();
        until("the controller answers again", START_WITHIN, async || {
            assert!(self.controller.is_running(), "the controller has ended");
            self.client.me().await.ok()
        })
        .await;
    }

    /// Sets a variable for the next start of the controller.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// The administrator's client.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Where agents dial (UDP).
    #[must_use]
    pub const fn quic(&self) -> SocketAddr {
        self.quic
    }

    /// Where the API is (TCP).
    #[must_use]
    pub const fn http(&self) -> SocketAddr {
        self.http
    }

    /// The pin of its authority, as it prints it.
    #[must_use]
    pub fn pin(&self) -> &str {
        &self.pin
    }

    /// The controller's data directory.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A folder that goes away with the fleet.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.dir.path()
    }

    /// A new enrolment token.
    ///
    /// # Panics
    /// If the controller refuses.
    pub async fn token(&self) -> String {
        let request = EnrolmentTokenCreate::default();
        let created = self.client.enrolment_token_create(&request).await;
        created.expect("a token").secret
    }

    /// Enrols a host the way a user does. It does not run yet.
    ///
    /// # Panics
    /// If that fails.
    pub async fn enrol(&self, name: &str, target: Target) -> Host {
        self.enrol_by(name, target, self.quic).await
    }

    /// As [`Fleet::enrol`], dialling `address`.
    ///
    /// # Panics
    /// If that fails.
    pub async fn enrol_by(&self, name: &str, target: Target, address: SocketAddr) -> Host {
        let host = Host::new_in(&self.root, name, target);
        self.join(host, address).await
    }

    /// As [`Fleet::enrol`]; `prepare` gets the empty state directory first, and `None` comes back if it says no.
    ///
    /// # Panics
    /// If that fails.
    pub async fn enrol_on(
        &self,
        name: &str,
        target: Target,
        prepare: impl FnOnce(&Path) -> bool,
    ) -> Option<Host> {
        let host = Host::new_in(&self.root, name, target);
        fs::create_dir_all(host.state_dir()).expect("a folder");
        if !prepare(&host.state_dir()) {
            return None;
        }
        Some(self.join(host, self.quic).await)
    }

    async fn join(&self, mut host: Host, address: SocketAddr) -> Host {
        let token = self.token().await;
        let _said = host.enrol(address, &self.pin, &token).await.ok();
        let found = self.client.agent_find(host.name()).await;
        host.set_id(found.expect("the host is in the list").record.id);
        host
    }

    /// Enrols a host, runs it, and waits until it is connected.
    ///
    /// # Panics
    /// If that fails.
    pub async fn host(&self, name: &str, target: Target) -> Host {
        let mut host = self.enrol(name, target).await;
        host.start();
        self.connected(&host).await;
        host
    }

    /// Waits until a host is connected; gives since when, in controller time (milliseconds).
    ///
    /// # Panics
    /// After 30 s.
    pub async fn connected(&self, host: &Host) -> i64 {
        let what = format!("{} is connected", host.name());
        until(&what, START_WITHIN, async || {
            match self.presence(host.id()).await {
                Presence::Connected { since, .. } => Some(since.as_millis()),
                Presence::Offline { .. } => None,
            }
        })
        .await
    }

    /// Waits until the controller shows a host as offline; gives the reason.
    ///
    /// # Panics
    /// After `bound`.
    pub async fn offline(&self, host: &Host, bound: Duration) -> String {
        let what = format!("{} is shown as offline", host.name());
        until(&what, bound, async || match self.presence(host.id()).await {
            Presence::Connected { .. } => None,
            Presence::Offline { reason, .. } => Some(reason),
        })
        .await
    }

    /// Whether a host is there.
    ///
    /// # Panics
    /// If the controller does not answer.
    pub async fn presence(&self, agent: AgentId) -> Presence {
        let agent: Agent = self.client.agent_show(agent).await.expect("the host is known");
        agent.presence
    }

    /// Saves a stack, new or known.
    ///
    /// # Panics
    /// If the controller refuses.
    pub async fn save(&self, name: &str, spec: StackSpec) -> StackView {
        let stacks = self.client.stack_list().await.expect("a list");
        let known = stacks.into_iter().find(|known| known.stack.name.as_str() == name);
        let saved = match known {
            Some(known) => {
                let update = StackUpdate { spec };
                self.client
                    .stack_update(known.stack.id, known.version, &update)
                    .await
            }
            None => {
                let name = name.parse().expect("a stack name");
                self.client.stack_create(&StackCreate { name, spec }).await
            }
        };
        saved.expect("the stack is saved")
    }

    /// Saves a stack and deploys it to hosts. Does not wait.
    ///
    /// # Panics
    /// If the controller refuses.
    pub async fn deploy(&self, name: &str, compose: &str, hosts: &[&Host]) -> Vec<DeploymentView> {
        self.deploy_spec(name, spec(compose), hosts).await
    }

    /// As [`Fleet::deploy`], with a whole spec.
    ///
    /// # Panics
    /// If the controller refuses.
    pub async fn deploy_spec(&self, name: &str, spec: StackSpec, hosts: &[&Host]) -> Vec<DeploymentView> {
        let stack = self.save(name, spec).await;
        let request = DeployRequest {
            pins: Vec::new(),
            agents: hosts.iter().map(|host| host.id()).collect(),
            rev: None,
        };
        let deployed = self.client.deployment_create(stack.stack.id, &request).await;
        deployed.expect("the deployments are queued")
    }

    /// One deployment, as the controller shows it now.
    ///
    /// # Panics
    /// If the controller does not answer.
    pub async fn deployment(&self, id: DeploymentId) -> DeploymentView {
        self.client
            .deployment_show(id)
            .await
            .expect("the deployment is known")
    }

    /// Waits until a deployment has ended.
    ///
    /// # Panics
    /// After `bound`.
    pub async fn ended(&self, id: DeploymentId, bound: Duration) -> DeploymentView {
        // Also while the controller is away: the test may have killed it.
        until("the deployment ends", bound, async || {
            let view = self.client.deployment_show(id).await.ok()?;
            view.deployment.state.is_terminal().then_some(view)
        })
        .await
    }

    /// The command line, signed in as the administrator.
    ///
    /// # Panics
    /// If the login fails.
    pub async fn command_line(&self) -> CommandLine {
        let config = self.dir.path().join("cli.toml");
        let password = self.dir.path().join("password");
        fs::write(&password, PASSWORD).expect("a file");
        let line = CommandLine { config };
        let (url, pin) = (format!("https://{}", self.http), self.pin.clone());
        let file = password.display().to_string();
        let login = [
            "login",
            &url,
            "--ca-pin",
            &pin,
            "--username",
            USER,
            "--password-file",
            &file,
        ];
        let _said = line.run(&login).await.ok();
        line
    }
}

/// `windflow` with a configuration of its own.
#[derive(Debug)]
pub struct CommandLine {
    config: PathBuf,
}

impl CommandLine {
    /// How `windflow` is started.
    #[must_use]
    pub fn launch(&self, args: &[&str]) -> Launch {
        let launch = Launch::ours("windflow", args.iter().copied());
        launch.env("WINDFLOW_CONFIG", &self.config)
    }

    /// Runs `windflow` to its end.
    pub async fn run(&self, args: &[&str]) -> crate::program::Finished {
        self.launch(args).finish().await
    }
}
