//! One run: machines, work, faults, and a quiet end; all of it drawn from the seed.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use windflow_engine::Target as _;
use windflow_kit::Random;
use windflow_model::ContainerState;
use windflow_tests::history::{Container, Event, History, What, lines};

use crate::{
    hosts::{self, Ground, Machine},
    operator::Request,
    requests::WAVES,
    strike::{Strike, Strikes},
    world::Broken,
};

/// What a run is made of.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Shape {
    pub(crate) agents: usize,
    pub(crate) stacks: usize,
    /// Simulated time with work, ms.
    pub(crate) storm_ms: u64,
    /// Whether the world breaks things meanwhile.
    pub(crate) faults: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            agents: 3,
            stacks: 3,
            storm_ms: 60_000,
            faults: true,
        }
    }
}

/// Time advances in steps of this, ms.
const TICK_MS: u64 = 4;
/// Longest simulated time until everything is set up, and until everything has ended, ms.
const SET_UP_MS: u64 = 120_000;
/// After so long what is missing is asked for again, ms.
const SET_UP_AGAIN_MS: u64 = 10_000;
const END_MS: u64 = 240_000;
/// Simulated time that rollouts have to end by themselves, ms.
const SETTLED_MS: u64 = 20_000;
/// Longest simulated time of a drift check and what it brings back, ms.
const DRIFT_TAKES_MS: u64 = 5_000;

/// A change of the world that is planned for a time.
#[derive(Debug, Clone)]
pub(crate) enum Turn {
    Request,
    Fault,
    Mend(Broken),
}

pub(crate) struct World<'a> {
    pub(crate) shape: Shape,
    pub(crate) random: Random,
    pub(crate) history: History,
    pub(crate) ground: Ground,
    /// The controller, then the hosts.
    pub(crate) machines: Vec<Machine>,
    pub(crate) sim: turmoil::Sim<'a>,
    pub(crate) turns: BTreeMap<u64, Vec<Turn>>,
    pub(crate) broken: Vec<Broken>,
    pub(crate) requests: u64,
    _root: tempfile::TempDir,
}

