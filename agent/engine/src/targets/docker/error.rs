//! From what the engine says to what users read. The engine has no codes beyond HTTP's, so its words are looked at, in
//! this one place.

use bollard::errors::Error;

use super::DockerTarget;
use crate::targets::{TargetError, TargetErrorKind as Kind};

/// `what` completes "cannot …".
pub(super) fn failed(target: &DockerTarget, what: &str, error: Error) -> TargetError {
    let kind = match &error {
        Error::DockerResponseServerError { status_code, message } => {
            by_words(message).unwrap_or(match status_code {
                404 => Kind::NotFound,
                409 => Kind::NameTaken,
                _ => Kind::Engine,
            })
        }
        Error::DockerStreamError { error } => by_words(error).unwrap_or(Kind::Engine),
        Error::HyperLegacyError { .. }
        | Error::HyperResponseError { .. }
        | Error::IOError { .. }
        | Error::SocketNotFoundError(_)
        | Error::RequestTimeoutError => Kind::Unreachable,
        _ => Kind::Engine,
    };
    if kind == Kind::Unreachable {
        target.forget_info();
        let error = target.unreachable(error);
        return TargetError {
            what: format!("cannot {what}: {}", error.what),
            ..error
        };
    }
    match error {
        // Only the engine's own words: the status number tells users nothing.
        Error::DockerResponseServerError { message, .. } | Error::DockerStreamError { error: message } => {
            TargetError::new(kind, format!("cannot {what}: {}", message.trim()))
        }
        other => TargetError::caused(kind, format!("cannot {what}"), other),
    }
}

/// The same for an answer that did not come through the library.
pub(super) fn refused(target: &DockerTarget, what: &str, status_code: u16, body: &[u8]) -> TargetError {
    let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let message = json.get("message").and_then(serde_json::Value::as_str);
    let message = message.map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned);
    failed(
        target,
        what,
        Error::DockerResponseServerError { status_code, message },
    )
}

fn by_words(message: &str) -> Option<Kind> {
    let text = message.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&["no space left on device", "disk quota exceeded"]) {
        Some(Kind::DiskFull)
    } else if has(&[
        "port is already allocated",
        "address already in use",
        "ports are not available",
        "failed to bind host port",
    ]) {
        Some(Kind::PortTaken)
    } else if has(&[
        "is already in use by container",
        "name is already in use",
        "is already in use by network",
        // Two networks of one name: a request of a killed life came through. The next plan removes one.
        "is ambiguous (",
    ]) {
        Some(Kind::NameTaken)
    } else {
        None
    }
}

/// Whether the engine says the thing is not there.
pub(super) fn is_missing(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 404, .. })
}

/// Whether the engine says it is so already (304) or somebody does it right now (409 "removal … in progress").
pub(super) fn is_already(error: &Error) -> bool {
    match error {
        Error::DockerResponseServerError { status_code: 304, .. } => true,
        Error::DockerResponseServerError {
            status_code: 409,
            message,
        } => message.contains("already in progress"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_engine() {
        let check = |text: &str, kind: Option<Kind>| assert_eq!(by_words(text), kind, "{text}");
        check(
            "driver failed programming external connectivity: Bind for 0.0.0.0:80 failed: port is already allocated",
            Some(Kind::PortTaken),
        );
        check(
            "listen tcp4 0.0.0.0:80: bind: address already in use",
            Some(Kind::PortTaken),
        );
        check(
            "Conflict. The container name \"/x\" is already in use by container \"y\".",
            Some(Kind::NameTaken),
        );
        check(
            "network app_back is ambiguous (2 matches found on name)",
            Some(Kind::NameTaken),
        );
        check("write /x: no space left on device", Some(Kind::DiskFull));
        check("something else", None);
    }
}
