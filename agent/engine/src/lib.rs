//! The engine: brings desired revisions of stacks about on one host, alone, whatever happens to the controller.
//!
//! ```text
//! EngineHandle ──command──► Engine::run (owns the lanes) ──► lane of stack a ─┐ observe → plan → execute
//!      ▲                        ▲        │                   lane of stack b ─┤        │
//!      │ held, reports,         │ done   ▼                                    │        ▼
//!      └─ progress, containers  └──── journal (Store) ◄──────────────────────-┘     dyn Target
//! ```
//! - [`order`]: what it is asked and what it says; [`EngineHandle`]: the door; [`EngineOptions`]: how it is made.
//! - [`plan`]: pure: desired project and observed world in, steps with reasons out.
//! - [`targets`]: Docker (and Podman), and a simulated one.
//!
//! The journal is the truth for intent, the target for effect. Nothing here knows the network.
#![forbid(unsafe_code)]

mod command;
mod events;
mod exec;
pub mod files;
mod handle;
mod hooks;
mod journal;
pub mod lifecycle;
mod load;
mod logs;
pub mod oneoff;
mod options;
pub mod order;
pub mod plan;
mod reconcile;
pub mod targets;
mod view;

pub use events::Happened;
pub use exec::{Place, Process, ProcessControl};
pub use files::Files;
pub use handle::{EngineHandle, LogStream};
pub use options::{Engine, EngineError, EngineOptions};
pub use order::{
    Acceptance, ApplyError, ApplyOptions, CancelOutcome, Held, Order, PullMode, RemoveImages, Report,
    Revision, Source, StackProgress,
};
pub use targets::{
    Target,
    docker::{DockerOptions, DockerTarget, PULL_STALL, client_config_dir},
    fake::{FakeOptions, FakeTarget},
};
