//! The whole language: parser, interpolation, merge, extends, include, checks, printing.
//!
//! The input is cut at NUL bytes: base file, override file, a file to extend from, a file to include, an env_file.
//! What loads must print as a document that loads again, to the same project.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use windflow_compose::{LoadRequest, MemoryFiles, Source, load, print};

const NAMES: [&str; 5] = ["/p/compose.yaml", "/p/over.yaml", "/p/base.yaml", "/p/inc/compose.yaml", "/p/vars.env"];

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let files: BTreeMap<String, String> = NAMES
        .iter()
        .zip(text.split('\0'))
        .map(|(name, text)| ((*name).to_owned(), text.to_owned()))
        .collect();
    let source = |path: &str| Source { path: path.to_owned(), text: None };
    let mut request = LoadRequest {
        files: NAMES.iter().take(2).filter(|name| files.contains_key(**name)).map(|name| source(name)).collect(),
        project_directory: "/p".to_owned(),
        name: Some("t".to_owned()),
        env: BTreeMap::from([("A".to_owned(), "1".to_owned()), ("EMPTY".to_owned(), String::new())]),
        profiles: vec!["*".to_owned()],
        ..LoadRequest::default()
    };
    let Ok(loaded) = load(&request, &MemoryFiles(files)) else { return };
    for printed in [print::json(&loaded.project), print::yaml(&loaded.project)] {
        let files = BTreeMap::from([("/p/compose.yaml".to_owned(), printed)]);
        request.files = vec![source("/p/compose.yaml")];
        drop(load(&request, &MemoryFiles(files)));
    }
});
