//! Live progress of one order: bars on a terminal, plain lines otherwise.

use std::{collections::BTreeMap, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use windflow_engine::{EngineHandle, StackProgress};
use windflow_model::{DeploymentState, OpId, StackName, StepState, StepView, Steps};

use super::show::note;

/// How often the journal's view is looked at, besides after each event: a lagging reader misses events.
const LOOK: Duration = Duration::from_millis(100);

/// Folds events and shows them until the order has ended; returns its final state.
pub(super) async fn watch(
    engine: &EngineHandle,
    stack: &StackName,
    op: OpId,
    mut progress: Receiver<StackProgress>,
    board: &mut Board,
) -> DeploymentState {
    let mut steps = Steps::default();
    loop {
        match tokio::time::timeout(LOOK, progress.recv()).await {
            Ok(Ok(event)) if event.op == op => {
                steps.fold(&event.event);
                board.show(&steps);
                continue;
            }
            Ok(Ok(_) | Err(RecvError::Lagged(_))) => continue,
            // The engine is gone; its failure is found when the session closes.
            Ok(Err(RecvError::Closed)) => tokio::time::sleep(LOOK).await,
            Err(_) => {}
        }
        let held = engine
            .held()
            .into_iter()
            .find(|held| held.stack == *stack && held.op == op);
        if let Some(held) = held
            && held.state.is_terminal()
        {
            board.finish();
            return held.state;
        }
    }
}

/// What is on the screen.
pub(super) struct Board {
    bars: Option<MultiProgress>,
    steps: BTreeMap<u32, ProgressBar>,
    said: BTreeMap<u32, StepState>,
    notes: usize,
    quiet: bool,
}

impl Board {
    /// An empty board; `live` if a person looks on, `quiet` if nothing shall be seen.
    pub(super) fn new(live: bool, quiet: bool) -> Self {
        Self {
            bars: (live && !quiet).then(MultiProgress::new),
            quiet,
            steps: BTreeMap::new(),
            said: BTreeMap::new(),
            notes: 0,
        }
    }

    fn show(&mut self, steps: &Steps) {
        if self.quiet {
            return;
        }
        for line in steps.notes.iter().skip(self.notes) {
            self.line(line);
        }
        self.notes = steps.notes.len();
        for view in &steps.steps {
            if view.step.action.changes() || view.state == StepState::Failed {
                self.step(view);
            }
        }
    }

    fn step(&mut self, view: &StepView) {
        let id = view.step.id.0;
        let label = format!(
            "{} {} {}",
            view.step.action, view.step.resource.kind, view.step.resource.name
        );
        match view.state {
            StepState::Running => {
                let Some(bars) = &self.bars else { return };
                let bar = self.steps.entry(id).or_insert_with(|| {
                    let bar = bars.add(ProgressBar::new(0));
                    bar.enable_steady_tick(Duration::from_millis(120));
                    bar
                });
                bar.set_style(style(view.total > 0 && view.unit == "bytes"));
                bar.set_length(view.total);
                bar.set_position(view.current);
                bar.set_message(label);
            }
            StepState::Done | StepState::Failed => {
                if let Some(bar) = self.steps.remove(&id) {
                    bar.finish_and_clear();
                }
                if self.said.insert(id, view.state) == Some(view.state) {
                    return;
                }
                let took = match (view.started_at, view.ended_at) {
                    (Some(from), Some(to)) => format!(" ({:.1}s)", to.since(from).as_secs_f64()),
                    _ => String::new(),
                };
                let word = if view.state == StepState::Done {
                    "done"
                } else {
                    "failed"
                };
                self.line(&format!("{label}: {word}{took}"));
            }
            StepState::Pending | StepState::Skipped => {}
        }
    }

    fn line(&self, text: &str) {
        match &self.bars {
            // A terminal that is gone is noticed at the next line.
            Some(bars) => drop(bars.println(text)),
            None => note(text),
        }
    }

    fn finish(&mut self) {
        for bar in std::mem::take(&mut self.steps).into_values() {
            bar.finish_and_clear();
        }
    }
}

fn style(bytes: bool) -> ProgressStyle {
    let template = if bytes {
        "{spinner:.dim} {msg} {bar:24.cyan/dim} {bytes}/{total_bytes}"
    } else {
        "{spinner:.dim} {msg}"
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
