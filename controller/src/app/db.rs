//! Typed reads, transactions, and the retry on a lost race.

use std::{future::Future, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use windflow_kit::{
    BackoffOptions,
    seeded::{self, Bug},
};
use windflow_model::{
    AgentId, AgentRecord, AlertId, ChannelId, Deployment, DeploymentId, Document, Group, GroupId, OpId,
    OrgId, Revision, Rollout, RolloutId, RuleId, SessionId, SilenceId, Stack, StackId, TokenId, UserId,
};
use windflow_store::{Committed, Entry, EntryPage, Key, Prefix, Table, Txn};

use super::{
    App, AppError, AppResult, keys,
    records::{Epoch, NameHolder},
};

/// Reads of one operation under way at once.
const READS: usize = 64;
/// Rounds of a compare-and-swap before giving up: each lost round means that somebody else got on.
const ROUNDS: u32 = 32;

impl App {
    pub(crate) fn table<T: Document>(&self) -> Table<T> {
        Table::new(self.0.store.clone())
    }

    pub(crate) async fn find<T: Document>(
        &self,
        operation: &'static str,
        key: &Key,
    ) -> AppResult<Option<Entry<T>>> {
        self.table().get(key).await.map_err(AppError::store(operation))
    }

    /// Several at once, in the order of the keys: the store answers them from one snapshot, where one after the other each
    /// would wait for its own.
    pub(crate) async fn find_each<T: Document>(
        &self,
        operation: &'static str,
        keys: Vec<Key>,
    ) -> AppResult<Vec<Option<Entry<T>>>> {
        let reads = keys
            .into_iter()
            .map(|key| async move { self.find(operation, &key).await });
        stream::iter(reads).buffered(READS).try_collect().await
    }

    pub(crate) async fn all<T: Document>(
        &self,
        operation: &'static str,
        prefix: &Prefix,
    ) -> AppResult<Vec<Entry<T>>> {
        self.table().all(prefix).await.map_err(AppError::store(operation))
    }

    pub(crate) async fn page<T: Document>(
        &self,
        operation: &'static str,
        prefix: &Prefix,
        after: Option<&Key>,
        limit: usize,
    ) -> AppResult<EntryPage<T>> {
        let page = self.table().scan(prefix, after, limit).await;
        page.map_err(AppError::store(operation))
    }

    /// All keys below a prefix, for indexes whose values are empty.
    pub(crate) async fn keys_below(&self, operation: &'static str, prefix: &Prefix) -> AppResult<Vec<Key>> {
        let (mut keys, mut after) = (Vec::new(), None);
        loop {
            let page = self
                .0
                .store
                .scan(prefix, after.as_ref(), windflow_store::MAX_SCAN)
                .await;
            let page = page.map_err(AppError::store(operation))?;
            keys.extend(page.records.into_iter().map(|(key, _)| key));
            after = page.next;
            if after.is_none() {
                return Ok(keys);
            }
        }
    }

    pub(crate) async fn commit(&self, operation: &'static str, txn: Txn) -> AppResult<Committed> {
        self.0.store.txn(txn).await.map_err(AppError::store(operation))
    }

    /// Runs `round` until it is not beaten by somebody else. Each round must read anew.
    pub(crate) async fn retry<T, F, Fut>(&self, round: F) -> AppResult<T>
    where
        F: Fn() -> Fut + Send,
        Fut: Future<Output = AppResult<T>> + Send,
    {
        let delays = BackoffOptions::between(Duration::from_millis(1), Duration::from_millis(50));
        let mut delays = delays.build(self.0.random.clone());
        for _ in 1..ROUNDS {
            match round().await {
                Err(error) if error.wants_fresh_read() => tokio::time::sleep(delays.next_delay()).await,
                result => return result,
            }
        }
        round().await
    }

    pub(crate) async fn need_stack(
        &self,
        op: &'static str,
        org: OrgId,
        id: StackId,
    ) -> AppResult<Entry<Stack>> {
        let found = self.find(op, &keys::stack(org, id)).await?;
        found.ok_or_else(|| AppError::not_found(format!("stack {id}")))
    }

    pub(crate) async fn need_revision(
        &self,
        op: &'static str,
        org: OrgId,
        stack: StackId,
        rev: windflow_model::Rev,
    ) -> AppResult<Entry<Revision>> {
        let found = self.find(op, &keys::revision(org, stack, rev)).await?;
        found.ok_or_else(|| AppError::not_found(format!("revision {rev} of stack {stack}")))
    }

    pub(crate) async fn need_agent(
        &self,
        op: &'static str,
        org: OrgId,
        id: AgentId,
    ) -> AppResult<Entry<AgentRecord>> {
        let found = self.find(op, &keys::agent(org, id)).await?;
        found.ok_or_else(|| AppError::not_found(format!("host {id}")))
    }

    pub(crate) async fn need_deployment(
        &self,
        op: &'static str,
        org: OrgId,
        id: DeploymentId,
    ) -> AppResult<Entry<Deployment>> {
        let found = self.find(op, &keys::deployment(org, id)).await?;
        found.ok_or_else(|| AppError::not_found(format!("deployment {id}")))
    }

    pub(crate) async fn need_rollout(
        &self,
        op: &'static str,
        org: OrgId,
        id: RolloutId,
    ) -> AppResult<Entry<Rollout>> {
        let found = self.find(op, &keys::rollout(org, id)).await?;
        found.ok_or_else(|| AppError::not_found(format!("rollout {id}")))
    }

    pub(crate) async fn need_group(
        &self,
        op: &'static str,
        org: OrgId,
        id: GroupId,
    ) -> AppResult<Entry<Group>> {
        let found = self.find(op, &keys::group(org, id)).await?;
        found.ok_or_else(|| AppError::not_found(format!("group {id}")))
    }

    pub(crate) fn uuid(&self) -> AppResult<uuid::Uuid> {
        Ok(self.0.random.uuid_v7(&self.0.clock)?)
    }

    pub(crate) fn new_stack_id(&self) -> AppResult<StackId> {
        self.uuid().map(StackId::from_uuid)
    }

    pub(crate) fn new_deployment_id(&self) -> AppResult<DeploymentId> {
        self.uuid().map(DeploymentId::from_uuid)
    }

    pub(crate) fn new_rollout_id(&self) -> AppResult<RolloutId> {
        self.uuid().map(RolloutId::from_uuid)
    }

    pub(crate) fn new_group_id(&self) -> AppResult<GroupId> {
        self.uuid().map(GroupId::from_uuid)
    }

    pub(crate) fn new_rule_id(&self) -> AppResult<RuleId> {
        self.uuid().map(RuleId::from_uuid)
    }

    pub(crate) fn new_alert_id(&self) -> AppResult<AlertId> {
        self.uuid().map(AlertId::from_uuid)
    }

    pub(crate) fn new_silence_id(&self) -> AppResult<SilenceId> {
        self.uuid().map(SilenceId::from_uuid)
    }

    pub(crate) fn new_channel_id(&self) -> AppResult<ChannelId> {
        self.uuid().map(ChannelId::from_uuid)
    }

    pub(crate) fn new_op_id(&self) -> AppResult<OpId> {
        self.uuid().map(OpId::from_uuid)
    }

    pub(crate) fn new_agent_id(&self) -> AppResult<AgentId> {
        self.uuid().map(AgentId::from_uuid)
    }

    pub(crate) fn new_token_id(&self) -> AppResult<TokenId> {
        self.uuid().map(TokenId::from_uuid)
    }

    pub(crate) fn new_user_id(&self) -> AppResult<UserId> {
        self.uuid().map(UserId::from_uuid)
    }

    pub(crate) fn new_session_id(&self) -> AppResult<SessionId> {
        self.uuid().map(SessionId::from_uuid)
    }
}

/// Writes a document in a transaction.
pub(crate) fn put<T: Document>(txn: Txn, operation: &'static str, key: Key, value: &T) -> AppResult<Txn> {
    txn.put_doc(key, value).map_err(AppError::store(operation))
}

/// Writes a document over the one that was read.
pub(crate) fn replace<T: Document>(
    txn: Txn,
    operation: &'static str,
    was: &Entry<T>,
    value: &T,
) -> AppResult<Txn> {
    let txn = txn.expect(was.key.clone(), was.expect());
    put(txn, operation, was.key.clone(), value)
}

/// Writes a document that must not be there yet.
pub(crate) fn create<T: Document>(txn: Txn, operation: &'static str, key: Key, value: &T) -> AppResult<Txn> {
    let txn = txn.expect(key.clone(), windflow_store::Expect::Absent);
    put(txn, operation, key, value)
}

/// Takes a unique name.
pub(crate) fn hold(txn: Txn, operation: &'static str, key: Key, id: impl ToString) -> AppResult<Txn> {
    create(txn, operation, key, &NameHolder { id: id.to_string() })
}

/// Raises the number of this controller's start; durable when it returns. It is the time of the start, in milliseconds
/// since 1970, or one more than the last one if the clock was set back: of two controllers made from one copy of the data
/// the numbers differ, so that a host that has seen the later one refuses the other.
///
/// # Errors
/// If the store cannot be read or written.
pub async fn raise_epoch(store: &windflow_store::SharedStore) -> Result<u64, windflow_store::StoreError> {
    let table = Table::<Epoch>::new(store.clone());
    let was = table.get(&keys::epoch()).await?;
    let now = u64::try_from(store.clock().now_ms()).unwrap_or(0);
    let last = was.as_ref().map_or(0, |entry| entry.value.epoch);
    let epoch = if seeded::is(Bug::EpochReused) {
        last.max(1)
    } else {
        now.max(last + 1)
    };
    let expect = was.map_or(windflow_store::Expect::Absent, |entry| entry.expect());
    table.put(keys::epoch(), expect, &Epoch { epoch }).await?;
    Ok(epoch)
}
