//! Images from a registry.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use windflow_model::{DeploymentState, Progress, Want};

use crate::{
    bench::Bench,
    registry::{LAYER, PASSWORD, Registry, forget},
};

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

fn yaml(image: &str, more: &str) -> String {
    format!(
        "services:\n  a:\n    image: {image}\n    command: [sleep, '3600']\n    stop_grace_period: 0s\n{more}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_pull_with_credentials_of_the_client_configuration() {
    let Some(mut bench) = Bench::start("auth").await else {
        return;
    };
    let Some(registry) = Registry::start_with(true).await else {
        return;
    };
    let project = bench.stack.to_string();
    let image = registry.put(&bench.docker, &project, 3).await;

    let state = bench.apply(&yaml(&image, "")).await;
    let failure = state.failure().unwrap_or_else(|| panic!("{state:?}"));
    assert_eq!(failure.code, "WF-2002", "{failure}");
    assert!(failure.message.contains("credentials"), "{failure}");

    let auth = STANDARD.encode(format!("puller:{PASSWORD}"));
    let config = serde_json::json!({ "auths": { &registry.address: { "auth": auth } } });
    let dir = bench.dir().join("docker");
    fs_err::create_dir_all(&dir).unwrap();
    fs_err::write(dir.join("config.json"), config.to_string()).unwrap();
    assert_eq!(bench.apply(&yaml(&image, "")).await, DeploymentState::Succeeded);

    // A base image of a build is pulled with them as well.
    forget(&bench.docker, &image).await;
    let build = format!("    build:\n      context: .\n      dockerfile_inline: \"FROM {image}\"\n");
    let built = yaml(&format!("{project}-built"), &build);
    assert_eq!(bench.apply(&built).await, DeploymentState::Succeeded);

    let mut gone = bench.order(&built, Want::Absent);
    gone.options.remove_images = Some(windflow_engine::RemoveImages::All);
    assert_eq!(bench.run(gone).await, DeploymentState::Succeeded);
    forget(&bench.docker, &image).await;
    bench.end().await;
}

/// Hands bytes on between Docker and a registry, and stops doing so after `most` bytes from the registry.
struct Narrow {
    address: String,
    open: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Narrow {
    fn start(registry: &str, most: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (open, left) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(most)));
        let streams: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let (goes_on, kept, registry) = (Arc::clone(&open), Arc::clone(&streams), registry.to_owned());
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if !goes_on.load(Ordering::Relaxed) {
                    return;
                }
                let server = TcpStream::connect(&registry).unwrap();
                kept.lock()
                    .unwrap()
                    .extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                let (up, down) = (
                    (client.try_clone().unwrap(), server.try_clone().unwrap()),
                    (server, client),
                );
                let left = Arc::clone(&left);
                std::thread::spawn(move || hand_on(up, &AtomicUsize::new(usize::MAX)));
                std::thread::spawn(move || hand_on(down, &left));
            }
        });
        Self {
            address,
            open,
            streams,
        }
    }
}

fn hand_on((mut from, mut to): (TcpStream, TcpStream), left: &AtomicUsize) {
    let mut piece = [0; 16 << 10];
    while let Ok(read) = from.read(&mut piece) {
        let spent = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            left.checked_sub(read)
        });
        if spent.is_err() {
            // Neither a byte more nor an end of it.
            return;
        }
        if read == 0 || to.write_all(piece.get(..read).unwrap_or_default()).is_err() {
            let _ = to.shutdown(Shutdown::Both);
            return;
        }
    }
}

impl Drop for Narrow {
    fn drop(&mut self) {
        self.open.store(false, Ordering::Relaxed);
        drop(TcpStream::connect(&self.address));
        for stream in self.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_pull_that_stands_still_fails_and_leaves_what_runs() {
    let stall = Duration::from_secs(5);
    let Some(mut bench) = Bench::start_with("stall", Some(stall)).await else {
        return;
    };
    let Some(registry) = Registry::start().await else {
        return;
    };
    let project = bench.stack.to_string();
    let image = registry.put(&bench.docker, &project, 4).await;
    assert_eq!(
        bench.apply(&yaml("windflow-test/busybox:1", "")).await,
        DeploymentState::Succeeded
    );
    let before = bench.ids().await;
    let narrow = Narrow::start(&registry.address, LAYER / 2);
    let slow = image.replace(&registry.address, &narrow.address);
    let state = bench.apply(&yaml(&slow, "")).await;
    let failure = state.failure().unwrap_or_else(|| panic!("{state:?}"));
    assert_eq!(failure.code, "WF-2002", "{failure}");
    assert!(failure.message.contains("nothing has come for 5 s"), "{failure}");
    assert_eq!(bench.ids().await, before, "what ran goes on");

    // With a build section the failed pull is no end.
    let build = "    build:\n      context: .\n      dockerfile_inline: \"FROM windflow-test/busybox:2\"\n";
    assert_eq!(bench.apply(&yaml(&slow, build)).await, DeploymentState::Succeeded);
    let gone = bench.order(&yaml(&slow, build), Want::Absent);
    assert_eq!(bench.run(gone).await, DeploymentState::Succeeded);
    forget(&bench.docker, &slow).await;
    bench.end().await;
}
