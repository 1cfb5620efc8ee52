//! Credentials that were given out: browser sessions and API tokens. Opaque, hashed in the store, ended by deleting.

use std::time::Duration;

use windflow_kit::Secret;
use windflow_model::{Code, Timestamp, UserId, org::User};
use windflow_store::{Txn, Watch};

use super::{
    App, AppError, AppResult,
    db::create,
    keys,
    records::{Carrier, Credential},
};
use crate::{auth::secret, context::OpContext};

/// Life of a browser session.
pub const SESSION_LIFE: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Life of an API token from a sign-in.
pub const TOKEN_LIFE: Duration = Duration::from_secs(90 * 24 * 3_600);

/// A credential as shown with a request.
#[derive(Debug, Clone)]
pub enum Shown {
    /// From the cookie.
    Cookie(Secret<String>),
    /// From the `Authorization` header.
    Bearer(Secret<String>),
}

/// A credential just made; the secret is never seen again.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Who.
    pub user: User,
    /// The secret.
    pub secret: Secret<String>,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl App {
    /// Gives a user a browser session, or an API token.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub async fn session_create(&self, op: &OpContext, user: User, token: bool) -> AppResult<Opened> {
        const OP: &str = "session_create";
        let (secret, carrier, life) = if token {
            (secret::api_token(self.random())?, Carrier::Bearer, TOKEN_LIFE)
        } else {
            (secret::session(self.random())?, Carrier::Cookie, SESSION_LIFE)
        };
        let credential = Credential {
            id: self.new_session_id()?,
            org: user.org,
            user: user.id,
            user_name: user.name.clone(),
            carrier,
            created_at: self.now(),
            expires_at: self.now().plus(life),
        };
        let key = keys::credential(&secret::sha256(secret.expose()));
        let txn = create(Txn::new(), OP, key, &credential)?;
        let by = OpContext {
            user: user.id,
            user_name: user.name.clone(),
            ..op.clone()
        };
        let detail = if token { "API token" } else { "browser session" };
        let txn = self.audited(txn, &by, OP, credential.id, detail)?;
        self.commit(OP, txn).await?;
        Ok(Opened {
            user,
            secret,
            expires_at: credential.expires_at,
        })
    }

    /// Who shows this credential. The answer holds for this request only.
    ///
    /// # Errors
    /// `Unauthenticated` for whatever is not a living credential, carried the way it was given out.
    pub async fn authenticate(&self, shown: &Shown, request: &str, remote: &str) -> AppResult<OpContext> {
        let (text, carrier) = match shown {
            Shown::Cookie(text) => (text.expose(), Carrier::Cookie),
            Shown::Bearer(text) => (text.expose(), Carrier::Bearer),
        };
        let refused = || {
            AppError::refused(
                Code::Unauthenticated,
                match carrier {
                    Carrier::Cookie => "the session is unknown or has ended",
                    Carrier::Bearer => "the API token is unknown or has ended",
                },
            )
        };
        if carrier == Carrier::Bearer && !secret::is_api_token(text) {
            return Err(refused());
        }
        let key = keys::credential(&secret::sha256(text));
        let found = self.find::<Credential>("authenticate", &key).await?;
        let credential = found.map(|entry| entry.value).ok_or_else(refused)?;
        if credential.carrier != carrier || credential.expires_at <= self.now() {
            return Err(refused());
        }
        Ok(OpContext {
            org: credential.org,
            user: credential.user,
            user_name: credential.user_name,
            credential: Some(credential.id),
            request: request.to_owned(),
            remote: remote.to_owned(),
        })
    }

    /// Wakes when credentials changed, so that live connections can look whether theirs still stands.
    #[must_use]
    pub fn session_watch(&self) -> Watch {
        self.store().watch(&keys::credentials())
    }

    /// Ends the credential of this request.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub async fn session_delete(&self, op: &OpContext, shown: &Shown) -> AppResult<()> {
        const OP: &str = "session_delete";
        let (Shown::Cookie(text) | Shown::Bearer(text)) = shown;
        let txn = Txn::new().delete(keys::credential(&secret::sha256(text.expose())));
        let object = op.credential.map(|id| id.to_string()).unwrap_or_default();
        let txn = self.audited(txn, op, OP, object, "")?;
        self.commit(OP, txn).await.map(drop)
    }

    /// Ends all credentials of a user.
    pub(crate) async fn sessions_end(&self, user: UserId) -> AppResult<()> {
        const OP: &str = "sessions_end";
        for entry in self.all::<Credential>(OP, &keys::credentials()).await? {
            if entry.value.user == user {
                self.commit(OP, Txn::new().delete(entry.key)).await?;
            }
        }
        Ok(())
    }
}
