//! Live feeds: a deployment's events and a stack's log lines.

use std::{collections::VecDeque, pin::Pin, sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt as _};
use reqwest::Method;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{self, Message, client::IntoClientRequest as _, http::HeaderValue},
};
use windflow_api::{
    ApiError, DeploymentView, HostMetrics, LogFrame, LogParams, MetricsQuery,
    live::{END, PROGRESS, SNAPSHOT, STATE},
};
use windflow_kit::Chain;
use windflow_model::{DeploymentId, Failure, LogSource, Progress, StackId};

use crate::{
    api::encode,
    error::{Error, Exit, Result},
    http::{CONNECT_TIMEOUT, Client},
    sse::{SseEvent, SseParser},
};

/// One event of a deployment's feed.
#[derive(Debug)]
pub enum DeploymentFeedEvent {
    /// Everything known so far; replaces what was folded before.
    Snapshot(Box<DeploymentView>),
    /// The state moved.
    State(Box<DeploymentView>),
    /// A step moved.
    Progress(Box<Progress>),
    /// The state is final.
    End,
}

/// A deployment's feed.
pub struct DeploymentFeed {
    body: Pin<Box<dyn Stream<Item = reqwest::Result<bytes::Bytes>> + Send>>,
    parser: SseParser,
    ready: VecDeque<DeploymentFeedEvent>,
}

impl DeploymentFeed {
    /// The next event; `None` when the connection ended.
    pub async fn next(&mut self) -> Option<DeploymentFeedEvent> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let bytes = self.body.next().await?.ok()?;
            let events = self.parser.push(&bytes);
            self.ready.extend(events.into_iter().filter_map(read_event));
        }
    }
}

fn read_event(event: SseEvent) -> Option<DeploymentFeedEvent> {
    // What a newer controller says beyond this is left out.
    match event.name.as_str() {
        SNAPSHOT => serde_json::from_str(&event.data)
            .ok()
            .map(DeploymentFeedEvent::Snapshot),
        STATE => serde_json::from_str(&event.data)
            .ok()
            .map(DeploymentFeedEvent::State),
        PROGRESS => serde_json::from_str(&event.data)
            .ok()
            .map(DeploymentFeedEvent::Progress),
        END => Some(DeploymentFeedEvent::End),
        _ => None,
    }
}

/// For a WebSocket to come about once the controller is connected: it asks the host first, which has 20 s.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(40);

/// A WebSocket to the controller.
pub(crate) type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// What hosts measure, as it comes.
pub struct MetricsFeed {
    body: Pin<Box<dyn Stream<Item = reqwest::Result<bytes::Bytes>> + Send>>,
    parser: SseParser,
    ready: VecDeque<Vec<HostMetrics>>,
}

impl MetricsFeed {
    /// The next values; `None` when the connection ended.
    pub async fn next(&mut self) -> Option<Vec<HostMetrics>> {
        loop {
            if let Some(hosts) = self.ready.pop_front() {
                return Some(hosts);
            }
            let bytes = self.body.next().await?.ok()?;
            let events = self.parser.push(&bytes).into_iter();
            let values = events.filter(|event| event.name == windflow_api::metrics::LIVE);
            self.ready.extend(
                values.filter_map(|event| serde_json::from_str::<Vec<HostMetrics>>(&event.data).ok()),
            );
        }
    }
}

/// A stack's log lines.
pub struct LogFeed(Socket);

impl LogFeed {
    /// The next frame; `None` when the stream is over.
    ///
    /// # Errors
    /// If the connection breaks before the end.
    pub async fn next(&mut self) -> Result<Option<LogFrame>> {
        loop {
            let message = match self.0.next().await {
                None | Some(Ok(Message::Close(_))) => return Ok(None),
                Some(Ok(message)) => message,
                Some(Err(tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed)) => {
                    return Ok(None);
                }
                Some(Err(error)) => {
                    return Err(Error::new(
                        Exit::Unreachable,
                        format!("the log stream broke: {}", Chain(&error)),
                    ));
                }
            };
            if let Message::Text(text) = message
                && let Ok(frame) = serde_json::from_str(&text)
            {
                return Ok(Some(frame));
            }
        }
    }
}

impl Client {
    /// Opens the live feed of what hosts measure.
    ///
    /// # Errors
    /// [`Error`] with the exit code of the refusal.
    pub async fn metrics_live(&self, query: &MetricsQuery) -> Result<MetricsFeed> {
        let path = crate::api::metrics_path("/api/v1/metrics/live", query);
        let request = self.request(Method::GET, &path);
        let answer = self.send(request.header("Accept", "text/event-stream")).await?;
        Ok(MetricsFeed {
            body: Box::pin(answer.bytes_stream()),
            parser: SseParser::default(),
            ready: VecDeque::new(),
        })
    }

    /// Opens a deployment's feed.
    ///
    /// # Errors
    /// [`Error`] with the exit code of the refusal.
    pub async fn deployment_events(&self, id: DeploymentId) -> Result<DeploymentFeed> {
        let request = self.request(Method::GET, &format!("/api/v1/deployments/{id}/events"));
        let answer = self.send(request.header("Accept", "text/event-stream")).await?;
        Ok(DeploymentFeed {
            body: Box::pin(answer.bytes_stream()),
            parser: SseParser::default(),
            ready: VecDeque::new(),
        })
    }

