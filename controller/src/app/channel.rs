//! Channels: where notifications go.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use windflow_model::{
    ChannelId, OrgId,
    alert::{Channel, ChannelSettings},
};

use super::{App, AppError, AppResult, keys, records::ChannelRecord};

/// What a channel's settings are sealed for.
fn context(id: ChannelId) -> String {
    format!("channel/{id}")
}

impl App {
    /// All channels without their secrets, in the order of their creation: what the planning of notifications needs.
    /// One whose settings do not open is left out, and told of in the log.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn channels(&self, org: OrgId) -> AppResult<Vec<Channel>> {
        let all = self
            .all::<ChannelRecord>("channels", &keys::channels(org))
            .await?;
        let mut channels = Vec::new();
        for record in all.into_iter().map(|entry| entry.value) {
            match self.channel_settings(&record) {
                Ok(settings) => channels.push(shown(record, settings)),
                Err(error) => {
                    tracing::error!(channel = %record.id, %error, "the settings of a channel do not open");
                }
            }
        }
        Ok(channels)
    }

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
