//! What only BuildKit builds.

use std::{sync::Arc, time::Duration};

use fs_err as fs;
use windflow_compose::model::{Build, FileReference, Project, Secret, Service};
use windflow_engine::{
    DockerOptions, DockerTarget, Target,
    targets::{Operation, TargetErrorKind, Ticker},
};
use windflow_model::{DeploymentState, Want};

use crate::{bench::Bench, build::service};

#[tokio::test(flavor = "multi_thread")]
async fn docker_buildkit_with_everything() {
    let Some(mut bench) = Bench::start("buildkit").await else {
        return;
    };
    let project = bench.stack.to_string();
    let context = bench.dir().join("context");
    fs::create_dir_all(context.join("src/deep")).unwrap();
    fs::write(context.join("src/deep/kept.txt"), "kept").unwrap();
    fs::write(context.join("src/deep/junk.log"), "junk").unwrap();
    fs::write(context.join("large"), vec![b'l'; 3 << 20]).unwrap();
    std::os::unix::fs::symlink("src/deep/kept.txt", context.join("link")).unwrap();
    fs::write(context.join(".dockerignore"), "**/*.log\n").unwrap();
    fs::write(bench.dir().join("secret.txt"), "of a file").unwrap();
    let dockerfile = "ARG BASE\nFROM ${BASE} AS base\nARG WORD\nCOPY . /c\n\
        RUN test \"$WORD\" = 'two words' && test \"$(wc -c < /c/large)\" = 3145728\n\
        RUN grep -q kept /c/link && test ! -e /c/src/deep/junk.log\n\
        RUN grep -q '192.0.2.7.*one' /etc/hosts\n\
        RUN --mount=type=secret,id=own --mount=type=secret,id=plain,target=/p \
        test \"$(cat /run/secrets/own)\" = 'of a file' && test \"$(cat /p)\" = 'of a file'\n\
        RUN test ! -s /run/secrets/own\n\
        FROM base AS wanted\nLABEL stage=wanted\nFROM base AS last\nRUN false\n";
    // Beside the context, not in it.
    fs::write(bench.dir().join("Other.Dockerfile"), dockerfile).unwrap();
    let build = format!(
        "      context: {}\n      dockerfile: ../Other.Dockerfile\n      target: wanted\n      \
         args: {{ BASE: 'windflow-test/busybox:1', WORD: two words }}\n      labels: {{ own: label }}\n      \
         tags: ['{project}-second:3']\n      extra_hosts: ['one:192.0.2.7']\n      network: none\n      \
         no_cache_filter: [base]\n      cache_to: ['type=inline']\n      \
         secrets: [plain, {{ source: plain, target: own }}]\n",
        context.display()
    );
    let yaml = format!(
        "{}secrets:\n  plain: {{ file: {} }}\n",
        service(&build),
        bench.dir().join("secret.txt").display()
    );
    let state = bench.apply(&yaml).await;
    assert_eq!(state, DeploymentState::Succeeded, "{:?}", state.failure());
    for tag in [format!("{project}-a"), format!("{project}-second:3")] {
        let image = bench.docker.inspect_image(&tag).await.unwrap();
        let labels = image.config.unwrap().labels.unwrap();
        let label = |name: &str| labels.get(name).map_or("", String::as_str);
        assert_eq!((label("stage"), label("own")), ("wanted", "label"), "{tag}");
        assert_eq!(label("com.docker.compose.service"), "a", "{tag}");
    }

    // What the engine allows to nobody fails with its own words.
    let fancy = "      context: .\n      dockerfile_inline: \"FROM windflow-test/busybox:1\\nRUN true\"\n      \
                 entitlements: [security.insecure]\n";
    let mut order = bench.order(&service(fancy), Want::Present);
    order.options.build = true;
    let state = bench.run(order).await;
    if let Some(failure) = state.failure() {
        assert!(failure.message.contains("security.insecure"), "{failure}");
    }

    let mut gone = bench.order(&yaml, Want::Absent);
    gone.options.remove_images = Some(windflow_engine::RemoveImages::Local);
    assert_eq!(bench.run(gone).await, DeploymentState::Succeeded);
    bench.end().await;
}