    /// Opens a stack's log stream.
    ///
    /// # Errors
    /// [`Error`] with the exit code of the refusal.
    pub async fn stack_logs(&self, id: StackId, params: &LogParams) -> Result<LogFeed> {
        let path = format!("/api/v1/stacks/{id}/logs?{}", log_query(params));
        self.socket(&path, "log stream").await.map(LogFeed)
    }

    /// Logs of any containers of hosts, or a search in them.
    ///
    /// # Errors
    /// [`Error`] with the exit code of the refusal.
    pub async fn fleet_logs(&self, params: &LogParams) -> Result<LogFeed> {
        let path = format!("/api/v1/logs?{}", log_query(params));
        self.socket(&path, "log stream").await.map(LogFeed)
    }

    /// Opens a WebSocket; `what` is it for people.
    ///
    /// # Errors
    /// [`Error`] with the exit code of the refusal.
    pub(crate) async fn socket(&self, path: &str, what: &str) -> Result<Socket> {
        let address = self.url().trim_start_matches("https://").to_owned();
        let url = format!("wss://{address}{path}");
        let mut request = url.into_client_request().map_err(|error| {
            Error::failed(format!(
                "the request for the {what} cannot be made: {}",
                Chain(&error)
            ))
        })?;
        if let Some(token) = self.token() {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose()))
                .map_err(|_| Error::usage("the API token holds characters that no token has"))?;
            value.set_sensitive(true);
            request.headers_mut().insert("Authorization", value);
        }
        let parsed = reqwest::Url::parse(self.url()).map_err(|error| Error::usage(error.to_string()))?;
        let host = parsed
            .host_str()
            .unwrap_or_default()
            .trim_matches(['[', ']'])
            .to_owned();
        let port = parsed.port_or_known_default().unwrap_or(443);
        let tcp = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect((host.as_str(), port)))
            .await
            .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
            .map_err(|error| self.unreachable(&error))?;
        // A key must not wait for the answer to the one before; a socket that cannot do it is slower.
        let _slower = tcp.set_nodelay(true);
        let name = ServerName::try_from(host).map_err(|error| Error::usage(error.to_string()))?;
        let upgraded = async {
            let tls = TlsConnector::from(Arc::new(self.tls().clone()))
                .connect(name, tcp)
                .await
                .map_err(|error| self.unreachable(&error))?;
            match tokio_tungstenite::client_async(request, tls).await {
                Ok((socket, _)) => Ok(socket),
                Err(tungstenite::Error::Http(answer)) => Err(refused(&answer, what)),
                Err(error) => Err(self.unreachable(&error)),
            }
        };
        let late = || Err(self.unreachable(&std::io::Error::from(std::io::ErrorKind::TimedOut)));
        tokio::time::timeout(UPGRADE_TIMEOUT, upgraded)
            .await
            .unwrap_or_else(|_| late())
    }
}

fn refused(answer: &tungstenite::http::Response<Option<Vec<u8>>>, what: &str) -> Error {
    let body = answer.body().as_deref().unwrap_or_default();
    let status = answer.status().as_u16();
    let failure = match serde_json::from_slice::<ApiError>(body) {
        Ok(error) => Failure {
            code: error.code,
            message: error.message,
            hint: error.hint,
            check: None,
        },
        Err(_) => Failure {
            code: String::new(),
            message: format!("the controller refused the {what} ({})", answer.status()),
            hint: String::new(),
            check: None,
        },
    };
    Error::answered(status, failure, None)
}

fn log_query(params: &LogParams) -> String {
    let mut query = format!("follow={}&timestamps={}", params.follow, params.timestamps);
    let more = [
        ("agent", params.agent.clone()),
        ("selector", params.selector.as_ref().map(ToString::to_string)),
        ("group", params.group.map(|group| group.to_string())),
        ("stack", params.stack.clone()),
        ("service", params.service.clone()),
        ("container", params.container.clone()),
        ("tail", params.tail.map(|tail| tail.to_string())),
        ("since", params.since.map(|since| since.to_string())),
        ("until", params.until.map(|until| until.to_string())),
        (
            "source",
            params.source.map(|source| match source {
                LogSource::Stdout => "stdout".to_owned(),
                LogSource::Stderr => "stderr".to_owned(),
            }),
        ),
        ("search", params.search.clone()),
        ("regex", params.regex.clone()),
        ("case_sensitive", params.case_sensitive.then(|| "true".to_owned())),
        ("level", params.level.map(|level| level.to_string())),
        ("field", params.field.clone()),
        ("limit", params.limit.map(|limit| limit.to_string())),
    ];
    for (name, value) in more {
        if let Some(value) = value {
            query.push_str(&format!("&{name}={}", encode(&value)));
        }
    }
    query
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_asked_for_is_in_the_query() {
        assert_eq!(log_query(&LogParams::default()), "follow=false&timestamps=true");
        let params = LogParams {
            service: Some("a,b".into()),
            tail: Some(5),
            follow: true,
            ..LogParams::default()
        };
        assert_eq!(
            log_query(&params),
            "follow=true&timestamps=true&service=a%2Cb&tail=5"
        );
    }
}
