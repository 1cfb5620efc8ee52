//! Whether the trail is as it was written.
//!
//! Records are written and sealed while it is read, page by page. So each question is asked in an order in which the answer
//! cannot be spoilt by what comes in meanwhile: the head before the seals, the seals before the records, and a record that no
//! seal covers is looked for among the waiting ones before the seals that came since.

use std::collections::HashSet;

use windflow_api::{AuditHead, AuditProblem, AuditProblemKind, AuditVerdict};
use windflow_model::OrgId;
use windflow_store::{Entry, Key, StoreError};

use super::{
    super::{
        App, AppError, AppResult, keys,
        records::{AuditSeal, SealHead},
    },
    GENESIS,
};
use crate::context::OpContext;

const OP: &str = "audit_verify";
/// Problems that are told one by one.
const MAX_TOLD: usize = 500;

/// What is known so far.
#[derive(Default)]
struct Check {
    /// Newest seal that was read, and its hash.
    number: u64,
    hash: String,
    /// Records under the seals that were read.
    covered: HashSet<String>,
    sealed: u64,
    problems: Vec<AuditProblem>,
    more: u64,
}

impl Check {
    fn problem(&mut self, kind: AuditProblemKind, seal: Option<u64>, record: Option<&str>, message: String) {
        if self.problems.len() >= MAX_TOLD {
            self.more += 1;
            return;
        }
        self.problems.push(AuditProblem {
            kind,
            seal,
            record: record.map(str::to_owned),
            message,
            meaning: kind.meaning().to_owned(),
            remedy: kind.remedy().to_owned(),
        });
    }
}

