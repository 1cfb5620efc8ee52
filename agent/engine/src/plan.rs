//! The pure part: what must be done to get from the observed world to the desired project, and why.

pub mod labels;
