//! The controller's certificate authority. Its key is made on first start, kept 0600, and never leaves the directory.
//!
//! `ca.key ca.crt` the root; `server.key` the key of the controller's own certificate (QUIC and HTTPS), which is made
//! anew at each start and in the second half of its life;
//! `reset.key cid.key` what must survive a restart for agents to notice it quickly.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use fs_err as fs;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer};
use windflow_kit::{Clock, Random};
use windflow_model::AgentId;
use windflow_transport::{
    endpoint::StableKeys,
    identity::{self, AgentFacts, HostKey},
};

/// Life of an agent's certificate; renewed at half of it.
pub const LEAF_LIFE: Duration = Duration::from_secs(24 * 3_600);
/// How long after its end a certificate still lets its key ask for a new one.
pub const REATTEST_WITHIN: Duration = Duration::from_secs(90 * 24 * 3_600);
/// Begin of validity before now, at most and as a part of the life: small differences between clocks do no harm.
const BACKDATE: Duration = Duration::from_secs(3_600);
const BACKDATE_PART: u32 = 24;
const ROOT_LIFE: Duration = Duration::from_secs(20 * 365 * 24 * 3_600);

mod error;
mod server;

pub use error::CaError;
pub use server::{ServerCertificate, ServerIdentity};

/// The authority.
pub struct Ca {
    dir: PathBuf,
    deployment: String,
    clock: Clock,
    random: Random,
    leaf_life: Duration,
    root: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    pin: [u8; 32],
}

impl std::fmt::Debug for Ca {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ca")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

impl Ca {
    /// Opens the authority in `dir`, or makes it. `deployment` is the id of this installation: lower-case letters and
    /// digits, it becomes a DNS label.
    ///
    /// # Errors
    /// [`CaError`].
    pub fn open_or_create(
        dir: impl AsRef<Path>,
        deployment: &str,
        clock: Clock,
        random: Random,
    ) -> Result<Self, CaError> {
        let dir = dir.as_ref().to_path_buf();
        let open = |source| CaError::Open {
            dir: dir.clone(),
            source,
        };
        let read = |source| CaError::Read {
            dir: dir.clone(),
            source,
        };
        fs::create_dir_all(&dir).map_err(read)?;
        let path = dir.join("ca.crt");
        let there = fs::exists(&path).map_err(read)?;
        // Never made anew beside a certificate: hosts trust the old key. A key alone is a first start that was cut off.
        if there && !fs::exists(dir.join("ca.key")).map_err(read)? {
            return Err(CaError::Incomplete {
                dir,
                missing: "ca.key",
            });
        }
        let key = HostKey::load_or_make(&dir.join("ca.key")).map_err(open)?;
        if !there {
            let root = root_params(deployment, &clock).self_signed(key.pair());
            let root = root.map_err(|source| CaError::Make {
                what: "the root certificate",
                source,
            })?;
            identity::write_private(&path, root.pem().as_bytes()).map_err(open)?;
        }
        let root = identity::load_certificate(&path).map_err(open)?;
        let pin = identity::key_hash(&root).map_err(open)?;
        if key.public_hash().map_err(open)? != pin {
            return Err(CaError::Mismatch { dir });
        }
        let issuer = Issuer::from_ca_cert_der(&root, key.into_pair()).map_err(|source| CaError::Make {
            what: "an issuer of ca.crt and ca.key",
            source,
        })?;
        Ok(Self {
            deployment: deployment.to_owned(),
            dir,
            clock,
            random,
            leaf_life: LEAF_LIFE,
            root,
            issuer,
            pin,
        })
    }

    /// Life of the certificates of agents.
    #[must_use]
    pub const fn leaf_life(&self) -> Duration {
        self.leaf_life
    }

    /// Another life for the certificates of agents than [`LEAF_LIFE`].
    #[must_use]
    pub const fn with_leaf_life(mut self, life: Duration) -> Self {
        self.leaf_life = life;
        self
    }

    /// The root certificate.
    #[must_use]
    pub const fn root(&self) -> &CertificateDer<'static> {
        &self.root
    }

    /// The root certificate as PEM.
    #[must_use]
    pub fn root_pem(&self) -> String {
        identity::certificate_pem(&self.root)
    }

