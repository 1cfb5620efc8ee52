use std::collections::BTreeMap;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn id(number: u8) -> AlertId {
    AlertId::from_uuid(Uuid::from_u128(number.into()))
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

/// `1 2s 3a !4`: alerts 1 to 3 fire, 2 is silenced, 3 acknowledged, and 4 has ended.
fn items(text: &str) -> Vec<Item> {
    let one = |word: &str| {
        let digits: String = word.chars().filter(char::is_ascii_digit).collect();
        Item {
            alert: id(digits.parse().unwrap()),
            firing: !word.starts_with('!'),
            silenced: word.ends_with('s'),
            acknowledged: word.ends_with('a'),
        }
    };
    text.split_whitespace().map(one).collect()
}

/// Walks along; gives when what was told: `30:+1,2-3`.
fn walk(delivery: &Delivery, steps: &[(i64, &str)]) -> String {
    let (mut told, mut said) = (Told::default(), Vec::new());
    for (second, alerts) in steps {
        let plan = told.plan(&items(alerts), delivery, at(*second));
        if let Some((firing, ended)) = plan.tell {
            let list = |ids: Vec<AlertId>| {
                let numbers = ids.iter().map(|id| id.uuid().as_u128().to_string());
                numbers.collect::<Vec<_>>().join(",")
            };
            said.push(format!("{second}:+{}-{}", list(firing), list(ended)));
        }
        told = plan.told;
    }
    said.join(" ")
}

#[test]
fn courses() {
    let usual = Delivery {
        wait_s: 30,
        interval_s: 300,
        repeat_s: 3_600,
        ..Delivery::default()
    };
    let check = |steps: &[(i64, &str)], said: &str| assert_eq!(walk(&usual, steps), said, "{steps:?}");
    check(&[(0, "1"), (29, "1 2"), (30, "1 2"), (31, "1 2")], "30:+1,2-");
    // Gone before anybody was told.
    check(&[(0, "1"), (20, "!1"), (30, ""), (40, "2"), (70, "2")], "70:+2-");
    // What changes afterwards waits for the interval, and is told in one.
    check(
        &[
            (0, "1"),
            (30, "1"),
            (40, "1 2"),
            (200, "!1 2 3"),
            (329, "!1 2 3"),
            (330, "!1 2 3"),
            (331, "2 3"),
        ],
        "30:+1- 330:+2,3-1",
    );
    // All over, and again: a new beginning.
    check(
        &[
            (0, "1"),
            (30, "1"),
            (330, "!1"),
            (331, ""),
            (340, "2"),
            (370, "2"),
        ],
        "30:+1- 330:+-1 370:+2-",
    );
    check(
        &[(0, "1"), (30, "1"), (3_629, "1"), (3_630, "1"), (3_631, "1")],
        "30:+1- 3630:+1-",
    );
    // Nobody is told again what they have said they know; its end they are told.
    check(
        &[(0, "1"), (30, "1"), (9_000, "1a"), (9_001, "!1")],
        "30:+1- 9001:+-1",
    );
    check(
        &[(0, "1"), (30, "1"), (9_000, "1a 2"), (9_030, "1a 2")],
        "30:+1- 9000:+1,2-",
    );
    // Silenced: not told; told afterwards if it still fires; what ended in silence is forgotten.
    check(&[(0, "1s"), (100, "1s"), (200, "1"), (230, "1")], "230:+1-");
    check(
        &[
            (0, "1"),
            (30, "1"),
            (400, "1s"),
            (9_000, "1s"),
            (9_001, "1"),
            (9_400, "!1"),
        ],
        "30:+1- 9001:+1- 9400:+-1",
    );
    check(
        &[
            (0, "1"),
            (30, "1"),
            (400, "1s"),
            (500, "!1s"),
            (501, ""),
            (600, "2"),
            (630, "2"),
        ],
        "30:+1- 630:+2-",
    );
    // A wait that a silence broke off begins anew.
    check(
        &[(0, "1"), (20, "1s"), (35, "1s"), (40, "1"), (69, "1"), (70, "1")],
        "70:+1-",
    );

    let curt = Delivery {
        resolved: false,
        repeat_s: 0,
        wait_s: 0,
        ..usual
    };
    let steps = [(0, "1"), (500, "!1"), (501, ""), (99_999, "2"), (999_999, "2")];
    assert_eq!(walk(&curt, &steps), "0:+1- 99999:+2-");
}

proptest! {
    /// Whatever happens: who reads what they were told, and waits, knows what fires; and nothing ends that they were not told of.
    #[test]
    fn who_is_told_knows(changes in prop::collection::vec((0_i64..400, 1_u8..5, 0_u8..3), 1..60)) {
        let delivery = Delivery { wait_s: 30, interval_s: 300, repeat_s: 0, ..Delivery::default() };
        let (mut told, mut now) = (Told::default(), 0);
        let mut firing = BTreeMap::<u8, bool>::new();
        let mut believed = BTreeSet::new();
        let mut last: Option<i64> = None;
        let mut step = |firing: &mut BTreeMap<u8, bool>, believed: &mut BTreeSet<AlertId>, now: i64| {
            let all: Vec<_> = firing.iter().map(|(number, fires)| Item {
                alert: id(*number), firing: *fires, silenced: false, acknowledged: false,
            }).collect();
            let plan = told.plan(&all, &delivery, at(now));
            if let Some((new, ended)) = plan.tell {
                if !believed.is_empty() {
                    assert!(last.is_none_or(|last| now - last >= 300));
                }
                for alert in &ended {
                    assert!(believed.contains(alert), "ended before it was told of");
                }
                *believed = new.into_iter().collect();
                last = Some(now);
            }
            told = plan.told;
            firing.retain(|number, fires| *fires || told.firing.contains(&id(*number)));
        };
        for (wait, number, what) in changes {
            now += wait;
            // An alert that has ended does not come back: another number.
            match what {
                0 => { firing.entry(number).or_insert(true); }
                1 => { if let Some(fires) = firing.get_mut(&number) { *fires = false; } }
                _ => {}
            }
            step(&mut firing, &mut believed, now);
        }
        now += 331;
        step(&mut firing, &mut believed, now);
        now += 331;
        step(&mut firing, &mut believed, now);
        let fires: BTreeSet<_> = firing.iter().filter(|(_, fires)| **fires).map(|(number, _)| id(*number)).collect();
        prop_assert_eq!(believed, fires);
    }
}
