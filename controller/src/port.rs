//! A port that is taken: by whom, and what to do about it.

use std::{
    fmt, io,
    net::{SocketAddr, TcpListener},
};

use fs_err as fs;

/// Why a port cannot be used, with the remedy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PortError {
    /// Somebody else has it.
    #[error("{kind} port {port} is in use by {holder}; stop that or choose another port with {flag}")]
    InUse {
        /// TCP or UDP.
        kind: Kind,
        /// Which.
        port: u16,
        /// Who has it.
        holder: String,
        /// What changes it.
        flag: &'static str,
    },
    /// A port below 1024 without the right to it.
    #[error("this user may not listen on {address}; choose a port above 1023 with {flag}")]
    Forbidden {
        /// Which.
        address: SocketAddr,
        /// What changes it.
        flag: &'static str,
    },
    /// An address that this machine does not have.
    #[error("cannot listen on {address}: this machine has no such address; choose another with {flag}")]
    NotOurs {
        /// Which.
        address: SocketAddr,
        /// What changes it.
        flag: &'static str,
    },
    /// Anything else.
    #[error("cannot listen on {address} ({flag})")]
    Other {
        /// Which.
        address: SocketAddr,
        /// What changes it.
        flag: &'static str,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// What kind of port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// For HTTPS.
    Tcp,
    /// For agents.
    Udp,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        })
    }
}

impl Kind {
    const fn flag(self) -> &'static str {
        match self {
            Self::Tcp => "--http",
            Self::Udp => "--quic",
        }
    }

    const fn tables(self) -> [&'static str; 2] {
        match self {
            Self::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
            Self::Udp => ["/proc/net/udp", "/proc/net/udp6"],
        }
    }
}

/// Listens for HTTPS.
pub(crate) fn listen(address: SocketAddr) -> Result<TcpListener, PortError> {
    let listener = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    listener.map_err(|source| explain(Kind::Tcp, address, source))
}

/// What an error of binding means.
pub(crate) fn explain(kind: Kind, address: SocketAddr, source: io::Error) -> PortError {
    let flag = kind.flag();
    match source.kind() {
        io::ErrorKind::AddrInUse => PortError::InUse {
            kind,
            port: address.port(),
            holder: holder(kind, address.port()).unwrap_or_else(|| "another program".to_owned()),
            flag,
        },
        io::ErrorKind::PermissionDenied => PortError::Forbidden { address, flag },
        io::ErrorKind::AddrNotAvailable => PortError::NotOurs { address, flag },
        _ => PortError::Other {
            address,
            flag,
            source,
        },
    }
}

/// `process 17 (nginx)`: who holds a port, as far as this user may see it.
fn holder(kind: Kind, port: u16) -> Option<String> {
    let tables = kind.tables();
    let lines = tables.iter().filter_map(|path| fs::read_to_string(path).ok());
    let inodes: Vec<_> = lines.flat_map(|text| inodes_in(&text, kind, port)).collect();
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let Some(number) = process
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        // Processes of other users, and those that ended meanwhile, cannot be read.
        let Ok(files) = fs::read_dir(process.path().join("fd")) else {
            continue;
        };
        let links = files.flatten().filter_map(|file| fs::read_link(file.path()).ok());
        let mut names = links.filter_map(|link| Some(link.to_str()?.to_owned()));
        if names.any(|name| inodes.iter().any(|inode| name == format!("socket:[{inode}]"))) {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("process {number} ({})", name.trim()));
        }
    }
    None
}

/// Inodes of the sockets with this local port in a table of `/proc/net`; of TCP only those that listen.
fn inodes_in(text: &str, kind: Kind, port: u16) -> Vec<String> {
    const LISTEN: &str = "0A";
    let wanted = format!("{port:04X}");
    let rows = text.lines().skip(1).filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (_, local) = words.next()?.rsplit_once(':')?;
        let state = words.nth(1)?;
        let inode = words.nth(5)?;
        (local == wanted && (kind == Kind::Udp || state == LISTEN)).then(|| inode.to_owned())
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_names_its_holder_and_the_flag() {
        let check = |kind: Kind, address: SocketAddr, flag: &str| {
            let error = explain(kind, address, io::ErrorKind::AddrInUse.into()).to_string();
            let holder = format!("process {} (", std::process::id());
            assert!(error.contains(&holder) && error.contains(flag), "{error}");
        };
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        check(Kind::Tcp, tcp.local_addr().unwrap(), "--http");
        let error = listen(tcp.local_addr().unwrap()).unwrap_err();
        assert!(matches!(error, PortError::InUse { .. }), "{error}");
        let udp = std::net::UdpSocket::bind("[::]:0").unwrap();
        check(Kind::Udp, udp.local_addr().unwrap(), "--quic");
        let foreign = "192.0.2.1:1".parse().unwrap();
        let error = explain(Kind::Tcp, foreign, io::ErrorKind::AddrNotAvailable.into()).to_string();
        assert!(error.contains("no such address"), "{error}");
    }

    #[test]
    fn only_listening_sockets_of_the_port_count() {
        let text = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:20FB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1\n\
             1: 0100007F:20FB 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 222 1\n\
             2: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 333 1\n";
        assert_eq!(inodes_in(text, Kind::Tcp, 0x20fb), ["111"]);
        assert_eq!(inodes_in(text, Kind::Udp, 0x20fb), ["111", "222"]);
    }
}
