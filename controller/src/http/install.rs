//! What a host needs to join: the installer, filled in, and the agent's own binary.

use std::{path::PathBuf, sync::Arc};

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

async fn digest(facts: &Facts, arch: &str) -> Result<String, ApiFailure> {
    let Some(path) = binary(facts, arch) else {
        return Ok(String::new());
    };
    let failed = AppError::internal::<std::io::Error>("reading the agent's binary");
    let mut file = fs_err::tokio::File::open(path).await.map_err(&failed)?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 64 << 10]);
    loop {
        let read = file.read(&mut buffer).await.map_err(&failed)?;
        if read == 0 {
            return Ok(hex::encode(hash.finalize()));
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
