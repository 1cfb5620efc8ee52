//! Which addresses may be called.

use std::{
    collections::BTreeSet,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::url::Host;

/// Why an address is not of the public internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No address at all: 0.0.0.0/8, `::`.
    Unspecified,
    /// This machine.
    Loopback,
    /// A private network, or a unique local one.
    Private,
    /// Behind the translation of a provider: 100.64.0.0/10.
    Shared,
    /// This wire.
    LinkLocal,
    /// What a cloud tells a machine about itself, secrets included.
    Metadata,
    /// Many machines.
    Multicast,
    /// For documents, benchmarks, protocols, or for nothing yet.
    Reserved,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "an unspecified address",
            Self::Loopback => "an address of this machine",
            Self::Private => "an address of a private network",
            Self::Shared => "an address of a provider's network",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "an address of a cloud's metadata",
            Self::Multicast => "a multicast address",
            Self::Reserved => "a reserved address",
        })
    }
}

impl Kind {
    /// Whether a listed *name* may lead there. Who holds the name could lead it anywhere: to what no name of a service
    /// is for, only a listed address leads.
    const fn by_name(self) -> bool {
        matches!(self, Self::Loopback | Self::Private | Self::Shared)
    }
}

/// IPv4 networks that are not of the public internet: the registry of special addresses, and 168.63.129.16 and
/// 100.100.100.200, where two clouds have their metadata.
const SPECIAL_V4: &[(Ipv4Addr, u8, Kind)] = &[
    (Ipv4Addr::new(168, 63, 129, 16), 32, Kind::Metadata),
    (Ipv4Addr::new(100, 100, 100, 200), 32, Kind::Metadata),
    (Ipv4Addr::new(169, 254, 169, 254), 32, Kind::Metadata),
    (Ipv4Addr::new(0, 0, 0, 0), 8, Kind::Unspecified),
    (Ipv4Addr::new(10, 0, 0, 0), 8, Kind::Private),
    (Ipv4Addr::new(100, 64, 0, 0), 10, Kind::Shared),
    (Ipv4Addr::new(127, 0, 0, 0), 8, Kind::Loopback),
    (Ipv4Addr::new(169, 254, 0, 0), 16, Kind::LinkLocal),
    (Ipv4Addr::new(172, 16, 0, 0), 12, Kind::Private),
    (Ipv4Addr::new(192, 0, 0, 0), 24, Kind::Reserved),
    (Ipv4Addr::new(192, 0, 2, 0), 24, Kind::Reserved),
    (Ipv4Addr::new(192, 88, 99, 0), 24, Kind::Reserved),
    (Ipv4Addr::new(192, 168, 0, 0), 16, Kind::Private),
    (Ipv4Addr::new(198, 18, 0, 0), 15, Kind::Reserved),
    (Ipv4Addr::new(198, 51, 100, 0), 24, Kind::Reserved),
    (Ipv4Addr::new(203, 0, 113, 0), 24, Kind::Reserved),
    (Ipv4Addr::new(224, 0, 0, 0), 4, Kind::Multicast),
    (Ipv4Addr::new(240, 0, 0, 0), 4, Kind::Reserved),
];

/// IPv6 networks that have a kind of their own; of the rest, only 2000::/3 is of the public internet.
const SPECIAL_V6: &[(Ipv6Addr, u8, Kind)] = &[
    (
        Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
        128,
        Kind::Metadata,
    ),
    (
        Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
        128,
        Kind::Metadata,
    ),
    (Ipv6Addr::UNSPECIFIED, 128, Kind::Unspecified),
    (Ipv6Addr::LOCALHOST, 128, Kind::Loopback),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, Kind::Private),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, Kind::LinkLocal),
    // Site-local: withdrawn, and still routed here and there.
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, Kind::Private),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, Kind::Multicast),
    // NAT64 of a network's own: what it stands for depends on that network.
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, Kind::Private),
    // Protocols: Teredo, which holds IPv4 addresses in disguise, ORCHID, benchmarks.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, Kind::Reserved),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, Kind::Reserved),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, Kind::Reserved),
];

/// Why an address is not of the public internet; `None` if it is. An IPv4 address within an IPv6 one is judged as itself.
#[must_use]
pub fn kind(ip: IpAddr) -> Option<Kind> {
    match ip {
        IpAddr::V4(ip) => kind_v4(ip),
        IpAddr::V6(ip) => kind_v6(ip),
    }
}

fn kind_v4(ip: Ipv4Addr) -> Option<Kind> {
    let special = SPECIAL_V4
        .iter()
        .find(|(network, prefix, _)| within(ip.into(), (*network).into(), *prefix));
    special.map(|(_, _, kind)| *kind)
}

