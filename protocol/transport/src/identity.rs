//! Who somebody is: keys made on the host, certificates that carry the agent's id and generation.
//!
//! An agent's certificate holds one SAN URI, `windflow://agent/<id>?gen=<n>`; the controller's one DNS name,
//! `controller.<deployment>.windflow`. The id on a connection comes from here and nowhere else.

use std::{io, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use fs_err as fs;
use rcgen::{CertificateParams, KeyPair};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use windflow_model::{AgentId, Timestamp};
use x509_cert::{
    Certificate,
    der::{
        Decode, Encode as _,
        oid::{
            AssociatedOid,
            db::{rfc5280::ID_KP_SERVER_AUTH, rfc5912::ECDSA_WITH_SHA_256},
        },
    },
    ext::pkix::{BasicConstraints, ExtendedKeyUsage, SubjectAltName, name::GeneralName},
    spki::SubjectPublicKeyInfoRef,
    time::Time,
};

/// Why a key or certificate is of no use.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// A file cannot be read or written; the cause names it.
    #[error("cannot access key or certificate")]
    Io(#[source] io::Error),
    /// A file that should not be readable by others is.
    #[error("{path} is readable by other users; run: chmod 600 {path}")]
    Exposed {
        /// The file.
        path: String,
    },
    /// Not a key.
    #[error("{what} is not a private key; enrol this host again")]
    Key {
        /// Which.
        what: String,
        /// What the parser says.
        #[source]
        source: rcgen::Error,
    },
    /// Not a certificate, or not one of ours.
    #[error("the certificate cannot be used: {reason}")]
    Certificate {
        /// Why.
        reason: String,
    },
    /// The library could not make it.
    #[error("cannot make a {what}")]
    Make {
        /// What.
        what: &'static str,
        /// What the library says.
        #[source]
        source: rcgen::Error,
    },
}

fn unusable(reason: impl Into<String>) -> IdentityError {
    IdentityError::Certificate {
        reason: reason.into(),
    }
}

/// The key pair of a host. It never leaves the host.
pub struct HostKey(KeyPair);

impl std::fmt::Debug for HostKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HostKey(****)")
    }
}

impl HostKey {
    /// A new P-256 key.
    ///
    /// # Errors
    /// [`IdentityError::Make`].
    pub fn generate() -> Result<Self, IdentityError> {
        KeyPair::generate()
            .map(Self)
            .map_err(|source| IdentityError::Make {
                what: "private key",
                source,
            })
    }

    /// Reads the key from `path`, which nobody else may read.
    ///
    /// # Errors
    /// [`IdentityError`]: `Io`, `Exposed` or `Key`.
    pub fn load(path: &Path) -> Result<Self, IdentityError> {
        let text = read_private(path)?;
        KeyPair::from_pem(&text)
            .map(Self)
            .map_err(|source| IdentityError::Key {
                what: path.display().to_string(),
                source,
            })
    }

    /// Reads a key from PKCS #8, DER.
    ///
    /// # Errors
    /// [`IdentityError::Key`].
    pub fn from_der(der: &[u8]) -> Result<Self, IdentityError> {
        KeyPair::try_from(der)
            .map(Self)
            .map_err(|source| IdentityError::Key {
                what: "the PKCS #8 document".to_owned(),
                source,
            })
    }

    /// Loads the key, or makes and keeps one (0600) if there is none.
    ///
    /// # Errors
    /// As [`HostKey::load`], or the file cannot be written.
    pub fn load_or_make(path: &Path) -> Result<Self, IdentityError> {
        if fs::exists(path).map_err(IdentityError::Io)? {
            return Self::load(path);
        }
        let key = Self::generate()?;
        write_private(path, key.0.serialize_pem().as_bytes())?;
        Ok(key)
    }

    /// The key for rustls.
    #[must_use]
    pub fn private_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.0.serialize_der()))
    }

    /// The pair itself, for signing.
    #[must_use]
    pub const fn pair(&self) -> &KeyPair {
        &self.0
    }

    /// Gives the pair away, for an issuer.
    #[must_use]
    pub fn into_pair(self) -> KeyPair {
        self.0
    }

    /// SHA-256 of the public half (SubjectPublicKeyInfo).
    ///
    /// # Errors
    /// [`IdentityError::Certificate`]; a fault of the build.
    pub fn public_hash(&self) -> Result<[u8; 32], IdentityError> {
        use rcgen::PublicKeyData as _;
        spki_hash(&self.0.subject_public_key_info())
    }

    /// A certificate request (DER), signed with the key. It says nothing but the key: the controller writes the rest.
    ///
    /// # Errors
    /// [`IdentityError::Make`].
    pub fn csr(&self) -> Result<Vec<u8>, IdentityError> {
        let request = CertificateParams::default().serialize_request(&self.0);
        request
            .map(|csr| csr.der().to_vec())
            .map_err(|source| IdentityError::Make {
                what: "certificate request",
                source,
            })
    }
}

