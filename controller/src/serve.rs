//! From settings to a running controller.
//!
//! ```text
//! lock data dir → store → control plane (`plane`) → HTTPS
//! TaskSet: the control plane's · "https" exit · jobs log · "watchdog" log
//! stop: signal → HTTPS drains 10 s, fleet says goodbye → owned changes end → store closes
//! ```

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use axum_server::{accept::NoDelayAcceptor, tls_rustls::RustlsConfig};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::ServerConfig;
use windflow_kit::{Clock, DirLock, OnFailure, Random, Stop, TaskSet, stop::Signals};
use windflow_store::{RedbOptions, RedbStore, SharedStore};
use windflow_transport::{
    Network, identity,
    tls::{self, LiveCertificate},
};

use crate::{
    app::alerting,
    config::Config,
    http::{self, Facts, Web},
    jobs::Jobs,
    plane::PlaneOptions,
    port,
};

/// Requests under way get this long when the controller stops.
const DRAIN: Duration = Duration::from_secs(10);
/// Memory for cached pages of the store.
const CACHE: usize = 32 << 20;

/// Runs until a signal, or until a part fails that nothing goes on without.
///
/// # Errors
/// The data directory, the ports, or the certificates cannot be used; or such a part failed.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let (clock, random, stop) = (Clock::system(), Random::system(), Stop::new());
    let tasks = TaskSet::new(stop.clone(), random.clone());

    let lock = Arc::new(DirLock::acquire(&config.data_dir)?);
    let https = port::listen(config.http)?;
    let options = RedbOptions {
        cache_bytes: CACHE,
        clock: clock.clone(),
        ..RedbOptions::default()
    };
    let store = RedbStore::open_locked(Arc::clone(&lock), options).context("the store cannot be opened")?;
    let store: SharedStore = Arc::new(store);
    let hostname = hostname();
    let plane = PlaneOptions {
        store: store.clone(),
        data_dir: config.data_dir.clone(),
        clock,
        random: random.clone(),
        tasks: tasks.clone(),
        network: Network::default(),
        quic: config.quic,
        names: names(&config, &hostname),
        agent_certificate_life: config.agent_certificate_life,
        admission: config.admission,
        egress: config.egress.clone(),
        events: Some(config.events),
        recordings: Some(config.recordings),
    };
    let plane = plane.start().await?;
    let (app, live, quic_address) = (plane.app, plane.certificate, plane.quic);

    let chain = live.chain();
    let leaf = chain.first().context("the controller has no certificate")?;
    let tls_pin = STANDARD.encode(identity::key_hash(leaf)?);
    let address = https.local_addr()?;
    let facts = Facts {
        ca_pin: plane.ca.pin(),
        tls_pin,
        url: format!("https://{}:{}", config.host(address, &hostname), address.port()),
        quic: config
            .quic_address
            .clone()
            .unwrap_or_else(|| format!("{}:{}", config.host(quic_address, &hostname), quic_address.port())),
        agent_binaries: agent_binaries(&config),
        digests: Arc::default(),
    };
    let console = format!(
        "WindFlow controller {}\nURL:    {}\nAgents: {} (UDP)\nCA pin: {}",
        windflow_kit::build::describe(),
        facts.url,
        facts.quic,
        facts.ca_pin
    );
    let url = facts.url.clone();
    let jobs = Jobs::default();
    let router = http::router(Web::new(app.clone(), facts, jobs.clone()));
    let tls = RustlsConfig::from_config(Arc::new(https_config(live)?));
    let web = axum_server::Handle::new();
    // A keystroke's echo must not wait for the acknowledgement of the one before.
    let prompt =
        |acceptor: axum_server::tls_rustls::RustlsAcceptor| acceptor.acceptor(NoDelayAcceptor::new());
    let listener = axum_server::from_tcp_rustls(https, tls)?
        .map(prompt)
        .handle(web.clone());
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tasks.spawn(
        "https",
        OnFailure::Exit,
        async move { listener.serve(service).await },
    );
    say(&console)?;
    let history = app
        .telemetry()
        .clone()
        .run(config.data_dir.join("metrics"), config.metrics, stop.clone());
    tasks.spawn("telemetry", OnFailure::Log, history);
    if let Some(options) = config.remote_write {
        let started = options.start(&app, &tasks, config.data_dir.join("metrics"), random);
        started.context("remote_write_url cannot be used")?;
    }
    app.know_url(url);
    alerting::start(&app, &tasks);
    jobs.start(&app, &tasks, config.data_dir.join("setup-code"));
    crate::tasks::notify_ready(&tasks);
    tracing::info!(epoch = app.epoch(), http = %address, quic = %quic_address, "controller is ready");

    tokio::select! {
        signal = signals.next() => tracing::info!(?signal, "stopping"),
        () = stop.stopped() => {}
    }
    crate::tasks::notify_stopping();
    web.graceful_shutdown(Some(DRAIN));
    let drained = tokio::select! {
        drained = tasks.drain(DRAIN + Duration::from_secs(5)) => drained,
        _ = signals.next() => anyhow::bail!("told twice to stop: requests under way were cut"),
    };
    if !drained.unfinished.is_empty() {
        tracing::warn!(tasks = ?drained.unfinished, "tasks did not end in time");
    }
    store.close().await;
    match drained.failure {
        Some(failure) => Err(failure.into()),
        None => Ok(()),
    }
}

/// Says where to look, to the person at the console.
fn say(text: &str) -> io::Result<()> {
    use io::Write as _;
    let mut console = io::stdout();
    writeln!(console, "{text}")?;
    console.flush()
}

fn hostname() -> String {
    let text = fs_err::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = text.trim().to_lowercase();
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    if name.is_empty() || !name.chars().all(fits) {
        "localhost".to_owned()
    } else {
        name
    }
}

/// What the certificate is valid for, besides `localhost`.
fn names(config: &Config, hostname: &str) -> Vec<String> {
    let mut names = config.names.clone();
    names.push(hostname.to_owned());
    for address in [config.http, config.quic] {
        if !address.ip().is_unspecified() {
            names.push(address.ip().to_string());
        }
    }
    let advertised = config
        .quic_address
        .as_deref()
        .and_then(|text| text.rsplit_once(':'));
    names.extend(advertised.map(|(host, _)| host.trim_matches(['[', ']']).to_owned()));
    names.sort_unstable();
    names.dedup();
    names
}

fn agent_binaries(config: &Config) -> PathBuf {
    let beside = || std::env::current_exe().ok()?.parent().map(Path::to_path_buf);
    config.agent_binaries.clone().or_else(beside).unwrap_or_default()
}

fn https_config(certificate: Arc<LiveCertificate>) -> anyhow::Result<ServerConfig> {
    let mut config = ServerConfig::builder_with_provider(tls::web_provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The environment, as far as it is text.
#[must_use]
pub fn variables() -> BTreeMap<String, String> {
    let text = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    text.collect()
}