/// Engines before Docker 23 refuse it, and say so.
#[tokio::test(flavor = "multi_thread")]
async fn docker_buildkit_additional_contexts() {
    let Some(mut bench) = Bench::start("buildkit-contexts").await else {
        return;
    };
    let other = bench.dir().join("other");
    fs::create_dir_all(&other).unwrap();
    fs::write(other.join("word"), "from beside").unwrap();
    let yaml = format!(
        "services:\n  base:\n    command: [sleep, '3600']\n    stop_grace_period: 0s\n    build:\n      context: .\n      \
         dockerfile_inline: \"FROM windflow-test/busybox:1\\nRUN echo base > /base\"\n  a:\n    \
         command: [sleep, '3600']\n    stop_grace_period: 0s\n    build:\n      context: .\n      \
         dockerfile_inline: \"FROM mine\\nCOPY --from=beside word /word\\nRUN grep base /base && grep beside /word\"\n      \
         additional_contexts: {{ mine: 'service:base', beside: '{}' }}\n",
        other.display()
    );
    let state = bench.apply(&yaml).await;
    if let Some(failure) = state.failure() {
        assert!(
            failure.message.contains("unsupported frontend capability"),
            "{failure}"
        );
        assert!(failure.message.contains("update the engine"), "{failure}");
    } else {
        assert_eq!(state, DeploymentState::Succeeded);
    }
    let base = bench.docker.inspect_image(&format!("{}-base", bench.stack)).await;
    assert!(
        base.is_ok(),
        "the service that it is built from comes first: {base:?}"
    );
    let mut gone = bench.order(&yaml, Want::Absent);
    gone.options.remove_images = Some(windflow_engine::RemoveImages::Local);
    assert_eq!(bench.run(gone).await, DeploymentState::Succeeded);
    bench.end().await;
}

/// Whether a process of this host has a word among its arguments.
fn runs(word: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap();
    processes.filter_map(Result::ok).any(|process| {
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0)
            .any(|argument| argument == word.as_bytes())
    })
}

async fn until(wanted: bool, word: &str) {
    let waited = async {
        while runs(word) != wanted {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), waited).await;
    waited.unwrap_or_else(|_| panic!("{word} runs: {}", !wanted));
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_buildkit_a_dropped_build_ends() {
    let Some(bench) = Bench::start("buildkit-dropped").await else {
        return;
    };
    let options = DockerOptions {
        host: std::env::var("DOCKER_HOST").ok(),
        ..DockerOptions::default()
    };
    let target = DockerTarget::connect(options).unwrap();
    // No other test sleeps as long.
    let length = (100_000 + std::process::id()).to_string();
    let build = Build {
        context: Some(bench.dir().to_string_lossy().into_owned()),
        dockerfile_inline: Some(format!("FROM windflow-test/busybox:1\nRUN sleep {length}\n")),
        no_cache: true,
        ..Build::default()
    };
    let mut project = Project {
        name: bench.stack.to_string(),
        ..Project::default()
    };
    let service = Service {
        build: Some(build),
        ..Service::default()
    };
    project.services.insert("a".into(), service);
    let operation = |project: Project| Operation::Build {
        image: format!("{}-a", bench.stack),
        project: Arc::new(project),
        service: "a".into(),
    };
    let sleeping = operation(project.clone());
    let mut building = Box::pin(target.execute(&sleeping, Ticker::none()));
    tokio::select! {
        ended = &mut building => panic!("{ended:?}"),
        () = until(true, &length) => {}
    }
    drop(building);
    until(false, &length).await;

    // A secret that is not there has its name in the failure, and nothing is built.
    let build = project.services.get_mut("a").unwrap().build.as_mut().unwrap();
    build.secrets.push(FileReference {
        source: "token".into(),
        ..FileReference::default()
    });
    let secret = Secret {
        environment: Some("TOKEN".into()),
        ..Secret::default()
    };
    project.secrets.insert("token".into(), secret);
    let refused = operation(project);
    let error = target.execute(&refused, Ticker::none()).await.unwrap_err();
    assert_eq!(error.kind, TargetErrorKind::Unsupported);
    assert!(
        error
            .to_string()
            .contains("services.a.build.secrets: secret token"),
        "{error}"
    );
    bench.end().await;
}
