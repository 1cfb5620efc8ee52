//! Prints the canonical form of a project: `cargo run --example config -- -f compose.yaml --format json`.
//!
//! It takes the options of `windflow-agent local config`; a leading `local config` is ignored.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::process::ExitCode;
use windflow_compose::config::{self, ConfigRequest, Format, Show};
use windflow_compose::discover::{self, Invocation};
use windflow_compose::{Files, Problem};

struct Disk;

impl Files for Disk {
    fn read(&self, path: &str) -> Result<Option<String>, String> {
        match fs_err::read(path) {
            Ok(bytes) => String::from_utf8(bytes)
                .map(Some)
                .map_err(|_| "it is not UTF-8".to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }
}

#[derive(Default)]
struct Options {
    invocation: Invocation,
    services: Vec<String>,
    switches: Vec<String>,
    format: Option<Format>,
}

fn options() -> Result<Options, String> {
    let mut out = Options::default();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let (name, inline) = match arg.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name.to_owned(), Some(value.to_owned())),
            _ => (arg, None),
        };
        let mut value = || {
            inline
                .clone()
                .or_else(|| args.next())
                .ok_or_else(|| format!("{name} needs a value"))
        };
        match name.as_str() {
            "local" | "config" => {}
            "-f" | "--file" => out.invocation.files.push(value()?),
            "-p" | "--project-name" => out.invocation.name = Some(value()?),
            "--env-file" => out.invocation.env_files.push(value()?),
            "--profile" => out.invocation.profiles.push(value()?),
            "--project-directory" => out.invocation.project_directory = Some(value()?),
            "--format" => {
                out.format = Some(if value()? == "json" {
                    Format::Json
                } else {
                    Format::Yaml
                })
            }
            _ if name.starts_with('-') => out.switches.push(name),
            _ => out.services.push(name),
        }
    }
    Ok(out)
}

fn run(mut options: Options) -> Result<String, Vec<Problem>> {
    let general = |message: String| vec![Problem::general(message)];
    let directory = std::env::current_dir().map_err(|error| general(error.to_string()))?;
    options.invocation.working_dir = directory.to_string_lossy().into_owned();
    options.invocation.env = std::env::vars().collect::<BTreeMap<_, _>>();
    if options.invocation.files.iter().any(|file| file == "-") {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|error| general(error.to_string()))?;
        options.invocation.stdin = Some(text);
    }
    let (mut load, warnings) = discover::plan(&options.invocation, &Disk)?;
    let on = |switch: &str| options.switches.iter().any(|name| name == switch);
    load.services = options.services.clone();
    load.normalize = !on("--no-normalize");
    load.resolve_paths = !on("--no-path-resolution");
    load.consistency = !on("--no-consistency");
    let shows = [
        ("--services", Show::Services),
        ("--volumes", Show::Volumes),
        ("--networks", Show::Networks),
        ("--models", Show::Models),
        ("--images", Show::Images),
        ("--profiles", Show::Profiles),
        ("--variables", Show::Variables),
        ("--environment", Show::Environment),
        ("--hash-all", Show::Hashes(Vec::new())),
    ];
    let request = ConfigRequest {
        load,
        show: shows
            .into_iter()
            .find(|(name, _)| on(name))
            .map(|(_, show)| show)
            .unwrap_or_default(),
        format: options.format,
        no_interpolate: on("--no-interpolate"),
    };
    let answer = config::config(request, &Disk)?;
    for warning in warnings.iter().chain(&answer.warnings) {
        eprintln!("warning: {warning}");
    }
    Ok(answer.text)
}

fn main() -> ExitCode {
    let result = options()
        .map_err(|message| vec![Problem::general(message)])
        .and_then(run);
    match result {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(problems) => {
            for problem in problems {
                eprintln!("{problem}");
            }
            ExitCode::from(2)
        }
    }
}
