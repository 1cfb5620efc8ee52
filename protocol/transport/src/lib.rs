//! QUIC and TLS for the link: the only crate that knows quinn and rustls.
//!
//! - [`identity`] — keys and certificates: made, kept (0600), read; whose a certificate is.
//! - [`tls`] — TLS 1.3 only, no tickets, no 0-RTT; who trusts whom.
//! - [`endpoint`] — QUIC endpoints of both ends with their measured settings.
//! - [`network`] — this machine's sockets, or those of a simulation.
//! - [`recall`] — how a controller that was killed and is back tells its hosts.
//! - [`streams`] — typed frames over a QUIC stream.
//! - [`enroll`] — the host's side of joining.
#![forbid(unsafe_code)]

pub mod endpoint;
pub mod enroll;
pub mod identity;
pub mod network;
pub mod recall;
pub mod streams;
pub mod tls;

pub use endpoint::{DialError, Lane};
pub use identity::{AgentFacts, HostKey, IdentityError};
pub use network::{Network, SimulatedNetwork};
pub use recall::{Recaller, Recalls};
pub use streams::{FrameReader, FrameWriter, StreamError};

pub use quinn;
