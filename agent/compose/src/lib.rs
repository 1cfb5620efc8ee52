//! The Compose language: from files to one canonical [`model::Project`], with every problem located.
//!
//! Pure: no file access and no environment of its own. The caller hands both in.
#![forbid(unsafe_code)]

pub mod model;
pub mod units;
