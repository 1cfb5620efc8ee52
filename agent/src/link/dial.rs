//! Reaching the controller, and what it means if that fails.

use windflow_kit::error::Chain;
use windflow_model::Timestamp;
use windflow_transport::{
    Recalls, endpoint,
    quinn::{Connection, ConnectionError, Endpoint},
    tls,
};

use super::{Left, Link};
use crate::enroll;

/// A connection with the endpoint that carries it.
pub(super) struct Dialled {
    pub(super) connection: Connection,
    pub(super) endpoint: Endpoint,
    pub(super) recalls: Recalls,
}

/// Tries every address of the controller in turn.
pub(super) async fn dial(link: &Link) -> Result<Dialled, Left> {
    let identity = &link.identity;
    let mut last = Left::down("no address of the controller is known; enrol this host again".to_owned());
    for address in &identity.membership.addresses {
        let tried = async {
            let remote = enroll::resolve(address)
                .await
                .map_err(|error| Left::down(Chain(&error).to_string()))?;
            let tls = tls::agent(
                identity.certificate.clone().into(),
                identity.key.private_der(),
                &identity.ca.clone().into(),
            );
            let tls = tls.map_err(|error| Left::down(Chain(&error).to_string()))?;
            let (endpoint, recalls) = endpoint::agent(&link.options.network, remote)
                .map_err(|error| Left::down(Chain(&error).to_string()))?;
            let dialled = endpoint::dial(&endpoint, remote, &identity.membership.server_name, tls).await;
            match dialled {
                Ok(connection) => Ok(Dialled {
                    connection,
                    endpoint,
                    recalls,
                }),
                Err(endpoint::DialError::Connect { source, .. }) => Err(lost(&source, link)),
                Err(error) => Err(Left::down(Chain(&error).to_string())),
            }
        };
        match tried.await {
            Ok(connected) => return Ok(connected),
            Err(left) => {
                last = Left {
                    reason: format!("{address}: {}", left.reason),
                    ..left
                }
            }
        }
    }
    Err(last)
}

/// A connection that is lost or never came about; the controller may have said for how long.
pub(super) fn lost(error: &ConnectionError, link: &Link) -> Left {
    Left {
        retry_after: endpoint::stay_away(error),
        ..Left::down(explain(error, link))
    }
}

/// What a lost or refused connection means for a person.
fn explain(error: &ConnectionError, link: &Link) -> String {
    let text = error.to_string();
    let now = Timestamp::from_millis(link.options.clock.now_ms());
    let lower = text.to_lowercase();
    if lower.contains("expired") || lower.contains("not valid yet") || lower.contains("notvalidyet") {
        return format!(
            "a certificate is out of its time ({text}); this host's clock says {now}: set the clock that is wrong, here or on \
             the controller"
        );
    }
    if lower.contains("application protocol") {
        return format!("the controller speaks another framing ({text}): update the older side");
    }
    if let ConnectionError::ApplicationClosed(close) = error {
        let reason = String::from_utf8_lossy(&close.reason);
        return format!("the controller closed the connection: {reason}");
    }
    text
}
