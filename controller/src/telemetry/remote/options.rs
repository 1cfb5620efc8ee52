//! What remote write is told by the configuration.

use std::{path::PathBuf, time::Duration};

/// Where to, as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteWriteOptions {
    /// Where the store takes requests.
    pub url: String,
    /// How it knows us.
    pub credentials: Credentials,
    /// Labels that every series gets, with their values.
    pub labels: Vec<(String, String)>,
    /// How long samples may wait for the store.
    pub backlog: Duration,
}

/// How a store knows us. Files are read anew for each round, so they can be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Not at all.
    None,
    /// `Authorization: Bearer` with what is in this file.
    Bearer(PathBuf),
    /// `Authorization: Basic` with this user and the password in this file.
    Basic(String, PathBuf),
}
