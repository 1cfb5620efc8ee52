//! Files in containers and volumes of a real engine: looked at by the kernel and by the engine's archives, handed out, taken in.

use std::{collections::BTreeMap, path::Path};

use futures_util::TryStreamExt as _;
use windflow_engine::{
    Files,
    files::{Bounds, Intake, Taken},
};
use windflow_model::{Code, DeploymentState, Failure, FileEntry, FileKind, FileListing, FilePath, FilePlace};

use crate::bench::{Bench, name};

/// Two volumes with the same in them, of which one can only be seen through the engine, and a container that ends.
fn project(stack: &str, folder: &Path) -> String {
    format!(
        r#"
services:
  runs: &made
    image: windflow-test/busybox:1
    init: true
    network_mode: none
    stop_grace_period: 0s
    command: &fill
      - sh
      - -c
      - |
        mkdir -p /etc /data/sub/deep && cd /data; echo root: > /etc/passwd
        echo first > plain; echo second > "sub/with space é"; chmod 600 plain; chown 12:34 plain
        dd if=/dev/urandom of=sub/big bs=1k count=700 2>/dev/null; : > sub/empty
        ln -s plain to-plain; ln -s sub to-sub; ln -s /etc out; ln -s ../../etc/passwd climbs; ln -s nowhere broken; ln -s loop loop
        mkfifo pipe; touch /tmp/filled; $$LAST
    environment: {{ LAST: "sleep 3600" }}
    volumes: [plain:/data]
    healthcheck: {{ test: ["CMD", "test", "-e", "/tmp/filled"], interval: 300ms, retries: 50 }}
  ends:
    <<: *made
    environment: {{ LAST: "true" }}
    restart: "no"
    volumes: [mounted:/data]
    healthcheck: {{ disable: true }}
volumes:
  plain: {{ name: {stack}-plain }}
  mounted: {{ name: {stack}-mounted, driver_opts: {{ type: none, o: bind, device: {} }} }}
"#,
        folder.display()
    )
}

struct World {
    bench: Bench,
    files: Files,
    scratch: tempfile::TempDir,
    name: String,
}

impl World {
    async fn start(name: &str) -> Option<Self> {
        let mut bench = Bench::start(name).await?;
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("mounted");
        fs_err::create_dir(&folder).unwrap();
        let yaml = project(bench.stack.as_str(), &folder);
        assert_eq!(bench.apply(&yaml).await, DeploymentState::Succeeded);
        let files = bench.handle.files(name, "1");
        let world = Self {
            bench,
            files,
            scratch,
            name: name.to_owned(),
        };
        // The one that ends has filled its volume then.
        windflow_tests::wait::until(
            "the container has ended",
            std::time::Duration::from_secs(20),
            async || {
                let list = world.bench.containers().await;
                let ended = list.into_iter().find(|one| name_of(one).contains("ends"));
                ended.filter(|one| format!("{:?}", one.state).to_lowercase().contains("exited"))
            },
        )
        .await;
        Some(world)
    }

    fn container(&self, service: &str) -> FilePlace {
        FilePlace::Container {
            container: format!("{}-{service}-1", self.bench.stack),
        }
    }

    fn volume(&self, name: &str) -> FilePlace {
        FilePlace::Volume {
            volume: format!("{}-{name}", self.bench.stack),
        }
    }

