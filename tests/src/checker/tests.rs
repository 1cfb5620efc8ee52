//! Each break is noticed, and nothing else is.

use super::*;
use crate::history::Container;

fn stored(op: &str, state: &str) -> What {
    What::Stored {
        deployment: format!("dep-{op}"),
        stack: "web".into(),
        agent: "agt".into(),
        rev: 1,
        op: op.into(),
        state: state.into(),
    }
}

fn journal(op: &str, rev: u64, state: &str) -> What {
    What::Journal {
        stack: "web".into(),
        rev,
        op: op.into(),
        state: state.into(),
    }
}

fn step(op: &str) -> What {
    What::Step {
        stack: "web".into(),
        op: op.into(),
        n: "0".into(),
        text: "create container".into(),
        done: false,
    }
}

fn granted(op: &str) -> What {
    What::Granted {
        request: 1,
        deployments: vec![format!("dep-{op}")],
    }
}

fn ended(op: &str, state: &str) -> What {
    What::Ended {
        deployment: format!("dep-{op}"),
        stack: "web".into(),
        agent: "agt".into(),
        rev: 1,
        op: op.into(),
        state: state.into(),
        newest: true,
        services: vec!["web".into()],
        hopeless: false,
    }
}

fn audited(op: &str, from: Option<&str>, to: &str) -> What {
    What::Audited {
        deployment: format!("dep-{op}"),
        from: from.map(str::to_owned),
        to: to.to_owned(),
    }
}

fn runs(names: &[&str]) -> What {
    let containers = names.iter().map(|name| Container {
        name: (*name).to_owned(),
        project: "web".into(),
        service: "web".into(),
        rev: 1,
        running: !name.starts_with("old"),
    });
    What::Runs {
        containers: containers.collect(),
    }
}

/// A history in which all is well, with some of it exchanged.
fn good() -> Vec<(&'static str, What)> {
    vec![
        ("operator", granted("a")),
        ("controller", stored("a", "queued")),
        ("host-1", journal("a", 1, "accepted")),
        ("controller", stored("a", "accepted")),
        ("host-1", step("a")),
        ("host-1", journal("a", 1, "succeeded")),
        ("controller", stored("a", "succeeded")),
        ("world", What::Quiet),
        ("controller", ended("a", "succeeded")),
        ("agt", runs(&["web-web-1"])),
        ("world", What::End),
        ("controller", audited("a", None, "queued")),
        ("controller", audited("a", Some("queued"), "accepted")),
        ("controller", audited("a", Some("accepted"), "succeeded")),
        (
            "controller",
            What::AuditChecked {
                records: 3,
                problems: Vec::new(),
            },
        ),
    ]
}

