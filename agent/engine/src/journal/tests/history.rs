//! What became of each revision, and which one comes back.

use windflow_model::SpecDigest;

use super::*;
use crate::journal::orders::LIMIT;

impl Desk {
    /// The revision that comes back, or why none does.
    async fn back(&self, to: Option<u64>) -> Result<Order, String> {
        self.journal.again(&web(), to.map(Rev), op(99)).await.unwrap()
    }

    async fn fail(&self, order: &Order) {
        self.accept(order, None).await;
        let ended = self.finish(order.rev.0, DeploymentEvent::Failed { failure: failure() });
        assert_eq!(ended.await, Moved::Yes);
    }
}

/// An order that asks for the same as revision `like`.
fn like(mut order: Order, like: u64) -> Order {
    (order.spec, order.digest) = (super::order(like).spec, super::order(like).digest);
    order
}

#[tokio::test]
async fn each_end_is_an_entry_newest_first_and_fifty_of_them() {
    let desk = Desk::open().await;
    desk.done(&order(1)).await;
    desk.clock.advance(std::time::Duration::from_secs(1));
    let mut again = order(2);
    again.options.again = Some(Rev(1));
    desk.fail(&again).await;
    desk.done(&removal(3)).await;
    let history = desk.journal.history(&web()).await.unwrap();
    let seen: Vec<_> = history
        .iter()
        .map(|one| (one.rev.0, one.op, one.state.name(), one.want, one.again, one.kept))
        .collect();
    let (present, absent) = (Want::Present, Want::Absent);
    assert_eq!(
        seen,
        [
            (3, op(3), "succeeded", absent, None, false),
            (2, op(2), "failed", present, Some(Rev(1)), false),
            (1, op(1), "succeeded", present, None, false),
        ]
    );
    assert_eq!(history[2].at, Timestamp::from_millis(START_MS));
    assert_eq!(history[1].at, Timestamp::from_millis(START_MS + 1_000));
    assert_eq!(history[1].digest, order(2).digest);
    for rev in 4..=60 {
        desk.done(&order(rev)).await;
    }
    let revs: Vec<u64> = desk
        .journal
        .history(&web())
        .await
        .unwrap()
        .iter()
        .map(|one| one.rev.0)
        .collect();
    assert_eq!(revs, (11..=60).rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn the_newest_good_one_that_is_another_comes_back() {
    // Ends of the revisions from 1: `g` good, `f` failed, `a` absent, `s` good and the same as the one before.
    let check = async |ends: &str, expected: Option<u64>| {
        let desk = Desk::open().await;
        for (rev, end) in (1..).zip(ends.chars()) {
            let order = local(rev);
            match end {
                'g' => desk.done(&order).await,
                's' => desk.done(&like(order, rev - 1)).await,
                'f' => desk.fail(&like(order, rev.saturating_sub(1))).await,
                _ => {
                    desk.done(&like(
                        Order {
                            want: Want::Absent,
                            ..order
                        },
                        rev - 1,
                    ))
                    .await
                }
            }
        }
        let found = desk.back(None).await;
        let held = u64::try_from(ends.len()).unwrap();
        match (&found, expected) {
            (Ok(order), Some(rev)) => {
                assert_eq!(order.options.again, Some(Rev(rev)), "{ends}");
                assert_eq!((order.rev, order.op), (Rev(held + 1), op(99)), "{ends}");
                assert_eq!((order.deployment, &order.options.pin), (None, &None));
            }
            (Err(text), None) => assert!(text.contains("has had no other good revision"), "{ends}: {text}"),
            _ => panic!("{ends}: {found:?}"),
        }
    };
    check("g", None).await;
    check("gg", Some(1)).await;
    check("gs", None).await;
    check("ggs", Some(1)).await;
    // What failed has left the good one before it, whatever it asked for.
    check("gf", Some(1)).await;
    check("ggf", Some(2)).await;
    check("ggff", Some(2)).await;
    // What was removed comes back.
    check("ga", Some(1)).await;
    check("gga", Some(2)).await;
    check("f", None).await;
}

#[tokio::test]
async fn why_one_does_not_come_back() {
    let desk = Desk::open().await;
    assert_eq!(
        desk.back(None).await,
        Err("this host has no revision of web".into())
    );
    // Of a stack of the controller only the last good one is kept.
    desk.done(&order(1)).await;
    desk.done(&order(2)).await;
    let check = async |to: Option<u64>, expected: &str| match desk.back(to).await {
        Ok(order) => assert_eq!(format!("{}", order.options.again.unwrap()), expected, "{to:?}"),
        Err(text) => assert_eq!(text, expected, "{to:?}"),
    };
    let choice = "these can be brought back: 2";
    check(
        None,
        &format!("web has had no other good revision on this host; {choice}"),
    )
    .await;
    check(Some(2), "2").await;
    check(
        Some(1),
        &format!("the files of revision 1 of web are not kept on this host; {choice}"),
    )
    .await;
    check(
        Some(7),
        &format!("web has had no revision 7 on this host; {choice}"),
    )
    .await;
    desk.done(&removal(3)).await;
    check(Some(3), "revision 3 removed web; none can be brought back").await;
    check(
        Some(2),
        "the files of revision 2 of web are not kept on this host; none can be brought back",
    )
    .await;
    // What brings one back is brought back by that one's number.
    let mut again = order(4);
    again.options.again = Some(Rev(1));
    desk.done(&again).await;
    check(Some(4), "1").await;
}

/// Of an order in place the files are kept as they were read, if they are not too large.
#[tokio::test]
async fn files_read_in_place() {
    let in_place = |rev: u64| {
        let mut order = local(rev);
        order.spec.files.clear();
        order.source = Source::Directory {
            project_directory: "/srv/web".into(),
            config_files: Vec::new(),
            env_files: Vec::new(),
            environment: BTreeMap::new(),
        };
        order
    };
    let file = |size: usize| {
        vec![SpecFile {
            path: "/srv/web/compose.yaml".into(),
            content: "x".repeat(size),
        }]
    };
    let check = async |files: Vec<SpecFile>, kept: bool| {
        let desk = Desk::open().await;
        let order = in_place(1);
        desk.accept(&order, None).await;
        let foreign = Order {
            op: op(8),
            ..order.clone()
        };
        let read = desk.journal.read_from(&foreign, file(3), "other");
        read.await.unwrap();
        assert_eq!(desk.record().await.digest, order.digest, "another operation's");
        desk.journal
            .read_from(&order, files.clone(), "project")
            .await
            .unwrap();
        let digest = desk.record().await.digest;
        assert_eq!(digest != order.digest, kept);
        assert_eq!(desk.view.state().held[&web()].digest, digest);
        desk.finish(1, DeploymentEvent::Succeeded).await;
        match desk.back(Some(1)).await {
            Ok(order) => assert!(kept && order.spec.files == files),
            Err(text) => {
                assert!(
                    !kept && text.starts_with("the files of that revision of web were too large"),
                    "{text}"
                );
            }
        }
    };
    check(file(5), true).await;
    let size = {
        let mut order = in_place(1);
        (order.spec.files, order.digest) = (file(0), SpecDigest::default());
        serde_json::to_vec(&order).unwrap().len()
    };
    check(file(LIMIT - size), true).await;
    check(file(LIMIT - size + 1), false).await;
}
