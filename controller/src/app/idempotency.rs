//! `Idempotency-Key`: the same request again gets what the first one made; kept for 24 h.

use serde::Serialize;
use windflow_kit::seeded::{self, Bug};
use windflow_model::Code;
use windflow_store::{Key, Txn};

use super::{
    App, AppError, AppResult,
    db::create,
    keys,
    records::{Idempotent, Made},
};
use crate::{auth::secret::sha256, context::OpContext};

/// A key with the request it came with.
#[derive(Debug, Clone)]
pub struct IdempotencyKey {
    pub(crate) key: Key,
    pub(crate) request_sha256: String,
}

impl IdempotencyKey {
    /// From the header's value. `request` is everything that makes it this request: operation, ids, body.
    ///
    /// # Errors
    /// A value that is empty, over 255 bytes, or not printable ASCII.
    pub fn new(op: &OpContext, value: &str, request: &impl Serialize) -> AppResult<Self> {
        if value.is_empty() || value.len() > 255 || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(AppError::bad(
                "Idempotency-Key: use 1 to 255 printable ASCII characters without blanks",
            ));
        }
        let json = serde_json::to_string(request).map_err(AppError::internal("idempotency"))?;
        Ok(Self {
            key: keys::idempotent(op.org, op.user, &sha256(value)),
            request_sha256: sha256(&json),
        })
    }
}

impl App {
    /// What the first request with this key made, if there was one.
    pub(crate) async fn made_before(&self, key: Option<&IdempotencyKey>) -> AppResult<Option<Made>> {
        let Some(key) = key.filter(|_| !seeded::is(Bug::NoIdempotency)) else {
            return Ok(None);
        };
        let Some(found) = self.find::<Idempotent>("idempotency", &key.key).await? else {
            return Ok(None);
        };
        if found.value.request_sha256 == key.request_sha256 {
            Ok(Some(found.value.made))
        } else {
            let message = "this Idempotency-Key was used for another request; send a new one";
            Err(AppError::refused(Code::Conflict, message))
        }
    }

    /// Remembers in the same transaction what a request makes.
    pub(crate) fn remember(
        &self,
        txn: Txn,
        operation: &'static str,
        key: Option<&IdempotencyKey>,
        made: impl FnOnce() -> Made,
    ) -> AppResult<Txn> {
        let Some(key) = key.filter(|_| !seeded::is(Bug::NoIdempotency)) else {
            return Ok(txn);
        };
        let record = Idempotent {
            request_sha256: key.request_sha256.clone(),
            made: made(),
            at: self.now(),
        };
        create(txn, operation, key.key.clone(), &record)
    }
}
