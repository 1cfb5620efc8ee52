//! Files of hosts: bytes pass through, nothing of them is kept.

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use futures_util::{StreamExt as _, TryStreamExt as _};
use windflow_api::{FileParams, Page};
use windflow_kit::BoxError;
use windflow_model::{AgentId, FileKind, FileListing, FilesWritten, VolumeSummary};

use super::{
    error::{Answer, ApiFailure},
    extract::{Caller, Params, Route},
};
use crate::app::App;

/// Named volumes of a host.
#[utoipa::path(get, path = "/api/v1/agents/{id}/volumes", operation_id = "volume_list", tag = "files",
    params(("id" = AgentId, Path)), responses((status = 200, body = Page<VolumeSummary>)))]
pub(super) async fn volume_list(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<AgentId>,
) -> Answer<Page<VolumeSummary>> {
    Ok(Json(Page::whole(app.volume_list(&op, id).await?)))
}

/// What is at a path of a container or volume, and in it.
#[utoipa::path(get, path = "/api/v1/agents/{id}/files", operation_id = "file_list", tag = "files",
    params(("id" = AgentId, Path), FileParams), responses((status = 200, body = FileListing)))]
pub(super) async fn file_list(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<AgentId>,
    Params(params): Params<FileParams>,
) -> Answer<FileListing> {
    Ok(Json(app.file_list(&op, id, &params).await?))
}

/// The bytes of a file, or a tar of whatever is at a path.
#[utoipa::path(get, path = "/api/v1/agents/{id}/files/content", operation_id = "file_read", tag = "files",
    params(("id" = AgentId, Path), FileParams),
    responses((status = 200, content_type = "application/octet-stream", description = "The bytes.")))]
pub(super) async fn file_read(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<AgentId>,
    Params(params): Params<FileParams>,
) -> Result<Response, ApiFailure> {
    let (listing, bytes) = app.file_read(&op, id, &params).await?;
    let bytes = bytes.map_err(|failure| {
        // The connection is broken off: who reads sees that it is not all.
        tracing::warn!(failure = %failure, "a file was not handed out to its end");
        BoxError::from(failure.to_string())
    });
    let mut response = Body::from_stream(bytes).into_response();
    let headers = response.headers_mut();
    let kind = if params.archive {
        "application/x-tar"
    } else {
        "application/octet-stream"
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(value) = HeaderValue::from_str(&disposition(&listing, params.archive)) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    if listing.entry.kind == FileKind::File && !params.archive {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(listing.entry.size));
    }
    Ok(response)
}

/// Under which name a browser saves it (RFC 6266, with the name as in RFC 8187).
fn disposition(listing: &FileListing, archive: bool) -> String {
    let name = match listing.entry.name.as_str() {
        "" => "files",
        name => name,
    };
    let suffix = if archive { ".tar" } else { "" };
    let mut encoded = String::new();
    for byte in name.bytes().chain(suffix.bytes()) {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("attachment; filename*=UTF-8''{encoded}")
}

/// Writes the body to a path: one file, or what a tar holds into a folder that is there.
#[utoipa::path(put, path = "/api/v1/agents/{id}/files/content", operation_id = "file_write", tag = "files",
    params(("id" = AgentId, Path), FileParams),
    request_body(content_type = "application/octet-stream", description = "The bytes, of any length."),
    responses((status = 200, body = FilesWritten)))]
pub(super) async fn file_write(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<AgentId>,
    Params(params): Params<FileParams>,
    body: Body,
) -> Answer<FilesWritten> {
    let body = body.into_data_stream().map_err(BoxError::from).boxed();
    let owner = app.clone();
    // Whoever turns away leaves a body that breaks off: what became of it is in the audit trail all the same.
    let written = app.owned("file_write", async move {
        owner.file_write(&op, id, &params, body).await
    });
    Ok(Json(written.await?))
}

#[cfg(test)]
mod tests {
    use windflow_model::{FileEntry, FilePath};

    use super::*;

    #[test]
    fn names_of_downloads_carry_nothing_else() {
        let check = |name: &str, archive: bool, expected: &str| {
            let listing = FileListing {
                path: FilePath::root(),
                entry: FileEntry {
                    name: name.to_owned(),
                    kind: FileKind::File,
                    size: 0,
                    mode: 0,
                    modified: None,
                    target: None,
                },
                entries: Vec::new(),
                cut: None,
            };
            let found = disposition(&listing, archive);
            assert_eq!(found, format!("attachment; filename*=UTF-8''{expected}"));
            assert!(HeaderValue::from_str(&found).is_ok());
        };
        check("a.conf", false, "a.conf");
        check("a b\"\r\n;é", false, "a%20b%22%0D%0A%3B%C3%A9");
        check("", true, "files.tar");
    }
}
