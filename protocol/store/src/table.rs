//! Documents on top of records: JSON with a schema number.
//!
//! A value is two bytes schema number (little-endian), then the JSON. The rules of [`Document`] hold: older schemas are
//! read, newer ones refused with the advice to update.

use std::{marker::PhantomData, sync::Arc};

use windflow_model::{DocError, Document};

use crate::{
    error::StoreError,
    key::{Key, Prefix},
    record::{Record, Version},
    store::SharedStore,
    txn::{Committed, Expect, Txn},
};

/// Typed reads and writes of one kind of document. Knows no keys: where a document lives is the caller's layout.
#[derive(Debug, Clone)]
pub struct Table<T> {
    store: SharedStore,
    kind: PhantomData<fn() -> T>,
}

/// A document and the commit that wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<T> {
    /// Where it lives.
    pub key: Key,
    /// The document.
    pub value: T,
    /// Commit that wrote it: expect it in the next write.
    pub version: Version,
}

/// A piece of a typed scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryPage<T> {
    /// The documents, by key.
    pub entries: Vec<Entry<T>>,
    /// Where to go on (`after`), if there may be more.
    pub next: Option<Key>,
}

impl<T: Document> Table<T> {
    /// The documents of kind `T` in `store`.
    #[must_use]
    pub const fn new(store: SharedStore) -> Self {
        Self {
            store,
            kind: PhantomData,
        }
    }

    /// One document.
    ///
    /// # Errors
    /// As [`crate::Store::get`], and [`StoreError::Document`].
    pub async fn get(&self, key: &Key) -> Result<Option<Entry<T>>, StoreError> {
        let record = self.store.get(key).await?;
        record.map(|record| Entry::open(key.clone(), &record)).transpose()
    }

    /// One page of documents below a prefix; see [`crate::Store::scan`].
    ///
    /// # Errors
    /// As [`crate::Store::scan`], and [`StoreError::Document`] for the first that cannot be read.
    pub async fn scan(
        &self,
        prefix: &Prefix,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<EntryPage<T>, StoreError> {
        let page = self.store.scan(prefix, after, limit).await?;
        let entries = page
            .records
            .into_iter()
            .map(|(key, record)| Entry::open(key, &record));
        Ok(EntryPage {
            entries: entries.collect::<Result<_, _>>()?,
            next: page.next,
        })
    }

    /// All documents below a prefix, page by page. Only for kinds whose number is known to be small.
    ///
    /// # Errors
    /// As [`Table::scan`].
    pub async fn all(&self, prefix: &Prefix) -> Result<Vec<Entry<T>>, StoreError> {
        let (mut entries, mut after) = (Vec::new(), None);
        loop {
            let page = self.scan(prefix, after.as_ref(), crate::MAX_SCAN).await?;
            entries.extend(page.entries);
            after = page.next;
            if after.is_none() {
                return Ok(entries);
            }
        }
    }

    /// Writes one document in a transaction of its own. For several at once: [`Txn::put_doc`].
    ///
    /// # Errors
    /// As [`crate::Store::txn`], and [`StoreError::Document`].
    pub async fn put(&self, key: Key, expect: Expect, value: &T) -> Result<Committed, StoreError> {
        self.store
            .txn(Txn::new().expect(key.clone(), expect).put_doc(key, value)?)
            .await
    }
}

impl<T: Document> Entry<T> {
    /// Opens the document in a record.
    ///
    /// # Errors
    /// [`StoreError::Document`]: of a newer schema, or not of this kind.
    pub fn open(key: Key, record: &Record) -> Result<Self, StoreError> {
        match open(&record.value) {
            Ok(value) => Ok(Self {
                key,
                value,
                version: record.version,
            }),
            Err(source) => Err(StoreError::Document {
                key,
                source: Arc::new(source),
            }),
        }
    }

    /// That the document is still as read, for a transaction.
    #[must_use]
    pub const fn expect(&self) -> Expect {
        Expect::Version(self.version)
    }
}

impl Txn {
    /// Writes a document.
    ///
    /// # Errors
    /// [`StoreError::Document`] if it has no JSON form.
    pub fn put_doc<T: Document>(self, key: Key, value: &T) -> Result<Self, StoreError> {
        let mut bytes = T::SCHEMA.to_le_bytes().to_vec();
        match serde_json::to_writer(&mut bytes, value) {
            Ok(()) => Ok(self.put(key, bytes)),
            Err(source) => {
                let source = Arc::new(DocError::Write {
                    name: T::NAME,
                    source,
                });
                Err(StoreError::Document { key, source })
            }
        }
    }
}

fn open<T: Document>(bytes: &[u8]) -> Result<T, DocError> {
    let (schema, json) = bytes.split_first_chunk::<2>().unwrap_or((&[0; 2], &[]));
    let schema = u16::from_le_bytes(*schema);
    if schema > T::SCHEMA {
        return Err(DocError::Newer {
            name: T::NAME,
            found: schema,
            known: T::SCHEMA,
        });
    }
    serde_json::from_slice(json).map_err(|source| DocError::Read {
        name: T::NAME,
        schema,
        source,
    })
}
