//! Power cuts: everything runs on an ext4 in a file; all processes are held, the file is cloned at one moment, and in the
//! clone there is only what was synced. Every store opens, and nothing that was acknowledged is missing.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use rustix::process::Signal;
use serde_json::Value;
use tokio::time::Instant;
use windflow_tests::{
    checker,
    evidence::{Copy, Evidence},
    history::{History, What},
    wait::percentile,
};

use crate::{
    disk::Disk,
    traffic::Traffic,
    world::{self, World},
};

const HOSTS: usize = 2;
/// Size of the file system, MiB.
const SIZE: u64 = 192;
/// Between two cuts at most (ms).
const CUT_WITHIN: u64 = 250;
/// Newest deployments that are looked for after a cut.
const NEWEST: usize = 150;

/// Revisions of a stack whose ends a host's journal has for certain.
const REMEMBERED: u64 = 45;

/// Counts of all cuts.
#[derive(Debug, Default)]
struct Sum {
    cuts: u64,
    granted: u64,
    journalled: u64,
    audited: u64,
    /// Granted since the cut before, where something was.
    fresh: u64,
}

async fn open(disk: &Disk, data: &std::path::Path, world: &World) -> Evidence {
    let below = data.strip_prefix(world.root()).unwrap();
    let copy = Copy::take(&disk.path().join(below));
    match copy.open_checked() {
        Ok(store) => store,
        Err(error) => panic!("{} does not open after a cut: {error}", data.display()),
    }
}

fn signal(world: &World, signal: Signal) {
    world.fleet.controller.signal(signal);
    for host in &world.hosts {
        host.agent.signal(signal);
    }
}

/// One cut: what was acknowledged until then, and what is there.
async fn round(world: &World, disk: &Disk, traffic: &Traffic, sum: &mut Sum, context: &str) {
    let granted = traffic.granted_ids();
    signal(world, Signal::STOP);
    let cut = disk.cut();
    signal(world, Signal::CONT);
    cut.after().await;
    let history = History::default();
    for host in &world.hosts {
        let journal = open(&cut, &host.state_dir(), world).await.journal().await;
        sum.journalled += journal.len() as u64;
        for what in journal {
            history.note(&host.id().to_string(), what);
        }
    }
    let controller = open(&cut, &world.fleet.data_dir(), world).await;
    let newest = granted.iter().rev().take(NEWEST);
    history.note(
        "operator",
        What::Granted {
            request: 0,
            deployments: newest.map(ToString::to_string).collect(),
        },
    );
    let mut ops = BTreeSet::new();
    let stored = controller.deployments(usize::MAX).await;
    let mut newest = BTreeMap::new();
    for what in &stored {
        if let What::Stored {
            stack, agent, rev, ..
        } = what
        {
            let most = newest.entry((stack.clone(), agent.clone())).or_insert(*rev);
            *most = (*most).max(*rev);
        }
    }
    for what in stored {
        if let What::Stored {
            deployment,
            stack,
            agent,
            rev,
            op,
            state,
        } = what.clone()
        {
            ops.insert(op.clone());
            // A host forgets how revisions ended of which there have been fifty since.
            if rev + REMEMBERED <= newest[&(stack.clone(), agent.clone())] {
                continue;
            }
            let ended = What::Ended {
                deployment,
                stack,
                agent,
                rev,
                op,
                state,
                newest: false,
                services: Vec::new(),
                hopeless: false,
            };
            history.note("controller", what);
            history.note("controller", ended);
        }
    }
    // Of a run that goes on, only these can be judged.
    let judged = ["I2", "I8", "I12"];
    let broken = checker::judge(&history.events()).broken;
    let broken: Vec<&String> = broken
        .iter()
        .filter(|line| judged.iter().any(|one| line.starts_with(one)))
        .collect();
    assert!(broken.is_empty(), "{context}: {broken:#?}");
    let audit = controller.below(&["audit"], usize::MAX).await;
    let audited = audit.iter().filter(|(_, value)| {
        let record: Value =
            serde_json::from_slice(value.get(2..).unwrap_or_default()).expect("an audit record");
        record["action"] == "deployment_create"
    });
    let audited = audited.count();
    assert_eq!(
        audited,
        ops.len(),
        "{context}: one audit record for each request that was granted"
    );
    sum.cuts += 1;
    sum.fresh += u64::from(granted.len() as u64 > sum.granted);
    sum.granted = granted.len() as u64;
    sum.audited = audited as u64;
}

/// `WINDFLOW_TEST_ROUNDS` and `WINDFLOW_TEST_SEED` choose others.
async fn rounds(default: u64) {
    let rounds = world::number("WINDFLOW_TEST_ROUNDS", default);
    let seed = world::seed("power cut");
    let Some(disk) = Disk::ext4(SIZE).await else {
        return;
    };
    let world = World::start_in(disk.path(), HOSTS, seed).await;
    let agents: Vec<_> = world.hosts.iter().map(windflow_tests::Host::id).collect();
    let traffic = Traffic::start(&world.fleet, &agents, &world.history, &world.random).await;
    let (mut sum, mut took) = (Sum::default(), Vec::new());
    for n in 1..=rounds {
        let wait = Duration::from_millis(world.random.up_to(CUT_WITHIN));
        tokio::time::sleep(wait).await;
        let began = Instant::now();
        round(
            &world,
            &disk,
            &traffic,
            &mut sum,
            &format!("cut {n} of seed {seed}"),
        )
        .await;
        took.push(u64::try_from(began.elapsed().as_millis()).unwrap());
    }
    traffic.stop().await;
    took.sort_unstable();
    println!(
        "power cut: {} cuts of 1 controller store with its audit and {HOSTS} journals; {} deployments granted, {} audited, \
         {} journal entries read; 0 acknowledged lost, 0 stores that do not open; {} ms a cut",
        sum.cuts,
        sum.granted,
        sum.audited,
        sum.journalled,
        percentile(&took, 50)
    );
    assert!(
        sum.fresh * 2 >= rounds,
        "only before {} of {rounds} cuts something was granted: too little to prove anything",
        sum.fresh
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_power_cut() {
    rounds(30).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_fault_power_cut() {
    rounds(300).await;
}
