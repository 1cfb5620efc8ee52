//! The controller: desired state of the fleet, its queue, its API and the link to its hosts.
#![forbid(unsafe_code)]

pub mod ca;
pub mod fleet;
