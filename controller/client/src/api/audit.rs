//! The audit trail.

use windflow_api::{AuditEntry, AuditQuery, AuditVerdict, Page};

use super::path;
use crate::{error::Result, http::Client};

calls! {
    /// Whether the whole trail is as it was written.
    audit_verify() -> AuditVerdict = get "/api/v1/audit-records/verdict";
}

impl Client {
    /// A page of the records that fit, newest first.
    ///
    /// # Errors
    /// [`crate::error::Error`] with the exit code of the refusal.
    pub async fn audit_page(&self, query: &AuditQuery) -> Result<Page<AuditEntry>> {
        let parts = [
            ("actor", query.actor.clone()),
            ("action", query.action.clone()),
            ("object", query.object.clone()),
            ("from", query.from.map(|at| at.to_string())),
            ("to", query.to.map(|at| at.to_string())),
            ("cursor", query.cursor.clone()),
            ("limit", query.limit.map(|limit| limit.to_string())),
        ];
        self.get(&path("/api/v1/audit-records", parts)).await
    }

    /// The newest `most` records that fit, from as many pages as that takes.
    ///
    /// # Errors
    /// [`crate::error::Error`] with the exit code of the refusal.
    pub async fn audit_list(&self, query: &AuditQuery, most: usize) -> Result<Vec<AuditEntry>> {
        let (mut entries, mut query) = (Vec::new(), query.clone());
        while entries.len() < most {
            let rest = u32::try_from(most - entries.len()).unwrap_or(u32::MAX);
            query.limit = Some(rest.min(windflow_api::PageQuery::MAX_LIMIT));
            let page = self.audit_page(&query).await?;
            entries.extend(page.items);
            query.cursor = page.next_cursor;
            if query.cursor.is_none() {
                break;
            }
        }
        entries.truncate(most);
        Ok(entries)
    }
}
