//! What an agent and a controller say to each other, without sockets, tasks or clocks.
//!
//! - One bidirectional control stream per connection, opened by the agent: [`control`] frames both ways, each
//!   length-prefixed ([`codec`]). It begins with [`hello`] and goes through [`session`].
//! - What flows (a log follow, a plan) has a stream of its own, opened by the controller: [`stream`]; so has a
//!   [`terminal`].
//! - Joining and coming back with an expired certificate is one request and one reply on its own ALPN: [`enroll`].
//! - Samples of a host are columns of differences inside a frame: [`metrics`].
//! - [`work`] holds the documents that travel inside frames; [`version`] the versions and their history.
//!
//! postcard is positional: enums here are append-only, a shipped struct never changes (a changed one is a new
//! variant), and whatever evolves travels as [`windflow_model::Doc`]. Golden bytes in the tests hold every variant.
#![forbid(unsafe_code)]

pub mod codec;
pub mod control;
pub mod enroll;
pub mod files;
pub mod hello;
pub mod metrics;
pub mod session;
pub mod stream;
pub mod terminal;
pub mod version;
pub mod work;

pub use codec::{CodecError, Decoded, Decoder, Frame, encode};
pub use control::{AgentFrame, ControllerFrame};
pub use enroll::{EnrollReply, EnrollRequest};
pub use files::{FileInput, FileItem};
pub use hello::{AgentHello, ControllerHello};
pub use stream::{LogLine, StreamItem, StreamOpen};
pub use terminal::{TerminalInput, TerminalItem};
pub use version::{ALPN_CONTROL, ALPN_ENROLL, Version, VersionRange};
pub use work::{Assignment, AssignmentHead, Held, HeldList, Report, Withdrawal};
