//! The agent's end alone: what it says when, and what it does with what it hears.

use super::*;
use crate::{control::Denial, hello::ControllerHello};

const START: Duration = Duration::from_secs(1_000);

fn s(seconds: u64) -> Duration {
    START + Duration::from_secs(seconds)
}

fn hello(version: u16, controller_epoch: u64) -> ControllerFrame {
    ControllerFrame::Hello(ControllerHello {
        version: Version(version),
        features: Vec::new(),
        build: "c".into(),
        controller_epoch,
        session_epoch: 1,
        acked_report: 0,
        wall_ms: 0,
    })
}

/// One that has just dialled and has seen epoch 5 before.
fn dialled() -> AgentSession {
    let hello = AgentHello {
        versions: VersionRange::SUPPORTED,
        features: Vec::new(),
        build: "a".into(),
        boot_id: [0; 16],
        wall_ms: 0,
    };
    let options = AgentSessionOptions {
        hello: hello.clone(),
        controller_epoch: 5,
    };
    let (session, actions) = AgentSession::start(options, START);
    assert_eq!(actions, [AgentAction::Send(AgentFrame::Hello(hello))]);
    session
}

/// One whose hello was answered at once.
fn opened() -> AgentSession {
    let mut session = dialled();
    let actions = session.on_frame(hello(1, 5), START);
    assert!(
        matches!(actions.as_slice(), [AgentAction::Opened(_)]),
        "{actions:?}"
    );
    session
}

/// One that works; the controller has reports up to 7.
fn steady() -> AgentSession {
    let mut session = opened();
    let actions = session.resume(doc(), 7, START);
    let said = [
        AgentAction::Send(AgentFrame::Resume {
            held: doc(),
            acked_report: 7,
        }),
        AgentAction::Send(AgentFrame::Ping { nonce: 1 }),
    ];
    assert_eq!(actions, said);
    session
}

