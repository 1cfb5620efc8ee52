//! The worst files we know of, with their cost: each is refused or handled in bounded time, all in bounded memory.
//!
//! Time is that of the processor, because the machine that runs this may be busy. The bounds are generous (a build without
//! optimisation is ten times slower than a release); the figures are printed.

mod common;

use common::{load_files, problems};
use std::time::Duration;
use windflow_compose::dotenv;

/// Most time for one of them.
const MOST_TIME: Duration = Duration::from_secs(40);
/// Most memory of the whole test, MiB.
const MOST_MEMORY: u64 = 1_500;

fn check(name: &str, part: &str, run: impl FnOnce() -> Vec<String>) {
    let start = busy();
    let found = run();
    let took = busy() - start;
    println!(
        "{name:<28} {:>8.3} s {:>6} MiB at most so far",
        took.as_secs_f64(),
        peak()
    );
    assert!(took < MOST_TIME, "{name} took {took:?}");
    if part.is_empty() {
        assert!(found.is_empty(), "{name}: {:.500?}", found.first());
    } else {
        assert!(
            found.iter().any(|problem| problem.contains(part)),
            "{name}: {:.500?}",
            found.first()
        );
    }
}

/// Time that this thread had a processor. Zero where the system does not tell.
fn busy() -> Duration {
    let text = fs_err::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text
        .split_whitespace()
        .next()
        .and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// Most memory that this process had so far, MiB. Zero where the system does not tell.
fn peak() -> u64 {
    let status = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or(0) / 1024
}

#[test]
fn worst_cases_are_cheap() {
    check("100 MB file", "bytes; at most", || {
        problems(&"a: b\n".repeat(20_000_000))
    });
    check("alias bomb", "more than 100000 values", || {
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..12 {
            let before = format!("*a{}", level - 1);
            bomb += &format!("a{level}: &a{level} [{}]\n", vec![before; 10].join(","));
        }
        problems(&bomb)
    });
    check("long text, many aliases", "bytes when its aliases", || {
        let text = "y".repeat(1_000_000);
        problems(&format!(
            "x-a: &a \"{text}\"\nx-b: [{}]\n",
            vec!["*a"; 1_000].join(",")
        ))
    });
    check("lists in lists", "not valid YAML", || {
        problems(&"[".repeat(1_000_000))
    });
    check("mappings in mappings", "levels deep", || {
        let lines = (0..2_000).map(|level| format!("{}a:\n", " ".repeat(level)));
        problems(&lines.collect::<String>())
    });
    check("100,000 services", "more than 100000 values", || {
        let lines: String = (0..100_000).map(|n| format!("  s{n}: {{image: x}}\n")).collect();
        problems(&format!("services:\n{lines}"))
    });
    check("14,000 services in a chain", "", || {
        let lines: String = (1..14_000)
            .map(|n| format!("  s{n}: {{image: x, depends_on: [s{}]}}\n", n - 1))
            .collect();
        problems(&format!("services:\n  s0: {{image: x}}\n{lines}"))
    });
    check("10,000 services in a circle", "in a circle", || {
        let lines: String = (0..10_000)
            .map(|n| format!("  s{n}: {{image: x, depends_on: [s{}]}}\n", (n + 1) % 10_000))
            .collect();
        problems(&format!("services:\n{lines}"))
    });
    check("unknown keys everywhere", "unknown key", || {
        let lines: String = (0..20_000).map(|n| format!("  s{n}: {{imag{n}: x}}\n")).collect();
        problems(&format!("services:\n{lines}"))
    });
    check("two files include each other", "in a circle", || {
        let files = [
            ("c.yaml", "include: [d.yaml]\n"),
            ("d.yaml", "include: [c.yaml]\n"),
        ];
        told(load_files(&["c.yaml"], &files, &[]))
    });
    check("each file includes two", "more than 500 files", || {
        let names: Vec<String> = (0..30).map(|n| format!("f{n}.yaml")).collect();
        let texts: Vec<String> = (1..=30)
            .map(|n| match n {
                30 => "services: {s: {image: x}}\n".to_owned(),
                n => format!("include: [f{n}.yaml, f{n}.yaml]\n"),
            })
            .collect();
        let files: Vec<(&str, &str)> = names
            .iter()
            .zip(&texts)
            .map(|(n, t)| (n.as_str(), t.as_str()))
            .collect();
        told(load_files(&["f0.yaml"], &files, &[]))
    });
    check("a long chain of extends", "in a circle", || {
        let lines: String = (0..5_000)
            .map(|n| format!("  s{n}: {{extends: s{}}}\n", (n + 1) % 5_000))
            .collect();
        problems(&format!("services:\n{lines}"))
    });
    check("a default of 1 MB", "", || {
        let text = "x".repeat(1_000_000);
        problems(&format!(
            "services: {{s: {{image: x, labels: {{a: \"${{U:-{text}}}\"}}}}}}\n"
        ))
    });
    check("1,000 defaults of 1 MB", "bytes when its aliases", || {
        let text = "x".repeat(1_000_000);
        let many = vec!["*a"; 1_000].join(",");
        problems(&format!("x-a: &a \"${{U:-{text}}}\"\nx-b: [{many}]\n"))
    });
    let big = "v".repeat(1_000_000);
    check(
        "a variable of 1 MB, often",
        "when its variables are replaced",
        || {
            let text = "$BIG".repeat(100_000);
            let file = format!("x-a: \"{text}\"\nservices: {{s: {{image: x}}}}\n");
            told(load_files(&["c.yaml"], &[("c.yaml", &file)], &[("BIG", &big)]))
        },
    );
    check(
        "a variable in many texts",
        "when its variables are replaced",
        || {
            let file = format!(
                "x-a: [{}]\nservices: {{s: {{image: x}}}}\n",
                vec!["$BIG"; 50_000].join(",")
            );
            told(load_files(&["c.yaml"], &[("c.yaml", &file)], &[("BIG", &big)]))
        },
    );
    check("variables of variables", "when variables are replaced", || {
        let mut text = "A0=xxxxxxxxxx\n".to_owned();
        for n in 1..40 {
            text += &format!("A{n}=$A{0}$A{0}\n", n - 1);
        }
        dotenv::parse(&text, &|_| None, &mut |_| {})
            .err()
            .map(|error| error.to_string())
            .into_iter()
            .collect()
    });
    check("a million variables", "", || {
        let text: String = (0..1_000_000).map(|n| format!("A{}=1\n", n % 9_999)).collect();
        let read = dotenv::parse(&text, &|_| None, &mut |_| {});
        read.err().map(|error| error.to_string()).into_iter().collect()
    });
    assert!(peak() < MOST_MEMORY, "{} MiB", peak());
}

fn told<T>(result: Result<T, Vec<windflow_compose::Problem>>) -> Vec<String> {
    result
        .err()
        .unwrap_or_default()
        .iter()
        .map(ToString::to_string)
        .collect()
}
