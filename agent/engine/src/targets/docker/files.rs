//! Configs and secrets whose content is known here: put into the container before every start.

use hyper::Method;
use windflow_compose::model::{FileReference, Project};

use super::{DockerTarget, spec::mounts, wire};
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
        // A relative target stays so, which is below the root as well.
        let target = file.target.clone().unwrap_or_else(|| mounts::config_target(file));
        Some((file, target, content))
    });
    let secrets = spec.secrets.iter().filter_map(|file| {
        let content = project.secrets.get(&file.source)?.content.reveal()?.to_owned();
        Some((file, mounts::secret_target(file), content))
    });
    let what = format!("put configs and secrets into service {service}");
    // In the order of docker compose.
    for (file, path, content) in secrets.chain(configs) {
        let tar = archive(file, &path, &content)
            .map_err(|error| TargetError::caused(TargetErrorKind::Host, format!("cannot {what}"), error))?;
        let mut query = vec![("path", "/"), ("noOverwriteDirNonDir", "true")];
        // Only then the numbers in the archive count; otherwise the file is the container's user's.
        query.extend((file.uid.is_some() || file.gid.is_some()).then_some(("copyUIDGID", "true")));
        let path = format!("/containers/{id}/archive{}", wire::query(query));
        wire::send(target, Method::PUT, &path, tar, &what)
            .await?
            .done(&what)?;
    }
    Ok(())
}

/// One file under its absolute path, readable by all unless the file says otherwise.
fn archive(file: &FileReference, path: &str, content: &str) -> std::io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(u64::try_from(content.len()).unwrap_or(0));
    header.set_mode(file.mode.map_or(0o444, |mode| mode.0));
    let number = |text: &Option<String>| text.as_ref().and_then(|text| text.parse().ok()).unwrap_or(0);
    header.set_uid(number(&file.uid));
    header.set_gid(number(&file.gid));
    // The path as the file has it, with its leading slash, which the library takes off. A long one it has to write.
    match header.as_old_mut().name.get_mut(..path.len()) {
        Some(name) => {
            name.copy_from_slice(path.as_bytes());
            header.set_cksum();
            tar.append(&header, content.as_bytes())?;
        }
        None => tar.append_data(&mut header, path.trim_start_matches('/'), content.as_bytes())?,
    }
    tar.into_inner()
}
