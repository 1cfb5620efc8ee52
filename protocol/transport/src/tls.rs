//! TLS for the link: 1.3 only, ring, no tickets, no resumption, no 0-RTT.
//!
//! A resumed session would skip the verifier, and a removed agent would be let in again; so there is nothing to resume.

use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
    server::{NoServerSessionStorage, WebPkiClientVerifier},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use thiserror::Error;
use windflow_protocol::{ALPN_CONTROL, ALPN_ENROLL};

use crate::identity;

mod crypto;
mod live;

pub use crypto::link_provider;
pub use live::LiveCertificate;

/// Why there is no TLS configuration.
#[derive(Debug, Error)]
pub enum TlsError {
    /// rustls refuses key, certificate or settings.
    #[error("key and certificate cannot be used for TLS")]
    Config(#[source] rustls::Error),
    /// No verifier can be made of the root.
    #[error("the controller's root certificate cannot be used")]
    Root(#[source] rustls::client::VerifierBuilderError),
    /// QUIC needs AES-128-GCM.
    #[error("the crypto provider lacks QUIC's first cipher suite")]
    Suite(#[source] quinn::crypto::rustls::NoInitialCipherSuite),
}

/// What the controller speaks with browsers: whatever they can that is sound.
#[must_use]
pub fn web_provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn roots(ca: &CertificateDer<'_>) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone().into_owned()).map_err(TlsError::Config)?;
    Ok(Arc::new(roots))
}

/// The controller's side for both ALPNs. A client certificate is optional here, because a host that joins has none:
/// that the control lane has one is checked by the endpoint, first thing after the handshake.
///
/// # Errors
/// [`TlsError`].
pub fn server(certificate: Arc<LiveCertificate>, ca: &CertificateDer<'_>) -> Result<ServerConfig, TlsError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(ca)?, link_provider())
        .allow_unauthenticated()
        .build()
        .map_err(TlsError::Root)?;
    let mut config = ServerConfig::builder_with_provider(link_provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Config)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![ALPN_CONTROL.to_vec(), ALPN_ENROLL.to_vec()];
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.max_early_data_size = 0;
    Ok(config)
}

/// [`server`] for QUIC.
///
/// # Errors
/// [`TlsError`].
pub fn quic_server(config: ServerConfig) -> Result<QuicServerConfig, TlsError> {
    QuicServerConfig::try_from(config).map_err(TlsError::Suite)
}

/// The agent's side of the control lane: its own certificate, and the controller's root and nothing else as trust.
///
/// # Errors
/// [`TlsError`].
pub fn agent(
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    ca: &CertificateDer<'_>,
) -> Result<QuicClientConfig, TlsError> {
    let verifier = WebPkiServerVerifier::builder_with_provider(roots(ca)?, link_provider())
        .build()
        .map_err(TlsError::Root)?;
    let config = ClientConfig::builder_with_provider(link_provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Config)?
        .with_webpki_verifier(verifier)
        .with_client_auth_cert(vec![certificate], key)
        .map_err(TlsError::Config)?;
    finish_client(config, ALPN_CONTROL)
}

/// A host that joins: trusts the pinned root key, whatever the clocks say, and shows no certificate.
///
/// # Errors
/// [`TlsError`].
pub fn joining(pins: Vec<[u8; 32]>) -> Result<QuicClientConfig, TlsError> {
    let config = ClientConfig::builder_with_provider(link_provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Config)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PinVerifier {
            pins,
            provider: link_provider(),
        }))
        .with_no_client_auth();
    finish_client(config, ALPN_ENROLL)
}

fn finish_client(mut config: ClientConfig, alpn: &[u8]) -> Result<QuicClientConfig, TlsError> {
    config.alpn_protocols = vec![alpn.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    QuicClientConfig::try_from(config).map_err(TlsError::Suite)
}

/// Text of the TLS error that means "another key than the pinned one".
pub const PIN_MISMATCH: &str = "none of the pinned keys signed the controller's certificate";

/// Trusts a chain whose root has a pinned key. Validity in time is not looked at: a host with a wrong clock must still
/// be able to learn that its clock is wrong.
#[derive(Debug)]
struct PinVerifier {
    pins: Vec<[u8; 32]>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let root = intermediates
            .iter()
            .find(|root| identity::key_hash(root).is_ok_and(|hash| self.pins.contains(&hash)));
        let good = root.is_some_and(|root| {
            // The name keeps another host's certificate, which the same root signed, from posing as the controller.
            identity::signed_by(end_entity, root) && identity::controller_name(end_entity).is_ok()
        });
        if good {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::General(PIN_MISMATCH.to_owned()))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        None
    }
}
