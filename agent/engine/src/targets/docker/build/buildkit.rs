//! Building an image with the engine's BuildKit.
//!
//! ```text
//! build ──► /session: Link as server ◄── the builder asks for files, secrets, credentials, the SSH agent
//!       ──► /grpc:    Link as client ──► Solve (the order, its result), Status (steps and output)
//! ```
//! Both are connections of the engine's API that turn into HTTP/2 with gRPC. The ready-made libraries for them would
//! cost the agent about a tenth of its size; of both protocols no more than this is needed. Dropping the build closes
//! both connections, and the builder gives the build up.

mod call;
mod files;
mod grpc;
mod h2;
mod hpack;
mod link;
mod proto;
mod request;
mod session;
mod ssh;
mod trace;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use hyper::Request;
use sha2::{Digest as _, Sha256};
use windflow_compose::model::Project;

use self::{
    call::Call,
    files::Source,
    grpc::Status,
    link::Link,
    proto::Writer,
    request::{Order, Refused},
    session::{Offer, Secret},
    trace::Trace,
};
use super::{Job, LAST_LINES, SILENCE, context::Context, remote, ticked};
use crate::{
    plan::image_of,
    targets::{
        TargetError, TargetErrorKind as Kind, Ticker,
        docker::{DockerTarget, error::broken_off, wire},
    },
};

const SOLVE: &str = "/moby.buildkit.v1.Control/Solve";
const STATUS: &str = "/moby.buildkit.v1.Control/Status";
/// How long the end of the output may take once the result is there.
const LATE: Duration = Duration::from_secs(5);

/// Builds; gives the failure with the last lines of output.
pub(super) async fn build(
    target: &DockerTarget,
    job: Job<'_>,
    ticker: &Ticker,
) -> Result<(), (TargetError, Vec<String>)> {
    let plain = |error: TargetError| (error, Vec::new());
    let refused = |(key, text): Refused| {
        let text = format!("services.{}.build.{key}: {text}", job.service);
        (TargetError::new(Kind::Unsupported, text), Vec::new())
    };
    let what = job.what.clone();
    let mut order = Order::new(&job.build, &job.args, &job.labels, job.platform.clone()).map_err(refused)?;
    let directories = contexts(&job, &mut order).await.map_err(plain)?;
    let offer = Offer {
        directories,
        secrets: secrets(job.project, &job).map_err(refused)?,
        agents: agents(target, &job).map_err(refused)?,
        config: job.config,
    };
    let random = || {
        let random = windflow_kit::Random::system().bytes::<16>();
        let caused = |error| TargetError::caused(Kind::Host, format!("cannot {what}"), error);
        random.map(hex::encode).map_err(|error| plain(caused(error)))
    };
    let (reference, session) = (random()?, random()?);
    let mut request = Request::post("/session")
        .header("X-Docker-Expose-Session-Uuid", &session)
        .header("X-Docker-Expose-Session-Name", "windflow")
        // The builder compares what it has of this directory with what is told.
        .header(
            "X-Docker-Expose-Session-Sharedkey",
            shared_key(job.build.context.as_deref()),
        );
    for method in offer.methods() {
        request = request.header("X-Docker-Expose-Session-Grpc-Method", method);
    }
    let (wire, _session) = wire::upgrade(target, request, "h2c", String::new(), &what)
        .await
        .map_err(plain)?;
    let _session = (Link::server(wire, offer.service()), _session);
    let (wire, _control) = wire::upgrade(target, Request::post("/grpc"), "h2c", String::new(), &what)
        .await
        .map_err(plain)?;
    let control = Link::client(wire);
    let mut trace = Trace::new(LAST_LINES);
    let message = order.message(&reference, &session, &job.images);
    match solve(&control, &message, &reference, &mut trace, ticker).await {
        Ok(()) => Ok(()),
        Err(status) => {
            let mut error = status.text;
            if error.contains("unsupported frontend capability") {
                error.push_str(
                    "; the Dockerfile reader of this engine is too old for it: update the engine, or name a newer \
                     reader in the first line of the Dockerfile (# syntax=docker/dockerfile:1)",
                );
            }
            Err((broken_off(&what, &error), trace.tail()))
        }
    }
}

async fn solve(
    control: &Link,
    order: &[u8],
    reference: &str,
    trace: &mut Trace,
    ticker: &Ticker,
) -> Result<(), Status> {
    let question = async |path: &str, message: &[u8]| -> Result<Call, Status> {
        let call = control.call(path).await?;
        // An engine that has heard enough does not listen to the end; its answer says why.
        if call.sender.send(message).await.is_ok() {
            let _ = call.sender.close().await;
        }
        Ok(call)
    };
    let mut result = question(SOLVE, order).await?;
    let status = Writer::default().bytes(1, reference).done();
    let mut status = question(STATUS, &status).await?;
    let mut take = |message: &[u8]| {
        for line in trace.take(message) {
            let (done, known) = trace.counts();
            ticked(ticker, done, known, line);
        }
    };
    let mut listening = true;
    let solved = loop {
        tokio::select! {
            news = status.receiver.message(), if listening => match news {
                Ok(Some(message)) => take(&message),
                // The result tells what went wrong.
                Ok(None) | Err(_) => listening = false,
            },
            solved = result.receiver.message() => break solved,
            () = tokio::time::sleep(SILENCE) => {
                let text = format!("it stands still, nothing has come for {} s", SILENCE.as_secs());
                return Err(Status::unknown(text));
            }
        }
    };
    let rest = async {
        while let Ok(Some(message)) = status.receiver.message().await {
            take(&message);
        }
    };
    // Without the rest a failure has fewer lines, no more.
    let _ = tokio::time::timeout(LATE, rest).await;
    match solved? {
        // Behind it there may be an error all the same.
        Some(_) => result.receiver.message().await.map(drop),
        None => Err(Status::unknown("the engine gives no result")),
    }
}

