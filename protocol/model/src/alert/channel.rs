//! Where notifications go.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::Severity;
use crate::{
    id::{ChannelId, UserId},
    time::Timestamp,
};

/// How a mail server is spoken to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum MailTls {
    /// TLS from the first byte, usually on port 465.
    Tls,
    /// Plain at first, then TLS or nothing (STARTTLS, RFC 3207), usually on port 587.
    #[default]
    Starttls,
    /// Never TLS: for a relay on the same machine.
    None,
}

/// What of a channel depends on its kind. What is secret in it is never shown again: in answers it is empty, and left empty in
/// a change it stays as it was.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ChannelSettings {
    /// Mail over SMTP.
    Email {
        /// Name or address of the server.
        host: String,
        /// Its port.
        port: u16,
        /// How it is spoken to.
        #[serde(default)]
        tls: MailTls,
        /// Sign-in name; empty: none is needed.
        #[serde(default)]
        user: String,
        /// Secret.
        #[serde(default)]
        password: String,
        /// Address of the sender, `Name <address>` or the address alone.
        from: String,
        /// Addresses of the receivers.
        to: Vec<String>,
    },
    /// A POST with JSON.
    Webhook {
        /// Secret: who knows it can post.
        #[serde(default)]
        url: String,
        /// Secret: signs the body, so that the receiver can tell who sent it. Empty: not signed.
        #[serde(default)]
        key: String,
        /// Further headers, e.g. `Authorization`; their values are secret.
        #[serde(default)]
        headers: BTreeMap<String, String>,
    },
    /// An incoming webhook of Slack (Mattermost and Rocket.Chat understand it, too).
    Slack {
        /// Secret.
        #[serde(default)]
        url: String,
    },
    /// A webhook of a Discord channel.
    Discord {
        /// Secret.
        #[serde(default)]
        url: String,
    },
    /// A workflow webhook of a Microsoft Teams channel; it gets an adaptive card.
    Teams {
        /// Secret.
        #[serde(default)]
        url: String,
    },
    /// A bot of Telegram.
    Telegram {
        /// Secret: the bot's token.
        #[serde(default)]
        token: String,
        /// Number of the chat, or `@name` of a channel.
        chat: String,
        /// Thread of a forum; empty: none.
        #[serde(default)]
        thread: String,
        /// Server of the bot API; empty: Telegram's own.
        #[serde(default)]
        server: String,
    },
    /// A topic of ntfy.
    Ntfy {
        /// Server; empty: `https://ntfy.sh`.
        #[serde(default)]
        server: String,
        /// Its topic.
        topic: String,
        /// Secret: access token; empty: none is needed.
        #[serde(default)]
        token: String,
    },
    /// An application of a Gotify server.
    Gotify {
        /// Server.
        server: String,
        /// Secret: the application's token.
        #[serde(default)]
        token: String,
    },
}

