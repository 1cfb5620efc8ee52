//! Rollouts, as people see them.

use std::collections::BTreeMap;

use windflow_api::{Page, RolloutHost, RolloutHostQuery, RolloutQuery, RolloutView};
use windflow_model::{AgentRecord, HostState, Rollout, RolloutId, RolloutState, rollout::Skip};
use windflow_store::Entry;

use super::{
    super::{
        App, AppError, AppResult, keys,
        records::Order,
        stack::{bad_cursor, limit_of},
    },
    survey::Seen,
};
use crate::context::OpContext;

/// In a query: every state that is not final.
const ACTIVE: &str = "active";

impl App {
    /// One rollout with what may be said about it right now.
    ///
    /// # Errors
    /// There is no such rollout.
    pub async fn rollout_view(&self, op: &OpContext, id: RolloutId) -> AppResult<RolloutView> {
        let found = self.need_rollout("rollout_view", op.org, id).await?;
        let survey = self.rollout_survey(op.org, &found.value).await?;
        Ok(RolloutView {
            summary: survey.sight.all,
            wave_summaries: survey.waves,
            failure_limit: found.value.failure_limit(),
            version: found.version,
            rollout: found.value,
        })
    }

    /// Rollouts, newest first.
    ///
    /// # Errors
    /// A cursor or state that is not one of ours.
    pub async fn rollout_list(&self, op: &OpContext, query: &RolloutQuery) -> AppResult<Page<RolloutView>> {
        const OP: &str = "rollout_list";
        let limit = limit_of(query.limit)?;
        let known = RolloutState::NAMES;
        named(
            "state",
            query.state.as_deref().filter(|state| *state != ACTIVE),
            known,
        )?;
        let cursor = query.cursor.as_deref().map(str::parse::<RolloutId>).transpose();
        let cursor = cursor.map_err(|_| bad_cursor())?;
        let mut after = cursor.map(|id| keys::rollout(op.org, id));
        let fits = |rollout: &Rollout| {
            query.stack.is_none_or(|stack| rollout.stack == stack)
                && query.state.as_deref().is_none_or(|state| match state {
                    ACTIVE => !rollout.state.is_terminal(),
                    state => rollout.state.name() == state,
                })
        };
        let mut items = Vec::new();
        loop {
            let page = self
                .page::<Rollout>(OP, &keys::rollouts(op.org), after.as_ref(), limit)
                .await?;
            for found in page.entries.into_iter().filter(|found| fits(&found.value)) {
                let id = found.value.id;
                items.push(self.rollout_line(op, found).await?);
                if items.len() >= limit {
                    return Ok(Page {
                        items,
                        next_cursor: Some(id.to_string()),
                    });
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(Page::whole(items));
            }
        }
    }

    async fn rollout_line(&self, op: &OpContext, found: Entry<Rollout>) -> AppResult<RolloutView> {
        let summary = match found.value.sealed {
            Some(summary) => summary,
            None => self.rollout_survey(op.org, &found.value).await?.sight.all,
        };
        Ok(RolloutView {
            summary,
            wave_summaries: Vec::new(),
            failure_limit: found.value.failure_limit(),
            version: found.version,
            rollout: found.value,
        })
    }

    /// The hosts of a rollout, in the order of their turns. The cursor is the place of the last one.
    ///
    /// # Errors
    /// No such rollout; a cursor or state that is not one of ours.
    pub async fn rollout_hosts(
        &self,
        op: &OpContext,
        id: RolloutId,
        query: &RolloutHostQuery,
    ) -> AppResult<Page<RolloutHost>> {
        const OP: &str = "rollout_hosts";
        let limit = limit_of(query.limit)?;
        let states = windflow_model::Summary::default().parts();
        let names: Vec<_> = states.iter().map(|(_, name, _)| *name).collect();
        named("state", query.state.as_deref(), &names)?;
        let wanted = states
            .iter()
            .find(|(_, name, _)| Some(*name) == query.state.as_deref())
            .map(|(state, ..)| *state);
        let from = match &query.cursor {
            None => 0,
            Some(cursor) => cursor.parse::<u32>().map_err(|_| bad_cursor())?.saturating_add(1),
        };
        let rollout = self.need_rollout(OP, op.org, id).await?.value;
        let survey = self.rollout_survey(op.org, &rollout).await?;
        let told = survey.hosts.into_iter().map(shown);
        let mut rows: Vec<_> = told.collect();
        rows.extend(self.rollout_untold(op, &rollout).await?);
        let mut rest = rows
            .into_iter()
            .filter(|row| row.index >= from && wanted.is_none_or(|state| row.state == state));
        let items: Vec<_> = rest.by_ref().take(limit).collect();
        let more = rest
            .next()
            .and_then(|_| items.last())
            .map(|last| last.index.to_string());
        Ok(Page {
            items,
            next_cursor: more,
        })
    }

    /// Those whose turn has not come.
    async fn rollout_untold(&self, op: &OpContext, rollout: &Rollout) -> AppResult<Vec<RolloutHost>> {
        const OP: &str = "rollout_hosts";
        let state = if rollout.state.is_terminal() {
            HostState::Untouched
        } else {
            HostState::Waiting
        };
        let hosts = self.all::<AgentRecord>(OP, &keys::agents(op.org)).await?;
        let names: BTreeMap<_, _> = hosts
            .into_iter()
            .map(|host| (host.value.id, host.value.name))
            .collect();
        let pages = self.all::<Order>(OP, &keys::orders(op.org, rollout.id)).await?;
        let order = pages.into_iter().flat_map(|page| page.value.agents);
        let rest = (0..).zip(order).filter(|(index, _)| *index >= rollout.started);
        Ok(rest
            .map(|(index, agent)| RolloutHost {
                index,
                wave: rollout.wave_of(index),
                agent,
                name: names.get(&agent).cloned().unwrap_or_else(|| agent.to_string()),
                state,
                silent_since: None,
                reason: None,
                deployment: None,
                deployment_state: None,
                before: None,
            })
            .collect())
    }
}

fn shown(seen: Seen) -> RolloutHost {
    let reason = seen.reason();
    let counts = seen.revert.or(seen.own);
    let turn = seen.turn.value;
    RolloutHost {
        index: seen.index,
        wave: seen.wave,
        agent: turn.agent,
        name: turn.name,
        state: seen.state,
        silent_since: seen.silent_since.filter(|_| !seen.connected),
        reason,
        deployment: counts.as_ref().map(|held| held.id),
        deployment_state: counts.map(|held| (*held.state).clone()),
        before: turn
            .skip
            .is_none()
            .then_some(turn.before)
            .filter(|_| !turn.adopted),
    }
}

impl Seen {
    /// Why it is in its state, in words.
    fn reason(&self) -> Option<String> {
        let turn = &self.turn.value;
        match turn.skip {
            Some(Skip::Removed) => return Some("the host was removed from the controller".to_owned()),
            Some(Skip::Overtaken) => return Some("it was asked to run a newer revision".to_owned()),
            None => {}
        }
        if turn.no_way_back && self.revert.is_none() {
            return Some("it had no revision that ran well before".to_owned());
        }
        let held = self.revert.as_ref().or(self.own.as_ref())?;
        if self.revert.is_none() && turn.unwell.is_some() {
            return turn.unwell.clone();
        }
        let failure = held.state.failure().map(ToString::to_string);
        failure.or_else(|| match &*held.state {
            windflow_model::DeploymentState::Superseded { by } => Some(format!("revision {by} took over")),
            windflow_model::DeploymentState::Diverged { held } => Some(format!(
                "the host holds revision {held}, which the controller did not know"
            )),
            windflow_model::DeploymentState::Expired => {
                Some("its time in the queue ran out before the host came".to_owned())
            }
            _ => None,
        })
    }
}

fn named(field: &str, given: Option<&str>, known: &[&str]) -> AppResult<()> {
    match given {
        Some(given) if !known.contains(&given) => Err(AppError::bad(format!(
            "{field}: there is no state {given:?}; there are {}",
            known.join(", ")
        ))),
        _ => Ok(()),
    }
}
