//! Silences: when nobody wants to be told of alerts.

use std::time::Duration;

use windflow_api::{Page, PageQuery, SilenceCreate, SilenceView};
use windflow_model::{OrgId, Silence, SilenceId, alert::Schedule};
use windflow_store::{Entry, Txn};

use super::{
    App, AppError, AppResult,
    db::{create, replace},
    idempotency::IdempotencyKey,
    keys,
    records::Made,
    stack::{page_of, same_version},
};
use crate::context::OpContext;

/// Longest note, in characters.
const NOTE: usize = 500;
/// Silences of an organisation.
const MOST: usize = 500;
/// A silence that is over is kept for so long.
const KEPT: Duration = Duration::from_secs(7 * 86_400);

impl App {
    /// Makes a silence.
    ///
    /// # Errors
    /// No note, times in the wrong order, a window that is none, a rule, group or host that does not exist, or too many.
    pub async fn silence_create(
        &self,
        op: &OpContext,
        request: SilenceCreate,
        key: Option<&IdempotencyKey>,
    ) -> AppResult<SilenceView> {
        const OP: &str = "silence_create";
        let request = self.silence_fits(op, request).await?;
        if self.keys_below(OP, &keys::silences(op.org)).await?.len() >= MOST {
            return Err(AppError::conflict(
                format!("there are {MOST} silences already"),
                "Delete some that are not needed any more.",
            ));
        }
        let id = self.new_silence_id()?;
        let made = self
            .retry(|| async {
                if let Some(Made::Silence(before)) = self.made_before(key).await? {
                    return Ok(before);
                }
                let now = self.now();
                let silence = Silence {
                    id,
                    note: request.note.clone(),
                    matcher: request.matcher.clone(),
                    schedule: request.schedule.clone(),
                    created_at: now,
                    updated_at: now,
                    updated_by: op.user,
                };
                let txn = create(Txn::new(), OP, keys::silence(op.org, id), &silence)?;
                let txn = self.remember(txn, OP, key, || Made::Silence(id))?;
                let txn = self.audited(txn, op, OP, id, silence.note.clone())?;
                self.commit(OP, txn).await?;
                Ok(id)
            })
            .await?;
        self.alerting_changed();
        self.silence_view(op, made).await
    }

    async fn silence_fits(&self, op: &OpContext, mut request: SilenceCreate) -> AppResult<SilenceCreate> {
        const OP: &str = "silence";
        request.note = request.note.trim().to_owned();
        let length = request.note.chars().count();
        if !(1..=NOTE).contains(&length) {
            return Err(AppError::bad(format!(
                "note: say in 1 to {NOTE} characters what it is for"
            )));
        }
        match &request.schedule {
            Schedule::Once { from, until } if until <= from => {
                return Err(AppError::bad("schedule.until: must come after schedule.from"));
            }
            Schedule::Once { until, .. } if *until <= self.now() => {
                return Err(AppError::bad("schedule.until: is over already"));
            }
            Schedule::Once { .. } => {}
            Schedule::Weekly(window) => window
                .check()
                .map_err(|error| AppError::bad(format!("schedule.{error}")))?,
        }
        if let Some(rule) = request.matcher.rule {
            self.need_rule(OP, op.org, rule).await?;
        }
        if let Some(targets) = &request.matcher.targets {
            self.meant(op, targets).await?;
        }
        Ok(request)
    }

    /// Silences in the order of their creation.
    ///
    /// # Errors
    /// A cursor that is not one of ours.
    pub async fn silence_list(&self, op: &OpContext, query: &PageQuery) -> AppResult<Page<SilenceView>> {
        let (after, limit) = page_of(query, |id: SilenceId| keys::silence(op.org, id))?;
        let page = self
            .page("silence_list", &keys::silences(op.org), after.as_ref(), limit)
            .await?;
        Ok(Page {
            items: page.entries.into_iter().map(|entry| self.shown(entry)).collect(),
            next_cursor: page.next.map(|key| key.last()),
        })
    }

    fn shown(&self, entry: Entry<Silence>) -> SilenceView {
        SilenceView {
            active_until: entry.value.until(self.now()),
            version: entry.version,
            silence: entry.value,
        }
    }

    async fn need_silence(&self, op: &'static str, org: OrgId, id: SilenceId) -> AppResult<Entry<Silence>> {
        let found = self.find(op, &keys::silence(org, id)).await?;
        found.ok_or_else(|| AppError::not_found(format!("silence {id}")))
    }

    /// One silence.
    ///
    /// # Errors
    /// There is no such silence.
    pub async fn silence_view(&self, op: &OpContext, id: SilenceId) -> AppResult<SilenceView> {
        Ok(self.shown(self.need_silence("silence_view", op.org, id).await?))
    }

    /// Saves a silence.
    ///
    /// # Errors
    /// No such silence, another version than `version`, or as [`App::silence_create`].
    pub async fn silence_update(
        &self,
        op: &OpContext,
        id: SilenceId,
        version: u64,
        request: SilenceCreate,
    ) -> AppResult<SilenceView> {
        const OP: &str = "silence_update";
        let was = self.need_silence(OP, op.org, id).await?;
        same_version("silence", Some(version), was.version)?;
        let request = self.silence_fits(op, request).await?;
        let silence = Silence {
            note: request.note,
            matcher: request.matcher,
            schedule: request.schedule,
            updated_at: self.now(),
            updated_by: op.user,
            ..was.value.clone()
        };
        let txn = replace(Txn::new(), OP, &was, &silence)?;
        let txn = self.audited(txn, op, OP, id, silence.note.clone())?;
        match self.commit(OP, txn).await {
            // Not tried again: the caller said which version it means.
            Err(error) if error.wants_fresh_read() => {
                let now = self.need_silence(OP, op.org, id).await?;
                if now.value != silence {
                    same_version("silence", Some(version), now.version)?;
                    return Err(error);
                }
            }
            result => drop(result?),
        }
        self.alerting_changed();
        self.silence_view(op, id).await
    }

    /// Deletes a silence: alerts that it covered and that still fire are told of.
    ///
    /// # Errors
    /// There is no such silence.
    pub async fn silence_delete(&self, op: &OpContext, id: SilenceId) -> AppResult<()> {
        const OP: &str = "silence_delete";
        self.retry(|| async {
            let was = self.need_silence(OP, op.org, id).await?;
            let txn = Txn::new()
                .expect(was.key.clone(), was.expect())
                .delete(was.key.clone());
            let txn = self.audited(txn, op, OP, id, was.value.note.clone())?;
            self.commit(OP, txn).await.map(drop)
        })
        .await?;
        self.alerting_changed();
        Ok(())
    }

    /// Removes silences that ended long ago.
    pub(crate) async fn silences_sweep(&self, org: OrgId) -> AppResult<()> {
        const OP: &str = "silences_sweep";
        let now = self.now();
        for entry in self.all::<Silence>(OP, &keys::silences(org)).await? {
            if let Schedule::Once { until, .. } = entry.value.schedule
                && now.since(until) >= KEPT
            {
                let txn = Txn::new().expect(entry.key.clone(), entry.expect());
                match self.commit(OP, txn.delete(entry.key.clone())).await {
                    Err(error) if error.wants_fresh_read() => {}
                    result => drop(result?),
                }
            }
        }
        Ok(())
    }
}
