//! What a project asks for and nobody here carries out: refused by name before anything changes, never dropped in
//! silence.

use std::collections::BTreeMap;

use windflow_compose::{
    Location,
    model::{MountKind, Project},
};
use windflow_model::{Code, Failure};

use crate::order::ApplyOptions;

pub(super) fn check(
    project: &Project,
    locations: &BTreeMap<String, Location>,
    options: &ApplyOptions,
) -> Result<(), Failure> {
    // With all its resources a project without services has something to make all the same.
    if project.services.is_empty() && !options.all_resources {
        let text = if project.disabled_services.is_empty() {
            "no service selected: the project has no services"
        } else {
            "no service selected: no active profile switches a service of the project on"
        };
        return Err(Failure::new(Code::ComposeInvalid, text));
    }
    let found = unsupported(project);
    if !found.is_empty() {
        let found: Vec<String> = found.into_iter().map(|key| placed(key, locations)).collect();
        let text = format!("not carried out by this engine: {}", found.join(", "));
        return Err(Failure::new(Code::Unsupported, text));
    }
    impossible(project)
}

/// A key with the place where it was written.
fn placed(key: String, locations: &BTreeMap<String, Location>) -> String {
    match locations.get(key.split(':').next().unwrap_or(&key)) {
        Some(at) => format!("{key} ({}:{}:{})", at.file, at.line, at.column),
        None => key,
    }
}

/// Keys that are understood and not carried out.
fn unsupported(project: &Project) -> Vec<String> {
    let mut found = Vec::new();
    for (name, service) in &project.services {
        let mut no = |there: bool, key: &str| {
            if there {
                found.push(format!("services.{name}.{key}"));
            }
        };
        no(service.provider.is_some(), "provider");
        no(!service.models.is_empty(), "models");
        no(service.use_api_socket, "use_api_socket");
        no(service.credential_spec.is_some(), "credential_spec");
        no(!service.pre_start.is_empty(), "pre_start");
        let foreign = |kind: MountKind| matches!(kind, MountKind::Cluster | MountKind::Npipe);
        no(
            service.volumes.iter().any(|mount| foreign(mount.kind)),
            "volumes: npipe and cluster mounts",
        );
    }
    for (name, config) in &project.configs {
        if config.external {
            found.push(format!("configs.{name}.external"));
        }
        if config.template_driver.is_some() {
            found.push(format!("configs.{name}.template_driver"));
        }
    }
    for (name, secret) in &project.secrets {
        if secret.external {
            found.push(format!("secrets.{name}.external"));
        }
        if secret.driver.is_some() {
            found.push(format!("secrets.{name}.driver"));
        }
        if secret.template_driver.is_some() {
            found.push(format!("secrets.{name}.template_driver"));
        }
    }
    found
}

/// What the language lets pass and cannot be.
fn impossible(project: &Project) -> Result<(), Failure> {
    let fail = |text: String| Err(Failure::new(Code::ComposeInvalid, text));
    for (name, service) in &project.services {
        let images = service
            .volumes
            .iter()
            .filter(|mount| mount.kind == MountKind::Image);
        for mount in images {
            if mount.source.as_ref().is_none_or(String::is_empty) {
                let target = &mount.target;
                return fail(format!(
                    "services.{name}.volumes: the image to mount at {target} is not named"
                ));
            }
        }
        let files = service.configs.iter().chain(&service.secrets);
        if service.read_only && files.clone().any(|file| is_put_in(project, &file.source)) {
            return fail(format!(
                "services.{name}.read_only: configs and secrets with inline content cannot be put in; mount files"
            ));
        }
    }
    let unset = |kind: &str, name: &str, variable: &Option<String>, known: bool| match variable {
        Some(variable) if !known => fail(format!(
            "{kind}.{name}: the environment variable {variable} is not set"
        )),
        _ => Ok(()),
    };
    for (name, config) in &project.configs {
        unset("configs", name, &config.environment, config.content.is_some())?;
    }
    for (name, secret) in &project.secrets {
        unset(
            "secrets",
            name,
            &secret.environment,
            secret.content.reveal().is_some(),
        )?;
    }
    Ok(())
}

/// Whether a config or secret of that name has content instead of a file.
fn is_put_in(project: &Project, name: &str) -> bool {
    let config = project
        .configs
        .get(name)
        .is_some_and(|config| config.content.is_some());
    let secret = project.secrets.get(name);
    config || secret.is_some_and(|secret| secret.content.reveal().is_some())
}
