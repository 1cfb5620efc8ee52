//! A container engine that runs nothing, on a unix socket: it remembers what is created, every container starts at
//! once, every image is there, every health check passes.
//!
//! ```text
//! "accept" thread ─▶ per connection a thread: read, (wait), State under one lock, (wait), answer
//!                │                             └─▶ events (a ring of 4,096) ─▶ threads that serve GET /events
//!                └─▶ a log that is followed: its lines by the clock, as fast as the reader takes them
//! ```
//! It outlives the agents that talk to it, as a real engine does. Whatever changes something can be recorded, and is
//! told to `on_change` while the lock is held: in the order in which it took effect.

mod http;
mod logs;
mod state;
mod views;

use std::{
    fmt,
    io::BufReader,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use windflow_kit::Random;

use self::state::State;
pub use self::{
    logs::said,
    state::{Change, Recorded, Running},
    views::id,
};

/// Hears of changes, in the order in which they take effect.
pub type OnChange = Arc<dyn Fn(&Change) + Send + Sync>;

/// How the engine behaves.
#[derive(Clone)]
pub struct EngineOptions {
    /// Version of its API.
    pub api: String,
    /// Whether it keeps what it was asked to change, for [`SimulatedEngine::recorded`].
    pub record: bool,
    /// A change takes up to this long before it takes effect, and as long again before the answer.
    pub slow: Duration,
    /// Draws those times.
    pub random: Random,
    /// Lines that each container says a second to whoever follows its log.
    pub log_lines_per_s: u64,
    /// Length of each of these lines, at least.
    pub log_line_bytes: usize,
    /// Hears of every container that is created, started, stopped or removed.
    pub on_change: Option<OnChange>,
}

impl fmt::Debug for EngineOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineOptions")
            .field("api", &self.api)
            .field("slow", &self.slow)
            .finish_non_exhaustive()
    }
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            api: "1.51".to_owned(),
            record: false,
            slow: Duration::ZERO,
            random: Random::seeded(0),
            log_lines_per_s: 0,
            log_line_bytes: 0,
            on_change: None,
        }
    }
}

/// The engine; it ends when it is dropped.
#[derive(Debug)]
pub struct SimulatedEngine {
    shared: Arc<Shared>,
    socket: PathBuf,
    thread: Option<JoinHandle<()>>,
}

/// What the threads share.
#[derive(Debug)]
struct Shared {
    options: EngineOptions,
    state: Mutex<State>,
    changed: Condvar,
    stop: AtomicBool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A change takes its time.
    #[expect(
        clippy::disallowed_methods,
        reason = "a thread of its own for each connection: an engine that is slow, as they are"
    )]
    fn wait(&self) {
        let most = u64::try_from(self.options.slow.as_micros()).unwrap_or(0);
        if most > 0 {
            std::thread::sleep(Duration::from_micros(self.options.random.up_to(most)));
        }
    }
}

impl SimulatedEngine {
    /// Listens below a directory. The network `outside-net` and the volume `outside-vol` are there.
    ///
    /// # Panics
    /// If the socket cannot be made.
    #[must_use]
    pub fn start(dir: &Path, options: EngineOptions) -> Self {
        let socket = dir.join("engine.sock");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(&options)),
            options,
            changed: Condvar::new(),
            stop: AtomicBool::new(false),
        });
        let inner = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if inner.stop.load(Ordering::Relaxed) {
                    break;
                }
                let inner = Arc::clone(&inner);
                // Ends with its connection.
                std::thread::spawn(move || serve(stream, &inner));
            }
        });
        Self {
            shared,
            socket,
            thread: Some(thread),
        }
    }

    /// As `DOCKER_HOST`.
    #[must_use]
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// What it was asked to change, if it records.
    #[must_use]
    pub fn recorded(&self) -> Vec<Recorded> {
        self.shared.state().log.clone()
    }

    /// The containers that are there.
    #[must_use]
    pub fn containers(&self) -> Vec<Running> {
        self.shared.state().running()
    }

    /// Somebody kills a container, by name. False if none of this name runs.
    pub fn kill(&self, name: &str) -> bool {
        let killed = self.shared.state().kill(name);
        self.shared.changed.notify_all();
        killed
    }
}

impl Drop for SimulatedEngine {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.changed.notify_all();
        // Wakes the thread, which then sees the flag.
        drop(UnixStream::connect(&self.socket));
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

fn serve(stream: UnixStream, shared: &Shared) {
    let Ok(mut writer) = stream.try_clone() else {
        return;
    };
    let mut reader = BufReader::new(stream);
    while let Some(request) = http::read(&mut reader) {
        if request.method == "GET" && request.path == "/events" {
            // The caller leaves when it has heard enough.
            let _gone = follow(&mut writer, shared);
            return;
        }
        if request.method == "GET" && request.path.ends_with("/logs") && request.query("follow") == Some("1")
        {
            let _gone = logs::serve(&mut writer, shared);
            return;
        }
        let changes = matches!(request.method.as_str(), "POST" | "PUT" | "DELETE");
        if changes {
            shared.wait();
        }
        let answer = shared.state().answer(&request);
        if changes {
            shared.changed.notify_all();
            shared.wait();
        }
        let written = http::write(
            &mut writer,
            &shared.options.api,
            request.method == "HEAD",
            &answer,
        );
        // After an upgrade the connection is the process's, which has ended.
        if written.is_err() || answer.status == 101 {
            return;
        }
    }
}

/// How often a reader of events is looked for that has gone without a word.
const LOOK: Duration = Duration::from_millis(250);

fn follow(writer: &mut UnixStream, shared: &Shared) -> std::io::Result<()> {
    http::begin(writer, &shared.options.api)?;
    let mut state = shared.state();
    let mut next = state.events.next();
    while !shared.stop.load(Ordering::Relaxed) {
        let fresh = state.events.from(&mut next);
        drop(state);
        for event in fresh {
            http::chunk(writer, event.as_bytes())?;
        }
        if http::is_gone(writer)? {
            return Ok(());
        }
        state = shared.state();
        if state.events.next() == next {
            let waited = shared.changed.wait_timeout(state, LOOK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
    Ok(())
}
