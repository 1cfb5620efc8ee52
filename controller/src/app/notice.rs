//! Notifications on their way: kept with what caused them, sent afterwards.

use tokio::sync::Notify;
use windflow_model::{
    ChannelId, NoticeId, OrgId,
    alert::{Notice, NoticeState, Notification},
};
use windflow_store::Txn;

use super::{App, AppResult, db::create, keys};

/// What the delivery waits for.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// There may be something to send.
    look: Notify,
}

impl App {
    /// A new id of a notification. They rise with time.
    ///
    /// # Errors
    /// No randomness.
    pub fn new_notice_id(&self) -> AppResult<NoticeId> {
        self.uuid().map(NoticeId::from_uuid)
    }

    /// Adds a notification for a channel to a transaction: two operations. After the commit it is sent, in the order of ids;
    /// [`App::notices_nudge`] lets that begin at once.
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
}
