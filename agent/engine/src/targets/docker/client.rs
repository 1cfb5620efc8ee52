//! The Docker client's configuration of the user that the agent runs as: credentials of registries, proxies.
//!
//! Read for every use, so that a `docker login` counts at once.

mod helper;

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use serde::{Deserialize, Serialize};

use crate::targets::{TargetError, TargetErrorKind};
use windflow_compose::collect::IntoMap as _;

/// What Docker calls its own registry.
const HUB: &str = "https://index.docker.io/v1/";

/// What the engine shows to a registry. Has no `Debug`: it is a password.
#[derive(Default, Serialize)]
pub(super) struct Credentials {
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    serveraddress: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identitytoken: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    registrytoken: Option<String>,
}

/// The value of `X-Registry-Auth` or `X-Registry-Config`. In the alphabet for URLs: the engine reads no other, and with
/// the plain one some passwords would be lost.
pub(super) fn header(value: &impl Serialize) -> String {
    URL_SAFE.encode(serde_json::to_vec(value).unwrap_or_default())
}

/// `config.json` as far as it matters here.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ClientConfig {
    auths: BTreeMap<String, Entry>,
    creds_store: Option<String>,
    cred_helpers: BTreeMap<String, String>,
    proxies: BTreeMap<String, Proxies>,
    #[serde(skip)]
    problem: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    /// `user:password` in base64.
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Proxies {
    http_proxy: String,
    https_proxy: String,
    no_proxy: String,
    ftp_proxy: String,
    all_proxy: String,
}

impl ClientConfig {
    /// Reads `config.json` of a directory; without one there is nothing configured. One that cannot be read is nothing,
    /// too: most images need no credentials. It is said where one turns out to be needed.
    pub(super) async fn read(directory: Option<&Path>) -> Self {
        let Some(directory) = directory else {
            return Self::default();
        };
        let file = directory.join("config.json");
        let problem = match fs_err::tokio::read(&file).await {
            Ok(json) => match serde_json::from_slice(&json) {
                Ok(config) => return config,
                Err(error) => format!("{}: {error}", file.display()),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Self::default(),
            Err(error) => error.to_string(),
        };
        tracing::warn!(%problem, "the Docker client configuration is left out");
        Self {
            problem: Some(problem),
            ..Self::default()
        }
    }

    /// Adds to a failure that the configuration could not be read.
    pub(super) fn told(&self, error: TargetError) -> TargetError {
        match &self.problem {
            Some(problem) => TargetError {
                what: format!(
                    "{}; the Docker client configuration could not be read: {problem}",
                    error.what
                ),
                ..error
            },
            None => error,
        }
    }

    /// The variables of `proxies` for containers and builds at an engine, in both spellings.
    pub(super) fn proxies(&self, engine: &str) -> BTreeMap<String, String> {
        let Some(found) = self.proxies.get(engine).or_else(|| self.proxies.get("default")) else {
            return BTreeMap::new();
        };
        let words = [
            ("HTTP_PROXY", &found.http_proxy),
            ("HTTPS_PROXY", &found.https_proxy),
            ("NO_PROXY", &found.no_proxy),
            ("FTP_PROXY", &found.ftp_proxy),
            ("ALL_PROXY", &found.all_proxy),
        ];
        let given = words.into_iter().filter(|(_, value)| !value.is_empty());
        given
            .flat_map(|(key, value)| {
                [
                    (key.to_owned(), value.clone()),
                    (key.to_lowercase(), value.clone()),
                ]
            })
            .into_map()
    }

    /// The credentials for an image, `None` where none are configured.
    pub(super) async fn credentials_of(&self, image: &str) -> Result<Option<Credentials>, TargetError> {
        let registry = registry_of(image);
        let key = if registry == "docker.io" { HUB } else { registry };
        self.credentials(key).await
    }

    /// All credentials there are, for a build that may pull from anywhere.
    pub(super) async fn all(&self) -> Result<HashMap<String, Credentials>, TargetError> {
        let mut out = HashMap::new();
        let names = self.auths.keys().chain(self.cred_helpers.keys());
        for name in names {
            if let Some(found) = self.credentials(name).await? {
                out.insert(name.clone(), found);
            }
        }
        Ok(out)
    }

    /// User and password for a registry, as its own key in the configuration names it. The user of a token is empty.
    pub(super) async fn login(&self, key: &str) -> Result<Option<(String, String)>, TargetError> {
        let found = self.credentials(key).await?;
        Ok(
            found.map(|found| match found.identitytoken.or(found.registrytoken) {
                Some(token) => (String::new(), token),
                None => (
                    found.username.unwrap_or_default(),
                    found.password.unwrap_or_default(),
                ),
            }),
        )
    }

    async fn credentials(&self, key: &str) -> Result<Option<Credentials>, TargetError> {
        let own = self.cred_helpers.get(key);
        let helper = own.or(self.creds_store.as_ref()).filter(|name| !name.is_empty());
        if let Some(helper) = helper
            && let Some(found) = helper::get(helper, key).await?
        {
            return Ok(Some(found));
        }
        let found = self.auths.get(key).or_else(|| {
            let host = host_of(key);
            self.auths
                .iter()
                .find_map(|(name, entry)| (host_of(name) == host).then_some(entry))
        });
        found.map_or(Ok(None), |entry| entry.credentials(key))
    }
}

impl Entry {
    fn credentials(&self, key: &str) -> Result<Option<Credentials>, TargetError> {
        let (mut username, mut password) = (self.username.clone(), self.password.clone());
        if !self.auth.is_empty() {
            // Never the content: it is the password.
            let broken = || {
                let text = format!(
                    "the credentials of {key} in the Docker client configuration are no base64 of user:password"
                );
                TargetError::new(TargetErrorKind::Host, text)
            };
            let bytes = STANDARD.decode(self.auth.trim()).map_err(|_| broken())?;
            let text = String::from_utf8(bytes).map_err(|_| broken())?;
            let (user, secret) = text.split_once(':').ok_or_else(broken)?;
            // Written by old clients with zero bytes behind it.
            (username, password) = (user.to_owned(), secret.trim_end_matches('\0').to_owned());
        }
        let word = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        if username.is_empty() && self.identitytoken.is_empty() && self.registrytoken.is_empty() {
            return Ok(None);
        }
        Ok(Some(Credentials {
            username: word(&username),
            password: word(&password),
            serveraddress: word(key),
            identitytoken: word(&self.identitytoken),
            registrytoken: word(&self.registrytoken),
        }))
    }
}

/// The registry of an image reference.
fn registry_of(image: &str) -> &str {
    match image.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => match first {
            "index.docker.io" => "docker.io",
            other => other,
        },
        _ => "docker.io",
    }
}

