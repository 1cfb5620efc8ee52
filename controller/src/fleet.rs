//! The controller's end of the link.
//!
//! ```text
//! UDP ─▶ endpoint.accept ─▶ gate (pace, places, proof of address) ─▶ handshake tasks
//!                             ├─ enrolment lane: 32 at once, a pace of its own; one request, one reply
//!                             └─ control lane: hello, admit ─▶ Greeted
//! Fleet::run = the one owner: sessions by agent ◄─ Greeted · Command (mpsc 256) ◄─ FleetHandle · ended sessions
//!   └─ one session task per agent: frames ⇄ Home; nudge (Notify), presence (watch)
//! ```
//! No durable state lives here; [`Home`] has it. A panic in a session ends that session.

pub mod admission;
pub mod handle;
pub mod home;

mod enroll;
mod figures;
mod files;
mod listener;
mod registry;
mod session;
mod streams;
mod terminal;

pub use admission::AdmissionOptions;
pub use files::FileBytes;
pub use handle::{FleetHandle, LogStream};
pub use home::{
    Answer, Assignment, EnrolGrant, EnrolRequest, Held, HeldList, Home, HomeError, KeyHash, Refusal, Report,
    SessionFacts, Withdrawal, Work,
};
pub use registry::{Fleet, FleetError, FleetOptions};
pub use terminal::{Shown as TerminalShown, TerminalOutput, TerminalStream, TerminalTyping};
