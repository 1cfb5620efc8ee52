//! Who the simulated hosts are: keys made here, certificates of the controller.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use windflow_kit::{BoxError, Chain, Clock, Random};
use windflow_model::AgentId;
use windflow_protocol::{EnrollReply, EnrollRequest, VersionRange, control::Denial};
use windflow_transport::{HostKey, Network, enroll::ask, identity};

use crate::door::Door;

/// Bytes as base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Self).map_err(de::Error::custom)
    }
}

/// One host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Identity {
    /// Its id at the controller.
    pub agent: AgentId,
    /// Its key, PKCS #8.
    pub key: Bytes,
    /// Its certificate, X.509.
    pub certificate: Bytes,
}

/// All hosts of one controller.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identities {
    /// Pin of the controller they belong to.
    pub pin: String,
    /// Its root, X.509.
    pub ca: Option<Bytes>,
    /// Name in its certificate.
    pub server_name: String,
    /// The hosts.
    pub hosts: Vec<Identity>,
}

impl Identities {
    /// Those in the file; none if there is no file.
    ///
    /// # Errors
    /// It cannot be read, others may read it, or it belongs to another controller.
    pub fn load(path: &Path, pin: &str) -> Result<Self, BoxError> {
        if !fs_err::exists(path)? {
            return Ok(Self::default());
        }
        let held: Self = serde_json::from_str(&identity::read_private(path)?)
            .map_err(|error| format!("{}: {error}; remove it to begin anew", path.display()))?;
        if held.pin != pin {
            return Err(format!(
                "{} holds hosts of another controller ({}); name another file",
                path.display(),
                held.pin
            )
            .into());
        }
        Ok(held)
    }

    /// Writes them, readable by their owner only.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), BoxError> {
        identity::write_private(path, &serde_json::to_vec(self)?)?;
        Ok(())
    }
}

/// Where and how hosts join.
pub(crate) struct Joining {
    pub(crate) door: Arc<dyn Door>,
    pub(crate) remote: SocketAddr,
    pub(crate) pin: [u8; 32],
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    /// Begins every name of this run, so that two runs do not meet.
    pub(crate) prefix: String,
}

/// What a host has after it joined.
pub(crate) struct Joined {
    pub(crate) identity: Identity,
    pub(crate) ca: Vec<u8>,
    pub(crate) server_name: String,
}

impl Joining {
    /// Joins as host `number`; waits for its turn as long as the controller asks for it.
    pub(crate) async fn join(&self, number: usize) -> Result<Joined, BoxError> {
        let key = HostKey::generate()?;
        let name = format!("{}-{number:05}", self.prefix);
        let token = self.door.token().await?;
        let request = EnrollRequest::Join {
            versions: VersionRange::SUPPORTED,
            token: token.expose().clone(),
            csr: key.csr()?,
            hostname: name.clone(),
            name: Some(name),
            labels: BTreeMap::from([("windflow.bench".to_owned(), "true".to_owned())]),
            wall_ms: self.clock.now_ms(),
        };
        self.ask(&key, &request).await
    }

    /// A new certificate for a host whose own ran out.
    pub(crate) async fn renew(&self, held: &Identity) -> Result<Joined, BoxError> {
        let key = HostKey::from_der(&held.key.0)?;
        let request = EnrollRequest::Reattest {
            csr: key.csr()?,
            certificate: held.certificate.0.clone(),
            wall_ms: self.clock.now_ms(),
        };
        self.ask(&key, &request).await
    }

    async fn ask(&self, key: &HostKey, request: &EnrollRequest) -> Result<Joined, BoxError> {
        loop {
            let reply = ask(&Network::default(), self.remote, vec![self.pin], request).await;
            let stay_away = match reply {
                Ok(EnrollReply::Granted {
                    agent,
                    certificate,
                    ca,
                    server_name,
                    ..
                }) => {
                    return Ok(Joined {
                        identity: Identity {
                            agent,
                            key: Bytes(key.private_der().secret_der().to_vec()),
                            certificate: Bytes(certificate),
                        },
                        ca,
                        server_name,
                    });
                }
                Ok(EnrollReply::Refused { denial, .. }) if denial.retry_after_ms > 0 => {
                    Duration::from_millis(u64::from(denial.retry_after_ms))
                }
                Ok(EnrollReply::Refused {
                    denial: Denial { code, message, .. },
                    ..
                }) => return Err(format!("a host may not join: {message} ({code})").into()),
                Ok(EnrollReply::Left) => return Err("a host was removed instead of joining".into()),
                Err(error) if !error.stay_away().is_zero() => error.stay_away(),
                Err(error) => return Err(format!("a host cannot join: {}", Chain(&error)).into()),
            };
            let jitter = u64::try_from(stay_away.as_millis() / 4).unwrap_or(0);
            let jitter = Duration::from_millis(self.random.up_to(jitter));
            tokio::time::sleep(stay_away + jitter).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_kept_for_one_controller() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hosts.json");
        assert!(Identities::load(&path, "sha256:a").unwrap().hosts.is_empty());
        let mut held = Identities {
            pin: "sha256:a".to_owned(),
            ..Identities::default()
        };
        held.hosts.push(Identity {
            agent: AgentId::from_uuid(Random::system().uuid_v7(&Clock::system()).unwrap()),
            key: Bytes(HostKey::generate().unwrap().private_der().secret_der().to_vec()),
            certificate: Bytes(vec![1, 2, 3]),
        });
        held.save(&path).unwrap();
        let read = Identities::load(&path, "sha256:a").unwrap();
        assert_eq!(read.hosts[0].agent, held.hosts[0].agent);
        HostKey::from_der(&read.hosts[0].key.0).unwrap();
        let error = Identities::load(&path, "sha256:b").unwrap_err();
        assert!(error.to_string().contains("another controller"), "{error}");
    }
}
