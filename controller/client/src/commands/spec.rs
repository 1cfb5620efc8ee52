//! Specifications that a command reads from a file or from its input (`-f`).

use std::{io::Read as _, path::Path};

use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// Longest specification, in bytes.
const LONGEST: u64 = 1 << 20;

/// The JSON in a file; of the input, if the file is `-`.
pub(super) fn read<T: DeserializeOwned>(file: &Path, hint: &str) -> Result<T> {
    let text = if file == Path::new("-") {
        input()?
    } else {
        let mut text = String::new();
        fs_err::File::open(file)
            .and_then(|file| file.take(LONGEST).read_to_string(&mut text))
            .map_err(|error| Error::usage(format!("--file: {error}")))?;
        text
    };
    serde_json::from_str(&text)
        .map_err(|error| Error::usage(format!("{}: {error}", file.display())).hint(hint))
}

/// All that comes in.
pub(super) fn input() -> Result<String> {
    let mut text = String::new();
    let read = std::io::stdin().take(LONGEST).read_to_string(&mut text);
    read.map_err(|error| Error::usage(format!("the input cannot be read: {error}")))?;
    Ok(text)
}
