//! What the Docker target asks an engine, held against what docker compose 2.40.3 asks for the same project.
//!
//! `requests/cases/NAME` holds a project and, for each version of the API, the requests that real Compose made to the
//! simulated engine of `windflow-tests`. A file `deliberate-API.json` in their place is a difference that is meant;
//! its first line says why. Record with the real tool:
//! `WINDFLOW_COMPOSE=/path/docker-compose cargo nextest run -p windflow-engine --test requests --run-ignored only`

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]

#[path = "requests/cases.rs"]
mod cases;
#[path = "requests/normal.rs"]
mod normal;
