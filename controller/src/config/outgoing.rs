//! Settings of what the controller calls.

use std::{path::PathBuf, time::Duration};

use windflow_kit::settings::Settings;
use windflow_model::metrics::text::LABELS;

use crate::{
    egress::{Allow, EgressOptions, Request},
    telemetry::remote::{Credentials, RemoteWriteOptions},
};

pub(super) fn egress(settings: &mut Settings) -> EgressOptions {
    let allow = Allow::read(&settings.list("egress_allow")).unwrap_or_else(|problems| {
        for problem in problems {
            settings.problem("egress_allow", &problem);
        }
        Allow::default()
    });
    EgressOptions {
        allow,
        ca_file: settings.value("egress_ca_file", |text| Ok(PathBuf::from(text))),
    }
}

/// Where metrics are sent; `None` if they are not. Without a URL the other settings say nothing.
pub(super) fn remote_write(settings: &mut Settings, kept_days: u32) -> Option<RemoteWriteOptions> {
    let url = settings.value("remote_write_url", |text| {
        let usable = Request::new(hyper::Method::POST, text).map_err(|error| error.to_string());
        usable.map(|_| text.to_owned())
    });
    let file = |text: &str| Ok(PathBuf::from(text));
    let token = settings.value("remote_write_token_file", file);
    let user = settings.value("remote_write_user", |text| match text.contains(':') {
        true => Err("a user's name must not hold a colon".to_owned()),
        false => Ok(text.to_owned()),
    });
    let password = settings.value("remote_write_password_file", file);
    let credentials = match (token, user, password) {
        (None, None, None) => Credentials::None,
        (Some(token), None, None) => Credentials::Bearer(token),
        (None, Some(user), Some(password)) => Credentials::Basic(user, password),
        (Some(_), _, _) => {
            settings.problem(
                "remote_write_token_file",
                "a token, or a user with a password; not both",
            );
            Credentials::None
        }
        (None, _, _) => {
            settings.problem(
                "remote_write_user",
                "user and remote_write_password_file need each other",
            );
            Credentials::None
        }
    };
    let mut labels: Vec<(String, String)> = Vec::new();
    for entry in settings.list("remote_write_labels") {
        match label(&entry) {
            Ok((name, _)) if labels.iter().any(|(known, _)| *known == name) => {
                settings.problem("remote_write_labels", &format!("{name:?} is there twice"));
            }
            Ok(label) => labels.push(label),
            Err(problem) => settings.problem("remote_write_labels", &format!("{entry:?} {problem}")),
        }
    }
    let hours = settings.value("remote_write_backlog_h", |text| match text.parse() {
        Ok(hours @ 1..=720) => Ok(hours),
        _ => Err(format!("{text:?} is not a number between 1 and 720")),
    });
    let hours = hours.unwrap_or(24).min(u64::from(kept_days) * 24);
    Some(RemoteWriteOptions {
        url: url?,
        credentials,
        labels,
        backlog: Duration::from_secs(hours * 3_600),
    })
}

fn label(entry: &str) -> Result<(String, String), String> {
    let (name, value) = entry.split_once('=').ok_or("is not NAME=VALUE")?;
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(fits) || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err("has a name that is none: letters, digits and _ only".to_owned());
    }
    if name.starts_with("__") || LABELS.contains(&name) {
        return Err("has a name that series have already".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use windflow_kit::settings::SettingsError;

    use super::{super::table::SETTINGS, *};

    fn read(variables: &[(&str, &str)]) -> Result<Option<RemoteWriteOptions>, SettingsError> {
        let mut settings = Settings::new(SETTINGS);
        settings.environment(&|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        });
        let found = remote_write(&mut settings, 2);
        settings.finish().map(|()| found)
    }

    #[test]
    fn remote_write_settings() {
        const URL: (&str, &str) = ("WINDFLOW_REMOTE_WRITE_URL", "http://127.0.0.1:9090/api/v1/write");
        assert_eq!(read(&[]).unwrap(), None);
        let found = read(&[
            URL,
            ("WINDFLOW_REMOTE_WRITE_LABELS", "site=lyon,env="),
            ("WINDFLOW_REMOTE_WRITE_BACKLOG_H", "100"),
            ("WINDFLOW_REMOTE_WRITE_TOKEN_FILE", "/run/token"),
        ]);
        let found = found.unwrap().unwrap();
        assert_eq!(found.labels[0], ("site".to_owned(), "lyon".to_owned()));
        assert_eq!(
            found.backlog,
            Duration::from_secs(48 * 3_600),
            "no longer than samples are kept"
        );
        assert_eq!(found.credentials, Credentials::Bearer("/run/token".into()));
        let check = |name: &str, value: &str, says: &str| {
            let error = read(&[(name, value), URL]).unwrap_err().to_string();
            assert!(error.contains(says), "{name}={value}: {error}");
        };
        check("WINDFLOW_REMOTE_WRITE_URL", "ftp://store", "only http");
        check("WINDFLOW_REMOTE_WRITE_USER", "a", "need each other");
        check("WINDFLOW_REMOTE_WRITE_PASSWORD_FILE", "/a", "need each other");
        check("WINDFLOW_REMOTE_WRITE_LABELS", "host=x", "already");
        check("WINDFLOW_REMOTE_WRITE_LABELS", "__x=x", "already");
        check("WINDFLOW_REMOTE_WRITE_LABELS", "1x=x", "none");
        check("WINDFLOW_REMOTE_WRITE_LABELS", "x", "NAME=VALUE");
        check("WINDFLOW_REMOTE_WRITE_LABELS", "x=1,x=2", "twice");
        check("WINDFLOW_REMOTE_WRITE_BACKLOG_H", "0", "between 1 and 720");
    }
}