impl World<'_> {
    pub(crate) fn new(seed: u64, shape: Shape, strike: Option<Strike>, begins_ms: i64) -> Self {
        let root = tempfile::tempdir().unwrap();
        let history = History::default();
        let ground = Ground {
            seed,
            begins_ms,
            history: history.clone(),
            weather: Arc::default(),
            directory: Arc::default(),
            inbox: Arc::default(),
            strikes: Strikes::default(),
        };
        ground.strikes.plan(strike);
        let mut sim = turmoil::Builder::new()
            .rng_seed(seed)
            .tick_duration(Duration::from_millis(TICK_MS))
            .simulation_duration(Duration::from_secs(3_600))
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(Duration::from_millis(40))
            .udp_capacity(1_024)
            .enable_random_order()
            .build();
        let mut machines = vec![Machine::new("controller", &ground, root.path())];
        machines.extend((1..=shape.agents).map(|n| Machine::new(&format!("host-{n}"), &ground, root.path())));
        for machine in &machines {
            let (machine, controls) = (machine.clone(), machine.name == "controller");
            sim.host(machine.name.clone(), move || {
                let machine = machine.clone();
                async move {
                    if controls {
                        hosts::controller(machine).await
                    } else {
                        hosts::agent(machine).await
                    }
                }
            });
        }
        Self {
            shape,
            random: Random::seeded(seed ^ 0x5eed),
            history,
            ground,
            machines,
            sim,
            turns: BTreeMap::new(),
            broken: Vec::new(),
            requests: 0,
            _root: root,
        }
    }

    /// The run, from its beginning to its end.
    pub(crate) fn run(mut self) -> Vec<Event> {
        self.set_up();
        let storm_ends = self.history.now() + self.shape.storm_ms;
        self.plan(1, Turn::Request);
        if self.shape.faults {
            self.plan(500, Turn::Fault);
        }
        while self.history.now() < storm_ends {
            self.step();
            self.turns();
        }
        self.disarm();
        for broken in std::mem::take(&mut self.broken) {
            self.mend(&broken);
        }
        self.history.note("world", What::Quiet);
        self.wait_for_the_end();
        self.history.events()
    }

    /// What is due.
    fn turns(&mut self) {
        while let Some(entry) = self.turns.first_entry()
            && *entry.key() <= self.history.now()
        {
            for turn in entry.remove() {
                self.turn(turn);
            }
        }
    }

    /// What durable steps there were, for a run without faults.
    fn disarm(&self) {
        let met = self.ground.strikes.disarm();
        if self.shape.faults {
            return;
        }
        for (point, times) in met {
            self.history.note("world", What::Point { point, times });
        }
    }

    fn step(&mut self) {
        if let Err(error) = self.sim.step() {
            panic!("the simulation broke: {error}");
        }
        self.history
            .set_now(u64::try_from(self.sim.elapsed().as_millis()).unwrap_or(u64::MAX));
        for doomed in self.ground.strikes.doomed() {
            self.strike_down(&doomed);
        }
    }

    pub(crate) fn plan(&mut self, after_ms: u64, turn: Turn) {
        self.turns
            .entry(self.history.now() + after_ms)
            .or_default()
            .push(turn);
    }

    pub(crate) fn between(&self, from: u64, to: u64) -> u64 {
        from + self.random.up_to(to - from)
    }

    fn ask(&mut self, request: Request) -> u64 {
        self.requests += 1;
        self.ground
            .inbox
            .lock()
            .unwrap()
            .push_back((self.requests, request));
        self.requests
    }

    /// The last one belongs to rollouts, most of the time: they would be overtaken by everything else.
    pub(crate) fn stacks(&self) -> Vec<String> {
        let deployed = (1..=self.shape.stacks).map(|n| format!("stack{n}"));
        deployed.chain([WAVES.to_owned()]).collect()
    }

    fn set_up(&mut self) {
        for _ in 0..self.shape.agents {
            self.ask(Request::Token);
        }
        for name in self.stacks() {
            self.ask(Request::Stack { name });
        }
        let mut again = SET_UP_AGAIN_MS;
        while self.history.now() < SET_UP_MS {
            self.step();
            self.turns();
            if self.history.now() >= again {
                again += SET_UP_AGAIN_MS;
                self.set_up_again();
            }
            let directory = self.ground.directory.lock().unwrap();
            if directory.agents.len() == self.shape.agents && directory.stacks.len() == self.stacks().len() {
                return;
            }
        }
        panic!("not set up:\n{}", lines(&self.history.events()));
    }

    /// What a blow took away is asked for once more.
    fn set_up_again(&mut self) {
        let directory = self.ground.directory.lock().unwrap();
        let missing = self.shape.agents - directory.agents.len();
        let mut names = self.stacks();
        names.retain(|name| !directory.stacks.contains_key(name));
        drop(directory);
        for _ in 0..missing {
            self.ask(Request::Token);
        }
        for name in names {
            self.ask(Request::Stack { name });
        }
    }

    fn turn(&mut self, turn: Turn) {
        match turn {
            Turn::Request => {
                let request = self.request();
                self.ask(request);
                let next = self.between(100, 2_500);
                self.plan(next, Turn::Request);
            }
            Turn::Fault => {
                self.fault();
                let next = self.between(200, 5_000);
                self.plan(next, Turn::Fault);
            }
            Turn::Mend(broken) => {
                if let Some(at) = self.broken.iter().position(|one| *one == broken) {
                    self.broken.remove(at);
                    self.mend(&broken);
                }
            }
        }
    }

    fn wait_for_the_end(&mut self) {
        let quiet = self.history.now();
        let by = quiet + END_MS;
        // Requests are answered side by side: one may still be making what the first count has not seen.
        let mut nothing_open = 0;
        while nothing_open < 2 {
            if self.history.now() > by {
                self.note("it does not end".to_owned());
                break;
            }
            self.ground.directory.lock().unwrap().open = None;
            let cancel = self.history.now() > quiet + SETTLED_MS;
            self.ask(Request::Settle { cancel });
            self.ask(Request::Count);
            let asked = self.history.now();
            while self.history.now() < asked + 1_000 {
                self.step();
            }
            let open = self.ground.directory.lock().unwrap().open;
            nothing_open = if open == Some(0) { nothing_open + 1 } else { 0 };
        }
        let ended = self.history.now();
        let number = self.ask(Request::Account);
        // Containers that somebody removed come back by the drift check.
        let drift_ms = u64::try_from(hosts::DRIFT_EVERY.as_millis()).unwrap();
        while self.history.now() < ended + drift_ms + DRIFT_TAKES_MS {
            self.step();
        }
        assert!(
            self.ground.directory.lock().unwrap().answered >= number,
            "the last list was not given"
        );
        let directory = self.ground.directory.lock().unwrap();
        for machine in &self.machines[1..] {
            let Some(target) = machine.target.lock().unwrap().clone() else {
                continue;
            };
            let agent = directory.agents[&machine.name].to_string();
            let containers = running(&target);
            self.history.note(&agent, What::Runs { containers });
        }
        self.history.set_now(ended);
        self.history.note("world", What::End);
    }
}

/// The containers of an engine.
pub(crate) fn running(target: &windflow_engine::FakeTarget) -> Vec<Container> {
    use futures_util::FutureExt as _;
    // The simulated engine answers at once, or not at all.
    let Some(Ok(all)) = target.containers().now_or_never() else {
        return Vec::new();
    };
    all.into_iter()
        .map(|one| Container {
            name: one.name,
            project: one.project.unwrap_or_default(),
            service: one.service.unwrap_or_default(),
            rev: one.rev.map_or(0, |rev| rev.0),
            running: one.state == ContainerState::Running,
        })
        .collect()
}
