//! From flags, files and environment to a project that the engine can be handed.

use std::{
    collections::BTreeMap,
    io::Read as _,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use windflow_compose::collect::IntoMap as _;
use windflow_compose::{Files, LoadRequest, Loaded, discover, load as load_project};
use windflow_engine::Source;
use windflow_kit::Chain;
use windflow_model::{DeployPolicy, RollbackPolicy, SpecFile, StackName, StackSpec};

use super::{Result, args::ProjectArgs};
use crate::failure::CommandError;

/// The switch for names with underscores.
const COMPATIBILITY: &str = "COMPOSE_COMPATIBILITY";

/// Who calls: its directory, environment, and whether a person looks on.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Absolute working directory.
    pub working_dir: PathBuf,
    /// Environment.
    pub env: BTreeMap<String, String>,
    /// Whether stderr is a terminal.
    pub terminal: bool,
    /// Whether this is root.
    pub root: bool,
}

impl Caller {
    /// A variable that is set and not empty.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.env
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}

/// The files of this host.
pub(super) struct HostFiles;

impl Files for HostFiles {
    fn read(&self, path: &str) -> std::result::Result<Option<String>, String> {
        match fs_err::read_to_string(path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Chain(&error).to_string()),
        }
    }
}

/// The files of this host, with a note of those that were read.
#[derive(Default)]
pub(super) struct Noted(Mutex<BTreeMap<String, String>>);

impl Files for Noted {
    fn read(&self, path: &str) -> std::result::Result<Option<String>, String> {
        let read = HostFiles.read(path)?;
        if let Some(text) = &read {
            let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            noted.insert(path.to_owned(), text.clone());
        }
        Ok(read)
    }
}

/// What shall be loaded, with what was said on the way.
pub(super) struct Request {
    /// For the loader.
    pub(super) load: LoadRequest,
    /// What was read so far.
    files: Noted,
    /// Environment files as they were named, absolute.
    env_files: Vec<PathBuf>,
}

/// Finds files, directory and environment.
pub(super) fn request(args: &ProjectArgs, caller: &Caller) -> Result<Request> {
    let stdin = if args.files.iter().any(|file| file == "-") {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|error| CommandError::usage(format!("stdin cannot be read: {error}")))?;
        Some(text)
    } else {
        None
    };
    let mut env = caller.env.clone();
    if args.compatibility {
        env.insert(COMPATIBILITY.to_owned(), "true".to_owned());
    }
    let invocation = discover::Invocation {
        files: args.files.clone(),
        stdin,
        project_directory: args.project_directory.clone(),
        name: args.project_name.clone(),
        env_files: args.env_files.clone(),
        profiles: args.profiles.clone(),
        working_dir: caller.working_dir.to_string_lossy().into_owned(),
        env,
    };
    let files = Noted::default();
    let (mut load, warnings) =
        discover::plan(&invocation, &files).map_err(|problems| CommandError::problems(&problems))?;
    warn(&warnings);
    load.all_resources = args.all_resources;
    let env_files = load.environment_files.iter().map(PathBuf::from).collect();
    Ok(Request {
        load,
        files,
        env_files,
    })
}

/// Warnings go to stderr, one line each.
pub(super) fn warn(warnings: &[windflow_compose::Problem]) {
    for warning in warnings {
        super::show::note(&format!("warning: {warning}"));
    }
}

/// Loads and reports all problems at once.
pub(super) fn compose(request: &Request) -> Result<Loaded> {
    let loaded =
        load_project(&request.load, &request.files).map_err(|problems| CommandError::problems(&problems))?;
    warn(&loaded.warnings);
    Ok(loaded)
}

/// A project of this host.
#[derive(Debug, Clone)]
pub(super) struct Project {
    pub(super) name: StackName,
    pub(super) spec: StackSpec,
    pub(super) source: Source,
    /// What its files say; `None` where only the name is known.
    pub(super) loaded: Option<Arc<windflow_compose::model::Project>>,
    /// Variables for interpolation.
    pub(super) env: BTreeMap<String, String>,
    /// Only say what would be done.
    pub(super) dry_run: bool,
}

impl Project {
    /// A project of which only the name is known.
    pub(super) fn named(name: &str) -> Result<Self> {
        let name = name
            .parse()
            .map_err(|error| CommandError::usage(format!("{error}")))?;
        Ok(Self {
            name,
            spec: StackSpec::default(),
            source: Source::Files,
            loaded: None,
            env: BTreeMap::new(),
            dry_run: false,
        })
    }

    /// A variable of the project, from the process or an env file.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.env
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}

/// Loads the project and makes what the engine is handed.
pub(super) fn load(request: Request, caller: &Caller) -> Result<Project> {
    let loaded = compose(&request)?;
    let name = parse_name(&loaded)?;
    let mut environment = caller.env.clone();
    // The name the caller asked for holds inside the engine too.
    environment.insert("COMPOSE_PROJECT_NAME".to_owned(), name.to_string());
    if let Some(value) = request.load.env.get(COMPATIBILITY) {
        environment.insert(COMPATIBILITY.to_owned(), value.clone());
    }
    let spec = StackSpec {
        profiles: request.load.profiles.clone(),
        files: handed_on(&request),
        policy: policy(),
        ..StackSpec::default()
    };
    let env = request.load.env.clone();
    Ok(Project {
        name,
        spec,
        env,
        dry_run: false,
        loaded: Some(Arc::new(loaded.project)),
        source: Source::Directory {
            project_directory: request.load.project_directory.clone().into(),
            config_files: request
                .load
                .files
                .iter()
                .map(|file| PathBuf::from(&file.path))
                .collect(),
            env_files: request.env_files,
            environment,
        },
    })
}

/// Nobody can read standard input a second time: a project that comes from there is handed on with the text of every
/// file it was read from. Others are read in place.
fn handed_on(request: &Request) -> Vec<SpecFile> {
    let from_stdin = |file: &windflow_compose::Source| Some((file.path.clone(), file.text.clone()?));
    let stdin: BTreeMap<String, String> = request.load.files.iter().filter_map(from_stdin).into_map();
    if stdin.is_empty() {
        return Vec::new();
    }
    let mut texts = request
        .files
        .0
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    texts.extend(stdin);
    let texts = texts.into_iter();
    texts.map(|(path, content)| SpecFile { path, content }).collect()
}

fn parse_name(loaded: &Loaded) -> Result<StackName> {
    let name = loaded.project.name.as_str();
    name.parse()
        .map_err(|error| CommandError::usage(format!("{error}")))
}

/// Compose leaves orphans alone unless told otherwise, and goes back only when told to.
pub(super) fn policy() -> DeployPolicy {
    DeployPolicy {
        remove_orphans: false,
        // A dependency's health is waited for as long as it takes; `--wait-timeout` bounds the whole.
        health_timeout_s: u32::MAX,
        // What failed stays to be looked at, but for the containers it was to replace.
        rollback: RollbackPolicy {
            automatic: false,
            ..RollbackPolicy::default()
        },
        ..DeployPolicy::default()
    }
}
