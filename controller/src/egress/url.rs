//! Where a request goes, as its URL says.

use std::net::{IpAddr, Ipv6Addr};

use hyper::{Uri, header::HeaderValue};
use rustls_pki_types::ServerName;

use super::EgressError;

/// Longest URL.
const MOST: usize = 4_096;
/// Longest name of a host.
const NAME: usize = 253;

/// Host of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host {
    /// An address.
    Address(IpAddr),
    /// A name in lower case. It may still be an address in a form that only resolvers understand.
    Name(String),
}

/// A URL that can be asked for.
#[derive(Clone)]
pub(super) struct Target {
    uri: Uri,
    host: Host,
    tls: bool,
    port: u16,
}

impl Target {
    /// # Errors
    /// [`EgressError::Url`], which never repeats the URL: those of webhooks are secrets.
    pub(super) fn parse(url: &str) -> Result<Self, EgressError> {
        if url.len() > MOST {
            return Err(EgressError::Url("it is longer than 4096 bytes"));
        }
        let uri: Uri = url
            .parse()
            .map_err(|_| EgressError::Url("it is not well formed"))?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) => return Err(EgressError::Url("only http:// and https:// are spoken")),
            None => return Err(EgressError::Url("it does not begin with http:// or https://")),
        };
        let authority = uri.authority().ok_or(EgressError::Url("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(EgressError::Url("it must not hold a user or a password"));
        }
        let port = match (authority.port(), tls) {
            (Some(port), _) => port.as_u16(),
            // `host:` and a port that is no number.
            (None, _) if authority.as_str().len() != authority.host().len() => {
                return Err(EgressError::Url("its port is not a number from 1 to 65535"));
            }
            (None, true) => 443,
            (None, false) => 80,
        };
        if port == 0 {
            return Err(EgressError::Url("its port is not a number from 1 to 65535"));
        }
        let host = host(authority.host())?;
        Ok(Self { uri, host, tls, port })
    }

    /// A host and a port without a URL, for what is not HTTP.
    pub(super) fn of(host: &str, port: u16, tls: bool) -> Result<Self, EgressError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
        if !host.chars().all(fits) {
            return Err(EgressError::Url("its host is no name and no address"));
        }
        let scheme = if tls { "https" } else { "http" };
        let bare = host.contains(':') && !host.starts_with('[');
        let host = if bare {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        Self::parse(&format!("{scheme}://{host}:{port}"))
    }

    pub(super) const fn host(&self) -> &Host {
        &self.host
    }

    /// Its address, if it names one as everybody writes them.
    pub(super) const fn address(&self) -> Option<IpAddr> {
        match self.host {
            Host::Address(ip) => Some(ip),
            Host::Name(_) => None,
        }
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    pub(super) const fn is_tls(&self) -> bool {
        self.tls
    }

    /// Host and port, for people.
    pub(super) fn place(&self) -> String {
        match &self.host {
            Host::Address(IpAddr::V6(ip)) => format!("[{ip}]:{}", self.port),
            Host::Address(IpAddr::V4(ip)) => format!("{ip}:{}", self.port),
            Host::Name(name) => format!("{name}:{}", self.port),
        }
    }

    /// What is asked of the host: path and query.
    pub(super) fn path(&self) -> Uri {
        let path = self.uri.path_and_query().cloned();
        path.map_or_else(|| Uri::from_static("/"), Uri::from)
    }

    pub(super) fn host_header(&self) -> Result<HeaderValue, EgressError> {
        let place = self.place();
        let usual = if self.tls { ":443" } else { ":80" };
        let text = place.strip_suffix(usual).unwrap_or(&place);
        HeaderValue::try_from(text).map_err(|_| EgressError::Url("its host is not well formed"))
    }

    /// Whose certificate it has to be.
    pub(super) fn server_name(&self) -> Result<ServerName<'static>, EgressError> {
        match &self.host {
            Host::Address(ip) => Ok(ServerName::from(*ip)),
            Host::Name(name) => ServerName::try_from(name.clone())
                .map_err(|_| EgressError::Url("no certificate can be for the name of its host")),
        }
    }
}

fn host(text: &str) -> Result<Host, EgressError> {
    if let Some(inner) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        let ip: Result<Ipv6Addr, _> = inner.parse();
        let ip = ip.map_err(|_| EgressError::Url("what is in brackets is no IPv6 address"))?;
        return Ok(Host::Address(ip.into()));
    }
    if let Ok(ip) = text.parse() {
        return Ok(Host::Address(IpAddr::V4(ip)));
    }
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.is_empty() || name.len() > NAME || !name.chars().all(fits) {
        return Err(EgressError::Url("its host is no name and no address"));
    }
    Ok(Host::Name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let check = |url: &str, expected: Result<(&str, &str), &str>| {
            let target = Target::parse(url);
            let found = target
                .as_ref()
                .map(|target| (target.place(), target.path().to_string()));
            match (found, expected) {
                (Ok((place, path)), Ok((wanted, wanted_path))) => {
                    assert_eq!((place.as_str(), path.as_str()), (wanted, wanted_path), "{url}");
                }
                (Err(error), Err(says)) => assert!(error.to_string().contains(says), "{url}: {error}"),
                (found, expected) => panic!("{url}: {found:?}, not {expected:?}"),
            }
        };
        check(
            "https://Hooks.Example.org/a/b?c=d#e",
            Ok(("hooks.example.org:443", "/a/b?c=d")),
        );
        check("http://example.org.:8080", Ok(("example.org:8080", "/")));
        check("http://[2001:db8::1]/", Ok(("[2001:db8::1]:80", "/")));
        check("http://127.0.0.1:9090/x", Ok(("127.0.0.1:9090", "/x")));
        // A resolver understands it; what it makes of it is judged then.
        check("http://2130706433/", Ok(("2130706433:80", "/")));
        check("ftp://example.org/", Err("only http"));
        check("gopher://example.org/", Err("only http"));
        check("/path", Err("does not begin"));
        check("example.org", Err("does not begin"));
        check("file:///etc/passwd", Err(""));
        check("http://user:secret@example.org/", Err("user"));
        check("http://public.example@127.0.0.1/", Err("user"));
        check("http://example.org:0/", Err("port"));
        check("http://example.org:99999/", Err(""));
        check("http://example.org:/", Err("port"));
        check("http://[fe80::1%25eth0]/", Err(""));
        check("http://[127.0.0.1]/", Err("brackets"));
        check("http://exa mple.org/", Err("well formed"));
        check("http://ex\u{e4}mple.org/", Err("well formed"));
        check("http:///x", Err(""));
        check(
            &format!("http://example.org/{}", "a".repeat(5_000)),
            Err("longer"),
        );
    }
}
