//! Passwords: argon2id with t=1, m=47,104 KiB, p=1 (ASVS 5.0.0, V11.4.2), at most two at a time (46 MiB each).

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version,
    password_hash::phc::PasswordHash,
};
use tokio::sync::Semaphore;
use windflow_kit::{Random, Secret, blocking};

use crate::app::{AppError, AppResult};

/// Fewest and most characters of a password.
pub(crate) const LENGTH: std::ops::RangeInclusive<usize> = 8..=256;
/// Computed at once; more would cost 46 MiB each.
const AT_ONCE: usize = 2;

/// Hashes and verifies passwords.
#[derive(Debug)]
pub(crate) struct Passwords {
    turns: Semaphore,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            turns: Semaphore::new(AT_ONCE),
        }
    }
}

fn argon() -> AppResult<Argon2<'static>> {
    let params = Params::new(47_104, 1, 1, None).map_err(failed)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn failed(source: impl std::fmt::Display) -> AppError {
    AppError::internal("hashing a password")(source.to_string())
}

impl Passwords {
    /// The PHC text to keep.
    pub(crate) async fn hash(&self, random: &Random, password: Secret<String>) -> AppResult<String> {
        let salt = random.bytes::<16>()?;
        self.work(move || {
            let hash = argon()?.hash_password_with_salt(password.expose().as_bytes(), &salt);
            Ok(hash.map_err(failed)?.to_string())
        })
        .await
    }

    /// Whether the password belongs to the PHC text. Without one it takes as long and says no, so that the time does
    /// not tell which users exist.
    pub(crate) async fn verify(&self, password: Secret<String>, phc: Option<String>) -> AppResult<bool> {
        self.work(move || {
            let argon = argon()?;
            let Some(phc) = phc else {
                let _same_time = argon.hash_password_with_salt(password.expose().as_bytes(), &[0; 16]);
                return Ok(false);
            };
            let hash = PasswordHash::new(&phc).map_err(failed)?;
            Ok(argon.verify_password(password.expose().as_bytes(), &hash).is_ok())
        })
        .await
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> AppResult<T> + Send + 'static,
    ) -> AppResult<T> {
        let _turn = self.turns.acquire().await.map_err(failed)?;
        blocking::run(work).await.map_err(failed)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_fits() {
        let passwords = Passwords::default();
        let secret = |text: &str| Secret::new(text.to_owned());
        let phc = passwords
            .hash(&Random::system(), secret("correct horse"))
            .await
            .unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=47104,t=1,p=1$"), "{phc}");
        let verify = |text: &str, phc: Option<&String>| passwords.verify(secret(text), phc.cloned());
        assert!(verify("correct horse", Some(&phc)).await.unwrap());
        assert!(!verify("correct hors", Some(&phc)).await.unwrap());
        assert!(!verify("correct horse", None).await.unwrap());
    }
}
