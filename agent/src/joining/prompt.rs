//! A secret typed on a terminal, which does not show it.

use std::{
    io::{self, Read as _, Write as _},
    os::fd::AsFd,
};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

/// What Ctrl-C types.
const INTERRUPT: u8 = 3;
/// Longest answer that is read.
const LONGEST: usize = 4_096;

/// Asks on `terminal` and reads one line without echo. The terminal is as it was when this returns, after Ctrl-C too.
///
/// # Errors
/// If it is no terminal, or goes away; [`io::ErrorKind::Interrupted`] after Ctrl-C.
pub(super) fn secret(terminal: &fs_err::File, question: &str) -> io::Result<String> {
    // Before the question: a fast paste must not be shown.
    let quiet = Quiet::make(terminal)?;
    let mut io: &fs_err::File = terminal;
    io.write_all(question.as_bytes())?;
    let (mut line, mut buffer) = (Vec::new(), [0; 256]);
    while line.len() < LONGEST && !line.ends_with(b"\n") {
        let read = io.read(&mut buffer)?;
        line.extend_from_slice(buffer.get(..read).unwrap_or_default());
        if line.contains(&INTERRUPT) {
            drop(quiet);
            io.write_all(b"\n")?;
            return Err(io::ErrorKind::Interrupted.into());
        }
        if read == 0 {
            break;
        }
    }
    String::from_utf8(line).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// A terminal that shows no more of what is typed than the end of the line.
struct Quiet<'a> {
    terminal: &'a fs_err::File,
    before: Termios,
}

impl<'a> Quiet<'a> {
    fn make(terminal: &'a fs_err::File) -> io::Result<Self> {
        let before = tcgetattr(terminal.as_fd())?;
        let mut modes = before.clone();
        modes.local_modes.remove(LocalModes::ECHO);
        // Ctrl-C ends the line instead of this process, which has the terminal to put back.
        modes.local_modes.remove(LocalModes::ISIG);
        modes.special_codes[SpecialCodeIndex::VEOL] = INTERRUPT;
        modes.local_modes.insert(LocalModes::ICANON | LocalModes::ECHONL);
        tcsetattr(terminal.as_fd(), OptionalActions::Now, &modes)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = tcsetattr(self.terminal.as_fd(), OptionalActions::Now, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use std::{os::fd::OwnedFd, path::PathBuf, thread};

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;

    /// Both ends of a terminal.
    fn pair() -> (fs_err::File, fs_err::File) {
        let user: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&user).unwrap();
        unlockpt(&user).unwrap();
        let name = PathBuf::from(ptsname(&user, Vec::new()).unwrap().into_string().unwrap());
        let terminal = fs_err::OpenOptions::new()
            .read(true)
            .write(true)
            .open(name)
            .unwrap();
        let user = fs_err::File::from_parts(user.into(), "the user's end");
        (user, terminal)
    }

    fn echoes(terminal: &fs_err::File) -> bool {
        tcgetattr(terminal.as_fd())
            .unwrap()
            .local_modes
            .contains(LocalModes::ECHO)
    }

    /// What is returned, and all that the user sees.
    fn check(typed: &str, expected: Result<&str, io::ErrorKind>, seen: &str) {
        let (user, terminal) = pair();
        let asked = thread::scope(|scope| {
            let asking = scope.spawn(|| secret(&terminal, "Token: "));
            let mut shown = vec![0; "Token: ".len()];
            (&user).read_exact(&mut shown).unwrap();
            assert!(!echoes(&terminal), "{typed:?}: while it asks");
            (&user).write_all(typed.as_bytes()).unwrap();
            asking.join().unwrap()
        });
        let asked = asked.map_err(|error| error.kind());
        assert_eq!(asked.as_deref().map_err(|kind| *kind), expected, "{typed:?}");
        assert!(echoes(&terminal), "{typed:?}: as it was");
        (&terminal).write_all(b".").unwrap();
        let (mut rest, mut byte) = (Vec::new(), [0]);
        while byte != *b"." {
            (&user).read_exact(&mut byte).unwrap();
            rest.push(byte[0]);
        }
        assert_eq!(String::from_utf8(rest).unwrap(), seen, "{typed:?}");
    }

    #[test]
    fn a_secret_is_not_shown_and_the_terminal_is_put_back() {
        check("wfj_abc\n", Ok("wfj_abc\n"), "\r\n.");
        check("wfj_abd\u{7f}c\n", Ok("wfj_abc\n"), "\r\n.");
        check("\n", Ok("\n"), "\r\n.");
        check("\u{4}", Ok(""), ".");
        check("wfj_a\u{3}", Err(io::ErrorKind::Interrupted), "\r\n.");
    }

    #[test]
    fn what_is_no_terminal_is_said_so() {
        let file = fs_err::File::from_parts(tempfile::tempfile().unwrap(), "a file");
        assert!(secret(&file, "Token: ").is_err());
    }
}
