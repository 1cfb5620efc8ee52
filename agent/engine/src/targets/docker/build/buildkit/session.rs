//! What the engine may ask this side for while it builds: files, secrets, credentials of registries, the SSH agent.
//!
//! The engine is the client here, over a connection that it was given for one build. It gets what that build names and
//! nothing else.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use super::{
    call::Call,
    files::{self, Source},
    grpc::{NOT_FOUND, Status, UNIMPLEMENTED},
    hpack::Headers,
    link::Service,
    proto::{Writer, field},
    ssh,
};
use crate::targets::docker::client::ClientConfig;

const HEALTH: &str = "/grpc.health.v1.Health/Check";
const FILES: &str = "/moby.filesync.v1.FileSync/DiffCopy";
const CREDENTIALS: &str = "/moby.filesync.v1.Auth/Credentials";
const SECRET: &str = "/moby.buildkit.secrets.v1.Secrets/GetSecret";
const SSH_CHECK: &str = "/moby.sshforward.v1.SSH/CheckAgent";
const SSH: &str = "/moby.sshforward.v1.SSH/ForwardAgent";

/// Name of Docker Hub where images come from, and where its credentials are kept.
const HUB: (&str, &str) = ("registry-1.docker.io", "https://index.docker.io/v1/");

/// What one build offers.
#[derive(Default)]
pub(super) struct Offer {
    pub(super) directories: BTreeMap<String, Source>,
    pub(super) secrets: BTreeMap<String, Secret>,
    /// Sockets of SSH agents by id.
    pub(super) agents: BTreeMap<String, PathBuf>,
    pub(super) config: ClientConfig,
}

/// Where a secret comes from. Has no `Debug`.
pub(super) enum Secret {
    File(PathBuf),
    Text(String),
}

impl Offer {
    /// What is asked for may be one of these.
    pub(super) fn methods(&self) -> Vec<&'static str> {
        let mut methods = vec![HEALTH, FILES, CREDENTIALS];
        if !self.secrets.is_empty() {
            methods.push(SECRET);
        }
        if !self.agents.is_empty() {
            methods.extend([SSH_CHECK, SSH]);
        }
        methods
    }

    pub(super) fn service(self) -> Service {
        let offer = Arc::new(self);
        Arc::new(move |mut call, headers| {
            let offer = Arc::clone(&offer);
            Box::pin(async move {
                let result = offer.serve(&mut call, &headers).await;
                if let Err(status) = &result {
                    tracing::debug!(error = %status, "a question of the builder failed");
                }
                call.finish(result).await;
            })
        })
    }

    async fn serve(&self, call: &mut Call, headers: &Headers) -> Result<(), Status> {
        let path = all(headers, ":path").next().unwrap_or_default();
        let answer = match path {
            // Streams.
            FILES => return self.files(call, headers).await,
            SSH => {
                let id = all(headers, "buildkit.ssh.id").next().unwrap_or("default");
                return ssh::forward(self.agent(id)?, call).await;
            }
            // One question, one answer.
            HEALTH => {
                question(call).await?;
                // Serving.
                Writer::default().number(1, 1).done()
            }
            CREDENTIALS => self.credentials(&question(call).await?).await?,
            SECRET => self.secret(&question(call).await?).await?,
            SSH_CHECK => {
                self.agent(&question(call).await?)?;
                Vec::new()
            }
            other => {
                return Err(Status::new(UNIMPLEMENTED, format!("{other} is not offered")));
            }
        };
        call.sender.send(&answer).await
    }

    async fn files(&self, call: &mut Call, headers: &Headers) -> Result<(), Status> {
        let name = all(headers, "dir-name").next().unwrap_or_default();
        let Some(source) = self.directories.get(name) else {
            return Err(Status::new(
                NOT_FOUND,
                format!("no access allowed to dir {name:?}"),
            ));
        };
        let mut wanted = all(headers, "followpaths").peekable();
        // What stays at home is decided here already: the builder need not read the patterns.
        let patterns = wanted.peek().is_some() && wanted.all(|path| path == ".dockerignore");
        files::send(if patterns { &Source::Nothing } else { source }, call).await
    }

    async fn credentials(&self, host: &str) -> Result<Vec<u8>, Status> {
        let key = if host == HUB.0 { HUB.1 } else { host };
        let found = self.config.login(key).await;
        let found = found.map_err(|error| Status::unknown(error.what))?;
        let (user, password) = found.unwrap_or_default();
        Ok(Writer::default().bytes(1, user).bytes(2, password).done())
    }

    async fn secret(&self, id: &str) -> Result<Vec<u8>, Status> {
        let content = match self.secrets.get(id) {
            Some(Secret::Text(text)) => text.clone().into_bytes(),
            Some(Secret::File(path)) => fs_err::tokio::read(path)
                .await
                .map_err(|error| Status::unknown(error.to_string()))?,
            None => return Err(Status::new(NOT_FOUND, format!("secret {id} not found"))),
        };
        Ok(Writer::default().bytes(1, content).done())
    }

    fn agent(&self, id: &str) -> Result<&PathBuf, Status> {
        let id = if id.is_empty() { "default" } else { id };
        let found = self.agents.get(id);
        found.ok_or_else(|| Status::new(NOT_FOUND, format!("unset ssh forward key {id}")))
    }
}

/// Every value of a header.
fn all<'h>(headers: &'h Headers, name: &'h str) -> impl Iterator<Item = &'h str> {
    let found = headers.iter().filter(move |(is, _)| is == name);
    found.map(|(_, value)| value.as_str())
}

/// The first field of the one message of a call, which is all that any question here has.
async fn question(call: &mut Call) -> Result<String, Status> {
    let message = call.receiver.message().await?.unwrap_or_default();
    Ok(String::from_utf8_lossy(field(&message, 1)).into_owned())
}

#[cfg(test)]
mod tests;
