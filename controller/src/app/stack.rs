//! Stacks: what shall run, before it is deployed.

use windflow_api::{Page, PageQuery, StackView, Validation};
use windflow_model::{FleetEventKind, Rev, Revision, Stack, StackId, StackName, StackSpec};
use windflow_store::{Entry, Key, Txn};

use super::{
    App, AppError, AppResult, compose,
    db::{create, hold, replace},
    idempotency::IdempotencyKey,
    keys,
    records::{Fanout, Made, NameHolder, Placement},
};
use crate::context::OpContext;

impl App {
    /// Checks files without saving them.
    ///
    /// # Errors
    /// Only if the check itself cannot be done.
    pub async fn stack_validate(&self, name: Option<StackName>, spec: StackSpec) -> AppResult<Validation> {
        compose::validate(name, spec).await
    }

    /// Makes a stack.
    ///
    /// # Errors
    /// A name that is taken, or files that cannot be deployed.
    pub async fn stack_create(
        &self,
        op: &OpContext,
        name: StackName,
        spec: StackSpec,
        key: Option<&IdempotencyKey>,
    ) -> AppResult<StackView> {
        const OP: &str = "stack_create";
        compose::require(&name, &spec).await?;
        let id = self.new_stack_id()?;
        let made = self
            .retry(|| self.stack_create_once(op, id, &name, &spec, key))
            .await?;
        if made == id {
            self.publish(FleetEventKind::StackChanged { stack: id });
        }
        Ok(view(self.need_stack(OP, op.org, made).await?))
    }

    async fn stack_create_once(
        &self,
        op: &OpContext,
        id: StackId,
        name: &StackName,
        spec: &StackSpec,
        key: Option<&IdempotencyKey>,
    ) -> AppResult<StackId> {
        const OP: &str = "stack_create";
        if let Some(Made::Stack(before)) = self.made_before(key).await? {
            return Ok(before);
        }
        let held = self
            .find::<NameHolder>(OP, &keys::stack_name(op.org, name))
            .await?;
        match held {
            // A commit whose answer was lost.
            Some(held) if held.value.id == id.to_string() => return Ok(id),
            Some(held) => {
                return Err(AppError::conflict(
                    format!("the name \"{name}\" is taken by stack {}", held.value.id),
                    "Choose another name, or change that stack.",
                ));
            }
            None => {}
        }
        let now = self.now();
        let stack = Stack {
            id,
            name: name.clone(),
            digest: spec.digest(),
            spec: spec.clone(),
            latest_rev: Rev::ZERO,
            created_at: now,
            updated_at: now,
            updated_by: op.user,
        };
        let txn = create(Txn::new(), OP, keys::stack(op.org, id), &stack)?;
        let txn = hold(txn, OP, keys::stack_name(op.org, name), id)?;
        let txn = self.remember(txn, OP, key, || Made::Stack(id))?;
        let txn = self.audited(txn, op, OP, id, format!("stack {name}, spec {}", stack.digest))?;
        self.commit(OP, txn).await?;
        Ok(id)
    }

    /// Stacks in the order of their creation.
    ///
    /// # Errors
    /// A cursor that is not one of ours.
    pub async fn stack_list(&self, op: &OpContext, query: &PageQuery) -> AppResult<Page<StackView>> {
        let (after, limit) = page_of(query, |id: StackId| keys::stack(op.org, id))?;
        let page = self
            .page("stack_list", &keys::stacks(op.org), after.as_ref(), limit)
            .await?;
        Ok(Page {
            items: page.entries.into_iter().map(view).collect(),
            next_cursor: page.next.map(|key| key.last()),
        })
    }

    /// One stack.
    ///
    /// # Errors
    /// There is no such stack.
    pub async fn stack_view(&self, op: &OpContext, id: StackId) -> AppResult<StackView> {
        Ok(view(self.need_stack("stack_view", op.org, id).await?))
    }

    /// Saves a spec. Nothing is deployed.
    ///
    /// # Errors
    /// No such stack, another version than `version`, or files that cannot be deployed.
    pub async fn stack_update(
        &self,
        op: &OpContext,
        id: StackId,
        version: u64,
        spec: StackSpec,
    ) -> AppResult<StackView> {
        const OP: &str = "stack_update";
        let was = self.need_stack(OP, op.org, id).await?;
        same_version("stack", Some(version), was.version)?;
        compose::require(&was.value.name, &spec).await?;
        let stack = Stack {
            digest: spec.digest(),
            spec,
            updated_at: self.now(),
            updated_by: op.user,
            ..was.value.clone()
        };
        let txn = replace(Txn::new(), OP, &was, &stack)?;
        let txn = self.audited(
            txn,
            op,
            OP,
            id,
            format!("stack {}, spec {}", stack.name, stack.digest),
        )?;
        match self.commit(OP, txn).await {
            // Not tried again: the caller said which version it means.
            Err(error) if error.wants_fresh_read() => {
                let now = self.need_stack(OP, op.org, id).await?;
                if now.value != stack {
                    same_version("stack", Some(version), now.version)?;
                    return Err(error);
                }
            }
            result => drop(result?),
        }
        self.publish(FleetEventKind::StackChanged { stack: id });
        self.stack_view(op, id).await
    }