fn check(change: impl FnOnce(&mut Vec<(&'static str, What)>), wanted: &[&str]) {
    let mut history = good();
    change(&mut history);
    let events: Vec<Event> = history
        .into_iter()
        .map(|(who, what)| Event {
            at_ms: 0,
            who: who.to_owned(),
            what,
        })
        .collect();
    let broken = judge(&events).broken;
    let found: Vec<&str> = broken
        .iter()
        .map(|text| text.split([' ', ':']).next().unwrap())
        .collect();
    assert_eq!(found, wanted, "{broken:#?}");
}

#[test]
fn each_invariant_is_noticed_when_it_breaks() {
    check(|_| {}, &[]);
    check(
        |all| all.insert(7, ("controller", stored("a", "failed"))),
        &["I1"],
    );
    check(|all| drop(all.remove(6)), &["I1"]);
    check(|all| drop(all.remove(2)), &["I2"]);
    check(
        |all| all.insert(6, ("host-1", journal("b", 0, "accepted"))),
        &["I3"],
    );
    check(
        |all| all.insert(6, ("host-1", journal("b", 1, "accepted"))),
        &["I3"],
    );
    check(
        |all| {
            all.insert(5, ("host-1", journal("b", 2, "accepted")));
            all.insert(6, ("host-1", step("b")));
            all.insert(7, ("host-1", step("a")));
            all.insert(8, ("host-1", journal("b", 2, "succeeded")));
            all.remove(9);
        },
        &["I8", "I4"],
    );
    check(|all| all.insert(6, ("host-1", step("a"))), &["I5"]);
    check(|all| all[9].1 = runs(&["web-web-1", "web-web-2"]), &["I6", "I7"]);
    check(|all| all[9].1 = runs(&["web-web-1", "old"]), &["I6"]);
    check(|all| all[9].1 = runs(&[]), &["I7"]);
    // What somebody stops stays so, until it is deployed again.
    let stopped = |at: usize| {
        move |all: &mut Vec<(&'static str, What)>| {
            let agent = "agt".to_owned();
            let (stack, container) = ("web".to_owned(), "web-web-1".to_owned());
            all[9].1 = runs(&[]);
            all.insert(at, ("host-1", What::Stopped { stack, container }));
            all.insert(0, ("host-1", What::Joined { agent }));
        }
    };
    check(stopped(6), &[]);
    check(stopped(1), &["I7"]);
    check(|all| drop(all.remove(9)), &["I7"]);
    check(|all| drop(all.remove(10)), &["I7"]);
    check(|all| all[5].1 = journal("a", 1, "failed"), &["I8"]);
    check(|all| drop(all.remove(8)), &["I12"]);
    // The host goes on with what it had ended.
    check(
        |all| all.insert(6, ("host-1", journal("a", 1, "applying"))),
        &["I1"],
    );
    // A step of what the controller has confirmed as cancelled.
    check(
        |all| {
            let agent = "agt".to_owned();
            all.insert(0, ("host-1", What::Joined { agent }));
            all.insert(5, ("controller", stored("a", "cancelled")));
            all.truncate(7);
        },
        &["I12", "I5", "I7"],
    );
    let failing = |what: &mut What| {
        if let What::Ended { hopeless, .. } = what {
            *hopeless = true;
        }
    };
    check(|all| failing(&mut all[8].1), &["I8"]);
    // What somebody stops ends as a job does; also while it still has its other name.
    for name in ["web-web-1", "0123456789ab_web-web-1", "r5_0123456789ab_web-web-1"] {
        check(
            |all| {
                failing(&mut all[8].1);
                all[9].1 = runs(&[]);
                let (stack, container) = ("web".to_owned(), name.to_owned());
                all.insert(6, ("host-1", What::Stopped { stack, container }));
                let agent = "agt".to_owned();
                all.insert(0, ("host-1", What::Joined { agent }));
            },
            &[],
        );
    }
    // The audit trail.
    check(|all| drop(all.remove(12)), &["I9"]);
    check(
        |all| all.push(("controller", audited("a", None, "queued"))),
        &["I9", "I9"],
    );
    check(|all| drop(all.pop()), &[]);
    let broken_chain = What::AuditChecked {
        records: 3,
        problems: vec!["record 1 was changed".to_owned()],
    };
    check(|all| all[14].1 = broken_chain, &["I9"]);
    // Numbers that do not rise.
    let epoch = |epoch| ("controller", What::Epoch { epoch });
    check(|all| all.extend([epoch(1), epoch(2)]), &[]);
    check(|all| all.extend([epoch(2), epoch(2)]), &["I11"]);
    let session = |epoch| {
        let agent = "agt".to_owned();
        ("controller", What::Session { agent, epoch })
    };
    check(|all| all.extend([session(1), session(2)]), &[]);
    check(|all| all.extend([session(2), session(1)]), &["I11"]);
    // The same request twice.
    let repeated = |ids: &[&str]| What::Repeated {
        request: 1,
        deployments: ids.iter().map(|id| (*id).to_owned()).collect(),
    };
    check(|all| all.push(("operator", repeated(&["dep-a"]))), &[]);
    check(|all| all.push(("operator", repeated(&["dep-b"]))), &["I12"]);
}
