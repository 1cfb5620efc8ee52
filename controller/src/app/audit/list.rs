//! The trail, as people read it.

use windflow_api::{AuditEntry, AuditMove, AuditQuery, Page};
use windflow_model::{OrgId, Timestamp};
use windflow_store::{Entry, Key, Record};

use super::super::{
    App, AppError, AppResult, keys,
    records::AuditRecord,
    stack::{bad_cursor, limit_of},
};
use crate::context::OpContext;

/// Records looked at for one page when a filter fits rarely.
const LOOKED_AT: usize = 5_000;
/// Records read at once, at least: a small page with a filter that fits rarely is not read one by one.
const READ: usize = 200;
/// Longest text of a filter.
const MAX_TEXT: usize = 200;

impl App {
    /// Audit records, newest first.
    ///
    /// # Errors
    /// A cursor that is not one of ours, a limit or a filter out of range.
    pub async fn audit_list(&self, op: &OpContext, query: &AuditQuery) -> AppResult<Page<AuditEntry>> {
        const OP: &str = "audit_list";
        let limit = limit_of(query.limit)?;
        sound(query)?;
        let below = keys::audits(op.org);
        let mut before = before(op.org, query)?;
        let (mut items, mut looked_at) = (Vec::new(), 0);
        loop {
            let page = self
                .store()
                .scan_back(&below, before.as_ref(), limit.max(READ))
                .await
                .map_err(AppError::store(OP))?;
            for (key, record) in page.records {
                looked_at += 1;
                let entry = entry(&key, &record);
                if time_of(&entry.id).is_some_and(|at| query.from.is_some_and(|from| at < from)) {
                    return Ok(Page::whole(items));
                }
                let id = entry.id.clone();
                items.extend(Some(entry).filter(|entry| fits(entry, query)));
                if items.len() >= limit || looked_at >= LOOKED_AT {
                    return Ok(Page {
                        items,
                        next_cursor: Some(id),
                    });
                }
            }
            before = page.next;
            if before.is_none() {
                return Ok(Page::whole(items));
            }
        }
    }
}

fn sound(query: &AuditQuery) -> AppResult<()> {
    let texts = [
        ("actor", &query.actor),
        ("action", &query.action),
        ("object", &query.object),
    ];
    for (name, text) in texts {
        let text = text.as_deref();
        if text.is_some_and(|text| text.trim().is_empty() || text.chars().count() > MAX_TEXT) {
            return Err(AppError::bad(format!(
                "{name}: use 1 to {MAX_TEXT} characters, or leave it out"
            )));
        }
    }
    if let (Some(from), Some(to)) = (query.from, query.to)
        && from >= to
    {
        return Err(AppError::bad(format!(
            "from: {from} is not before to, which is {to}"
        )));
    }
    Ok(())
}

/// Where to begin: ids sort by time, so that a time is a place among them.
fn before(org: OrgId, query: &AuditQuery) -> AppResult<Option<Key>> {
    let cursor = query.cursor.as_deref();
    // Not only 32 hex digits: whatever was put in from outside must not end the list.
    let ours =
        |text: &str| (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !cursor.is_none_or(ours) {
        return Err(bad_cursor());
    }
    let cursor = cursor.map(|cursor| keys::audit(org, cursor));
    let to = query.to.map(|to| {
        let millis = u64::try_from(to.as_millis()).unwrap_or(0);
        keys::audit(org, &format!("{millis:012x}"))
    });
    Ok(match (cursor, to) {
        (Some(cursor), Some(to)) => Some(cursor.min(to)),
        (cursor, to) => cursor.or(to),
    })
}

fn fits(entry: &AuditEntry, query: &AuditQuery) -> bool {
    // Nobody knows whose it was: it is shown whatever is looked for.
    if entry.unreadable {
        return true;
    }
    let by = |actor: &str| entry.user_name.eq_ignore_ascii_case(actor) || entry.user.to_string() == actor;
    let done = |action: &str| {
        let rest = entry.action.strip_prefix(action);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    };
    let about = |object: &str| {
        entry.object == object || entry.moves.iter().any(|one| one.deployment.to_string() == object)
    };
    query.actor.as_deref().map(str::trim).is_none_or(by)
        && query.action.as_deref().map(str::trim).is_none_or(done)
        && query.object.as_deref().map(str::trim).is_none_or(about)
}

fn entry(key: &Key, record: &Record) -> AuditEntry {
    let id = key.last();
    match Entry::<AuditRecord>::open(key.clone(), record) {
        Ok(found) => {
            let found = found.value;
            let moves = found.transitions.into_iter().map(|one| AuditMove {
                deployment: one.deployment,
                from: one.from,
                to: one.to,
            });
            AuditEntry {
                id,
                at: found.at,
                user: found.user,
                user_name: found.user_name,
                action: found.action,
                object: found.object,
                detail: found.detail,
                request: found.request,
                remote: found.remote,
                moves: moves.collect(),
                unreadable: false,
            }
        }
        // One that was tampered with must not hide all others.
        Err(_) => AuditEntry {
            at: time_of(&id).unwrap_or_default(),
            id,
            user: OpContext::SYSTEM,
            user_name: String::new(),
            action: String::new(),
            object: String::new(),
            detail: String::new(),
            request: String::new(),
            remote: String::new(),
            moves: Vec::new(),
            unreadable: true,
        },
    }
}

/// The first 48 bits of an id are its time.
fn time_of(id: &str) -> Option<Timestamp> {
    let millis = i64::from_str_radix(id.get(..12)?, 16).ok()?;
    Some(Timestamp::from_millis(millis))
}
