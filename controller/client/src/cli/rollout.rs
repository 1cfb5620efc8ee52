//! `windflow rollout …`, and how a deploy goes out in waves.

use std::time::Duration;

use clap::{Args, Subcommand};
use windflow_model::{
    RolloutPlan, Selector,
    rollout::{Amount, OnFailure, Pause},
};

use super::value::parse_duration;

/// How a deploy goes out in waves. Any of these makes it a rollout.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Waves")]
pub struct RolloutArgs {
    /// Hosts by label: key=value, key!=value, key, !key, "key in (a,b)"; several with commas must all hold.
    #[arg(long, value_name = "SELECTOR", conflicts_with = "plan")]
    pub selector: Option<Selector>,
    /// Hosts of a group, by its name or id.
    #[arg(long, value_name = "GROUP", conflicts_with = "plan")]
    pub group: Option<String>,
    /// Size of the first wave: a count or a share, e.g. 1 or 10%.
    #[arg(long, value_name = "N|N%", conflicts_with = "plan")]
    pub canary: Option<Amount>,
    /// Size of each further wave: a count or a share of all hosts; all at once if absent.
    #[arg(long, value_name = "N|N%", conflicts_with = "plan")]
    pub wave: Option<Amount>,
    /// What stands between two waves: a time, or `manual` for a person.
    #[arg(long, value_name = "TIME|manual", value_parser = parse_pause, conflicts_with = "plan")]
    pub pause: Option<Pause>,
    /// How long every host of a wave must stay well before the next one; 10s if absent.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, conflicts_with = "plan")]
    pub gate: Option<Duration>,
    /// How long a wave waits for hosts that are not there; 10m if absent.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, conflicts_with = "plan")]
    pub deadline: Option<Duration>,
    /// Most hosts that may fail: a count or a share; none if absent.
    #[arg(long, value_name = "N|N%", conflicts_with = "plan")]
    pub max_failures: Option<Amount>,
    /// What happens when more fail: stop, or take back what was changed.
    #[arg(long, value_name = "stop|rollback", value_parser = parse_on_failure, conflicts_with = "plan")]
    pub on_failure: Option<OnFailure>,
    /// Show who would be in which wave, and do nothing.
    #[arg(long, conflicts_with = "plan")]
    pub show_waves: bool,
}

impl RolloutArgs {
    /// Whether the deploy shall go out in waves.
    #[must_use]
    pub const fn wanted(&self) -> bool {
        self.selector.is_some()
            || self.group.is_some()
            || self.canary.is_some()
            || self.wave.is_some()
            || self.pause.is_some()
            || self.gate.is_some()
            || self.deadline.is_some()
            || self.max_failures.is_some()
            || self.on_failure.is_some()
            || self.show_waves
    }

    /// The plan with what was given.
    #[must_use]
    pub fn plan(&self) -> RolloutPlan {
        let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        let usual = RolloutPlan::default();
        RolloutPlan {
            canary: self.canary,
            wave: self.wave.unwrap_or(usual.wave),
            pause: self.pause.unwrap_or(usual.pause),
            gate_s: self.gate.map_or(usual.gate_s, seconds),
            deadline_s: self.deadline.map_or(usual.deadline_s, seconds),
            max_failures: self.max_failures.unwrap_or(usual.max_failures),
            on_failure: self.on_failure.unwrap_or(usual.on_failure),
        }
    }
}

fn parse_pause(text: &str) -> Result<Pause, String> {
    if text == "manual" {
        return Ok(Pause::Manual);
    }
    let time = parse_duration(text)?;
    Ok(Pause::Time {
        seconds: u32::try_from(time.as_secs()).unwrap_or(u32::MAX),
    })
}

fn parse_on_failure(text: &str) -> Result<OnFailure, String> {
    match text {
        "stop" => Ok(OnFailure::Stop),
        "rollback" => Ok(OnFailure::Rollback),
        _ => Err("use stop or rollback".to_owned()),
    }
}

/// `rollout`. A rollout is named by its id, or by its stack: then the newest one is meant.
#[derive(Debug, Subcommand)]
pub enum RolloutCommand {
    /// List rollouts, newest first.
    #[command(alias = "ls")]
    List {
        /// Only of this stack.
        #[arg(long)]
        stack: Option<String>,
        /// Only in this state; `active` means not yet ended.
        #[arg(long)]
        state: Option<String>,
    },
    /// Show one rollout with its waves and hosts.
    Show {
        /// Id, or name of the stack.
        rollout: String,
    },
    /// Follow a rollout until it ends.
    Watch {
        /// Id, or name of the stack.
        rollout: String,
        /// Longest time to follow, e.g. 5m.
        #[arg(long, value_parser = parse_duration)]
        timeout: Option<Duration>,
    },
    /// Begin nothing new; what has begun goes on.
    Pause {
        /// Id, or name of the stack.
        rollout: String,
    },
    /// Go on where it was paused.
    Resume {
        /// Id, or name of the stack.
        rollout: String,
    },
    /// Begin the next wave now, whatever this one still waits for.
    Promote {
        /// Id, or name of the stack.
        rollout: String,
    },
    /// End a rollout. What it has changed stays, unless --rollback is given.
    Cancel {
        /// Id, or name of the stack.
        rollout: String,
        /// Put every host that it has changed back to what it ran before; also after it has ended.
        #[arg(long)]
        rollback: bool,
        /// Do not ask.
        #[arg(short, long)]
        yes: bool,
    },
}
