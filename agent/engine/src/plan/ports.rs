//! Host ports that something else holds already: found before anything changes.

use std::net::IpAddr;

use windflow_model::{Code, Failure};

use super::builder::Builder;

/// Refuses fixed ports of a service that a running container outside the project has. Ranges and ports left to the
/// engine are its business, and so is what other programs of the host hold.
pub(super) fn check(builder: &Builder<'_>, service: &str) -> Result<(), Failure> {
    let Some(spec) = builder.input.project.services.get(service) else {
        return Ok(());
    };
    for port in &spec.ports {
        let published = port
            .published
            .as_deref()
            .and_then(|text| text.parse::<u16>().ok());
        let Some(number) = published.filter(|number| *number != 0) else {
            continue;
        };
        let protocol = port.protocol.as_deref().unwrap_or("tcp");
        let ip = port.host_ip.as_deref().unwrap_or_default();
        let holder = builder
            .observed
            .ports
            .iter()
            .find(|held| held.port == number && held.protocol == protocol && overlap(&held.host_ip, ip));
        if let Some(holder) = holder {
            let text = format!(
                "service {service}: the host port {number}/{protocol} is already allocated to container {}",
                holder.container
            );
            return Err(Failure::new(Code::PortTaken, text));
        }
    }
    Ok(())
}

/// Whether two host addresses can not both have the port. Unreadable ones are left to the engine.
fn overlap(one: &str, other: &str) -> bool {
    match (address(one), address(other)) {
        (Some(None), Some(None)) => true,
        // Every address of one family against one of the other family is left to the engine.
        (Some(None), Some(Some(_))) | (Some(Some(_)), Some(None)) => true,
        (Some(Some(one)), Some(Some(other))) => one == other,
        _ => false,
    }
}

/// `Some(None)` means every address.
fn address(text: &str) -> Option<Option<IpAddr>> {
    if text.is_empty() {
        return Some(None);
    }
    let ip: IpAddr = text.trim_matches(['[', ']']).parse().ok()?;
    Some((!ip.is_unspecified()).then_some(ip))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_meet() {
        let check = |one: &str, other: &str, meet: bool| {
            assert_eq!(overlap(one, other), meet, "{one:?} {other:?}");
            assert_eq!(overlap(other, one), meet, "{other:?} {one:?}");
        };
        check("", "", true);
        check("0.0.0.0", "127.0.0.1", true);
        check("::", "", true);
        check("127.0.0.1", "127.0.0.1", true);
        check("127.0.0.1", "10.0.0.1", false);
        check("[::1]", "::1", true);
        check("not an address", "", false);
    }
}
