//! Progress of a running deployment: typed events, and the step tree they fold into.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    code::Failure,
    doc::Document,
    plan::{Action, Plan, Step, StepId},
    time::Timestamp,
};

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Not yet begun.
    #[default]
    Pending,
    /// Begun.
    Running,
    /// Ended well.
    Done,
    /// Ended badly.
    Failed,
    /// Not begun because an earlier step failed or a newer revision took over.
    Skipped,
}

/// What happens while a deployment runs. Live only: a reader that comes late gets the [`Steps`] folded so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Progress {
    /// The plan is made; replaces any earlier one of this deployment.
    Planned {
        /// The plan.
        plan: Plan,
    },
    /// A step began.
    Started {
        /// The step.
        step: StepId,
        /// Host time.
        at: Timestamp,
    },
    /// A step moved on.
    Moved {
        /// The step.
        step: StepId,
        /// How far, in `unit`.
        current: u64,
        /// Of how much; 0 if unknown.
        total: u64,
        /// `bytes` or `items`.
        unit: String,
        /// What it is busy with, e.g. `layer 3f4ab1: extracting`.
        detail: String,
        /// The layers of a pull, in the order in which the registry names them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        layers: Vec<Layer>,
    },
    /// A step ended.
    Ended {
        /// The step.
        step: StepId,
        /// `done`, `failed` or `skipped`.
        state: StepState,
        /// Host time.
        at: Timestamp,
        /// Why it failed or was skipped.
        #[serde(default)]
        failure: Option<Failure>,
    },
    /// A line for the reader, e.g. a warning.
    Note {
        /// The line.
        text: String,
    },
}

impl Document for Progress {
    const NAME: &'static str = "progress event";
    const SCHEMA: u16 = 1;
}

/// One layer of an image that is fetched.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Layer {
    /// Its short id.
    pub id: String,
    /// The engine's word for what happens to it, in lower case, e.g. `downloading`.
    pub status: String,
    /// Bytes fetched.
    #[serde(default)]
    pub current: u64,
    /// Bytes in all; 0 if unknown.
    #[serde(default)]
    pub total: u64,
}

/// What a step that has not begun waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waiting {
    /// These steps must end well first.
    Steps(Vec<StepId>),
    /// Every image must be there first.
    Images,
    /// Everything must be created first: until then what runs is not touched.
    Creation,
    /// Nothing but its turn.
    Turn,
}

/// One step with where it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct StepView {
    /// The step.
    pub step: Step,
    /// Where it stands.
    pub state: StepState,
    /// When it began, host time.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// When it ended, host time.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
    /// How far, in `unit`.
    #[serde(default)]
    pub current: u64,
    /// Of how much; 0 if unknown.
    #[serde(default)]
    pub total: u64,
    /// `bytes`, `items` or empty.
    #[serde(default)]
    pub unit: String,
    /// What it is busy with.
    #[serde(default)]
    pub detail: String,
    /// The layers of a pull.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<Layer>,
    /// Why it failed or was skipped.
    #[serde(default)]
    pub failure: Option<Failure>,
}

/// The step tree: a plan with the progress so far.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Steps {
    /// The steps in plan order.
    pub steps: Vec<StepView>,
    /// Lines for the reader, oldest first; at most [`Steps::MAX_NOTES`].
    #[serde(default)]
    pub notes: Vec<String>,
    /// Warnings of the plan.
    #[serde(default)]
    pub warnings: Vec<String>,
}

impl Document for Steps {
    const NAME: &'static str = "step tree";
    const SCHEMA: u16 = 1;
}

impl Steps {
    /// Notes kept; later ones push the oldest out.
    pub const MAX_NOTES: usize = 100;

