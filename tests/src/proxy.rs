//! A UDP proxy between agents and a controller: what may go wrong on the way, on demand.
//!
//! ```text
//! "proxy" task: front socket ─▶ per agent a flow ─▶ "up" task ─(delay)─▶ its own socket ─▶ controller
//!                            ◄────────────────── "down" task ◄─(delay)──────────────────┘
//! UdpProxy ── watch<Faults> ─▶ all tasks · watch<socket> per flow: a rebind puts in a new one
//! ```
//! Channels hold 4,096 packets; what does not fit is lost, as on a wire.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    net::UdpSocket,
    sync::{mpsc, watch},
    time::Instant,
};
use windflow_kit::{OnFailure, Random, Stop, TaskSet};

const QUEUE: usize = 4_096;

/// What is wrong at the moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Nothing reaches the controller.
    pub drop_up: bool,
    /// Nothing reaches the agents.
    pub drop_down: bool,
    /// Every packet is this late, each way.
    pub delay: Duration,
}

type Flows = Arc<Mutex<HashMap<SocketAddr, watch::Sender<Arc<UdpSocket>>>>>;

/// The proxy; it ends when dropped.
#[derive(Debug)]
pub struct UdpProxy {
    address: SocketAddr,
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
        let front = Arc::new(UdpSocket::bind("127.0.0.1:0").await.expect("a socket"));
        let address = front.local_addr().expect("its address");
        let (faults, seen) = watch::channel(Faults::default());
        let flows = Flows::default();
        let tasks = TaskSet::new(Stop::new(), Random::system());
        let inner = Inner {
            front,
            controller,
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
        for sender in &senders {
            let remote = sender.borrow().peer_addr().expect("a connected socket");
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
    controller: SocketAddr,
    faults: watch::Receiver<Faults>,
    flows: Flows,
    tasks: TaskSet,
}

type Packet = (Instant, Vec<u8>);

impl Inner {
    async fn run(self) {
        let mut queues: HashMap<SocketAddr, mpsc::Sender<Packet>> = HashMap::new();
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
            let packet = buffer.get(..len).unwrap_or_default().to_vec();
            let queue = match queues.entry(from) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(self.flow(from).await),
            };
            let _full = queue.try_send((Instant::now() + faults.delay, packet));
        }
    }

    async fn flow(&self, agent: SocketAddr) -> mpsc::Sender<Packet> {
        let (sender, socket) = watch::channel(upstream(self.controller).await);
        self.flows
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(agent, sender);
        let (queue, mut waiting) = mpsc::channel::<Packet>(QUEUE);
        let (up, stop) = (socket.clone(), self.tasks.stop().clone());
        self.tasks.spawn("up", OnFailure::Log, async move {
            let pass = async {
                while let Some((due, packet)) = waiting.recv().await {
                    tokio::time::sleep_until(due).await;
                    let socket = up.borrow().clone();
                    let _lost = socket.send(&packet).await;
                }
            };
            stop.run(pass).await;
        });
        let (late, mut waiting) = mpsc::channel::<Packet>(QUEUE);
        let (faults, stop) = (self.faults.clone(), self.tasks.stop().clone());
        self.tasks.spawn("down", OnFailure::Log, async move {
            stop.run(receive(socket, faults, late)).await;
        });
        let (front, stop) = (Arc::clone(&self.front), self.tasks.stop().clone());
        self.tasks.spawn("down late", OnFailure::Log, async move {
            let pass = async {
                while let Some((due, packet)) = waiting.recv().await {
                    tokio::time::sleep_until(due).await;
                    let _lost = front.send_to(&packet, agent).await;
                }
            };
            stop.run(pass).await;
        });
        queue
    }
}

async fn receive(
    mut socket: watch::Receiver<Arc<UdpSocket>>,
    faults: watch::Receiver<Faults>,
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
                    let packet = buffer.get(..len).unwrap_or_default().to_vec();
                    let _full = late.try_send((Instant::now() + faults.delay, packet));
                }
            }
        }
    }
}
