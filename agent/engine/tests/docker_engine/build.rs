//! Images that are built.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
};

use fs_err as fs;
use windflow_model::{DeploymentState, Progress, Want};

use crate::bench::Bench;

/// A stack of one service that is built.
pub(crate) fn service(build: &str) -> String {
    format!("services:\n  a:\n    command: [sleep, '3600']\n    stop_grace_period: 0s\n    build:\n{build}")
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_build_from_a_context_with_everything() {
    let Some(mut bench) = Bench::start("build").await else {
        return;
    };
    let project = bench.stack.to_string();
    let context = bench.dir().join("context");
    fs::create_dir_all(context.join("src/deep")).unwrap();
    fs::write(context.join("src/deep/kept.txt"), "kept").unwrap();
    fs::write(context.join("src/deep/junk.log"), "junk").unwrap();
    fs::write(context.join(".dockerignore"), "**/*.log\n").unwrap();
    let dockerfile = "ARG BASE\nFROM ${BASE} AS base\nARG WORD\nCOPY . /c\n\
        RUN test \"$WORD\" = 'two words'\n\
        RUN grep -q kept /c/src/deep/kept.txt && test ! -e /c/src/deep/junk.log\n\
        RUN test ! -e /c/.windflow.Dockerfile\n\
        RUN grep -q '192.0.2.7.*one' /etc/hosts && grep -q '192.0.2.8.*other' /etc/hosts\n\
        RUN test \"$(ulimit -n)\" = 1234\n\
        RUN df /dev/shm | grep -q 131072\n\
        FROM base AS wanted\nLABEL stage=wanted\nFROM base AS last\nRUN false\n";
    // Beside the context, not in it.
    fs::write(bench.dir().join("Other.Dockerfile"), dockerfile).unwrap();
    let build = format!(
        "      context: {}\n      dockerfile: ../Other.Dockerfile\n      target: wanted\n      \
         args: {{ BASE: 'windflow-test/busybox:1', WORD: two words }}\n      labels: {{ own: label }}\n      \
         tags: ['{project}-second:3']\n      extra_hosts: ['one:192.0.2.7', 'other:192.0.2.8']\n      \
         ulimits: {{ nofile: 1234 }}\n      shm_size: 128m\n      network: none\n      no_cache: true\n",
        context.display()
    );
    let mut progress = bench.handle.progress();
    let state = bench.apply(&service(&build)).await;
    assert_eq!(state, DeploymentState::Succeeded, "{:?}", state.failure());
    let mut said = Vec::new();
    while let Ok(told) = progress.try_recv() {
        if let Progress::Moved { detail, .. } = told.event {
            said.push(detail);
        }
    }
    assert!(
        said.iter().any(|line| line.starts_with("Step ")),
        "the builder's output is told: {said:?}"
    );
    for tag in [format!("{project}-a"), format!("{project}-second:3")] {
        let image = bench.docker.inspect_image(&tag).await.unwrap();
        let labels = image.config.unwrap().labels.unwrap();
        let label = |name: &str| labels.get(name).map_or("", String::as_str);
        assert_eq!((label("stage"), label("own")), ("wanted", "label"), "{tag}");
        assert_eq!(label("com.docker.compose.service"), "a", "{tag}");
    }

    // What goes wrong is said with the end of the output; what runs stays.
    let before = bench.ids().await;
    let wrong = "      context: .\n      dockerfile_inline: \"FROM windflow-test/busybox:1\\nRUN echo seen; exit 3\"\n";
    let mut order = bench.order(&service(wrong), Want::Present);
    order.options.build = true;
    let state = bench.run(order).await;
    let failure = state.failure().unwrap_or_else(|| panic!("{state:?}"));
    assert!(failure.message.contains("seen"), "{failure}");
    assert!(failure.message.contains("code: 3"), "{failure}");
    assert_eq!(bench.ids().await, before);

    // What only BuildKit can do, together with what only the other builder of an old engine can do, has its name in the
    // refusal.
    let fancy = "      context: .\n      network: of-a-name\n      additional_contexts: { x: '/tmp' }\n";
    let mut order = bench.order(&service(fancy), Want::Present);
    order.options.build = true;
    let state = bench.run(order).await;
    let failure = state.failure().unwrap_or_else(|| panic!("{state:?}"));
    assert!(
        failure.message.contains("services.a.build.additional_contexts"),
        "{failure}"
    );

    let mut gone = bench.order(&service(&build), Want::Absent);
    gone.options.remove_images = Some(windflow_engine::RemoveImages::Local);
    assert_eq!(bench.run(gone).await, DeploymentState::Succeeded);
    bench.end().await;
}

/// Answers one request with a tar of a Dockerfile.
fn serve_context() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/context.tar", listener.local_addr().unwrap());
    let mut tar = tar::Builder::new(Vec::new());
    let text = b"FROM windflow-test/busybox:1\nLABEL from=afar\n";
    let mut header = tar::Header::new_gnu();
    header.set_size(u64::try_from(text.len()).unwrap());
    header.set_mode(0o644);
    tar.append_data(&mut header, "Dockerfile", text.as_slice())
        .unwrap();
    let body = tar.into_inner().unwrap();
    // Ends with its one answer.
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/x-tar\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.into_bytes(), body].concat()).unwrap();
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_build_from_a_url() {
    let Some(mut bench) = Bench::start("build-url").await else {
        return;
    };
    let yaml = service(&format!("      context: {}\n", serve_context()));
    let state = bench.apply(&yaml).await;
    assert_eq!(state, DeploymentState::Succeeded, "{:?}", state.failure());
    let image = bench
        .docker
        .inspect_image(&format!("{}-a", bench.stack))
        .await
        .unwrap();
    let labels = image.config.unwrap().labels.unwrap();
    assert_eq!(labels.get("from").map(String::as_str), Some("afar"));
    let mut gone = bench.order(&yaml, Want::Absent);
    gone.options.remove_images = Some(windflow_engine::RemoveImages::Local);
    assert_eq!(bench.run(gone).await, DeploymentState::Succeeded);
    bench.end().await;
}
