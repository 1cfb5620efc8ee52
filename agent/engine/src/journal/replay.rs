//! Reading the journal after a start.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::Mutex;
use windflow_compose::collect::IntoMap as _;
use windflow_kit::{Clock, Random};
use windflow_model::StackName;
use windflow_store::{Prefix, Store, Txn};

use super::{
    Inner, Journal, JournalError, decode,
    outbox::{self, Outbox},
    record::StackRecord,
    root,
};
use crate::{order::Report, view::View};

impl Journal {
    /// Opens the journal: counts the start, makes the host's secret on the first one, reads records and outbox.
    pub(crate) async fn open(
        store: Arc<dyn Store>,
        view: Arc<View>,
        clock: Clock,
        random: &Random,
    ) -> Result<Self, JournalError> {
        let boot_key = root().push("boot");
        let boot = match store.get(&boot_key).await? {
            Some(record) => decode::<u64>(&boot_key, &record.value)?,
            None => 0,
        } + 1;
        let secret_key = root().push("secret");
        let mut txn = Txn::new().put(boot_key, boot.to_string());
        let secret = match store.get(&secret_key).await? {
            Some(record) => {
                let mut bytes = [0; 32];
                let stored = record.value.iter().copied().chain(std::iter::repeat(0));
                bytes.iter_mut().zip(stored).for_each(|(to, from)| *to = from);
                bytes
            }
            None => {
                let bytes = random.bytes::<32>()?;
                txn = txn.put(secret_key, bytes.to_vec());
                bytes
            }
        };
        store.txn(txn).await?;
        let journal = Self {
            store,
            view,
            clock,
            boot,
            secret,
            inner: Mutex::default(),
            ending: std::sync::Mutex::default(),
        };
        journal.reload().await?;
        journal.sweep_stale_steps().await?;
        Ok(journal)
    }

    /// Reads everything again.
    pub(super) async fn reload(&self) -> Result<(), JournalError> {
        let mut inner = self.inner.lock().await;
        let records: BTreeMap<_, StackRecord> = self.all("stack").await?;
        let stacks: BTreeMap<StackName, StackRecord> = records
            .into_values()
            .map(|record| (record.stack.clone(), record))
            .into_map();
        let reports: BTreeMap<_, Report> = self.all("outbox").await?;
        let last = match self.store.get(&outbox::last_key()).await? {
            Some(record) => decode(&outbox::last_key(), &record.value)?,
            None => 0,
        };
        let reports = reports
            .into_values()
            .map(|report| (report.seq, report))
            .into_map();
        *inner = Inner {
            stacks,
            outbox: Outbox::replay(reports, last),
        };
        self.mirror(&inner);
        Ok(())
    }

    async fn all<T: serde::de::DeserializeOwned>(
        &self,
        kind: &str,
    ) -> Result<BTreeMap<windflow_store::Key, T>, JournalError> {
        let prefix = Prefix::below(&root().push(kind));
        let (mut out, mut after) = (BTreeMap::new(), None);
        loop {
            let page = self.store.scan(&prefix, after.as_ref(), 500).await?;
            for (key, record) in page.records {
                let value = decode(&key, &record.value)?;
                out.insert(key, value);
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(out),
            }
        }
    }
}
