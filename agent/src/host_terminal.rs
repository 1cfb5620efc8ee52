//! Terminals on the host itself: a login shell, or a command, as a user of the host.
//!
//! The agent is root without capabilities and must not become able to change user. So the process is started by a small
//! privileged part, `windflow-agent host-terminal`, one for each terminal:
//!
//! ```text
//! agent: Terminals ── opener ══ unix stream socket, frames of wire ══ part (root) ── PTY, or three pipes ── shell
//!                                                                      │ reads the host's policy itself
//!                                                                      └ enter: new session, terminal, groups, user, exec
//! ```
//! systemd starts the part for a connection to [`SOCKET`], if the host's owner has enabled that. Where there is no such
//! socket, the agent starts the part itself: enough for an agent that has the right to change user, as one started by
//! hand has. When the socket closes, whoever closed it, everything in the session is hung up on, then killed.
//!
//! - [`wire`]: the frames; [`account`]: users and groups; [`part`], [`child`], [`session`]: the privileged part;
//!   [`enter`]: what becomes the shell; [`opener`]: the agent's end.

mod account;
mod child;
mod enter;
#[cfg(feature = "link")]
mod opener;
mod part;
mod session;
mod wire;

use std::path::PathBuf;

use clap::Args;

pub use enter::enter;
#[cfg(feature = "link")]
pub(crate) use opener::{Control, Input, Opener};
pub use part::serve;

/// Where systemd listens for the agent (`windflow-host-terminal.socket`).
pub const SOCKET: &str = "/run/windflow-host-terminal.sock";
/// What the owner of a host runs to allow it.
const ENABLE: &str = "systemctl enable --now windflow-host-terminal.socket";

/// `host-terminal`. Nobody types it: systemd does, or the agent.
#[derive(Debug, Clone, Args)]
pub struct HostTerminalArgs {
    /// The host's policy.
    #[arg(long, default_value = crate::policy::DEFAULT_FILE)]
    pub policy: PathBuf,
    /// Directory of passwd and group.
    #[arg(long, default_value = account::FILES)]
    pub accounts: PathBuf,
    /// Become the process that is told on standard input.
    #[arg(long)]
    pub exec: bool,
}
