//! What carries a step out.

use std::collections::BTreeMap;

use windflow_model::StepId;

use crate::order::RemoveImages;

/// A container that exists already, or one that an earlier step makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The engine's id.
    Id(String),
    /// Made by that step.
    Made(StepId),
}

/// A container that makes way for another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// Id of the old one.
    pub old: String,
    /// The new one; `None` where nothing takes its place and it only makes way.
    pub new: Option<Subject>,
    /// The name that changes hands.
    pub name: String,
    /// Whether the old one serves until its step in `touches`.
    pub was_up: bool,
    /// The first step that touches the old one.
    pub touches: StepId,
    /// The step that removes the old one: from there on the new one stands.
    pub removes: StepId,
}

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Runs and stays up, is healthy if it has a health check, or has ended well where that is its nature.
    Good,
    /// The health check passes.
    Healthy,
    /// Ended with exit code 0.
    Completed,
}

/// The executor works phase by phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Nothing to do.
    None,
    /// Images: nothing on the host changes for what runs.
    Images,
    /// Networks, volumes, containers that are not started.
    Create,
    /// Stops, renames, starts, waits.
    Switch,
    /// Everything is there and good; is it still after a while?
    Watch,
    /// Removals: from here on there is no way back but to create again.
    Clean,
}

/// One step's work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Nothing: the step says that something stays as it is.
    Nothing,
    /// Fetch.
    Pull {
        /// Reference.
        image: String,
        /// Platform.
        platform: Option<String>,
        /// Service whose `build` section helps out if the pull fails.
        or_build: Option<String>,
    },
    /// Build.
    Build {
        /// Service.
        service: String,
        /// Tag.
        image: String,
    },
    /// Create a network.
    NetworkCreate {
        /// Key in the file.
        key: String,
        /// Labels.
        labels: BTreeMap<String, String>,
    },
    /// Replace a network under the containers that are on it.
    NetworkReplace {
        /// Key in the file.
        key: String,
        /// Id of the old one.
        old: String,
        /// Labels.
        labels: BTreeMap<String, String>,
        /// Containers on it that stay: id, final name and service.
        attached: Vec<(String, String, String)>,
    },
    /// Remove a network.
    NetworkRemove {
        /// Id.
        id: String,
    },
    /// Remove a network whose name another one has, before anything is created.
    TwinRemove {
        /// Id.
        id: String,
    },
    /// Create a volume.
    VolumeCreate {
        /// Key in the file.
        key: String,
        /// Labels.
        labels: BTreeMap<String, String>,
    },
    /// Remove a volume.
    VolumeRemove {
        /// Name.
        name: String,
    },
    /// Create a container.
    Create {
        /// Service.
        service: String,
        /// Number in the service.
        number: u32,
        /// Name at creation.
        name: String,
        /// Name in the end.
        final_name: String,
        /// Labels.
        labels: BTreeMap<String, String>,
        /// Container whose anonymous volumes it takes over.
        inherits: Option<String>,
        /// Containers of the services it refers to.
        refers: BTreeMap<String, Vec<Subject>>,
        /// Names of the containers of the services it has links to.
        linked: BTreeMap<String, Vec<String>>,
    },
    /// Start a container.
    Start {
        /// Which.
        subject: Subject,
        /// Its service.
        service: String,
    },
    /// Stop and start a container because of a dependency.
    Restart {
        /// Id.
        id: String,
    },
    /// Stop a container.
    Stop {
        /// Id.
        id: String,
    },
    /// Give the new container the name, and the old one another.
    Swap {
        /// Id of the old one, if it still has the name.
        old: Option<String>,
        /// The new one.
        new: Subject,
        /// The name.
        name: String,
    },
    /// Remove a container.
    Remove {
        /// Id.
        id: String,
        /// With anonymous volumes.
        volumes: bool,
        /// Stop it first.
        stop: bool,
    },
    /// Remove a container that never took over, before anything is created for its place: what replaces one another
    /// in a row would pile up.
    Discard {
        /// Id.
        id: String,
        /// With anonymous volumes.
        volumes: bool,
        /// Stop it first.
        stop: bool,
    },
    /// Wait.
    Wait {
        /// For these containers.
        subjects: Vec<Subject>,
        /// Of this service.
        service: String,
        /// For this.
        until: Until,
        /// Whether not getting there is a failure.
        required: bool,
    },
    /// Watch that what is good stays good.
    Watch {
        /// These containers.
        subjects: Vec<Subject>,
        /// Of this service.
        service: String,
        /// Seconds.
        seconds: u32,
    },
    /// Connect a container to a network of its service that it is not on.
    Connect {
        /// Id.
        id: String,
        /// Its final name.
        name: String,
        /// Its service.
        service: String,
        /// Key of the network in the file.
        key: String,
    },
    /// Remove images.
    ImagesRemove {
        /// Which.
        which: RemoveImages,
        /// References that the stack's containers had.
        images: Vec<String>,
    },
}

