//! From a URL to a connection: one look-up, every address judged, and the connection to one that was judged.

use std::{
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs as _},
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;
use rustls::ClientConfig;
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use rustls_platform_verifier::Verifier;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::{OnceCell, Semaphore},
    time::{Instant, timeout_at},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use windflow_transport::tls::web_provider;

use super::{
    Allow, Egress, EgressError, Step,
    address::kind,
    url::{Host, Target},
};

/// Look-ups at once. A resolver that does not answer holds a thread each.
const LOOKUPS: usize = 16;
/// Time for a connection to one address; the request's own time may be shorter.
const CONNECT: Duration = Duration::from_secs(5);
/// Addresses that are tried.
const TRIED: usize = 4;

/// What answers with the addresses of a name.
pub(super) type Lookup =
    Arc<dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// What the client is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EgressOptions {
    /// What may be called although it is not of the public internet.
    pub allow: Allow,
    /// Certificates (PEM) of authorities that are trusted besides those of the system.
    pub ca_file: Option<PathBuf>,
}

impl EgressOptions {
    /// Makes the client. Reads files.
    ///
    /// # Errors
    /// The file of authorities cannot be read, or holds none.
    pub fn build(self) -> io::Result<Egress> {
        self.build_with(system_lookup())
    }

    pub(super) fn build_with(self, lookup: Lookup) -> io::Result<Egress> {
        let extra = match &self.ca_file {
            Some(path) => authorities(path)?,
            None => Vec::new(),
        };
        let connector = Connector {
            allow: self.allow,
            extra,
            tls: OnceCell::new(),
            lookup,
        };
        Ok(Egress {
            connector: Arc::new(connector),
            trusted: Allow::default(),
        })
    }
}

fn authorities(path: &std::path::Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let invalid = |what: String| {
        let text = format!("{}: {what}", path.display());
        io::Error::new(io::ErrorKind::InvalidData, text)
    };
    let text = fs_err::read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| invalid(format!("not certificates in PEM: {error}")))?;
    if found.is_empty() {
        return Err(invalid("there is no certificate in it".to_owned()));
    }
    Ok(found)
}

async fn make_tls(extra: Vec<CertificateDer<'static>>) -> Result<TlsConnector, EgressError> {
    let made = windflow_kit::blocking::run(move || tls(extra)).await;
    match made {
        Ok(made) => made.map_err(|error| EgressError::Roots(error.to_string())),
        Err(error) => Err(EgressError::Roots(error.to_string())),
    }
}

