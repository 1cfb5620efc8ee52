//! A disk that forgets what was not synced, fills up, and fails.

use std::{
    io,
    sync::{Arc, Mutex},
};

use windflow_kit::Random;
use windflow_store::SimulatedDisk;

/// Unit in which a write that was not synced may be torn by a power cut, bytes.
const SECTOR: usize = 512;

/// What has happened to the bytes since the last sync.
#[derive(Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

#[derive(Debug, Default)]
struct State {
    /// What a power cut leaves at least.
    synced: Vec<u8>,
    /// What reads see.
    now: Vec<u8>,
    since: Vec<Change>,
    /// Only this opening may touch the bytes: earlier ones belong to a process that is dead.
    opening: u64,
    trouble: Option<Trouble>,
}

/// What the disk answers for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nothing more fits.
    Full,
    /// A sync fails; what was written may or may not be there later.
    SyncFails,
}

/// The disk of one simulated host; survives its processes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<State>>);

impl Disk {
    /// The file for a process that starts.
    pub(crate) fn open(&self) -> Arc<dyn SimulatedDisk> {
        let mut state = self.0.lock().unwrap();
        state.opening += 1;
        Arc::new(File {
            disk: self.clone(),
            opening: state.opening,
        })
    }

    /// The process is gone: whatever its remains still write does not arrive.
    pub(crate) fn orphan(&self) {
        self.0.lock().unwrap().opening += 1;
    }

    /// The power is gone: of what was not synced, some sectors arrived and some did not.
    pub(crate) fn power_cut(&self, random: &Random) {
        let mut state = self.0.lock().unwrap();
        state.opening += 1;
        let mut left = std::mem::take(&mut state.synced);
        for change in std::mem::take(&mut state.since) {
            match change {
                Change::Length(length) => {
                    if random.up_to(1) == 0 {
                        left.resize(length, 0);
                    }
                }
                Change::Write(at, bytes) => {
                    for (index, sector) in bytes.chunks(SECTOR).enumerate() {
                        if random.up_to(1) == 0 {
                            put(&mut left, at + index * SECTOR, sector);
                        }
                    }
                }
            }
        }
        state.synced.clone_from(&left);
        state.now = left;
    }

    pub(crate) fn trouble(&self, trouble: Option<Trouble>) {
        self.0.lock().unwrap().trouble = trouble;
    }
}

fn put(bytes: &mut Vec<u8>, at: usize, data: &[u8]) {
    if bytes.len() < at + data.len() {
        bytes.resize(at + data.len(), 0);
    }
    bytes[at..at + data.len()].copy_from_slice(data);
}

#[derive(Debug)]
struct File {
    disk: Disk,
    opening: u64,
}

impl File {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.0.lock().unwrap();
        if state.opening != self.opening {
            return Err(io::Error::other("this process is dead"));
        }
        act(&mut state)
    }
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

impl SimulatedDisk for File {
    fn len(&self) -> io::Result<u64> {
        self.with(|state| Ok(state.now.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.with(|state| {
            let at = place(offset);
            let found = state.now.get(at..at + out.len());
            out.copy_from_slice(found.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.with(|state| {
            let len = place(len);
            if state.trouble == Some(Trouble::Full) && len > state.now.len() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            state.now.resize(len, 0);
            state.since.push(Change::Length(len));
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|state| {
            if state.trouble == Some(Trouble::SyncFails) {
                return Err(io::Error::other("input/output error (simulated)"));
            }
            for change in std::mem::take(&mut state.since) {
                match change {
                    Change::Length(length) => state.synced.resize(length, 0),
                    Change::Write(at, bytes) => put(&mut state.synced, at, &bytes),
                }
            }
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.with(|state| {
            if state.trouble == Some(Trouble::Full) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let at = place(offset);
            put(&mut state.now, at, data);
            state.since.push(Change::Write(at, data.to_vec()));
            Ok(())
        })
    }
}
