//! What `docker compose config` prints: the document, or one of its lists.

mod variables;

use crate::files::Files;
use crate::load::{LoadRequest, draft, load};
use crate::model::Project;
use crate::print;
use crate::problem::Problem;
use std::collections::BTreeSet;

/// What is printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Show {
    /// The whole document.
    #[default]
    Document,
    /// Names of the services, one a line.
    Services,
    /// Images of the services.
    Images,
    /// Keys of the volumes.
    Volumes,
    /// Keys of the networks.
    Networks,
    /// All profiles that services name.
    Profiles,
    /// Keys of the language models.
    Models,
    /// Hashes of these services, or of all if there is none.
    Hashes(Vec<String>),
    /// Variables that the files use, with their defaults.
    Variables,
    /// The environment that variables are taken from.
    Environment,
}

/// Form of the document, or of the list of variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// YAML.
    Yaml,
    /// JSON.
    Json,
}

/// A question to the files.
#[derive(Clone, Debug, Default)]
pub struct ConfigRequest {
    /// Which files, and how they are loaded.
    pub load: LoadRequest,
    /// What is printed.
    pub show: Show,
    /// Form; YAML for the document and a table for variables if absent.
    pub format: Option<Format>,
    /// Leave variables as they are.
    pub no_interpolate: bool,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What goes to standard output, letter by letter.
    pub text: String,
    /// What deserves a word.
    pub warnings: Vec<Problem>,
}

/// Answers as `docker compose config` does.
///
/// # Errors
/// All problems of the files at once, or the names of services that do not exist.
pub fn config(mut request: ConfigRequest, files: &dyn Files) -> Result<Answer, Vec<Problem>> {
    // As the reference: lists never read files of variables, the document always does, whatever `--no-env-resolution` says.
    request.load.resolve_env = matches!(request.show, Show::Document | Show::Environment);
    if request.no_interpolate || request.show == Show::Variables {
        return from_draft(&request, files);
    }
    if matches!(
        request.show,
        Show::Services | Show::Volumes | Show::Networks | Show::Models | Show::Hashes(_)
    ) {
        request.load.services.clear();
    }
    let loaded = load(&request.load, files)?;
    let project = &loaded.project;
    let text = match &request.show {
        Show::Document if request.format == Some(Format::Json) => print::json(project),
        Show::Document => print::yaml(project),
        Show::Services => lines(project.services.keys()),
        Show::Images => lines(
            project
                .services
                .iter()
                .map(|(name, service)| image(project, name, service)),
        ),
        Show::Volumes => lines(project.volumes.keys()),
        Show::Networks => lines(project.networks.keys()),
        Show::Models => lines(project.models.keys()),
        Show::Profiles => {
            let all = project
                .services
                .values()
                .chain(project.disabled_services.values());
            lines(all.flat_map(|service| &service.profiles).collect::<BTreeSet<_>>())
        }
        Show::Hashes(names) => hashes(project, names)?,
        Show::Environment => {
            let mut env = request.load.env.clone();
            env.insert("COMPOSE_PROJECT_NAME".to_owned(), project.name.clone());
            lines(env.iter().map(|(key, value)| format!("{key}={value}")))
        }
        Show::Variables => String::new(),
    };
    Ok(Answer {
        text,
        warnings: loaded.warnings,
    })
}

fn from_draft(request: &ConfigRequest, files: &dyn Files) -> Result<Answer, Vec<Problem>> {
    let (draft, warnings) = draft(&request.load, files)?;
    let text = match (&request.show, request.format) {
        (Show::Document, Some(Format::Json)) => draft.json(),
        (Show::Document, _) => draft.yaml(),
        (Show::Variables, format) => variables::show(&draft, format),
        (Show::Services, _) => lines(draft.keys("services")),
        (Show::Volumes, _) => lines(draft.keys("volumes")),
        (Show::Networks, _) => lines(draft.keys("networks")),
        (Show::Models, _) => lines(draft.keys("models")),
        _ => {
            return Err(vec![Problem::general(
                "this list cannot be made with --no-interpolate: it needs the values",
            )]);
        }
    };
    Ok(Answer { text, warnings })
}

fn lines<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().fold(String::new(), |mut text, item| {
        text.push_str(item.as_ref());
        text.push('\n');
        text
    })
}

fn image(project: &Project, name: &str, service: &crate::model::Service) -> String {
    service
        .image
        .clone()
        .filter(|image| !image.is_empty())
        .unwrap_or_else(|| format!("{}-{name}", project.name))
}

fn hashes(project: &Project, names: &[String]) -> Result<String, Vec<Problem>> {
    let unknown: Vec<Problem> = names
        .iter()
        .filter(|name| !project.services.contains_key(*name))
        .map(|name| Problem::general(format!("no such service: {name}")))
        .collect();
    if !unknown.is_empty() {
        return Err(unknown);
    }
    let wanted = |name: &String| names.is_empty() || names.contains(name);
    Ok(lines(
        project
            .services
            .iter()
            .filter(|(name, _)| wanted(name))
            .map(|(name, service)| format!("{name} {}", print::service_hash(service))),
    ))
}
