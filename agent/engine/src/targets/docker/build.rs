//! Building an image with the engine's classic builder: the context as a tar stream of its own making.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use bollard::{body_full, query_parameters::BuildImageOptions};
use fs_err as fs;
use futures_util::StreamExt as _;
use windflow_compose::model::{Build, Project};

use super::{DockerTarget, error::failed, observe};
use crate::{
    plan::labels,
    targets::{Evidence, TargetError, TargetErrorKind as Kind, Tick, Ticker},
};

/// Largest context, in bytes of files: it is held in memory while it is sent.
const CONTEXT_LIMIT: u64 = 256 << 20;
/// Name of an inline Dockerfile in the context.
const INLINE: &str = ".windflow.Dockerfile";

pub(super) async fn build(
    target: &DockerTarget,
    project: &Project,
    service: &str,
    image: &str,
    ticker: &Ticker,
) -> Result<Evidence, TargetError> {
    let Some(build) = project.services.get(service).and_then(|spec| spec.build.clone()) else {
        let text = format!("service {service} has no build section");
        return Err(TargetError::new(Kind::BuildFailed, text));
    };
    refuse(service, &build)?;
    let what = format!("build image {image} of service {service}");
    let broken =
        |error: std::io::Error| TargetError::caused(Kind::BuildFailed, format!("cannot {what}"), error);
    let packed = {
        let build = build.clone();
        tokio::task::spawn_blocking(move || pack(&build))
            .await
            .map_err(|error| TargetError::caused(Kind::Host, format!("cannot {what}"), error))?
    };
    let (tar, dockerfile) = packed.map_err(broken)?;
    let mut labels: HashMap<String, String> = build.labels.clone().into_iter().collect();
    labels.insert(labels::PROJECT.to_owned(), project.name.clone());
    labels.insert(labels::SERVICE.to_owned(), service.to_owned());
    labels.insert(
        labels::VERSION.to_owned(),
        windflow_kit::build::VERSION.to_owned(),
    );
    let args = build
        .args
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), value.clone()?)))
        .collect();
    let options = BuildImageOptions {
        dockerfile,
        t: Some(image.to_owned()),
        extrahosts: join(&build.extra_hosts),
        nocache: build.no_cache,
        pull: build.pull.then(|| "1".to_owned()),
        rm: true,
        forcerm: true,
        buildargs: Some(args),
        labels: Some(labels),
        networkmode: build.network.clone(),
        platform: build.platforms.first().cloned().unwrap_or_default(),
        target: build.target.clone().unwrap_or_default(),
        cachefrom: Some(build.cache_from.clone()).filter(|from| !from.is_empty()),
        shmsize: i32::try_from(build.shm_size.0).ok().filter(|size| *size > 0),
        ..BuildImageOptions::default()
    };
    let docker = target.docker()?;
    let mut stream = Box::pin(docker.build_image(options, None, Some(body_full(tar.into()))));
    let (mut steps, mut tail) = (0, Vec::new());
    while let Some(item) = stream.next().await {
        let item = item.map_err(|error| {
            let error = failed(target, &what, error);
            let kind = if matches!(error.kind, Kind::Unreachable | Kind::DiskFull) {
                error.kind
            } else {
                Kind::BuildFailed
            };
            TargetError {
                kind,
                what: with_tail(&error.what, &tail),
                ..error
            }
        })?;
        if let Some(text) = item
            .stream
            .as_deref()
            .map(str::trim)
            .filter(|text| !text.is_empty())
        {
            steps += u64::from(text.starts_with("Step "));
            tail.push(text.to_owned());
            if tail.len() > 10 {
                tail.remove(0);
            }
            ticker.tick(Tick {
                layers: Vec::new(),
                current: steps,
                total: 0,
                unit: "items",
                detail: text.to_owned(),
            });
        }
    }
    let id = observe::image(target, image).await?.map(|image| image.id);
    for tag in &build.tags {
        let (repo, tag) = tag
            .rsplit_once(':')
            .filter(|(_, tag)| !tag.contains('/'))
            .unwrap_or((tag, "latest"));
        let options = bollard::query_parameters::TagImageOptions {
            repo: Some(repo.to_owned()),
            tag: Some(tag.to_owned()),
        };
        docker
            .tag_image(image, Some(options))
            .await
            .map_err(|error| failed(target, &format!("tag image {image}"), error))?;
    }
    Ok(Evidence {
        id,
        warnings: Vec::new(),
    })
}

fn join(items: &[String]) -> Option<String> {
    if items.is_empty() {
        None
    } else {
        Some(items.join(",").replace('=', ":"))
    }
}

fn with_tail(what: &str, tail: &[String]) -> String {
    if tail.is_empty() {
        what.to_owned()
    } else {
        format!("{what}; last output: {}", tail.join(" | "))
    }
}

/// What only BuildKit can do is refused by name.
fn refuse(service: &str, build: &Build) -> Result<(), TargetError> {
    let remote = build
        .context
        .as_deref()
        .is_some_and(|context| context.contains("://") || context.starts_with("git@"));
    for (used, key) in [
        (!build.secrets.is_empty(), "secrets"),
        (!build.ssh.is_empty(), "ssh"),
        (!build.additional_contexts.is_empty(), "additional_contexts"),
        (build.privileged, "privileged"),
        (build.platforms.len() > 1, "platforms (several)"),
        (!build.entitlements.is_empty(), "entitlements"),
        (!build.cache_to.is_empty(), "cache_to"),
        (remote, "context (remote)"),
    ] {
        if used {
            let text = format!("services.{service}.build.{key} is not carried out by this engine");
            return Err(TargetError::new(Kind::Unsupported, text));
        }
    }
    Ok(())
}