    /// Folds one event in. An event for a step that is not in the plan is ignored: it belongs to an older plan.
    pub fn fold(&mut self, event: &Progress) {
        match event {
            Progress::Planned { plan } => {
                self.warnings.clone_from(&plan.warnings);
                self.steps = plan.steps.iter().cloned().map(StepView::pending).collect();
            }
            Progress::Started { step, at } => {
                if let Some(view) = self.step_mut(*step) {
                    view.state = StepState::Running;
                    view.started_at = Some(*at);
                }
            }
            Progress::Moved {
                step,
                current,
                total,
                unit,
                detail,
                layers,
            } => {
                if let Some(view) = self.step_mut(*step) {
                    (view.current, view.total) = (*current, *total);
                    view.unit.clone_from(unit);
                    view.detail.clone_from(detail);
                    view.layers.clone_from(layers);
                }
            }
            Progress::Ended {
                step,
                state,
                at,
                failure,
            } => {
                if let Some(view) = self.step_mut(*step) {
                    view.state = *state;
                    view.ended_at = Some(*at);
                    view.failure.clone_from(failure);
                    // What a step was busy with says nothing once it is over; what it fetched does.
                    view.detail.clear();
                }
            }
            Progress::Note { text } => {
                if self.notes.len() >= Self::MAX_NOTES {
                    self.notes.remove(0);
                }
                self.notes.push(text.clone());
            }
        }
    }

    /// How many steps there are in each state.
    #[must_use]
    pub fn count(&self) -> BTreeMap<&'static str, usize> {
        let mut count = BTreeMap::new();
        for view in &self.steps {
            let name = match view.state {
                StepState::Pending => "pending",
                StepState::Running => "running",
                StepState::Done => "done",
                StepState::Failed => "failed",
                StepState::Skipped => "skipped",
            };
            *count.entry(name).or_insert(0) += 1;
        }
        count
    }

    /// What a step that has not begun waits for; `None` once it has begun or has been given up.
    #[must_use]
    pub fn waiting(&self, id: StepId) -> Option<Waiting> {
        let view = self.steps.iter().find(|view| view.step.id == id)?;
        if view.state != StepState::Pending {
            return None;
        }
        let open = |view: &&StepView| matches!(view.state, StepState::Pending | StepState::Running);
        let before: Vec<StepId> = self
            .steps
            .iter()
            .filter(open)
            .map(|view| view.step.id)
            .filter(|other| view.step.after.contains(other))
            .collect();
        if !before.is_empty() {
            return Some(Waiting::Steps(before));
        }
        let phase = phase(view.step.action);
        let first = self
            .steps
            .iter()
            .filter(open)
            .map(|other| self::phase(other.step.action))
            .min()
            .unwrap_or(phase);
        Some(match first {
            first if first >= phase => Waiting::Turn,
            0 => Waiting::Images,
            _ => Waiting::Creation,
        })
    }

    /// The first change that has not begun, and what it waits for, e.g. `start web-1 waits for start db-1`.
    #[must_use]
    pub fn next_words(&self) -> Option<String> {
        let pending = |view: &&StepView| view.state == StepState::Pending && view.step.action.changes();
        let next = self.steps.iter().find(pending)?;
        let words = self.waiting_words(next.step.id)?;
        Some(format!(
            "{} {} {words}",
            next.step.action, next.step.resource.name
        ))
    }

    /// The same in words, e.g. `waits for start db-1`.
    #[must_use]
    pub fn waiting_words(&self, id: StepId) -> Option<String> {
        Some(match self.waiting(id)? {
            Waiting::Steps(steps) => {
                let name = |id: &StepId| {
                    let found = self.steps.iter().find(|view| view.step.id == *id)?;
                    Some(format!("{} {}", found.step.action, found.step.resource.name))
                };
                let names: Vec<String> = steps.iter().take(3).filter_map(name).collect();
                let more = steps.len().saturating_sub(3);
                let rest = if more > 0 {
                    format!(" and {more} more")
                } else {
                    String::new()
                };
                format!("waits for {}{rest}", names.join(", "))
            }
            Waiting::Images => "waits for the images".to_owned(),
            Waiting::Creation => "waits until everything is created".to_owned(),
            Waiting::Turn => "waits for its turn".to_owned(),
        })
    }

    fn step_mut(&mut self, id: StepId) -> Option<&mut StepView> {
        self.steps.iter_mut().find(|view| view.step.id == id)
    }
}

