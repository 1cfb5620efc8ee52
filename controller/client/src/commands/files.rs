//! `cp` and `files`: what is in containers and volumes of hosts.

use std::path::{Path, PathBuf};

use comfy_table::{Cell, CellAlignment};
use windflow_api::FileParams;
use windflow_model::{AgentId, FileEntry, FileKind, FileListing, FilePath, VolumeSummary};

mod tape;

use super::Session;
use crate::{
    cli::{CpArgs, FilesArgs, Here, Spot, There},
    error::{Error, Exit, Result},
    http::Client,
    output::{Output, bytes, note},
};

/// An end of a copy on a host that was found.
struct Found {
    agent: AgentId,
    at: There,
}

/// `windflow cp`.
pub(super) async fn copy(session: &Session<'_>, args: CpArgs) -> Result<()> {
    let client = session.client()?;
    match (args.from, args.to) {
        (Spot::There(from), Spot::Here(to)) => {
            let from = Found::find(&client, from).await?;
            out(&client, &from, &to, args.tar).await
        }
        (Spot::Here(from), Spot::There(to)) => {
            let to = Found::find(&client, to).await?;
            into(&client, &from, &to, args.tar).await
        }
        (Spot::There(_), Spot::There(_)) => Err(Error::usage(
            "only one end can be on a host: copy to here first, or pipe it: windflow cp --tar FROM - | windflow cp --tar - TO",
        )),
        (Spot::Here(_), Spot::Here(_)) => Err(Error::usage(
            "neither end is on a host: write it as HOST/CONTAINER:PATH or HOST/volume:NAME:PATH",
        )),
    }
}

impl Found {
    async fn find(client: &Client, at: There) -> Result<Self> {
        let agent = client.agent_find(&at.host).await?.record.id;
        Ok(Self { agent, at })
    }

    fn params(&self, path: &FilePath, archive: bool) -> FileParams {
        FileParams::of(&self.at.place, path, archive)
    }