    /// What hosts and command lines pin: `sha256:` and the base64 of the root key's hash.
    #[must_use]
    pub fn pin(&self) -> String {
        identity::pin_text(self.pin)
    }

    /// Name in the controller's certificate on the control lane.
    #[must_use]
    pub fn server_name(&self) -> String {
        format!("controller.{}.windflow", self.deployment)
    }

    /// Hash of the public key of a certificate request whose own signature is good.
    ///
    /// # Errors
    /// [`CaError::Request`].
    pub fn request_key(&self, csr: &[u8]) -> Result<[u8; 32], CaError> {
        use rcgen::PublicKeyData as _;
        let request = read_request(csr)?;
        identity::spki_hash(&request.public_key.subject_public_key_info()).map_err(CaError::Unreadable)
    }

    /// Signs a certificate for an agent. Of the request only the key is taken.
    ///
    /// # Errors
    /// [`CaError`].
    pub fn sign_agent(&self, csr: &[u8], agent: AgentId, generation: u64) -> Result<Vec<u8>, CaError> {
        let make = |source| CaError::Make {
            what: "the host's certificate",
            source,
        };
        let mut request = read_request(csr)?;
        let mut params = CertificateParams::default();
        let uri = identity::agent_uri(agent, generation);
        params.subject_alt_names = vec![SanType::URI(uri.try_into().map_err(make)?)];
        self.validity(&mut params, self.leaf_life);
        params.distinguished_name = common_name("WindFlow agent");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.serial_number = Some(self.serial()?);
        request.params = params;
        let leaf = request.signed_by(&self.issuer).map_err(make)?;
        Ok(leaf.der().to_vec())
    }

    /// Reads a host's certificate that ran out, for re-attestation: signed by this root and not too old.
    #[must_use]
    pub fn expired_agent(&self, certificate: &[u8]) -> Option<AgentFacts> {
        let facts = identity::agent_facts(certificate).ok()?;
        let late = self.clock.now_ms().saturating_sub(facts.not_after.as_millis());
        let limit = i64::try_from(REATTEST_WITHIN.as_millis()).unwrap_or(i64::MAX);
        (identity::signed_by(certificate, &self.root) && late <= limit).then_some(facts)
    }

    /// Keys that make agents notice a restart at their next packet.
    ///
    /// # Errors
    /// [`CaError`].
    pub fn stable_keys(&self) -> Result<StableKeys, CaError> {
        let reset = self.kept("reset.key", 64)?;
        let cid = self.kept("cid.key", 8)?;
        let mut keys = StableKeys {
            reset: [0; 64],
            connection_id: 0,
        };
        for (to, from) in keys.reset.iter_mut().zip(reset) {
            *to = from;
        }
        for byte in cid.iter().take(8) {
            keys.connection_id = (keys.connection_id << 8) | u64::from(*byte);
        }
        Ok(keys)
    }

    fn kept(&self, name: &str, len: usize) -> Result<Vec<u8>, CaError> {
        let path = self.dir.join(name);
        let open = |source| CaError::Open {
            dir: self.dir.clone(),
            source,
        };
        let read = |source| CaError::Read {
            dir: self.dir.clone(),
            source,
        };
        if fs::exists(&path).map_err(read)?
            && let Ok(bytes) = hex::decode(identity::read_private(&path).map_err(open)?.trim())
            && bytes.len() == len
        {
            return Ok(bytes);
        }
        let mut bytes = vec![0; len];
        self.random.fill(&mut bytes).map_err(CaError::Random)?;
        identity::write_private(&path, hex::encode(&bytes).as_bytes()).map_err(open)?;
        Ok(bytes)
    }

    fn serial(&self) -> Result<rcgen::SerialNumber, CaError> {
        let mut bytes = self.random.bytes::<16>().map_err(CaError::Random)?;
        // Positive and never shorter than it looks (RFC 5280 §4.1.2.2).
        bytes[0] = (bytes[0] & 0x3f) | 0x40;
        Ok(rcgen::SerialNumber::from_slice(&bytes))
    }

    fn validity(&self, params: &mut CertificateParams, life: Duration) {
        set_validity(params, &self.clock, life);
    }
}

