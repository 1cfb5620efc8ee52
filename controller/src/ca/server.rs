//! The controller's own certificate, for QUIC and HTTPS: renewed while the controller runs, under the same key and root.
//!
//! ```text
//! "server-certificate" task ── every hour: second half of its life? ──► LiveCertificate ◄── each new handshake (QUIC, HTTPS)
//! ```

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyUsagePurpose};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use windflow_kit::{Stop, error::Chain};
use windflow_transport::{identity::HostKey, tls::LiveCertificate};

use super::{Ca, CaError, common_name};

/// Below the 398 days that browsers accept. Renewed from half of it on, also while the controller runs.
const SERVER_LIFE: Duration = Duration::from_secs(390 * 24 * 3_600);
/// How often its age is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(3_600);

/// Certificate chain and key of the controller.
#[derive(Debug)]
pub struct ServerIdentity {
    /// Leaf first, then the root.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's key.
    pub key: PrivateKeyDer<'static>,
}

impl Ca {
    /// The controller's certificate, from now on, and its key; `names` are further DNS names and addresses it is
    /// reached by.
    ///
    /// # Errors
    /// [`CaError`].
    pub fn server_identity(&self, names: &[String]) -> Result<ServerIdentity, CaError> {
        let open = |source| CaError::Open {
            dir: self.dir.clone(),
            source,
        };
        let key = HostKey::load_or_make(&self.dir.join("server.key")).map_err(open)?;
        let mut all = vec![
            self.server_name(),
            "localhost".to_owned(),
            "127.0.0.1".to_owned(),
            "::1".to_owned(),
        ];
        all.extend(names.iter().cloned());
        all.sort_unstable();
        all.dedup();
        let make = |source| CaError::Make {
            what: "the server certificate",
            source,
        };
        let mut params = CertificateParams::new(all).map_err(make)?;
        self.validity(&mut params, SERVER_LIFE);
        params.distinguished_name = common_name("WindFlow controller");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.serial_number = Some(self.serial()?);
        let leaf = params.signed_by(key.pair(), &self.issuer).map_err(make)?;
        Ok(ServerIdentity {
            chain: vec![leaf.der().clone(), self.root.clone()],
            key: key.private_der(),
        })
    }
}

/// The certificate in use, and when it is due for a new one.
#[derive(Debug)]
pub struct ServerCertificate {
    ca: Arc<Ca>,
    names: Vec<String>,
    live: Arc<LiveCertificate>,
    /// Wall clock in milliseconds.
    due_ms: Mutex<i64>,
}

impl ServerCertificate {
    /// Makes the first one.
    ///
    /// # Errors
    /// [`CaError`].
    pub fn make(ca: Arc<Ca>, names: Vec<String>) -> Result<Self, CaError> {
        let identity = ca.server_identity(&names)?;
        let live = LiveCertificate::new(identity.chain, &identity.key).map_err(CaError::Tls)?;
        let due_ms = Mutex::new(due(&ca));
        Ok(Self {
            ca,
            names,
            live: Arc::new(live),
            due_ms,
        })
    }

    /// What TLS serves with.
    #[must_use]
    pub fn live(&self) -> Arc<LiveCertificate> {
        Arc::clone(&self.live)
    }

    /// Puts a new certificate in place if half of the present one's life is over. Connections that exist stay.
    ///
    /// # Errors
    /// [`CaError`]; the present one stays in use.
    pub fn refresh(&self) -> Result<bool, CaError> {
        let mut due_ms = self.due_ms.lock().unwrap_or_else(PoisonError::into_inner);
        if self.ca.clock.now_ms() < *due_ms {
            return Ok(false);
        }
        let identity = self.ca.server_identity(&self.names)?;
        self.live
            .replace(identity.chain, &identity.key)
            .map_err(CaError::Tls)?;
        *due_ms = due(&self.ca);
        Ok(true)
    }

    /// Keeps it fresh until `stop`.
    pub async fn keep(self, stop: Stop) {
        while stop.run(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            match self.refresh() {
                Ok(true) => tracing::info!("the controller's certificate was renewed"),
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(error = %Chain(&error), "the controller's certificate was not renewed; it is tried again in an hour");
                }
            }
        }
    }
}

fn due(ca: &Ca) -> i64 {
    let half = i64::try_from((SERVER_LIFE / 2).as_millis()).unwrap_or(i64::MAX);
    ca.clock.now_ms().saturating_add(half)
}

#[cfg(test)]
mod tests {
    use windflow_kit::{Clock, Random};
    use windflow_transport::identity;

    use super::*;

    #[test]
    fn it_is_renewed_in_the_second_half_of_its_life_under_the_same_pin_and_key() {
        const DAY: Duration = Duration::from_secs(24 * 3_600);
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::manual(1_800_000_000_000);
        let ca = Ca::open_or_create(dir.path(), "test", clock.clone(), Random::system()).unwrap();
        let (ca, names) = (Arc::new(ca), vec!["wf.example.org".to_owned()]);
        let certificate = ServerCertificate::make(Arc::clone(&ca), names).unwrap();
        let first = certificate.live().chain();
        clock.advance(DAY * 194);
        assert!(
            !certificate.refresh().unwrap(),
            "in the first half nothing changes"
        );
        clock.advance(DAY * 2);
        assert!(certificate.refresh().unwrap());
        assert!(!certificate.refresh().unwrap(), "once");
        let second = certificate.live().chain();
        assert_ne!(first[0], second[0]);
        assert_eq!(
            identity::key_hash(&first[0]).unwrap(),
            identity::key_hash(&second[0]).unwrap()
        );
        assert_eq!(first[1], second[1], "the root, and so the pin, is the same");
        assert!(identity::signed_by(&second[0], ca.root()));
    }
}