/// The host of a registry's address as old clients wrote it.
fn host_of(address: &str) -> &str {
    let bare = address
        .strip_prefix("https://")
        .or_else(|| address.strip_prefix("http://"))
        .unwrap_or(address);
    bare.split('/').next().unwrap_or(bare)
}

/// Where the configuration lies: `DOCKER_CONFIG`, else `.docker` below `HOME`.
#[must_use]
pub fn client_config_dir(variable: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let given = |name: &str| variable(name).filter(|value| !value.is_empty());
    given("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| Some(Path::new(&given("HOME")?).join(".docker")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: serde_json::Value) -> ClientConfig {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn registries() {
        let check = |image: &str, is: &str| assert_eq!(registry_of(image), is, "{image}");
        check("busybox", "docker.io");
        check("library/busybox:1", "docker.io");
        check("index.docker.io/a/b", "docker.io");
        check("localhost/a", "localhost");
        check("127.0.0.1:5000/a/b:2", "127.0.0.1:5000");
        check("registry.example.org/a@sha256:00", "registry.example.org");
    }

    #[tokio::test]
    async fn credentials_of_every_form() {
        let config = config(serde_json::json!({ "auths": {
            "https://index.docker.io/v1/": { "auth": STANDARD.encode("me:pa:ss\0\0") },
            "https://old.example.org/v2/": { "username": "u", "password": "p" },
            "token.example.org": { "auth": STANDARD.encode("<token>:"), "identitytoken": "abc" },
            "empty.example.org": {},
            "broken.example.org": { "auth": "?" },
        } }));
        let check = async |image: &str, is: Option<(&str, &str, &str)>| {
            let found = config.credentials_of(image).await.unwrap();
            let found = found.map(|found| {
                (
                    found.username.unwrap_or_default(),
                    found.password.unwrap_or_default(),
                    found.identitytoken.unwrap_or_default(),
                )
            });
            let is = is.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()));
            assert_eq!(found, is, "{image}");
        };
        check("busybox", Some(("me", "pa:ss", ""))).await;
        check("old.example.org/a", Some(("u", "p", ""))).await;
        check("token.example.org/a", Some(("<token>", "", "abc"))).await;
        check("empty.example.org/a", None).await;
        check("other.example.org/a", None).await;
        let Err(error) = config.credentials_of("broken.example.org/a").await else {
            panic!("it is no base64");
        };
        assert!(error.to_string().contains("broken.example.org"), "{error}");
    }

    #[tokio::test]
    async fn an_unreadable_file_is_told_with_the_failure() {
        let dir = tempfile::tempdir().unwrap();
        let error = || TargetError::new(TargetErrorKind::ImagePull, "no");
        let told = |config: ClientConfig| config.told(error()).to_string();
        assert_eq!(told(ClientConfig::read(Some(dir.path())).await), "no");
        fs_err::write(dir.path().join("config.json"), "{").unwrap();
        let text = told(ClientConfig::read(Some(dir.path())).await);
        assert!(text.contains("config.json"), "{text}");
    }

    #[test]
    fn proxies_in_both_spellings() {
        let config = config(serde_json::json!({ "proxies": {
            "default": { "httpProxy": "http://p:1", "noProxy": "localhost" },
            "unix:///x.sock": { "httpsProxy": "http://q:2" },
        } }));
        let keys = |engine: &str| config.proxies(engine).into_keys().collect::<Vec<_>>().join(" ");
        assert_eq!(
            keys("unix:///var/run/docker.sock"),
            "HTTP_PROXY NO_PROXY http_proxy no_proxy"
        );
        assert_eq!(keys("unix:///x.sock"), "HTTPS_PROXY https_proxy");
    }

    #[test]
    fn place() {
        let check = |given: &[(&str, &str)], is: Option<&str>| {
            let variable = |name: &str| {
                let found = given.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            assert_eq!(client_config_dir(variable), is.map(PathBuf::from), "{given:?}");
        };
        check(&[("HOME", "/root")], Some("/root/.docker"));
        check(&[("HOME", "/root"), ("DOCKER_CONFIG", "/c")], Some("/c"));
        check(&[("HOME", "/root"), ("DOCKER_CONFIG", "")], Some("/root/.docker"));
        check(&[], None);
    }
}
