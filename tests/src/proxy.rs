//! A UDP proxy between agents and a controller: what may go wrong on the way, on demand.
//!
//! ```text
//! "proxy" task: front socket ─▶ per agent a flow ─▶ Shape ─▶ "up" task (waits) ─▶ its own socket ─▶ controller
//!          ◄── "down late" task (waits) ◄── Shape ◄── "down" task ◄──────────────────┘
//! UdpProxy ── watch<Faults> ─▶ all tasks · watch<socket> per flow: a rebind puts in a new one
//! ```
//! Channels hold 4,096 packets; what does not fit is lost, as on a wire.

mod shape;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, hash_map::Entry},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    net::UdpSocket,
    sync::{mpsc, watch},
    time::Instant,
};
use windflow_kit::{OnFailure, Random, Stop, TaskSet};

pub use self::shape::Faults;
use self::shape::{Packet, Shape};

const QUEUE: usize = 4_096;

type Flows = Arc<Mutex<HashMap<SocketAddr, watch::Sender<Arc<UdpSocket>>>>>;

/// The proxy; it ends when dropped.
#[derive(Debug)]
pub struct UdpProxy {
    address: SocketAddr,
    controller: watch::Sender<SocketAddr>,
    faults: watch::Sender<Faults>,
    flows: Flows,
    tasks: TaskSet,
}

impl Drop for UdpProxy {
    fn drop(&mut self) {
        self.tasks.stop().trigger();
    }
}

impl UdpProxy {
    /// Begins to pass packets to `controller`.
    ///
    /// # Panics
    /// If there is no socket.
    pub async fn start(controller: SocketAddr) -> Self {
        Self::start_seeded(controller, 0).await
    }

    /// As [`UdpProxy::start`]; `seed` draws which packets are hit.
    ///
    /// # Panics
    /// If there is no socket.
    pub async fn start_seeded(controller: SocketAddr, seed: u64) -> Self {
        let front = Arc::new(UdpSocket::bind("127.0.0.1:0").await.expect("a socket"));
        let address = front.local_addr().expect("its address");
        let (faults, seen) = watch::channel(Faults::default());
        let (controller, target) = watch::channel(controller);
        let flows = Flows::default();
        let tasks = TaskSet::new(Stop::new(), Random::system());
        let inner = Inner {
            front,
            random: Random::seeded(seed),
            controller: target,
            faults: seen,
            flows: Arc::clone(&flows),
            tasks: tasks.clone(),
        };
        let stop = tasks.stop().clone();
        tasks.spawn("proxy", OnFailure::Log, async move {
            stop.run(inner.run()).await;
        });
        Self {
            address,
            controller,
            faults,
            flows,
            tasks,
        }
    }

    /// Where agents dial.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets what is wrong from now on.
    pub fn set(&self, faults: Faults) {
        self.faults.send_replace(faults);
    }

    /// Nothing passes in either direction.
    pub fn blackhole(&self) {
        self.set(Faults {
            drop_up: true,
            drop_down: true,
            ..Faults::default()
        });
    }

    /// From now on packets go to another controller, from new addresses.
    ///
    /// # Panics
    /// If there is no socket.
    pub async fn switch(&self, controller: SocketAddr) {
        self.controller.send_replace(controller);
        self.rebind().await;
    }

    /// Everything is well again.
    pub fn heal(&self) {
        self.set(Faults::default());
    }

    /// Every flow comes from a new address from now on, as after the reboot of a NAT; the old address is dead. Gives
    /// how many flows moved.
    ///
    /// # Panics
    /// If there is no socket.
    pub async fn rebind(&self) -> usize {
        let senders: Vec<_> = {
            let flows = self.flows.lock().unwrap_or_else(PoisonError::into_inner);
            flows.values().cloned().collect()
        };
        let remote = *self.controller.borrow();
        for sender in &senders {
            sender.send_replace(upstream(remote).await);
        }
        senders.len()
    }
}

async fn upstream(controller: SocketAddr) -> Arc<UdpSocket> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    socket.connect(controller).await.expect("loopback");
    Arc::new(socket)
}

