//! `windflow-agent enroll`: joins a controller with a one-use token that is never an argument.

mod prompt;

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write as _},
    path::Path,
    time::Duration,
};

use tokio::time::Instant;
use windflow_kit::{Chain, Clock, DirLock, Random, Secret};
use windflow_transport::Network;

use crate::{
    cli::EnrollArgs,
    config,
    enroll::{EnrollError, Identity, JoinRequest, join},
    failure::CommandError,
    host,
};

/// Files of an identity, in the order in which they may go: without the last named it has not joined.
const FILES: [&str; 5] = [
    "controller.toml",
    "controller.epoch",
    "agent.crt",
    "ca.pem",
    "agent.key",
];

/// How long a host waits for its turn to join.
const TURN_WITHIN: Duration = Duration::from_secs(15 * 60);
/// Most that is read of a file that holds a token, bytes.
const MAX_TOKEN_TEXT: u64 = 4_096;

/// Joins, or says why not.
///
/// # Errors
/// The reason with its remedy; the state directory then holds no identity it did not hold before.
pub async fn command(
    args: EnrollArgs,
    clock: Clock,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<(), CommandError> {
    let labels = labels(&args.labels)?;
    let dir = config::state_dir(args.state_dir);
    // Held for the length of the command: a running agent would not notice its new identity.
    let lock = hold(&dir)?;
    match Identity::load(lock.dir()) {
        Ok(Some(held)) if !args.force_reenroll => {
            let controller = held.membership.addresses.first().cloned().unwrap_or_default();
            return Err(CommandError::failed(format!(
                "this host has joined the controller {controller} as {}",
                held.membership.agent
            ))
            .hint(
                "Give --force-reenroll to throw that identity away; its record stays on the old controller.",
            ));
        }
        Ok(None) => {}
        // A damaged identity can be replaced, on request.
        Ok(Some(_)) | Err(_) if args.force_reenroll => forget(lock.dir())?,
        Ok(Some(_)) => {}
        Err(error) => return Err(refused(&error)),
    }
    let hostname = host::hostname();
    let request = JoinRequest {
        address: args.controller,
        pins: args.ca_pin.split(',').map(|pin| pin.trim().to_owned()).collect(),
        token: token(args.token_file.as_deref(), variable)?,
        name: args.name,
        hostname,
        labels,
    };
    let identity = join_in_turn(lock.dir(), &request, &clock)
        .await
        .map_err(|error| refused(&error))?;
    // A stderr that is gone leaves the exit code.
    let _ = writeln!(
        std::io::stderr().lock(),
        "enrolled as {} at {}",
        identity.membership.agent,
        identity.membership.addresses.join(", ")
    );
    Ok(())
}

/// Joins; where many hosts join at once, when the controller says that it is this one's turn.
async fn join_in_turn(dir: &Path, request: &JoinRequest, clock: &Clock) -> Result<Identity, EnrollError> {
    let began = Instant::now();
    loop {
        let error = match join(dir, request.clone(), clock, &Network::default()).await {
            Ok(identity) => return Ok(identity),
            Err(error) => error,
        };
        let asked = error.stay_away();
        if asked.is_zero() || began.elapsed() + asked > TURN_WITHIN {
            return Err(error);
        }
        let jitter = Random::system().up_to(u64::try_from(asked.as_millis() / 4).unwrap_or(0));
        let wait = asked + Duration::from_millis(jitter);
        // A stderr that is gone leaves the exit code.
        let _ = writeln!(
            io::stderr().lock(),
            "the controller lets other hosts go first; trying again in {} s",
            wait.as_secs()
        );
        tokio::time::sleep(wait).await;
    }
}

/// Takes the state directory, which a running agent holds.
pub(crate) fn hold(dir: &Path) -> Result<DirLock, CommandError> {
    DirLock::acquire(dir)
        .map_err(|error| CommandError::failed(Chain(&error).to_string().replace("--data-dir", "--state-dir")))
}

pub(crate) fn refused(error: &EnrollError) -> CommandError {
    let exit = match error {
        EnrollError::Pin(_) => 2,
        EnrollError::Refused { .. } => 3,
        EnrollError::PinMismatch { .. } | EnrollError::Resolve { .. } | EnrollError::Unreachable { .. } => 5,
        _ => 1,
    };
    CommandError {
        exit,
        ..CommandError::failed(Chain(error).to_string())
    }
}

/// Deletes an identity, if there is one.
pub(crate) fn forget(dir: &Path) -> Result<(), CommandError> {
    for name in FILES {
        match fs_err::remove_file(dir.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(CommandError::failed(Chain(&error).to_string()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// From the file (`-` is stdin), else `WINDFLOW_TOKEN`, else asked for on the terminal: stdin may be the installer's
/// script, so it is read only on request.
fn token(
    file: Option<&Path>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Secret<String>, CommandError> {
    let text = if file == Some(Path::new("-")) {
        let mut text = String::new();
        let read = io::stdin().lock().take(MAX_TOKEN_TEXT).read_to_string(&mut text);
        read.map_err(|error| CommandError::usage(format!("stdin cannot be read: {error}")))?;
        text
    } else if let Some(file) = file {
        fs_err::read_to_string(file).map_err(|error| CommandError::usage(Chain(&error).to_string()))?
    } else if let Some(token) = variable("WINDFLOW_TOKEN").filter(|token| !token.is_empty()) {
        token
    } else {
        ask()?
    };
    let token = text.lines().next().unwrap_or_default().trim().to_owned();
    if token.starts_with("wfj_") {
        return Ok(Secret::new(token));
    }
    Err(
        CommandError::usage("that is no enrolment token: it begins with wfj_")
            .hint("Create one with `windflow agent token create`, or in the web UI under \"Add a host\"."),
    )
}

fn ask() -> Result<String, CommandError> {
    let nobody = || {
        CommandError::usage("there is no terminal to ask for the enrolment token")
            .hint("Give it with --token-file FILE (`-` is stdin) or in WINDFLOW_TOKEN.")
    };
    let terminal = fs_err::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .map_err(|_| nobody())?;
    prompt::secret(&terminal, "Enrolment token: ").map_err(|error| match error.kind() {
        io::ErrorKind::Interrupted => CommandError::failed("interrupted; nothing has changed"),
        _ => nobody(),
    })
}

fn labels(texts: &[String]) -> Result<BTreeMap<String, String>, CommandError> {
    let mut labels = BTreeMap::new();
    for text in texts.iter().filter(|text| !text.is_empty()) {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => labels.insert(key.to_owned(), value.to_owned()),
            _ => {
                return Err(CommandError::usage(format!(
                    "`{text}` is no label: use KEY=VALUE"
                )));
            }
        };
    }
    Ok(labels)
}
