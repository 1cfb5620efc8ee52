//! Network interfaces of the host; those between containers are counted with the containers.

use windflow_model::metrics::{Group, Metric, Scope, Subject};

use super::{
    Fit, SamplerOptions,
    file::{Buffer, Kept},
    parse::{lines, numbers, word},
};

/// More interfaces than this are left out.
const MOST: usize = 16;
/// Beginnings of names of interfaces that only lead to containers, to machines on this host, or nowhere.
const INNER: [&[u8]; 14] = [
    b"lo", b"veth", b"docker", b"br-", b"virbr", b"ifb", b"dummy", b"podman", b"cni", b"flannel", b"cali",
    b"vnet", b"tap", b"sit0",
];

const METRICS: [Metric; 4] = [
    Metric::NETWORK_RECEIVED,
    Metric::NETWORK_SENT,
    Metric::NETWORK_RECEIVE_LOST,
    Metric::NETWORK_SEND_LOST,
];

#[derive(Debug)]
pub(super) struct Networks {
    file: Kept,
    names: Vec<Vec<u8>>,
}

impl Networks {
    pub(super) fn new(options: &SamplerOptions) -> Self {
        Self {
            file: Kept::new(options.proc.join("net/dev")),
            names: Vec::new(),
        }
    }

    pub(super) fn lay_out(&mut self, buffer: &mut Buffer, groups: &mut Vec<Group>) {
        let text = self.file.read(buffer).unwrap_or_default();
        let names = interfaces(text).filter(|(name, _)| outer(name)).take(MOST);
        self.names = names.map(|(name, _)| name.to_vec()).collect();
        groups.extend(self.names.iter().map(|name| Group {
            scope: Scope::Network,
            subject: Subject::plain(String::from_utf8_lossy(name).into_owned()),
            metrics: METRICS.to_vec(),
        }));
    }

    pub(super) fn read(&mut self, buffer: &mut Buffer, values: &mut Vec<i64>) -> Fit {
        let text = self.file.read(buffer).unwrap_or_default();
        let mut known = self.names.iter();
        for (name, rest) in interfaces(text).filter(|(name, _)| outer(name)).take(MOST) {
            if known.next().is_none_or(|expected| expected != name) {
                return Fit::Changed;
            }
            values.extend(figures(rest));
        }
        if known.next().is_none() {
            Fit::Fits
        } else {
            Fit::Changed
        }
    }
}

fn outer(name: &[u8]) -> bool {
    !INNER.iter().any(|inner| name.starts_with(inner))
}

/// Name and numbers of each interface in net/dev.
pub(super) fn interfaces(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    lines(text).filter_map(|line| {
        let (head, _) = word(line);
        // `eth0:123` and `eth0: 123` are both written; an alias has a colon in its name.
        let colon = line.iter().rposition(|byte| *byte == b':')?;
        let (name, rest) = line.split_at(colon);
        let name = name.trim_ascii_start();
        (!head.is_empty()).then_some((name, rest.get(1..)?))
    })
}

/// Bytes in and out, lost packets in and out.
pub(super) fn figures(rest: &[u8]) -> [i64; 4] {
    let mut found = [0; 12];
    numbers(rest, &mut found);
    let [
        received,
        _,
        wrong_in,
        dropped_in,
        _,
        _,
        _,
        _,
        sent,
        _,
        wrong_out,
        dropped_out,
    ] = found;
    [received, sent, wrong_in + dropped_in, wrong_out + dropped_out]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_that_lead_out_and_their_numbers() {
        let text = b"Inter-|   Receive                                                |  Transmit\n \
            face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
            lo: 7771120627 8622762    0    0    0     0          0         0 7771120627 8622762    0    0    0     0       0          0\n  \
            eth0: 838279936   25505    1    2    0     0          0         0  2062961   17412    3    4    0     0       0          0\n\
            docker0: 5703666  106340    0    0    0     0          0         0 1092521660  271216    0    7    0     0       0          0\n\
            eth1:5 1 0 0 0 0 0 0 6 1 0 0 0 0 0 0\n";
        let found: Vec<_> = interfaces(text)
            .filter(|(name, _)| outer(name))
            .map(|(name, rest)| (name, figures(rest)))
            .collect();
        assert_eq!(
            found,
            [
                (b"eth0".as_slice(), [838_279_936, 2_062_961, 3, 7]),
                (b"eth1".as_slice(), [5, 6, 0, 0]),
            ]
        );
    }
}
