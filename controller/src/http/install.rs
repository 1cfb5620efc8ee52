//! What a host needs to join: the installer, filled in, and the agent's own binary.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;
use windflow_kit::build;
use windflow_model::Code;

use super::{Facts, error::ApiFailure, extract::Route};
use crate::app::AppError;

/// The template; its placeholders are in `packaging/README.md`.
const TEMPLATE: &str = include_str!("../../../packaging/install.sh");
/// Architectures an agent may be there for.
const ARCHS: [&str; 2] = ["x86_64", "aarch64"];

/// The line to paste on a host.
pub(super) fn one_line(facts: &Facts) -> String {
    format!(
        "curl -fsSL -k --pinnedpubkey 'sha256//{}' {}/install.sh | sudo sh",
        facts.tls_pin, facts.url
    )
}

/// The agent's binary for an architecture, if it is there.
fn binary(facts: &Facts, arch: &str) -> Option<PathBuf> {
    if !ARCHS.contains(&arch) {
        return None;
    }
    let named = facts.agent_binaries.join(format!("windflow-agent-{arch}"));
    let plain = facts.agent_binaries.join("windflow-agent");
    let found = [Some(named), (arch == build::ARCH).then_some(plain)];
    found.into_iter().flatten().find(|path| path.is_file())
}

/// Architectures with a binary.
pub(super) fn archs(facts: &Facts) -> Vec<String> {
    let there = ARCHS.iter().filter(|arch| binary(facts, arch).is_some());
    there.map(|arch| (*arch).to_owned()).collect()
}

/// Digests of the binaries by path, with the length and the time of the file they were made from: anybody may ask for the
/// installer, and hashing anew each time would let them keep this controller busy.
#[derive(Debug, Default)]
pub(crate) struct Digests(Mutex<BTreeMap<PathBuf, (u64, SystemTime, String)>>);

impl Digests {
    fn known(&self, path: &PathBuf, length: u64, modified: SystemTime) -> Option<String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (of, at, digest) = known.get(path)?;
        (*of == length && *at == modified).then(|| digest.clone())
    }

    fn keep(&self, path: PathBuf, length: u64, modified: SystemTime, digest: String) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(path, (length, modified, digest));
    }
}

async fn digest(facts: &Facts, arch: &str) -> Result<String, ApiFailure> {
    let Some(path) = binary(facts, arch) else {
        return Ok(String::new());
    };
    let failed = AppError::internal::<std::io::Error>("reading the agent's binary");
    let mut file = fs_err::tokio::File::open(&path).await.map_err(&failed)?;
    let facts_of = file.metadata().await.map_err(&failed)?;
    let (length, modified) = (facts_of.len(), facts_of.modified().map_err(&failed)?);
    if let Some(known) = facts.digests.known(&path, length, modified) {
        return Ok(known);
    }
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 64 << 10]);
    loop {
        let read = file.read(&mut buffer).await.map_err(&failed)?;
        if read == 0 {
            let digest = hex::encode(hash.finalize());
            facts.digests.keep(path, length, modified, digest.clone());
            return Ok(digest);
        }
        hash.update(buffer.get(..read).unwrap_or_default());
    }
}

/// The installer for hosts, with this controller's address and pins.
#[utoipa::path(get, path = "/install.sh", operation_id = "install_script", tag = "system",
    responses((status = 200, body = String, content_type = "text/x-shellscript")))]
pub(super) async fn install_script(State(facts): State<Arc<Facts>>) -> Result<Response, ApiFailure> {
    let script = TEMPLATE
        .replace("@@WINDFLOW_URL@@", &facts.url)
        .replace("@@QUIC@@", &facts.quic)
        .replace("@@CA_PIN@@", &facts.ca_pin)
        .replace("@@TLS_PIN@@", &facts.tls_pin)
        .replace("@@VERSION@@", build::VERSION)
        .replace("@@SHA256_X86_64@@", &digest(&facts, "x86_64").await?)
        .replace("@@SHA256_AARCH64@@", &digest(&facts, "aarch64").await?);
    Ok((
        [(header::CONTENT_TYPE, "text/x-shellscript; charset=utf-8")],
        script,
    )
        .into_response())
}

/// The agent's binary.
#[utoipa::path(get, path = "/dl/agent/{arch}", operation_id = "agent_binary", tag = "system",
    params(("arch" = String, Path, description = "`x86_64` or `aarch64`.")),
    responses((status = 200, body = String, content_type = "application/octet-stream")))]
pub(super) async fn agent_binary(
    State(facts): State<Arc<Facts>>,
    Route(arch): Route<String>,
) -> Result<Response, ApiFailure> {
    let path = binary(&facts, &arch).ok_or_else(|| {
        let there = archs(&facts).join(", ");
        let message = format!("this controller has no agent for that architecture; it has: {there}");
        ApiFailure::new(StatusCode::NOT_FOUND, Code::NotFound, message)
    })?;
    let failed = AppError::internal::<std::io::Error>("reading the agent's binary");
    let file = fs_err::tokio::File::open(path).await.map_err(&failed)?;
    let length = file.metadata().await.map_err(&failed)?.len();
    let body = axum::body::Body::from_stream(ReaderStream::new(file));
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(
        header::CONTENT_DISPOSITION,
        HeaderValue::from_static("attachment; filename=\"windflow-agent\""),
    );
    Ok(response)
}