fn reason(actions: &[AgentAction]) -> String {
    match actions {
        [] => String::new(),
        [AgentAction::Close(denial)] => format!("{} {}", denial.code, denial.message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_a_steady_session_works_and_only_once() {
    let check = |mut session: AgentSession, steady: bool, what: &str| {
        assert_eq!(session.is_steady(), steady, "{what}");
        assert_eq!(session.report_room().is_some(), steady, "{what}");
        assert_eq!(session.report(9, doc()).len(), usize::from(steady), "{what}");
    };
    check(dialled(), false, "dialled");
    check(opened(), false, "opened");
    check(steady(), true, "steady");
    let mut early = dialled();
    assert!(early.resume(doc(), 0, START).is_empty(), "nobody has let it in");
    let mut again = steady();
    assert!(again.resume(doc(), 0, START).is_empty(), "it has resumed");
    assert!(again.on_frame(hello(1, 5), START).is_empty(), "a second hello");
    assert!(again.is_steady());
    let mut over = steady();
    let bye = ControllerFrame::Bye {
        reason: "x".into(),
        retry_after_ms: 0,
    };
    over.on_frame(bye, START);
    check(over, false, "closed");
}

#[test]
fn as_many_reports_are_on_the_way_as_the_window_has_room_for() {
    let mut session = steady();
    assert_eq!(session.report_room(), Some((7, REPORT_WINDOW)));
    assert!(session.report(7, doc()).is_empty(), "the controller has it");
    let last = 7 + u64::try_from(REPORT_WINDOW).unwrap();
    for seq in 8..=last {
        let sent = AgentAction::Send(AgentFrame::Report { seq, report: doc() });
        assert_eq!(session.report(seq, doc()), [sent], "{seq}");
        assert!(session.report(seq, doc()).is_empty(), "{seq} is on the way");
    }
    assert_eq!(session.report_room(), None, "the window is full");
    assert!(session.report(last + 1, doc()).is_empty());
    for (upto, room) in [(9, 2), (9, 2), (12, 5), (last, REPORT_WINDOW)] {
        let acked = session.on_frame(ControllerFrame::ReportAck { upto }, START);
        assert_eq!(acked, [AgentAction::Acked(upto)]);
        assert_eq!(session.report_room(), Some((last, room)), "up to {upto}");
    }
    assert_eq!(
        reason(&session.on_frame(ControllerFrame::ReportAck { upto: last + 1 }, START)),
        format!(
            "WF-1009 the controller acknowledged report {}, which was never sent",
            last + 1
        )
    );
}

#[test]
fn what_the_controller_asks_for_is_handed_on() {
    let denial = Denial::new(Code::Internal, "no", 3);
    let check = |frame: ControllerFrame, expected: AgentAction| {
        assert_eq!(steady().on_frame(frame.clone(), s(2)), [expected], "{frame:?}");
    };
    check(ControllerFrame::Assign(doc()), AgentAction::Assign(doc()));
    check(ControllerFrame::Withdraw(doc()), AgentAction::Withdraw(doc()));
    check(
        ControllerFrame::Ping { nonce: 9 },
        AgentAction::Send(AgentFrame::Pong { nonce: 9 }),
    );
    check(
        ControllerFrame::Pong { nonce: 1 },
        AgentAction::Proven(Duration::from_secs(2)),
    );
    check(
        ControllerFrame::Renewed { certificate: vec![4] },
        AgentAction::Renewed(vec![4]),
    );
    check(
        ControllerFrame::RenewRefused(denial.clone()),
        AgentAction::RenewRefused(denial.clone()),
    );
    check(
        ControllerFrame::Pace {
            every_ms: 1_500,
            for_ms: 60_000,
        },
        AgentAction::Pace {
            every: Duration::from_millis(1_500),
            lasts: Duration::from_secs(60),
        },
    );
    check(
        ControllerFrame::EventsAck { life: 3, upto: 9 },
        AgentAction::EventsAcked { life: 3, upto: 9 },
    );
    check(
        ControllerFrame::Refused(denial.clone()),
        AgentAction::Close(denial),
    );
    check(
        ControllerFrame::Bye {
            reason: "a restart".into(),
            retry_after_ms: 4,
        },
        AgentAction::Close(Denial::new(Code::AgentOffline, "a restart", 4)),
    );
    let mut session = steady();
    assert!(
        session
            .on_frame(ControllerFrame::Pong { nonce: 2 }, s(2))
            .is_empty(),
        "nobody asked for that"
    );
}

#[test]
fn what_comes_too_early_ends_the_session_with_its_name() {
    let frames: [(ControllerFrame, &str); 9] = [
        (ControllerFrame::ReportAck { upto: 0 }, "report acknowledgement"),
        (ControllerFrame::Assign(doc()), "assignment"),
        (ControllerFrame::Withdraw(doc()), "withdrawal"),
        (ControllerFrame::Ping { nonce: 1 }, "ping"),
        (ControllerFrame::Pong { nonce: 1 }, "pong"),
        (
            ControllerFrame::Renewed {
                certificate: Vec::new(),
            },
            "renewal",
        ),
        (
            ControllerFrame::RenewRefused(Denial::new(Code::Internal, "no", 0)),
            "renewal",
        ),
        (
            ControllerFrame::Pace {
                every_ms: 1,
                for_ms: 1,
            },
            "pace",
        ),
        (
            ControllerFrame::EventsAck { life: 1, upto: 1 },
            "acknowledgement of events",
        ),
    ];
    for (frame, name) in frames {
        for mut session in [dialled(), opened()] {
            let expected = format!("WF-1009 the controller sent a {name} too early");
            assert_eq!(reason(&session.on_frame(frame.clone(), START)), expected);
            assert!(session.on_frame(frame.clone(), START).is_empty(), "it is over");
            assert_eq!(session.deadline(), None);
            assert!(session.on_tick(0, s(1_000)).is_empty(), "it is over");
        }
    }
    assert_eq!(
        reason(&opened().on_frame(hello(1, 5), START)),
        "WF-1009 the controller sent a hello too early"
    );
}

#[test]
fn a_controller_is_taken_by_its_version_and_its_epoch() {
    let check = |version: u16, epoch: u64, expected: &str| {
        let told = reason(&match dialled().on_frame(hello(version, epoch), START) {
            actions if matches!(actions.as_slice(), [AgentAction::Opened(_)]) => Vec::new(),
            actions => actions,
        });
        assert!(
            told.contains(expected) && told.is_empty() == expected.is_empty(),
            "version {version}, epoch {epoch}: {told}"
        );
    };
    check(1, 5, "");
    check(1, 6, "");
    check(1, 4, "has epoch 4, a newer one with epoch 5 was seen before");
    check(2, 5, "the controller (c) chose protocol 2, this agent speaks 1");
}

#[test]
fn nothing_is_waited_for_too_long() {
    // Without an answer.
    for mut session in [dialled(), opened()] {
        assert_eq!(session.deadline(), Some(START + HELLO_WITHIN));
        assert!(session.on_tick(0, s(10) - Duration::from_millis(1)).is_empty());
        assert_eq!(
            reason(&session.on_tick(0, s(10))),
            "WF-3002 the controller did not answer within 10 s"
        );
    }
    // Without a packet: it is looked for every few seconds, and not longer than the last one allows.
    let mut session = steady();
    assert_eq!(session.deadline(), Some(s(6)));
    for (at, deadline) in [(6, 12), (12, 18), (17, 18)] {
        assert!(session.on_tick(0, s(at)).is_empty(), "{at}");
        assert_eq!(session.deadline(), Some(s(deadline)), "{at}");
    }
    assert_eq!(
        reason(&session.on_tick(0, s(18))),
        "WF-3002 no packet from the controller for 18 s"
    );
    // With packets, and without the answer to a ping.
    let mut session = steady();
    assert!(session.on_tick(1, s(17)).is_empty());
    assert_eq!(
        reason(&session.on_tick(2, s(18))),
        "WF-3002 the controller has not answered a ping for 18 s"
    );
    // A frame is as good as a packet.
    let mut session = steady();
    session.on_frame(ControllerFrame::Pong { nonce: 1 }, s(17));
    assert!(session.on_tick(0, s(34)).is_empty());
    assert!(!reason(&session.on_tick(0, s(35))).is_empty());
}

#[test]
fn a_proof_is_asked_for_again_and_again() {
    let mut session = steady();
    session.on_frame(ControllerFrame::Pong { nonce: 1 }, START);
    let mut asked = Vec::new();
    for second in 1..=360 {
        for action in session.on_tick(second, s(second)) {
            let AgentAction::Send(AgentFrame::Ping { nonce }) = action else {
                panic!("{action:?}")
            };
            asked.push((second, nonce));
            session.on_frame(ControllerFrame::Pong { nonce }, s(second));
        }
    }
    assert_eq!(asked, [(120, 2), (240, 3), (360, 4)]);
    // The next one is what it is waked for, if it comes before the next look.
    session.on_tick(999, s(475));
    assert_eq!(session.deadline(), Some(s(480)));
}
