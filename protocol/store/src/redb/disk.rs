//! A disk that only exists in a simulation: it forgets what was not synced, fills up and fails when it is told to.

use std::{fmt, io, sync::Arc};

use redb::StorageBackend;

/// The bytes of one file on a simulated disk.
pub trait SimulatedDisk: fmt::Debug + Send + Sync + 'static {
    /// Its length in bytes.
    ///
    /// # Errors
    /// Whatever a disk may answer; so in all of them.
    fn len(&self) -> io::Result<u64>;

    /// Whether it has no bytes.
    ///
    /// # Errors
    /// As [`SimulatedDisk::len`].
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `out` from `offset`; reading beyond the end is an error.
    ///
    /// # Errors
    /// As [`SimulatedDisk::len`].
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;

    /// Cuts it, or fills it up with zeros.
    ///
    /// # Errors
    /// As [`SimulatedDisk::len`].
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Everything written so far survives a power cut.
    ///
    /// # Errors
    /// As [`SimulatedDisk::len`].
    fn sync(&self) -> io::Result<()>;

    /// Writes; until the next sync a power cut may forget it, whole or in part.
    ///
    /// # Errors
    /// As [`SimulatedDisk::len`].
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()>;
}

/// What redb is given.
#[derive(Debug)]
pub(super) struct Backend(pub(super) Arc<dyn SimulatedDisk>);

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}
