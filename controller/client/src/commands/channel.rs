//! Channels and notifications.

use std::path::Path;

use comfy_table::Cell;
use serde_json::{Value, json};
use windflow_api::{ChannelSave, ChannelView, NoticeQuery, NoticeView};
use windflow_model::alert::{ChannelSettings, Notice, NoticeState, NoticeStatus};

use super::{Session, confirm, secret_file, spec};
use crate::{
    cli::{ChannelCommand, ChannelKind, ChannelSetArgs, NoticesArgs},
    error::{Error, Exit, Result},
    output::{Output, Tone, note},
};

/// Where a secret may be in the environment.
const SECRET: &str = "WINDFLOW_CHANNEL_SECRET";

/// `windflow channel …`.
pub(super) async fn run(session: &Session<'_>, command: ChannelCommand) -> Result<()> {
    let client = session.client()?;
    match command {
        ChannelCommand::List => {
            let channels = client.channel_list().await?;
            session.out.none(
                channels.is_empty(),
                "no channels yet; `windflow channel create NAME --kind slack --secret-file FILE` makes one",
            );
            session.out.show(&channels, |out| table(out, &channels))
        }
        ChannelCommand::Show { channel } => {
            let view = client.channel_find(&channel).await?;
            session.out.show(&view, |_| text(&view))
        }
        ChannelCommand::Create(args) => {
            let secret = secret(session, &args)?;
            let request = match &args.file {
                Some(file) => of_file(file, &args.channel)?,
                None => of_kind(&args)?,
            };
            let request = with_flags(request, &args, secret)?;
            let view = client.channel_create(&request).await?;
            session.out.show(&view, |_| text(&view))
        }
        ChannelCommand::Update(args) => {
            let view = client.channel_find(&args.channel).await?;
            let secret = secret(session, &args)?;
            let request = match &args.file {
                Some(file) => of_file(file, &view.channel.name)?,
                None => changed(&view, &args)?,
            };
            let request = with_flags(request, &args, secret)?;
            let saved = client
                .channel_update(view.channel.id, view.version, &request)
                .await?;
            session.out.show(&saved, |_| text(&saved))
        }
        ChannelCommand::Delete {
            channel,
            yes,
            if_exists,
        } => {
            let view = match client.channel_find(&channel).await {
                Err(error) if if_exists && error.exit == Exit::NotFound => {
                    note(&format!("there is no channel {channel}"));
                    return Ok(());
                }
                found => found?,
            };
            confirm(&format!("Delete the channel {}?", view.channel.name), yes)?;
            client.channel_delete(view.channel.id).await?;
            note(&format!("deleted {}", view.channel.name));
            Ok(())
        }
        ChannelCommand::Test { channel } => {
            let view = client.channel_find(&channel).await?;
            let tested = client.channel_test(view.channel.id).await?;
            session.out.show(&tested, |_| {
                let took = tested.took_ms;
                let remark = match tested.remark.as_str() {
                    "" => String::new(),
                    remark => format!("\n{remark}"),
                };
                let word = if tested.sent { "sent" } else { "not sent" };
                format!("{word} in {took} ms: {}{remark}", tested.said)
            })?;
            if tested.sent {
                Ok(())
            } else {
                Err(Error::failed(format!(
                    "the test over {} was not sent",
                    view.channel.name
                )))
            }
        }
    }
}

/// `windflow notices`.
pub(super) async fn notices(session: &Session<'_>, args: NoticesArgs) -> Result<()> {
    let client = session.client()?;
    let channel = match &args.channel {
        Some(channel) => Some(client.channel_find(channel).await?.channel.id),
        None => None,
    };
    let query = NoticeQuery {
        channel,
        cursor: None,
        limit: Some(args.limit),
    };
    let notices = client.notice_page(&query).await?.items;
    session.out.none(notices.is_empty(), "no notifications");
    session.out.show(&notices, |out| listed(out, &notices))
}

fn secret(session: &Session<'_>, args: &ChannelSetArgs) -> Result<Option<String>> {
    match &args.secret_file {
        Some(path) if path == Path::new("-") => {
            let line = spec::input()?
                .lines()
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned();
            match line.is_empty() {
                true => Err(Error::usage("the input holds no secret")),
                false => Ok(Some(line)),
            }
        }
        Some(path) => Ok(Some(secret_file(path)?.expose().clone())),
        None => Ok((session.variable)(SECRET).filter(|secret| !secret.is_empty())),
    }
}

/// A channel as the API has it. The name may be left out.
fn of_file(file: &Path, name: &str) -> Result<ChannelSave> {
    const HINT: &str = "`windflow channel show NAME -o json` shows how a channel is written.";
    let mut value: Value = spec::read(file, HINT)?;
    if let Some(map) = value.as_object_mut() {
        map.entry("name").or_insert_with(|| json!(name));
    }
    serde_json::from_value(value)
        .map_err(|error| Error::usage(format!("{} is no channel: {error}", file.display())).hint(HINT))
}

/// A channel of a simple kind; the secret comes later.
fn of_kind(args: &ChannelSetArgs) -> Result<ChannelSave> {
    let kind = args
        .kind
        .ok_or_else(|| Error::usage("name a --kind, or a file with -f"))?;
    let need = |value: &Option<String>, flag: &str| {
        let missing = || Error::usage(format!("this kind needs --{flag}"));
        value.clone().ok_or_else(missing)
    };
    let server = args.server.clone().unwrap_or_default();
    let settings = match kind {
        ChannelKind::Webhook => json!({ "kind": "webhook" }),
        ChannelKind::Slack => json!({ "kind": "slack" }),
        ChannelKind::Discord => json!({ "kind": "discord" }),
        ChannelKind::Teams => json!({ "kind": "teams" }),
        ChannelKind::Telegram => {
            json!({ "kind": "telegram", "server": server, "chat": need(&args.chat, "chat")? })
        }
        ChannelKind::Ntfy => {
            json!({ "kind": "ntfy", "server": server, "topic": need(&args.topic, "topic")? })
        }
        ChannelKind::Gotify => json!({ "kind": "gotify", "server": need(&args.server, "server")? }),
    };
    let channel = json!({ "name": args.channel, "settings": settings });
    serde_json::from_value(channel).map_err(|error| Error::usage(format!("this is no channel: {error}")))
}