impl StepView {
    fn pending(step: Step) -> Self {
        Self {
            step,
            state: StepState::Pending,
            started_at: None,
            ended_at: None,
            current: 0,
            total: 0,
            unit: String::new(),
            detail: String::new(),
            layers: Vec::new(),
            failure: None,
        }
    }

    /// What it does to what, e.g. `start container web-1`.
    #[must_use]
    pub fn label(&self) -> String {
        let step = &self.step;
        format!("{} {} {}", step.action, step.resource.kind, step.resource.name)
    }

    /// One line for a reader of lines: while it runs what it is busy with, then how it ended and how long it took.
    #[must_use]
    pub fn line(&self) -> String {
        let label = self.label();
        let took = match (self.started_at, self.ended_at) {
            (Some(from), Some(to)) => format!(" ({:.1}s)", to.since(from).as_secs_f64()),
            _ => String::new(),
        };
        match self.state {
            StepState::Done => format!("{label}: done{took}"),
            StepState::Failed => format!("{label}: failed{took}"),
            StepState::Skipped => format!("{label}: skipped"),
            StepState::Pending | StepState::Running if self.detail.is_empty() => label,
            StepState::Pending | StepState::Running => format!("{label}: {}", self.detail),
        }
    }

    /// How long it took, or has been running at `now`; `None` before it begins.
    #[must_use]
    pub fn took(&self, now: Timestamp) -> Option<std::time::Duration> {
        self.started_at
            .map(|from| self.ended_at.unwrap_or(now).since(from))
    }
}

/// Images come before everything that is created, and that before what runs is touched.
const fn phase(action: Action) -> u8 {
    match action {
        Action::Pull | Action::Build => 0,
        Action::Create | Action::Recreate => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Pin, Reason, ResourceKind, ResourceRef};

    fn plan(steps: &[(Action, &[u32])]) -> Plan {
        let step = |(id, (action, after)): (u32, &(Action, &[u32]))| Step {
            id: StepId(id),
            resource: ResourceRef {
                kind: ResourceKind::Container,
                name: format!("c{id}"),
            },
            action: *action,
            service: None,
            reason: Reason::default(),
            after: after.iter().copied().map(StepId).collect(),
        };
        Plan {
            stack: "s".parse().unwrap(),
            steps: (0..).zip(steps).map(step).collect(),
            warnings: Vec::new(),
            resources: Vec::new(),
            interruptions: Vec::new(),
            pin: Pin::default(),
        }
    }

    #[test]
    fn says_what_a_step_waits_for() {
        let mut steps = Steps::default();
        let plan = plan(&[
            (Action::Pull, &[]),
            (Action::Create, &[]),
            (Action::Start, &[1]),
            (Action::Stop, &[]),
        ]);
        steps.fold(&Progress::Planned { plan });
        let at = Timestamp::from_millis(5);
        let check = |steps: &Steps, id: u32, words: Option<&str>| {
            assert_eq!(steps.waiting_words(StepId(id)).as_deref(), words, "step {id}");
        };
        check(&steps, 0, Some("waits for its turn"));
        check(&steps, 1, Some("waits for the images"));
        check(&steps, 2, Some("waits for create c1"));
        let done = |step: u32| Progress::Ended {
            step: StepId(step),
            state: StepState::Done,
            at,
            failure: None,
        };
        steps.fold(&done(0));
        check(&steps, 0, None);
        check(&steps, 1, Some("waits for its turn"));
        check(&steps, 3, Some("waits until everything is created"));
        steps.fold(&done(1));
        check(&steps, 2, Some("waits for its turn"));
        check(&steps, 3, Some("waits for its turn"));
    }
}
