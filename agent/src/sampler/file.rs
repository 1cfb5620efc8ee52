//! Files that stay open and are read from their begin each time.

use std::{
    fs::File,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

/// What files of the kernel are read into. One for all of them.
#[derive(Debug, Default)]
pub(super) struct Buffer(Vec<u8>);

/// First size; enough for every file but long lists of devices.
const FIRST: usize = 8 << 10;
/// No file of interest is longer.
const MOST: usize = 1 << 20;
/// The kernel hands out at least so much at once if there is more.
const PIECE: usize = 3 << 10;

/// A file of the kernel.
#[derive(Debug)]
pub(super) struct Kept {
    path: PathBuf,
    file: Option<File>,
    /// Whether it may stay open between samples.
    keep: bool,
}

impl Kept {
    /// Opened when it is read first.
    pub(super) fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            file: None,
            keep: true,
        }
    }

    /// One that is opened each time: file handles have an end.
    pub(super) fn briefly(path: impl Into<PathBuf>) -> Self {
        Self {
            keep: false,
            ..Self::new(path)
        }
    }

    /// Its content, all of it. `None` if it is gone or does not answer.
    pub(super) fn read<'b>(&mut self, buffer: &'b mut Buffer) -> Option<&'b [u8]> {
        self.read_to(buffer, MOST)
    }

    /// Its begin, at most so many bytes: of some files only the first line is of use.
    pub(super) fn read_to<'b>(&mut self, buffer: &'b mut Buffer, most: usize) -> Option<&'b [u8]> {
        let opened = match self.file.take() {
            Some(file) => file,
            None => fs_err::File::open(&self.path).ok()?.into_parts().0,
        };
        let len = fill(&opened, &mut buffer.0, most)?;
        if self.keep {
            self.file = Some(opened);
        }
        buffer.0.get(..len)
    }
}

fn fill(file: &File, buffer: &mut Vec<u8>, most: usize) -> Option<usize> {
    if buffer.len() < FIRST {
        buffer.resize(FIRST, 0);
    }
    let mut len = 0;
    loop {
        let end = buffer.len().min(most);
        let read = file.read_at(buffer.get_mut(len..end)?, len as u64).ok()?;
        len += read;
        if read < PIECE || len >= most {
            return Some(len);
        }
        if len == buffer.len() {
            buffer.resize((len * 2).min(MOST), 0);
        }
    }
}

/// A small file as text, without the line end.
pub(super) fn line(path: &Path) -> Option<String> {
    let text = fs_err::read_to_string(path).ok()?;
    Some(text.trim_end().to_owned())
}