fn kind_v6(ip: Ipv6Addr) -> Option<Kind> {
    let special = SPECIAL_V6
        .iter()
        .find(|(network, prefix, _)| within(ip.into(), (*network).into(), *prefix));
    if let Some((_, _, kind)) = special {
        return Some(*kind);
    }
    if let Some(inner) = embedded(ip) {
        return kind_v4(inner);
    }
    let public = Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0);
    (!within(ip.into(), public.into(), 3)).then_some(Kind::Reserved)
}

/// The IPv4 address that an IPv6 one stands for: mapped, compatible, translated (SIIT), NAT64, 6to4.
fn embedded(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match ip.segments() {
        [0, 0, 0, 0, 0, 0xffff | 0, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, _, _, _, _, _] => Some(v4(high, low)),
        _ => None,
    }
}

/// Whether an address is in a network of the same family.
fn within(ip: IpAddr, network: IpAddr, prefix: u8) -> bool {
    match (ip, network) {
        (IpAddr::V4(ip), IpAddr::V4(network)) => {
            let shift = 32_u32.saturating_sub(u32::from(prefix));
            (ip.to_bits() ^ network.to_bits()).checked_shr(shift).unwrap_or(0) == 0
        }
        (IpAddr::V6(ip), IpAddr::V6(network)) => {
            let shift = 128_u32.saturating_sub(u32::from(prefix));
            (ip.to_bits() ^ network.to_bits()).checked_shr(shift).unwrap_or(0) == 0
        }
        _ => false,
    }
}

/// What may be called although it is not of the public internet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allow {
    networks: Vec<(IpAddr, u8)>,
    names: BTreeSet<String>,
}

impl Allow {
    /// Reads networks (`10.1.0.0/16`, `fd00::/8`), addresses and names of hosts.
    ///
    /// # Errors
    /// What is wrong, for each entry that is none of them.
    pub fn read(entries: &[String]) -> Result<Self, Vec<String>> {
        let (mut allow, mut problems) = (Self::default(), Vec::new());
        for entry in entries {
            match entry.split_once('/') {
                Some((network, prefix)) => match read_network(network, prefix) {
                    Ok(network) => allow.networks.push(network),
                    Err(problem) => problems.push(format!("{entry:?} {problem}")),
                },
                None => match entry.parse() {
                    Ok(ip) => allow.add_host(&Host::Address(ip)),
                    Err(_) if is_name(entry) => allow.add_host(&Host::Name(entry.to_ascii_lowercase())),
                    Err(_) => problems.push(format!(
                        "{entry:?} is no network like 10.1.0.0/16, no address and no name of a host"
                    )),
                },
            }
        }
        if problems.is_empty() {
            Ok(allow)
        } else {
            Err(problems)
        }
    }

    pub(super) fn add_host(&mut self, host: &Host) {
        match host {
            Host::Address(ip) => self.networks.push((
                ip.to_canonical(),
                if ip.to_canonical().is_ipv4() { 32 } else { 128 },
            )),
            Host::Name(name) => {
                self.names.insert(name.clone());
            }
        }
    }

    /// Whether an address of this kind may be called, as what the host of a URL resolves to.
    pub(super) fn has(&self, host: &Host, ip: IpAddr, kind: Kind) -> bool {
        // A mapped address is the IPv4 address: the system connects to that.
        let ip = ip.to_canonical();
        let listed = self
            .networks
            .iter()
            .any(|(network, prefix)| within(ip, *network, *prefix));
        let named = matches!(host, Host::Name(name) if self.names.contains(name));
        listed || named && kind.by_name()
    }
}

fn read_network(network: &str, prefix: &str) -> Result<(IpAddr, u8), String> {
    let ip: IpAddr = network.parse().map_err(|_| "begins with no address".to_owned())?;
    let longest = if ip.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.parse().ok().filter(|prefix| *prefix <= longest);
    let prefix: u8 = prefix.ok_or_else(|| format!("ends with no number from 0 to {longest}"))?;
    let rest = match ip {
        IpAddr::V4(ip) => ip.to_bits().checked_shl(prefix.into()).unwrap_or(0) != 0,
        IpAddr::V6(ip) => ip.to_bits().checked_shl(prefix.into()).unwrap_or(0) != 0,
    };
    if rest {
        return Err("names an address within a network, not the network".to_owned());
    }
    Ok((ip, prefix))
}

/// A name, and not a number that a resolver would take for an address.
fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let last = text.rsplit('.').next().unwrap_or_default();
    !text.is_empty() && text.chars().all(fits) && last.starts_with(|c: char| c.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests;
