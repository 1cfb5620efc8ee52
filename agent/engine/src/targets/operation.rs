//! One change of the host, and what is left of it as evidence.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use windflow_compose::model::Project;
use windflow_model::Layer;

use crate::order::RemoveImages;

/// One call (or one tight group of calls) to the engine.
#[derive(Debug, Clone)]
pub enum Operation {
    /// Fetches an image.
    Pull {
        /// Its reference.
        image: String,
        /// `os[/arch[/variant]]`, if the service names one.
        platform: Option<String>,
    },
    /// Builds the image of a service.
    Build {
        /// The project.
        project: Arc<Project>,
        /// The service.
        service: String,
        /// The tag it gets.
        image: String,
    },
    /// Creates a network of the project.
    NetworkCreate {
        /// The project.
        project: Arc<Project>,
        /// Its key in the file.
        key: String,
        /// Its labels.
        labels: BTreeMap<String, String>,
    },
    /// Makes a network again as it was, with the containers that were on it and are still there.
    NetworkRestore {
        /// What was kept of it.
        saved: SavedNetwork,
    },
    /// Removes a network.
    NetworkRemove {
        /// Its id or name.
        network: String,
    },
    /// Creates a volume of the project.
    VolumeCreate {
        /// The project.
        project: Arc<Project>,
        /// Its key in the file.
        key: String,
        /// Its labels.
        labels: BTreeMap<String, String>,
    },
    /// Removes a volume.
    VolumeRemove {
        /// Its name.
        volume: String,
    },
    /// Creates a container (not started), with all its networks and files.
    Create(Box<ContainerCreate>),
    /// Starts a container; unfreezes it if it is paused.
    Start {
        /// Its id.
        id: String,
        /// Its project and service, whose inline configs and secrets are put in before the start, once more: it is not
        /// fresh from its creation.
        files: Option<(Arc<Project>, String)>,
    },
    /// Stops a container.
    Stop {
        /// Its id.
        id: String,
        /// Time until the kill; `None` leaves it to the container's own setting.
        timeout: Option<Duration>,
    },
    /// Removes a container, running or not.
    Remove {
        /// Its id.
        id: String,
        /// With its anonymous volumes.
        volumes: bool,
    },
    /// Renames a container.
    Rename {
        /// Its id.
        id: String,
        /// The new name.
        name: String,
    },
    /// Connects an existing container to a network of its service.
    Connect {
        /// The container's id.
        id: String,
        /// The container's name, an alias of it.
        name: String,
        /// The project.
        project: Arc<Project>,
        /// Its service.
        service: String,
        /// The network's key in the file.
        key: String,
    },
    /// Takes a container off a network.
    Disconnect {
        /// The container's id.
        id: String,
        /// The network's id.
        network: String,
    },
    /// Stops and starts a container again.
    Restart {
        /// Its id.
        id: String,
        /// Time until the kill.
        timeout: Option<Duration>,
    },
    /// Sends a signal to a container's process.
    Kill {
        /// Its id.
        id: String,
        /// The signal, `SIGKILL`, `HUP`, `9`, ….
        signal: String,
    },
    /// Freezes a container.
    Pause {
        /// Its id.
        id: String,
    },
    /// Wakes a frozen container.
    Unpause {
        /// Its id.
        id: String,
    },
    /// Removes images nobody uses.
    ImagesRemove {
        /// The project.
        project: String,
        /// Which.
        which: RemoveImages,
        /// References of the stack's containers.
        images: Vec<String>,
    },
}

/// A container to create.
#[derive(Debug, Clone)]
pub struct ContainerCreate {
    /// The project.
    pub project: Arc<Project>,
    /// The service.
    pub service: String,
    /// Number within the service, from 1.
    pub number: u32,
    /// Name to create it under, temporary if it replaces another.
    pub name: String,
    /// Name it shall have in the end; it is also its alias in networks.
    pub final_name: String,
    /// Image reference.
    pub image: String,
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// Container id by service, for `service:` references, links and `volumes_from`.
    pub containers: BTreeMap<String, Vec<String>>,
    /// Container names by service, for links.
    pub linked: BTreeMap<String, Vec<String>>,
    /// The container whose anonymous volumes it takes over.
    pub inherits: Option<String>,
    /// Set for a container that `run` makes.
    pub one_off: Option<OneOff>,
}

/// What is different about a container that `run` makes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OneOff {
    /// The engine removes it when it ends.
    pub auto_remove: bool,
    /// Somebody writes to its standard input, once.
    pub stdin: bool,
    /// It answers to the service's name in its networks.
    pub aliases: bool,
}

/// A network with its settings and the places of its containers, in the target's own form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedNetwork(pub serde_json::Value);

/// What an operation left behind; goes into the journal.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Evidence {
    /// Id of the created thing or the digest of the image.
    #[serde(default)]
    pub id: Option<String>,
    /// What the engine warned of.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// How far an operation is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tick {
    /// How far, in `unit`.
    pub current: u64,
    /// Of how much; 0 if unknown.
    pub total: u64,
    /// `bytes` or `items`.
    pub unit: &'static str,
    /// What it is busy with.
    pub detail: String,
    /// The layers of a pull.
    pub layers: Vec<Layer>,
}

/// Takes the progress of one operation; never blocks.
#[derive(Clone)]
pub struct Ticker(Arc<dyn Fn(Tick) + Send + Sync>);

impl Ticker {
    /// Calls `sink` with every tick.
    pub fn new(sink: impl Fn(Tick) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    /// Throws ticks away.
    #[must_use]
    pub fn none() -> Self {
        Self::new(|_| ())
    }

    /// Tells how far it is.
    pub fn tick(&self, tick: Tick) {
        (self.0)(tick);
    }
}

impl fmt::Debug for Ticker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticker")
    }
}
