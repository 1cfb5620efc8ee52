//! The telemetry as a whole: what was pushed is found again, also after a crash.

use windflow_model::metrics::{Group, Layout, Metric, Scope};

use super::*;

fn layout(width: u16) -> Arc<Layout> {
    Arc::new(Layout {
        groups: vec![Group {
            scope: Scope::Host,
            subject: Subject::default(),
            metrics: (0..width).map(|n| Metric(Metric::LOAD_1.0 + n)).collect(),
        }],
    })
}

fn sample(layout: &Arc<Layout>, n: i64, every_ms: i64) -> Sample {
    Sample {
        seq: u64::try_from(n).unwrap(),
        at_ms: n * every_ms,
        layout: Arc::clone(layout),
        values: vec![n * 100; layout.width()],
    }
}

fn agent(n: u128) -> AgentId {
    AgentId::from_uuid(uuid::Uuid::from_u128(n))
}

fn open(dir: &std::path::Path, clock: &Clock) -> Telemetry {
    let telemetry = Telemetry::new(clock.clone());
    *lock(&telemetry.0.disk) = Some(Disk::open(dir.to_path_buf()).unwrap());
    telemetry
}

fn ask(telemetry: &Telemetry, agent: AgentId, steps: Steps, function: Function) -> Vec<Option<f64>> {
    let question = Question {
        measure: Measure::named("load_1").unwrap(),
        function,
        steps,
        filter: Filter::default(),
    };
    let found = telemetry.ask(&question, &[agent]).unwrap();
    found
        .first()
        .map(|series| series.values.clone())
        .unwrap_or_default()
}

/// Samples `from..to` every ten seconds, with a write each minute.
fn feed(telemetry: &Telemetry, clock: &Clock, layout: &Arc<Layout>, (from, to): (i64, i64)) {
    for n in from..to {
        clock.set_ms(n * 10_000);
        telemetry.push(agent(1), vec![sample(layout, n, 10_000)]);
        if n % 6 == 5 {
            telemetry.flush(&Retention::default()).unwrap();
        }
    }
}

#[test]
fn nothing_is_lost_at_a_crash_but_what_was_not_written() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::manual(0));
    let layout = layout(2);
    let each = |count| Steps {
        from: 10_000,
        step: 10_000,
        count,
    };
    let mut written = 1;
    // Before, in the middle of, and after blocks and heads; each time the process is gone without a word.
    for to in [4, 30, 121, 260, 300, 1_000] {
        let telemetry = open(dir.path(), &clock);
        let found = ask(
            &telemetry,
            agent(1),
            each(usize::try_from(written - 1).unwrap()),
            Function::Last,
        );
        let expected: Vec<_> = (1..written).map(|n| Some(n as f64)).collect();
        assert_eq!(found, expected, "up to {written}");
        feed(&telemetry, &clock, &layout, (written, to));
        // Everything is found while it is in memory, on its way, or in blocks.
        let found = ask(
            &telemetry,
            agent(1),
            each(usize::try_from(to - 1).unwrap()),
            Function::Last,
        );
        assert_eq!(found.len(), usize::try_from(to - 1).unwrap());
        assert!(found.iter().all(Option::is_some), "up to {to}");
        written = to / 6 * 6;
        written = written.max(1);
        // What comes again after the crash continues the numbers from what was written.
        if to < 6 {
            written = 1;
        }
    }
    let heads = disk_files(dir.path(), "head");
    assert!(heads <= 4, "{heads} heads are left");
}

fn disk_files(dir: &std::path::Path, begin: &str) -> usize {
    let found = fs_err::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    found
        .filter(|name| name.to_string_lossy().starts_with(begin))
        .count()
}

