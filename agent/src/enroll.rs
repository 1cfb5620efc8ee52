//! Joining a controller, and coming back to it with a certificate that ran out.
//!
//! Files in the state directory, all 0600: `agent.key` (made here, never leaves), `agent.crt`, `ca.pem`,
//! `controller.toml` (where the controller is, who this host is), `controller.epoch` (the highest epoch seen).

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

mod error;

pub use error::EnrollError;

use fs_err as fs;
use serde::{Deserialize, Serialize};
use tokio::net::lookup_host;
use windflow_kit::{Clock, Secret};
use windflow_model::{AgentId, Code, Failure, Timestamp};
use windflow_protocol::{EnrollReply, EnrollRequest, VersionRange, enroll::MAX_CLOCK_SKEW_MS};
use windflow_transport::{
    HostKey, IdentityError, Network,
    enroll::ask,
    identity::{self, AgentFacts},
};

/// What the host remembers of its controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Membership {
    /// This host's id.
    pub agent: AgentId,
    /// Addresses of the controller, `host:port`, tried in turn.
    pub addresses: Vec<String>,
    /// Name in the controller's certificate.
    pub server_name: String,
}

/// A host that has joined.
#[derive(Debug)]
pub struct Identity {
    /// Where its files are.
    pub dir: PathBuf,
    /// Its key.
    pub key: HostKey,
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// What the certificate says.
    pub facts: AgentFacts,
    /// The controller's root, DER.
    pub ca: Vec<u8>,
    /// What it remembers of its controller.
    pub membership: Membership,
    /// The highest controller epoch seen.
    epoch: u64,
}

/// The file with the highest epoch seen.
const EPOCH: &str = "controller.epoch";

