//! Loading from memory, for tables.

use std::collections::BTreeMap;
use windflow_compose::{LoadRequest, Loaded, MemoryFiles, Problem, Source, load};

/// Files below `/p`: the first ones named are given with `-f`, the rest is only there to be read.
pub(crate) fn load_files(
    given: &[&str],
    files: &[(&str, &str)],
    env: &[(&str, &str)],
) -> Result<Loaded, Vec<Problem>> {
    let files = files
        .iter()
        .map(|(name, text)| (format!("/p/{name}"), (*text).to_owned()))
        .collect();
    let request = LoadRequest {
        files: given
            .iter()
            .map(|name| Source {
                path: format!("/p/{name}"),
                text: None,
            })
            .collect(),
        project_directory: "/p".to_owned(),
        name: Some("t".to_owned()),
        env: env
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect::<BTreeMap<_, _>>(),
        ..LoadRequest::default()
    };
    load(&request, &MemoryFiles(files))
}

/// The problems of one file, as printed.
pub(crate) fn problems(text: &str) -> Vec<String> {
    match load_files(&["c.yaml"], &[("c.yaml", text)], &[]) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}
