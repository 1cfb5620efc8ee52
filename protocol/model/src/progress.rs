//! Progress of a running deployment: typed events, and the step tree they fold into.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    code::Failure,
    doc::Document,
    plan::{Plan, Step, StepId},
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
            } => {
                if let Some(view) = self.step_mut(*step) {
                    (view.current, view.total) = (*current, *total);
                    view.unit.clone_from(unit);
                    view.detail.clone_from(detail);
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
            failure: None,
        }
    }
}
