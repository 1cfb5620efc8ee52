//! Containers: their control groups, and the interfaces of their network.

use std::path::{Path, PathBuf};

use tokio::time::Instant;
use windflow_model::{
    ContainerState, ContainerSummary,
    metrics::{Group, Metric, Scope, Subject},
};

use super::{
    Fit, SamplerOptions, USUAL,
    cgroup::{Cgroups, Source},
    file::{Buffer, Kept},
    networks::{figures, interfaces},
};

/// More containers than this are left out.
const MOST: usize = 512;
/// The files of so many stay open: seven each, of the thousand that a process may have.
const KEPT_OPEN: usize = 64;

const NETWORK: [Metric; 2] = [Metric::CONTAINER_RECEIVED, Metric::CONTAINER_SENT];

/// A container that is measured.
#[derive(Debug)]
struct Followed {
    id: String,
    subject: Subject,
    sources: Vec<Source>,
    /// Its interfaces, where it has any of its own.
    network: Option<Kept>,
}

#[derive(Debug)]
pub(super) struct Containers {
    cgroups: Cgroups,
    proc: PathBuf,
    followed: Vec<Followed>,
    looked: Option<Instant>,
}

impl Containers {
    pub(super) fn new(options: &SamplerOptions) -> Self {
        Self {
            cgroups: Cgroups::new(&options.sys),
            proc: options.proc.clone(),
            followed: Vec::new(),
            looked: None,
        }
    }

    /// Takes the running ones of a list; gives whether they are others than before.
    pub(super) fn follow(&mut self, list: &[ContainerSummary]) -> bool {
        let running = list
            .iter()
            .filter(|one| matches!(one.state, ContainerState::Running | ContainerState::Paused))
            // The id becomes a part of paths.
            .filter(|one| one.id.len() >= 12 && one.id.bytes().all(|byte| byte.is_ascii_alphanumeric()))
            .take(MOST);
        let now: Vec<_> = running
            .map(|one| {
                let subject = Subject {
                    key: one.id.get(..12).unwrap_or(&one.id).to_owned(),
                    name: one.name.clone(),
                    stack: one.project.clone().unwrap_or_default(),
                    service: one.service.clone().unwrap_or_default(),
                };
                (one.id.clone(), subject)
            })
            .collect();
        let same = now.len() == self.followed.len()
            && now
                .iter()
                .zip(&self.followed)
                .all(|((id, subject), known)| *id == known.id && *subject == known.subject);
        if !same {
            let followed = now.into_iter().map(|(id, subject)| Followed {
                id,
                subject,
                sources: Vec::new(),
                network: None,
            });
            self.followed = followed.collect();
        }
        !same
    }

    pub(super) fn lay_out(&mut self, buffer: &mut Buffer, groups: &mut Vec<Group>) {
        self.looked = Some(Instant::now());
        for (index, one) in self.followed.iter_mut().enumerate() {
            open(one, &self.cgroups, &self.proc, index < KEPT_OPEN, buffer);
            let mut metrics: Vec<Metric> = one.sources.iter().flat_map(Source::metrics).copied().collect();
            if one.network.is_some() {
                metrics.extend(NETWORK);
            }
            if !metrics.is_empty() {
                groups.push(Group {
                    scope: Scope::Container,
                    subject: one.subject.clone(),
                    metrics,
                });
            }
        }
    }

    pub(super) fn read(&mut self, buffer: &mut Buffer, values: &mut Vec<i64>) -> Fit {
        // Just started, or between two runs: it is looked for again after a while.
        let missing = self.followed.iter().any(|one| one.sources.is_empty());
        if missing && self.looked.is_none_or(|looked| looked.elapsed() >= USUAL) {
            return Fit::Changed;
        }
        for one in &mut self.followed {
            let read = one
                .sources
                .iter_mut()
                .try_for_each(|source| source.read(buffer, values));
            if read.is_none() {
                return Fit::Changed;
            }
            if let Some(network) = &mut one.network {
                let Some(text) = network.read(buffer) else {
                    return Fit::Changed;
                };
                values.extend(traffic(text));
            }
        }
        Fit::Fits
    }
}

/// Finds what a container has to be measured.
fn open(one: &mut Followed, cgroups: &Cgroups, proc: &Path, keep: bool, buffer: &mut Buffer) {
    one.sources.clear();
    one.network = None;
    let Some(path) = cgroups.find(&one.id) else { return };
    let mut scratch = Vec::new();
    one.sources = cgroups.sources(&path, keep);
    // What the host does not tell has no columns.
    one.sources
        .retain_mut(|source| source.read(buffer, &mut scratch).is_some());
    let Some(process) = cgroups.process(&path) else {
        return;
    };
    let process = proc.join(process);
    let space = |process: &Path| fs_err::read_link(process.join("ns/net")).ok();
    // In the host's network it has no interfaces of its own; if that cannot be told, they may be the host's.
    if let (Some(its), Some(ours)) = (space(&process), space(&proc.join("self")))
        && its != ours
    {
        let file = process.join("net/dev");
        let mut file = if keep {
            Kept::new(file)
        } else {
            Kept::briefly(file)
        };
        one.network = file.read(buffer).is_some().then_some(file);
    }
}

/// Bytes received and sent over all interfaces but the one to itself.
fn traffic(text: &[u8]) -> [i64; 2] {
    let outer = interfaces(text).filter(|(name, _)| *name != b"lo");
    outer.fold([0, 0], |[received, sent], (_, rest)| {
        let [more, less, _, _] = figures(rest);
        [received + more, sent + less]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_interfaces_but_the_inner_one() {
        let text = b"Inter-| Receive\n face |bytes\n lo: 9 1 0 0 0 0 0 0 9 1 0 0\neth0: 5 1 0 0 0 0 0 0 6 1 0 0\neth1: 1 1 0 0 0 0 0 0 2 1 0 0\n";
        assert_eq!(traffic(text), [6, 8]);
        assert_eq!(traffic(b""), [0, 0]);
    }
}
