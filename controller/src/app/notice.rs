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
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
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
};
use crate::{
    context::OpContext,
    notify::{Attempt, SendError, Sender, outbox},
};

mod kept;

/// Channels that are sent to at once.
const AT_ONCE: usize = 16;
/// Notifications of a channel in one turn, so that others get theirs.
const TURN: usize = 50;

/// What the delivery knows besides what is stored; all of it may be lost.
#[derive(Debug)]
pub(crate) struct Watch {
    /// There may be something to send.
    look: Notify,
    /// Channels that are sent to.
    busy: Mutex<HashSet<ChannelId>>,
    /// When each channel is tried next.
    due: Mutex<HashMap<ChannelId, Due>>,
    slots: Arc<Semaphore>,
    counts: Mutex<BTreeMap<String, Counts>>,
}

/// When a channel is tried next.
#[derive(Debug, Clone, Copy)]
enum Due {
    /// At once, whenever its next attempt was to be: somebody has changed it.
    Now,
    /// Its oldest notification is this, and due then.
    At(NoticeId, Timestamp),
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
        lock(&self.0.notices.due).insert(channel, Due::Now);
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
                Some(Due::At(head, next)) if head == id => (*next, *channel),
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
                let due = Due::At(notice.notification.id, next);
                lock(&self.0.notices.due).insert(channel, due);
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
            let mut due = lock(&self.0.notices.due);
            let changed = matches!(due.get(&channel), Some(Due::Now));
            if !outbox::is_due(next, now) && !changed {
                due.insert(channel, Due::At(notice.notification.id, next));
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
