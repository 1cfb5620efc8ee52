//! Laws that hold for every project: printing and loading again changes nothing, and how files lie over each other.

mod common;

use common::{load_files, problems};
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use windflow_compose::{model::Project, print};

/// Texts that want quoting, escaping or both.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~\u{e9}]{0,12}",
        Just("yes".to_owned()),
        Just("0x1f".to_owned()),
        Just("1:30".to_owned()),
        Just("a\nb\n".to_owned()),
        Just("  a\n".to_owned()),
        Just("\n\n".to_owned()),
        Just("tab\there".to_owned()),
        Just("\u{1f600}\u{85}\u{feff}".to_owned()),
        Just("~".to_owned()),
        Just("<<".to_owned()),
        Just("- a".to_owned()),
        Just("---".to_owned()),
        Just("$VAR ${X:-y} $$".to_owned()),
    ]
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Z]{1,4}",
        "[a-z]{1,3}\\.[a-z0-9]{1,3}",
        Just("y".to_owned()),
        Just("10".to_owned())
    ]
}

/// One key of a service with a value for it.
fn entry() -> impl Strategy<Value = (&'static str, Value)> {
    let word = "[a-z]{1,6}";
    prop_oneof![
        vec(text(), 0..4).prop_map(|words| ("command", json!(words))),
        vec(text(), 0..3).prop_map(|words| ("entrypoint", json!(words))),
        btree_map(key(), of(text()), 0..4).prop_map(|map| ("environment", json!(map))),
        btree_map(key(), text(), 0..4).prop_map(|map| ("labels", json!(map))),
        vec((1_u16.., 1_u16.., prop_oneof![Just("tcp"), Just("udp")]), 0..3).prop_map(|ports| {
            let ports: Vec<String> = ports
                .iter()
                .map(|(a, b, kind)| format!("{a}:{b}/{kind}"))
                .collect();
            ("ports", json!(ports))
        }),
        vec("/[a-z]{1,4}", 1..3).prop_map(|targets| {
            let mounts: Vec<String> = targets
                .iter()
                .map(|target| format!("./src{target}:{target}:ro"))
                .collect();
            ("volumes", json!(mounts))
        }),
        (1_u32..).prop_map(|bytes| ("mem_limit", json!(bytes))),
        (1_u32..4_000_000).prop_map(|seconds| ("stop_grace_period", json!(format!("{seconds}ms")))),
        word.prop_map(|name| ("hostname", json!(name))),
        any::<bool>().prop_map(|on| ("init", json!(on))),
        any::<bool>().prop_map(|on| ("privileged", json!(on))),
        btree_map("[a-z]{1,6}", 1_i64..100_000, 0..3).prop_map(|map| ("ulimits", json!(map))),
        vec(word, 1..3).prop_map(|names| ("cap_add", json!(names))),
        vec(word, 1..3).prop_map(|names| ("dns_search", json!(names))),
        (1_u64..50, text()).prop_map(|(retries, test)| (
            "healthcheck",
            json!({"test": test, "retries": retries, "interval": "90s"})
        )),
        (0_u32..9, 1_u32..).prop_map(|(replicas, pids)| (
            "deploy",
            json!({"replicas": replicas, "resources": {"limits": {"pids": pids}}})
        )),
        btree_map(key(), text(), 1..3)
            .prop_map(|map| ("logging", json!({"driver": "local", "options": map}))),
        btree_map(key(), of(text()), 0..3).prop_map(|map| ("build", json!({"context": "./c", "args": map}))),
        text().prop_map(|value| ("x-note", json!({"deep": [value, 1, 2.5, null, true]}))),
        vec(text(), 1..3).prop_map(|command| ("post_start", json!([{"command": command}]))),
    ]
}

/// A service with a few keys, each at most once.
fn service() -> impl Strategy<Value = Map<String, Value>> {
    vec(entry(), 0..8).prop_map(|entries| {
        let mut map: Map<String, Value> = entries
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        map.insert("image".to_owned(), json!("i"));
        map
    })
}

/// A file with one service. Its texts mean themselves.
fn file(service: &Map<String, Value>) -> String {
    json!({"services": {"s": service}}).to_string().replace('$', "$$")
}

