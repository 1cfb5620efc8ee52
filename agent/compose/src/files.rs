//! The files that a load may read.

use std::collections::BTreeMap;

/// Reads files for the loader.
pub trait Files {
    /// The content of a file by absolute path; `None` if it does not exist.
    ///
    /// # Errors
    /// Why an existing file cannot be read.
    fn read(&self, path: &str) -> Result<Option<String>, String>;
}

/// Files in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryFiles(pub BTreeMap<String, String>);

impl Files for MemoryFiles {
    fn read(&self, path: &str) -> Result<Option<String>, String> {
        Ok(self.0.get(path).cloned())
    }
}