/// The pin of the authority in `dir`, which is only read.
///
/// # Errors
/// [`CaError::Open`] if there is none: no controller has been started with that directory.
pub fn pin_in(dir: &Path) -> Result<String, CaError> {
    let open = |source| CaError::Open {
        dir: dir.to_path_buf(),
        source,
    };
    let root = identity::load_certificate(&dir.join("ca.crt")).map_err(open)?;
    let hash = identity::key_hash(&root).map_err(open)?;
    Ok(identity::pin_text(hash))
}

fn set_validity(params: &mut CertificateParams, clock: &Clock, life: Duration) {
    let now =
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_millis(u64::try_from(clock.now_ms()).unwrap_or(0));
    params.not_before = now - BACKDATE.min(life / BACKDATE_PART);
    params.not_after = now + life;
}

fn read_request(csr: &[u8]) -> Result<CertificateSigningRequestParams, CaError> {
    CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(csr))
        .map_err(CaError::Request)
}

fn common_name(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

fn root_params(deployment: &str, clock: &Clock) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name = common_name(&format!("WindFlow {deployment}"));
    set_validity(&mut params, clock, ROOT_LIFE);
    params
}

/// The installation that the authority in `dir` belongs to, if there is one.
#[must_use]
pub fn deployment_in(dir: &Path) -> Option<String> {
    let root = identity::load_certificate(&dir.join("ca.crt")).ok()?;
    let name = identity::common_name(&root)?;
    name.strip_prefix("WindFlow ").map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_an_authority_is_refused_and_nothing_is_made_in_its_place() {
        let check = |spoil: &dyn Fn(&Path), says: &str| {
            let dir = tempfile::tempdir().unwrap();
            let open = || Ca::open_or_create(dir.path(), "test", Clock::system(), Random::system());
            open().unwrap();
            assert_eq!(deployment_in(dir.path()).as_deref(), Some("test"));
            spoil(dir.path());
            for _ in 0..2 {
                let error = windflow_kit::Chain(&open().unwrap_err()).to_string();
                assert!(error.contains(says), "{error}");
            }
        };
        check(
            &|dir| fs::remove_file(dir.join("ca.key")).unwrap(),
            "ca.key is missing",
        );
        check(
            &|dir| fs::write(dir.join("ca.crt"), "junk").unwrap(),
            "ca.crt holds no certificate",
        );
        let other = |dir: &Path| {
            fs::remove_file(dir.join("ca.key")).unwrap();
            HostKey::load_or_make(&dir.join("ca.key")).unwrap();
        };
        check(&other, "do not belong together");
        let exposed = |dir: &Path| {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::Permissions::from_mode(0o644);
            fs::set_permissions(dir.join("ca.key"), mode).unwrap();
        };
        check(&exposed, "chmod 600");
    }

    #[test]
    fn keeps_its_keys_private_and_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Ca::open_or_create(dir.path(), "test", Clock::system(), Random::system()).unwrap();
        let (one, two) = (open(), open());
        assert_eq!(one.pin(), two.pin());
        assert_eq!(one.pin(), pin_in(dir.path()).unwrap());
        assert_eq!(one.stable_keys().unwrap().reset, two.stable_keys().unwrap().reset);
        for name in ["ca.key", "reset.key", "cid.key"] {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn a_leaf_carries_id_generation_and_key_and_nothing_of_the_request() {
        let dir = tempfile::tempdir().unwrap();
        let ca = Ca::open_or_create(dir.path(), "test", Clock::system(), Random::system()).unwrap();
        let key = HostKey::generate().unwrap();
        let csr = key.csr().unwrap();
        let agent: AgentId = AgentId::from_uuid(Random::system().uuid_v7(&Clock::system()).unwrap());
        let leaf = ca.sign_agent(&csr, agent, 7).unwrap();
        let facts = identity::agent_facts(&leaf).unwrap();
        assert_eq!((facts.agent, facts.generation), (agent, 7));
        assert_eq!(facts.key, ca.request_key(&csr).unwrap());
        assert_eq!(facts.not_after.since(facts.not_before), LEAF_LIFE + BACKDATE);
        assert!(identity::signed_by(&leaf, ca.root()));
        assert!(identity::controller_name(&leaf).is_err());
        let mut torn = csr;
        let last = torn.len() - 1;
        torn[last] ^= 1;
        assert!(ca.sign_agent(&torn, agent, 8).is_err());
    }
}
