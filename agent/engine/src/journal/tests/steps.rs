//! The steps of an operation, and the ends of containers that nobody has seen.

use super::*;
use crate::targets::Evidence;

fn entry(what: &str, stops: Option<&str>) -> StepEntry {
    StepEntry {
        what: what.to_owned(),
        stops: stops.map(str::to_owned),
        done: None,
    }
}

impl Desk {
    async fn begin(&self, rev: u64, number: u64, stops: Option<&str>) {
        let entry = entry("stop container", stops);
        let begun = self
            .journal
            .step_intent(&web(), op(rev), number, &entry, None)
            .await;
        begun.unwrap();
    }

    async fn end(&self, rev: u64, number: u64, stops: Option<&str>) -> Moved {
        let evidence = Evidence {
            id: Some("made".into()),
            ..Evidence::default()
        };
        let ended = self
            .journal
            .step_done(
                &web(),
                op(rev),
                number,
                entry("stop container", stops),
                evidence,
                DeploymentEvent::Applying { done: 1, total: 9 },
                &Steps::default(),
            )
            .await;
        ended.unwrap()
    }

    /// Numbers of an operation's steps; a `!` says that it has ended.
    async fn steps(&self, rev: u64) -> Vec<String> {
        let steps = self.journal.steps(&web(), op(rev)).await.unwrap();
        let said = steps.into_iter().map(|(number, entry)| match entry.done {
            Some(evidence) => format!("{number}! {}", evidence.id.unwrap_or_default()),
            None => number.to_string(),
        });
        said.collect()
    }

    fn ending(&self) -> Vec<String> {
        self.journal.ending(&web()).into_iter().collect()
    }
}

#[tokio::test]
async fn steps_are_noted_before_and_after_and_gone_at_the_end() {
    let desk = Desk::open().await;
    desk.accept(&order(1), None).await;
    desk.begin(1, 1, None).await;
    desk.begin(1, 1 << 32, None).await;
    assert_eq!(desk.steps(1).await, ["1", "4294967296"]);
    assert_eq!(desk.end(1, 1, None).await, Moved::Yes);
    let desk = desk.again().await;
    assert_eq!(desk.steps(1).await, ["1! made", "4294967296"]);
    // Replaced meanwhile: what it has left behind is noted all the same.
    desk.accept(&order(2), Some(op(1))).await;
    assert_eq!(desk.end(1, 1 << 32, None).await, Moved::No);
    assert_eq!(desk.steps(1).await, ["1! made", "4294967296! made"]);
    desk.begin(2, 3, None).await;
    desk.journal.superseded(&web()).await.unwrap();
    assert_eq!(desk.steps(1).await, [""; 0]);
    assert_eq!(desk.steps(2).await, ["3"]);
    desk.finish(2, DeploymentEvent::Succeeded).await;
    assert_eq!(desk.steps(2).await, [""; 0]);
}

/// More than a page and more than a transaction holds.
#[tokio::test]
async fn many_steps() {
    let desk = Desk::open().await;
    desk.accept(&order(1), None).await;
    for number in 0..600 {
        desk.begin(1, number, None).await;
    }
    let desk = desk.again().await;
    assert_eq!(desk.steps(1).await.len(), 600, "they are the running operation's");
    desk.finish(1, DeploymentEvent::Succeeded).await;
    assert_eq!(desk.steps(1).await, [""; 0]);
    // Killed between the end and the tidying up.
    for number in 0..200 {
        desk.begin(1, number, None).await;
    }
    let desk = desk.again().await;
    assert_eq!(desk.steps(1).await, [""; 0]);
}

#[tokio::test]
async fn a_container_ends_until_somebody_has_seen_it() {
    let desk = Desk::open().await;
    desk.accept(&order(1), None).await;
    assert_eq!(desk.ending(), [""; 0]);
    desk.begin(1, 1, Some("a")).await;
    desk.begin(1, 2, Some("b")).await;
    desk.begin(1, 3, Some("c")).await;
    desk.begin(1, 4, None).await;
    assert_eq!(desk.ending(), ["a", "b", "c"]);
    desk.end(1, 1, Some("a")).await;
    assert_eq!(desk.ending(), ["b", "c"]);
    desk.journal.ended(&web(), "c");
    desk.journal.ended(&"shop".parse().unwrap(), "b");
    assert_eq!(desk.ending(), ["b"]);
    // The next life has not seen the end of the third; that the operation is over does not end it.
    let desk = desk.again().await;
    assert_eq!(desk.ending(), ["b", "c"]);
    desk.event(1, DeploymentEvent::Failed { failure: failure() })
        .await;
    let desk = desk.again().await;
    assert_eq!(desk.ending(), ["b", "c"]);
    assert_eq!(desk.steps(1).await, [""; 0], "they are noted no more");
    let desk = desk.again().await;
    assert_eq!(desk.ending(), [""; 0]);
}
