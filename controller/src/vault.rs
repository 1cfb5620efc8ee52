//! What the controller must keep and nobody may read on its disk: passwords of mail servers, tokens of chats, keys of recordings.
//!
//! ```text
//! DATA/vault.key   a key per line (base64, 32 bytes), 0600; the last one seals, all of them open
//! sealed           format byte 1 · 4 bytes that name the key · nonce 12 · AES-256-GCM of the text, its tag behind it
//! ```
//! A sealed value is bound to its context (what it is and whose): at another place it does not open. To change the key, add
//! a line. Who loses the file loses what is sealed, so it belongs into every backup of the data directory.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest,
};
use thiserror::Error;
use windflow_kit::{Random, Secret, random::RandomError};
use windflow_transport::identity::{self, IdentityError};
use zeroize::Zeroizing;

const FILE: &str = "vault.key";
const FORMAT: u8 = 1;
/// Bytes that name a key: the begin of its SHA-256.
const NAME: usize = 4;

/// Why something cannot be sealed or opened.
#[derive(Debug, Error)]
pub enum VaultError {
    /// The file of keys cannot be read.
    #[error("the keys in {path} cannot be read")]
    Read {
        /// Where they are.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file of keys cannot be made.
    #[error("a key cannot be written to {path}")]
    Write {
        /// Where it should be.
        path: PathBuf,
        /// Why.
        source: IdentityError,
    },
    /// Something in the file is no key.
    #[error("{path}:{line}: a key is 32 bytes in base64; bring the file back from a backup")]
    Key {
        /// Where it is.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// Cannot be sealed.
    #[error("it is too long to be sealed")]
    TooLong,
    /// Sealed with a key that is not there.
    #[error(
        "it was sealed with a key that vault.key does not hold; bring the file back from a backup, or enter it again"
    )]
    UnknownKey,
    /// Damaged, or of another place.
    #[error("it does not open: it is damaged, or belongs elsewhere; enter it again")]
    Damaged,
}

struct Key {
    name: [u8; NAME],
    key: LessSafeKey,
}

/// Handle to the keys.
#[derive(Clone)]
pub struct Vault {
    keys: Arc<Vec<Key>>,
    random: Random,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault")
            .field("keys", &self.keys.len())
            .finish_non_exhaustive()
    }
}

impl Vault {
    /// Reads the keys in `dir`, or makes the first.
    ///
    /// # Errors
    /// The file cannot be read or made, or a line of it is no key.
    pub fn open_or_create(dir: &Path, random: Random) -> Result<Self, VaultError> {
        let path = dir.join(FILE);
        let text = match fs_err::read_to_string(&path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let text = Zeroizing::new(format!("{}\n", STANDARD.encode(*new_key(&random)?)));
                let write = |source| VaultError::Write {
                    path: path.clone(),
                    source,
                };
                identity::write_private(&path, text.as_bytes()).map_err(write)?;
                text
            }
            Err(source) => return Err(VaultError::Read { path, source }),
        };
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let bytes = STANDARD.decode(line.trim()).map(Zeroizing::new);
            let key = bytes.ok().and_then(|bytes| Key::of(&bytes));
            keys.push(key.ok_or_else(|| VaultError::Key {
                path: path.clone(),
                line: index + 1,
            })?);
        }
        if keys.is_empty() {
            return Err(VaultError::Key { path, line: 1 });
        }
        Ok(Self {
            keys: Arc::new(keys),
            random,
        })
    }

    /// A key that is in no file: what it seals is lost with it.
    ///
    /// # Errors
    /// No randomness.
    pub fn passing(random: Random) -> Result<Self, VaultError> {
        let key = Key::of(&*new_key(&random)?).ok_or(VaultError::Damaged)?;
        Ok(Self {
            keys: Arc::new(vec![key]),
            random,
        })
    }

    /// Seals something; `context` says what it is and whose.
    ///
    /// # Errors
    /// No randomness, or more than 64 GiB.
    pub fn seal(&self, context: &str, plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        let key = self.keys.last().ok_or(VaultError::UnknownKey)?;
        let nonce: [u8; NONCE_LEN] = self.random.bytes()?;
        let mut text = plain.to_vec();
        let tag = key.key.seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(context.as_bytes()),
            &mut text,
        );
        let tag = tag.map_err(|_| VaultError::TooLong)?;
        Ok([&[FORMAT][..], &key.name, &nonce, &text, tag.as_ref()].concat())
    }

    /// Opens what was sealed in the same context.
    ///
    /// # Errors
    /// It is damaged, of another context, or its key is not there.
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Secret<Vec<u8>>, VaultError> {
        let rest = sealed.strip_prefix(&[FORMAT]).ok_or(VaultError::Damaged)?;
        let (name, rest) = rest.split_at_checked(NAME).ok_or(VaultError::Damaged)?;
        let (nonce, rest) = rest.split_at_checked(NONCE_LEN).ok_or(VaultError::Damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| VaultError::Damaged)?;
        let key = self.keys.iter().rev().find(|key| key.name == *name);
        let key = key.ok_or(VaultError::UnknownKey)?;
        let mut text = Zeroizing::new(rest.to_vec());
        let plain = key
            .key
            .open_in_place(nonce, Aad::from(context.as_bytes()), &mut text);
        Ok(Secret::new(plain.map_err(|_| VaultError::Damaged)?.to_vec()))
    }
}

