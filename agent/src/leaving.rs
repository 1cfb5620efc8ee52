//! `windflow-agent leave`: the host takes itself out of the fleet, and forgets who it was.

use std::io::Write as _;

use windflow_kit::Clock;
use windflow_model::Code;
use windflow_transport::Network;

use crate::{
    cli::LeaveArgs,
    config,
    enroll::{EnrollError, Identity, leave},
    failure::CommandError,
    joining::{forget, hold, refused},
};

/// Leaves, or says why not. What runs on the host is left alone.
///
/// # Errors
/// The reason with its remedy; without `--force` the identity is then still there.
pub async fn command(args: LeaveArgs, clock: Clock) -> Result<(), CommandError> {
    let dir = config::state_dir(args.state_dir);
    if !dir.exists() {
        return say("this host is not enrolled");
    }
    // A running agent would go on with the identity in its memory.
    let lock = hold(&dir)?;
    let left = match Identity::load(lock.dir()) {
        Ok(None) => {
            forget(lock.dir())?;
            return say("this host is not enrolled");
        }
        Ok(Some(identity)) => leave(&identity, &clock, &Network::default())
            .await
            .map(|()| identity.membership.agent.to_string()),
        Err(error) => Err(error),
    };
    match left {
        Ok(agent) => {
            forget(lock.dir())?;
            say(&format!("{agent} has left the controller"))
        }
        Err(EnrollError::Refused { failure, .. }) if failure.code == Code::AgentRemoved.as_str() => {
            forget(lock.dir())?;
            say("the controller had already removed this host")
        }
        Err(error) if args.force => {
            forget(lock.dir())?;
            say(&format!(
                "{}\nThe identity is deleted, but the controller still lists this host: remove it there \
                 (`windflow agent remove`).",
                refused(&error).report()
            ))
        }
        Err(error) => Err(refused(&error).hint(
            "With --force the identity is deleted all the same; then remove the host on the controller.",
        )),
    }
}

fn say(text: &str) -> Result<(), CommandError> {
    // A stderr that is gone leaves the exit code.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
    Ok(())
}
