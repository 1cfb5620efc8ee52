//! Opaque secrets: how they look and what is kept of them.
//!
//! | secret | text | kept |
//! |---|---|---|
//! | browser session | 43 letters of base64url (256 bit) in the cookie `__Host-wf` | SHA-256 |
//! | API token | `wft_`, the same 43 letters, 8 hex digits of checksum | SHA-256 |
//! | enrolment token | `wfj_`, 26 letters of the record's id, `_`, 43 letters | SHA-256 of the last part |

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use windflow_kit::{Random, Secret, random::RandomError};
use windflow_model::TokenId;

/// Prefix of API tokens.
pub(crate) const API: &str = "wft_";
/// Prefix of enrolment tokens.
pub(crate) const ENROL: &str = "wfj_";
/// 256 bit.
const BYTES: usize = 32;
/// Letters of 32 bytes in base64url without padding.
const LETTERS: usize = 43;

/// SHA-256 as hex.
pub(crate) fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// Compares without telling by its time where the difference is.
pub(crate) fn same(one: &str, two: &str) -> bool {
    one.as_bytes().ct_eq(two.as_bytes()).into()
}

/// A new secret for a cookie.
pub(crate) fn session(random: &Random) -> Result<Secret<String>, RandomError> {
    random.token(BYTES)
}

/// A new API token.
pub(crate) fn api_token(random: &Random) -> Result<Secret<String>, RandomError> {
    let body = random.token(BYTES)?;
    let sum = checksum(body.expose());
    Ok(Secret::new(format!("{API}{}{sum}", body.expose())))
}

/// Whether a text can be an API token at all; spares the store the typing errors.
pub(crate) fn is_api_token(text: &str) -> bool {
    text.strip_prefix(API)
        .and_then(|rest| rest.split_at_checked(LETTERS))
        .is_some_and(|(body, sum)| checksum(body) == sum)
}

fn checksum(body: &str) -> String {
    let digest = Sha256::digest([API.as_bytes(), body.as_bytes()].concat());
    hex::encode(digest.first_chunk::<4>().copied().unwrap_or_default())
}

/// A new enrolment token: the whole text, and the hash of its secret part.
pub(crate) fn enrol_token(random: &Random, id: TokenId) -> Result<(Secret<String>, String), RandomError> {
    let secret = random.token(BYTES)?;
    let id = id.to_string();
    let id = id.strip_prefix("tok_").unwrap_or(&id);
    let text = format!("{ENROL}{id}_{}", secret.expose());
    Ok((Secret::new(text), sha256(secret.expose())))
}

/// The id and the hash of the secret part of an enrolment token.
pub(crate) fn open_enrol_token(text: &str) -> Option<(TokenId, String)> {
    let (id, secret) = text.trim().strip_prefix(ENROL)?.split_once('_')?;
    let id = format!("{}_{id}", TokenId::PREFIX).parse().ok()?;
    Some((id, sha256(secret)))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn api_tokens_carry_a_checksum() {
        let token = api_token(&Random::system()).unwrap();
        let token = token.expose();
        assert!(is_api_token(token), "{token}");
        for wrong in [
            token.replacen("wft_", "wfx_", 1),
            token.replacen(|c: char| c.is_ascii_lowercase(), "%", 1),
            format!("{token}0"),
            token[..20].to_owned(),
            String::new(),
        ] {
            assert!(!is_api_token(&wrong), "{wrong}");
        }
    }

    #[test]
    fn enrolment_tokens_open_again() {
        let id = TokenId::from_uuid(Uuid::from_u128(77));
        let (text, hash) = enrol_token(&Random::system(), id).unwrap();
        assert_eq!(open_enrol_token(text.expose()), Some((id, hash.clone())));
        assert_eq!(
            open_enrol_token(&format!(" {}\n", text.expose())),
            Some((id, hash))
        );
        for wrong in ["", "wfj_", "wfj_abc_def", "wft_x"] {
            assert_eq!(open_enrol_token(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn comparison_is_by_the_whole_text() {
        assert!(same("abc", "abc"));
        assert!(!same("abc", "abd") && !same("abc", "ab") && !same("", "a"));
    }
}
