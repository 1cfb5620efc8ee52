//! `cp` and `files`.

use std::str::FromStr;

use clap::Args;
use windflow_model::{FilePath, FilePlace};

/// `cp`.
#[derive(Debug, Args)]
pub struct CpArgs {
    /// From where: a path here, - (standard input), or HOST/CONTAINER:PATH, HOST/volume:NAME:PATH.
    #[arg(value_name = "FROM")]
    pub from: Spot,
    /// To where, in the same forms; - is standard output.
    #[arg(value_name = "TO")]
    pub to: Spot,
    /// From or to the standard streams: a tar, also of a single file.
    #[arg(long)]
    pub tar: bool,
}

/// `files`.
#[derive(Debug, Args)]
pub struct FilesArgs {
    /// HOST for its volumes, HOST/CONTAINER:PATH or HOST/volume:NAME:PATH for what is there.
    #[arg(value_name = "PLACE")]
    pub place: String,
}

/// One end of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spot {
    /// On this machine.
    Here(Here),
    /// On a host.
    There(There),
}

/// On this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Here {
    /// A path.
    Path(String),
    /// Standard input or output.
    Standard,
}

/// On a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct There {
    /// Its name or id.
    pub host: String,
    /// In what.
    pub place: FilePlace,
    /// Where in it.
    pub path: FilePath,
    /// It was written with a slash at its end: it is meant to be a folder.
    pub folder: bool,
}

impl FromStr for Spot {
    type Err = String;

    /// What begins with a slash or a dot is a path here, as is what has no slash before its colon.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("the path is empty".to_owned());
        }
        if text == "-" {
            return Ok(Self::Here(Here::Standard));
        }
        let here = || Ok(Self::Here(Here::Path(text.to_owned())));
        if text.starts_with(['/', '.']) {
            return here();
        }
        let Some((host, rest)) = text.split_once('/') else {
            return here();
        };
        let Some((name, path)) = rest.split_once(':') else {
            return here();
        };
        if name.contains('/') || name.is_empty() {
            return here();
        }
        // A container may be called `volume`: behind its colon there is a path, which begins with a slash.
        let (place, path) = match path.split_once(':') {
            Some((volume, path)) if name == "volume" && !volume.contains('/') => {
                let volume = volume.to_owned();
                (FilePlace::Volume { volume }, path)
            }
            _ => {
                let container = name.to_owned();
                (FilePlace::Container { container }, path)
            }
        };
        Ok(Self::There(There {
            host: host.to_owned(),
            place,
            path: if path.is_empty() {
                FilePath::root()
            } else {
                path.parse().map_err(|error| format!("{error}"))?
            },
            folder: path.is_empty() || path.ends_with('/'),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spots() {
        let check = |text: &str, expected: &str| {
            let found = match text.parse() {
                Ok(Spot::Here(Here::Path(path))) => format!("here {path}"),
                Ok(Spot::Here(Here::Standard)) => "standard".to_owned(),
                Ok(Spot::There(there)) => {
                    let folder = if there.folder { " folder" } else { "" };
                    format!("{} {} {}{folder}", there.host, there.place, there.path)
                }
                Err(error) => format!("error {error}"),
            };
            assert!(found.starts_with(expected), "{text}: {found}");
        };
        check("-", "standard");
        check("/a/b:c", "here /a/b:c");
        check("./nas/web:/x", "here ./nas/web:/x");
        check("file", "here file");
        check("c:/x", "here c:/x");
        check("dir/file", "here dir/file");
        check("dir/sub/web:/x", "here dir/sub/web:/x");
        check("nas/web-1:/etc/hosts", "nas container web-1 /etc/hosts");
        check("nas/web-1:", "nas container web-1 / folder");
        check("nas/web-1:/etc/", "nas container web-1 /etc folder");
        check("nas/web-1:/a:b", "nas container web-1 /a:b");
        check("nas/volume:data:/x", "nas volume data /x");
        check("nas/volume:data:", "nas volume data / folder");
        check("nas/volume:/x", "nas container volume /x");
        check(
            "nas/web-1:etc",
            "error the path \"etc\" does not begin with a slash",
        );
        check("nas/web-1:/a/../b", "error the path");
        check("", "error the path is empty");
    }
}
