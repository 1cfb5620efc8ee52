//! Error codes that users see, each with its help text beside it.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $hint:literal;)*) => {
        /// A stable code for a class of failure. The number never changes its meaning and is never reused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// All codes, for the reference page and for parsing.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The code as text, `WF-` and four digits.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => concat!("WF-", $number),)* }
            }

            /// What the reader can do about it.
            #[must_use]
            pub const fn hint(self) -> &'static str {
                match self { $(Self::$name => $hint,)* }
            }
        }
    };
}

codes! {
    // 1xxx: the request
    /// The request body or a parameter is not valid.
    BadRequest = "1001", "Correct the field that the message names and send the request again.";
    /// No or no valid credentials.
    Unauthenticated = "1002", "Sign in again; a session or token may have expired or been ended.";
    /// Signed in, but not allowed.
    Forbidden = "1003", "Ask an administrator for the right that the message names.";
    /// No such object in this organisation.
    NotFound = "1004", "Check the id or name; list the objects to see what exists.";
    /// The object was changed meanwhile, or its name is taken.
    Conflict = "1005", "Load the object again and repeat the change.";
    /// `If-Match` is missing on a change.
    PreconditionRequired = "1006", "Send the version you read in the If-Match header.";
    /// Too many requests.
    RateLimited = "1007", "Wait for the time in Retry-After, then try again.";
    /// The body is larger than the route allows.
    TooLarge = "1008", "Make the body smaller; the limit is in the message.";
    /// Something failed inside the controller.
    Internal = "1009", "Try again; if it persists, look for the request id in the controller's log.";
    /// The setup code is wrong, used or expired.
    SetupCode = "1010", "Read the current code from the controller's console or its data directory (file setup-code).";
    /// The first administrator was made already.
    SetupDone = "1011", "Sign in with `windflow login`, or in the web UI.";
    /// The disk of the controller's data directory is full.
    StoreFull = "1012", "Free space on the controller's disk; reads go on, and changes work again at once.";
    /// The controller's store cannot be used.
    StoreUnavailable = "1013", "Look for the request id in the controller's log: it says what is wrong with the store.";
    // 2xxx: deployments
    /// The Compose project has problems.
    ComposeInvalid = "2001", "Correct the lines that the message names; `windflow stack plan` checks without deploying.";
    /// An image could not be pulled.
    ImagePull = "2002", "Check the image name and tag, and that the host can reach and sign in to the registry.";
    /// A published port is taken on the host.
    PortTaken = "2003", "Choose another host port, or stop what uses it.";
    /// The name of a container, network or volume is used by something else.
    NameTaken = "2004", "Rename it in the Compose file, or remove the other object.";
    /// The engine refused or failed a request.
    Engine = "2005", "Read the engine's message; `windflow-agent doctor` checks the engine on that host.";
    /// The engine cannot be reached.
    EngineUnreachable = "2006", "Start the engine and check its socket and the agent's right to it: `windflow-agent doctor`.";
    /// A container did not run or did not become healthy in time.
    Unhealthy = "2007", "Look at the container's last log lines and its health check.";
    /// A container ended although it should run.
    ContainerExited = "2008", "Look at the container's exit code and its last log lines.";
    /// The host's own policy forbids it.
    PolicyRefused = "2009", "The owner of the host can change /etc/windflow/policy.toml; the controller cannot.";
    /// The stack's name is held on this host by another stack.
    StackNameHeld = "2010", "Rename the stack, or remove the other one from this host first.";
    /// The host holds a newer revision than the one offered.
    Diverged = "2011", "Compare both revisions; deploy a new revision to take over deliberately.";
    /// The host's disk is full.
    DiskFull = "2012", "Free space on the host (old images are a good start), then deploy again.";
    /// The world changed between plan and execution.
    WorldMoved = "2013", "Plan again and look at the difference.";
    /// The engine is too old or too new for a key.
    EngineVersion = "2014", "Update the engine, or remove the key that the message names.";
    /// A key is understood but not carried out.
    Unsupported = "2015", "Remove the key, or use one of the alternatives in the documentation.";
    /// The image's build failed.
    BuildFailed = "2016", "Read the build output above; build the image on the host by hand to reproduce it.";
    /// Something on the host's side failed that fits no other code.
    HostFailure = "2017", "Read the message; `windflow-agent doctor` checks the host.";
    // 3xxx: hosts and the link
    /// The host is not connected.
    AgentOffline = "3001", "Start the agent on the host; queued deployments are delivered when it is back.";
    /// The host did not answer in time.
    AgentTimeout = "3002", "Try again; if it persists, look at the agent's log on the host.";
    /// The enrolment token is unknown, used, revoked or expired.
    TokenInvalid = "3003", "Create a new token (`windflow agent token create`) and enrol within its time.";
    /// The controller's key is not the pinned one.
    PinMismatch = "3004", "Take the pin from the controller you mean to trust; do not go on if it changed unexpectedly.";
    /// Both sides have no protocol version in common.
    ProtocolVersion = "3005", "Update the older side; an agent works with controllers up to two versions away.";
    /// The clocks of host and controller are too far apart for certificates.
    ClockSkew = "3006", "Set the clock on the host (for example with NTP), then try again.";
    /// The host was removed from the controller.
    AgentRemoved = "3007", "Enrol the host again with a new token if it shall come back.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A failure as users see it: code, what happened, what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Failure {
    /// `WF-` and four digits; text, so that an older reader can show a newer code.
    pub code: String,
    /// What happened: operation, thing, cause.
    pub message: String,
    /// What to do next.
    #[serde(default)]
    pub hint: String,
    /// The container that did not do what it should, if one is the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Box<FailedCheck>>,
}

/// What a container did not pass, and what it said last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct FailedCheck {
    /// Its service.
    pub service: String,
    /// Its name.
    pub container: String,
    /// What it did not pass.
    pub kind: CheckKind,
    /// What was seen, e.g. `is unhealthy` or `ended with exit code 3`.
    pub seen: String,
    /// The health check's command, if it has one.
    #[serde(default)]
    pub command: Option<String>,
    /// Exit code of the health check's last run, or of the container.
    #[serde(default)]
    pub exit_code: Option<i64>,
    /// What the health check's last run said; at most 1 KiB.
    #[serde(default)]
    pub output: String,
    /// The container's last lines of output, oldest first; at most 10.
    #[serde(default)]
    pub log: Vec<String>,
}

/// What a container can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CheckKind {
    /// Its health check.
    Health,
    /// Staying up.
    Exit,
    /// Staying up without being restarted.
    Restarts,
    /// Coming up in time.
    Time,
}

impl Failure {
    /// A failure with the hint of its code.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code: code.as_str().to_owned(),
            message: message.into(),
            hint: code.hint().to_owned(),
            check: None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_every_hint_is_a_sentence() {
        let mut seen: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!(
                code.hint().ends_with(|c: char| c == '.' || c.is_alphanumeric()),
                "{code}"
            );
        }
    }
}
