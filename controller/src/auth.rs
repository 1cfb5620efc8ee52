//! Credentials: passwords, secrets, the setup code and the limits on guessing.

pub(crate) mod limit;
pub(crate) mod password;
pub(crate) mod secret;
pub(crate) mod setup;
