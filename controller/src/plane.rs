//! The control plane without its doors for people: what `serve` puts HTTPS in front of, and a simulation runs as it is.
//!
//! ```text
//! store → epoch (fsync) → CA → App → fleet (QUIC)
//! TaskSet: "fleet" exit · "event-log" exit · "server-certificate" log · owned changes log
//! ```

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use windflow_kit::{Clock, OnFailure, Random, TaskSet};
use windflow_model::{FleetEventKind, OrgId};
use windflow_store::SharedStore;
use windflow_transport::{Network, identity, tls::LiveCertificate};

use crate::{
    app::{App, AppOptions},
    ca::{Ca, ServerCertificate},
    egress::EgressOptions,
    event_log::{EventLog, EventRetention},
    fleet::{AdmissionOptions, FleetError, FleetOptions, Home},
    port::{self, Kind},
    recordings::{RecordingOptions, Recordings},
    vault::Vault,
};

/// What a control plane is made of.
#[derive(Debug)]
pub struct PlaneOptions {
    /// Where everything is kept.
    pub store: SharedStore,
    /// Where the authority and the id of the installation are kept.
    pub data_dir: PathBuf,
    /// Wall clock.
    pub clock: Clock,
    /// Randomness, for ids and secrets.
    pub random: Random,
    /// Who owns its tasks.
    pub tasks: TaskSet,
    /// Where the packets of the link go.
    pub network: Network,
    /// UDP address for agents.
    pub quic: SocketAddr,
    /// Names that its certificate is for, besides `localhost`.
    pub names: Vec<String>,
    /// Life of the certificates of agents.
    pub agent_certificate_life: Duration,
    /// How many hosts may knock at once.
    pub admission: AdmissionOptions,
    /// What it may call.
    pub egress: EgressOptions,
    /// How long what happens is kept on disk; `None` keeps the newest of it in memory alone.
    pub events: Option<EventRetention>,
    /// Which terminals are recorded; `None` has no place for recordings.
    pub recordings: Option<RecordingOptions>,
}

/// A control plane that runs.
#[derive(Debug)]
pub struct Plane {
    /// What may be done.
    pub app: App,
    /// The authority.
    pub ca: Arc<Ca>,
    /// Its own certificate, renewed as it runs.
    pub certificate: Arc<LiveCertificate>,
    /// The UDP address it is bound to.
    pub quic: SocketAddr,
}

impl PlaneOptions {
    /// Starts it. The start is on disk before the first host is answered.
    ///
    /// # Errors
    /// The store, the authority or the port cannot be used.
    pub async fn start(self) -> anyhow::Result<Plane> {
        let Self {
            store,
            data_dir,
            clock,
            random,
            tasks,
            ..
        } = self;
        let epoch = crate::app::raise_epoch(&store)
            .await
            .context("the start could not be recorded")?;
        let ca_dir = data_dir.join("ca");
        let deployment = deployment_id(&data_dir, &ca_dir, &random)?;
        let ca = Ca::open_or_create(ca_dir, &deployment, clock.clone(), random.clone());
        let ca = ca.context("the certificate authority cannot be used")?;
        let ca = Arc::new(ca.with_leaf_life(self.agent_certificate_life));
        let certificate = ServerCertificate::make(Arc::clone(&ca), self.names)
            .context("the controller has no certificate")?;
        let live = certificate.live();
        let egress = self.egress.build();
        let egress = egress.context("egress_ca_file cannot be used")?;
        let vault = Vault::open_or_create(&data_dir, random.clone());
        let vault = vault.context("what is sealed cannot be opened")?;
        let app = AppOptions {
            store,
            clock: clock.clone(),
            random,
            tasks: tasks.clone(),
            egress,
            vault,
            epoch,
        }
        .build();
        if let Some(retention) = self.events {
            // One log for each organisation; so far there is the first.
            let dir = data_dir.join("events").join(OrgId::DEFAULT.to_string());
            let (log, known) =
                EventLog::open(dir, retention).context("the folder of events cannot be used")?;
            app.keep_events(log.clone(), known);
            tasks.spawn("event-log", OnFailure::Exit, log.run(tasks.stop().clone()));
        }
        if let Some(options) = self.recordings {
            let dir = data_dir.join("recordings").join(OrgId::DEFAULT.to_string());
            let secrets = (app.vault().clone(), app.random().clone());
            let recordings = Recordings::open(dir, OrgId::DEFAULT, secrets, options)
                .context("the folder of recordings cannot be used")?;
            app.keep_recordings(recordings);
        }
        app.publish(FleetEventKind::ControllerStarted {
            version: windflow_kit::build::VERSION.to_owned(),
        });
        app.know_certificates(Arc::clone(&live), self.agent_certificate_life);
        let fleet = FleetOptions {
            listen: self.quic,
            network: self.network,
            controller_epoch: epoch,
            certificate: Arc::clone(&live),
            build: windflow_kit::build::describe(),
            clock,
            admission: self.admission,
        };
        let home: Arc<dyn Home> = Arc::new(app.clone());
        let (fleet, handle) = fleet.build(Arc::clone(&ca), home).map_err(|error| match error {
            FleetError::Listen { address, source } => port::explain(Kind::Udp, address, source).into(),
            error => anyhow::Error::new(error).context("the agent listener cannot start"),
        })?;
        let quic = fleet.local_addr();
        app.attach(Arc::new(handle));
        let stop = tasks.stop();
        tasks.spawn("fleet", OnFailure::Exit, fleet.run(stop.clone()));
        tasks.spawn(
            "server-certificate",
            OnFailure::Log,
            certificate.keep(stop.clone()),
        );
        Ok(Plane {
            app,
            ca,
            certificate: live,
            quic,
        })
    }
}

/// Id of this installation: made once, part of the names in its certificates. If its file is gone, the authority still
/// says it: hosts accept no other.
fn deployment_id(dir: &Path, ca: &Path, random: &Random) -> anyhow::Result<String> {
    let path = dir.join("deployment-id");
    if let Ok(text) = fs_err::read_to_string(&path)
        && !text.trim().is_empty()
    {
        return Ok(text.trim().to_owned());
    }
    let id = match crate::ca::deployment_in(ca) {
        Some(id) => id,
        None => hex::encode(random.bytes::<8>()?),
    };
    identity::write_private(&path, id.as_bytes())?;
    Ok(id)
}