#[test]
fn days_are_kept_coarser_and_found_by_one_question() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::manual(0));
    let telemetry = open(dir.path(), &clock);
    let columns = layout(1);
    // Thirty hours, one sample a minute to be quick.
    for n in 0..1_800 {
        clock.set_ms(n * 60_000);
        telemetry.push(agent(1), vec![sample(&columns, n, 60_000)]);
        if n % 5 == 4 {
            telemetry.flush(&Retention::default()).unwrap();
        }
    }
    assert!(disk_files(dir.path(), "minute") >= 1 && disk_files(dir.path(), "ten") >= 1);
    let hours = Steps {
        from: 0,
        step: 3_600_000,
        count: 30,
    };
    let found = ask(&telemetry, agent(1), hours, Function::Highest);
    let expected: Vec<_> = (0..30).map(|hour| Some(f64::from(hour * 60 + 59))).collect();
    assert_eq!(found, expected);
    // Another start knows it as well.
    drop(telemetry);
    let telemetry = open(dir.path(), &clock);
    assert_eq!(ask(&telemetry, agent(1), hours, Function::Highest), expected);
    // A day of the finest has to go: the coarser ones answer.
    let retention = Retention {
        days: [0, 30, 400],
        bytes: u64::MAX,
    };
    lock(&telemetry.0.disk)
        .as_mut()
        .unwrap()
        .forget(&retention, 1_900 * 60_000);
    let found = ask(&telemetry, agent(1), hours, Function::Highest);
    assert_eq!(found[..28], expected[..28]);
    // A host that was removed is no longer found.
    telemetry.forget(agent(1));
    assert_eq!(ask(&telemetry, agent(1), hours, Function::Highest), []);
}

#[test]
fn the_newest_and_what_never_came() {
    let clock = Clock::manual(0);
    let telemetry = Telemetry::new(clock.clone());
    assert!(telemetry.newest(agent(1)).is_none());
    let columns = layout(3);
    telemetry.push(
        agent(1),
        vec![sample(&columns, 1, 10_000), sample(&columns, 5, 10_000)],
    );
    clock.advance(Duration::from_secs(3));
    let newest = telemetry.newest(agent(1)).unwrap();
    assert_eq!((newest.lost, newest.age), (3, Duration::from_secs(3)));
    assert_eq!(
        (newest.usage.over_s, newest.usage.host.load),
        (40.0, [5.0, 5.0, 5.0])
    );
    let names = BTreeMap::from([(agent(1), "a \"box\"".to_owned())]);
    let text = telemetry.text(&names);
    assert!(text.contains("host=\"a \\\"box\\\"\"} 5\n"), "{text}");
    assert!(text.contains("# TYPE windflow_load_1 gauge\n"), "{text}");
    // Stale: not the present any more.
    clock.advance(STALE);
    assert!(!telemetry.text(&names).contains("windflow_load_1"));
}

#[test]
fn memory_has_a_bound_where_no_disk_takes_anything() {
    let telemetry = Telemetry::new(Clock::manual(0));
    let columns = layout(10);
    for n in 0..20_000 {
        telemetry.push(agent(1), vec![sample(&columns, n, 10_000)]);
    }
    let host = telemetry.host(agent(1)).unwrap();
    let bytes: usize = lock(&host).recent().iter().map(|chunk| chunk.body.len()).sum();
    assert!(bytes < 100_000, "{bytes}");
    let last = Steps {
        from: 19_990 * 10_000,
        step: 10_000,
        count: 10,
    };
    assert!(
        ask(&telemetry, agent(1), last, Function::Last)
            .iter()
            .all(Option::is_some)
    );
}

#[test]
fn a_question_takes_no_more_memory_than_it_may() {
    let telemetry = Telemetry::new(Clock::system());
    let layout = layout(4);
    for host in 0..3 {
        let samples = (0..100).map(|n| sample(&layout, n, 10_000)).collect();
        telemetry.push(agent(host), samples);
    }
    let agents: Vec<_> = (0..3).map(agent).collect();
    let check = |function: Function, room: usize, fits: bool| {
        let question = Question {
            measure: Measure::named("load_1").unwrap(),
            function,
            steps: Steps {
                from: 0,
                step: 10_000,
                count: 100,
            },
            filter: Filter::default(),
        };
        match telemetry.ask_within(&question, &agents, room) {
            Ok(series) => assert!(fits && series.len() == 3, "{function:?} in {room}"),
            Err(error) => assert!(!fits && matches!(error, AskError::TooMuch), "{error:?} in {room}"),
        }
    };
    for function in [Function::Mean, Function::Percentile(50)] {
        check(function, ROOM, true);
        // Not even one host.
        check(function, 1_000, false);
    }
    // Three hosts one after the other, of which the values stay; or all that they had.
    check(Function::Mean, 16_000, true);
    check(Function::Percentile(50), 16_000, false);
}
