//! The flags of `up` that say what shall count as good, and what becomes of a revision that is not.

use std::time::Duration;

use clap::Args;
use windflow_model::{DeployPolicy, ReplaceOrder};

use crate::cli::parse_duration;

/// Longest watch, as the policy of a stack has it.
const WATCH: u64 = 3_600;
/// Longest wait for health, as the policy of a stack has it.
const HEALTH: u64 = 86_400;

/// For this `up` alone, with the names and the meaning of `windflow stack deploy`.
#[derive(Debug, Clone, Default, Args)]
pub struct PolicyArgs {
    /// Go back to the last good revision if this one does not become good in time.
    #[arg(long, value_name = "on|off", value_parser = parse_switch)]
    pub auto_rollback: Option<bool>,
    /// How long everything must stay good before the old containers are given up, e.g. 30s; up to 1h. Without a time:
    /// what docker compose means by it, to follow changes of files.
    #[arg(short = 'w', long, value_name = "TIME", num_args = 0..=1, default_missing_value = "", value_parser = parse_watch)]
    pub watch: Option<Watch>,
    /// How long it may take to become healthy, e.g. 5m; up to 24h.
    #[arg(long, value_name = "TIME", value_parser = parse_health)]
    pub health_timeout: Option<Duration>,
    /// Whether the new container starts before the old one stops; auto: where nothing stands against it.
    #[arg(long, value_name = "auto|start-first|stop-first")]
    pub order: Option<ReplaceOrder>,
}

/// `--watch`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watch {
    /// With a time: watch the containers for so long.
    Containers(Duration),
    /// As docker compose has it: follow changes of files. The word after it, if any, is a service.
    Files(Option<String>),
}

impl PolicyArgs {
    /// docker compose's `--watch` takes no value: a word after it that is no time is the first service.
    #[must_use]
    pub fn follows_files(&self) -> bool {
        matches!(self.watch, Some(Watch::Files(_)))
    }

    /// Whether `up` waits until everything is good, and takes it for failed otherwise.
    #[must_use]
    pub fn judges(&self) -> bool {
        self.auto_rollback == Some(true) || self.health_timeout.is_some() || self.watched().is_some()
    }

    fn watched(&self) -> Option<Duration> {
        match &self.watch {
            Some(Watch::Containers(time)) => Some(*time),
            _ => None,
        }
    }

    /// A policy with what was given; `limit` is the time of `--wait-timeout`.
    #[must_use]
    pub fn over(&self, mut policy: DeployPolicy, limit: Option<Duration>) -> DeployPolicy {
        let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        policy.order = self.order.unwrap_or(policy.order);
        if !self.judges() {
            return policy;
        }
        policy.rollback.automatic = self.auto_rollback.unwrap_or(policy.rollback.automatic);
        policy.rollback.watch_s = self.watched().map_or(policy.rollback.watch_s, seconds);
        policy.health_timeout_s = match self.health_timeout.or(limit) {
            Some(time) => seconds(time),
            // Somebody waits: for as long as a stack of the controller may take.
            None => DeployPolicy::default().health_timeout_s,
        };
        policy
    }
}

fn parse_switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("use on or off".to_owned()),
    }
}

fn parse_watch(text: &str) -> Result<Watch, String> {
    // A service's name may begin with a digit, but then it is seldom a time.
    match parse_duration(text) {
        Ok(time) if time.as_secs() <= WATCH => Ok(Watch::Containers(time)),
        Ok(_) => Err("a revision is watched for 1h at most".to_owned()),
        Err(_) => Ok(Watch::Files((!text.is_empty()).then(|| text.to_owned()))),
    }
}

fn parse_health(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        time if (1..=HEALTH).contains(&time.as_secs()) => Ok(time),
        _ => Err("give a time from 1s to 24h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        policy: PolicyArgs,
        services: Vec<String>,
    }

    #[test]
    fn a_watch_without_a_time_is_docker_composes() {
        let check = |line: &str, watch: Option<Watch>, services: &[&str]| {
            let words = std::iter::once("up").chain(line.split_whitespace());
            let parsed = Line::try_parse_from(words).unwrap();
            assert_eq!(
                (parsed.policy.watch, parsed.services),
                (watch, services.iter().map(|name| (*name).to_owned()).collect()),
                "{line}"
            );
        };
        let time = |seconds| Some(Watch::Containers(Duration::from_secs(seconds)));
        check("web", None, &["web"]);
        check("--watch 30s web", time(30), &["web"]);
        check("--watch 30", time(30), &[]);
        check("--watch", Some(Watch::Files(None)), &[]);
        check("-w", Some(Watch::Files(None)), &[]);
        check("--watch --order auto web", Some(Watch::Files(None)), &["web"]);
        check(
            "--watch web db",
            Some(Watch::Files(Some("web".to_owned()))),
            &["db"],
        );
    }

    #[test]
    fn what_the_flags_make_of_the_policy() {
        let check = |line: &str, limit: Option<u64>, judges: bool, policy: (bool, u32, u32)| {
            let words = std::iter::once("up").chain(line.split_whitespace());
            let parsed = Line::try_parse_from(words).unwrap().policy;
            let plain = crate::local::project::policy();
            let made = parsed.over(plain, limit.map(Duration::from_secs));
            assert_eq!(parsed.judges(), judges, "{line}");
            let made = (
                made.rollback.automatic,
                made.rollback.watch_s,
                made.health_timeout_s,
            );
            assert_eq!(made, policy, "{line}");
        };
        check("", None, false, (false, 0, u32::MAX));
        check("", Some(9), false, (false, 0, u32::MAX));
        check("--order stop-first", None, false, (false, 0, u32::MAX));
        check("--auto-rollback off", None, false, (false, 0, u32::MAX));
        check("--auto-rollback on", None, true, (true, 0, 300));
        check("--auto-rollback on", Some(9), true, (true, 0, 9));
        check(
            "--auto-rollback on --health-timeout 2m",
            Some(9),
            true,
            (true, 0, 120),
        );
        check("--watch 5s", None, true, (false, 5, 300));
        check(
            "--auto-rollback on --watch 1m --health-timeout 30",
            None,
            true,
            (true, 60, 30),
        );
    }

    #[test]
    fn what_is_no_value() {
        let check = |line: &str| {
            assert!(
                Line::try_parse_from(std::iter::once("up").chain(line.split_whitespace())).is_err(),
                "{line}"
            )
        };
        check("--auto-rollback yes");
        check("--watch 2h");
        check("--health-timeout 0");
        check("--health-timeout 25h");
        check("--order last");
    }
}