impl Key {
    fn of(bytes: &[u8]) -> Option<Self> {
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes).ok()?);
        let hash = digest::digest(&digest::SHA256, bytes);
        let name = hash.as_ref().first_chunk::<NAME>()?;
        Some(Self { name: *name, key })
    }
}

fn new_key(random: &Random) -> Result<Zeroizing<[u8; 32]>, RandomError> {
    random.bytes().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn vault(dir: &Path) -> Vault {
        Vault::open_or_create(dir, Random::system()).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_at_its_place_only_and_after_a_change_of_keys() {
        let dir = tempfile::tempdir().unwrap();
        let first = vault(dir.path());
        let sealed = first.seal("channel/1", b"hunter2").unwrap();
        assert!(!sealed.windows(7).any(|bytes| bytes == b"hunter2"));
        assert_ne!(first.seal("channel/1", b"hunter2").unwrap(), sealed);
        let file = dir.path().join(FILE);
        assert_eq!(
            fs_err::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );

        // Another key behind it: it seals from then on, the first still opens.
        let other = tempfile::tempdir().unwrap();
        drop(vault(other.path()));
        let both = [&file, &other.path().join(FILE)].map(|file| fs_err::read_to_string(file).unwrap());
        fs_err::write(&file, both.concat()).unwrap();
        let second = vault(dir.path());
        assert_eq!(second.open("channel/1", &sealed).unwrap().expose(), b"hunter2");
        let newer = second.seal("channel/1", b"").unwrap();
        assert!(second.open("channel/1", &newer).unwrap().expose().is_empty());

        let refused = |vault: &Vault, context: &str, sealed: &[u8], says: &str| {
            let error = vault.open(context, sealed).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        };
        refused(&first, "channel/1", &newer, "vault.key does not hold");
        refused(&second, "channel/2", &sealed, "does not open");
        for cut in 0..sealed.len() {
            assert!(second.open("channel/1", &sealed[..cut]).is_err(), "{cut}");
        }
        for bit in 0..sealed.len() * 8 {
            let mut bent = sealed.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            assert!(second.open("channel/1", &bent).is_err(), "{bit}");
        }
    }

    #[test]
    fn a_file_that_holds_no_keys_is_named() {
        for (text, says) in [
            ("", "vault.key:1"),
            ("\nAAAA\n", "vault.key:2"),
            ("\u{e9}", "vault.key:1"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            fs_err::write(dir.path().join(FILE), text).unwrap();
            let error = Vault::open_or_create(dir.path(), Random::system())
                .unwrap_err()
                .to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
