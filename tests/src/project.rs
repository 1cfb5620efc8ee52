//! What a stack leaves on the container engine, removed however the test ends.

use std::{collections::HashMap, thread};

use bollard::{
    Docker,
    models::ContainerSummary,
    query_parameters::{
        ListContainersOptions, ListNetworksOptions, ListVolumesOptions, RemoveContainerOptions,
        RemoveVolumeOptions,
    },
};

/// A Compose project on the engine of this machine. Declare it before the hosts that work on it: it is dropped after
/// them and sweeps what they left.
#[derive(Debug)]
pub struct Project {
    docker: Docker,
    name: String,
}

/// The engine of this machine; `None`, with a line for the reader, where none answers.
///
/// # Panics
/// With `WINDFLOW_TEST_DOCKER=1`, if none answers.
pub async fn engine() -> Option<Docker> {
    let docker = Docker::connect_with_unix_defaults().ok()?;
    if docker.ping().await.is_ok() {
        return Some(docker);
    }
    must_have_engine("no container engine answers at DOCKER_HOST or /var/run/docker.sock");
    None
}

/// A test that needs an engine is skipped, with a line for the reader, where there is none.
///
/// # Panics
/// With `WINDFLOW_TEST_DOCKER=1`.
pub(crate) fn must_have_engine(why: &str) {
    assert!(
        std::env::var("WINDFLOW_TEST_DOCKER").as_deref() != Ok("1"),
        "{why}"
    );
    eprintln!("SKIPPED: {why}");
}

impl Project {
    /// Takes a name of its own, `wft-NAME-PROCESS`; `None` where there is no engine.
    pub async fn claim(name: &str) -> Option<Self> {
        let docker = engine().await?;
        let project = Self {
            docker,
            name: format!("wft-{name}-{}", std::process::id()),
        };
        project.sweep().await;
        Some(project)
    }

    /// The project's name, which is the stack's.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The engine.
    #[must_use]
    pub const fn docker(&self) -> &Docker {
        &self.docker
    }

    /// Its containers, running or not, sorted by name.
    ///
    /// # Panics
    /// If the engine does not answer.
    pub async fn containers(&self) -> Vec<ContainerSummary> {
        containers(&self.docker, &self.name).await
    }

    /// Its networks and volumes by name.
    ///
    /// # Panics
    /// If the engine does not answer.
    pub async fn networks_and_volumes(&self) -> (Vec<String>, Vec<String>) {
        networks_and_volumes(&self.docker, &self.name).await
    }

    /// Removes all of it.
    pub async fn sweep(&self) {
        sweep(&self.docker, &self.name).await;
    }
}

fn filter(project: &str) -> Option<HashMap<String, Vec<String>>> {
    let label = format!("com.docker.compose.project={project}");
    Some(HashMap::from([("label".to_owned(), vec![label])]))
}

async fn containers(docker: &Docker, project: &str) -> Vec<ContainerSummary> {
    let options = ListContainersOptions {
        all: true,
        filters: filter(project),
        ..Default::default()
    };
    let mut list = docker.list_containers(Some(options)).await.unwrap();
    list.sort_by_key(container_name);
    list
}

async fn networks_and_volumes(docker: &Docker, project: &str) -> (Vec<String>, Vec<String>) {
    let options = ListNetworksOptions {
        filters: filter(project),
    };
    let networks = docker.list_networks(Some(options)).await.unwrap();
    let options = ListVolumesOptions {
        filters: filter(project),
    };
    let volumes = docker.list_volumes(Some(options)).await.unwrap();
    (
        networks.into_iter().filter_map(|network| network.name).collect(),
        volumes
            .volumes
            .into_iter()
            .flatten()
            .map(|volume| volume.name)
            .collect(),
    )
}

async fn sweep(docker: &Docker, project: &str) {
    for container in containers(docker, project).await {
        let options = RemoveContainerOptions {
            force: true,
            v: true,
            link: false,
        };
        let id = container.id.unwrap_or_default();
        let _gone = docker.remove_container(&id, Some(options)).await;
    }
    let (networks, volumes) = networks_and_volumes(docker, project).await;
    for network in networks {
        let _gone = docker.remove_network(&network).await;
    }
    for volume in volumes {
        let _gone = docker.remove_volume(&volume, None::<RemoveVolumeOptions>).await;
    }
}

/// The name of a container, without its slash.
#[must_use]
pub fn container_name(container: &ContainerSummary) -> String {
    let name = container.names.iter().flatten().next();
    name.map(|name| name.trim_start_matches('/').to_owned())
        .unwrap_or_default()
}

impl Drop for Project {
    fn drop(&mut self) {
        // A runtime of its own: the test's may be ending, and a drop cannot wait on it.
        let swept = thread::scope(|scope| {
            let sweep = || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let fresh = Docker::connect_with_unix_defaults();
                if let (Ok(runtime), Ok(docker)) = (runtime, fresh) {
                    runtime.block_on(sweep(&docker, &self.name));
                }
            };
            scope.spawn(sweep).join()
        });
        if swept.is_err() {
            eprintln!("the project {} could not be removed from the engine", self.name);
        }
    }
}
