//! Files in containers and volumes of a host.
//!
//! | request | answer |
//! |---|---|
//! | `GET /api/v1/agents/{id}/volumes` | the named volumes |
//! | `GET /api/v1/agents/{id}/files` | what is at a path, and in it |
//! | `GET /api/v1/agents/{id}/files/content` | the bytes of a file, or a tar of whatever is there |
//! | `PUT /api/v1/agents/{id}/files/content` | writes the body: one file, or what a tar holds into a folder that is there |
//!
//! A body is taken in whole by the host before anything of it is written: what breaks off changes nothing.

use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use windflow_model::{FilePath, FilePlace};

/// Which files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FileParams {
    /// In this container (id or name), whether it runs or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// In this named volume, instead of a container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume: Option<String>,
    /// Where, from the root of it: `/etc/hosts`. Absent: the root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// As a tar; of `files/content` only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub archive: bool,
    /// Permissions of a file that is written and was not there, in octal digits: `0644` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
}

impl FileParams {
    /// Of a place and a path.
    #[must_use]
    pub fn of(place: &FilePlace, path: &FilePath, archive: bool) -> Self {
        let (container, volume) = match place {
            FilePlace::Container { container } => (Some(container.clone()), None),
            FilePlace::Volume { volume } => (None, Some(volume.clone())),
        };
        Self {
            container,
            volume,
            path: Some(path.to_string()),
            archive,
            mode: None,
        }
    }

    /// The permissions that are asked for.
    ///
    /// # Errors
    /// They are no such digits.
    pub fn permissions(&self) -> Result<Option<u32>, String> {
        let Some(text) = &self.mode else { return Ok(None) };
        match u32::from_str_radix(text, 8) {
            Ok(mode) if mode <= 0o7777 => Ok(Some(mode)),
            _ => Err(format!("mode: {text:?} is no number of up to four octal digits")),
        }
    }

    /// The place and the path that are meant.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn meant(&self) -> Result<(FilePlace, FilePath), String> {
        let named = |name: &str, kind: &str| match name {
            "" => Err(format!("{kind}: it has no name")),
            // It becomes part of a path of the engine's API.
            name if name
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || "_.-".contains(letter)) =>
            {
                Ok(name.to_owned())
            }
            name => Err(format!("{kind}: {name:?} is no name of one")),
        };
        let place = match (&self.container, &self.volume) {
            (Some(container), None) => FilePlace::Container {
                container: named(container, "container")?,
            },
            (None, Some(volume)) => FilePlace::Volume {
                volume: named(volume, "volume")?,
            },
            _ => return Err("give either container or volume".to_owned()),
        };
        let path = match &self.path {
            None => FilePath::root(),
            Some(path) => path.parse().map_err(|error| format!("path: {error}"))?,
        };
        Ok((place, path))
    }
}