    /// The same folder, seen in each of four ways: by the kernel in a container and a volume, by archives of both.
    fn four(&self) -> [(FilePlace, &'static str); 4] {
        [
            (self.container("runs"), "/data"),
            (self.container("ends"), "/data"),
            (self.volume("plain"), ""),
            (self.volume("mounted"), ""),
        ]
    }

    async fn list(&self, place: &FilePlace, path: &str) -> Result<FileListing, Failure> {
        let place = self.files.locate(place.clone()).await?;
        self.files.list(&place, &path.parse().unwrap()).await
    }

    async fn read(&self, place: &FilePlace, path: &str, archive: bool) -> Result<Vec<u8>, Failure> {
        let place = self.files.locate(place.clone()).await?;
        let (_, bytes) = self.files.read(&place, &path.parse().unwrap(), archive).await?;
        bytes.map_ok(|piece| piece.to_vec()).try_concat().await
    }

    fn taken(&self, archive: bool, bytes: &[u8]) -> Result<Taken, Failure> {
        let mut intake = Intake::new(
            self.scratch.path(),
            archive,
            Bounds {
                most: 1 << 20,
                reserve: 0,
            },
        )?;
        intake.take(bytes)?;
        intake.finish()
    }

    async fn write(&self, place: &FilePlace, path: &str, bytes: &[u8]) -> Result<(), Failure> {
        let path: FilePath = path.parse().unwrap();
        let taken = self.taken(false, bytes)?;
        let place = self.files.locate(place.clone()).await?;
        self.files
            .write(&place, &path, Some(0o750), taken)
            .await
            .map(drop)
    }

    async fn doors(&self) -> usize {
        let all = self
            .bench
            .docker
            .list_containers(Some(bollard::query_parameters::ListContainersOptions {
                all: true,
                ..Default::default()
            }));
        let all = all.await.unwrap();
        all.iter()
            .filter(|one| name(one).starts_with(&format!("windflow-files-{}-", self.name)))
            .count()
    }

    async fn end(self) {
        windflow_tests::wait::until(
            "all doors are closed",
            std::time::Duration::from_secs(10),
            async || (self.doors().await == 0).then_some(()),
        )
        .await;
        self.bench.end().await;
    }
}

fn name_of(container: &bollard::models::ContainerSummary) -> String {
    name(container)
}

/// What is the same however it is looked at.
fn shown(entries: &[FileEntry]) -> BTreeMap<String, (FileKind, u64, u32, Option<String>)> {
    let told = |entry: &FileEntry| (entry.kind, entry.size, entry.mode, entry.target.clone());
    entries
        .iter()
        .map(|entry| (entry.name.clone(), told(entry)))
        .collect()
}

fn says(found: Result<impl std::fmt::Debug, Failure>, code: Code, text: &str) {
    let failure = found.unwrap_err();
    assert!(
        failure.code == code.as_str() && failure.message.contains(text),
        "{text}: {failure:?}"
    );
}

#[tokio::test]
async fn docker_files_are_seen_in_four_ways() {
    let Some(world) = World::start("files-seen").await else {
        return;
    };
    let mut seen = Vec::new();
    for (place, prefix) in world.four() {
        let at = |path: &str| format!("{prefix}{path}");
        let top = world.list(&place, &at("/")).await.unwrap();
        assert_eq!(
            (top.entry.kind, top.cut.clone()),
            (FileKind::Folder, None),
            "{place}"
        );
        let sub = world.list(&place, &at("/to-sub")).await.unwrap();
        let one = world.list(&place, &at("/to-plain")).await.unwrap();
        assert_eq!(
            (one.path.as_str(), one.entry.size),
            (at("/plain").as_str(), 6),
            "{place}"
        );
        assert_eq!(
            world
                .read(&place, &at("/to-sub/with space é"), false)
                .await
                .unwrap(),
            b"second\n"
        );
        assert_eq!(world.read(&place, &at("/sub/empty"), false).await.unwrap(), b"");
        let big = world.read(&place, &at("/sub/big"), false).await.unwrap();
        assert_eq!(big.len(), 700 << 10);
        let tar = world.read(&place, &at("/to-sub"), true).await.unwrap();
        let mut archive = tar::Archive::new(tar.as_slice());
        let names: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert!(
            names.contains(&"sub/with space é".to_owned()),
            "{place}: {names:?}"
        );
        says(
            world.list(&place, &at("/none/x")).await,
            Code::NotFound,
            "there is no",
        );
        says(
            world.list(&place, &at("/broken")).await,
            Code::NotFound,
            "there is no",
        );
        says(
            world.read(&place, &at("/sub"), false).await,
            Code::Conflict,
            "is a folder",
        );
        says(
            world.read(&place, &at("/pipe"), false).await,
            Code::Conflict,
            "is no file",
        );
        seen.push((shown(&top.entries), shown(&sub.entries)));
    }
    for other in &seen[1..] {
        assert_eq!(other, &seen[0]);
    }
    let (top, sub) = &seen[0];
    assert_eq!(top.get("plain"), Some(&(FileKind::File, 6, 0o600, None)));
    assert_eq!(
        top.get("out"),
        Some(&(FileKind::Link, 0, 0o777, Some("/etc".into())))
    );
    assert_eq!(top.get("pipe").map(|entry| entry.0), Some(FileKind::Other));
    assert_eq!(sub.get("big").map(|entry| entry.1), Some(700 << 10));
    // Of a container, a link is meant from its root; one of a volume leads out of it.
    for place in [world.container("runs"), world.container("ends")] {
        assert!(!world.list(&place, "/data/out").await.unwrap().entries.is_empty());
        assert!(
            world
                .read(&place, "/data/climbs", false)
                .await
                .unwrap()
                .starts_with(b"root:")
        );
    }
    for place in [world.volume("plain"), world.volume("mounted")] {
        for path in ["/out", "/out/passwd", "/climbs"] {
            says(world.list(&place, path).await, Code::Conflict, "leads out of it");
            says(
                world.read(&place, path, false).await,
                Code::Conflict,
                "leads out of it",
            );
            says(
                world.write(&place, path, b"x").await,
                Code::Conflict,
                "leads out of it",
            );
        }
    }
    says(
        world
            .list(
                &FilePlace::Volume {
                    volume: "wft-none".into(),
                },
                "/",
            )
            .await,
        Code::NotFound,
        "no volume",
    );
    says(
        world
            .list(
                &FilePlace::Container {
                    container: "wft-none".into(),
                },
                "/",
            )
            .await,
        Code::NotFound,
        "no container",
    );
    let volumes = world.files.volumes().await.unwrap().volumes;
    let plain = volumes.iter().find(|one| one.name.ends_with("files-seen-plain"));
    let plain = plain.unwrap_or_else(|| panic!("{volumes:?}"));
    assert_eq!(plain.containers, [format!("{}-runs-1", world.bench.stack)]);
    // A door is open while somebody reads, and is not told of as a container of the host.
    let plain = world.files.locate(world.volume("plain")).await.unwrap();
    let (_, bytes) = world
        .files
        .read(&plain, &"/sub/big".parse().unwrap(), false)
        .await
        .unwrap();
    assert_eq!(world.doors().await, 1);
    let list = world.bench.handle.containers().borrow().clone();
    assert!(
        list.containers
            .iter()
            .all(|one| !one.name.starts_with("windflow-files")),
        "{list:?}"
    );
    drop(bytes);
    world.end().await;
}

/// As whoever means harm, or knows no better, would write it.
fn tar_of(entries: &[(u8, &str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (kind, name, content) in entries {
        let mut header = tar::Header::new_ustar();
        let field = header.as_old_mut().name.get_mut(..name.len());
        field.unwrap().copy_from_slice(name.as_bytes());
        header.set_entry_type(tar::EntryType::new(*kind));
        header.set_mode(0o640);
        let is_file = *kind == b'0';
        if !is_file {
            let field = header.as_old_mut().linkname.get_mut(..content.len());
            field.unwrap().copy_from_slice(content.as_bytes());
        }
        header.set_size(if is_file { content.len() as u64 } else { 0 });
        header.set_cksum();
        out.extend_from_slice(header.as_bytes());
        if is_file {
            out.extend_from_slice(content.as_bytes());
            out.resize(out.len().next_multiple_of(512), 0);
        }
    }
    out.extend_from_slice(&[0; 1024]);
    out
}

#[tokio::test]
async fn docker_files_are_written_whole_or_not_at_all() {
    let Some(world) = World::start("files-written").await else {
        return;
    };
    for (place, prefix) in world.four() {
        let at = |path: &str| format!("{prefix}{path}");
        // One that is there keeps its permissions and owner, also behind a link; a new one belongs to whom its folder does.
        world.write(&place, &at("/to-plain"), b"replaced").await.unwrap();
        world
            .write(&place, &at("/to-sub/deep/new"), b"new\n")
            .await
            .unwrap();
        assert_eq!(
            world.read(&place, &at("/plain"), false).await.unwrap(),
            b"replaced"
        );
        let found = world.list(&place, &at("/plain")).await.unwrap().entry;
        assert_eq!((found.size, found.mode), (8, 0o600), "{place}");
        let link = world.list(&place, &at("/")).await.unwrap();
        assert_eq!(
            shown(&link.entries).get("to-plain").map(|entry| entry.0),
            Some(FileKind::Link)
        );
        let tar = world.read(&place, &at("/plain"), true).await.unwrap();
        let header = tar::Header::from_byte_slice(&tar[..512]);
        assert_eq!(
            (header.uid().unwrap(), header.gid().unwrap()),
            (12, 34),
            "{place}"
        );
        assert_eq!(
            world.list(&place, &at("/sub/deep/new")).await.unwrap().entry.mode,
            0o750
        );
        says(
            world.write(&place, &at("/sub"), b"x").await,
            Code::Conflict,
            "is a folder",
        );
        says(
            world.write(&place, &at("/none/x"), b"x").await,
            Code::NotFound,
            "there is no",
        );
        says(
            world.write(&place, &at("/plain/x"), b"x").await,
            Code::NotFound,
            "there is no",
        );

        let before = world.list(&place, &at("/")).await.unwrap();
        let good = tar_of(&[
            (b'5', "made", ""),
            (b'0', "made/a", "aa"),
            (b'2', "made/l", "a"),
            (b'0', "b", "b"),
        ]);
        let path: FilePath = at("/sub").parse().unwrap();
        let located = world.files.locate(place.clone()).await.unwrap();
        let written = world
            .files
            .write(&located, &path, None, world.taken(true, &good).unwrap())
            .await
            .unwrap();
        assert_eq!((written.entries, written.bytes), (4, 3));
        assert_eq!(
            world.read(&place, &at("/sub/made/l"), false).await.unwrap(),
            b"aa"
        );
        says(
            world
                .files
                .write(
                    &located,
                    &at("/plain").parse().unwrap(),
                    None,
                    world.taken(true, &good).unwrap(),
                )
                .await,
            Code::Conflict,
            "is no folder",
        );
        // The good entry before the bad one is not written either.
        for (bad, why) in [
            (tar_of(&[(b'0', "ok", "x"), (b'0', "../escaped", "x")]), "outside"),
            (tar_of(&[(b'0', "ok", "x"), (b'0', "/escaped", "x")]), "outside"),
            (
                tar_of(&[(b'0', "ok", "x"), (b'2', "l", "/"), (b'0', "l/escaped", "x")]),
                "leads out",
            ),
            (tar_of(&[(b'0', "ok", "x"), (b'3', "device", "")]), "a device"),
            (good[..good.len() - 1100].to_vec(), "breaks off"),
        ] {
            says(world.taken(true, &bad), Code::BadRequest, why);
        }
        assert_eq!(
            shown(&world.list(&place, &at("/")).await.unwrap().entries),
            shown(&before.entries)
        );
    }
    world.end().await;
}