/// What an agent's certificate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentFacts {
    /// The host.
    pub agent: AgentId,
    /// Counts certificates of this host.
    pub generation: u64,
    /// SHA-256 of its public key.
    pub key: [u8; 32],
    /// Begin of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
}

/// The SAN URI of an agent's certificate.
#[must_use]
pub fn agent_uri(agent: AgentId, generation: u64) -> String {
    format!("windflow://agent/{agent}?gen={generation}")
}

fn parse(der: &[u8]) -> Result<Certificate, IdentityError> {
    Certificate::from_der(der).map_err(|error| unusable(format!("not X.509: {error}")))
}

/// An extension, if the certificate has it.
fn extension<'a, T>(certificate: &'a Certificate) -> Result<Option<T>, IdentityError>
where
    T: Decode<'a, Error = x509_cert::der::Error> + AssociatedOid,
{
    let found = certificate.tbs_certificate().get_extension::<T>();
    let found = found.map_err(|error| unusable(format!("bad extension {}: {error}", T::OID)))?;
    Ok(found.map(|(_critical, extension)| extension))
}

fn public_key_hash(certificate: &Certificate) -> Result<[u8; 32], IdentityError> {
    let info = certificate.tbs_certificate().subject_public_key_info().to_der();
    let info = info.map_err(|error| unusable(format!("bad public key: {error}")))?;
    Ok(Sha256::digest(info).into())
}

fn timestamp(time: Time) -> Timestamp {
    let millis = time.to_unix_duration().as_millis();
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

/// Reads an agent's certificate. Says nothing about who signed it.
///
/// # Errors
/// [`IdentityError::Certificate`] if it is not X.509 or carries no agent id.
pub fn agent_facts(der: &[u8]) -> Result<AgentFacts, IdentityError> {
    let certificate = parse(der)?;
    let names = extension::<SubjectAltName>(&certificate)?;
    let names = names.ok_or_else(|| unusable("it carries no agent id"))?;
    let mut found = None;
    for name in &names.0 {
        if let GeneralName::UniformResourceIdentifier(uri) = name {
            let parts = uri
                .as_str()
                .strip_prefix("windflow://agent/")
                .and_then(|rest| rest.split_once("?gen="))
                .and_then(|(id, number)| Some((id.parse::<AgentId>().ok()?, number.parse::<u64>().ok()?)));
            found = found.or(parts);
        }
    }
    let (agent, generation) = found.ok_or_else(|| unusable("it carries no agent id"))?;
    Ok(AgentFacts {
        agent,
        generation,
        key: public_key_hash(&certificate)?,
        not_before: timestamp(certificate.tbs_certificate().validity().not_before),
        not_after: timestamp(certificate.tbs_certificate().validity().not_after),
    })
}

/// End of a certificate's validity.
///
/// # Errors
/// [`IdentityError::Certificate`].
pub fn not_after(certificate: &[u8]) -> Result<Timestamp, IdentityError> {
    Ok(timestamp(
        parse(certificate)?.tbs_certificate().validity().not_after,
    ))
}

/// SHA-256 of a certificate's public key (SubjectPublicKeyInfo).
///
/// # Errors
/// [`IdentityError::Certificate`].
pub fn key_hash(certificate: &[u8]) -> Result<[u8; 32], IdentityError> {
    public_key_hash(&parse(certificate)?)
}

/// The common name of a certificate's subject, if it has one.
#[must_use]
pub fn common_name(certificate: &[u8]) -> Option<String> {
    let certificate = parse(certificate).ok()?;
    let name = certificate.tbs_certificate().subject().common_name().ok()??;
    Some(name.value().into_owned())
}

/// SHA-256 of a SubjectPublicKeyInfo in DER.
///
/// # Errors
/// [`IdentityError::Certificate`] if it is not one.
pub fn spki_hash(spki: &[u8]) -> Result<[u8; 32], IdentityError> {
    SubjectPublicKeyInfoRef::from_der(spki)
        .map_err(|error| unusable(format!("not a public key: {error}")))
        .map(|_info| Sha256::digest(spki).into())
}

/// Whether `issuer` signed `certificate`, with ECDSA on P-256 as [`HostKey`]s do; validity in time is not looked at.
#[must_use]
pub fn signed_by(certificate: &[u8], issuer: &[u8]) -> bool {
    let (Ok(certificate), Ok(issuer)) = (parse(certificate), parse(issuer)) else {
        return false;
    };
    let may_sign =
        extension::<BasicConstraints>(&issuer).is_ok_and(|found| found.is_some_and(|basic| basic.ca));
    let algorithm = certificate.signature_algorithm();
    let usual = algorithm.oid == ECDSA_WITH_SHA_256 && algorithm == certificate.tbs_certificate().signature();
    let (Ok(signed), Some(signature), Some(key)) = (
        certificate.tbs_certificate().to_der(),
        certificate.signature().as_bytes(),
        issuer
            .tbs_certificate()
            .subject_public_key_info()
            .subject_public_key
            .as_bytes(),
    ) else {
        return false;
    };
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key);
    may_sign && usual && key.verify(&signed, signature).is_ok()
}