impl ChannelSettings {
    /// Its kind, as in JSON.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Email { .. } => "email",
            Self::Webhook { .. } => "webhook",
            Self::Slack { .. } => "slack",
            Self::Discord { .. } => "discord",
            Self::Teams { .. } => "teams",
            Self::Telegram { .. } => "telegram",
            Self::Ntfy { .. } => "ntfy",
            Self::Gotify { .. } => "gotify",
        }
    }

    /// What nobody may see again.
    fn secrets(&mut self) -> Vec<&mut String> {
        match self {
            Self::Email { password, .. } => vec![password],
            Self::Webhook { url, key, headers } => {
                [url, key].into_iter().chain(headers.values_mut()).collect()
            }
            Self::Slack { url } | Self::Discord { url } | Self::Teams { url } => vec![url],
            Self::Telegram { token, .. } | Self::Ntfy { token, .. } | Self::Gotify { token, .. } => {
                vec![token]
            }
        }
    }

    /// What nobody may see again, as far as it is there: for taking it out of texts.
    #[must_use]
    pub fn secret_values(&self) -> Vec<&str> {
        let all: Vec<&String> = match self {
            Self::Email { password, .. } => vec![password],
            Self::Webhook { url, key, headers } => [url, key].into_iter().chain(headers.values()).collect(),
            Self::Slack { url } | Self::Discord { url } | Self::Teams { url } => vec![url],
            Self::Telegram { token, .. } | Self::Ntfy { token, .. } | Self::Gotify { token, .. } => {
                vec![token]
            }
        };
        all.into_iter()
            .map(String::as_str)
            .filter(|secret| !secret.is_empty())
            .collect()
    }

    /// Names of the secrets that are there: `url`, `key`, `password`, `token`, `headers.NAME`.
    #[must_use]
    pub fn secret_names(&self) -> Vec<String> {
        let all: Vec<(String, &String)> = match self {
            Self::Email { password, .. } => vec![("password".to_owned(), password)],
            Self::Webhook { url, key, headers } => [("url".to_owned(), url), ("key".to_owned(), key)]
                .into_iter()
                .chain(
                    headers
                        .iter()
                        .map(|(name, value)| (format!("headers.{name}"), value)),
                )
                .collect(),
            Self::Slack { url } | Self::Discord { url } | Self::Teams { url } => {
                vec![("url".to_owned(), url)]
            }
            Self::Telegram { token, .. } | Self::Ntfy { token, .. } | Self::Gotify { token, .. } => {
                vec![("token".to_owned(), token)]
            }
        };
        all.into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, _)| name)
            .collect()
    }

    /// Empties a secret that may be empty. Whether there was one of that name.
    pub fn forget(&mut self, name: &str) -> bool {
        match (name, self) {
            ("password", Self::Email { password: it, .. })
            | ("key", Self::Webhook { key: it, .. })
            | ("token", Self::Ntfy { token: it, .. }) => {
                it.clear();
                true
            }
            _ => false,
        }
    }

    /// The same with nothing secret in it.
    #[must_use]
    pub fn veiled(mut self) -> Self {
        self.secrets().into_iter().for_each(String::clear);
        self
    }

    /// Takes from `before` what is secret and was left empty here. Nothing, if it is of another kind; and nothing, if it would go
    /// to another server than before: who may change a channel could otherwise have its secret sent to themselves.
    pub fn keep_secrets(&mut self, before: &Self) {
        if self.server() != before.server() || self.kind() != before.kind() {
            return;
        }
        if let (
            Self::Webhook { url, key, headers },
            Self::Webhook {
                url: old_url,
                key: old_key,
                headers: old,
            },
        ) = (&mut *self, before)
        {
            // The address is itself secret, so it is left empty or it is another one; and what goes along must not go there.
            if url.is_empty() {
                url.clone_from(old_url);
            } else if url != old_url {
                return;
            }
            if key.is_empty() {
                key.clone_from(old_key);
            }
            for (name, value) in headers.iter_mut().filter(|(_, value)| value.is_empty()) {
                *value = old.get(name).cloned().unwrap_or_default();
            }
            return;
        }
        let mut old = before.clone();
        for (new, old) in self.secrets().into_iter().zip(old.secrets()) {
            if new.is_empty() {
                new.clone_from(old);
            }
        }
    }

    /// Where secrets go that are not themselves the address.
    fn server(&self) -> (&str, u16) {
        match self {
            Self::Email { host, port, .. } => (host, *port),
            Self::Telegram { server, .. } | Self::Ntfy { server, .. } | Self::Gotify { server, .. } => {
                (server, 0)
            }
            _ => ("", 0),
        }
    }
}

impl fmt::Debug for ChannelSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelSettings")
            .field("kind", &self.kind())
            .finish_non_exhaustive()
    }
}

/// What alerts are told of together, in one notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum GroupBy {
    /// Those of one rule.
    Rule,
    /// Those of one host.
    Host,
    /// Those of one stack.
    Stack,
    /// Those of one severity.
    Severity,
}

