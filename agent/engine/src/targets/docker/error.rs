//! From what the engine says to what users read. The engine has no codes beyond HTTP's, so its words are looked at, in
//! this one place.

use crate::targets::{TargetError, TargetErrorKind as Kind};

/// An answer that is no success. `what` completes "cannot …".
pub(super) fn refused(what: &str, status: u16, body: &[u8]) -> TargetError {
    let message = message(body);
    let kind = by_words(&message).unwrap_or(match status {
        404 => Kind::NotFound,
        409 => Kind::NameTaken,
        _ => Kind::Engine,
    });
    // Only the engine's own words: the status number tells users nothing.
    TargetError::new(kind, format!("cannot {what}: {}", message.trim()))
}

/// An error inside an answer that began well.
pub(super) fn broken_off(what: &str, message: &str) -> TargetError {
    let kind = by_words(message).unwrap_or(Kind::Engine);
    TargetError::new(kind, format!("cannot {what}: {}", message.trim()))
}

/// What the engine says in an answer.
pub(super) fn message(body: &[u8]) -> String {
    let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let message = json.get("message").and_then(serde_json::Value::as_str);
    message.map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned)
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
