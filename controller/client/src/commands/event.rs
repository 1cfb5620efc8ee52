//! `events`: what happened in the fleet, and what happens.

use std::{collections::BTreeMap, io::Write as _, time::Duration};

use windflow_api::EventParams;
use windflow_kit::{BackoffOptions, Random};
use windflow_model::{AgentId, EventId, FleetEvent, FleetEventKind, HostEventKind, printable};

use super::{Session, agent_names, meant::meant};
use crate::{
    cli::EventsArgs,
    error::{Error, Exit, Result},
    http::Client,
    output::{Format, note},
};

/// Without a time and a number: as many as a screen takes.
const NEWEST: u32 = 50;
/// Of one request.
const PAGE: u32 = 500;

/// `windflow events`.
pub(super) async fn run(session: &Session<'_>, args: EventsArgs) -> Result<()> {
    let client = session.client()?;
    let hosts = meant(
        &client,
        args.on.as_deref(),
        args.selector.as_ref(),
        args.group.as_deref(),
    );
    let hosts = hosts.await?;
    let params = EventParams {
        agent: hosts.agent,
        selector: hosts.selector,
        group: hosts.group,
        stack: args.stack.clone(),
        kind: (!args.kind.is_empty()).then(|| args.kind.join(",")),
        since: args.since.map(|when| when.before(session.out.now)),
        until: args.until.map(|when| when.before(session.out.now)),
        ..EventParams::default()
    };
    let mut printer = Printer {
        names: agent_names(&client).await?,
        json: session.out.format == Format::Json,
        last: None,
    };
    if !args.follow {
        let most = args.limit.or_else(|| params.since.is_none().then_some(NEWEST));
        return printer.past(&client, params, most).await;
    }
    if let Some(limit) = args.limit {
        let newest = EventParams {
            since: params.since,
            ..params.clone()
        };
        printer.past(&client, newest, Some(limit)).await?;
    }
    printer.follow(&client, params).await
}

struct Printer {
    names: BTreeMap<AgentId, String>,
    json: bool,
    last: Option<EventId>,
}

impl Printer {
    /// The newest so many, or all, in the order of time.
    async fn past(&mut self, client: &Client, mut params: EventParams, most: Option<u32>) -> Result<()> {
        let mut found: Vec<FleetEvent> = Vec::new();
        loop {
            let had = u32::try_from(found.len()).unwrap_or(u32::MAX);
            let left = most.map_or(PAGE, |most| (most - had).min(PAGE));
            params.limit = Some(left.max(1));
            let page = client.event_list(&params).await?;
            found.extend(page.items);
            let enough = most.is_some_and(|most| found.len() >= usize::try_from(most).unwrap_or(usize::MAX));
            match page.next_cursor {
                Some(next) if !enough => {
                    let cursor = next.parse().map_err(|error| Error::failed(format!("{error}")))?;
                    params.cursor = Some(cursor);
                }
                _ => break,
            }
        }
        for event in found.iter().rev() {
            if !self.print(event) {
                break;
            }
        }
        Ok(())
    }

    /// As it happens, for ever.
    async fn follow(&mut self, client: &Client, mut params: EventParams) -> Result<()> {
        let pauses = BackoffOptions::between(Duration::from_millis(250), Duration::from_secs(5));
        let mut pauses = pauses.build(Random::system());
        let mut was_open = false;
        loop {
            params.after = self.last.or(params.after);
            match client.event_live(&params).await {
                Ok(mut feed) => {
                    was_open = true;
                    pauses.reset();
                    while let Some(event) = feed.next().await {
                        if !self.print(&event) {
                            return Ok(());
                        }
                    }
                    note("the connection ended; going on from there");
                }
                Err(error) if was_open && error.exit == Exit::Unreachable => {}
                Err(error) => return Err(error),
            }
            tokio::time::sleep(pauses.next_delay()).await;
        }
    }

    /// `false` if the reader of our pipe has had enough.
    fn print(&mut self, event: &FleetEvent) -> bool {
        self.last = self.last.max(Some(event.id));
        if let FleetEventKind::AgentEnrolled { agent, name } = &event.kind {
            self.names.insert(*agent, name.clone());
        }
        let text = match self.json {
            true => serde_json::to_string(event).unwrap_or_default(),
            false => self.line(event),
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{text}").and_then(|()| out.flush()).is_ok()
    }

    fn line(&self, event: &FleetEvent) -> String {
        let at = match &event.kind {
            // When it happened there; it may have come here later.
            FleetEventKind::Host { event: there, .. } => there.at,
            _ => event.at,
        };
        let host = match event.kind.agent() {
            Some(agent) => self
                .names
                .get(&agent)
                .cloned()
                .unwrap_or_else(|| agent.to_string()),
            None => "-".to_owned(),
        };
        let text = format!("{at}  {host}  {}  {}", event.kind.name(), what(&event.kind));
        printable(text.trim_end(), false).into_owned()
    }
}

/// What it is about.
fn what(kind: &FleetEventKind) -> String {
    match kind {
        FleetEventKind::AgentEnrolled { name, .. } => name.clone(),
        FleetEventKind::AgentDisconnected { reason, .. } => reason.clone(),
        FleetEventKind::StackChanged { stack } | FleetEventKind::StackDeleted { stack } => stack.to_string(),
        FleetEventKind::DeploymentChanged {
            deployment,
            rev,
            state,
            ..
        } => {
            format!("{deployment} revision {rev}: {state}")
        }
        FleetEventKind::RolloutChanged { rollout, state, .. } => format!("{rollout}: {state}"),
        FleetEventKind::GroupChanged { group } | FleetEventKind::GroupDeleted { group } => group.to_string(),
        FleetEventKind::ControllerStarted { version } => version.clone(),
        FleetEventKind::AlertChanged {
            rule,
            severity,
            state,
            summary,
            ..
        } => format!("{rule} ({severity}) {state}: {summary}"),
        FleetEventKind::Gap { lost: 0 } => "events are missing here".to_owned(),
        FleetEventKind::Gap { lost } => format!("{lost} events are missing here"),
        FleetEventKind::Host { event, .. } => of_host(&event.kind),
        FleetEventKind::AgentConnected { .. }
        | FleetEventKind::AgentChanged { .. }
        | FleetEventKind::AgentRemoved { .. }
        | FleetEventKind::AlertingChanged
        | FleetEventKind::ContainersChanged { .. } => String::new(),
    }
}

fn of_host(kind: &HostEventKind) -> String {
    match kind {
        HostEventKind::Container {
            container, exit_code, ..
        } => match exit_code {
            Some(code) => format!("{} ({}), exit code {code}", container.name, container.image),
            None => format!("{} ({})", container.name, container.image),
        },
        HostEventKind::Image { image, .. } => image.clone(),
        HostEventKind::Volume { volume, .. } => volume.clone(),
        HostEventKind::Network { network, .. } => network.clone(),
        HostEventKind::Engine { reason, .. } => reason.clone(),
        HostEventKind::Agent { version } => version.clone(),
        HostEventKind::Missed { lost: Some(lost) } => format!("{lost} events are missing here"),
        HostEventKind::Missed { lost: None } => "events are missing here".to_owned(),
    }
}