/// What an operator gives to join.
#[derive(Debug, Clone)]
pub struct JoinRequest {
    /// `host:port` of the controller (UDP).
    pub address: String,
    /// Pins of the controller's root key; two while it is being changed.
    pub pins: Vec<String>,
    /// The token, from a prompt, a file or stdin.
    pub token: Secret<String>,
    /// The host's name for itself.
    pub hostname: String,
    /// Name shown to people.
    pub name: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// Joins a controller. The same key may repeat it with the same token, so a lost reply costs nothing.
///
/// # Errors
/// [`EnrollError`], each with its remedy; nothing is kept but the host's own key.
pub async fn join(
    dir: &Path,
    request: JoinRequest,
    clock: &Clock,
    network: &Network,
) -> Result<Identity, EnrollError> {
    let files = |source| EnrollError::Files {
        dir: dir.to_path_buf(),
        source,
    };
    let mut pins = Vec::new();
    for pin in &request.pins {
        pins.push(identity::parse_pin(pin).ok_or_else(|| EnrollError::Pin(pin.clone()))?);
    }
    fs::create_dir_all(dir)
        .map_err(IdentityError::Io)
        .map_err(files)?;
    let key = HostKey::load_or_make(&dir.join("agent.key")).map_err(files)?;
    let message = EnrollRequest::Join {
        versions: VersionRange::SUPPORTED,
        token: request.token.expose().clone(),
        csr: key.csr().map_err(files)?,
        hostname: request.hostname,
        name: request.name,
        labels: request.labels,
        wall_ms: clock.now_ms(),
    };
    let granted = granted(exchange(&request.address, pins, &message, clock, network).await?)?;
    keep(dir, key, granted, vec![request.address])
}

/// Asks for a new certificate with the key of one that ran out.
///
/// # Errors
/// [`EnrollError`]; the identity stays as it was.
pub async fn reattest(identity: &mut Identity, clock: &Clock, network: &Network) -> Result<(), EnrollError> {
    let dir = identity.dir.clone();
    let files = |source| EnrollError::Files {
        dir: dir.clone(),
        source,
    };
    let pin = identity::key_hash(&identity.ca).map_err(files)?;
    let message = EnrollRequest::Reattest {
        csr: identity.key.csr().map_err(files)?,
        certificate: identity.certificate.clone(),
        wall_ms: clock.now_ms(),
    };
    let granted = granted(exchange_anywhere(identity, pin, &message, clock, network).await?)?;
    identity.renewed(granted.certificate)
}

/// Has the controller remove this host. The files stay.
///
/// # Errors
/// [`EnrollError`].
pub async fn leave(identity: &Identity, clock: &Clock, network: &Network) -> Result<(), EnrollError> {
    let files = |source| EnrollError::Files {
        dir: identity.dir.clone(),
        source,
    };
    let pin = identity::key_hash(&identity.ca).map_err(files)?;
    let message = EnrollRequest::Leave {
        csr: identity.key.csr().map_err(files)?,
        certificate: identity.certificate.clone(),
    };
    match exchange_anywhere(identity, pin, &message, clock, network).await? {
        EnrollReply::Left => Ok(()),
        _ => Err(EnrollError::Unexpected),
    }
}

struct Granted {
    agent: AgentId,
    certificate: Vec<u8>,
    ca: Vec<u8>,
    server_name: String,
}

/// The first address a name resolves to.
///
/// # Errors
/// [`EnrollError::Resolve`].
pub(crate) async fn resolve(address: &str) -> Result<SocketAddr, EnrollError> {
    let wrap = |source| EnrollError::Resolve {
        address: address.to_owned(),
        source,
    };
    let found = lookup_host(address).await.map_err(wrap)?.next();
    found.ok_or_else(|| wrap(io::Error::new(io::ErrorKind::NotFound, "no address")))
}

/// Asks at one address after the other until there is an answer.
async fn exchange_anywhere(
    identity: &Identity,
    pin: [u8; 32],
    message: &EnrollRequest,
    clock: &Clock,
    network: &Network,
) -> Result<EnrollReply, EnrollError> {
    let mut failed = None;
    for address in &identity.membership.addresses {
        match exchange(address, vec![pin], message, clock, network).await {
            Ok(reply) => return Ok(reply),
            // A clear no is a no at every address of one controller.
            Err(error @ (EnrollError::Refused { .. } | EnrollError::Clock { .. })) => return Err(error),
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.unwrap_or_else(|| EnrollError::Membership {
        path: identity.dir.join("controller.toml"),
        source: "it names no address of the controller".into(),
    }))
}

async fn exchange(
    address: &str,
    pins: Vec<[u8; 32]>,
    message: &EnrollRequest,
    clock: &Clock,
    network: &Network,
) -> Result<EnrollReply, EnrollError> {
    let remote = resolve(address).await?;
    let reply = ask(network, remote, pins, message).await.map_err(|source| {
        if source.is_pin_mismatch() {
            EnrollError::PinMismatch {
                address: address.to_owned(),
            }
        } else {
            EnrollError::Unreachable {
                address: address.to_owned(),
                source: Box::new(source),
            }
        }
    })?;
    match reply {
        EnrollReply::Granted { wall_ms, .. } => {
            check_clock(clock, wall_ms)?;
            Ok(reply)
        }
        EnrollReply::Left => Ok(reply),
        EnrollReply::Refused { denial, wall_ms } => {
            check_clock(clock, wall_ms)?;
            let hint = Code::ALL.iter().find(|code| code.as_str() == denial.code);
            Err(EnrollError::Refused {
                failure: Failure {
                    hint: hint.map_or("", |code| code.hint()).to_owned(),
                    code: denial.code,
                    message: denial.message,
                    check: None,
                },
                retry_after: Duration::from_millis(u64::from(denial.retry_after_ms)),
            })
        }
    }
}

fn granted(reply: EnrollReply) -> Result<Granted, EnrollError> {
    match reply {
        EnrollReply::Granted {
            agent,
            certificate,
            ca,
            server_name,
            ..
        } => Ok(Granted {
            agent,
            certificate,
            ca,
            server_name,
        }),
        _ => Err(EnrollError::Unexpected),
    }
}

fn check_clock(clock: &Clock, theirs: i64) -> Result<(), EnrollError> {
    let own = clock.now_ms();
    if own.abs_diff(theirs) <= MAX_CLOCK_SKEW_MS.unsigned_abs() {
        return Ok(());
    }
    Err(EnrollError::Clock {
        own: Timestamp::from_millis(own),
        theirs: Timestamp::from_millis(theirs),
    })
}

fn keep(dir: &Path, key: HostKey, granted: Granted, addresses: Vec<String>) -> Result<Identity, EnrollError> {
    let files = |source| EnrollError::Files {
        dir: dir.to_path_buf(),
        source,
    };
    let membership = Membership {
        agent: granted.agent,
        addresses,
        server_name: granted.server_name,
    };
    let path = dir.join("controller.toml");
    let text = toml::to_string(&membership).map_err(|source| EnrollError::Membership {
        path: path.clone(),
        source: source.into(),
    })?;
    let write = |name: &str, content: &str| identity::write_private(&dir.join(name), content.as_bytes());
    write("ca.pem", &identity::certificate_pem(&granted.ca)).map_err(files)?;
    write("agent.crt", &identity::certificate_pem(&granted.certificate)).map_err(files)?;
    // Last: without it the host has not joined.
    write("controller.toml", &text).map_err(files)?;
    Ok(Identity {
        facts: identity::agent_facts(&granted.certificate).map_err(files)?,
        dir: dir.to_path_buf(),
        key,
        certificate: granted.certificate,
        ca: granted.ca,
        membership,
        epoch: read_epoch(dir)?,
    })
}

impl Identity {
    /// Loads the identity of a host that has joined; `None` if it has not.
    ///
    /// # Errors
    /// [`EnrollError`] if files are damaged, missing, or readable by others.
    pub fn load(dir: &Path) -> Result<Option<Self>, EnrollError> {
        let files = |source| EnrollError::Files {
            dir: dir.to_path_buf(),
            source,
        };
        let path = dir.join("controller.toml");
        if !fs::exists(&path).map_err(IdentityError::Io).map_err(files)? {
            return Ok(None);
        }
        let text = identity::read_private(&path).map_err(files)?;
        let membership = toml::from_str(&text).map_err(|source| EnrollError::Membership {
            path,
            source: source.into(),
        })?;
        let certificate = identity::load_certificate(&dir.join("agent.crt"))
            .map_err(files)?
            .to_vec();
        Ok(Some(Self {
            dir: dir.to_path_buf(),
            key: HostKey::load(&dir.join("agent.key")).map_err(files)?,
            facts: identity::agent_facts(&certificate).map_err(files)?,
            certificate,
            ca: identity::load_certificate(&dir.join("ca.pem"))
                .map_err(files)?
                .to_vec(),
            membership,
            epoch: read_epoch(dir)?,
        }))
    }

    /// Takes a renewed certificate over, on disk first.
    ///
    /// # Errors
    /// [`EnrollError::Files`] if it is not one for this key and host, or cannot be written.
    pub fn renewed(&mut self, certificate: Vec<u8>) -> Result<(), EnrollError> {
        let files = |source| EnrollError::Files {
            dir: self.dir.clone(),
            source,
        };
        let facts = identity::agent_facts(&certificate).map_err(files)?;
        if facts.key != self.facts.key || facts.agent != self.facts.agent {
            return Err(files(IdentityError::Certificate {
                reason: "it is for another host or key".to_owned(),
            }));
        }
        let text = identity::certificate_pem(&certificate);
        identity::write_private(&self.dir.join("agent.crt"), text.as_bytes()).map_err(files)?;
        self.facts = facts;
        self.certificate = certificate;
        Ok(())
    }

    /// The highest controller epoch seen; 0 at first.
    #[must_use]
    pub const fn controller_epoch(&self) -> u64 {
        self.epoch
    }

    /// Keeps a controller epoch, on disk when it returns.
    ///
    /// # Errors
    /// [`EnrollError::Files`].
    pub fn keep_epoch(&mut self, epoch: u64) -> Result<(), EnrollError> {
        let text = epoch_text(epoch);
        identity::write_private(&self.dir.join(EPOCH), text.as_bytes()).map_err(|source| {
            EnrollError::Files {
                dir: self.dir.clone(),
                source,
            }
        })?;
        self.epoch = epoch;
        Ok(())
    }
}

/// The number twice: a damaged one must not pass for a lower one, which would let an older controller in.
fn epoch_text(epoch: u64) -> String {
    format!("epoch {epoch} {epoch}\n")
}

fn read_epoch(dir: &Path) -> Result<u64, EnrollError> {
    let path = dir.join(EPOCH);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(_) => return Err(EnrollError::Epoch { path }),
    };
    // Earlier builds wrote one number, which counted starts.
    let number = text.split([' ', '\n']).find_map(|word| word.parse().ok());
    match number {
        Some(epoch) if text == epoch_text(epoch) => Ok(epoch),
        Some(epoch) if epoch < 1_000_000 && text.trim() == epoch.to_string() => Ok(epoch),
        _ => Err(EnrollError::Epoch { path }),
    }
}
