//! The audit trail.

use axum::{Json, extract::State};
use windflow_api::{AuditEntry, AuditQuery, AuditVerdict, Page};

use super::{
    error::Answer,
    extract::{Caller, Params},
};
use crate::app::App;

/// Audit records, newest first.
#[utoipa::path(get, path = "/api/v1/audit-records", operation_id = "audit_list", tag = "audit",
    params(AuditQuery), responses((status = 200, body = Page<AuditEntry>)))]
pub(super) async fn audit_list(
    State(app): State<App>,
    Caller(op): Caller,
    Params(query): Params<AuditQuery>,
) -> Answer<Page<AuditEntry>> {
    Ok(Json(app.audit_list(&op, &query).await?))
}

/// Checks the chain over all audit records. One check runs at a time; it reads every record.
#[utoipa::path(get, path = "/api/v1/audit-records/verdict", operation_id = "audit_verify", tag = "audit",
    responses((status = 200, body = AuditVerdict)))]
pub(super) async fn audit_verify(State(app): State<App>, Caller(op): Caller) -> Answer<AuditVerdict> {
    Ok(Json(app.audit_verify(&op).await?))
}
