//! Files in containers and volumes of the real engine, through controller, agent and command line.

use std::time::Duration;

use windflow_api::{AuditQuery, FileParams};
use windflow_model::{DeploymentState, FileKind};
use windflow_tests::{Fleet, Host, Project, Target, fleet::CommandLine, wait::until};

const WITHIN: Duration = Duration::from_secs(60);
const COMPOSE: &str = "services:\n  web:\n    image: windflow-test/busybox:1\n    init: true\n    command: [sh, -c, 'mkdir -p /data/sub; echo one > /data/one; sleep 600']\n    stop_grace_period: 1s\n    volumes: [data:/data]\nvolumes:\n  data: {}\n";

struct World {
    fleet: Fleet,
    host: Host,
    project: Project,
    line: CommandLine,
    scratch: tempfile::TempDir,
}

impl World {
    async fn start(name: &str) -> Option<Self> {
        let project = Project::claim(name).await?;
        let fleet = Fleet::start().await;
        let mut host = fleet.enrol(name, Target::Docker).await;
        host.set_env(
            "WINDFLOW_POLICY_FILE",
            &host.scratch().join("policy.toml").display().to_string(),
        );
        host.start();
        fleet.connected(&host).await;
        let deployed = fleet.deploy(project.name(), COMPOSE, &[&host]).await;
        let ended = fleet.ended(deployed.first().unwrap().deployment.id, WITHIN).await;
        assert_eq!(ended.deployment.state, DeploymentState::Succeeded);
        let line = fleet.command_line().await;
        Some(Self {
            fleet,
            host,
            project,
            line,
            scratch: tempfile::tempdir().unwrap(),
        })
    }

