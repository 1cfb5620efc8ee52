//! What keeps a controller from starting or from writing: one clear error with the remedy, nothing half-done.

use std::{
    net::{SocketAddr, TcpListener, UdpSocket},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use fs_err as fs;
use windflow_api::{SetupRequest, StackCreate};
use windflow_client::{Client, Context, Error};
use windflow_kit::Secret;
use windflow_tests::{
    fleet::{free_port, spec},
    program::{Finished, Launch, Program},
    wait::until,
};

const SOON: Duration = Duration::from_secs(30);

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn serve(dir: &Path, http: SocketAddr, quic: SocketAddr) -> Launch {
    let dir = dir.display().to_string();
    let (http, quic) = (http.to_string(), quic.to_string());
    Launch::ours(
        "windflow-controller",
        ["serve", "--data-dir", &dir, "--http", &http, "--quic", &quic],
    )
}

fn check(done: &Finished, code: i32, says: &[&str]) {
    assert_eq!(done.code, code, "{}{}", done.stdout, done.stderr);
    for word in says {
        assert!(done.stderr.contains(word), "{word:?} is not in {}", done.stderr);
    }
}

/// Starts a controller on `dir` until it is ready, and stops it in order.
async fn once(dir: &Path) {
    let address = loopback(free_port());
    let log = dir.with_extension("log");
    // What an earlier life said does not count.
    if log.exists() {
        fs::remove_file(&log).unwrap();
    }
    let mut controller = Program::new("controller", log);
    controller.start(&serve(dir, address, address));
    until("the controller is ready", SOON, async || {
        assert!(controller.is_running(), "it has ended");
        controller.said().contains("controller is ready").then_some(())
    })
    .await;
    controller.stop(SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_and_directories_that_are_taken() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("data");
    let me = format!("process {}", std::process::id());
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let free = loopback(free_port());
    let taken = tcp.local_addr().unwrap();
    check(
        &serve(&dir, taken, free).finish().await,
        1,
        &["TCP port", &me, "--http"],
    );
    let taken = udp.local_addr().unwrap();
    check(
        &serve(&dir, free, taken).finish().await,
        1,
        &["UDP port", &me, "--quic"],
    );
    let foreign = "192.0.2.1:9".parse().unwrap();
    check(
        &serve(&dir, foreign, free).finish().await,
        1,
        &["no such address", "--http"],
    );
    let lock = windflow_kit::DirLock::acquire(&dir).unwrap();
    check(&serve(&dir, free, free).finish().await, 1, &[&me, "--data-dir"]);
    drop(lock);
    let file = scratch.path().join("file");
    fs::write(&file, "").unwrap();
    check(
        &serve(&file, free, free).finish().await,
        1,
        &["cannot be created", "--data-dir"],
    );
    check(
        &serve(&file.join("x"), free, free).finish().await,
        1,
        &["cannot be created"],
    );
    // None of the refusals left anything in the way of a start.
    once(&dir).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_all_refused_at_once() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("c.toml");
    fs::write(&file, "htpp = 'x'\nhttp = 'nowhere'\n").unwrap();
    let launch = Launch::ours(
        "windflow-controller",
        ["serve", "--config", file.to_str().unwrap()],
    );
    let done = launch
        .env("WINDFLOW_QUIC", "7")
        .env("WINDFLOW_CONTROLLER_HTTP", "x")
        .finish()
        .await;
    let says = [
        "c.toml:1:1: unknown key `htpp`",
        "c.toml:2:1: http: \"nowhere\"",
        "WINDFLOW_QUIC: \"7\"",
        "WINDFLOW_CONTROLLER_HTTP: there is no such setting",
    ];
    check(&done, 2, &says);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_authority_or_store_is_named_and_not_replaced() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("data");
    once(&dir).await;
    let pin = async || {
        let at = dir.display().to_string();
        Launch::ours("windflow-controller", ["ca-pin", "--data-dir", &at])
            .finish()
            .await
            .ok()
    };
    let before = pin().await;
    let check = async |name: &str, spoil: &dyn Fn(&Path), says: &[&str]| {
        let (path, kept) = (dir.join(name), scratch.path().join("kept"));
        fs::copy(&path, &kept).unwrap();
        spoil(&path);
        let free = loopback(free_port());
        check(&serve(&dir, free, free).finish().await, 1, says);
        fs::copy(&kept, &path).unwrap();
        fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    let exposed = |path: &Path| fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    check("ca/ca.key", &exposed, &["readable by other users", "chmod 600"]).await;
    let gone = |path: &Path| fs::remove_file(path).unwrap();
    check("ca/ca.key", &gone, &["ca.key is missing", "backup"]).await;
    let junk = |path: &Path| fs::write(path, "junk").unwrap();
    check("ca/ca.crt", &junk, &["ca.crt holds no certificate"]).await;
    check("store.redb", &junk, &["store.redb is damaged", "backup"]).await;
    let short = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    };
    check("store.redb", &short, &["store.redb is damaged", "backup"]).await;
    // A lost id is read back from the authority: hosts know the controller by it.
    let id = fs::read_to_string(dir.join("deployment-id")).unwrap();
    fs::remove_file(dir.join("deployment-id")).unwrap();
    once(&dir).await;
    assert_eq!(fs::read_to_string(dir.join("deployment-id")).unwrap(), id);
    assert_eq!(pin().await, before);
}

/// A controller whose data directory is a small file system of its own, in a mount namespace that ends with it.
struct Small {
    controller: Program,
    address: SocketAddr,
    scratch: tempfile::TempDir,
}

impl Small {
    async fn start() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let mount = scratch.path().join("disk");
        fs::create_dir(&mount).unwrap();
        let address = loopback(free_port());
        let ours = serve(&mount.join("data"), address, address);
        let script = "mount -t tmpfs -o size=8m tmpfs \"$0\" && exec \"$@\"";
        let mut launch = Launch {
            program: PathBuf::from("/usr/bin/unshare"),
            args: ["--user", "--map-root-user", "--mount", "sh", "-c", script]
                .map(Into::into)
                .into(),
            env: ours.env.clone(),
            user: None,
        };
        launch.args.push(mount.into());
        launch.args.push(ours.program.into());
        launch.args.extend(ours.args);
        let mut controller = Program::new("controller", scratch.path().join("log"));
        controller.start(&launch);
        let small = Self {
            controller,
            address,
            scratch,
        };
        until("the setup code is there", SOON, async || small.setup_code()).await;
        small
    }

    /// The disk as the controller sees it.
    fn disk(&self) -> PathBuf {
        let pid = self.controller.pid().unwrap();
        let path = self.scratch.path().join("disk");
        PathBuf::from(format!("/proc/{pid}/root")).join(path.strip_prefix("/").unwrap())
    }

    fn setup_code(&self) -> Option<String> {
        let code = self.disk().join("data/setup-code");
        let text = fs::read_to_string(&code).ok()?;
        let mode = fs::metadata(&code).ok()?.permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "the setup code is for its owner only");
        Some(text.trim().to_owned())
    }

    async fn administrator(&self) -> Client {
        let said = self.controller.said();
        let pin = said
            .lines()
            .find_map(|line| line.strip_prefix("CA pin: "))
            .unwrap();
        let mut context = Context {
            url: format!("https://{}", self.address),
            ca_pin: windflow_client::pin::parse_pin(pin),
            token: None,
        };
        let request = SetupRequest {
            code: self.setup_code().unwrap(),
            username: "admin".to_owned(),
            password: "a password for tests".to_owned(),
            token: true,
        };
        let session = Client::new(&context).unwrap().setup(&request).await.unwrap();
        context.token = session.token.map(Secret::new);
        Client::new(&context).unwrap()
    }
}

