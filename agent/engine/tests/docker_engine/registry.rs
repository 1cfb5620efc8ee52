//! Debian's `docker-registry` on a free port of this machine. Docker takes 127.0.0.0/8 without TLS.

use std::{collections::HashMap, net::TcpListener, path::PathBuf, process::Stdio, time::Duration};

use bollard::{
    Docker,
    auth::DockerCredentials,
    body_full,
    models::{ContainerConfig, ContainerCreateBody},
    query_parameters::{
        CommitContainerOptions, CreateContainerOptions, PushImageOptions, RemoveContainerOptions,
        RemoveImageOptions, UploadToContainerOptions,
    },
};
use futures_util::StreamExt as _;
use windflow_kit::Random;

/// Bytes of the one layer that nobody has.
pub(crate) const LAYER: usize = 8 << 20;
/// `pusher` with the password `simple`, and `puller` with [`PASSWORD`].
const USERS: &str = "pusher:$2b$05$J1jhR9Q.S59WOAjkwdfaquf24D50IMS33SGwToORSzdkmE7IvvqQ2
puller:$2b$05$b0WRcmHan.V/P6oCkYkTNOT6ykGfwwmeOZe0sgkv81ic9fIt.X0qS
";
/// Its base64 has letters that stand for others in the alphabet for URLs.
pub(crate) const PASSWORD: &str = "se~cr?t>~~??>>";

/// A registry that ends with the test.
pub(crate) struct Registry {
    pub(crate) address: String,
    credentials: Option<DockerCredentials>,
    _process: tokio::process::Child,
    _dir: tempfile::TempDir,
}

impl Registry {
    /// `None`, with a line for the reader, where the program is not installed.
    pub(crate) async fn start() -> Option<Self> {
        Self::start_with(false).await
    }

    /// `closed`: only [`USERS`] may come in.
    pub(crate) async fn start_with(closed: bool) -> Option<Self> {
        let program = PathBuf::from("/usr/bin/docker-registry");
        if !program.exists() {
            assert!(
                std::env::var("WINDFLOW_TEST_DOCKER").as_deref() != Ok("1"),
                "docker-registry is not installed: scripts/setup tools"
            );
            eprintln!("SKIPPED: docker-registry is not installed");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let address = format!("127.0.0.1:{port}");
        let mut config = format!(
            "version: 0.1\nlog: {{ level: error }}\nstorage:\n  filesystem: {{ rootdirectory: '{}' }}\nhttp: {{ addr: '{address}' }}\n",
            dir.path().display()
        );
        if closed {
            let users = dir.path().join("htpasswd");
            fs_err::write(&users, USERS).unwrap();
            config.push_str(&format!(
                "auth:\n  htpasswd: {{ realm: test, path: '{}' }}\n",
                users.display()
            ));
        }
        let file = dir.path().join("config.yml");
        fs_err::write(&file, config).unwrap();
        #[expect(
            clippy::disallowed_methods,
            reason = "the counterpart of the test is a program"
        )]
        let process = tokio::process::Command::new(program)
            .arg("serve")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let listens = async {
            while tokio::net::TcpStream::connect(&address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), listens)
            .await
            .expect("the registry listens");
        Some(Self {
            address,
            credentials: closed.then(|| DockerCredentials {
                username: Some("pusher".to_owned()),
                password: Some("simple".to_owned()),
                ..DockerCredentials::default()
            }),
            _process: process,
            _dir: dir,
        })
    }

    /// Puts an image with a fresh layer of random bytes there, and takes it off the host.
    pub(crate) async fn put(&self, docker: &Docker, project: &str, seed: u64) -> String {
        let name = format!("{}/wft/app", self.address);
        let body = ContainerCreateBody {
            image: Some("windflow-test/busybox:1".to_owned()),
            labels: Some(HashMap::from([(
                "com.docker.compose.project".to_owned(),
                project.to_owned(),
            )])),
            ..ContainerCreateBody::default()
        };
        let made = docker
            .create_container(None::<CreateContainerOptions>, body)
            .await
            .unwrap();
        let random = Random::seeded(seed);
        let mut bytes = Vec::with_capacity(LAYER);
        while bytes.len() < LAYER {
            bytes.extend(random.bytes::<32>().unwrap());
        }
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(bytes.len()).unwrap());
        header.set_mode(0o644);
        tar.append_data(&mut header, "filling", bytes.as_slice()).unwrap();
        let upload = UploadToContainerOptions {
            path: "/".to_owned(),
            ..UploadToContainerOptions::default()
        };
        let tar = tar.into_inner().unwrap();
        docker
            .upload_to_container(&made.id, Some(upload), body_full(tar.into()))
            .await
            .unwrap();
        let commit = CommitContainerOptions {
            container: Some(made.id.clone()),
            repo: Some(name.clone()),
            tag: Some("1".to_owned()),
            ..CommitContainerOptions::default()
        };
        docker
            .commit_container(commit, ContainerConfig::default())
            .await
            .unwrap();
        let remove = RemoveContainerOptions {
            force: true,
            ..RemoveContainerOptions::default()
        };
        docker.remove_container(&made.id, Some(remove)).await.unwrap();
        let push = PushImageOptions {
            tag: Some("1".to_owned()),
            ..PushImageOptions::default()
        };
        let mut pushed = Box::pin(docker.push_image(&name, Some(push), self.credentials.clone()));
        while let Some(item) = pushed.next().await {
            item.unwrap();
        }
        let image = format!("{name}:1");
        forget(docker, &image).await;
        image
    }
}

pub(crate) async fn forget(docker: &Docker, image: &str) {
    let options = RemoveImageOptions {
        force: true,
        ..RemoveImageOptions::default()
    };
    let _ = docker.remove_image(image, Some(options), None).await;
}
