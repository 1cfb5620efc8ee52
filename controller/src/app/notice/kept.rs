//! Notifications that are kept: listed, and removed when they are old.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use windflow_api::{NoticeQuery, NoticeView, Page};
use windflow_model::{ChannelId, NoticeId, OrgId, alert::Notice};
use windflow_store::{Entry, Key, Txn};

use super::super::{
    App, AppError, AppResult, keys,
    records::ChannelRecord,
    stack::{bad_cursor, limit_of},
};
use crate::context::OpContext;

/// Notifications that are kept, the newest.
const KEPT: usize = 1_000;
/// How long they are kept.
const KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 3_600);

impl App {
    /// Removes what is old, and what is more than is kept. What is still to be sent stays.
    pub(crate) async fn notices_sweep(&self) -> AppResult<usize> {
        const OP: &str = "notices_sweep";
        let org = OpContext::system("").org;
        let open = self.keys_below(OP, &keys::notices_open(org)).await?;
        let open: HashSet<String> = open.iter().map(Key::last).collect();
        let ids = self.keys_below(OP, &keys::notices(org)).await?;
        let now = self.now();
        let old = ids
            .iter()
            .filter_map(keys::notice_of)
            .enumerate()
            .filter(|(place, id)| {
                let age = id.made_at().map_or(Duration::ZERO, |at| now.since(at));
                (*place >= KEPT || age > KEPT_FOR) && !open.contains(&id.to_string())
            });
        let old: Vec<NoticeId> = old.map(|(_, id)| id).collect();
        let keys = old.iter().map(|id| keys::notice(org, *id)).collect();
        let found = self.find_each::<Notice>(OP, keys).await?;
        let mut txn = Txn::new();
        for entry in found.into_iter().flatten() {
            let id = entry.value.notification.id;
            txn = txn
                .delete(entry.key)
                .delete(keys::channel_notice(org, entry.value.channel, id));
            if txn.ops().len() + 2 > windflow_store::MAX_OPS {
                self.commit(OP, std::mem::take(&mut txn)).await?;
            }
        }
        if !txn.ops().is_empty() {
            self.commit(OP, txn).await?;
        }
        Ok(old.len())
    }

    /// Notifications, the newest first.
    ///
    /// # Errors
    /// A cursor that is not one of ours.
    pub async fn notice_list(&self, op: &OpContext, query: &NoticeQuery) -> AppResult<Page<NoticeView>> {
        const OP: &str = "notice_list";
        let limit = limit_of(query.limit)?;
        let cursor: Option<NoticeId> = match &query.cursor {
            Some(cursor) => Some(cursor.parse().map_err(|_| bad_cursor())?),
            None => None,
        };
        let (prefix, after) = match query.channel {
            Some(channel) => (
                keys::channel_notices(op.org, channel),
                cursor.map(|id| keys::channel_notice(op.org, channel, id)),
            ),
            None => (keys::notices(op.org), cursor.map(|id| keys::notice(op.org, id))),
        };
        let page = self.store().scan(&prefix, after.as_ref(), limit).await;
        let page = page.map_err(AppError::store(OP))?;
        let ids = page.records.iter().filter_map(|(key, _)| keys::notice_of(key));
        let found = ids.map(|id| keys::notice(op.org, id)).collect();
        let found = self.find_each::<Notice>(OP, found).await?;
        let channels = self
            .all::<ChannelRecord>(OP, &keys::channels(op.org))
            .await?
            .into_iter()
            .map(|entry| (entry.value.id, entry.value.name))
            .collect::<HashMap<_, _>>();
        let view = |entry: Entry<Notice>| NoticeView {
            channel_name: channels.get(&entry.value.channel).cloned().unwrap_or_default(),
            notice: entry.value,
        };
        let next = page.next.as_ref().and_then(keys::notice_of);
        Ok(Page {
            items: found.into_iter().flatten().map(view).collect(),
            next_cursor: next.map(|id| id.to_string()),
        })
    }

    /// The last notification of a channel.
    pub(in super::super) async fn notice_last(
        &self,
        org: OrgId,
        channel: ChannelId,
    ) -> AppResult<Option<Notice>> {
        const OP: &str = "notice_last";
        let page = self
            .store()
            .scan(&keys::channel_notices(org, channel), None, 1)
            .await;
        let page = page.map_err(AppError::store(OP))?;
        let Some(id) = page.records.first().and_then(|(key, _)| keys::notice_of(key)) else {
            return Ok(None);
        };
        let found = self.find::<Notice>(OP, &keys::notice(org, id)).await?;
        Ok(found.map(|entry| entry.value))
    }
}