/// The DNS name of a controller's certificate: `controller.<deployment>.windflow`, for server use.
///
/// # Errors
/// [`IdentityError::Certificate`] if it is no controller's certificate.
pub fn controller_name(der: &[u8]) -> Result<String, IdentityError> {
    let certificate = parse(der)?;
    let usage = extension::<ExtendedKeyUsage>(&certificate).ok().flatten();
    let for_servers = usage.is_some_and(|usage| usage.0.contains(&ID_KP_SERVER_AUTH));
    let names = extension::<SubjectAltName>(&certificate).ok().flatten();
    let name = names.and_then(|names| {
        names.0.iter().find_map(|name| match name {
            GeneralName::DnsName(dns)
                if dns.as_str().starts_with("controller.") && dns.as_str().ends_with(".windflow") =>
            {
                Some(dns.as_str().to_owned())
            }
            _ => None,
        })
    });
    name.filter(|_| for_servers)
        .ok_or_else(|| unusable("it is not a controller's certificate"))
}

/// A pin as people see it: `sha256:` and base64.
#[must_use]
pub fn pin_text(hash: [u8; 32]) -> String {
    format!("sha256:{}", STANDARD.encode(hash))
}

/// Reads a pin, with or without `sha256:`.
#[must_use]
pub fn parse_pin(text: &str) -> Option<[u8; 32]> {
    let text = text.trim();
    let body = text.strip_prefix("sha256:").unwrap_or(text);
    STANDARD.decode(body).ok()?.try_into().ok()
}

/// A certificate as PEM.
#[must_use]
pub fn certificate_pem(der: &[u8]) -> String {
    let mut out = String::from("-----BEGIN CERTIFICATE-----\n");
    let text = STANDARD.encode(der);
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        out.push_str(line);
        out.push('\n');
        rest = tail;
    }
    out.push_str("-----END CERTIFICATE-----\n");
    out
}

/// Reads the first certificate of a PEM file.
///
/// # Errors
/// [`IdentityError`]: `Io` or `Certificate`.
pub fn load_certificate(path: &Path) -> Result<CertificateDer<'static>, IdentityError> {
    use rustls_pki_types::pem::PemObject as _;
    let text = fs::read(path).map_err(IdentityError::Io)?;
    CertificateDer::from_pem_slice(&text)
        .map_err(|error| unusable(format!("{} holds no certificate: {error:?}", path.display())))
}

/// Reads a file that nobody else may read.
///
/// # Errors
/// [`IdentityError`]: `Io` or `Exposed`.
pub fn read_private(path: &Path) -> Result<String, IdentityError> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path)
        .map_err(IdentityError::Io)?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        return Err(IdentityError::Exposed {
            path: path.display().to_string(),
        });
    }
    fs::read_to_string(path).map_err(IdentityError::Io)
}

/// Replaces a file as a whole, mode 0600, on disk when it returns: after a power cut there is the old or the new one.
///
/// # Errors
/// [`IdentityError::Io`].
pub fn write_private(path: &Path, content: &[u8]) -> Result<(), IdentityError> {
    let write = || -> io::Result<()> {
        let part = path.with_extension("part");
        if fs::exists(&part)? {
            fs::remove_file(&part)?;
        }
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        options.options_mut().mode(0o600);
        let mut file = options.open(&part)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        match path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => fs::File::open(dir)?.sync_all(),
            _ => Ok(()),
        }
    };
    write().map_err(IdentityError::Io)
}
