//! Positions survive merging: every key of the result knows the line that caused it.

mod common;

use common::{load_files, problems};

#[test]
fn every_key_knows_its_line() {
    let files = [
        (
            "a.yaml",
            "include: [inc/i.yaml]\nservices:\n  web:\n    image: one\n    ports:\n      - '80:80'\n      - '81:81'\n    environment:\n      - A=1\n      - B=2\n    labels: {x: '1', y: '2'}\n    volumes: ['./d:/d', 'v:/v']\n    depends_on: [db]\n    command: run it\n    env_file: vars.env\n  db:\n    extends: {file: base.yaml, service: root}\n    build: .\nvolumes:\n  v:\n",
        ),
        (
            "b.yaml",
            "services:\n  web:\n    image: two\n    ports: ['82:82']\n    environment:\n      B: '3'\n      C: '4'\n    labels: [y=5]\n    volumes: ['./e:/d']\n    healthcheck:\n      retries: 4\nnetworks:\n  default:\n    driver_opts: {k: v}\n",
        ),
        (
            "base.yaml",
            "services:\n  root:\n    image: r\n    cap_add:\n      - NET_ADMIN\n",
        ),
        ("inc/i.yaml", "services:\n  inc:\n    image: x\n"),
        ("vars.env", "F=1\n"),
    ];
    let loaded = load_files(&["a.yaml", "b.yaml"], &files, &[]).unwrap();
    let check = |path: &str, want: &str| {
        let place = loaded
            .place(path)
            .unwrap_or_else(|| panic!("{path} has no place"));
        let name = place.file.strip_prefix("/p/").unwrap();
        assert_eq!(format!("{name}:{}", place.line), want, "{path}");
    };
    check("services.web.image", "b.yaml:3");
    check("services.web.ports[0]", "a.yaml:6");
    check("services.web.ports[1].published", "a.yaml:7");
    check("services.web.ports[2].target", "b.yaml:4");
    check("services.web.environment.A", "a.yaml:9");
    check("services.web.environment.B", "b.yaml:6");
    check("services.web.environment.C", "b.yaml:7");
    check("services.web.environment.F", "a.yaml:15");
    check("services.web.environment", "a.yaml:8");
    check("services.web.labels.x", "a.yaml:11");
    check("services.web.labels.y", "b.yaml:8");
    check("services.web.volumes[0].source", "b.yaml:9");
    check("services.web.volumes[1]", "a.yaml:12");
    check("services.web.depends_on.db.condition", "a.yaml:13");
    check("services.web.command[1]", "a.yaml:14");
    check("services.web.healthcheck.retries", "b.yaml:11");
    check("services.db.image", "base.yaml:3");
    check("services.db.cap_add[0]", "base.yaml:5");
    check("services.db.build.context", "a.yaml:18");
    check("services.inc.image", "inc/i.yaml:3");
    check("networks.default.driver_opts.k", "b.yaml:14");
    check("volumes.v", "a.yaml:20");
    // What was written nowhere is told by what is around it.
    check("services.web.networks.default", "a.yaml:3");
    check("services.web.healthcheck.interval", "b.yaml:10");
    assert_eq!(loaded.place("services.none"), None);
}

/// A problem of a merged value is told at the line it came from.
#[test]
fn problems_of_values_know_their_line() {
    let files = [
        (
            "a.yaml",
            "services:\n  s:\n    image: x\n    volumes:\n      - data:/a\n",
        ),
        (
            "b.yaml",
            "services:\n  s:\n    networks:\n      - front\n    secrets: [key]\n",
        ),
    ];
    let found = load_files(&["a.yaml", "b.yaml"], &files, &[]).unwrap_err();
    let places: Vec<String> = found
        .iter()
        .map(|p| format!("{}:{}:{}", p.file, p.line, p.column))
        .collect();
    assert_eq!(
        places,
        ["/p/a.yaml:5:9", "/p/b.yaml:4:9", "/p/b.yaml:5:15"],
        "{found:#?}"
    );
    // Wrong values, missing resources and bad variables of one file are all told at once, in the order of lines.
    let text = "services:\n  a:\n    image: ${\n    ports: ['80:x']\n    restart: 5\n  b:\n    imag: y\n    networks: [n]\n  c:\n    depends_on: [d]\n";
    let lines: Vec<String> = problems(text)
        .iter()
        .filter_map(|problem| problem.split(':').nth(1).map(str::to_owned))
        .collect();
    assert_eq!(
        lines,
        ["3", "4", "5", "7", "8", "9", "10"],
        "{:#?}",
        problems(text)
    );
}
