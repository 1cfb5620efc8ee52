//! Requests to one controller: pinned TLS, JSON both ways, errors with their exit code.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use rustls::ClientConfig;
use serde::{Serialize, de::DeserializeOwned};
use windflow_api::{ApiError, Page};
use windflow_kit::{Chain, Secret};
use windflow_model::Failure;

use crate::{
    api::encode,
    context::Context,
    error::{Error, Exit, Result},
    pin::{Seen, tls_config},
};

/// Longest wait for a connection.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for a whole answer; plans on slow hosts are the longest.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(90);

/// A client of one controller. Clones share the connections.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    token: Option<Secret<String>>,
    tls: ClientConfig,
    seen: Seen,
    pinned: bool,
}

impl Client {
    /// A client with the address, trust and token of `context`. Nothing is sent yet.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(context: &Context) -> Result<Self> {
        let (tls, seen) = tls_config(context.ca_pin.clone())
            .map_err(|error| Error::failed(format!("TLS cannot be set up: {error}")))?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.clone())
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("windflow/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::failed(format!("the HTTP client cannot be set up: {}", Chain(&error))))?;
        Ok(Self {
            http,
            url: context.url.clone(),
            token: context.token.clone(),
            tls,
            seen,
            pinned: context.ca_pin.is_some(),
        })
    }

    /// `https://host:port` of the controller.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The pins of the chain that the controller showed, its own certificate first; empty before the first contact.
    #[must_use]
    pub fn seen_pins(&self) -> Vec<String> {
        self.seen.pins()
    }

    pub(crate) const fn tls(&self) -> &ClientConfig {
        &self.tls
    }

    pub(crate) const fn token(&self) -> Option<&Secret<String>> {
        self.token.as_ref()
    }

    /// A request with the token, without a body.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        }
    }

    /// Sends and returns the answer if it is a success.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response> {
        let answer = request.send().await.map_err(|error| self.unreachable(&error))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let body = answer.bytes().await.unwrap_or_default();
        Err(refusal(status, &body))
    }

    /// Sends and reads a JSON answer.
    pub(crate) async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        let answer = self.send(request.timeout(ANSWER_TIMEOUT)).await?;
        let body = answer.bytes().await.map_err(|error| self.unreachable(&error))?;
        serde_json::from_slice(&body).map_err(|error| {
            Error::failed(format!("the answer of {} is not understood: {error}", self.url))
                .hint("Use a `windflow` of the controller's version.")
        })
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.json(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T> {
        self.json(self.request(Method::POST, path).json(body)).await
    }

    /// A request whose answer is a list: what it made, whole and in one page.
    pub(crate) async fn post_list<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<Vec<T>> {
        let page: Page<T> = self.post(path, body).await?;
        Ok(page.items)
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<()> {
        let request = self.request(Method::DELETE, path).timeout(ANSWER_TIMEOUT);
        self.send(request).await.map(drop)
    }

    /// All pages of a list. `path` may already hold a query.
    pub(crate) async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>> {
        self.list_some(path, usize::MAX).await
    }

    /// The same, but no more than so many.
    pub(crate) async fn list_some<T: DeserializeOwned>(&self, path: &str, most: usize) -> Result<Vec<T>> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut path = format!("{path}{}limit=500", if path.contains('?') { '&' } else { '?' });
            if let Some(cursor) = &cursor {
                path.push_str(&format!("&cursor={}", encode(cursor)));
            }
            let request = self.request(Method::GET, &path);
            let page: Page<T> = self.json(request).await?;
            items.extend(page.items);
            // A cursor that repeats would never end.
            if page.next_cursor.is_none() || page.next_cursor == cursor || items.len() >= most {
                items.truncate(most);
                return Ok(items);
            }
            cursor = page.next_cursor;
        }
    }

    /// What to say when no answer came: refused trust is told apart from a dead address.
    pub(crate) fn unreachable(&self, error: &(dyn std::error::Error + 'static)) -> Error {
        let text = Chain(error).to_string();
        if text.contains("invalid peer certificate") && !self.seen.pins().is_empty() {
            let seen = self.seen.pins();
            let shown = seen.last().cloned().unwrap_or_default();
            let message = if self.pinned {
                format!(
                    "{} is not the controller that is trusted: its key is sha256:{shown}",
                    self.url
                )
            } else {
                format!("{} is not trusted yet: its key is sha256:{shown}", self.url)
            };
            let hint = if self.pinned {
                "Do not go on if the key changed unexpectedly. If you mean this controller, run `windflow login` with its pin."
            } else {
                "Compare the key with the one on the controller's console, then give it with --ca-pin."
            };
            return Error::new(Exit::Unreachable, message).hint(hint);
        }
        Error::new(
            Exit::Unreachable,
            format!("cannot reach {}: {}", self.url, root(error)),
        )
        .hint("Check the address, and that the controller runs and its port is open.")
    }
}

/// The innermost cause: the libraries around it only repeat that a request failed.
fn root(error: &(dyn std::error::Error + 'static)) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

/// The error in a refused answer; a proxy on the way may have put anything there.
fn refusal(status: StatusCode, body: &[u8]) -> Error {
    match serde_json::from_slice::<ApiError>(body) {
        Ok(error) => {
            let mut message = error.message;
            // The message begins with the first of them.
            let told = message.clone();
            let more = error.problems.iter().map(ToString::to_string);
            for problem in more.filter(|problem| !told.starts_with(problem.as_str())) {
                message.push_str(&format!("\n{problem}"));
            }
            let failure = Failure {
                code: error.code,
                message,
                hint: error.hint,
                check: None,
            };
            Error::answered(status.as_u16(), failure, Some(error.request_id))
        }
        Err(_) => {
            let text: String = String::from_utf8_lossy(body).chars().take(200).collect();
            let failure = Failure {
                code: String::new(),
                message: format!("the controller answered {status}: {}", text.trim()),
                hint: String::new(),
                check: None,
            };
            Error::answered(status.as_u16(), failure, None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_read_whoever_wrote_it() {
        let body = br#"{"code":"WF-1004","message":"no stack web","hint":"look","request_id":"r1"}"#;
        let error = refusal(StatusCode::NOT_FOUND, body);
        assert_eq!(
            (error.exit, error.to_string().as_str()),
            (Exit::NotFound, "no stack web (WF-1004)")
        );
        // The first problem is the message already.
        let body =
            br#"{"code":"WF-2001","message":"too large (and 1 more)","hint":"","request_id":"r","problems":[
            {"file":"","line":0,"column":0,"severity":"error","message":"too large"},
            {"file":"a.yaml","line":2,"column":1,"severity":"error","message":"unknown key"}]}"#;
        let error = refusal(StatusCode::UNPROCESSABLE_ENTITY, body);
        assert_eq!(error.message, "too large (and 1 more)\na.yaml:2:1: unknown key");
        let error = refusal(StatusCode::BAD_GATEWAY, b"<html>nope");
        assert_eq!(
            error.to_string(),
            "the controller answered 502 Bad Gateway: <html>nope"
        );
    }
}
