//! Thermometers: zones of the board, and those of processors.

use std::path::Path;

use windflow_model::metrics::{Group, Metric, Scope, Subject};

use super::{
    SamplerOptions,
    file::{Buffer, Kept, line},
    parse::only,
};

/// More thermometers than this are left out.
const MOST: usize = 8;
/// Of the sensors only those inside processors: to ask a disk would wake it, and others sit behind slow wires.
const PROCESSORS: [&str; 3] = ["coretemp", "k10temp", "zenpower"];

#[derive(Debug)]
pub(super) struct Temperatures(Vec<(String, Kept)>);

impl Temperatures {
    pub(super) fn open(options: &SamplerOptions) -> Self {
        let class = options.sys.join("class");
        let mut found = Vec::new();
        for zone in entries(&class.join("thermal"), "thermal_zone") {
            let name = line(&zone.join("type")).unwrap_or_default();
            found.push((name, zone.join("temp")));
        }
        for sensor in entries(&class.join("hwmon"), "hwmon") {
            let name = line(&sensor.join("name")).unwrap_or_default();
            if PROCESSORS.contains(&name.as_str()) {
                // The first one is the package.
                found.push((name, sensor.join("temp1_input")));
            }
        }
        let mut buffer = Buffer::default();
        let mut kept = Vec::<(String, Kept)>::new();
        for (name, path) in found {
            let mut file = Kept::new(path);
            if kept.len() == MOST || file.read(&mut buffer).and_then(only).is_none() {
                continue;
            }
            let alike = kept.iter().filter(|(known, _)| known.starts_with(&name)).count();
            let name = if alike == 0 {
                name
            } else {
                format!("{name}-{alike}")
            };
            kept.push((name, file));
        }
        Self(kept)
    }

    pub(super) fn lay_out(&self, groups: &mut Vec<Group>) {
        groups.extend(self.0.iter().map(|(name, _)| Group {
            scope: Scope::Temperature,
            subject: Subject::plain(name),
            metrics: vec![Metric::TEMPERATURE],
        }));
    }

    pub(super) fn read(&mut self, buffer: &mut Buffer, values: &mut Vec<i64>) {
        for (_, file) in &mut self.0 {
            values.push(file.read(buffer).and_then(only).unwrap_or(0));
        }
    }
}

fn entries(dir: &Path, begin: &str) -> Vec<std::path::PathBuf> {
    let found = fs_err::read_dir(dir).into_iter().flatten().flatten();
    let mut found: Vec<_> = found
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(begin))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}
