//! Mounts: binds, volumes, tmpfs, and files of configs and secrets.

use std::collections::BTreeSet;

use bollard_stubs::models::{
    Mount as Wire, MountBindOptions, MountBindOptionsPropagationEnum as Propagation, MountImageOptions,
    MountTmpfsOptions, MountType, MountVolumeOptions,
};
use windflow_compose::model::{FileReference, Mount, MountKind, Project, Service};

use super::host;
use crate::targets::{
    ContainerCreate, TargetError, TargetErrorKind,
    docker::{DockerTarget, api::Api, inspect},
};

/// Mounts in the two places a create request has for them.
#[derive(Default)]
pub(super) struct Mounted {
    pub(super) binds: Vec<String>,
    pub(super) mounts: Vec<Wire>,
}

pub(super) fn of(
    api: Api,
    create: &ContainerCreate,
    service: &Service,
    inherited: Vec<Mount>,
    warnings: &mut Vec<String>,
) -> Result<Mounted, TargetError> {
    let mut out = Mounted::default();
    let mut taken: BTreeSet<String> = BTreeSet::new();
    for mount in &service.volumes {
        let anonymous = mount.kind == MountKind::Volume && mount.source.is_none();
        if anonymous && inherited.iter().any(|old| old.target == mount.target) {
            continue;
        }
        taken.insert(mount.target.clone());
        one(api, create, mount, &mut out, warnings)?;
    }
    // The volume that the container before had at this place: its data goes on.
    for mount in inherited {
        if !taken.insert(mount.target.clone()) {
            continue;
        }
        let source = mount.source.unwrap_or_default();
        let mode = if mount.read_only { "ro" } else { "rw" };
        out.binds.push(format!("{source}:{}:{mode}", mount.target));
    }
    let project = &create.project;
    let secrets = service.secrets.iter().filter_map(|file| {
        let path = project.secrets.get(&file.source)?.file.clone()?;
        Some(("secrets", file, path, secret_target(file)))
    });
    let configs = service.configs.iter().filter_map(|file| {
        let path = project.configs.get(&file.source)?.file.clone()?;
        Some(("configs", file, path, config_target(file)))
    });
    for (kind, file, path, target) in secrets.chain(configs) {
        if file.uid.is_some() || file.gid.is_some() || file.mode.is_some() {
            warnings.push(format!(
                "services.{}.{kind}.{}: uid, gid and mode have no effect on a file, which is mounted as it is",
                create.service, file.source
            ));
        }
        // A volume of the service at the same place wins.
        if taken.insert(target.clone()) {
            out.mounts.push(read_only(path, target));
        }
    }
    Ok(out)
}

pub(in crate::targets::docker) fn config_target(file: &FileReference) -> String {
    match &file.target {
        Some(target) if target.starts_with('/') => target.clone(),
        Some(name) => format!("/{name}"),
        None => format!("/{}", file.source),
    }
}

pub(in crate::targets::docker) fn secret_target(file: &FileReference) -> String {
    match &file.target {
        Some(target) if target.starts_with('/') => target.clone(),
        Some(name) => format!("/run/secrets/{name}"),
        None => format!("/run/secrets/{}", file.source),
    }
}

fn read_only(source: String, target: String) -> Wire {
    Wire {
        typ: Some(MountType::BIND),
        source: Some(source),
        target: Some(target),
        read_only: Some(true),
        ..Wire::default()
    }
}

fn one(
    api: Api,
    create: &ContainerCreate,
    mount: &Mount,
    out: &mut Mounted,
    warnings: &mut Vec<String>,
) -> Result<(), TargetError> {
    match mount.kind {
        MountKind::Bind => bind(api, create, mount, out, warnings),
        MountKind::Volume => volume(api, create, mount, out),
        MountKind::Tmpfs => {
            let options = mount.tmpfs.as_ref().map(|tmpfs| MountTmpfsOptions {
                size_bytes: host::bytes(tmpfs.size),
                mode: (tmpfs.mode != 0).then(|| i64::from(tmpfs.mode)),
                ..MountTmpfsOptions::default()
            });
            out.mounts.push(Wire {
                tmpfs_options: options,
                ..wire(MountType::TMPFS, None, mount)
            });
            Ok(())
        }
        MountKind::Image => {
            api.need(48, &create.service, "volumes (type image)")?;
            let options = mount.image.as_ref().map(|image| MountImageOptions {
                subpath: image.subpath.clone(),
            });
            out.mounts.push(Wire {
                image_options: options,
                ..wire(MountType::IMAGE, mount.source.clone(), mount)
            });
            Ok(())
        }
        MountKind::Npipe | MountKind::Cluster => {
            let text = format!(
                "services.{}.volumes: npipe and cluster mounts are not carried out",
                create.service
            );
            Err(TargetError::new(TargetErrorKind::Unsupported, text))
        }
    }
}