/// The contexts: what the builder is told of them, and what it may read of this host.
async fn contexts(job: &Job<'_>, order: &mut Order) -> Result<BTreeMap<String, Source>, TargetError> {
    let build = &job.build;
    let mut out = BTreeMap::new();
    if let Some(address) = remote(build) {
        order.set("context", address);
        if let Some(text) = &build.dockerfile_inline {
            order.set("dockerfilekey", "dockerfile");
            out.insert(
                "dockerfile".into(),
                Source::File("Dockerfile".into(), text.clone().into_bytes()),
            );
        } else if let Some(name) = &build.dockerfile {
            order.set("filename", name);
        }
    } else {
        let own = build.clone();
        let (context, dockerfile) = open(job, move || {
            let context = Context::open(&own)?;
            let dockerfile = context.dockerfile()?;
            Ok((context, dockerfile))
        })
        .await?;
        out.insert("context".into(), Source::Directory(Arc::new(context)));
        out.insert("dockerfile".into(), Source::File("Dockerfile".into(), dockerfile));
    }
    for (at, (name, place)) in build.additional_contexts.iter().enumerate() {
        if let Some(service) = place.strip_prefix("service:") {
            order.context(name, format!("docker-image://{}", image_of(job.project, service)));
        } else if place.contains("://") || place.starts_with("git@") || place.starts_with("github.com/") {
            order.context(name, place.clone());
        } else {
            let directory = PathBuf::from(place);
            let key = format!("named-{at}");
            let context = open(job, move || Context::beside(directory)).await?;
            order.context(name, format!("local:{key}"));
            out.insert(key, Source::Directory(Arc::new(context)));
        }
    }
    Ok(out)
}

/// Looks at files, away from the workers.
async fn open<T: Send + 'static>(
    job: &Job<'_>,
    look: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, TargetError> {
    let fail = |error: windflow_kit::BoxError| {
        TargetError::caused(Kind::BuildFailed, format!("cannot {}", job.what), error)
    };
    let opened = tokio::task::spawn_blocking(look).await;
    opened
        .map_err(|error| fail(Box::new(error)))?
        .map_err(|error| fail(Box::new(error)))
}

fn secrets(project: &Project, job: &Job<'_>) -> Result<BTreeMap<String, Secret>, Refused> {
    let mut out = BTreeMap::new();
    for wanted in &job.build.secrets {
        let refused = |text: &str| ("secrets", format!("secret {}: {text}", wanted.source));
        let found = project.secrets.get(&wanted.source);
        let found = found.ok_or_else(|| refused("it is not among the project's secrets"))?;
        let secret = match (&found.file, found.content.reveal()) {
            (Some(file), _) => Secret::File(file.into()),
            (None, Some(text)) => Secret::Text(text.to_owned()),
            (None, None) if found.environment.is_some() => {
                return Err(refused("its environment variable is not set"));
            }
            (None, None) => return Err(refused("a build takes secrets of files and variables only")),
        };
        let id = wanted.target.clone().filter(|target| !target.is_empty());
        out.insert(id.unwrap_or_else(|| wanted.source.clone()), secret);
    }
    Ok(out)
}

/// `id` or `id=socket`.
fn agents(target: &DockerTarget, job: &Job<'_>) -> Result<BTreeMap<String, PathBuf>, Refused> {
    use std::os::unix::fs::FileTypeExt as _;

    let mut out = BTreeMap::new();
    for wanted in &job.build.ssh {
        let refused = |text: String| ("ssh", format!("{wanted}: {text}"));
        let (id, path) = wanted.split_once('=').unwrap_or((wanted, ""));
        let path = match path {
            "" => target.ssh_agent.clone().ok_or_else(|| {
                refused(
                    "no SSH agent is known here; start one and set SSH_AUTH_SOCK, or name its socket"
                        .to_owned(),
                )
            })?,
            path => PathBuf::from(path),
        };
        let meta = fs_err::metadata(&path).map_err(|error| refused(error.to_string()))?;
        if !meta.file_type().is_socket() {
            return Err(refused(
                "it is no socket; keys are taken from an SSH agent only: add the key to one with ssh-add"
                    .to_owned(),
            ));
        }
        out.insert(id.to_owned(), path);
    }
    Ok(out)
}

fn shared_key(context: Option<&str>) -> String {
    hex::encode(Sha256::digest(context.unwrap_or_default()))
}
