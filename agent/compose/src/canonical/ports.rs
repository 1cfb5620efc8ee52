//! Ports: `[[HOST_IP:]HOST[-HOST]:]CONTAINER[-CONTAINER][/PROTOCOL]`.

use crate::problem::Report;
use crate::yaml::{Mark, Node, Value};
use std::net::IpAddr;

pub(super) fn canonical(node: &mut Node, path: &str, report: &mut Report) {
    let Some(items) = node.as_list_mut() else { return };
    let mut out = Vec::new();
    for (index, mut item) in std::mem::take(items).into_iter().enumerate() {
        let path = format!("{path}[{index}]");
        let mark = item.at;
        if item.as_map().is_some() {
            if let Some(published) = item.get_mut("published") {
                super::text(published);
            }
            if item.str_at("published") == Some("")
                && let Some(map) = item.as_map_mut()
            {
                map.shift_remove("published");
            }
            if item.get("target").is_none() {
                report.error(mark, &path, "the key \"target\" is missing");
            }
            for (key, value) in [("mode", "ingress"), ("protocol", "tcp")] {
                if item.get(key).is_none() {
                    item.set(key, Node::text(value, mark));
                }
            }
            out.push(item);
        } else if let Some(text) = item.scalar_text() {
            match short(&text, mark) {
                Ok(ports) => out.extend(ports),
                Err(message) => report.error(mark, &path, message),
            }
        }
    }
    *items = out;
}

fn short(text: &str, mark: Mark) -> Result<Vec<Node>, String> {
    let (spec, protocol) = match text.rsplit_once('/') {
        Some((spec, protocol)) if !protocol.is_empty() => (spec, protocol.to_ascii_lowercase()),
        Some((spec, _)) => (spec, "tcp".to_owned()),
        None => (text, "tcp".to_owned()),
    };
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("the protocol {protocol:?} is not tcp, udp or sctp"));
    }
    let (rest, container) = spec
        .rsplit_once(':')
        .map_or(("", spec), |(rest, container)| (rest, container));
    let (ip, host) = match rest.rsplit_once(':') {
        Some((ip, host)) => (ip, host),
        None => ("", rest),
    };
    if container.is_empty() {
        return Err(format!("{text:?} names no container port"));
    }
    let (first, last) = range(container).ok_or_else(|| format!("invalid container port {container:?}"))?;
    let ip = ip
        .strip_prefix('[')
        .and_then(|ip| ip.strip_suffix(']'))
        .unwrap_or(ip);
    if !ip.is_empty() && ip.parse::<IpAddr>().is_err() {
        return Err(format!("{ip:?} is not an IP address"));
    }
    let host_range = if host.is_empty() {
        None
    } else {
        Some(range(host).ok_or_else(|| format!("invalid host port {host:?}"))?)
    };
    if let Some((from, to)) = host_range
        && to - from != last - first
        && first != last
    {
        return Err(format!(
            "the ranges {host} and {container} have different lengths"
        ));
    }
    let port = |target: u32, published: Option<String>| {
        let mut port = Node::map(
            [
                ("mode", Node::text("ingress", mark)),
                ("target", Node::new(Value::Int(i64::from(target)), mark)),
                ("protocol", Node::text(protocol.clone(), mark)),
            ],
            mark,
        );
        if !ip.is_empty() {
            port.set("host_ip", Node::text(ip, mark));
        }
        if let Some(published) = published {
            port.set("published", Node::text(published, mark));
        }
        port
    };
    let mut ports: Vec<Node> = (first..=last)
        .map(|target| {
            let published = host_range.map(|(from, to)| {
                if first == last && from != to {
                    format!("{from}-{to}")
                } else {
                    (from + target - first).to_string()
                }
            });
            port(target, published)
        })
        .collect();
    ports.sort_by_cached_key(|port| match port.get("target").map(|n| &n.value) {
        Some(Value::Int(target)) => target.to_string(),
        _ => String::new(),
    });
    Ok(ports)
}

fn range(text: &str) -> Option<(u32, u32)> {
    let number = |text: &str| text.parse::<u16>().ok().map(u32::from);
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(text)?, number(text)?),
    };
    (first <= last).then_some((first, last))
}
