//! Channels: where notifications go. Their settings are sealed; nothing secret leaves this file but for sending.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use windflow_api::{
    ChannelPreview, ChannelPreviewRequest, ChannelSave, ChannelTest, ChannelTested, ChannelView, Page,
    PageQuery,
};
use windflow_model::{
    ChannelId, OrgId,
    alert::{Channel, ChannelSettings, Delivery, NoticeStatus, Templates},
};
use windflow_store::{Entry, Txn};

use super::{
    App, AppError, AppResult,
    agent::agent_name,
    db::{create, hold, replace},
    idempotency::IdempotencyKey,
    keys,
    records::{ChannelRecord, Made, NameHolder},
    stack::{page_of, same_version},
};
use crate::{
    context::OpContext,
    notify::{self, Sender, Words},
};

/// Most channels of an organisation.
const MOST: usize = 100;
/// Longest wait for the answer to a test.
const TEST: Duration = Duration::from_secs(20);

/// What a channel's settings are sealed for.
fn context(id: ChannelId) -> String {
    format!("channel/{id}")
}

impl App {
    /// The settings with their secrets.
    pub(crate) fn channel_settings(&self, record: &ChannelRecord) -> AppResult<ChannelSettings> {
        const OP: &str = "channel_open";
        let sealed = STANDARD.decode(&record.sealed).map_err(AppError::internal(OP))?;
        let plain = self.vault().open(&context(record.id), &sealed);
        let plain = plain.map_err(AppError::internal(OP))?;
        // What a parser says of a text could repeat a piece of it.
        serde_json::from_slice(plain.expose()).map_err(|_| {
            AppError::internal(OP)(std::io::Error::other("the settings are not of a known kind"))
        })
    }

    fn channel_seal(&self, id: ChannelId, settings: &ChannelSettings) -> AppResult<String> {
        const OP: &str = "channel_seal";
        let plain = serde_json::to_vec(settings).map_err(AppError::internal(OP))?;
        let sealed = self.vault().seal(&context(id), &plain);
        Ok(STANDARD.encode(sealed.map_err(AppError::internal(OP))?))
    }

    /// The settings with what is kept of `before`, if they can work.
    fn channel_checked(
        &self,
        mut settings: ChannelSettings,
        before: Option<&ChannelSettings>,
        forget: &[String],
        templates: &Templates,
    ) -> AppResult<ChannelSettings> {
        if let Some(before) = before {
            settings.keep_secrets(before);
        }
        if let ChannelSettings::Email { user, password, .. } = &mut settings
            && user.is_empty()
        {
            password.clear();
        }
        for name in forget {
            if !settings.forget(name) {
                return Err(AppError::bad(format!("forget: {name:?} cannot be removed here")));
            }
        }
        let problems = notify::check(self.egress(), &settings, templates);
        if problems.is_empty() {
            Ok(settings)
        } else {
            Err(AppError::bad(problems.join("; ")))
        }
    }

    pub(crate) async fn need_channel(
        &self,
        op: &'static str,
        org: OrgId,
        id: ChannelId,
    ) -> AppResult<Entry<ChannelRecord>> {
        let found = self.find(op, &keys::channel(org, id)).await?;
        found.ok_or_else(|| AppError::not_found(format!("channel {id}")))
    }

    /// Whether the name is held by this channel already; an error if it is by another one.
    async fn channel_name_taken(&self, op: &OpContext, id: ChannelId, name: &str) -> AppResult<bool> {
        let held = self
            .find::<NameHolder>("channel_name", &keys::channel_name(op.org, name))
            .await?;
        match held {
            None => Ok(false),
            Some(held) if held.value.id == id.to_string() => Ok(true),
            Some(held) => Err(AppError::conflict(
                format!("the name {name:?} is taken by channel {}", held.value.id),
                "Choose another name, or change that channel.",
            )),
        }
    }