    /// `@` stands for the container, `%` for the volume, `~` for a scratch folder here.
    async fn run(&self, words: &[&str], input: &[u8]) -> (i32, Vec<u8>, String) {
        let host = self.host.name();
        let place = |word: &str| match word.chars().next() {
            Some('@') => format!("{host}/{}-web-1:{}", self.project.name(), &word[1..]),
            Some('%') => format!("{host}/volume:{}_data:{}", self.project.name(), &word[1..]),
            Some('~') => format!("{}{}", self.scratch.path().display(), &word[1..]),
            _ => word.to_owned(),
        };
        let words: Vec<String> = words.iter().map(|word| place(word)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.line.launch(&words).finish_given(input).await
    }

    /// Exit code, standard output, and what standard error says.
    async fn check(&self, words: &[&str], input: &str, expected: (i32, &str, &str)) {
        let (code, out, err) = self.run(words, input.as_bytes()).await;
        let out = String::from_utf8_lossy(&out);
        assert_eq!((code, out.as_ref()), (expected.0, expected.1), "{words:?}: {err}");
        assert!(err.contains(expected.2), "{words:?}: {err}");
    }

    fn here(&self, path: &str) -> String {
        fs_err::read_to_string(self.scratch.path().join(path)).unwrap()
    }

    /// Containers that show volumes.
    async fn doors(&self) -> usize {
        let mine = format!("/windflow-files-{}-", self.host.id());
        let options = bollard::query_parameters::ListContainersOptions {
            all: true,
            ..Default::default()
        };
        let all = self
            .project
            .docker()
            .list_containers(Some(options))
            .await
            .unwrap();
        let names = all.iter().flat_map(|one| one.names.iter().flatten());
        names.filter(|name| name.starts_with(&mine)).count()
    }

    async fn closed(&self) {
        until("every door is closed", WITHIN, async || {
            (self.doors().await == 0).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn docker_files_of_hosts_are_copied() {
    let Some(world) = World::start("files").await else {
        return;
    };
    let scratch = world.scratch.path().to_owned();
    // Out: to standard output, under a new name, into a folder; whole folders.
    world
        .check(&["cp", "@/data/one", "-"], "", (0, "one\n", ""))
        .await;
    world
        .check(&["cp", "%/one", "~/renamed"], "", (0, "", "4 B"))
        .await;
    assert_eq!(world.here("renamed"), "one\n");
    world.check(&["cp", "@/data/one", "~"], "", (0, "", "")).await;
    assert_eq!(world.here("one"), "one\n");
    // In: from standard input, a file with its permissions, a folder under a new name and into one that is there.
    world
        .check(
            &["cp", "-", "@/data/sub/typed"],
            "typed\n",
            (0, "", "1 entries, 6 B"),
        )
        .await;
    fs_err::create_dir_all(scratch.join("tree/deep")).unwrap();
    fs_err::write(scratch.join("tree/deep/leaf"), "leaf").unwrap();
    fs_err::os::unix::fs::symlink("deep/leaf", scratch.join("tree/link")).unwrap();
    fs_err::write(scratch.join("script"), "#!/bin/sh\n").unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs_err::set_permissions(scratch.join("script"), executable).unwrap();
    world.check(&["cp", "~/script", "%/"], "", (0, "", "")).await;
    world
        .check(&["cp", "~/tree", "@/data/new"], "", (0, "", "4 entries"))
        .await;
    world
        .check(&["cp", "~/tree", "%/sub"], "", (0, "", "4 entries"))
        .await;
    world
        .check(&["cp", "@/data/new/link", "-"], "", (0, "leaf", ""))
        .await;
    world
        .check(&["cp", "%/sub/tree/deep/leaf", "-"], "", (0, "leaf", ""))
        .await;
    world
        .check(&["cp", "@/data/sub", "~/back"], "", (0, "", "entries"))
        .await;
    assert_eq!(world.here("back/tree/deep/leaf"), "leaf");
    assert_eq!(
        fs_err::read_link(scratch.join("back/tree/link"))
            .unwrap()
            .to_str(),
        Some("deep/leaf")
    );
    world
        .check(&["cp", "@/data/sub", "~"], "", (0, "", "entries"))
        .await;
    assert_eq!(world.here("sub/typed"), "typed\n");
    // A tar as it is, both ways.
    let (code, tar, err) = world.run(&["cp", "--tar", "@/data/new", "-"], b"").await;
    assert_eq!(code, 0, "{err}");
    let (code, _, err) = world.run(&["cp", "--tar", "-", "%/sub/"], &tar).await;
    assert!(code == 0 && err.contains("4 entries"), "{err}");
    world
        .check(&["cp", "@/data/sub/new/deep/leaf", "-"], "", (0, "leaf", ""))
        .await;
    let (code, out, err) = world.run(&["files", "%"], b"").await;
    let out = String::from_utf8_lossy(&out);
    assert!(
        code == 0 && out.contains("-rwxr-xr-x") && out.contains("script") && out.contains("sub/"),
        "{out}{err}"
    );
    let (_, out, _) = world.run(&["files", world.host.name()], b"").await;
    assert!(String::from_utf8_lossy(&out).contains(&format!("{}_data", world.project.name())));
    // What cannot be is said, and changes nothing.
    world
        .check(&["cp", "@/data/none", "-"], "", (4, "", "there is no /data/none"))
        .await;
    world
        .check(&["cp", "@/data", "-"], "", (1, "", "is a folder"))
        .await;
    world
        .check(&["cp", "~/none", "@/data/x"], "", (1, "", "none"))
        .await;
    world
        .check(&["cp", "~/one", "@/data/none/"], "", (1, "", "is no folder"))
        .await;
    world
        .check(
            &["cp", "~/one", "@/data/none/x"],
            "",
            (4, "", "there is no /data/none"),
        )
        .await;
    world
        .check(&["cp", "~/one", "~/two"], "", (2, "", "neither end is on a host"))
        .await;
    world.check(&["cp", "@/../x", "-"], "", (2, "", "\"..\"")).await;
    world
        .check(
            &["cp", "--tar", "-", "@/data"],
            "no tar, and too short",
            (2, "", "breaks off"),
        )
        .await;

    // A body that is cut off.
    let client = world.fleet.client();
    let params = FileParams {
        volume: Some(format!("{}_data", world.project.name())),
        path: Some("/one".to_owned()),
        ..FileParams::default()
    };
    let pieces = [
        Ok(vec![b'x'; 100_000].into()),
        Err(std::io::Error::other("cut").into()),
    ];
    let cut = client
        .file_write(world.host.id(), &params, futures_util::stream::iter(pieces))
        .await;
    cut.unwrap_err();
    let found = client.file_list(world.host.id(), &params).await.unwrap();
    assert_eq!((found.entry.kind, found.entry.size), (FileKind::File, 4));

    // The owner of the host has the last word, at once.
    let policy = |text: &str| fs_err::write(world.host.scratch().join("policy.toml"), text).unwrap();
    policy("volume_browser = \"ro\"\n");
    world
        .check(&["cp", "@/data/one", "-"], "", (0, "one\n", ""))
        .await;
    world
        .check(
            &["cp", "-", "@/data/one"],
            "x",
            (3, "", "volume_browser = \"ro\""),
        )
        .await;
    policy("container_exec = false\n");
    world
        .check(&["cp", "@/data/one", "-"], "", (3, "", "container_exec = false"))
        .await;
    policy("files_upload_mib = 1\n");
    let (code, _, err) = world.run(&["cp", "-", "@/data/one"], &vec![0; 2 << 20]).await;
    assert!(code != 0 && err.contains("more than 1 MiB"), "{code} {err}");
    world.check(&["cp", "%/one", "-"], "", (0, "one\n", "")).await;

    let query = |action: &str| AuditQuery {
        action: Some(action.to_owned()),
        ..AuditQuery::default()
    };
    let written = client.audit_list(&query("file_written"), 100).await.unwrap();
    assert!(
        written
            .iter()
            .any(|entry| entry.detail.contains("/data/sub/typed of container")),
        "{written:?}"
    );
    let refused = client.audit_list(&query("file_refuse"), 100).await.unwrap();
    assert!(
        refused
            .iter()
            .any(|entry| entry.detail.contains("volume_browser")),
        "{refused:?}"
    );
    world.closed().await;
}

/// Somebody reads and somebody writes when the agent is killed: nothing is written, and its next life closes what it left open.
#[tokio::test]
async fn docker_files_and_a_killed_agent() {
    let Some(mut world) = World::start("files-killed").await else {
        return;
    };
    let client = world.fleet.client().clone();
    let volume = format!("{}_data", world.project.name());
    let params = |path: &str| FileParams {
        volume: Some(volume.clone()),
        path: Some(path.to_owned()),
        ..FileParams::default()
    };
    // More than all buffers on the way hold.
    let large = vec![b'x'; 60 << 20];
    let pieces = futures_util::stream::iter([Ok(large.into())]);
    client
        .file_write(world.host.id(), &params("/large"), pieces)
        .await
        .unwrap();
    let answer = client
        .file_read(world.host.id(), &params("/large"))
        .await
        .unwrap();
    let (first, rest) = tokio::sync::oneshot::channel::<()>();
    let endless = futures_util::stream::unfold((0, Some(first)), async |(sent, mut first)| {
        if sent == 40 {
            first.take();
            std::future::pending::<()>().await;
        }
        Some((Ok(vec![b'y'; 100_000].into()), (sent + 1, first)))
    });
    let (id, target) = (world.host.id(), params("/one"));
    let write = client.file_write(id, &target, Box::pin(endless));
    let kill = async {
        let _all_sent = rest.await;
        assert!(world.doors().await > 0);
        world.host.agent.kill().await;
        assert!(world.doors().await > 0);
        world.host.start();
    };
    let (written, ()) = tokio::join!(write, kill);
    written.unwrap_err();
    let read = answer.bytes().await;
    assert!(read.is_err(), "a file that is cut off is not taken for whole");
    world.fleet.connected(&world.host).await;
    world.closed().await;
    let one = client.file_list(id, &target).await.unwrap();
    assert_eq!(one.entry.size, 4);
    world.closed().await;
    let left = fs_err::read_dir(world.host.state_dir()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        left.iter()
            .all(|name| !name.to_string_lossy().starts_with(".intake")),
        "{left:?}"
    );
}
