//! The agent of a host: runs stacks under a controller (feature `link`) or alone.
//!
//! - [`cli`], [`config`], [`failure`] — command line, settings, how commands fail.
//! - [`tasks`] — the life of the daemon; [`status`] — what it says about itself; [`host`] — what it found.
//! - [`doctor`] — checks with remedies. [`policy`] — what the host's owner lets a controller do.
//! - [`local`] — docker compose's commands on the engine in this process, without a controller.
//! - [`sampler`] — measures the host and its containers; [`local::top`] shows it.
//! - [`exposition`] — the newest sample for Prometheus, if the host's owner wants it.
//! - [`enroll`], [`link`] (feature `link`) — joining a controller and staying connected;
//!   [`joining`] and [`leaving`] are the commands. [`terminals`] — processes that people sit in front of.
#![forbid(unsafe_code)]

pub mod cli;
pub mod config;
pub mod doctor;
#[cfg(feature = "link")]
pub mod enroll;
#[cfg(feature = "link")]
pub mod events;
pub mod exposition;
pub mod failure;
pub mod host;
pub mod host_terminal;
#[cfg(feature = "link")]
pub mod joining;
#[cfg(feature = "link")]
pub mod leaving;
#[cfg(feature = "link")]
pub mod link;
pub mod local;
pub mod policy;
#[cfg(feature = "link")]
pub mod proof;
pub mod sampler;
pub mod status;
pub mod tasks;
#[cfg(feature = "link")]
pub mod terminals;
#[cfg(feature = "link")]
mod transfers;
