//! Plans that were made before and shall be carried out as they are.

use std::{collections::BTreeMap, sync::Arc};

use windflow_api::AgentPin;
use windflow_model::{AgentId, Pin};

use super::{AppError, AppResult, mint::CHUNK};

/// The plans that hosts shall carry out, by host.
pub(crate) type Pins = Arc<BTreeMap<AgentId, Pin>>;

/// By host; a host has one.
pub(crate) fn of(named: Vec<AgentPin>) -> AppResult<Pins> {
    let count = named.len();
    let pins: BTreeMap<AgentId, Pin> = named.into_iter().map(|held| (held.agent, held.pin)).collect();
    if pins.len() != count {
        return Err(AppError::bad("pins: a host is named twice"));
    }
    Ok(Arc::new(pins))
}

/// Plans are carried out on the hosts they were made on, within what one transaction holds.
pub(crate) fn check(pins: &BTreeMap<AgentId, Pin>, agents: &[AgentId]) -> AppResult<()> {
    if agents.len() > CHUNK {
        return Err(AppError::bad(format!(
            "pins: at most {CHUNK} hosts at once can carry out a plan that was made before"
        )));
    }
    if pins.keys().any(|agent| !agents.contains(agent)) {
        return Err(AppError::bad(
            "pins: a plan is of a host that is not among agents",
        ));
    }
    if agents.iter().any(|agent| !pins.contains_key(agent)) {
        return Err(AppError::bad("pins: every host needs its plan, or none"));
    }
    if pins.values().any(|pin| !pin.is_reasonable() || pin.is_empty()) {
        return Err(AppError::bad("pins: give them back as the plan had them"));
    }
    Ok(())
}