    /// Makes a channel.
    ///
    /// # Errors
    /// A name that is taken, settings or templates that cannot work, or too many channels.
    pub async fn channel_create(
        &self,
        op: &OpContext,
        request: ChannelSave,
        key: Option<&IdempotencyKey>,
    ) -> AppResult<ChannelView> {
        const OP: &str = "channel_create";
        let name = agent_name(&request.name)?;
        delivery_fits(&request.delivery)?;
        let settings = self.channel_checked(request.settings, None, &request.forget, &request.templates)?;
        let id = self.new_channel_id()?;
        let now = self.now();
        let record = ChannelRecord {
            id,
            name: name.clone(),
            kind: settings.kind().to_owned(),
            place: notify::place(&settings),
            sealed: self.channel_seal(id, &settings)?,
            delivery: request.delivery,
            templates: request.templates,
            standard: request.standard,
            enabled: request.enabled,
            created_at: now,
            updated_at: now,
            updated_by: op.user,
        };
        let made = self
            .retry(|| async {
                if let Some(Made::Channel(before)) = self.made_before(key).await? {
                    return Ok(before);
                }
                if self.channel_name_taken(op, id, &name).await? {
                    return Ok(id);
                }
                if self.keys_below(OP, &keys::channels(op.org)).await?.len() >= MOST {
                    let message = format!("there are {MOST} channels already");
                    return Err(AppError::conflict(message, "Delete one that is not needed."));
                }
                let txn = create(Txn::new(), OP, keys::channel(op.org, id), &record)?;
                let txn = hold(txn, OP, keys::channel_name(op.org, &name), id)?;
                let txn = self.remember(txn, OP, key, || Made::Channel(id))?;
                let txn = self.audited(txn, op, OP, id, detail(&record))?;
                self.commit(OP, txn).await?;
                Ok(id)
            })
            .await?;
        self.alerting_changed();
        self.channel_view(op, made).await
    }

    /// Channels in the order of their creation.
    ///
    /// # Errors
    /// A cursor that is not one of ours.
    pub async fn channel_list(&self, op: &OpContext, query: &PageQuery) -> AppResult<Page<ChannelView>> {
        const OP: &str = "channel_list";
        let (after, limit) = page_of(query, |id: ChannelId| keys::channel(op.org, id))?;
        let page = self
            .page(OP, &keys::channels(op.org), after.as_ref(), limit)
            .await?;
        let mut items = Vec::new();
        for entry in page.entries {
            items.push(self.channel_shown(op.org, entry).await?);
        }
        Ok(Page {
            items,
            next_cursor: page.next.map(|key| key.last()),
        })
    }

    /// One channel.
    ///
    /// # Errors
    /// There is no such channel.
    pub async fn channel_view(&self, op: &OpContext, id: ChannelId) -> AppResult<ChannelView> {
        let entry = self.need_channel("channel_view", op.org, id).await?;
        self.channel_shown(op.org, entry).await
    }

    async fn channel_shown(&self, org: OrgId, entry: Entry<ChannelRecord>) -> AppResult<ChannelView> {
        let settings = self.channel_settings(&entry.value)?;
        Ok(ChannelView {
            place: entry.value.place.clone(),
            secrets: settings.secret_names(),
            last: self.notice_last(org, entry.value.id).await?,
            version: entry.version,
            channel: shown(entry.value, settings),
        })
    }

    /// Saves a channel. What waits for it is tried at once.
    ///
    /// # Errors
    /// No such channel, another version than `version`, a name that is taken, settings or templates that cannot work.
    pub async fn channel_update(
        &self,
        op: &OpContext,
        id: ChannelId,
        version: u64,
        request: ChannelSave,
    ) -> AppResult<ChannelView> {
        const OP: &str = "channel_update";
        let name = agent_name(&request.name)?;
        delivery_fits(&request.delivery)?;
        let was = self.need_channel(OP, op.org, id).await?;
        same_version("channel", Some(version), was.version)?;
        // Settings that do not open any more are entered anew.
        let before = self.channel_settings(&was.value).ok();
        let settings = self.channel_checked(
            request.settings,
            before.as_ref(),
            &request.forget,
            &request.templates,
        )?;
        let record = ChannelRecord {
            name: name.clone(),
            kind: settings.kind().to_owned(),
            place: notify::place(&settings),
            sealed: self.channel_seal(id, &settings)?,
            delivery: request.delivery,
            templates: request.templates,
            standard: request.standard,
            enabled: request.enabled,
            updated_at: self.now(),
            updated_by: op.user,
            ..was.value.clone()
        };
        let mut txn = replace(Txn::new(), OP, &was, &record)?;
        if name != was.value.name && !self.channel_name_taken(op, id, &name).await? {
            txn = txn.delete(keys::channel_name(op.org, &was.value.name));
            txn = hold(txn, OP, keys::channel_name(op.org, &name), id)?;
        }
        let txn = self.audited(txn, op, OP, id, detail(&record))?;
        match self.commit(OP, txn).await {
            // Not tried again: the caller said which version it means.
            Err(error) if error.wants_fresh_read() => {
                let now = self.need_channel(OP, op.org, id).await?;
                if now.value != record {
                    same_version("channel", Some(version), now.version)?;
                    return Err(error);
                }
            }
            result => drop(result?),
        }
        self.alerting_changed();
        self.notices_hurry(id);
        self.channel_view(op, id).await
    }

