//! What goes wrong in a run, and how it becomes well again.

use std::sync::atomic::Ordering;

use windflow_tests::history::What;

use crate::{
    disk::Trouble,
    run::{Turn, World, running},
    strike::Doomed,
};

/// How long a machine stays down that was struck, ms.
const DOWN_MS: u64 = 700;

/// What is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Broken {
    Link(usize),
    OneWay { host: usize, towards: bool },
    Process(usize),
    Weather,
    Clock(usize),
    Disk(usize),
    Engine(usize),
}

impl World<'_> {
    pub(crate) fn fault(&mut self) {
        let any = usize::try_from(self.random.up_to(self.machines.len() as u64 - 1)).unwrap();
        let host = 1 + usize::try_from(self.random.up_to(self.shape.agents as u64 - 1)).unwrap();
        let (broken, lasts) = match self.random.up_to(11) {
            0 | 1 => (Broken::Link(host), self.between(100, 30_000)),
            2 => {
                let towards = self.random.up_to(1) == 0;
                (Broken::OneWay { host, towards }, self.between(100, 20_000))
            }
            3..=5 => (Broken::Process(any), self.between(10, 8_000)),
            6 => (Broken::Process(0), self.between(10, 8_000)),
            7 => (Broken::Weather, self.between(1_000, 20_000)),
            8 => (Broken::Clock(any), self.between(1_000, 20_000)),
            9 => (Broken::Disk(any), self.between(100, 6_000)),
            10 => (Broken::Engine(host), self.between(100, 10_000)),
            _ => return self.foreign_hand(host),
        };
        if self.broken.contains(&broken) {
            return;
        }
        self.break_(&broken);
        self.broken.push(broken.clone());
        self.plan(lasts, Turn::Mend(broken));
    }

    pub(crate) fn note(&self, text: String) {
        self.history.fault("world", text);
    }

    fn name(&self, machine: usize) -> String {
        self.machines[machine].name.clone()
    }

    fn take_down(&mut self, machine: usize, cut: bool) {
        let it = self.machines[machine].clone();
        self.note(format!(
            "{} {}",
            it.name,
            if cut { "loses power" } else { "is killed" }
        ));
        if cut {
            it.disk.power_cut(&self.random);
        } else {
            it.disk.orphan();
        }
        self.sim.crash(it.name);
    }

    /// The machine goes down where a transaction was struck, and comes back.
    pub(crate) fn strike_down(&mut self, doomed: &Doomed) {
        let place = self.machines.iter().position(|one| one.name == doomed.machine);
        let machine = place.unwrap();
        let broken = Broken::Process(machine);
        if self.broken.contains(&broken) {
            return;
        }
        self.take_down(machine, doomed.power);
        self.broken.push(broken.clone());
        self.plan(DOWN_MS, Turn::Mend(broken));
    }

    fn break_(&mut self, broken: &Broken) {
        match *broken {
            Broken::Link(host) => {
                let name = self.name(host);
                self.note(format!("{name} is cut off"));
                self.sim.partition(name, "controller");
            }
            Broken::OneWay { host, towards } => {
                let name = self.name(host);
                self.note(format!(
                    "{name} is cut off one way, {}",
                    if towards { "out" } else { "in" }
                ));
                if towards {
                    self.sim.partition_oneway(name, "controller");
                } else {
                    self.sim.partition_oneway("controller", name);
                }
            }
            Broken::Process(machine) => {
                let cut = self.random.up_to(1) == 0;
                self.take_down(machine, cut);
            }
            Broken::Weather => {
                let (lost, doubled, flipped) =
                    (self.between(0, 200), self.between(0, 50), self.between(0, 20));
                self.note(format!(
                    "of 1,000 datagrams {lost} are lost, {doubled} doubled, {flipped} damaged"
                ));
                let weather = &self.ground.weather;
                for (to, value) in [
                    (&weather.lost, lost),
                    (&weather.doubled, doubled),
                    (&weather.flipped, flipped),
                ] {
                    to.store(u32::try_from(value).unwrap_or(0), Ordering::Relaxed);
                }
            }
            Broken::Clock(machine) => {
                let minutes = i64::try_from(self.between(0, 60)).unwrap() - 30;
                self.note(format!(
                    "the clock of {} is {minutes} min off",
                    self.name(machine)
                ));
                self.machines[machine]
                    .clock_off
                    .store(minutes * 60_000, Ordering::Relaxed);
            }
            Broken::Disk(machine) => {
                let trouble = if self.random.up_to(1) == 0 {
                    Trouble::Full
                } else {
                    Trouble::SyncFails
                };
                self.note(format!("the disk of {}: {trouble:?}", self.name(machine)));
                self.machines[machine].disk.trouble(Some(trouble));
            }
            Broken::Engine(host) => {
                self.note(format!("the engine of {} does not answer", self.name(host)));
                if let Some(target) = &*self.machines[host].target.lock().unwrap() {
                    target.set_reachable(false);
                }
            }
        }
    }

    pub(crate) fn mend(&mut self, broken: &Broken) {
        match *broken {
            Broken::Link(host) => {
                let name = self.name(host);
                self.note(format!("{name} is reachable"));
                self.sim.repair(name, "controller");
            }
            Broken::OneWay { host, towards } => {
                let name = self.name(host);
                self.note(format!("{name} is reachable both ways"));
                if towards {
                    self.sim.repair_oneway(name, "controller");
                } else {
                    self.sim.repair_oneway("controller", name);
                }
            }
            Broken::Process(machine) => {
                let name = self.name(machine);
                self.sim.bounce(name);
            }
            Broken::Weather => {
                self.note("datagrams arrive".to_owned());
                let weather = &self.ground.weather;
                for to in [&weather.lost, &weather.doubled, &weather.flipped] {
                    to.store(0, Ordering::Relaxed);
                }
            }
            Broken::Clock(machine) => {
                self.note(format!("the clock of {} is right", self.name(machine)));
                self.machines[machine].clock_off.store(0, Ordering::Relaxed);
            }
            Broken::Disk(machine) => {
                self.note(format!("the disk of {} is well", self.name(machine)));
                self.machines[machine].disk.trouble(None);
            }
            Broken::Engine(host) => {
                self.note(format!("the engine of {} answers", self.name(host)));
                if let Some(target) = &*self.machines[host].target.lock().unwrap() {
                    target.set_reachable(true);
                }
            }
        }
    }

    /// Somebody stops or removes a container behind our back.
    fn foreign_hand(&mut self, host: usize) {
        let Some(target) = self.machines[host].target.lock().unwrap().clone() else {
            return;
        };
        let names = running(&target);
        let names: Vec<_> = names.iter().filter(|one| one.running).collect();
        let Some(last) = names.len().checked_sub(1) else {
            return;
        };
        let one = names[usize::try_from(self.random.up_to(last as u64)).unwrap()];
        let (name, host) = (&one.name, self.name(host));
        if self.random.up_to(1) == 0 {
            self.note(format!("somebody removes {name} on {host}"));
            target.remove(name);
            return;
        }
        self.note(format!("somebody stops {name} on {host}"));
        let (stack, container) = (one.project.clone(), name.clone());
        self.history.note(&host, What::Stopped { stack, container });
        target.stop(name);
    }
}
