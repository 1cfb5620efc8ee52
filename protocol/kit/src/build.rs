//! What this build is.

/// Version of the workspace, e.g. `0.1.0`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Commit the build was made from (`WINDFLOW_COMMIT` at compile time), if the builder said so.
pub const COMMIT: Option<&str> = option_env!("WINDFLOW_COMMIT");

/// Processor architecture, e.g. `x86_64`.
pub const ARCH: &str = std::env::consts::ARCH;

/// Operating system, e.g. `linux`.
pub const OS: &str = std::env::consts::OS;

/// One line for `--version`, logs and the handshake: `0.1.0 (1a2b3c4, linux x86_64)`.
#[must_use]
pub fn describe() -> String {
    match COMMIT {
        Some(commit) => format!("{VERSION} ({commit}, {OS} {ARCH})"),
        None => format!("{VERSION} ({OS} {ARCH})"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn description_starts_with_the_version() {
        assert!(super::describe().starts_with(super::VERSION));
        assert!(super::describe().contains(super::ARCH));
    }
}
