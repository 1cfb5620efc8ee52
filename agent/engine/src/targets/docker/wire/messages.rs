//! The engine's progress: one JSON object after another in the body of an answer. Errors come inside it, after
//! status 200.

use std::{marker::PhantomData, time::Duration};

use bytes::{Buf as _, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde::{Deserialize, de::DeserializeOwned};
use windflow_kit::task::TaskHandle;

use crate::targets::{TargetError, TargetErrorKind};

/// Longest message: one line of a build's output.
const LONGEST: usize = 4 << 20;

/// One message. Which fields it has depends on what was asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::targets::docker) struct Message {
    /// Layer.
    pub(in crate::targets::docker) id: Option<String>,
    /// What happens to it.
    pub(in crate::targets::docker) status: Option<String>,
    /// Output of a build.
    pub(in crate::targets::docker) stream: Option<String>,
    /// How far.
    #[serde(rename = "progressDetail")]
    pub(in crate::targets::docker) progress: Option<Detail>,
    error: Option<String>,
    #[serde(rename = "errorDetail")]
    detail: Option<Broken>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::targets::docker) struct Detail {
    pub(in crate::targets::docker) current: Option<i64>,
    pub(in crate::targets::docker) total: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Broken {
    message: Option<String>,
}

impl Message {
    /// The failure that it tells.
    pub(in crate::targets::docker) fn error(&mut self) -> Option<String> {
        let detail = self.detail.take().and_then(|detail| detail.message);
        detail
            .or_else(|| self.error.take())
            .filter(|text| !text.is_empty())
    }
}

/// Messages as they come. Dropping it ends the connection, and with it the engine's work.
pub(in crate::targets::docker) struct Messages<T = Message> {
    body: Incoming,
    _driver: TaskHandle<()>,
    buffer: BytesMut,
    what: String,
    stall: Duration,
    of: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Messages<T> {
    pub(in crate::targets::docker) fn new(
        body: Incoming,
        driver: TaskHandle<()>,
        what: &str,
        stall: Duration,
    ) -> Self {
        Self {
            body,
            _driver: driver,
            buffer: BytesMut::new(),
            what: what.to_owned(),
            stall,
            of: PhantomData,
        }
    }

    /// The next one, `None` at the end.
    pub(in crate::targets::docker) async fn next(&mut self) -> Result<Option<T>, TargetError> {
        loop {
            let mut read = serde_json::Deserializer::from_slice(&self.buffer).into_iter::<T>();
            match read.next() {
                Some(Ok(message)) => {
                    let used = read.byte_offset();
                    self.buffer.advance(used);
                    return Ok(Some(message));
                }
                Some(Err(error)) if !error.is_eof() || self.buffer.len() > LONGEST => {
                    let text = format!("cannot {}: the engine's answer is no JSON", self.what);
                    return Err(TargetError::caused(TargetErrorKind::Engine, text, error));
                }
                _ => {}
            }
            let Ok(frame) = tokio::time::timeout(self.stall, self.body.frame()).await else {
                let text = format!(
                    "cannot {}: it stands still, nothing has come for {} s",
                    self.what,
                    self.stall.as_secs()
                );
                return Err(TargetError::new(TargetErrorKind::Engine, text));
            };
            match frame {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.buffer.extend_from_slice(data);
                    }
                }
                Some(Err(error)) => {
                    let text = format!("cannot {}: the engine broke it off", self.what);
                    return Err(TargetError::caused(TargetErrorKind::Unreachable, text, error));
                }
                None => return Ok(None),
            }
        }
    }
}