    /// Deletes a channel. What waits for it is not sent any more.
    ///
    /// # Errors
    /// There is no such channel.
    pub async fn channel_delete(&self, op: &OpContext, id: ChannelId) -> AppResult<()> {
        const OP: &str = "channel_delete";
        self.retry(|| async {
            let was = self.need_channel(OP, op.org, id).await?;
            let txn = Txn::new()
                .expect(was.key.clone(), was.expect())
                .delete(was.key.clone());
            let txn = txn.delete(keys::channel_name(op.org, &was.value.name));
            let txn = self.audited(txn, op, OP, id, detail(&was.value))?;
            self.commit(OP, txn).await.map(drop)
        })
        .await?;
        self.alerting_changed();
        self.notices_hurry(id);
        Ok(())
    }

    /// Sends a test over a channel, and says what the server said.
    ///
    /// # Errors
    /// There is no such channel.
    pub async fn channel_test(&self, op: &OpContext, id: ChannelId) -> AppResult<ChannelTested> {
        let record = self.need_channel("channel_test", op.org, id).await?.value;
        let settings = self.channel_settings(&record)?;
        self.channel_try(op, id.to_string(), &settings, &record.templates)
            .await
    }

    /// The same with settings that are not saved.
    ///
    /// # Errors
    /// Settings or templates that cannot work; there is no channel from which to take secrets.
    pub async fn channel_test_unsaved(
        &self,
        op: &OpContext,
        request: ChannelTest,
    ) -> AppResult<ChannelTested> {
        let before = match request.id {
            Some(id) => {
                let record = self.need_channel("channel_test", op.org, id).await?.value;
                self.channel_settings(&record).ok()
            }
            None => None,
        };
        let settings = self.channel_checked(request.settings, before.as_ref(), &[], &request.templates)?;
        let object = request.id.map_or_else(String::new, |id| id.to_string());
        self.channel_try(op, object, &settings, &request.templates).await
    }

    async fn channel_try(
        &self,
        op: &OpContext,
        object: String,
        settings: &ChannelSettings,
        templates: &Templates,
    ) -> AppResult<ChannelTested> {
        const OP: &str = "channel_test";
        let what = format!("a test to {} ({})", notify::place(settings), settings.kind());
        let txn = self.audited(Txn::new(), op, OP, object, what)?;
        self.commit(OP, txn).await?;
        let (id, now) = (self.new_notice_id()?, self.now());
        let example = notify::example(id, now, NoticeStatus::Test);
        let sender = Sender::new(self.egress().clone());
        let begun = tokio::time::Instant::now();
        let sent = Box::pin(sender.send(settings, templates, &example, now));
        let attempt = tokio::time::timeout(TEST, sent).await;
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (sent, again, said, remark) = match attempt {
            Err(_) => (
                false,
                true,
                "there was no answer within 20 s".to_owned(),
                String::new(),
            ),
            Ok(attempt) => match attempt.result {
                Ok(receipt) => (true, false, receipt.said, attempt.remark),
                Err(error) => (false, error.again, error.to_string(), attempt.remark),
            },
        };
        Ok(ChannelTested {
            sent,
            said,
            again,
            remark,
            took_ms,
        })
    }

    /// What templates make of an example.
    ///
    /// # Errors
    /// None so far.
    pub fn channel_preview(&self, request: &ChannelPreviewRequest) -> AppResult<ChannelPreview> {
        let mut example = notify::example(self.new_notice_id()?, self.now(), request.status);
        example.url = "https://windflow.example/alerts".to_owned();
        let words = Words::preview(request.kind == "webhook", &request.templates, &example);
        Ok(ChannelPreview {
            title: words.title,
            text: words.body.unwrap_or(words.text),
            problem: words.remark,
        })
    }
}

fn detail(record: &ChannelRecord) -> String {
    format!("channel {} ({}, {})", record.name, record.kind, record.place)
}

fn delivery_fits(delivery: &Delivery) -> AppResult<()> {
    let mut problems = Vec::new();
    if delivery.wait_s > 3_600 {
        problems.push("delivery.wait_s: 0 to 3,600");
    }
    if !(1..=86_400).contains(&delivery.interval_s) {
        problems.push("delivery.interval_s: 1 to 86,400");
    }
    if delivery.repeat_s != 0 && !(60..=2_592_000).contains(&delivery.repeat_s) {
        problems.push("delivery.repeat_s: 0, or 60 to 2,592,000");
    }
    let mut by = delivery.group_by.clone();
    by.sort_unstable();
    by.dedup();
    if by.len() != delivery.group_by.len() {
        problems.push("delivery.group_by: something is named twice");
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(AppError::bad(problems.join("; ")))
    }
}

fn shown(record: ChannelRecord, settings: ChannelSettings) -> Channel {
    Channel {
        id: record.id,
        name: record.name,
        settings: settings.veiled(),
        delivery: record.delivery,
        templates: record.templates,
        standard: record.standard,
        enabled: record.enabled,
        created_at: record.created_at,
        updated_at: record.updated_at,
        updated_by: record.updated_by,
    }
}
