//! The door of every request. Default deny: an operation that is not in [`OPEN`] needs a credential, whatever its
//! handler says.

use std::net::SocketAddr;

use axum::{
    Json,
    body::Body,
    extract::{ConnectInfo, MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tracing::Instrument as _;
use windflow_api::ApiError;
use windflow_kit::Secret;
use windflow_model::Code;

use super::{
    Web,
    error::{ApiFailure, ErrorBody},
    extract::{Caller, Credential, Visitor},
};
use crate::{app::session::Shown, context::OpContext};

/// Operations that strangers may use, each for a reason: signs of life, the way in, what an installer needs before
/// there is a credential, and the public description of the API.
pub const OPEN: &[(&str, &str)] = &[
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/install.sh"),
    ("GET", "/dl/agent/{arch}"),
    ("GET", "/api/v1/setup"),
    ("POST", "/api/v1/setup"),
    ("POST", "/api/v1/sessions"),
    ("GET", "/api/v1/openapi.json"),
];

/// Name of the session cookie. The prefix makes browsers demand Secure, Path=/ and no Domain.
pub(super) const COOKIE: &str = "__Host-wf";

const NO_SNIFF: [(HeaderName, HeaderValue); 6] = [
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (
        header::STRICT_TRANSPORT_SECURITY,
        HeaderValue::from_static("max-age=31536000; includeSubDomains"),
    ),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// Around everything: request id, span, headers, and the id in every error.
pub(super) async fn frame(State(web): State<Web>, mut request: Request, next: Next) -> Response {
    let id = web.app.random().bytes::<8>().map(hex::encode).unwrap_or_default();
    let remote = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let op = OpContext {
        request: id.clone(),
        remote: remote
            .map(|ConnectInfo(address)| address.to_string())
            .unwrap_or_default(),
        ..OpContext::system("visitor")
    };
    let span = tracing::info_span!("http", id, method = %request.method(), path = request.uri().path());
    let response = if secret_in_query(request.uri().query().unwrap_or_default()) {
        let message = "a token in the URL ends up in logs; send it in the Authorization header";
        ApiFailure::bad(message).into_response()
    } else {
        request.extensions_mut().insert(Visitor(op));
        next.run(request).instrument(span).await
    };
    finish(response, &id)
}

fn finish(mut response: Response, id: &str) -> Response {
    if let Some(ErrorBody(error)) = response.extensions_mut().remove::<ErrorBody>() {
        let body = Json(ApiError {
            request_id: id.to_owned(),
            ..error
        });
        let (parts, _) = response.into_parts();
        let mut with_body = body.into_response();
        *with_body.status_mut() = parts.status;
        with_body.headers_mut().extend(
            parts
                .headers
                .into_iter()
                .filter(|(name, _)| name.as_ref().is_some_and(|name| *name != header::CONTENT_LENGTH)),
        );
        response = with_body;
    }
    let headers = response.headers_mut();
    for (name, value) in NO_SNIFF {
        headers.insert(name, value);
    }
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert("x-request-id", id);
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(
            "default-src 'none'; frame-ancestors 'none'; sandbox",
        ));
    response
}

/// Around every operation.
pub(super) async fn admit(State(web): State<Web>, mut request: Request, next: Next) -> Response {
    if !request.method().is_safe()
        && let Err(failure) = our_origin(request.headers(), request.uri().host())
    {
        return failure.into_response();
    }
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let method = if request.method() == Method::HEAD {
        "GET"
    } else {
        request.method().as_str()
    };
    let open = path.is_some_and(|path| OPEN.contains(&(method, path)));
    if !open {
        let asked = asked(&request);
        match who(&web, asked).await {
            Ok((op, shown)) => {
                request.extensions_mut().insert(Caller(op));
                request.extensions_mut().insert(Credential(shown));
            }
            Err(failure) => return failure.into_response(),
        }
    }
    next.run(request).await
}

/// The credential and the circumstances; taken out first, as a request's body may not cross an await.
fn asked(request: &Request) -> Option<(Shown, OpContext)> {
    let Visitor(op) = request.extensions().get::<Visitor>()?;
    Some((credential(request.headers())?, op.clone()))
}

async fn who(web: &Web, asked: Option<(Shown, OpContext)>) -> Result<(OpContext, Shown), ApiFailure> {
    let (shown, visitor) = asked
        .ok_or_else(|| ApiFailure::new(StatusCode::UNAUTHORIZED, Code::Unauthenticated, "sign in first"))?;
    let op = web
        .app
        .authenticate(&shown, &visitor.request, &visitor.remote)
        .await?;
    Ok((op, shown))
}

/// The credential of a request: the header wins over the cookie.
fn credential(headers: &HeaderMap) -> Option<Shown> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        let bearer = scheme.eq_ignore_ascii_case("bearer");
        return bearer.then(|| Shown::Bearer(Secret::new(token.trim().to_owned())));
    }
    let cookies = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';'));
    pairs.find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE).then(|| Shown::Cookie(Secret::new(value.to_owned())))
    })
}

/// The rule of Go 1.25's `CrossOriginProtection`: browsers say where a request comes from; what says nothing is no
/// browser.
fn our_origin(headers: &HeaderMap, authority: Option<&str>) -> Result<(), ApiFailure> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let fine = match text("sec-fetch-site") {
        Some(site) => matches!(site, "same-origin" | "none"),
        None => text("origin").is_none() || same_origin(headers, authority),
    };
    if fine {
        return Ok(());
    }
    let message = "the request comes from another site";
    Err(ApiFailure::new(StatusCode::FORBIDDEN, Code::Forbidden, message))
}

/// A WebSocket that shows a cookie must come from a page of ours: browsers send cookies from any page, and always say
/// which page it was.
pub(super) fn own_page(shown: &Shown, headers: &HeaderMap, uri: &Uri) -> Result<(), ApiFailure> {
    if !matches!(shown, Shown::Cookie(_)) || same_origin(headers, uri.host()) {
        return Ok(());
    }
    let message = "the WebSocket was opened from another site";
    Err(ApiFailure::new(StatusCode::FORBIDDEN, Code::Forbidden, message))
}

/// Whether `Origin` is the host the request was sent to.
fn same_origin(headers: &HeaderMap, authority: Option<&str>) -> bool {
    let origin = headers.get(header::ORIGIN).and_then(|value| value.to_str().ok());
    let origin = origin.and_then(|origin| origin.strip_prefix("https://"));
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    match (origin, host) {
        (Some(origin), Some(host)) => origin.eq_ignore_ascii_case(host),
        // HTTP/2 has no Host header but an authority, of which the port is not kept here.
        (Some(origin), None) => authority.is_some_and(|authority| {
            let name = origin.rsplit_once(':').map_or(origin, |(name, _)| name);
            name.eq_ignore_ascii_case(authority)
        }),
        (None, _) => false,
    }
}

fn secret_in_query(query: &str) -> bool {
    query.split('&').any(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        matches!(name, "token" | "access_token" | "api_key" | "password")
            || value.starts_with("wft_")
            || value.starts_with("wfj_")
    })
}

/// Nothing is here, said as JSON.
pub(super) async fn no_such_route() -> ApiFailure {
    ApiFailure::new(StatusCode::NOT_FOUND, Code::NotFound, "there is no such route")
}

/// The route exists, with other methods.
pub(super) async fn wrong_method() -> ApiFailure {
    let message = "this route does not know that method";
    ApiFailure::new(StatusCode::METHOD_NOT_ALLOWED, Code::BadRequest, message)
}

/// An empty answer.
pub(super) fn nothing() -> Response<Body> {
    StatusCode::NO_CONTENT.into_response()
}