async fn create(client: &Client, number: usize) -> Result<(), Error> {
    let padding = "x".repeat(200_000);
    let text =
        format!("services:\n  web:\n    image: example/web:1\n    environment: {{ V: '{padding}' }}\n");
    let create = StackCreate {
        name: format!("s{number}").parse().unwrap(),
        spec: spec(&text),
    };
    client.stack_create(&create).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_changes_keeps_everything_and_recovers_alone() {
    let mut small = Small::start().await;
    let client = small.administrator().await;
    // Leave little room, then fill the rest through the API.
    let ballast = small.disk().join("ballast");
    fs::write(&ballast, vec![0; 3 << 20]).unwrap();
    let mut made = 0;
    let error = loop {
        match create(&client, made).await {
            Ok(()) => made += 1,
            Err(error) => break error,
        }
        assert!(made < 100, "the disk never fills");
    };
    assert!(made > 0, "not one stack fitted");
    let seen = (error.status, error.code.as_deref());
    assert_eq!(seen, (Some(507), Some("WF-1012")), "{error}");
    assert!(error.message.contains("is full; nothing was changed"), "{error}");
    // Reads go on, and show exactly what was acknowledged.
    assert_eq!(client.stack_list().await.unwrap().len(), made);
    fs::remove_file(&ballast).unwrap();
    create(&client, made).await.unwrap();
    assert_eq!(client.stack_list().await.unwrap().len(), made + 1);
    assert!(small.controller.is_running());
}
