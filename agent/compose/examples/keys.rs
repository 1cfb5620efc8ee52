//! Prints every key of the language with what becomes of it, as the tables of `docs/compose.md`. `cargo xtask gen` runs it.

use std::collections::BTreeMap;
use windflow_compose::support::{Key, Support, keys};

/// Headings, and the keys that are told below them.
const TABLES: &[(&str, &str)] = &[
    ("The file", ""),
    ("Services", "services.*"),
    ("`build`", "services.*.build"),
    ("`deploy`", "services.*.deploy"),
    ("`healthcheck`", "services.*.healthcheck"),
    ("Networks of a service", "services.*.networks.*"),
    ("Ports of a service", "services.*.ports[]"),
    ("Mounts of a service", "services.*.volumes[]"),
    ("Networks", "networks.*"),
    ("Volumes", "volumes.*"),
    ("Configs", "configs.*"),
    ("Secrets", "secrets.*"),
];

fn words(support: Support) -> String {
    match support {
        Support::Yes => "carried out".to_owned(),
        Support::Partly(how) => format!("carried out: {how}"),
        Support::Language => "resolved while the files are loaded".to_owned(),
        Support::Api(least) => format!("carried out from engine API 1.{least}"),
        Support::NoEffect(why) => format!("no effect, with a warning: {why}"),
        Support::Refused(why) => format!("refused: {why}"),
    }
}

fn main() {
    let keys = keys();
    let mut tables: BTreeMap<usize, Vec<(&str, &Key)>> = BTreeMap::new();
    for key in &keys {
        let place = TABLES
            .iter()
            .enumerate()
            .filter_map(|(index, (_, prefix))| {
                let rest = key.path.strip_prefix(prefix)?;
                let rest = if prefix.is_empty() {
                    rest
                } else {
                    rest.strip_prefix('.')?
                };
                Some((prefix.len(), index, rest))
            })
            .max();
        if let Some((_, index, rest)) = place {
            // Inner keys are told only where their fate is not that of the key around them.
            let around = key.path.rfind('.').and_then(|at| key.path.get(..at));
            let around = around.map(|path| path.trim_end_matches(".*").trim_end_matches("[]"));
            let same = keys
                .iter()
                .any(|other| Some(other.path.as_str()) == around && other.support == key.support);
            let inner = rest.contains(['.', '[']);
            if !(inner && same) {
                tables.entry(index).or_default().push((rest, key));
            }
        }
    }
    for (index, rows) in tables {
        if let Some((heading, _)) = TABLES.get(index) {
            println!("\n### {heading}\n\n| key | what becomes of it |\n|---|---|");
        }
        for (rest, key) in rows {
            println!("| `{rest}` | {} |", words(key.support));
        }
    }
}
