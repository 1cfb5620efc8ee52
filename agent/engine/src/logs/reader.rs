//! Reads what one container says, from the engine's files where it can.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use windflow_kit::{blocking, error::Chain};
use windflow_model::{ContainerSummary, LogMatcher};

use super::{
    Item, Outlet,
    files::{self, Forward, Growth, Range},
    line,
};
use crate::targets::{LogLine, LogRequest, Target};

/// Between two looks at files that are followed: short while something comes.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// What is said of one container, on its way to the reader.
pub(super) struct Reader {
    pub(super) container: ContainerSummary,
    pub(super) matcher: Option<Arc<LogMatcher>>,
    pub(super) outlet: Outlet,
}

impl Reader {
    /// Sends a line that matches; `false` once nobody reads any more.
    async fn line(&self, found: LogLine) -> bool {
        if self
            .matcher
            .as_ref()
            .is_some_and(|matcher| !matcher.matches(&found.text))
        {
            return true;
        }
        let Some(room) = self.outlet.room(found.text.len()).await else {
            return false;
        };
        let item = line(&self.container, found, room);
        self.outlet.lines.send(Some(item)).await.is_ok()
    }

    async fn note(&self, text: String) -> bool {
        self.outlet.lines.send(Some(Item::Note(text))).await.is_ok()
    }

    pub(super) async fn run(self, target: Arc<dyn Target>, request: LogRequest) {
        // The engine's files where they can be read: it is several times as fast, no work of the engine's, and nothing is lost
        // when they rotate.
        if let Some(files) = self.files(&*target, &request).await {
            return self.read_files(files, request.follow).await;
        }
        let mut stream = match target.logs(request).await {
            Ok(stream) => stream,
            Err(error) => {
                let problem = error.failure().message;
                self.note(problem).await;
                return;
            }
        };
        while let Some(next) = stream.next().await {
            let next = next.map_err(|error| error.failure().message);
            let goes_on = match next {
                Ok(found) => self.line(found).await,
                Err(problem) => self.note(problem).await,
            };
            if !goes_on {
                return;
            }
        }
    }

    async fn files(&self, target: &dyn Target, request: &LogRequest) -> Option<Forward> {
        let range = Range {
            source: request.source,
            since: request.since,
            until: request.until,
        };
        let tail = request.tail;
        files::open(target, &request.container, move |path| {
            Forward::open(path, tail, range)
        })
        .await
    }

    /// Sends what is in the files, and what comes into them until the container is removed or nobody reads any more.
    async fn read_files(&self, mut files: Forward, follow: bool) {
        let mut pause = LONGEST_PAUSE;
        let mut past = false;
        loop {
            let step = blocking::run(move || {
                let mut lines = Vec::new();
                let more = files.step(&mut lines);
                (files, lines, more)
            });
            let (lines, mut more);
            (files, lines, more) = match step.await {
                Ok(done) => done,
                Err(_) => {
                    self.note("the reading of its log broke off".to_owned()).await;
                    return;
                }
            };
            for found in lines {
                if !self.line(found).await {
                    return;
                }
            }
            if !past && matches!(more, Ok(false)) && follow {
                past = true;
                if self.outlet.lines.send(None).await.is_err() {
                    return;
                }
            }
            while let Ok(false) = more {
                if !follow {
                    return;
                }
                let growth = files.look();
                (more, pause) = match growth {
                    Ok(Growth::More) => (Ok(true), SHORTEST_PAUSE),
                    Ok(Growth::MoreAfterLoss) => {
                        let lost = "lines of its log rotated away before they were read".to_owned();
                        if !self.note(lost).await {
                            return;
                        }
                        (Ok(true), SHORTEST_PAUSE)
                    }
                    Ok(Growth::Gone) => return,
                    Ok(Growth::Nothing) => {
                        tokio::select! {
                            () = tokio::time::sleep(pause) => {}
                            () = self.outlet.lines.closed() => return,
                        }
                        (Ok(false), (pause * 5 / 4).min(LONGEST_PAUSE))
                    }
                    Err(error) => (Err(error), pause),
                };
            }
            if let Err(error) = more {
                let problem = Chain(&error).to_string();
                self.note(problem).await;
                return;
            }
        }
    }
}