/// What the files mean, whatever their names.
fn project(texts: &[&str]) -> Result<Project, TestCaseError> {
    let names: Vec<String> = (0..texts.len()).map(|index| format!("f{index}.yaml")).collect();
    let given: Vec<&str> = names.iter().map(String::as_str).collect();
    let files: Vec<(&str, &str)> = given.iter().copied().zip(texts.iter().copied()).collect();
    let mut loaded = load_files(&given, &files, &[]).map_err(|found| {
        let alone = texts.first().copied().map(problems);
        TestCaseError::fail(format!("{found:?} in {texts:?}; the first alone: {alone:?}"))
    })?;
    loaded.project.compose_files.clear();
    Ok(loaded.project)
}

proptest! {
    /// A canonical document, loaded, is the project it was printed from; printed again it is the same text.
    #[test]
    fn printing_is_the_inverse_of_loading(service in service()) {
        let first = project(&[&file(&service)])?;
        for print in [print::json, print::yaml] {
            let printed = print(&first);
            let again = project(&[&printed])?;
            // JSON leaves `x-*` keys of inner objects out, as the reference does.
            if print(&first) == print::yaml(&first) {
                prop_assert_eq!(&again, &first, "{}", printed);
            }
            prop_assert_eq!(print(&again), printed);
        }
    }

    /// A file that says nothing changes nothing, on either side.
    #[test]
    fn an_empty_file_is_neutral(service in service()) {
        let own = file(&service);
        let alone = project(&[&own])?;
        for empty in ["services: {}\n", "x-a: 1\n", "services: {s: {}}\n"] {
            for order in [[own.as_str(), empty], [empty, own.as_str()]] {
                let mut merged = project(&order)?;
                merged.extensions.clear();
                prop_assert_eq!(&merged, &alone, "{:?}", order);
            }
        }
    }

    /// The same file twice says the same as once (for lists that have a rule for repeats).
    #[test]
    fn merging_is_idempotent(mut service in service()) {
        // Lists without an identity for their items grow.
        service.remove("post_start");
        service.remove("x-note");
        let own = file(&service);
        prop_assert_eq!(project(&[&own, &own])?, project(&[&own])?);
    }

    /// A file that says nothing may stand anywhere in a chain of files.
    #[test]
    fn a_neutral_file_may_stand_anywhere(a in service(), b in service()) {
        let (a, b) = (file(&a), file(&b));
        let empty = "services: {}\n";
        let plain = project(&[&a, &b])?;
        prop_assert_eq!(&project(&[&a, empty, &b])?, &plain);
        prop_assert_eq!(&project(&[empty, &a, &b, empty])?, &plain);
    }

    /// `!reset` is as if the base had not said it; `!override` is as if the base had said something else.
    #[test]
    fn reset_and_override(service in service(), (key, value) in entry()) {
        let mut with = service.clone();
        with.insert(key.to_owned(), value.clone());
        let mut without = service;
        without.remove(key);
        let base = file(&with);
        let reset = format!("services: {{s: {{{key}: !reset null}}}}");
        prop_assert_eq!(project(&[&base, &reset])?, project(&[&file(&without)])?);
        let text = value.to_string().replace('$', "$$");
        let over = format!("services: {{s: {{{key}: !override {text}}}}}");
        prop_assert_eq!(project(&[&base, &over])?, project(&[&base])?);
    }

    /// An override wins for every key of its own mapping, and leaves the others.
    #[test]
    fn the_later_file_wins(base in btree_map("[A-Z]{1,2}", text(), 0..5), over in btree_map("[A-Z]{1,2}", text(), 0..5)) {
        let one = |map: &std::collections::BTreeMap<String, String>| {
            file(json!({"image": "i", "environment": map}).as_object().unwrap())
        };
        let merged = project(&[&one(&base), &one(&over)])?;
        let mut want = base;
        want.extend(over);
        let got: std::collections::BTreeMap<String, String> = merged.services["s"]
            .environment
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), value.clone()?)))
            .collect();
        prop_assert_eq!(got, want);
    }
}
