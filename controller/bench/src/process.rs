//! What a process on this machine uses, as the kernel counts it.

use std::{path::PathBuf, time::Duration};

/// Ticks of the kernel's processor times in a second: `USER_HZ`, 100 on every architecture we build for.
const TICKS: u64 = 100;

/// Which process: its number, or a file that holds it and may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pid {
    /// The process.
    Number(u32),
    /// A file with its number, read each time.
    File(PathBuf),
}

impl Pid {
    /// A number, else the path of a file.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        text.parse()
            .map_or_else(|_| Self::File(text.into()), Self::Number)
    }

    fn number(&self) -> Option<u32> {
        match self {
            Self::Number(number) => Some(*number),
            Self::File(path) => fs_err::read_to_string(path).ok()?.trim().parse().ok(),
        }
    }

    /// What it uses now; `None` if it cannot be read.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        let number = self.number()?;
        let status = fs_err::read_to_string(format!("/proc/{number}/status")).ok()?;
        let stat = fs_err::read_to_string(format!("/proc/{number}/stat")).ok()?;
        Usage::parse(&status, &stat)
    }
}

/// Memory and processor time of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Resident memory in bytes.
    pub resident: u64,
    /// The highest it ever was.
    pub peak: u64,
    /// Of the present one, what belongs to no file.
    pub anonymous: u64,
    /// Processor time since its start.
    pub cpu: Duration,
}

impl Usage {
    fn parse(status: &str, stat: &str) -> Option<Self> {
        let bytes = |key: &str| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
            line.trim()
                .strip_suffix("kB")?
                .trim()
                .parse::<u64>()
                .ok()
                .map(|kb| kb * 1_024)
        };
        // The name in parentheses may hold anything.
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        let user: u64 = fields.nth(11)?.parse().ok()?;
        let system: u64 = fields.next()?.parse().ok()?;
        Some(Self {
            resident: bytes("VmRSS")?,
            peak: bytes("VmHWM")?,
            anonymous: bytes("RssAnon")?,
            cpu: Duration::from_millis((user + system) * 1_000 / TICKS),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_read() {
        let status = "Name:\tx\nVmHWM:\t    300 kB\nVmRSS:\t    200 kB\nRssAnon:\t     100 kB\n";
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 0 0 20 0";
        let usage = Usage::parse(status, stat).unwrap();
        assert_eq!(
            (usage.peak, usage.resident, usage.anonymous),
            (307_200, 204_800, 102_400)
        );
        assert_eq!(usage.cpu, Duration::from_secs(2));
        assert_eq!(Usage::parse("", stat), None);
        assert!(Pid::Number(std::process::id()).usage().unwrap().resident > 100_000);
        assert_eq!(Pid::parse("12"), Pid::Number(12));
        assert_eq!(Pid::parse("/run/x"), Pid::File("/run/x".into()));
    }
}
