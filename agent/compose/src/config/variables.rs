//! The variables that files use, as `--variables` lists them.

use super::Format;
use crate::interpolate::{Use, uses};
use crate::print::doc::Doc;
use crate::print::{Draft, json, yaml};
use std::collections::BTreeMap;

pub(super) fn show(draft: &Draft, format: Option<Format>) -> String {
    let mut found: BTreeMap<String, Use> = BTreeMap::new();
    draft.texts(&mut |text| {
        for one in uses(text) {
            found.entry(one.name.clone()).or_insert(one);
        }
    });
    let object = |names: [&str; 4]| {
        let entry = |one: &Use| {
            let values = [
                Doc::Str(one.name.clone()),
                Doc::Str(one.default.clone()),
                Doc::Str(one.presence.clone()),
                Doc::Bool(one.required),
            ];
            Doc::Map(names.iter().map(|name| (*name).to_owned()).zip(values).collect())
        };
        Doc::Map(
            found
                .iter()
                .map(|(name, one)| (name.clone(), entry(one)))
                .collect(),
        )
    };
    match format {
        Some(Format::Json) => {
            let doc = object(["Name", "DefaultValue", "PresenceValue", "Required"]);
            json::pretty(&doc, 4) + "\n"
        }
        Some(Format::Yaml) => yaml::write(&object(["name", "defaultvalue", "presencevalue", "required"]), 4),
        None => table(&found),
    }
}

fn table(found: &BTreeMap<String, Use>) -> String {
    let head = ["NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"].map(str::to_owned);
    let rows = found.values().map(|one| {
        [
            one.name.clone(),
            one.required.to_string(),
            one.default.clone(),
            one.presence.clone(),
        ]
    });
    let rows: Vec<[String; 4]> = std::iter::once(head).chain(rows).collect();
    let mut widths = [20_usize; 3];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count() + 3);
        }
    }
    let mut text = String::new();
    for row in &rows {
        for (index, cell) in row.iter().enumerate() {
            match widths.get(index) {
                Some(width) => text.push_str(&format!("{cell:<width$}")),
                None => text.push_str(cell),
            }
        }
        text.push('\n');
    }
    text
}
