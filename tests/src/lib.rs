//! End-to-end tests with the real binaries.
#![forbid(unsafe_code)]
