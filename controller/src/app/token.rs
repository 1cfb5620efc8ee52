//! Enrolment tokens: made here, used in [`super::agent_enrol`].

use std::time::Duration;

use windflow_api::{EnrolmentToken, EnrolmentTokenCreate, Page};
use windflow_kit::Secret;
use windflow_model::TokenId;
use windflow_store::{Expect, Txn};

use super::{App, AppError, AppResult, db::create, keys, records::EnrolToken};
use crate::{auth::secret, context::OpContext};

/// Life in seconds if the request does not say.
const DEFAULT_TTL_S: u32 = 15 * 60;
/// Longest and shortest life.
const TTL_S: std::ops::RangeInclusive<u32> = 60..=24 * 3_600;

impl App {
    /// Makes a token; the secret is in the answer only.
    ///
    /// # Errors
    /// A life or note out of range.
    pub async fn token_create(
        &self,
        op: &OpContext,
        wanted: EnrolmentTokenCreate,
    ) -> AppResult<(EnrolmentToken, Secret<String>)> {
        const OP: &str = "enrolment_token_create";
        let ttl_s = wanted.ttl_s.unwrap_or(DEFAULT_TTL_S);
        if !TTL_S.contains(&ttl_s) {
            return Err(AppError::bad(format!(
                "ttl_s: use {} to {} seconds, not {ttl_s}",
                TTL_S.start(),
                TTL_S.end()
            )));
        }
        if wanted.note.chars().count() > 200 || wanted.note.chars().any(char::is_control) {
            return Err(AppError::bad("note: use one line of at most 200 characters"));
        }
        let id = self.new_token_id()?;
        let (text, secret_sha256) = secret::enrol_token(self.random(), id)?;
        let token = EnrolToken {
            id,
            secret_sha256,
            note: wanted.note,
            created_at: self.now(),
            created_by: op.user,
            expires_at: self.now().plus(Duration::from_secs(u64::from(ttl_s))),
            used_by: None,
        };
        let txn = create(Txn::new(), OP, keys::token(op.org, id), &token)?;
        let txn = self.audited(txn, op, OP, id, format!("for {ttl_s} s"))?;
        self.commit(OP, txn).await?;
        Ok((view(&token), text))
    }

    /// All tokens that are not swept yet, newest first.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn token_list(&self, op: &OpContext) -> AppResult<Page<EnrolmentToken>> {
        let tokens = self
            .all::<EnrolToken>("enrolment_token_list", &keys::tokens(op.org))
            .await?;
        let newest_first = tokens.iter().rev().map(|entry| view(&entry.value));
        Ok(Page::whole(newest_first.collect()))
    }

    /// Revokes a token.
    ///
    /// # Errors
    /// There is no such token.
    pub async fn token_delete(&self, op: &OpContext, id: TokenId) -> AppResult<()> {
        const OP: &str = "enrolment_token_delete";
        let key = keys::token(op.org, id);
        let txn = Txn::new().expect(key.clone(), Expect::Present).delete(key);
        let txn = self.audited(txn, op, OP, id, "")?;
        match self.commit(OP, txn).await {
            Err(error) if error.wants_fresh_read() => {
                Err(AppError::not_found(format!("enrolment token {id}")))
            }
            result => result.map(drop),
        }
    }
}

fn view(token: &EnrolToken) -> EnrolmentToken {
    EnrolmentToken {
        id: token.id,
        note: token.note.clone(),
        created_at: token.created_at,
        created_by: token.created_by,
        expires_at: token.expires_at,
        used_at: token.used_by.as_ref().map(|(_, _, at)| *at),
        agent: token.used_by.as_ref().map(|(_, agent, _)| *agent),
    }
}
