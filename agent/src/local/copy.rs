//! `cp`: files between a container and this host, as a tar.

use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use windflow_engine::targets::ArchivePut;

use super::{
    Context, Result,
    args::CpArgs,
    run::one_of,
    session::{failed, target},
    show, terminal,
};
use crate::failure::CommandError;

/// `cp`.
pub(super) async fn copy(context: &Context, args: CpArgs) -> Result<()> {
    let project = context.load_lenient(args.project.clone(), &[])?;
    let target = target(&context.caller)?;
    if project.dry_run {
        show::note(&format!("dry run: {} would be copied to {}", args.from, args.to));
        return Ok(());
    }
    let broken = |error: std::io::Error| CommandError::failed(format!("cannot copy: {error}"));
    match (service(&args.from), service(&args.to)) {
        (Some((name, path)), None) => {
            let container = one_of(&target, &project, name, args.index).await?;
            let mut pieces = target.archive_get(&container.id, path).await.map_err(failed)?;
            let mut tar = BytesMut::new();
            while let Some(piece) = pieces.try_next().await.map_err(failed)? {
                tar.extend_from_slice(&piece);
            }
            let tar = tar.freeze();
            if args.to == "-" {
                return terminal::print(windflow_engine::targets::Output::Stdout(tar));
            }
            unpack(&tar, Path::new(path), &context.caller.working_dir.join(&args.to)).map_err(broken)
        }
        (None, Some((name, path))) => {
            let container = one_of(&target, &project, name, args.index).await?;
            let from = context.caller.working_dir.join(&args.from);
            // A path that ends in a slash is a directory; otherwise the last part is the new name.
            let (directory, new) = if path.ends_with('/') {
                (path.to_owned(), file_name(&from)?)
            } else {
                let path = Path::new(path);
                let parent = path.parent().unwrap_or_else(|| Path::new("/"));
                (parent.to_string_lossy().into_owned(), file_name(path)?)
            };
            let tar = Bytes::from(pack(&from, &new).map_err(broken)?);
            let put = ArchivePut {
                container: container.id,
                path: directory,
                keep_owner: args.archive,
                tar: stream::iter([Ok(tar)]).boxed(),
            };
            target.archive_put(put).await.map_err(failed)
        }
        _ => Err(CommandError::usage("one of the two paths must be SERVICE:PATH")),
    }
}

/// `SERVICE:PATH`; a path of the host has a slash before any colon.
fn service(text: &str) -> Option<(&str, &str)> {
    let (name, path) = text.split_once(':')?;
    (!name.contains('/') && !name.starts_with('.') && !name.is_empty()).then_some((name, path))
}

fn file_name(path: &Path) -> Result<PathBuf> {
    let name = path.file_name().map(PathBuf::from);
    name.ok_or_else(|| CommandError::usage(format!("{} names no file", path.display())))
}

fn pack(from: &Path, name: &Path) -> std::io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    tar.follow_symlinks(false);
    if fs_err::metadata(from)?.is_dir() {
        tar.append_dir_all(name, from)?;
    } else {
        tar.append_path_with_name(from, name)?;
    }
    tar.into_inner()
}

/// Into a directory that is there, or under the new name.
fn unpack(bytes: &[u8], from: &Path, to: &Path) -> std::io::Result<()> {
    let inside = to.is_dir();
    let first = from.file_name().map(PathBuf::from).unwrap_or_default();
    for entry in tar::Archive::new(bytes).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let place = if inside {
            to.join(&path)
        } else {
            let rest = path.strip_prefix(&first).unwrap_or(&path);
            if rest.as_os_str().is_empty() {
                to.to_owned()
            } else {
                to.join(rest)
            }
        };
        if path.components().any(|part| part.as_os_str() == "..") {
            return Err(std::io::Error::other("a path in the archive leads out of it"));
        }
        entry.unpack(place)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_and_paths() {
        let check = |text: &str, found: Option<(&str, &str)>| assert_eq!(service(text), found, "{text}");
        check("web:/etc/x", Some(("web", "/etc/x")));
        check("./a:b", None);
        check("/a:b", None);
        check("plain", None);
    }
}
