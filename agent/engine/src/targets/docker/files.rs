//! Configs and secrets whose content is known here: put into the container before every start.

use bollard::{body_full, query_parameters::UploadToContainerOptions};
use windflow_compose::model::{FileReference, Project};

use super::{DockerTarget, error::failed, spec::mounts};
use crate::targets::{TargetError, TargetErrorKind};

/// Uploads what the service has of them; nothing if there is none.
pub(super) async fn upload(
    target: &DockerTarget,
    id: &str,
    project: &Project,
    service: &str,
) -> Result<(), TargetError> {
    let Some(spec) = project.services.get(service) else {
        return Ok(());
    };
    let configs = spec.configs.iter().filter_map(|file| {
        let content = project.configs.get(&file.source)?.content.clone()?;
        Some((file, mounts::config_target(file), content))
    });
    let secrets = spec.secrets.iter().filter_map(|file| {
        let content = project.secrets.get(&file.source)?.content.reveal()?.to_owned();
        Some((file, mounts::secret_target(file), content))
    });
    let files: Vec<(&FileReference, String, String)> = configs.chain(secrets).collect();
    if files.is_empty() {
        return Ok(());
    }
    if spec.read_only {
        let text = format!(
            "service {service} is read_only: configs and secrets with inline content cannot be put in"
        );
        return Err(TargetError::new(TargetErrorKind::Unsupported, text));
    }
    let what = format!("put configs and secrets into service {service}");
    let tar = archive(&files)
        .map_err(|error| TargetError::caused(TargetErrorKind::Host, format!("cannot {what}"), error))?;
    let options = UploadToContainerOptions {
        path: "/".to_owned(),
        ..UploadToContainerOptions::default()
    };
    let done = target
        .docker()?
        .upload_to_container(id, Some(options), body_full(tar.into()))
        .await;
    done.map_err(|error| failed(target, &what, error))
}

fn archive(files: &[(&FileReference, String, String)]) -> std::io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for (file, path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(content.len()).unwrap_or(0));
        header.set_mode(file.mode.map_or(0o444, |mode| mode.0));
        let number = |text: &Option<String>| text.as_ref().and_then(|text| text.parse().ok()).unwrap_or(0);
        header.set_uid(number(&file.uid));
        header.set_gid(number(&file.gid));
        tar.append_data(&mut header, path.trim_start_matches('/'), content.as_bytes())?;
    }
    tar.into_inner()
}