impl Work {
    /// When it is done.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        match self {
            Self::Nothing => Phase::None,
            Self::Pull { .. } | Self::Build { .. } => Phase::Images,
            Self::NetworkCreate { .. }
            | Self::NetworkReplace { .. }
            | Self::TwinRemove { .. }
            | Self::VolumeCreate { .. }
            | Self::Connect { .. }
            | Self::Discard { .. }
            | Self::Create { .. } => Phase::Create,
            Self::Watch { .. } => Phase::Watch,
            Self::Remove { .. }
            | Self::NetworkRemove { .. }
            | Self::VolumeRemove { .. }
            | Self::ImagesRemove { .. } => Phase::Clean,
            Self::Start { .. }
            | Self::Restart { .. }
            | Self::Stop { .. }
            | Self::Swap { .. }
            | Self::Wait { .. } => Phase::Switch,
        }
    }

    /// The container whose process it ends, and leaves ended.
    #[must_use]
    pub fn stops(&self) -> Option<&str> {
        match self {
            Self::Stop { id } | Self::Remove { id, .. } | Self::Discard { id, .. } => Some(id),
            _ => None,
        }
    }

    /// Whether it may be left out or broken off at any time without harm.
    #[must_use]
    pub const fn is_harmless(&self) -> bool {
        matches!(
            self,
            Self::Wait { .. } | Self::Watch { .. } | Self::Pull { .. } | Self::Build { .. } | Self::Nothing
        )
    }
}

impl super::Planned {
    /// This plan's image steps, done, in front of the plan that was made after them.
    #[must_use]
    pub fn with_images_done(&self, rest: Self) -> Self {
        let images = self
            .work
            .iter()
            .take_while(|work| work.phase() == Phase::Images)
            .count();
        let by = u32::try_from(images).unwrap_or(0);
        let mut out = rest;
        out.shift(by);
        out.plan
            .steps
            .splice(..0, self.plan.steps.iter().take(images).cloned());
        for stop in &mut out.plan.interruptions {
            stop.from.0 += by;
            stop.until.iter_mut().for_each(|until| until.0 += by);
        }
        out.plan.resolve();
        out.plan.pin.clone_from(&self.plan.pin);
        out.work.splice(..0, self.work.iter().take(images).cloned());
        out
    }

    /// This plan behind steps of another one, which are over: a reader sees both.
    #[must_use]
    pub fn behind(mut self, before: &windflow_model::Steps) -> Self {
        self.shift(u32::try_from(before.steps.len()).unwrap_or(0));
        self.plan
            .steps
            .splice(..0, before.steps.iter().map(|view| view.step.clone()));
        self.work.splice(..0, before.steps.iter().map(|_| Work::Nothing));
        self
    }

    fn shift(&mut self, by: u32) {
        for step in &mut self.plan.steps {
            step.id.0 += by;
            step.after.iter_mut().for_each(|after| after.0 += by);
        }
        self.work.iter_mut().for_each(|work| work.shift(by));
        for replacement in &mut self.replacements {
            if let Some(Subject::Made(step)) = &mut replacement.new {
                step.0 += by;
            }
            replacement.touches.0 += by;
            replacement.removes.0 += by;
        }
    }
}

impl Work {
    fn shift(&mut self, by: u32) {
        let one = |subject: &mut Subject| {
            if let Subject::Made(step) = subject {
                step.0 += by;
            }
        };
        match self {
            Self::Start { subject, .. } | Self::Swap { new: subject, .. } => one(subject),
            Self::Wait { subjects, .. } | Self::Watch { subjects, .. } => subjects.iter_mut().for_each(one),
            Self::Create { refers, .. } => refers.values_mut().flatten().for_each(one),
            _ => {}
        }
    }
}
