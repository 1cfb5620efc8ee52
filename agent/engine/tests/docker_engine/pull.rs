//! Images from a registry: Debian's `docker-registry` on a free port of this machine. Docker takes 127.0.0.0/8 without TLS.

use std::{collections::HashMap, net::TcpListener, path::PathBuf, process::Stdio, time::Duration};

use bollard::{
    Docker, body_full,
    models::{ContainerConfig, ContainerCreateBody},
    query_parameters::{
        CommitContainerOptions, CreateContainerOptions, PushImageOptions, RemoveContainerOptions,
        RemoveImageOptions, UploadToContainerOptions,
    },
};
use futures_util::StreamExt as _;
use windflow_kit::Random;
use windflow_model::{DeploymentState, Progress, Want};

use crate::bench::Bench;

/// Bytes of the one layer that nobody has.
const LAYER: usize = 8 << 20;

struct Registry {
    address: String,
    _process: tokio::process::Child,
    _dir: tempfile::TempDir,
}

impl Registry {
    /// `None`, with a line for the reader, where the program is not installed.
    async fn start() -> Option<Self> {
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
        let config = format!(
            "version: 0.1\nlog: {{ level: error }}\nstorage:\n  filesystem: {{ rootdirectory: '{}' }}\nhttp: {{ addr: '{address}' }}\n",
            dir.path().display()
        );
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
            _process: process,
            _dir: dir,
        })
    }

    /// Puts an image with a fresh layer of random bytes there, and takes it off the host.
    async fn put(&self, docker: &Docker, project: &str, seed: u64) -> String {
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
        let mut pushed = Box::pin(docker.push_image(&name, Some(push), None));
        while let Some(item) = pushed.next().await {
            item.unwrap();
        }
        let image = format!("{name}:1");
        forget(docker, &image).await;
        image
    }
}

async fn forget(docker: &Docker, image: &str) {
    let options = RemoveImageOptions {
        force: true,
        ..RemoveImageOptions::default()
    };
    let _ = docker.remove_image(image, Some(options), None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_pull_with_progress_moving_tag_and_missing_tag() {
    let Some(mut bench) = Bench::start("pull").await else {
        return;
    };
    let Some(registry) = Registry::start().await else {
        return;
    };
    let project = bench.stack.to_string();
    let image = registry.put(&bench.docker, &project, 1).await;
    let yaml = format!(
        "services:\n  a:\n    image: {image}\n    command: [sleep, '3600']\n    stop_grace_period: 0s\n"
    );
    let mut progress = bench.handle.progress();
    assert_eq!(bench.apply(&yaml).await, DeploymentState::Succeeded);
    let mut seen = Vec::new();
    while let Ok(told) = progress.try_recv() {
        if let Progress::Moved {
            current, total, unit, ..
        } = told.event
            && unit == "bytes"
        {
            seen.push((current, total));
        }
    }
    let least = u64::try_from(LAYER).unwrap() / 2;
    assert!(
        seen.iter().any(|(_, total)| *total > least),
        "the size of the layer is told: {seen:?}"
    );
    assert!(
        seen.iter().any(|(current, _)| *current > 0),
        "bytes were seen to arrive: {seen:?}"
    );

    // The tag moves. `missing` does not look; `always` takes the new image and replaces the container.
    let first = bench.ids().await;
    let old = bench.docker.inspect_image(&image).await.unwrap().id;
    assert_eq!(registry.put(&bench.docker, &project, 2).await, image);
    // The host still has the old one under this name.
    let tagged = bollard::query_parameters::TagImageOptions {
        repo: Some(image.trim_end_matches(":1").to_owned()),
        tag: Some("1".to_owned()),
    };
    bench
        .docker
        .tag_image(old.as_deref().unwrap(), Some(tagged))
        .await
        .unwrap();
    assert_eq!(bench.apply(&yaml).await, DeploymentState::Succeeded);
    assert_eq!(bench.ids().await, first, "nothing changed for this host");
    let always = yaml.replace("    command", "    pull_policy: always\n    command");
    assert_eq!(bench.apply(&always).await, DeploymentState::Succeeded);
    assert_ne!(bench.ids().await, first, "the tag names another image now");
    let second = bench.ids().await;

    // A tag that the registry does not have: what runs stays.
    let state = bench.apply(&yaml.replace("/wft/app:1", "/wft/app:9")).await;
    let failure = state.failure().unwrap_or_else(|| panic!("{state:?}"));
    assert_eq!(failure.code, "WF-2002", "{failure}");
    assert!(failure.message.contains("/wft/app:9"), "{failure}");
    assert_eq!(bench.ids().await, second);

    let mut gone = bench.order(&always, Want::Absent);
    gone.options.remove_images = Some(windflow_engine::RemoveImages::All);
    assert_eq!(bench.run(gone).await, DeploymentState::Succeeded);
    assert!(
        bench.docker.inspect_image(&image).await.is_err(),
        "the image went with the stack"
    );
    if let Some(old) = old {
        forget(&bench.docker, &old).await;
    }
    bench.end().await;
}
