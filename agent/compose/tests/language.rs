//! Tables of the language: what a short text means.

mod common;

use common::{load_files, problems};
use serde_json::{Value, json as j};
use windflow_compose::interpolate::interpolate;
use windflow_compose::{dotenv, name, print, units};

/// The canonical JSON of one file.
fn json(text: &str) -> Value {
    let loaded = load_files(&["c.yaml"], &[("c.yaml", text)], &[("SET", "s"), ("EMPTY", "")]);
    loaded.map_or(Value::Null, |loaded| {
        serde_json::from_str(&print::json(&loaded.project)).unwrap_or(Value::Null)
    })
}

/// One service `s` with these lines.
fn service(lines: &str) -> String {
    format!(
        "services:\n  s:\n    image: i\n{}  b: {{image: i}}\n",
        indented(lines)
    )
}

#[test]
fn interpolation() {
    let lookup = |name: &str| match name {
        "SET" => Some("s".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    };
    let check = |text: &str, want: Option<&str>, unset: &[&str]| {
        let mut heard = Vec::new();
        let got = interpolate(text, &lookup, &mut |name| heard.push(name.to_owned()));
        assert_eq!(got.as_deref().ok(), want, "{text}");
        if want.is_some() {
            assert_eq!(heard, unset, "{text}");
        }
    };
    for (text, want) in [
        ("$SET${SET}", "ss"),
        ("$$SET", "$SET"),
        ("$$$SET", "$s"),
        ("a$", "a$"),
        ("$1 $- a$ b", "$1 $- a$ b"),
        ("${UN:-d}${EMPTY:-d}${UN-d}", "ddd"),
        ("${EMPTY-d}|${UN:-}", "|"),
        ("${EMPTY?m}", ""),
        ("${SET:+r}${EMPTY+r}", "rr"),
        ("${EMPTY:+r}${UN+r}", ""),
        ("${UN:-${UN2:-z}}", "z"),
        ("${UN:-$SET-x}", "s-x"),
        ("${UN:-a:-b}${UN-a:-b}", "a:-ba:-b"),
        ("${UN:-{\"j\":1}}", "{\"j\":1}"),
        ("${UN:-a}}", "a}"),
        ("${SET:-$UN}", "s"),
    ] {
        check(text, Some(want), &[]);
    }
    check("a$SETb", Some("a"), &["SETb"]);
    check("${UN}-${UN:-$UN2}", Some("-"), &["UN", "UN2"]);
    for text in [
        "${",
        "${}",
        "${ x}",
        "${x }",
        "${x!}",
        "${1}",
        "${x",
        "${x:=d}",
        "${#x}",
        "${x/s/x}",
        "${UN:?m}",
        "${EMPTY:?m}",
        "${UN?}",
    ] {
        check(text, None, &[]);
    }
    let error = interpolate("${UN:?say $SET}", &lookup, &mut |_| {})
        .unwrap_err()
        .to_string();
    assert_eq!(error, "required variable UN is missing a value: say s");
}

#[test]
fn variables_in_files() {
    let check = |text: &str, want: &[(&str, &str)]| {
        let lookup = |name: &str| (name == "SHELL").then(|| "sh".to_owned());
        let got = dotenv::parse(text, &lookup, &mut |_| {}).unwrap();
        let got: Vec<(&str, &str)> = got
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        assert_eq!(got, want, "{text:?}");
    };
    check(
        "\u{feff}A=1\r\nexport B = 2 # c\nC: a#b\n# x\n\nSHELL\nNONE\n",
        &[("A", "1"), ("B", "2"), ("C", "a#b"), ("SHELL", "sh")],
    );
    check(
        "A='$B\\n'\nD=\"x\\ty\\$z ${A:-q}\"",
        &[("A", "$B\\n"), ("D", "x\ty$z $B\\n")],
    );
    check("A=\"1\n2\"\nA=3\nB=${A}${SHELL}", &[("A", "3"), ("B", "3sh")]);
    for bad in ["A B=1", "A=\"open", "=1", "A&=1", "A=${X:?no}"] {
        assert!(dotenv::parse(bad, &|_| None, &mut |_| {}).is_err(), "{bad}");
    }
    let raw = dotenv::parse_raw("A='x' # y\n#c\nB=${A}\n", &|_| None).unwrap();
    assert_eq!(raw.get("A").map(String::as_str), Some("'x' # y"));
    assert_eq!(raw.get("B").map(String::as_str), Some("${A}"));
}

#[test]
fn units_and_names() {
    for (text, want) in [
        ("1m30s", "1m30s"),
        ("1w", "168h0m0s"),
        ("1.5h", "1h30m0s"),
        ("-5s", "-5s"),
        ("0", "0s"),
        ("1500us", "1.5ms"),
    ] {
        assert_eq!(
            units::format_duration(units::parse_duration(text).unwrap()),
            want,
            "{text}"
        );
    }
    for bad in ["", "5", "abc", "s", "1x", "1s2", "99999999999w"] {
        assert!(units::parse_duration(bad).is_err(), "{bad}");
    }
    for (text, want) in [
        ("2b", 2),
        ("1.5g", 1_610_612_736),
        ("64 mb", 67_108_864),
        ("1GiB", 1_073_741_824),
        ("1e3", 1000),
        ("-1", -1),
    ] {
        assert_eq!(units::parse_bytes(text), Ok(want), "{text}");
    }
    for bad in ["", "abc", "5m5", "1x", "-5m", "99999999p"] {
        assert!(units::parse_bytes(bad).is_err(), "{bad}");
    }
    assert_eq!(name::normalise("__My.Proj_1"), "myproj_1");
}

#[test]
fn scalars_and_short_forms() {
    let check = |lines: &str, key: &str, want: Value| {
        assert_eq!(
            json(&service(lines)).pointer(&format!("/services/s/{key}")),
            Some(&want),
            "{lines}"
        );
    };
    check(
        "environment: {A: 3.10, B: 1000000.0, C: 0.00001, D: 010, E: yes, F: TRUE, G: 0x1F, H: 1_000}",
        "environment",
        j!({"A": "3.1", "B": "1e+06", "C": "1e-05", "D": "8", "E": "yes", "F": "true", "G": "31", "H": "1000"}),
    );
    check(
        "environment: [A, B=, SET]",
        "environment",
        j!({"A": null, "B": "", "SET": "s"}),
    );
    check("privileged: yes", "privileged", j!(true));
    check("restart: no", "restart", j!("no"));
    check(
        "ports: ['80-82:90']",
        "ports",
        j!([{"mode": "ingress", "target": 90, "published": "80-82", "protocol": "tcp"}]),
    );
    check(
        "configs: []\nexpose: [80, '81/udp']",
        "expose",
        j!(["80", "81/udp"]),
    );
    check(
        "extra_hosts: ['b:1.1.1.1', 'a=[::1]']",
        "extra_hosts",
        j!(["a=::1", "b=1.1.1.1"]),
    );
    check(
        "healthcheck: {test: NONE, interval: 90s}",
        "healthcheck",
        j!({"test": ["CMD-SHELL", "NONE"], "interval": "1m30s"}),
    );
    check(
        "links: ['b:x']",
        "depends_on",
        j!({"b": {"condition": "service_started", "restart": true, "required": true}}),
    );
    check("command: a 'b c' \\d", "command", j!(["a", "b c", "d"]));
    check("command: ''", "command", j!([]));
    check("labels: {a: $$x}", "labels", j!({"a": "$$x"}));
}

#[test]
fn merging() {
    let check = |base: &str, over: &str, key: &str, want: Value| {
        let files = [
            ("a.yaml", service(base)),
            ("b.yaml", format!("services:\n  s:\n{}", indented(over))),
        ];
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let loaded =
            load_files(&["a.yaml", "b.yaml"], &files, &[]).unwrap_or_else(|p| panic!("{over}: {p:?}"));
        let got: Value = serde_json::from_str(&print::json(&loaded.project)).unwrap();
        let got = got
            .pointer(&format!("/services/s/{key}"))
            .cloned()
            .unwrap_or(Value::Null);
        assert_eq!(got, want, "{base} + {over}");
    };
    check("command: [a]", "command: [b]", "command", j!(["b"]));
    check("command: [a]", "command:", "command", j!(null));
    check("hostname: h", "hostname:", "hostname", j!("h"));
    check(
        "environment: {A: 1, B: 2}",
        "environment: [B=3, C=4]",
        "environment",
        j!({"A": "1", "B": "3", "C": "4"}),
    );
    check(
        "dns: [1.1.1.1, 8.8.8.8]",
        "dns: 8.8.8.8",
        "dns",
        j!(["1.1.1.1", "8.8.8.8"]),
    );
    check("tmpfs: /a", "tmpfs: [/b]", "tmpfs", j!(["/a", "/b"]));
    check("ports: ['80:80']", "ports: !reset []", "ports", j!(null));
    check("cap_add: [A]", "cap_add: !override [B]", "cap_add", j!(["B"]));
    check(
        "environment: {A: 1, B: 2}",
        "environment: {A: !reset null}",
        "environment",
        j!({"B": "2"}),
    );
    check(
        "logging: {driver: a, options: {x: 1}}",
        "logging: {driver: b}",
        "logging",
        j!({"driver": "b"}),
    );
    check(
        "logging: {driver: a, options: {x: 1}}",
        "logging: {options: {y: 2}}",
        "logging",
        j!({"driver": "a", "options": {"x": "1", "y": "2"}}),
    );
    check(
        "ulimits: {n: {soft: 1, hard: 2}}",
        "ulimits: {n: 3}",
        "ulimits",
        j!({"n": 3}),
    );
    check(
        "build: x",
        "build: {target: t}",
        "build",
        j!({"context": "/p/x", "dockerfile": "Dockerfile", "target": "t"}),
    );
    check(
        "volumes: ['/a:/t', '/b:/u']",
        "volumes: ['/c:/t']",
        "volumes/0/source",
        j!("/c"),
    );
    let repeated = [
        ("a.yaml", service("group_add: [x]")),
        ("b.yaml", "services: {s: {group_add: [x]}}".to_owned()),
    ];
    let repeated: Vec<(&str, &str)> = repeated
        .iter()
        .map(|(name, text)| (*name, text.as_str()))
        .collect();
    assert!(load_files(&["a.yaml", "b.yaml"], &repeated, &[]).is_err());
}

fn indented(lines: &str) -> String {
    lines.lines().map(|line| format!("    {line}\n")).collect()
}

#[test]
fn extends_and_include() {
    let files = [
        (
            "c.yaml",
            "include: [inc/i.yaml]\nservices: {a: {extends: {file: sub/b.yaml, service: base}, labels: {x: '2'}}}\n",
        ),
        (
            "sub/b.yaml",
            "services: {base: {extends: root, build: ./ctx, labels: {x: '1', y: '1'}}, root: {image: i, env_file: e.env}}\n",
        ),
        ("sub/e.env", "V=${OUT:-none}\n"),
        (
            "inc/i.yaml",
            "services: {inc: {image: \"x:${T}\", volumes: ['./d:/d']}}\n",
        ),
        ("inc/.env", "T=own\n"),
    ];
    let project = load_files(&["c.yaml"], &files, &[("OUT", "o")]).unwrap().project;
    let a = &project.services["a"];
    assert_eq!(a.build.as_ref().unwrap().context.as_deref(), Some("/p/sub/ctx"));
    assert_eq!(a.labels["x"], "2");
    assert_eq!(a.labels["y"], "1");
    assert_eq!(a.environment["V"].as_deref(), Some("o"));
    let inc = &project.services["inc"];
    assert_eq!(inc.image.as_deref(), Some("x:own"));
    assert_eq!(inc.volumes[0].source.as_deref(), Some("/p/inc/d"));
    for circle in [
        "services: {a: {extends: b}, b: {extends: a}}",
        "include: [c.yaml]\nservices: {a: {image: i}}",
    ] {
        assert!(
            problems(circle).iter().any(|p| p.contains("in a circle")),
            "{circle}"
        );
    }
}

#[test]
fn problems_have_places() {
    let text = "services:\n  web:\n    image: 1\n    prots: []\n    restart: false\n  db:\n    imag: x\n    depends_on: [web]\n";
    assert_eq!(
        problems(text),
        [
            "/p/c.yaml:3:12: services.web.image: must be a string, not an integer (put the value in quotes)",
            "/p/c.yaml:4:5: services.web: unknown key \"prots\" (did you mean \"ports\"?)",
            "/p/c.yaml:5:14: services.web.restart: must be a string, not a boolean (put the value in quotes)",
            "/p/c.yaml:7:5: services.db: unknown key \"imag\" (did you mean \"image\"?)",
        ]
    );
    let text = "services:\n  a: {image: x, networks: [n], volumes: ['vo:/x', 'dta:/d'], depends_on: [b]}\nvolumes: {data: , vv: }\n";
    let got = problems(text);
    assert_eq!(got.len(), 4, "{got:#?}");
    assert!(
        got.iter().all(|problem| problem.starts_with("/p/c.yaml:2:")),
        "{got:#?}"
    );
    let check = |text: &str, part: &str| {
        let got = problems(text);
        assert!(
            got.iter().any(|problem| problem.contains(part)),
            "{text}: {got:?}"
        );
    };
    check("services: {a: *no}", "not valid YAML");
    check("services: {a: {image: x}, a: {image: y}}", "given twice");
    check("services: {1: {image: x}}", "not a string");
    check(
        "services: {a: {depends_on: [b], image: x}, b: {depends_on: [a], image: x}}",
        "a → b → a",
    );
    check(
        "services: {a: {image: '${X:?why}'}}",
        "required variable X is missing a value: why",
    );
    check(&service("env_file: no.env"), "/p/no.env does not exist");
    check(&service("scale: -1"), "must be at least 0");
    check("- a", "must be a mapping");
    check("", "is empty");
}