/// The context as a tar, and the name of the Dockerfile in it.
fn pack(build: &Build) -> std::io::Result<(Vec<u8>, String)> {
    let context = PathBuf::from(build.context.as_deref().unwrap_or("."));
    let dockerfile = build.dockerfile.as_deref().unwrap_or("Dockerfile");
    let ignore = Ignore::read(&context)?;
    let mut tar = tar::Builder::new(Vec::new());
    tar.follow_symlinks(false);
    let mut left = CONTEXT_LIMIT;
    add(&mut tar, &context, Path::new(""), &ignore, dockerfile, &mut left)?;
    let name = if let Some(inline) = &build.dockerfile_inline {
        append(&mut tar, INLINE, inline.as_bytes())?;
        INLINE.to_owned()
    } else if Path::new(dockerfile).is_absolute() && !Path::new(dockerfile).starts_with(&context) {
        append(&mut tar, INLINE, &fs::read(dockerfile)?)?;
        INLINE.to_owned()
    } else {
        let path = Path::new(dockerfile);
        path.strip_prefix(&context)
            .unwrap_or(path)
            .to_string_lossy()
            .into_owned()
    };
    Ok((tar.into_inner()?, name))
}

fn append(tar: &mut tar::Builder<Vec<u8>>, name: &str, content: &[u8]) -> std::io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(u64::try_from(content.len()).unwrap_or(0));
    header.set_mode(0o644);
    tar.append_data(&mut header, name, content)
}

fn add(
    tar: &mut tar::Builder<Vec<u8>>,
    root: &Path,
    below: &Path,
    ignore: &Ignore,
    dockerfile: &str,
    left: &mut u64,
) -> std::io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(root.join(below))?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = below.join(entry.file_name());
        let kind = entry.file_type()?;
        let needed = path == Path::new(dockerfile) || path == Path::new(".dockerignore");
        if ignore.hides(&path) && !needed {
            // Something below may be taken back in by an exception.
            if kind.is_dir() && (ignore.has_exceptions() || Path::new(dockerfile).starts_with(&path)) {
                add(tar, root, &path, ignore, dockerfile, left)?;
            }
            continue;
        }
        if kind.is_dir() {
            tar.append_dir(&path, root.join(&path))?;
            add(tar, root, &path, ignore, dockerfile, left)?;
        } else if kind.is_file() || kind.is_symlink() {
            let size = entry.metadata()?.len();
            *left = left.checked_sub(size).ok_or_else(|| {
                std::io::Error::other(format!(
                    "the build context is over {} MiB; use a .dockerignore",
                    CONTEXT_LIMIT >> 20
                ))
            })?;
            tar.append_path_with_name(root.join(&path), &path)?;
        }
    }
    Ok(())
}

/// `.dockerignore`: patterns with `*`, `?`, `**`, and `!` for exceptions; the last one that fits decides.
#[derive(Debug, Default)]
struct Ignore(Vec<(bool, Vec<String>)>);

impl Ignore {
    fn read(context: &Path) -> std::io::Result<Self> {
        match fs::read_to_string(context.join(".dockerignore")) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    fn parse(text: &str) -> Self {
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self(
            lines
                .map(|line| {
                    let (hides, pattern) = line
                        .strip_prefix('!')
                        .map_or((true, line), |rest| (false, rest.trim()));
                    let parts = pattern.split('/').filter(|part| !part.is_empty() && *part != ".");
                    (hides, parts.map(str::to_owned).collect())
                })
                .collect(),
        )
    }

    fn has_exceptions(&self) -> bool {
        self.0.iter().any(|(hides, _)| !hides)
    }

    fn hides(&self, path: &Path) -> bool {
        let parts: Vec<String> = path
            .iter()
            .map(|part| part.to_string_lossy().into_owned())
            .collect();
        self.0.iter().fold(false, |hidden, (hides, pattern)| {
            // A pattern that fits a directory fits what is in it.
            let fits = (1..=parts.len()).any(|end| matches(pattern, parts.get(..end).unwrap_or_default()));
            if fits { *hides } else { hidden }
        })
    }
}

fn matches(pattern: &[String], path: &[String]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == "**" => {
            matches(rest, path)
                || path
                    .split_first()
                    .is_some_and(|(_, below)| matches(pattern, below))
        }
        (Some((first, rest)), Some((name, below))) => {
            glob(first.as_bytes(), name.as_bytes()) && matches(rest, below)
        }
        _ => false,
    }
}

fn glob(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            glob(rest, name) || name.split_first().is_some_and(|(_, more)| glob(pattern, more))
        }
        (Some((b'?', rest)), Some((_, more))) => glob(rest, more),
        (Some((a, rest)), Some((b, more))) => a == b && glob(rest, more),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignore_rules() {
        let ignore = Ignore::parse("# comment\n*.log\nnode_modules\n**/tmp\n/docs/*\n!docs/keep.md\na?c\n");
        let check = |path: &str, hidden: bool| assert_eq!(ignore.hides(Path::new(path)), hidden, "{path}");
        check("x.log", true);
        check("sub/x.log", false);
        check("node_modules/a/b.js", true);
        check("deep/down/tmp/file", true);
        check("docs/other.md", true);
        check("docs/keep.md", false);
        check("abc", true);
        check("main.rs", false);
    }
}
