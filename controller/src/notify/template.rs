//! The channel's own words: Jinja templates, within bounds.

use std::io;

use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value, value::Serde};
use serde::Serialize;
use windflow_model::{Timestamp, alert::Notification};

use super::{sandbox, words::moment};

/// Steps of one rendering.
const FUEL: u64 = 200_000;
/// Most bytes that a template makes.
const MOST: usize = 64 << 10;

/// What templates see: the notification as in JSON, and WindFlow's own words.
#[derive(Serialize)]
pub(super) struct Context<'a> {
    /// The notification.
    #[serde(flatten)]
    pub(super) notification: &'a Notification,
    /// WindFlow's own title.
    pub(super) title: &'a str,
    /// WindFlow's own text.
    pub(super) text: &'a str,
}

/// Renders one template. The error says where and what, in a line.
pub(super) fn render(name: &'static str, source: &str, context: &Context<'_>) -> Result<String, String> {
    sandbox::check(source).map_err(|(line, what)| format!("the {name} template, line {line}: {what}"))?;
    let told = |error: &Error| {
        let line = error.line().unwrap_or(1);
        let what = error.detail().map_or_else(
            || error.kind().to_string(),
            |detail| format!("{}: {detail}", error.kind()),
        );
        format!("the {name} template, line {line}: {what}")
    };
    let environment = environment();
    let template = environment
        .template_from_str(source)
        .map_err(|error| told(&error))?;
    let mut out = Bounded::default();
    match template.render_captured_to(Value::from(Serde(context)), &mut out) {
        Ok(_) => String::from_utf8(out.text).map_err(|_| format!("the {name} template made no text")),
        Err(_) if out.full => Err(format!("the {name} template makes more than 64 KiB")),
        Err(error) => Err(told(&error)),
    }
}

/// Whether a text is JSON.
pub(super) fn json(text: &str) -> Result<(), String> {
    serde_json::from_str::<serde::de::IgnoredAny>(text)
        .map(drop)
        .map_err(|error| format!("the body template makes no JSON: {error}"))
}

/// Only what is needed, and of that only what can neither double text nor compare for ever; see [`sandbox`].
fn environment() -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.add_test("defined", minijinja::tests::is_defined);
    environment.add_test("undefined", minijinja::tests::is_undefined);
    environment.add_filter("length", minijinja::filters::length);
    environment.add_filter("default", minijinja::filters::default);
    environment.add_filter("first", minijinja::filters::first);
    environment.add_filter("last", minijinja::filters::last);
    environment.add_filter("items", minijinja::filters::items);
    environment.add_filter("upper", |text: &str| text.to_uppercase());
    environment.add_filter("lower", |text: &str| text.to_lowercase());
    environment.add_filter("trim", |text: &str| text.trim().to_owned());
    environment.add_filter("truncate", |text: &str, most: usize| -> String {
        text.chars().take(most).collect()
    });
    environment.add_filter("time", time);
    environment.add_filter("tojson", to_json);
    environment
}

/// A moment as it is in JSON, for people.
fn time(at: &Value) -> Result<String, Error> {
    let found = at.as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok());
    let found = found.ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidOperation,
            "`time` takes a moment such as `at` or `since`",
        )
    })?;
    Ok(moment(Timestamp::from_millis(found.as_millisecond())))
}

/// A value as JSON, e.g. a text with its quotes.
fn to_json(value: &Value) -> Result<Value, Error> {
    let mut out = Bounded::default();
    serde_json::to_writer(&mut out, value)
        .map_err(|_| Error::new(ErrorKind::InvalidOperation, "this cannot be written as JSON"))?;
    let text = String::from_utf8(out.text).unwrap_or_default();
    Ok(Value::from_safe_string(text))
}

/// Takes so much and no more.
#[derive(Default)]
struct Bounded {
    text: Vec<u8>,
    full: bool,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.text.len() + bytes.len() > MOST {
            self.full = true;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