impl App {
    /// Checks every seal and every record under one.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn audit_verify(&self, op: &OpContext) -> AppResult<AuditVerdict> {
        let org = op.org;
        // Each holds the ids of all records: one at a time.
        let _turn = self.0.verifying.lock().await;
        let mut check = Check {
            hash: GENESIS.to_owned(),
            ..Check::default()
        };
        let before = self.head(org).await?;
        let mut head_seen = before.is_none();
        self.seals(org, &mut check, before.as_ref(), &mut head_seen)
            .await?;
        let after = self.head(org).await?;
        let ahead = check.number > after.as_ref().map_or(0, |head| head.number);
        if !head_seen || ahead {
            let message = "the newest seal is not the one that was written last".to_owned();
            check.problem(AuditProblemKind::HeadWrong, None, None, message);
        }
        self.unsealed(org, &mut check).await?;
        let open = self.keys_below(OP, &keys::audits_open(org)).await?;
        for key in &open {
            let id = key.last();
            // Its record was there before it, and no record is ever removed.
            if self.stored(&keys::audit(org, &id)).await?.is_none() {
                let message = format!("record {id} waits for a seal and is missing");
                check.problem(AuditProblemKind::OpenMissing, None, Some(&id), message);
            }
        }
        Ok(AuditVerdict {
            sealed: check.sealed,
            open: u64::try_from(open.len()).unwrap_or(u64::MAX),
            head: (check.number > 0).then_some(AuditHead {
                number: check.number,
                hash: check.hash,
            }),
            problems: check.problems,
            more_problems: check.more,
        })
    }

    async fn head(&self, org: OrgId) -> AppResult<Option<SealHead>> {
        match self.find::<SealHead>(OP, &keys::audit_head(org)).await {
            Ok(found) => Ok(found.map(|found| found.value)),
            // One that says nothing is none of the seals.
            Err(AppError::Store {
                source: StoreError::Document { .. } | StoreError::Corrupt { .. },
                ..
            }) => Ok(Some(SealHead {
                number: 0,
                hash: String::new(),
            })),
            Err(error) => Err(error),
        }
    }

    /// Reads the seals behind the last one that was read, and the records under them.
    async fn seals(
        &self,
        org: OrgId,
        check: &mut Check,
        head: Option<&SealHead>,
        head_seen: &mut bool,
    ) -> AppResult<()> {
        let below = keys::audit_seals(org);
        let mut after = (check.number > 0).then(|| keys::audit_seal(org, check.number));
        loop {
            let page = self
                .store()
                .scan(&below, after.as_ref(), 100)
                .await
                .map_err(AppError::store(OP))?;
            for (key, record) in page.records {
                let place = key.last_u64().unwrap_or_default();
                if place != check.number + 1 {
                    let message = format!("seal {} is missing: the next one is {place}", check.number + 1);
                    check.problem(
                        AuditProblemKind::SealMissing,
                        Some(check.number + 1),
                        None,
                        message,
                    );
                }
                check.number = place;
                match Entry::<AuditSeal>::open(key, &record) {
                    Ok(entry) => self.seal(org, check, &entry.value).await?,
                    Err(_) => {
                        let message = format!("seal {place} cannot be read");
                        check.problem(AuditProblemKind::SealUnreadable, Some(place), None, message);
                        check.hash.clear();
                    }
                }
                *head_seen |= head.is_some_and(|head| head.number == place && head.hash == check.hash);
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    async fn seal(&self, org: OrgId, check: &mut Check, seal: &AuditSeal) -> AppResult<()> {
        let number = check.number;
        if seal.previous != check.hash || seal.number != number {
            let message =
                format!("seal {number} does not follow the one before it: one of the two was changed");
            check.problem(AuditProblemKind::SealDetached, Some(number), None, message);
        }
        check.hash = seal.hash();
        let hashes = seal
            .records
            .iter()
            .map(|(id, _)| async move { self.stored(&keys::audit(org, id)).await });
        let hashes = futures_util::future::try_join_all(hashes).await?;
        for ((id, hash), found) in seal.records.iter().zip(hashes) {
            check.sealed += 1;
            let (kind, what) = if !check.covered.insert(id.clone()) {
                (AuditProblemKind::RecordTwice, "is sealed twice")
            } else {
                match found {
                    Some(found) if found == *hash => continue,
                    Some(_) => (AuditProblemKind::RecordChanged, "was changed"),
                    None => (AuditProblemKind::RecordMissing, "is missing"),
                }
            };
            let message = format!("record {id} (seal {number}) {what}");
            check.problem(kind, Some(number), Some(id), message);
        }
        Ok(())
    }

    /// Looks for records under no seal.
    async fn unsealed(&self, org: OrgId, check: &mut Check) -> AppResult<()> {
        let below = keys::audits(org);
        let (mut after, mut loose): (Option<Key>, Vec<String>) = (None, Vec::new());
        loop {
            let page = self
                .store()
                .scan(&below, after.as_ref(), windflow_store::MAX_SCAN);
            let page = page.await.map_err(AppError::store(OP))?;
            let ids = page.records.iter().map(|(key, _)| key.last());
            loose.extend(ids.filter(|id| !check.covered.contains(id)));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let waiting = self.keys_below(OP, &keys::audits_open(org)).await?;
        let waiting: HashSet<String> = waiting.iter().map(Key::last).collect();
        loose.retain(|id| !waiting.contains(id));
        if loose.is_empty() {
            return Ok(());
        }
        // What waits no more was sealed meanwhile.
        self.seals(org, check, None, &mut false).await?;
        for id in loose {
            if !check.covered.contains(&id) {
                let message = format!("record {id} was put in without a seal");
                check.problem(AuditProblemKind::RecordUnsealed, None, Some(&id), message);
            }
        }
        Ok(())
    }

    /// Hash of what is stored; of something that is no whole record, one that nothing has.
    async fn stored(&self, key: &Key) -> AppResult<Option<String>> {
        match self.audit_hash(OP, key).await {
            Err(AppError::Store {
                source: StoreError::Corrupt { .. },
                ..
            }) => Ok(Some(String::new())),
            result => result,
        }
    }
}
