//! Simulated hosts against the controller the user is signed in to.

use std::sync::Arc;

use comfy_table::{Cell, CellAlignment};
use futures_util::{StreamExt as _, stream};
use windflow_api::{
    DeployRequest, DeploymentQuery, EnrolmentTokenCreate, LogParams, RemoveRequest, StackCreate,
};
use windflow_bench::{Bench, BenchError, Door, LogFeed, LogLoad, Reply, Row, process::Pid};
use windflow_kit::{BoxError, Chain, Clock, Random, Secret, Stop, stop::Signals};
use windflow_model::{AgentId, StackId, StackName, StackSpec};

use super::Session;
use crate::{
    cli::{BenchCommand, FleetArgs},
    error::{Error, Exit, Result},
    http::Client,
    output::{Output, note},
};

/// Entries of a page that somebody looks at.
const PAGE: u32 = 100;

struct Api(Client);

/// The request's own error with its hint: it ends up below the bench's.
fn boxed(error: Error) -> BoxError {
    Box::new(error)
}

impl Door for Api {
    fn token(&self) -> Reply<'_, Secret<String>> {
        Box::pin(async move {
            let request = EnrolmentTokenCreate {
                note: "windflow bench".to_owned(),
                ttl_s: None,
            };
            let made = self.0.enrolment_token_create(&request).await.map_err(boxed)?;
            Ok(Secret::new(made.secret))
        })
    }

    fn agent_remove(&self, agent: AgentId) -> Reply<'_, ()> {
        Box::pin(async move { self.0.agent_delete(agent).await.map_err(boxed) })
    }

    fn stack_make(&self, name: StackName, spec: StackSpec) -> Reply<'_, StackId> {
        Box::pin(async move {
            let made = self.0.stack_create(&StackCreate { name, spec }).await;
            Ok(made.map_err(boxed)?.stack.id)
        })
    }

    fn deploy(&self, stack: StackId, agents: Vec<AgentId>) -> Reply<'_, ()> {
        Box::pin(async move {
            let request = DeployRequest {
                agents,
                rev: None,
                pins: Default::default(),
            };
            let made = self.0.deployment_create(stack, &request).await;
            made.map(drop).map_err(boxed)
        })
    }

    fn undeploy(&self, stack: StackId, agents: Vec<AgentId>) -> Reply<'_, ()> {
        Box::pin(async move {
            let request = RemoveRequest {
                agents: Some(agents),
                volumes: false,
            };
            let made = self.0.stack_remove(stack, &request).await;
            made.map(drop).map_err(boxed)
        })
    }

    fn stack_forget(&self, stack: StackId) -> Reply<'_, ()> {
        Box::pin(async move { self.0.stack_delete(stack).await.map_err(boxed) })
    }

    fn logs(&self, stack: StackId, agent: AgentId) -> Reply<'_, LogFeed> {
        Box::pin(async move {
            let params = LogParams {
                agent: Some(agent.to_string()),
                tail: Some(0),
                follow: true,
                ..LogParams::default()
            };
            let feed = self.0.stack_logs(stack, &params).await.map_err(boxed)?;
            let events = stream::try_unfold(feed, |mut feed| async move {
                let frame = feed.next().await.map_err(boxed)?;
                Ok(frame.map(|frame| (frame.event, feed)))
            });
            Ok(events.boxed())
        })
    }

    fn figure(&self, name: &'static str) -> Reply<'_, Option<f64>> {
        Box::pin(async move {
            let request = self.0.request(reqwest::Method::GET, "/metrics");
            let answer = self.0.send(request).await.map_err(boxed)?;
            let text = answer.text().await?;
            let mut lines = text.lines();
            Ok(lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok()))
        })
    }

    fn look(&self, number: u64) -> Reply<'_, ()> {
        Box::pin(async move {
            if number.is_multiple_of(2) {
                self.0.agent_page(PAGE).await.map(drop).map_err(boxed)
            } else {
                let query = DeploymentQuery {
                    limit: Some(PAGE),
                    ..DeploymentQuery::default()
                };
                self.0.deployment_page(&query).await.map(drop).map_err(boxed)
            }
        })
    }
}

/// `windflow bench …`.
pub(super) async fn run(session: &Session<'_>, command: BenchCommand, clock: &Clock) -> Result<()> {
    let BenchCommand::Fleet(args) = command;
    let client = session.client()?;
    let info = client.info().await?;
    let address = args.quic.clone().unwrap_or(info.quic_address);
    let unknown = |why: String| {
        Error::new(
            Exit::Unreachable,
            format!("cannot find the controller {address}: {why}"),
        )
        .hint("Give the controller's address for agents with --quic HOST:PORT.")
    };
    let mut found = tokio::net::lookup_host(&address)
        .await
        .map_err(|error| unknown(error.to_string()))?;
    let remote = found
        .next()
        .ok_or_else(|| unknown("it has no address".to_owned()))?;
    let mut signals = Signals::listen().map_err(|error| Error::failed(Chain(&error).to_string()))?;
    let bench = bench(args, session, client, remote, info.ca_pin, clock)?;
    let stop = Stop::new();
    let mut run = Box::pin(bench.run(stop.clone()));
    let rows = tokio::select! {
        rows = &mut run => rows,
        _ = signals.next() => {
            note("stopping: the hosts are removed; again to leave them");
            stop.trigger();
            tokio::select! {
                rows = &mut run => rows,
                _ = signals.next() => Err(BenchError::Stopped),
            }
        }
    };
    let rows = rows.map_err(|error| Error::failed(Chain(&error).to_string()))?;
    session.out.show(&rows, |out| table(out, &rows))
}

fn bench(
    args: FleetArgs,
    session: &Session<'_>,
    client: Client,
    remote: std::net::SocketAddr,
    pin: String,
    clock: &Clock,
) -> Result<Bench> {
    Ok(Bench {
        door: Arc::new(Api(client)),
        eye: Arc::new(Api(session.client()?)),
        remote,
        pin,
        hosts: usize::try_from(args.agents).unwrap_or(usize::MAX),
        profiles: args.profile.into_iter().map(Into::into).collect(),
        hold: args.hold,
        apply: args.apply,
        containers: args.containers.into(),
        sample_every: args.sample_every,
        samples_together: args.samples_together.into(),
        log: LogLoad {
            viewers: args.viewers.into(),
            rate: args.lines_per_s,
            length: usize::try_from(args.line_bytes).unwrap_or(usize::MAX),
        },
        keep: args.keep,
        pid: args.controller_pid.as_deref().map(Pid::parse),
        restart: args.await_restart,
        clock: clock.clone(),
        random: Random::system(),
        say: Arc::new(note),
    })
}

fn table(out: &Output, rows: &[Row]) -> String {
    let cells = rows.iter().map(|row| {
        let digits = if row.value.fract() == 0.0 || row.value.abs() >= 100.0 {
            0
        } else {
            2
        };
        let value = format!("{:.digits$}", row.value);
        vec![
            Cell::new(row.bench),
            Cell::new(&row.name),
            Cell::new(value).set_alignment(CellAlignment::Right),
            Cell::new(row.unit),
            Cell::new(&row.note),
        ]
    });
    out.table(&["PART", "FIGURE", "VALUE", "UNIT", "NOTE"], cells.collect())
}