fn wire(kind: MountType, source: Option<String>, mount: &Mount) -> Wire {
    Wire {
        typ: Some(kind),
        source,
        target: Some(mount.target.clone()),
        read_only: mount.read_only.then_some(true),
        consistency: mount.consistency.clone(),
        ..Wire::default()
    }
}

/// The plain form goes into `Binds`, which makes a missing host path; anything with options of its own into `Mounts`.
fn bind(
    api: Api,
    create: &ContainerCreate,
    mount: &Mount,
    out: &mut Mounted,
    warnings: &mut Vec<String>,
) -> Result<(), TargetError> {
    let source = mount.source.clone().unwrap_or_default();
    let plain = mount.bind.as_ref().is_none_or(|options| {
        options.create_host_path && options.propagation.is_none() && options.recursive.is_none()
    });
    let selinux = mount.bind.as_ref().and_then(|options| options.selinux.as_deref());
    if plain {
        let mut modes = vec![if mount.read_only { "ro" } else { "rw" }];
        modes.extend(selinux);
        out.binds
            .push(format!("{source}:{}:{}", mount.target, modes.join(",")));
        return Ok(());
    }
    let options = mount.bind.clone().unwrap_or_default();
    if selinux.is_some() {
        warnings.push(format!(
            "services.{}.volumes: selinux of {} has no effect beside propagation, recursive or create_host_path: false",
            create.service, mount.target
        ));
    }
    let mut wire = wire(MountType::BIND, Some(source), mount);
    let mut bind = MountBindOptions {
        propagation: options.propagation.as_deref().and_then(propagation),
        create_mountpoint: options.create_host_path.then_some(true),
        ..MountBindOptions::default()
    };
    if let Some(recursive) = &options.recursive {
        api.need(44, &create.service, "volumes.bind.recursive")?;
        match recursive.as_str() {
            "disabled" => bind.non_recursive = Some(true),
            "writable" => bind.read_only_non_recursive = Some(true),
            "readonly" => bind.read_only_force_recursive = Some(true),
            _ => {}
        }
    }
    wire.bind_options = Some(bind);
    out.mounts.push(wire);
    Ok(())
}

fn propagation(word: &str) -> Option<Propagation> {
    Some(match word {
        "private" => Propagation::PRIVATE,
        "rprivate" => Propagation::RPRIVATE,
        "shared" => Propagation::SHARED,
        "rshared" => Propagation::RSHARED,
        "slave" => Propagation::SLAVE,
        "rslave" => Propagation::RSLAVE,
        _ => return None,
    })
}

fn volume(api: Api, create: &ContainerCreate, mount: &Mount, out: &mut Mounted) -> Result<(), TargetError> {
    let options = mount.volume.clone().unwrap_or_default();
    let plain = options.labels.is_empty() && !options.nocopy && options.subpath.is_none();
    let name = mount.source.as_ref().map(|key| real_name(&create.project, key));
    match name {
        None if plain => out.mounts.push(wire(MountType::VOLUME, None, mount)),
        Some(name) if plain => {
            let mode = if mount.read_only { "ro" } else { "rw" };
            out.binds.push(format!("{name}:{}:{mode}", mount.target));
        }
        name => {
            if options.subpath.is_some() {
                api.need(45, &create.service, "volumes.volume.subpath")?;
            }
            let volume_options = MountVolumeOptions {
                no_copy: options.nocopy.then_some(true),
                labels: host::map(&options.labels),
                subpath: options.subpath,
                ..MountVolumeOptions::default()
            };
            out.mounts.push(Wire {
                volume_options: Some(volume_options),
                ..wire(MountType::VOLUME, name, mount)
            });
        }
    }
    Ok(())
}

fn real_name(project: &Project, key: &str) -> String {
    project
        .volumes
        .get(key)
        .map_or_else(|| key.to_owned(), |volume| volume.name.clone())
}

/// The anonymous volumes of a container, for the one that replaces it: those of the service without a source, and
/// those the image declares.
pub(in crate::targets::docker) async fn anonymous(
    target: &DockerTarget,
    old: &str,
    create: &ContainerCreate,
) -> Result<Vec<Mount>, TargetError> {
    let found = inspect::container(target, old).await?.unwrap_or_default();
    let named: BTreeSet<&str> = create
        .project
        .volumes
        .values()
        .map(|volume| volume.name.as_str())
        .collect();
    let given = found.host_config.binds.unwrap_or_default();
    let mounts = found.mounts.unwrap_or_default().into_iter().filter_map(|mount| {
        let (name, target) = (mount.name?, mount.destination);
        // Anonymous names are 64 hex digits; a bind of such a volume was inherited once before.
        let anonymous = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        let by_name = given.iter().any(|bind| bind.starts_with(&format!("{name}:"))) && !anonymous;
        (anonymous && !by_name && !named.contains(name.as_str())).then(|| Mount {
            source: Some(name),
            target,
            read_only: mount.writable == Some(false),
            ..Mount::default()
        })
    });
    Ok(mounts.collect())
}
