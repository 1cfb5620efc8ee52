//! Live progress of one order: bars on a terminal, plain lines otherwise.

use std::{collections::BTreeMap, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use windflow_engine::{EngineHandle, StackProgress};
use windflow_model::{Action, DeploymentState, OpId, StackName, StepState, StepView, Steps};

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
    let mut reports = engine.reports_changed();
    loop {
        tokio::select! {
            // What happened is shown before its end is told.
            biased;
            event = progress.recv() => match event {
                Ok(event) if event.op == op => {
                    steps.fold(&event.event);
                    board.show(&steps);
                    continue;
                }
                Ok(_) | Err(RecvError::Lagged(_)) => continue,
                // The engine is gone; its failure is found when the session closes.
                Err(RecvError::Closed) => tokio::time::sleep(LOOK).await,
            },
            Ok(()) = reports.changed() => {}
            () = tokio::time::sleep(LOOK) => {}
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
    next: Option<ProgressBar>,
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
            next: None,
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
            // A wait is shown while it lasts: it says what is not there yet.
            if view.step.action != Action::Keep {
                self.step(view);
            }
        }
        self.next(steps);
    }

    /// The last line: what comes next, and what it waits for.
    fn next(&mut self, steps: &Steps) {
        let (Some(bars), words) = (&self.bars, steps.next_words()) else {
            return;
        };
        if let Some(old) = self.next.take() {
            bars.remove(&old);
        }
        if let Some(words) = words {
            let bar = bars.add(ProgressBar::new(0));
            bar.set_style(style(false));
            bar.set_message(format!("next: {words}"));
            self.next = Some(bar);
        }
    }

    fn step(&mut self, view: &StepView) {
        let id = view.step.id.0;
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
                bar.set_message(view.line());
            }
            StepState::Done | StepState::Failed => {
                let says = view.step.action.changes() || view.state == StepState::Failed;
                if let Some(bar) = self.steps.remove(&id) {
                    bar.finish_and_clear();
                }
                if self.said.insert(id, view.state) == Some(view.state) || !says {
                    return;
                }
                self.line(&view.line());
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
        for bar in std::mem::take(&mut self.steps)
            .into_values()
            .chain(self.next.take())
        {
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