struct Inner {
    front: Arc<UdpSocket>,
    random: Random,
    controller: watch::Receiver<SocketAddr>,
    faults: watch::Receiver<Faults>,
    flows: Flows,
    tasks: TaskSet,
}

impl Inner {
    async fn run(self) {
        let mut queues: HashMap<SocketAddr, (mpsc::Sender<Packet>, Shape)> = HashMap::new();
        let mut buffer = vec![0; 65_536];
        loop {
            // An unreachable-port answer to an earlier packet ends up here: nothing to do with this one.
            let Ok((len, from)) = self.front.recv_from(&mut buffer).await else {
                continue;
            };
            let faults = *self.faults.borrow();
            if faults.drop_up {
                continue;
            }
            let packet = buffer.get(..len).unwrap_or_default();
            let (queue, shape) = match queues.entry(from) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let shape = Shape::new(self.random.clone(), Instant::now());
                    new.insert((self.flow(from).await, shape))
                }
            };
            for passed in shape.pass(&faults, Instant::now(), packet) {
                let _full = queue.try_send(passed);
            }
        }
    }

    async fn flow(&self, agent: SocketAddr) -> mpsc::Sender<Packet> {
        let controller = *self.controller.borrow();
        let (sender, socket) = watch::channel(upstream(controller).await);
        self.flows
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(agent, sender);
        let (queue, waiting) = mpsc::channel::<Packet>(QUEUE);
        let (up, stop) = (socket.clone(), self.tasks.stop().clone());
        self.tasks.spawn("up", OnFailure::Log, async move {
            let mut line = Line::new(waiting);
            let pass = async {
                while let Some(packet) = line.next().await {
                    let socket = up.borrow().clone();
                    let _lost = socket.send(&packet).await;
                }
            };
            stop.run(pass).await;
        });
        let (late, waiting) = mpsc::channel::<Packet>(QUEUE);
        let (faults, stop) = (self.faults.clone(), self.tasks.stop().clone());
        let shape = Shape::new(self.random.clone(), Instant::now());
        self.tasks.spawn("down", OnFailure::Log, async move {
            stop.run(receive(socket, faults, shape, late)).await;
        });
        let (front, stop) = (Arc::clone(&self.front), self.tasks.stop().clone());
        self.tasks.spawn("down late", OnFailure::Log, async move {
            let mut line = Line::new(waiting);
            let pass = async {
                while let Some(packet) = line.next().await {
                    let _lost = front.send_to(&packet, agent).await;
                }
            };
            stop.run(pass).await;
        });
        queue
    }
}

/// Packets that wait for their time, soonest first: who is late is overtaken.
struct Line {
    waiting: mpsc::Receiver<Packet>,
    heap: BinaryHeap<Reverse<(Instant, u64, Vec<u8>)>>,
    number: u64,
}

impl Line {
    fn new(waiting: mpsc::Receiver<Packet>) -> Self {
        Self {
            waiting,
            heap: BinaryHeap::new(),
            number: 0,
        }
    }

    /// The next packet whose time has come; `None` when no more come.
    async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            let due = self.heap.peek().map(|Reverse((due, _, _))| *due);
            let soonest = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = soonest => return self.heap.pop().map(|Reverse((_, _, packet))| packet),
                packet = self.waiting.recv() => {
                    let (due, packet) = packet?;
                    // Those of the same instant stay in their order.
                    self.number += 1;
                    self.heap.push(Reverse((due, self.number, packet)));
                }
            }
        }
    }
}

async fn receive(
    mut socket: watch::Receiver<Arc<UdpSocket>>,
    faults: watch::Receiver<Faults>,
    mut shape: Shape,
    late: mpsc::Sender<Packet>,
) {
    let mut buffer = vec![0; 65_536];
    loop {
        let current = socket.borrow_and_update().clone();
        tokio::select! {
            changed = socket.changed() => if changed.is_err() { return },
            // An error is an unreachable controller: it may come back.
            received = current.recv(&mut buffer) => {
                let faults = *faults.borrow();
                if let Ok(len) = received && !faults.drop_down {
                    let packet = buffer.get(..len).unwrap_or_default();
                    for passed in shape.pass(&faults, Instant::now(), packet) {
                        let _full = late.try_send(passed);
                    }
                }
            }
        }
    }
}
