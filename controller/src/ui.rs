//! The web UI: files embedded at build time, compressed by the UI's own build, served as they are.

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
};

use crate::app::App;

/// The built UI. A build without it serves a page that says so.
#[derive(rust_embed::RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/../web-ui/dist"]
#[allow_missing = true]
struct Files;

const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>WindFlow</title>\
<p>This controller was built without its web UI. Build the UI (<code>npm ci &amp;&amp; npm run build</code> in \
<code>web-ui</code>) and then the controller, or use the command line program <code>windflow</code>.</p></html>\n";

/// Files, or the page itself for every path of the UI's own router.
pub(crate) async fn serve(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    if path == "api" || path.starts_with("api/") || path.starts_with("dl/") {
        return crate::http::no_such_route().await;
    }
    if !path.is_empty()
        && path != "index.html"
        && let Some(response) = file(path, &headers)
    {
        return response;
    }
    // A missing file is no page: a reader of an old page must notice.
    if path.starts_with("assets/") {
        return StatusCode::NOT_FOUND.into_response();
    }
    page(&app)
}

fn file(path: &str, headers: &HeaderMap) -> Option<Response> {
    let accepted = headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let accepts = |name: &str| {
        accepted
            .split(',')
            .any(|part| part.split(';').next().map(str::trim) == Some(name))
    };
    let coded = [("br", ".br"), ("gzip", ".gz")]
        .into_iter()
        .filter(|(name, _)| accepts(name));
    let mut found =
        coded.filter_map(|(name, ending)| Some((Files::get(&format!("{path}{ending}"))?, Some(name))));
    let (file, coding) = found
        .next()
        .or_else(|| Files::get(path).map(|file| (file, None)))?;
    let mut response = file.data.into_owned().into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind(path)));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(coding) = coding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    // Names of assets carry the hash of their content.
    let cache = if path.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    Some(response)
}

fn page(app: &App) -> Response {
    let nonce = app
        .random()
        .token(16)
        .map(|nonce| nonce.expose().clone())
        .unwrap_or_default();
    let html = Files::get("index.html").map_or_else(
        || NOT_BUILT.to_owned(),
        |file| String::from_utf8_lossy(&file.data).replace("__CSP_NONCE__", &nonce),
    );
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; connect-src 'self'; \
         img-src 'self' data:; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
         object-src 'none'; require-trusted-types-for 'script'"
    );
    let mut response = html.into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn kind(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "txt" => "text/plain; charset=utf-8",
        "html" => "text/html; charset=utf-8",
        _ => "application/octet-stream",
    }
}