    /// Deletes a stack that no host has any more. Its deployments stay as history.
    ///
    /// # Errors
    /// No such stack, or hosts that still have it.
    pub async fn stack_delete(&self, op: &OpContext, id: StackId) -> AppResult<()> {
        const OP: &str = "stack_delete";
        self.retry(|| async {
            let was = self.need_stack(OP, op.org, id).await?;
            // Read before the placements, which a fan-out makes before it takes its list away.
            let lists = self.all::<Fanout>(OP, &keys::fanouts(op.org)).await?;
            if lists.iter().any(|list| list.value.stack == id) {
                return Err(AppError::conflict(
                    format!("stack \"{}\" is still being queued for its hosts", was.value.name),
                    "Wait a moment, remove it from the hosts, then delete it.",
                ));
            }
            let places = self.all::<Placement>(OP, &keys::placements(op.org, id)).await?;
            let held = places.iter().filter(|place| !place.value.gone).count();
            if held > 0 {
                return Err(AppError::conflict(
                    format!(
                        "stack \"{}\" is still on {held} host{}",
                        was.value.name,
                        if held == 1 { "" } else { "s" }
                    ),
                    "Remove it there first, wait until that is done, then delete it.",
                ));
            }
            let hold = keys::rollout_of(op.org, id);
            if let Some(rollout) = self.find::<NameHolder>(OP, &hold).await? {
                return Err(AppError::conflict(
                    format!(
                        "rollout {} of stack \"{}\" is not over yet",
                        rollout.value.id, was.value.name
                    ),
                    "Wait until it is over, or cancel it (`windflow rollout cancel`).",
                ));
            }
            // Deploying writes the stack's record before its list is made, so none can slip in between.
            let txn = Txn::new()
                .expect(hold, windflow_store::Expect::Absent)
                .expect(was.key.clone(), was.expect())
                .delete(was.key.clone());
            let txn = txn.delete(keys::stack_name(op.org, &was.value.name));
            let txn = self.audited(txn, op, OP, id, format!("stack {}", was.value.name))?;
            self.commit(OP, txn).await.map(drop)
        })
        .await?;
        self.publish(FleetEventKind::StackDeleted { stack: id });
        self.stack_clean(op, id).await
    }

    /// Removes what a deleted stack leaves behind. What a crash leaves over is harmless: nothing leads to it.
    async fn stack_clean(&self, op: &OpContext, id: StackId) -> AppResult<()> {
        const OP: &str = "stack_clean";
        let mut keys = self.keys_below(OP, &keys::placements(op.org, id)).await?;
        keys.extend(self.keys_below(OP, &keys::revisions(op.org, id)).await?);
        for chunk in keys.chunks(windflow_store::MAX_OPS) {
            let txn = chunk.iter().cloned().fold(Txn::new(), Txn::delete);
            self.commit(OP, txn).await?;
        }
        Ok(())
    }

    /// Revisions of a stack, oldest first.
    ///
    /// # Errors
    /// There is no such stack.
    pub async fn revision_list(
        &self,
        op: &OpContext,
        id: StackId,
        query: &PageQuery,
    ) -> AppResult<Page<Revision>> {
        const OP: &str = "revision_list";
        self.need_stack(OP, op.org, id).await?;
        let after = match &query.cursor {
            None => None,
            Some(cursor) => {
                let rev = cursor.parse().map_err(|_| bad_cursor())?;
                Some(keys::revision(op.org, id, Rev(rev)))
            }
        };
        let prefix = keys::revisions(op.org, id);
        let page = self
            .page::<Revision>(OP, &prefix, after.as_ref(), limit_of(query.limit)?)
            .await?;
        Ok(Page {
            items: page.entries.into_iter().map(|entry| entry.value).collect(),
            next_cursor: page
                .next
                .and_then(|key| key.last_u64())
                .map(|rev| rev.to_string()),
        })
    }

    /// One revision.
    ///
    /// # Errors
    /// There is no such revision.
    pub async fn revision_view(&self, op: &OpContext, id: StackId, rev: Rev) -> AppResult<Revision> {
        Ok(self.need_revision("revision_view", op.org, id, rev).await?.value)
    }
}

pub(crate) fn view(entry: Entry<Stack>) -> StackView {
    StackView {
        version: entry.version,
        stack: entry.value,
    }
}

/// Where a page begins and how long it is. The cursor is the last id of the page before.
pub(crate) fn page_of<I: std::str::FromStr>(
    query: &PageQuery,
    key: impl FnOnce(I) -> Key,
) -> AppResult<(Option<Key>, usize)> {
    let after = match &query.cursor {
        None => None,
        Some(cursor) => Some(key(cursor.parse().map_err(|_| bad_cursor())?)),
    };
    Ok((after, limit_of(query.limit)?))
}

pub(crate) fn limit_of(limit: Option<u32>) -> AppResult<usize> {
    let limit = limit.unwrap_or(PageQuery::DEFAULT_LIMIT);
    if (1..=PageQuery::MAX_LIMIT).contains(&limit) {
        Ok(usize::try_from(limit).unwrap_or(1))
    } else {
        Err(AppError::bad(format!(
            "limit: use 1 to {}, not {limit}",
            PageQuery::MAX_LIMIT
        )))
    }
}

pub(crate) fn bad_cursor() -> AppError {
    AppError::bad("cursor: use the next_cursor of the page before")
}

/// Whether the caller changes what it believes to change.
pub(crate) fn same_version(what: &str, wanted: Option<u64>, found: u64) -> AppResult<()> {
    match wanted {
        Some(wanted) if wanted != found => Err(AppError::stale(format!(
            "the {what} has changed since it was read: it has version {found}, If-Match says {wanted}"
        ))),
        _ => Ok(()),
    }
}
