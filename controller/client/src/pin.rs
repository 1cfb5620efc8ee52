//! Trust in the controller by the hash of its certificate authority's public key.
//!
//! The controller is its own authority, so there is no public root to ask. A *pin* is the base64 SHA-256 of a
//! SubjectPublicKeyInfo: it survives a new certificate with the same key. A chain is good if a certificate that
//! carries the pinned key is in it and signed the server's certificate (or is it). The name in the certificate is not
//! compared: the pinned authority signs servers for this one controller only, and people reach it by many addresses.

use std::sync::{Arc, Mutex, PoisonError};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::{
    CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
    },
    server::ParsedCertificate,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sha2::{Digest as _, Sha256};

/// The pin of a certificate's key; `None` if it cannot be read.
#[must_use]
pub fn pin_of(certificate: &CertificateDer<'_>) -> Option<String> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    Some(STANDARD.encode(Sha256::digest(parsed.subject_public_key_info())))
}

/// Brings the ways people write a pin (`sha256//…`, `sha256:…`, blanks) into one form. `None` if it is not the base64
/// of 32 bytes.
#[must_use]
pub fn parse_pin(text: &str) -> Option<String> {
    let text = text.trim();
    let body = ["sha256//", "sha256/", "sha256:"]
        .iter()
        .find_map(|prefix| text.strip_prefix(prefix))
        .unwrap_or(text);
    let bytes = STANDARD.decode(body).ok()?;
    (bytes.len() == 32).then(|| STANDARD.encode(bytes))
}

/// What the verifier saw in the last handshake, for the message after a refusal.
#[derive(Debug, Clone, Default)]
pub struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    /// The pins of the chain, the server's certificate first.
    #[must_use]
    pub fn pins(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Verifies servers by a pin. Without a pin it refuses every server, but remembers the chain so it can be shown.
#[derive(Debug)]
struct PinVerifier {
    pin: Option<String>,
    seen: Seen,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain = std::iter::once(end_entity).chain(intermediates);
        let pins: Vec<_> = chain.clone().filter_map(pin_of).collect();
        *self.seen.0.lock().unwrap_or_else(PoisonError::into_inner) = pins;
        let refused = || Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure);
        let pin = self.pin.as_deref().ok_or_else(refused)?;
        let anchor = chain.clone().find(|cert| pin_of(cert).as_deref() == Some(pin));
        let anchor = anchor.ok_or_else(refused)?;
        if anchor == end_entity {
            // The pinned key itself serves; the handshake's signature proves that the server holds it.
            return Ok(ServerCertVerified::assertion());
        }
        let mut roots = RootCertStore::empty();
        roots.add(anchor.clone())?;
        let server = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(&server, &roots, intermediates, now, self.algorithms.all)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// A TLS configuration that trusts the pinned key and nothing else, and what it will have seen.
///
/// # Errors
/// If the cryptographic provider does not support the protocol versions; a fault of the build.
pub fn tls_config(pin: Option<String>) -> Result<(rustls::ClientConfig, Seen), Error> {
    let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
    let seen = Seen::default();
    let verifier = PinVerifier {
        pin,
        seen: seen.clone(),
        algorithms: provider.signature_verification_algorithms,
    };
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok((config, seen))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_in_all_their_spellings() {
        let pin = STANDARD.encode([7; 32]);
        let check = |text: &str, good: bool| {
            assert_eq!(parse_pin(text), good.then(|| pin.clone()), "{text}");
        };
        check(&pin, true);
        check(&format!(" sha256//{pin}\n"), true);
        check(&format!("sha256:{pin}"), true);
        check("", false);
        check("abc", false);
        check(&STANDARD.encode([7; 31]), false);
    }
}
