//! The driver: one step after the other, each decided by what is stored.

use windflow_kit::seeded::{self, Bug};
use windflow_model::{DeploymentState, HostState, OrgId, Rollout, RolloutId, RolloutState, rollout::Skip};
use windflow_store::{Entry, Txn};

use super::{
    super::{
        App, AppResult,
        db::replace,
        keys,
        records::{NameHolder, Turn},
    },
    survey::{Seen, Survey},
};
use crate::context::OpContext;

/// Hosts whose records are written in one transaction.
pub(super) const RECORDS: usize = 50;

impl App {
    /// Lets every rollout that is not over go as far as it can. Gives how many there are. Each is worked on although
    /// another one cannot be.
    pub(crate) async fn rollouts_advance(&self) -> AppResult<usize> {
        const OP: &str = "rollout_advance";
        let org = OpContext::system("").org;
        let open = self.all::<NameHolder>(OP, &keys::open_rollouts(org)).await?;
        let mut failed = None;
        for held in &open {
            let Ok(id) = held.value.id.parse() else { continue };
            loop {
                match self.retry(|| self.rollout_step(org, id)).await {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        failed.get_or_insert(error);
                        break;
                    }
                }
            }
        }
        failed.map_or(Ok(open.len()), Err)
    }

    /// `true` while there may be more to do at once.
    async fn rollout_step(&self, org: OrgId, id: RolloutId) -> AppResult<bool> {
        const OP: &str = "rollout_advance";
        let was = self.need_rollout(OP, org, id).await?;
        let rollout = &was.value;
        let op = OpContext {
            user: rollout.created_by.user,
            ..OpContext::system("rollout")
        };
        if !rollout.due().is_empty() {
            self.rollout_turns(&op, &was).await?;
            return Ok(true);
        }
        if rollout.state.is_terminal() {
            self.rollout_put_away(org, id).await?;
            return Ok(false);
        }
        let survey = self.rollout_survey(org, rollout).await?;
        if matches!(rollout.state, RolloutState::RollingBack { .. })
            && self.rollout_take_back(&op, &was, &survey).await?
        {
            return Ok(true);
        }
        if self.rollout_note(&was, &survey).await? {
            return Ok(true);
        }
        let mut sight = survey.sight;
        sight.settled |= seeded::is(Bug::WaveUnsettled);
        if seeded::is(Bug::FailuresIgnored) {
            sight.all.failed = 0;
            sight.all.rolled_back = 0;
        }
        match rollout.judge(&sight, self.now()) {
            None => Ok(false),
            Some(event) => {
                let system = OpContext::system("rollout");
                self.rollout_move(&system, OP, &was, &event).await?;
                Ok(true)
            }
        }
    }

    /// A rollout that has ended: what only waits is taken back if nothing new shall begin, and the stack is free again.
    /// Nothing happens to one that has not ended.
    pub(super) async fn rollout_put_away(&self, org: OrgId, id: RolloutId) -> AppResult<()> {
        const OP: &str = "rollout_end";
        let was = self.need_rollout(OP, org, id).await?;
        let hold = keys::rollout_of(org, was.value.stack);
        let held = self.find::<NameHolder>(OP, &hold).await?;
        let Some(held) = held.filter(|held| held.value.id == id.to_string()) else {
            return Ok(());
        };
        if !was.value.state.is_terminal() {
            return Ok(());
        }
        let mut survey = self.rollout_survey(org, &was.value).await?;
        if matches!(
            was.value.state,
            RolloutState::Stopped { .. } | RolloutState::Cancelled { .. }
        ) {
            self.rollout_withdraw(&survey).await?;
            survey = self.rollout_survey(org, &was.value).await?;
        }
        let mut after = was.value.clone();
        let open = survey.hosts.iter().any(Seen::is_open);
        after.sealed = (!open).then_some(survey.sight.all);
        let txn = replace(Txn::new(), OP, &was, &after)?;
        let txn = txn.expect(hold.clone(), held.expect()).delete(hold);
        self.commit(OP, txn).await?;
        self.rollout_told(&after);
        Ok(())
    }

    /// Takes back what its hosts have not begun.
    pub(super) async fn rollout_withdraw(&self, survey: &Survey) -> AppResult<()> {
        let op = OpContext::system("rollout");
        for own in survey.hosts.iter().filter(|seen| seen.waits()) {
            let Some(id) = own.turn.value.deployment else {
                continue;
            };
            match self.deployment_cancel(&op, id).await {
                // Too late: it has begun, and will say how it ends.
                Err(error) if error.as_refused().is_some() => {}
                result => drop(result?),
            }
        }
        Ok(())
    }

    /// Writes down which hosts did not stay well at the gate, and which were overtaken after they had succeeded. `true` if
    /// there was one.
    async fn rollout_note(&self, was: &Entry<Rollout>, survey: &Survey) -> AppResult<bool> {
        const OP: &str = "rollout_note";
        let rollout = &was.value;
        let at_gate = match rollout.state {
            RolloutState::Gate { wave, .. } => Some(wave),
            _ => None,
        };
        let news = survey.hosts.iter().filter_map(|seen| {
            let turn = &seen.turn.value;
            let unwell = if Some(seen.wave) == at_gate && seen.state == HostState::Succeeded && seen.connected
            {
                self.rollout_unwell(rollout, seen)
            } else {
                None
            };
            let overtaken = seen.is_overtaken().then_some(Skip::Overtaken);
            (unwell.is_some() || overtaken.is_some()).then(|| {
                let turn = Turn {
                    skip: turn.skip.or(overtaken),
                    unwell: unwell.or_else(|| turn.unwell.clone()),
                    ..turn.clone()
                };
                (seen, turn)
            })
        });
        let news: Vec<_> = news.take(RECORDS).collect();
        if news.is_empty() {
            return Ok(false);
        }
        let mut txn = Txn::new().expect(was.key.clone(), was.expect());
        for (seen, turn) in news {
            txn = replace(txn, OP, &seen.turn, &turn)?;
        }
        self.commit(OP, txn).await?;
        self.rollout_told(rollout);
        Ok(true)
    }
}

impl Seen {
    /// It had succeeded, and something newer came after it.
    fn is_overtaken(&self) -> bool {
        self.state == HostState::Superseded
            && self.turn.value.skip.is_none()
            && self.revert.is_none()
            && self
                .own
                .as_ref()
                .is_some_and(|own| *own.state == DeploymentState::Succeeded)
    }

    /// Whether its deployment, or the one that takes it back, may still move.
    fn is_open(&self) -> bool {
        let open =
            |held: &Option<super::survey::Held>| held.as_ref().is_some_and(|held| !held.state.is_terminal());
        open(&self.own) || open(&self.revert)
    }
}