fn tls(extra: Vec<CertificateDer<'static>>) -> Result<TlsConnector, rustls::Error> {
    let verifier = Verifier::new_with_extra_roots(extra, web_provider())?;
    let mut config = ClientConfig::builder_with_provider(web_provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The system's resolver, on threads of its own: so many at once.
fn system_lookup() -> Lookup {
    let turns = Arc::new(Semaphore::new(LOOKUPS));
    Arc::new(move |name: String, port: u16| {
        let turns = Arc::clone(&turns);
        Box::pin(async move {
            let turn = turns.acquire_owned().await.map_err(io::Error::other)?;
            let found = windflow_kit::blocking::run(move || {
                let found = (name.as_str(), port).to_socket_addrs();
                // Given back when the thread is free, not when nobody waits any more.
                drop(turn);
                found
            });
            Ok(found.await.map_err(io::Error::other)??.collect())
        })
    })
}

/// Makes connections.
pub(super) struct Connector {
    allow: Allow,
    extra: Vec<CertificateDer<'static>>,
    /// Made when it is needed first: it reads the roots of the system, of which a machine may have none.
    tls: OnceCell<TlsConnector>,
    lookup: Lookup,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector")
            .field("allow", &self.allow)
            .finish_non_exhaustive()
    }
}

impl Connector {
    /// Whether this address may be called for this target.
    pub(super) fn judge(&self, trusted: &Allow, target: &Target, ip: IpAddr) -> Result<(), EgressError> {
        match kind(ip) {
            Some(kind)
                if !self.allow.has(target.host(), ip, kind) && !trusted.has(target.host(), ip, kind) =>
            {
                Err(EgressError::Refused {
                    place: target.place(),
                    address: ip,
                    kind,
                })
            }
            _ => Ok(()),
        }
    }

    pub(super) async fn connect(
        &self,
        trusted: &Allow,
        target: &Target,
        deadline: Instant,
    ) -> Result<Stream, EgressError> {
        let tcp = self.reach(trusted, target, deadline).await?;
        let begun = Instant::now();
        let late = |step| EgressError::TimedOut {
            place: target.place(),
            step,
            after: deadline - begun,
        };
        self.secure(tcp, target, deadline, &late).await
    }

    /// A connection to an address that was judged.
    pub(super) async fn reach(
        &self,
        trusted: &Allow,
        target: &Target,
        deadline: Instant,
    ) -> Result<TcpStream, EgressError> {
        let begun = Instant::now();
        let late = |step| EgressError::TimedOut {
            place: target.place(),
            step,
            after: deadline - begun,
        };
        let addresses = match target.host() {
            Host::Address(ip) => vec![SocketAddr::new(*ip, target.port())],
            Host::Name(name) => {
                let found = (self.lookup)(name.clone(), target.port());
                let found = timeout_at(deadline, found).await.map_err(|_| late(Step::Name))?;
                found.map_err(|source| EgressError::Name {
                    place: target.place(),
                    source,
                })?
            }
        };
        // One that is refused refuses all: a name that leads to both the internet and this network is a trick or a mistake.
        for address in &addresses {
            self.judge(trusted, target, address.ip())?;
        }
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in addresses.into_iter().take(TRIED) {
            let until = deadline.min(Instant::now() + CONNECT);
            match timeout_at(until, TcpStream::connect(address)).await {
                Ok(Ok(tcp)) => return Ok(tcp),
                Ok(Err(error)) => last = error,
                Err(_) if until == deadline => return Err(late(Step::Connection)),
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(EgressError::Connect {
            place: target.place(),
            source: last,
        })
    }

    async fn secure(
        &self,
        tcp: TcpStream,
        target: &Target,
        deadline: Instant,
        late: &(dyn Fn(Step) -> EgressError + Sync),
    ) -> Result<Stream, EgressError> {
        // What is sent is sent at once; an error here costs time, not truth.
        let _slower = tcp.set_nodelay(true);
        if !target.is_tls() {
            return Ok(Stream::Plain(tcp));
        }
        self.shake(tcp, target, true, deadline, late).await
    }

    /// TLS on a connection; `http` offers HTTP to the other side.
    pub(super) async fn shake(
        &self,
        tcp: TcpStream,
        target: &Target,
        http: bool,
        deadline: Instant,
        late: &(dyn Fn(Step) -> EgressError + Sync),
    ) -> Result<Stream, EgressError> {
        let made = timeout_at(
            deadline,
            self.tls.get_or_try_init(|| make_tls(self.extra.clone())),
        );
        let tls = made.await.map_err(|_| late(Step::Connection))??;
        let mut tls = tls.clone();
        if !http {
            let mut config = ClientConfig::clone(tls.config());
            config.alpn_protocols.clear();
            tls = TlsConnector::from(Arc::new(config));
        }
        let shaken = timeout_at(deadline, tls.connect(target.server_name()?, tcp)).await;
        match shaken.map_err(|_| late(Step::Connection))? {
            Ok(tls) => Ok(Stream::Tls(Box::new(tls))),
            Err(source) => Err(EgressError::Tls {
                place: target.place(),
                source,
            }),
        }
    }
}

/// A connection.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(context, buffer),
            Self::Tls(tls) => Pin::new(tls).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(context, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(context),
            Self::Tls(tls) => Pin::new(tls).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(context),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(context),
        }
    }
}
