//! Which controller the command line talks to, and as whom: a small file of the user, overruled by the environment.
//!
//! `~/.config/windflow/config.toml` (mode 0600), or the file in `WINDFLOW_CONFIG`.

use std::{
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use windflow_kit::{Chain, Secret};

use crate::{
    error::{Error, Exit, Result},
    pin::parse_pin,
};

/// Address, trust and token of a controller.
#[derive(Debug, Clone)]
pub struct Context {
    /// `https://host:port`, without a trailing slash.
    pub url: String,
    /// Pin of the controller's authority.
    pub ca_pin: Option<String>,
    /// API token.
    pub token: Option<Secret<String>>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    url: String,
    #[serde(default)]
    ca_pin: Option<String>,
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    username: Option<String>,
}

/// Where the context is kept: `WINDFLOW_CONFIG`, else below `XDG_CONFIG_HOME` or `~/.config`.
///
/// # Errors
/// If neither says where.
pub fn path(variable: &dyn Fn(&str) -> Option<String>) -> Result<PathBuf> {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    if let Some(path) = set("WINDFLOW_CONFIG") {
        return Ok(path.into());
    }
    let base = set("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| set("HOME").map(|home| Path::new(&home).join(".config")));
    base.map(|base| base.join("windflow/config.toml")).ok_or_else(|| {
        Error::usage("there is no place for the configuration: HOME is not set")
            .hint("Set HOME, XDG_CONFIG_HOME or WINDFLOW_CONFIG.")
    })
}

/// Checks and tidies a controller address: a missing scheme becomes `https`, a path is refused.
///
/// # Errors
/// If it is not an `https` address.
pub fn parse_url(text: &str) -> Result<String> {
    let full = if text.contains("://") {
        text.to_owned()
    } else {
        format!("https://{text}")
    };
    let bad = |why: &str| {
        Error::usage(format!("`{text}` is not the address of a controller: {why}"))
            .hint("Give it as https://HOST:PORT, for example https://windflow.example:8443.")
    };
    let url = reqwest::Url::parse(&full).map_err(|error| bad(&error.to_string()))?;
    if url.scheme() != "https" {
        return Err(bad("only https is spoken"));
    }
    if url.host_str().is_none_or(str::is_empty) || !matches!(url.path(), "" | "/") || url.query().is_some() {
        return Err(bad("it must be a host and a port without a path"));
    }
    Ok(full.trim_end_matches('/').to_owned())
}

impl Context {
    /// The saved context with `WINDFLOW_URL`, `WINDFLOW_CA_PIN` and `WINDFLOW_TOKEN` on top.
    ///
    /// # Errors
    /// If there is none, or the file cannot be read.
    pub fn load(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let file = path(variable)?;
        let saved = match fs_err::read_to_string(&file) {
            Ok(text) => toml::from_str::<Saved>(&text).map_err(|error| {
                Error::usage(format!("{} cannot be read: {}", file.display(), error.message()))
                    .hint("Correct the file, or run `windflow login` again.")
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Saved::default(),
            Err(error) => return Err(Error::failed(Chain(&error).to_string())),
        };
        let pin = set("WINDFLOW_CA_PIN");
        if let Some(pin) = pin.as_deref().filter(|pin| parse_pin(pin).is_none()) {
            return Err(Error::usage(format!(
                "WINDFLOW_CA_PIN is not a pin: `{pin}` is not the base64 of 32 bytes"
            )));
        }
        let own = set("WINDFLOW_URL").map(|url| parse_url(&url)).transpose()?;
        // A saved token or pin belongs to the saved address: it is never sent to another one.
        let same = own.as_ref().is_none_or(|url| *url == saved.url);
        let url = own.unwrap_or(saved.url);
        if url.is_empty() {
            return Err(Error::new(Exit::Refused, "not signed in to a controller")
                .hint("Run `windflow login https://HOST:PORT`, or set WINDFLOW_URL and WINDFLOW_TOKEN."));
        }
        Ok(Self {
            url,
            ca_pin: pin
                .and_then(|pin| parse_pin(&pin))
                .or_else(|| saved.ca_pin.filter(|_| same)),
            token: set("WINDFLOW_TOKEN")
                .or_else(|| saved.token.filter(|_| same))
                .map(Secret::new),
        })
    }

    /// Saves the context, readable by its owner only. The file is replaced in one step.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, file: &Path, username: Option<&str>) -> Result<()> {
        let saved = Saved {
            url: self.url.clone(),
            ca_pin: self.ca_pin.clone(),
            token: self.token.as_ref().map(|token| token.expose().clone()),
            username: username.map(str::to_owned),
        };
        let text = toml::to_string(&saved).map_err(|error| Error::failed(error.to_string()))?;
        let failed = |error: std::io::Error| {
            Error::failed(format!("cannot save {}: {}", file.display(), Chain(&error)))
        };
        let dir = file.parent().unwrap_or_else(|| Path::new("."));
        fs_err::create_dir_all(dir).map_err(failed)?;
        let part = file.with_extension("part");
        let write = || {
            let mut open = fs_err::OpenOptions::new();
            open.write(true).create(true).truncate(true);
            open.options_mut().mode(0o600);
            let mut out = open.open(&part)?;
            out.write_all(text.as_bytes())?;
            out.sync_all()?;
            fs_err::rename(&part, file)
        };
        write().map_err(failed)
    }
}

/// Forgets the saved context. Returns whether there was one.
///
/// # Errors
/// If the file cannot be removed.
pub fn forget(file: &Path) -> Result<bool> {
    match fs_err::remove_file(file) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::failed(Chain(&error).to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> + use<> {
        let map: BTreeMap<String, String> = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        move |name: &str| map.get(name).cloned()
    }

    #[test]
    fn addresses() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(parse_url(text).ok().as_deref(), expected, "{text}");
        };
        check("https://a:8443", Some("https://a:8443"));
        check("https://a:8443/", Some("https://a:8443"));
        check("a:8443", Some("https://a:8443"));
        check("[::1]:8443", Some("https://[::1]:8443"));
        check("http://a", None);
        check("https://a/x", None);
        check("https://a?x", None);
        check("", None);
    }

    #[test]
    fn saved_private_and_never_sent_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a/config.toml");
        let context = Context {
            url: "https://a:1".into(),
            ca_pin: Some("p".into()),
            token: Some(Secret::new("t".into())),
        };
        context.save(&file, Some("ada")).unwrap();
        assert_eq!(
            fs_err::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let at = file.to_str().unwrap();
        let loaded = Context::load(&variables(&[("WINDFLOW_CONFIG", at)])).unwrap();
        assert_eq!(loaded.url, "https://a:1");
        assert_eq!(loaded.token.unwrap().expose(), "t");
        let other = Context::load(&variables(&[
            ("WINDFLOW_CONFIG", at),
            ("WINDFLOW_URL", "https://b"),
        ]))
        .unwrap();
        assert!(other.token.is_none() && other.ca_pin.is_none());
        assert!(forget(&file).unwrap() && !forget(&file).unwrap());
        let error = Context::load(&variables(&[("WINDFLOW_CONFIG", at)])).unwrap_err();
        assert!(
            error.report().contains("hint: Run `windflow login"),
            "{}",
            error.report()
        );
    }
}
