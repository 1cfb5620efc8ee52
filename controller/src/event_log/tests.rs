//! Files: what is cut off, what is damaged, what is too much; and what filters let through.

use windflow_model::{ContainerAction, EventContainer, HostEvent, HostEventKind, StackId, Timestamp};

use super::{file::Lines, *};

fn event(run: u64, seq: u64, at_ms: i64) -> Arc<FleetEvent> {
    let reason = "x".repeat(1_000);
    Arc::new(FleetEvent {
        id: EventId { run, seq },
        at: Timestamp::from_millis(at_ms),
        kind: FleetEventKind::AgentDisconnected {
            agent: agent(),
            reason,
        },
    })
}

fn agent() -> AgentId {
    "agt_01jd4x2m8v7f3k9q0zt5n6r1wc".parse().unwrap()
}

fn read(path: &std::path::Path) -> Vec<u64> {
    let mut lines = Lines::open(path, 0).unwrap();
    std::iter::from_fn(|| lines.next().unwrap())
        .map(|event| event.id.seq)
        .collect()
}

#[test]
fn what_was_cut_off_or_damaged_is_left_out_and_goes_on_behind() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path().to_owned(), EventRetention::default()).unwrap();
    folder
        .write(&mut None, &[event(1, 1, 0), event(1, 2, 0), event(1, 3, 0)])
        .unwrap();
    let path = dir.path().join("1-1.log");
    assert_eq!(read(&path), [1, 2, 3]);
    let whole = fs_err::read(&path).unwrap();
    for cut in [
        whole.len() - 1,
        whole.len() - 500,
        whole.len() / 2,
        30,
        18,
        17,
        3,
        0,
    ] {
        fs_err::write(&path, &whole[..cut]).unwrap();
        Folder::open(dir.path().to_owned(), EventRetention::default()).unwrap();
        if cut < 18 {
            assert!(!path.exists(), "{cut}");
            continue;
        }
        let found = read(&path);
        let whole_lines = whole[18..cut].iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(found.len(), whole_lines, "cut at {cut}");
    }
    let mut flipped = whole;
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    fs_err::write(&path, &flipped).unwrap();
    assert_eq!(read(&path), [1]);
}

#[test]
fn the_oldest_go_when_it_is_too_much_or_too_old() {
    let files = |dir: &std::path::Path| {
        let folder = Folder::open(dir.to_owned(), EventRetention::default()).unwrap();
        folder
            .files()
            .unwrap()
            .into_iter()
            .map(|(first, _)| first.seq)
            .collect::<Vec<_>>()
    };
    let check = |retention: EventRetention, times: &[i64], expected: &[u64]| {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path().to_owned(), retention).unwrap();
        let mut writer = None;
        let mut seq = 0;
        for at in times {
            // Four megabytes and a bit: a file.
            let events: Vec<_> = (0..4_200)
                .map(|_| {
                    seq += 1;
                    event(1, seq, *at)
                })
                .collect();
            folder.write(&mut writer, &events).unwrap();
        }
        assert_eq!(files(dir.path()), expected);
    };
    let day = 86_400_000;
    let much = EventRetention {
        days: 30,
        bytes: 16 << 20,
    };
    check(much, &[1, 2, 3, 4, 5], &[8_401, 12_601, 16_801]);
    let long = EventRetention {
        days: 2,
        bytes: 1 << 30,
    };
    check(long, &[0, day, 2 * day, 4 * day], &[4_201, 8_401, 12_601]);
}

#[test]
fn what_filters_let_through() {
    let other: AgentId = "agt_01jd4x2m8v7f3k9q0zt5n6r1wd".parse().unwrap();
    let stack: StackId = "stk_01jd4x2m8v7f3k9q0zt5n6r1wc".parse().unwrap();
    let died = FleetEventKind::Host {
        agent: agent(),
        life: 1,
        event: HostEvent {
            seq: 1,
            at: Timestamp::from_millis(0),
            kind: HostEventKind::Container {
                action: ContainerAction::Died,
                container: EventContainer {
                    stack: Some("shop".into()),
                    ..EventContainer::default()
                },
                exit_code: Some(1),
            },
        },
    };
    let kinds = |kinds: &[&str]| EventFilter {
        kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
        ..EventFilter::default()
    };
    let check = |filter: &EventFilter, kind: &FleetEventKind, expected: bool| {
        let event = FleetEvent {
            id: EventId::default(),
            at: Timestamp::from_millis(50),
            kind: kind.clone(),
        };
        assert_eq!(filter.holds(&event), expected, "{filter:?} {kind:?}");
    };
    let changed = FleetEventKind::StackChanged { stack };
    let gap = FleetEventKind::Gap { lost: 1 };
    let any = EventFilter::default();
    for kind in [&died, &changed, &gap] {
        check(&any, kind, true);
    }
    let of = |agents: &[AgentId]| EventFilter {
        agents: Some(agents.iter().copied().collect()),
        ..EventFilter::default()
    };
    check(&of(&[agent()]), &died, true);
    check(&of(&[other]), &died, false);
    check(&of(&[agent()]), &changed, false);
    check(&of(&[other]), &gap, true);
    let shop = |id| EventFilter {
        stack: Some(("shop".into(), id)),
        ..EventFilter::default()
    };
    check(&shop(None), &died, true);
    check(&shop(None), &changed, false);
    check(&shop(Some(stack)), &changed, true);
    check(&kinds(&["container"]), &died, true);
    check(&kinds(&["container.died", "image"]), &died, true);
    check(&kinds(&["container.started"]), &died, false);
    check(&kinds(&["contain"]), &died, false);
    check(&kinds(&["stack_changed"]), &changed, true);
    check(&kinds(&["container"]), &gap, true);
    let between = |since, until| EventFilter {
        since: Some(Timestamp::from_millis(since)),
        until: Some(Timestamp::from_millis(until)),
        ..EventFilter::default()
    };
    check(&between(50, 51), &died, true);
    check(&between(51, 99), &died, false);
    check(&between(0, 50), &died, false);
}

#[test]
fn what_waits_is_never_dropped_and_what_finds_no_room_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = EventLog::open(dir.path().to_owned(), EventRetention::default()).unwrap();
    let all = u64::try_from(ROOM).unwrap() + 5;
    (1..=all).for_each(|seq| log.append(event(1, seq, 0)));
    let waiting = lock(&log.0.waiting);
    assert_eq!(waiting.events.len(), ROOM + 1);
    assert_eq!(waiting.events.front().unwrap().id.seq, 1);
    let last = waiting.events.back().unwrap();
    assert_eq!((last.id.seq, &last.kind), (all, &FleetEventKind::Gap { lost: 5 }));
}
