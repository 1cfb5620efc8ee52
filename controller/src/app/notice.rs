//! Notifications on their way: kept with what caused them, sent afterwards.
//!
//! ```text
//! Txn of whoever tells ─ notice_add ─▶ ORG/notice + ORG/notice-open/CHN ─▶ job "notices" ─ a task per channel, 16 at once ─▶ Sender
//! ```
//! Of a channel one notification is under way at a time, the oldest: order is kept, and a channel that does not answer holds
//! up only itself. What a receiver took is written down afterwards; killed in between, it is sent again under the same id.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt::Write as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use windflow_api::{NoticeQuery, NoticeView, Page};
use windflow_kit::{Chain, OnFailure};
use windflow_model::{
    ChannelId, NoticeId, OrgId, Timestamp,
    alert::{Notice, NoticeState, Notification},
};
use windflow_store::{Entry, Key, Txn};

use super::{
    App, AppResult,
    db::{create, replace},
    keys, lock,
    records::ChannelRecord,
    stack::{bad_cursor, limit_of},
};
use crate::{
    context::OpContext,
    notify::{Attempt, SendError, Sender, outbox},
};

/// Channels that are sent to at once.
const AT_ONCE: usize = 16;
/// Notifications of a channel in one turn, so that others get theirs.
const TURN: usize = 50;
/// Notifications that are kept, the newest.
const KEPT: usize = 1_000;
/// How long they are kept.
const KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 3_600);

/// What the delivery knows besides what is stored; all of it may be lost.
#[derive(Debug)]
pub(crate) struct Watch {
    /// There may be something to send.
    look: Notify,
    /// Channels that are sent to.
    busy: Mutex<HashSet<ChannelId>>,
    /// The oldest notification of a channel and when it is due.
    due: Mutex<HashMap<ChannelId, (NoticeId, Timestamp)>>,
    slots: Arc<Semaphore>,
    counts: Mutex<BTreeMap<String, Counts>>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    sent: u64,
    failed: u64,
    waiting: u64,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            look: Notify::new(),
            busy: Mutex::default(),
            due: Mutex::default(),
            slots: Arc::new(Semaphore::new(AT_ONCE)),
            counts: Mutex::default(),
        }
    }
}

/// A channel that is sent to; given back however that ends.
struct Busy {
    app: App,
    channel: ChannelId,
    _slot: OwnedSemaphorePermit,
}

impl Drop for Busy {
    fn drop(&mut self) {
        lock(&self.app.0.notices.busy).remove(&self.channel);
    }
}

impl App {
    /// A new id of a notification. They rise with time.
    ///
    /// # Errors
    /// No randomness.
    pub fn new_notice_id(&self) -> AppResult<NoticeId> {
        self.uuid().map(NoticeId::from_uuid)
    }

