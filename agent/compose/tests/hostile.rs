//! Files made to hurt: refused, and in bounded time and memory (the test run's own time limit is the judge).

mod common;

use common::{load_files, problems};
use proptest::prelude::*;
use windflow_compose::interpolate::interpolate;
use windflow_compose::{dotenv, print};

#[test]
fn bombs() {
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..12 {
        let before = format!("*a{}", level - 1);
        bomb += &format!("a{level}: &a{level} [{}]\n", vec![before; 10].join(","));
    }
    assert!(problems(&bomb)[0].contains("more than 100000 values"));
    let wide = format!(
        "x-a: &a \"{}\"\nx-b: [{}]\n",
        "y".repeat(1_000_000),
        vec!["*a"; 100].join(",")
    );
    assert!(problems(&wide)[0].contains("bytes when its aliases are expanded"));
    assert!(problems(&"[".repeat(100_000)).len() == 1);
    let deep: String = (0..2_000)
        .map(|level| format!("{}a:\n", " ".repeat(level)))
        .collect();
    let found = problems(&deep);
    assert!(found[0].contains("levels deep"), "{found:.300?}");
    assert!(problems(&"#".repeat(9 * 1024 * 1024))[0].contains("bytes; at most"));
    let many: String = (0..200_000).map(|n| format!("  s{n}: {{image: x}}\n")).collect();
    assert!(!problems(&format!("services:\n{many}")).is_empty());
    let documents = "---\na: 1\n".repeat(1_000);
    assert!(problems(&documents)[0].contains("documents"));
}

#[test]
fn deep_variables() {
    let deep = "${a:-".repeat(100_000) + &"}".repeat(100_000);
    assert!(interpolate(&deep, &|_| None, &mut |_| {}).is_err());
    let long = format!("${{a:-{}}}", "x".repeat(1_000_000));
    assert_eq!(
        interpolate(&long, &|_| None, &mut |_| {}).map(|text| text.len()),
        Ok(1_000_000)
    );
}

proptest! {
    #[test]
    fn interpolation_never_panics(text in "[$a{}:?+\\-x\u{e9} ]{0,40}") {
        let _ = interpolate(&text, &|name| (name == "a").then(|| "v".to_owned()), &mut |_| {});
    }

    #[test]
    fn text_without_dollar_stays(text in "[^$]{0,40}") {
        prop_assert_eq!(interpolate(&text, &|_| None, &mut |_| {}), Ok(text));
    }

    #[test]
    fn variables_never_panic(text in "[A-C=:#'\"\\\\$\\{\\} \n\u{e9}]{0,60}") {
        let _ = dotenv::parse(&text, &|_| None, &mut |_| {});
        let _ = dotenv::parse_raw(&text, &|_| None);
    }

    #[test]
    fn loading_never_panics(text in "(services|volumes|a|image|ports|build|: |\n|  |- |\\[|\\]|\\{|\\}|!reset|&a|\\*a|<<|80:80|\\$\\{|\"|,){0,60}") {
        let _ = problems(&text);
    }

    /// Printing and loading again changes nothing, and neither does an empty override.
    #[test]
    fn printing_is_stable(
        environment in proptest::collection::btree_map("[A-Z]{1,4}", "[ -~\u{e9}]{0,12}", 0..4),
        command in proptest::collection::vec("[ -~]{0,12}", 0..4),
        port in 1_u16..,
        memory in 1_u32..,
    ) {
        let service = serde_json::json!({"services": {"s": {
            "image": "i", "command": command, "environment": environment, "ports": [format!("{port}:80/udp")], "mem_limit": memory,
            "volumes": ["./d:/d:ro", "v:/v"], "networks": {"n": {"aliases": ["x"]}},
        }}, "volumes": {"v": null}, "networks": {"n": {"internal": true}}});
        let text = service.to_string().replace('$', "$$");
        let load = |given: &[&str], text: &str| {
            load_files(given, &[("c.yaml", text), ("e.yaml", "services: {}\n")], &[]).unwrap().project
        };
        let mut first = load(&["c.yaml"], &text);
        for printed in [print::json(&first), print::yaml(&first)] {
            prop_assert_eq!(&load(&["c.yaml"], &printed), &first);
        }
        let over = load(&["c.yaml", "e.yaml"], &text);
        first.compose_files.clone_from(&over.compose_files);
        prop_assert_eq!(over, first);
    }
}