/// What a channel becomes: its secrets are empty, so they stay.
fn changed(view: &ChannelView, args: &ChannelSetArgs) -> Result<ChannelSave> {
    if args.kind.is_some() {
        return Err(Error::usage(
            "the kind of a channel stays; make another one, or give a file with -f",
        ));
    }
    let mut settings = view.channel.settings.clone();
    let mut took = true;
    if let Some(new) = &args.server {
        match &mut settings {
            ChannelSettings::Telegram { server, .. }
            | ChannelSettings::Ntfy { server, .. }
            | ChannelSettings::Gotify { server, .. } => server.clone_from(new),
            _ => took = false,
        }
    }
    match (&args.topic, &mut settings) {
        (None, _) => {}
        (Some(new), ChannelSettings::Ntfy { topic, .. }) => topic.clone_from(new),
        (Some(_), _) => took = false,
    }
    match (&args.chat, &mut settings) {
        (None, _) => {}
        (Some(new), ChannelSettings::Telegram { chat, .. }) => chat.clone_from(new),
        (Some(_), _) => took = false,
    }
    if !took {
        return Err(Error::usage(format!(
            "a channel of the kind {} has no such setting",
            settings.kind()
        )));
    }
    Ok(ChannelSave {
        name: view.channel.name.clone(),
        settings,
        delivery: view.channel.delivery.clone(),
        templates: view.channel.templates.clone(),
        standard: view.channel.standard,
        enabled: view.channel.enabled,
        forget: Vec::new(),
    })
}

fn with_flags(mut save: ChannelSave, args: &ChannelSetArgs, secret: Option<String>) -> Result<ChannelSave> {
    if let Some(name) = &args.name {
        save.name.clone_from(name);
    }
    save.standard = (save.standard || args.standard) && !args.not_standard;
    save.enabled = (save.enabled || args.enabled) && !args.disabled;
    if let Some(secret) = secret {
        match &mut save.settings {
            ChannelSettings::Email { password: it, .. }
            | ChannelSettings::Webhook { url: it, .. }
            | ChannelSettings::Slack { url: it }
            | ChannelSettings::Discord { url: it }
            | ChannelSettings::Teams { url: it }
            | ChannelSettings::Telegram { token: it, .. }
            | ChannelSettings::Ntfy { token: it, .. }
            | ChannelSettings::Gotify { token: it, .. } => *it = secret,
        }
    }
    Ok(save)
}

/// How a notification got on, in a word and a line.
fn state(notice: &Notice) -> (&'static str, Tone, String) {
    match &notice.state {
        NoticeState::Waiting { error, .. } => ("waiting", Tone::Busy, error.clone()),
        NoticeState::Sent { said, .. } => ("sent", Tone::Good, said.clone()),
        NoticeState::Failed { error, .. } => ("failed", Tone::Bad, error.clone()),
    }
}

fn table(out: &Output, channels: &[ChannelView]) -> String {
    let rows = channels.iter().map(|view| {
        let channel = &view.channel;
        let last = match &view.last {
            Some(notice) => {
                let (word, tone, _) = state(notice);
                out.cell(format!("{word} {}", out.ago(notice.notification.at)), tone)
            }
            None => Cell::new("-"),
        };
        let used = match (channel.enabled, channel.standard) {
            (false, _) => "off",
            (true, true) => "standard",
            (true, false) => "on",
        };
        vec![
            Cell::new(&channel.name),
            Cell::new(channel.settings.kind()),
            Cell::new(&view.place),
            Cell::new(used),
            last,
        ]
    });
    out.table(&["NAME", "KIND", "TO", "USED", "LAST"], rows.collect())
}

fn text(view: &ChannelView) -> String {
    let channel = &view.channel;
    let secrets = match view.secrets.is_empty() {
        true => "none".to_owned(),
        false => view.secrets.join(", "),
    };
    let mut text = format!(
        "{} ({})\nkind     {}\nto       {}\nsecrets  {secrets}\nstandard {}\nenabled  {}",
        channel.name,
        channel.id,
        channel.settings.kind(),
        view.place,
        channel.standard,
        channel.enabled
    );
    if let Some(last) = &view.last {
        let (word, _, line) = state(last);
        text.push_str(&format!("\nlast     {word}: {line}"));
    }
    text
}

fn listed(out: &Output, notices: &[NoticeView]) -> String {
    let rows = notices.iter().map(|view| {
        let notification = &view.notice.notification;
        let (word, tone, line) = state(&view.notice);
        let status = match notification.status {
            NoticeStatus::Firing => "firing",
            NoticeStatus::Resolved => "resolved",
            NoticeStatus::Test => "test",
        };
        vec![
            Cell::new(out.ago(notification.at)),
            Cell::new(&view.channel_name),
            Cell::new(status),
            Cell::new(notification.firing),
            Cell::new(notification.resolved),
            out.cell(word, tone),
            Cell::new(view.notice.attempts),
            Cell::new(line),
        ]
    });
    let header = [
        "MADE", "CHANNEL", "STATUS", "FIRE", "ENDED", "STATE", "TRIES", "SAID",
    ];
    out.table(&header, rows.collect())
}