    /// Adds a notification for a channel to a transaction: three operations. After the commit it is sent, in the order of
    /// ids; [`App::notices_nudge`] lets that begin at once.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn notice_add(
        &self,
        txn: Txn,
        operation: &'static str,
        org: OrgId,
        channel: ChannelId,
        notification: Notification,
    ) -> AppResult<Txn> {
        let id = notification.id;
        let notice = Notice {
            channel,
            attempts: 0,
            state: NoticeState::Waiting {
                next: notification.at,
                error: String::new(),
            },
            remark: String::new(),
            notification,
        };
        let txn = create(txn, operation, keys::notice(org, id), &notice)?;
        let txn = txn.put(keys::channel_notice(org, channel, id), Vec::new());
        Ok(txn.put(keys::notice_open(org, channel, id), Vec::new()))
    }

    /// There is something to send.
    pub fn notices_nudge(&self) {
        self.0.notices.look.notify_one();
    }

    /// Waits until there may be something to send, for the job.
    pub(crate) async fn notices_wanted(&self) {
        self.0.notices.look.notified().await;
    }

    /// Tries a channel at once, whenever its next attempt was to be: somebody has changed it.
    pub(super) fn notices_hurry(&self, channel: ChannelId) {
        lock(&self.0.notices.due).insert(
            channel,
            (NoticeId::from_uuid(uuid::Uuid::nil()), Timestamp::default()),
        );
        self.notices_nudge();
    }

    /// Begins to send what is due. Does not wait for it.
    pub(crate) async fn notices_deliver(&self) -> AppResult<usize> {
        const OP: &str = "notices_deliver";
        let org = OpContext::system("").org;
        let mut open = BTreeMap::<ChannelId, (NoticeId, u64)>::new();
        for key in self.keys_below(OP, &keys::notices_open(org)).await? {
            if let (Some(channel), Ok(id)) = (channel_of(&key), key.last().parse()) {
                open.entry(channel).or_insert((id, 0)).1 += 1;
            }
        }
        self.count_waiting(org, &open).await?;
        let now = self.now();
        let mut due: Vec<(Timestamp, ChannelId)> = {
            let mut known = lock(&self.0.notices.due);
            known.retain(|channel, _| open.contains_key(channel));
            let next = |(channel, (id, _)): (&ChannelId, &(NoticeId, u64))| match known.get(channel) {
                Some((head, next)) if head == id => (*next, *channel),
                _ => (Timestamp::default(), *channel),
            };
            open.iter().map(next).collect()
        };
        due.retain(|(next, _)| outbox::is_due(*next, now));
        due.sort_unstable();
        let mut begun = 0;
        for (_, channel) in due {
            if lock(&self.0.notices.busy).contains(&channel) {
                continue;
            }
            // None left: those that are sent to look again when they are done.
            let Ok(slot) = Arc::clone(&self.0.notices.slots).try_acquire_owned() else {
                break;
            };
            lock(&self.0.notices.busy).insert(channel);
            let busy = Busy {
                app: self.clone(),
                channel,
                _slot: slot,
            };
            begun += 1;
            self.0.tasks.spawn("notices", OnFailure::Log, async move {
                let app = busy.app.clone();
                if let Err(error) = app.notices_of(org, channel).await {
                    tracing::error!(%channel, error = %Chain(&error), "notifications of a channel are held up; tried again");
                }
                drop(busy);
                app.notices_nudge();
            });
        }
        Ok(begun)
    }

    /// Sends the notifications of one channel, the oldest first, until one has to wait.
    async fn notices_of(&self, org: OrgId, channel: ChannelId) -> AppResult<()> {
        const OP: &str = "notice_send";
        let stop = self.0.tasks.stop().clone();
        for _ in 0..TURN {
            let head = self
                .store()
                .scan(&keys::notices_open_of(org, channel), None, 1)
                .await;
            let head = head.map_err(super::AppError::store(OP))?;
            let Some((open, _)) = head.records.into_iter().next() else {
                return Ok(());
            };
            let found = match open.last().parse::<NoticeId>() {
                Ok(id) => self.find::<Notice>(OP, &keys::notice(org, id)).await?,
                Err(_) => None,
            };
            let waiting = |entry: &Entry<Notice>| matches!(entry.value.state, NoticeState::Waiting { .. });
            let Some(entry) = found.filter(waiting) else {
                self.commit(OP, Txn::new().delete(open)).await?;
                continue;
            };
            let Some(notice) = stop.run(self.notice_attempt(org, &entry.value)).await else {
                return Ok(());
            };
            let notice = notice?;
            let Some(notice) = notice else {
                return Ok(());
            };
            let mut txn = replace(Txn::new(), OP, &entry, &notice)?;
            let next = match &notice.state {
                NoticeState::Waiting { next, .. } => Some(*next),
                _ => {
                    txn = txn.delete(open);
                    None
                }
            };
            self.commit(OP, txn).await?;
            if let Some(next) = next {
                lock(&self.0.notices.due).insert(channel, (notice.notification.id, next));
                return Ok(());
            }
        }
        Ok(())
    }

    /// One attempt, and what it makes of the notification; `None` if it is not due.
    async fn notice_attempt(&self, org: OrgId, before: &Notice) -> AppResult<Option<Notice>> {
        const OP: &str = "notice_send";
        let channel = before.channel;
        let now = self.now();
        let mut notice = before.clone();
        let record = self
            .find::<ChannelRecord>(OP, &keys::channel(org, channel))
            .await?;
        let reason = match &record {
            None => Some("the channel was deleted"),
            Some(record) if !record.value.enabled => Some("the channel was switched off"),
            Some(_) => None,
        };
        if let Some(reason) = reason {
            notice.state = NoticeState::Failed {
                at: now,
                error: reason.to_owned(),
            };
            let kind = record.map_or_else(String::new, |record| record.value.kind);
            self.count(&kind, |counts| counts.failed += 1);
            return Ok(Some(notice));
        }
        let Some(record) = record.map(|record| record.value) else {
            return Ok(None);
        };
        if let NoticeState::Waiting { next, .. } = before.state {
            // A change of the channel after the last attempt is a reason to try at once.
            let changed = lock(&self.0.notices.due)
                .get(&channel)
                .is_some_and(|(head, _)| head.uuid().is_nil());
            if !outbox::is_due(next, now) && !changed {
                lock(&self.0.notices.due).insert(channel, (notice.notification.id, next));
                return Ok(None);
            }
        }
        let attempt = match self.channel_settings(&record) {
            Ok(settings) => {
                let sender = Sender::new(self.egress().clone());
                Box::pin(sender.send(&settings, &record.templates, &notice.notification, now)).await
            }
            Err(error) => Attempt {
                result: Err(SendError::unopened(&error)),
                remark: String::new(),
            },
        };
        let now = self.now();
        let random = self.random();
        notice.state = outbox::after_attempt(&notice, &attempt.result, now, |most| random.up_to(most));
        notice.attempts = notice.attempts.saturating_add(1);
        notice.remark = attempt.remark;
        let (id, name, kind) = (notice.notification.id, &record.name, &record.kind);
        match &notice.state {
            NoticeState::Sent { .. } => {
                self.count(kind, |counts| counts.sent += 1);
                tracing::info!(notice = %id, channel = %name, "notification sent");
            }
            NoticeState::Waiting { error, .. } => {
                tracing::warn!(notice = %id, channel = %name, %error, "notification not sent; tried again");
            }
            NoticeState::Failed { error, .. } => {
                self.count(kind, |counts| counts.failed += 1);
                tracing::error!(notice = %id, channel = %name, %error, "notification given up");
            }
        }
        Ok(Some(notice))
    }

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
                let age = made_at(*id).map_or(Duration::ZERO, |at| now.since(at));
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
        let page = page.map_err(super::AppError::store(OP))?;
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
    pub(super) async fn notice_last(&self, org: OrgId, channel: ChannelId) -> AppResult<Option<Notice>> {
        const OP: &str = "notice_last";
        let page = self
            .store()
            .scan(&keys::channel_notices(org, channel), None, 1)
            .await;
        let page = page.map_err(super::AppError::store(OP))?;
        let Some(id) = page.records.first().and_then(|(key, _)| keys::notice_of(key)) else {
            return Ok(None);
        };
        let found = self.find::<Notice>(OP, &keys::notice(org, id)).await?;
        Ok(found.map(|entry| entry.value))
    }

    fn count(&self, kind: &str, change: impl FnOnce(&mut Counts)) {
        change(lock(&self.0.notices.counts).entry(kind.to_owned()).or_default());
    }

    async fn count_waiting(&self, org: OrgId, open: &BTreeMap<ChannelId, (NoticeId, u64)>) -> AppResult<()> {
        let found = open.keys().map(|channel| keys::channel(org, *channel)).collect();
        let found = self.find_each::<ChannelRecord>("notices_deliver", found).await?;
        let mut counts = lock(&self.0.notices.counts);
        counts.values_mut().for_each(|counts| counts.waiting = 0);
        for (found, (_, waiting)) in found.into_iter().zip(open.values()) {
            let kind = found.map_or_else(String::new, |record| record.value.kind);
            counts.entry(kind).or_default().waiting += waiting;
        }
        Ok(())
    }

    /// In the text format of Prometheus.
    pub(crate) fn notice_metrics(&self) -> String {
        let mut text = String::new();
        type Figure = fn(&Counts) -> u64;
        let figures: [(&str, &str, Figure); 3] = [
            ("windflow_notices_sent_total", "counter", |counts| counts.sent),
            ("windflow_notices_failed_total", "counter", |counts| counts.failed),
            ("windflow_notices_waiting", "gauge", |counts| counts.waiting),
        ];
        for (name, kind, figure) in figures {
            // Writing to a String does not fail.
            let _ = writeln!(text, "# TYPE {name} {kind}");
            for (channel, counts) in lock(&self.0.notices.counts).iter() {
                let channel = if channel.is_empty() { "deleted" } else { channel };
                let _ = writeln!(text, "{name}{{kind=\"{channel}\"}} {}", figure(counts));
            }
        }
        text
    }
}

/// The channel in a key of the index of open notifications.
fn channel_of(key: &Key) -> Option<ChannelId> {
    key.segments().nth(2)?.parse().ok()
}

/// When an id was made.
fn made_at(id: NoticeId) -> Option<Timestamp> {
    let (seconds, nanos) = id.uuid().get_timestamp()?.to_unix();
    let millis = seconds
        .checked_mul(1_000)?
        .checked_add(u64::from(nanos) / 1_000_000)?;
    i64::try_from(millis).ok().map(Timestamp::from_millis)
}
