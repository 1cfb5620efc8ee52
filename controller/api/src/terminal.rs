//! Terminals.
//!
//! `POST /api/v1/terminals` starts a process on a host and answers with its id; it waits 15 s for somebody to come.
//! `GET /api/v1/terminals/{id}` (WebSocket) attaches to it, as often as its time of grace allows:
//!
//! | direction | message | meaning |
//! |---|---|---|
//! | to the reader | binary: [`STDOUT`] or [`STDERR`], position (8 bytes, big-endian), bytes | output |
//! | to the reader | text: a [`TerminalEvent`] | it runs; output is missing; it is over |
//! | to the controller | binary | what is typed, at most 32 KiB |
//! | to the controller | text: a [`TerminalAction`] | another size; how far the output has arrived; the end of the input; close it |
//!
//! Bytes are passed on as they are: a character may be cut between two messages. Whoever comes back gives the position
//! behind the last byte that they have in `from`.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use windflow_model::{
    AgentId, StackId, TerminalEnd, TerminalId, TerminalOpened, TerminalSize, Timestamp, UserId,
};

/// First byte of a message with standard output, or with all output if there is a terminal.
pub const STDOUT: u8 = 1;
/// First byte of a message with standard error.
pub const STDERR: u8 = 2;
/// Bytes before the output in a message.
pub const OUTPUT_HEAD: usize = 9;
/// Seconds of grace that are usual.
pub const GRACE_S: u32 = 60;

/// Which process to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TerminalCreate {
    /// On this host.
    pub agent: AgentId,
    /// In a container of this stack; needs `service`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<StackId>,
    /// Of this service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Number of the container within its service; without one, the first that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    /// In this container (id or name), instead of `stack` and `service`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// On the host itself, as `user`, instead of in a container. The host's policy names the users for whom this is allowed;
    /// without `user` it is the only one that it names.
    #[serde(default, skip_serializing_if = "is_false")]
    pub host: bool,
    /// Program and arguments; none means a shell of the container, or the login shell of the host's user. No shell reads them.
    #[serde(default)]
    pub command: Vec<String>,
    /// Instead of the container's user; on the host, a user of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Instead of the container's working directory, or of the user's home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// `KEY=value`. Only the keys are in the audit trail.
    #[serde(default)]
    pub env: Vec<String>,
    /// With a terminal.
    #[serde(default)]
    pub tty: bool,
    /// The process can read.
    #[serde(default)]
    pub stdin: bool,
    /// Size of the terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<TerminalSize>,
    /// Seconds the process is kept after its reader was lost, at most 600.
    #[serde(default = "usual_grace")]
    pub grace_s: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_false(value: &bool) -> bool {
    !*value
}

const fn usual_grace() -> u32 {
    GRACE_S
}

/// A terminal that was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TerminalView {
    /// Id.
    pub id: TerminalId,
    /// On which host.
    pub agent: AgentId,
    /// In which container; empty on the host itself.
    pub container: String,
    /// On the host itself: as which user of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_user: Option<String>,
    /// What runs.
    pub command: Vec<String>,
    /// With a terminal.
    pub tty: bool,
    /// Who opened it: only they can type.
    pub user: UserId,
    /// Their name.
    pub user_name: String,
    /// When.
    pub opened_at: Timestamp,
    /// Whether somebody is there to type.
    pub attached: bool,
    /// How many others watch.
    pub watchers: u32,
    /// What it shows is recorded.
    #[serde(default)]
    pub recorded: bool,
    /// How large it is at the one who types, if that is known: what is shown is meant for this size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<TerminalSize>,
}

/// How to attach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct TerminalParams {
    /// Position of the first byte of output that is wanted.
    pub from: u64,
    /// Look only.
    pub watch: bool,
}

/// What happens to a terminal beside its output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TerminalEvent {
    /// It runs; the first message.
    Opened(TerminalOpened),
    /// Output is missing here: it is no longer kept.
    Gap {
        /// Position of the first lost byte.
        from: u64,
        /// How many bytes.
        lost: u64,
    },
    /// So many bytes of input have been taken, counted from the beginning; said now and then. Whoever comes back sends
    /// what lies behind `input` of `opened` again.
    Taken {
        /// Bytes.
        input: u64,
    },
    /// It is over; the last message. Answer it with `close`, or by closing the WebSocket: until then the end is kept for the
    /// time of grace, for a reader whose connection was lost at this moment.
    Ended(TerminalEnd),
    /// The way is open; said every 20 s, for readers that cannot see pings.
    Alive,
    /// It cannot be had any more. Attach again: the process may still be there.
    Lost {
        /// `WF-` and four digits.
        code: String,
        /// What happened.
        message: String,
        /// What to do next.
        hint: String,
    },
}

/// What a reader wants beside typing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TerminalAction {
    /// The terminal has another size.
    Resize(TerminalSize),
    /// Output up to here has arrived (and was drawn). The process is held back while it is too far ahead, so whoever types
    /// says it at least every 32 KiB; those who watch need not.
    Seen {
        /// Position behind the last byte.
        position: u64,
    },
    /// There is no more input.
    EndOfInput,
    /// End the process; behind `ended`: it was heard.
    Close,
}

/// A message with output.
#[must_use]
pub fn output_message(stderr: bool, from: u64, bytes: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(OUTPUT_HEAD + bytes.len());
    message.push(if stderr { STDERR } else { STDOUT });
    message.extend_from_slice(&from.to_be_bytes());
    message.extend_from_slice(bytes);
    message
}

/// Reads a message with output: whether it is standard error, the position of its first byte, its bytes.
#[must_use]
pub fn read_output(message: &[u8]) -> Option<(bool, u64, &[u8])> {
    let (&kind, rest) = message.split_first()?;
    let (position, bytes) = rest.split_first_chunk::<8>()?;
    let stderr = match kind {
        STDOUT => false,
        STDERR => true,
        _ => return None,
    };
    Some((stderr, u64::from_be_bytes(*position), bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_with_output() {
        let check = |stderr: bool, from: u64, bytes: &[u8], hex: &[u8]| {
            let message = output_message(stderr, from, bytes);
            assert_eq!(message, hex);
            assert_eq!(read_output(&message), Some((stderr, from, bytes)));
        };
        check(false, 0, b"", &[1, 0, 0, 0, 0, 0, 0, 0, 0]);
        check(true, 258, b"a\xc3", &[2, 0, 0, 0, 0, 0, 0, 1, 2, b'a', 0xc3]);
        for broken in [&b""[..], &[1, 0, 0], &[3, 0, 0, 0, 0, 0, 0, 0, 0]] {
            assert_eq!(read_output(broken), None, "{broken:?}");
        }
    }
}
