//! The controller: desired state of the fleet, its queue, its API and the link to its hosts.
#![forbid(unsafe_code)]

pub mod app;
mod auth;
pub mod ca;
pub mod cli;
pub mod config;
pub mod context;
pub mod egress;
pub mod event_log;
pub mod fleet;
pub mod http;
pub mod jobs;
pub mod notify;
pub mod plane;
mod port;
pub mod recordings;
pub mod serve;
mod tasks;
pub mod telemetry;
mod ui;
pub mod vault;
