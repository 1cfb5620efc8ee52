//! The Compose language: from files to one canonical [`model::Project`], with every problem located.
//!
//! Pure: no file access and no environment of its own. The caller hands both in ([`files::Files`], [`load::LoadRequest`]).
#![forbid(unsafe_code)]

mod canonical;
mod cast;
pub mod collect;
pub mod config;
pub mod discover;
pub mod dotenv;
pub mod files;
pub mod interpolate;
pub mod load;
mod merge;
pub mod model;
pub mod name;
pub mod print;
mod problem;
mod shape;
pub mod support;
pub mod units;
mod yaml;

pub use files::{Files, MemoryFiles};
pub use load::{LoadRequest, Loaded, Location, Source, draft, load};
pub use problem::Problem;