    /// What is there; `None` if nothing is.
    async fn look(&self, client: &Client) -> Result<Option<FileListing>> {
        match client
            .file_list(self.agent, &self.params(&self.at.path, false))
            .await
        {
            Ok(listing) => Ok(Some(listing)),
            Err(error) if error.exit == Exit::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

async fn out(client: &Client, from: &Found, to: &Here, tar: bool) -> Result<()> {
    let read = async |archive: bool| {
        client
            .file_read(from.agent, &from.params(&from.at.path, archive))
            .await
    };
    match to {
        Here::Standard => tape::print(read(tar).await?).await,
        Here::Path(path) if tar => {
            let count = tape::save(read(true).await?, Path::new(path), None).await?;
            note(&format!("{path}: {}", bytes(count)));
            Ok(())
        }
        Here::Path(path) => {
            // What is there after links: of a link to a folder, a tar holds the link.
            let found = client
                .file_list(from.agent, &from.params(&from.at.path, false))
                .await?;
            let to = Path::new(path);
            if found.entry.kind == FileKind::File {
                let name = from.at.path.name().unwrap_or("file");
                let to = if to.is_dir() || path.ends_with('/') {
                    to.join(name)
                } else {
                    to.to_owned()
                };
                // The bits that give rights of others are left to be given here.
                let mode = found.entry.mode & 0o777;
                let count = tape::save(read(false).await?, &to, Some(mode)).await?;
                note(&format!("{}: {}", to.display(), bytes(count)));
            } else {
                let count = tape::unpack(read(true).await?, to).await?;
                note(&format!("{}: {count} entries", to.display()));
            }
            Ok(())
        }
    }
}

async fn into(client: &Client, from: &Here, to: &Found, tar: bool) -> Result<()> {
    let found = to.look(client).await?;
    let is_folder = found.is_some_and(|found| found.entry.kind == FileKind::Folder);
    if to.at.folder && !is_folder {
        let text = format!("{} in {} is no folder", to.at.path, to.at.place);
        return Err(Error::failed(text).hint("Make it first, or leave the slash at its end out."));
    }
    let written = match from {
        Here::Standard => {
            let params = to.params(&to.at.path, tar);
            client.file_write(to.agent, &params, tape::standard()).await?
        }
        Here::Path(path) => {
            let (path, name) = source(path)?;
            // Into the folder that is there, or under the new name.
            let target = match is_folder {
                true => to
                    .at
                    .path
                    .join(&name)
                    .map_err(|error| Error::usage(error.to_string()))?,
                false => to.at.path.clone(),
            };
            if tar {
                let params = to.params(&to.at.path, true);
                client.file_write(to.agent, &params, tape::file(&path)?).await?
            } else if path.is_dir() {
                let (Some(parent), Some(name)) = (target.parent(), target.name()) else {
                    return Err(Error::usage("the folder needs a name on the host"));
                };
                let params = to.params(&parent, true);
                client
                    .file_write(to.agent, &params, tape::pack(path, name.to_owned()))
                    .await?
            } else {
                let params = FileParams {
                    mode: Some(format!("{:o}", tape::mode(&path)?)),
                    ..to.params(&target, false)
                };
                client.file_write(to.agent, &params, tape::file(&path)?).await?
            }
        }
    };
    note(&format!(
        "{} in {}: {} entries, {}",
        to.at.path,
        to.at.place,
        written.entries,
        bytes(written.bytes)
    ));
    Ok(())
}

/// What is copied from here, and its name.
fn source(path: &str) -> Result<(PathBuf, String)> {
    let whole = fs_err::canonicalize(path).map_err(|error| Error::failed(error.to_string()))?;
    // A link is copied as what it leads to, under its own name.
    let named = Path::new(path).file_name().or_else(|| whole.file_name());
    let name = named.and_then(|name| name.to_str()).map(str::to_owned);
    let name = name.ok_or_else(|| Error::usage(format!("{path} has no name that can be copied")))?;
    Ok((whole, name))
}

/// `windflow files`.
pub(super) async fn show(session: &Session<'_>, args: FilesArgs) -> Result<()> {
    let client = session.client()?;
    let spot: Spot = args.place.parse().map_err(Error::usage)?;
    match spot {
        Spot::There(at) => {
            let found = Found::find(&client, at).await?;
            let params = found.params(&found.at.path, false);
            let listing = client.file_list(found.agent, &params).await?;
            session.out.show(&listing, |out| entries(out, &listing))?;
            if let Some(cut) = &listing.cut {
                note(&format!("this is not all: {cut}"));
            }
            Ok(())
        }
        Spot::Here(Here::Path(host)) if !host.contains(['/', ':']) => {
            let agent = client.agent_find(&host).await?.record.id;
            let list = client.volume_list(agent).await?;
            session.out.none(list.is_empty(), "this host has no volumes");
            session.out.show(&list, |out| volumes(out, &list))
        }
        Spot::Here(_) => Err(Error::usage(
            "write HOST, HOST/CONTAINER:PATH or HOST/volume:NAME:PATH",
        )),
    }
}

fn volumes(out: &Output, list: &[VolumeSummary]) -> String {
    let rows = list.iter().map(|volume| {
        vec![
            Cell::new(&volume.name),
            Cell::new(&volume.driver),
            Cell::new(volume.project.as_deref().unwrap_or("")),
            Cell::new(volume.containers.join(", ")),
        ]
    });
    out.table(&["VOLUME", "DRIVER", "STACK", "USED BY"], rows.collect())
}

fn entries(out: &Output, listing: &FileListing) -> String {
    let one = std::slice::from_ref(&listing.entry);
    let shown = match listing.entry.kind {
        FileKind::Folder => listing.entries.as_slice(),
        _ => one,
    };
    let rows = shown.iter().map(|entry| {
        let size = match entry.kind {
            FileKind::File => bytes(entry.size),
            _ => String::new(),
        };
        vec![
            Cell::new(permissions(entry)),
            Cell::new(size).set_alignment(CellAlignment::Right),
            Cell::new(entry.modified.map_or_else(String::new, |at| at.to_string())),
            Cell::new(windflow_model::printable(&shown_name(entry), false)),
        ]
    });
    out.table(&["MODE", "SIZE", "WRITTEN", "NAME"], rows.collect())
}

fn shown_name(entry: &FileEntry) -> String {
    match (entry.kind, &entry.target) {
        (FileKind::Folder, _) => format!("{}/", entry.name),
        (FileKind::Link, Some(target)) => format!("{} -> {target}", entry.name),
        _ => entry.name.clone(),
    }
}

/// As `ls -l` writes them.
fn permissions(entry: &FileEntry) -> String {
    let mut text = String::from(match entry.kind {
        FileKind::File => "-",
        FileKind::Folder => "d",
        FileKind::Link => "l",
        FileKind::Other => "?",
    });
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = entry.mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (entry.mode & special != 0, bits & 1 != 0) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_read_as_those_of_ls() {
        let check = |kind: FileKind, mode: u32, expected: &str| {
            let entry = FileEntry {
                name: "x".into(),
                kind,
                size: 0,
                mode,
                modified: None,
                target: None,
            };
            assert_eq!(permissions(&entry), expected);
        };
        check(FileKind::File, 0o644, "-rw-r--r--");
        check(FileKind::Folder, 0o1777, "drwxrwxrwt");
        check(FileKind::File, 0o4755, "-rwsr-xr-x");
        check(FileKind::File, 0o6644, "-rwSr-Sr--");
        check(FileKind::Link, 0o777, "lrwxrwxrwx");
    }
}
