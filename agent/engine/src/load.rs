//! From an order to the project: writes the files of link orders, reads those of local mode, loads.

mod files;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use windflow_compose::{
    self as compose, Files as _, LoadRequest, Loaded, Problem,
    discover::{self, BASES},
    dotenv,
};
use windflow_model::{Code, Failure, SpecFile};

use self::files::Files;
use crate::order::{Order, Source};

/// A project with the files it was read from in place, if it was.
pub(crate) struct Read {
    pub(crate) loaded: Loaded,
    pub(crate) files: Option<Vec<SpecFile>>,
}

/// Loads the project of an order. Blocks on files: call it off the async workers. Writes nothing.
///
/// # Errors
/// [`Code::ComposeInvalid`] with all problems, [`Code::HostFailure`] if a file cannot be read.
pub(crate) fn load(order: &Order, work_dir: &Path) -> Result<Read, Failure> {
    let (request, files) = match &order.source {
        Source::Files => {
            let loaded = load_files(order, &directory(order, work_dir))?;
            return Ok(Read { loaded, files: None });
        }
        Source::Directory {
            project_directory,
            config_files,
            env_files,
            environment,
        } => {
            let files = Files::in_place(&order.spec);
            (
                request_directory(
                    order,
                    &files,
                    project_directory,
                    config_files,
                    env_files,
                    environment,
                )?,
                files,
            )
        }
    };
    let mut loaded = compose::load(&request, &files).map_err(|problems| invalid(&problems))?;
    default_platform(&mut loaded, &request);
    Ok(Read {
        loaded,
        files: files.into_read(),
    })
}

/// `DOCKER_DEFAULT_PLATFORM` is for services that name none.
fn default_platform(loaded: &mut Loaded, request: &LoadRequest) {
    let Some(platform) = request
        .env
        .get("DOCKER_DEFAULT_PLATFORM")
        .filter(|text| !text.is_empty())
    else {
        return;
    };
    for service in loaded.project.services.values_mut() {
        service.platform.get_or_insert_with(|| platform.clone());
    }
}

/// Where the files of a link order lie on this host says nothing to whoever wrote them: paths are told as in the spec.
fn load_files(order: &Order, directory: &Path) -> Result<Loaded, Failure> {
    let files = Files::of(&order.spec, directory)?;
    let request = request_files(order, directory, &files)?;
    let mut loaded = compose::load(&request, &files).map_err(|problems| invalid(&problems))?;
    default_platform(&mut loaded, &request);
    Ok(loaded)
}

/// Writes the files of a link order to where its containers mount them from.
///
/// # Errors
/// [`Code::HostFailure`], [`Code::DiskFull`].
pub(crate) fn materialise(order: &Order, work_dir: &Path) -> Result<(), Failure> {
    match &order.source {
        Source::Files => files::materialise(&order.spec, &directory(order, work_dir)),
        Source::Directory { .. } => Ok(()),
    }
}

fn directory(order: &Order, work_dir: &Path) -> PathBuf {
    work_dir.join(order.stack.as_str())
}

fn request_files(order: &Order, directory: &Path, files: &Files) -> Result<LoadRequest, Failure> {
    let paths: Vec<PathBuf> = order
        .spec
        .compose_files
        .iter()
        .map(|path| directory.join(path))
        .collect();
    let mut env = dotenv_of(files, &[directory.join(".env")], false, &order.spec.env)?;
    env.extend(order.spec.env.clone());
    request(order, files, directory, &paths, env, &[])
}

fn request_directory(
    order: &Order,
    files: &Files,
    directory: &Path,
    config_files: &[PathBuf],
    env_files: &[PathBuf],
    environment: &BTreeMap<String, String>,
) -> Result<LoadRequest, Failure> {
    let implicit = [directory.join(".env")];
    let from = if env_files.is_empty() {
        &implicit[..]
    } else {
        env_files
    };
    let mut env = dotenv_of(files, from, !env_files.is_empty(), environment)?;
    env.extend(order.spec.env.clone());
    env.extend(environment.clone());
    request(order, files, directory, config_files, env, env_files)
}

fn request(
    order: &Order,
    files: &Files,
    directory: &Path,
    paths: &[PathBuf],
    env: BTreeMap<String, String>,
    env_files: &[PathBuf],
) -> Result<LoadRequest, Failure> {
    let found;
    let paths = if paths.is_empty() {
        found = found_in(files, directory)?;
        &found
    } else {
        paths
    };
    let mut profiles = order.spec.profiles.clone();
    if let Some(more) = env.get("COMPOSE_PROFILES") {
        profiles.extend(
            more.split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .map(str::to_owned),
        );
    }
    Ok(LoadRequest {
        files: paths
            .iter()
            .map(|path| compose::Source {
                path: text(path),
                text: None,
            })
            .collect(),
        project_directory: text(directory),
        name: Some(order.stack.to_string()),
        env,
        environment_files: env_files.iter().map(|path| text(path)).collect(),
        profiles,
        services: order.options.services.clone(),
        all_resources: order.options.all_resources,
        // What goes needs no variables: a file of them that is missing stops no removal.
        resolve_env: !order.want.is_absent(),
        display_root: files.are_of_spec().then(|| text(directory)),
        ..LoadRequest::default()
    })
}

fn found_in(files: &Files, directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let here = discover::here(&text(directory), files).map_err(|problem| invalid(&[problem]))?;
    let here = here.ok_or_else(|| {
        let names = BASES.join(", ");
        let place = if files.are_of_spec() {
            "the stack".to_owned()
        } else {
            text(directory)
        };
        Failure::new(
            Code::ComposeInvalid,
            format!("no Compose file in {place}: one of {names} is needed"),
        )
    })?;
    Ok(here.files.into_iter().map(PathBuf::from).collect())
}

fn dotenv_of(
    files: &Files,
    paths: &[PathBuf],
    required: bool,
    first: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Failure> {
    let mut env = BTreeMap::new();
    for path in paths {
        let read = files
            .read(&text(path))
            .map_err(|error| Failure::new(Code::HostFailure, error))?;
        let content = match read {
            Some(content) => content,
            None if !required => continue,
            None => {
                return Err(Failure::new(
                    Code::ComposeInvalid,
                    format!("the env file {} does not exist", files.shown(path).display()),
                ));
            }
        };
        let lookup = |name: &str| first.get(name).or_else(|| env.get(name)).cloned();
        let values = dotenv::parse(&content, &lookup, &mut |_| ()).map_err(|error| {
            Failure::new(
                Code::ComposeInvalid,
                format!("{}:{}: {error}", files.shown(path).display(), error.line),
            )
        })?;
        env.extend(values);
    }
    Ok(env)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

pub(crate) fn host(error: &std::io::Error) -> Failure {
    let code = if error.kind() == std::io::ErrorKind::StorageFull {
        Code::DiskFull
    } else {
        Code::HostFailure
    };
    Failure::new(code, error.to_string())
}

fn invalid(problems: &[Problem]) -> Failure {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Failure::new(Code::ComposeInvalid, lines.join("\n"))
}
