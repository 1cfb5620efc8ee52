//! Logs of a process: on stderr, so that stdout stays free for piped data.

use std::io::IsTerminal as _;

use tracing_subscriber::{filter::Targets, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// Environment variable with the filter, e.g. `info,windflow_engine=debug`.
pub const FILTER_VARIABLE: &str = "WINDFLOW_LOG";

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// [`Format::Human`] on a terminal, [`Format::Json`] otherwise.
    #[default]
    Auto,
    /// One readable line per event, coloured on a terminal.
    Human,
    /// One JSON object per line.
    Json,
}

/// Why tracing could not start.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The filter is not understood.
    #[error("log filter `{filter}` is not valid; use levels like `info` or `info,windflow_engine=debug`")]
    Filter {
        /// The text given.
        filter: String,
        /// What the parser says.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// Something else in this process has already taken over tracing.
    #[error("tracing was started twice in one process")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
}

/// Starts tracing for the whole process. The filter is `WINDFLOW_LOG` if set and not empty, else `default_filter`.
///
/// # Errors
/// [`TraceError`]: the filter is wrong, or tracing was already started.
pub fn init(default_filter: &str, format: Format) -> Result<(), TraceError> {
    let text = std::env::var(FILTER_VARIABLE).unwrap_or_default();
    let text = if text.trim().is_empty() {
        default_filter
    } else {
        text.trim()
    };
    // Targets, not EnvFilter: that one carries a regular expression engine into every program.
    let filter: Targets = text.parse().map_err(|source| TraceError::Filter {
        filter: text.to_owned(),
        source,
    })?;
    let terminal = std::io::stderr().is_terminal();
    let json = format == Format::Json || (format == Format::Auto && !terminal);
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(terminal && !json);
    let registry = tracing_subscriber::registry().with(filter);
    if json {
        registry
            .with(lines.json().flatten_event(true))
            .try_init()
            .map_err(TraceError::Twice)
    } else {
        registry
            .with(lines.with_target(false))
            .try_init()
            .map_err(TraceError::Twice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_filter_is_named_and_a_second_start_refused() {
        let error = init("windflow=loud", Format::Human).unwrap_err();
        assert!(error.to_string().contains("windflow=loud"), "{error}");
        init("off", Format::Json).unwrap();
        assert!(matches!(init("off", Format::Auto), Err(TraceError::Twice(_))));
    }
}
