//! The controller's end of the link.
pub mod handle;
pub mod home;
mod registry;

pub use handle::{FleetHandle, LogStream};
pub use home::{
    Assignment, EnrolGrant, EnrolRequest, Held, HeldList, Home, HomeError, KeyHash, Refusal, Report,
    SessionFacts, Withdrawal,
};
