//! The real router over a real store, with hosts that only remember what they were told.

mod access;
mod alerts;
mod audit;
mod bad_input;
mod channel;
mod deploy;
mod fanout;
mod hosts;
mod metrics;
mod plan;
mod rollout;
mod world;