/// When a channel is told. All in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = ChannelDelivery))]
#[serde(default, deny_unknown_fields)]
pub struct Delivery {
    /// Alerts that agree in these are told of in one notification; empty: all together.
    pub group_by: Vec<GroupBy>,
    /// From the first alert of a group to its notification, so that those that come with it are in it. 0 to 3,600.
    pub wait_s: u32,
    /// Between two notifications of one group, if something changed. 1 to 86,400.
    pub interval_s: u32,
    /// Until a group that still fires is told of again; 0: never. Else 60 to 2,592,000.
    pub repeat_s: u32,
    /// Whether the end of alerts is told of.
    pub resolved: bool,
    /// Only alerts of at least this severity.
    pub severity: Severity,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            group_by: vec![GroupBy::Rule],
            wait_s: 30,
            interval_s: 300,
            repeat_s: 14_400,
            resolved: true,
            severity: Severity::Info,
        }
    }
}

/// What a notification says, as Jinja templates over [`super::Notification`]. Empty: WindFlow's own words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = ChannelTemplates))]
#[serde(default, deny_unknown_fields)]
pub struct Templates {
    /// Subject of a mail, first line of a message.
    pub title: String,
    /// The rest. Of a webhook: the whole body, which must be JSON then.
    pub body: String,
}

/// A channel as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Channel {
    /// Id, never reused.
    pub id: ChannelId,
    /// Unique in its organisation.
    pub name: String,
    /// What depends on its kind, without secrets.
    pub settings: ChannelSettings,
    /// When it is told.
    pub delivery: Delivery,
    /// What it is told.
    pub templates: Templates,
    /// Whether rules that name no channel use it.
    pub standard: bool,
    /// Whether it is used at all.
    pub enabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was saved last.
    pub updated_at: Timestamp,
    /// By whom.
    pub updated_by: UserId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_veiled_kept_and_never_taken_elsewhere() {
        let json = |text: &str| serde_json::from_str::<ChannelSettings>(text).unwrap();
        let check = |before: &str, change: &str, kept: &str| {
            let mut after = json(change);
            after.keep_secrets(&json(before));
            assert_eq!(after, json(kept), "{change}");
            let veiled = serde_json::to_string(&json(before).veiled()).unwrap();
            assert!(!veiled.contains("s3cret"), "{veiled}");
            assert!(!format!("{:?}", json(before)).contains("s3cret"));
        };
        let mail = |host: &str, password: &str| {
            format!(
                r#"{{"kind":"email","host":"{host}","port":25,"password":"{password}","from":"a@b","to":["c@d"]}}"#
            )
        };
        check(&mail("m", "s3cret"), &mail("m", ""), &mail("m", "s3cret"));
        check(&mail("m", "s3cret"), &mail("m", "new"), &mail("m", "new"));
        check(&mail("m", "s3cret"), &mail("evil", ""), &mail("evil", ""));
        let hook = |url: &str, key: &str, headers: &str| {
            format!(r#"{{"kind":"webhook","url":"{url}","key":"{key}","headers":{headers}}}"#)
        };
        check(
            &hook("https://h/s3cret", "s3cret", r#"{"A":"s3cret1","B":"s3cret2"}"#),
            &hook("", "", r#"{"B":"","C":""}"#),
            &hook("https://h/s3cret", "s3cret", r#"{"B":"s3cret2","C":""}"#),
        );
        // Another address gets neither the key nor the headers of the one before.
        check(
            &hook("https://h/s3cret", "s3cret", r#"{"A":"s3cret1"}"#),
            &hook("https://evil/", "", r#"{"A":""}"#),
            &hook("https://evil/", "", r#"{"A":""}"#),
        );
        let gotify = |server: &str, token: &str| {
            format!(r#"{{"kind":"gotify","server":"{server}","token":"{token}"}}"#)
        };
        check(
            &gotify("https://g", "s3cret"),
            &gotify("https://evil", ""),
            &gotify("https://evil", ""),
        );
        let chat = |url: &str| format!(r#"{{"kind":"slack","url":"{url}"}}"#);
        check(&chat("https://s/s3cret"), &chat(""), &chat("https://s/s3cret"));
        check(&chat("https://s/s3cret"), &gotify("", ""), &gotify("", ""));
    }
}
