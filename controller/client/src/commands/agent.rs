//! Hosts and enrolment tokens.

use comfy_table::Cell;
use windflow_api::{Agent, AgentPatch, EnrolmentTokenCreate};
use windflow_model::{ContainerState, ContainerSummary, EngineKind, Health, PortBinding};

use super::{Session, confirm};
use crate::{
    cli::{AgentCommand, TokenCommand},
    error::{Error, Result},
    http::Client,
    output::{Output, Tone, bytes, note, print},
};

/// Changes by others that one of ours may come upon.
const TRIES: u32 = 4;

/// `windflow agent …`.
pub(super) async fn run(session: &Session<'_>, command: AgentCommand) -> Result<()> {
    let client = session.client()?;
    match command {
        AgentCommand::List => {
            let agents = client.agent_list().await?;
            session.out.none(
                agents.is_empty(),
                "no hosts yet; `windflow agent token create` shows how to add one",
            );
            session.out.show(&agents, |out| agents_table(out, &agents))
        }
        AgentCommand::Show { agent } => {
            let agent = client.agent_find(&agent).await?;
            let containers = client.agent_containers(agent.record.id).await?;
            let all = serde_json::json!({ "agent": agent, "containers": containers });
            session.out.show(&all, |out| {
                let mut text = agent_text(out, &agent);
                if !containers.containers.is_empty() {
                    text.push_str("\n\n");
                    text.push_str(&containers_table(out, &containers.containers));
                }
                text
            })
        }
        AgentCommand::Remove { agents, yes } => {
            // All are looked up first, so that a misspelt one stops the rest.
            let mut found = Vec::new();
            for agent in &agents {
                found.push(client.agent_find(agent).await?);
            }
            let names: Vec<_> = found.iter().map(|agent| agent.record.name.as_str()).collect();
            confirm(
                &format!("Remove {}? Its stacks keep running.", names.join(", ")),
                yes,
            )?;
            for agent in &found {
                client.agent_delete(agent.record.id).await?;
                note(&format!("removed {}", agent.record.name));
            }
            Ok(())
        }
        AgentCommand::Rename { agent, name } => {
            let agent = client.agent_find(&agent).await?;
            let old = agent.record.name.clone();
            let patch = AgentPatch {
                name: Some(name),
                labels: None,
            };
            let new = change(&client, agent, |_| patch.clone()).await?;
            note(&format!("renamed {old} to {}", new.record.name));
            Ok(())
        }
        AgentCommand::Label { agent, labels } => {
            let changes = labels.iter().map(|label| label_change(label));
            let changes = changes.collect::<Result<Vec<_>>>()?;
            let agent = client.agent_find(&agent).await?;
            let new = change(&client, agent, |agent| {
                let mut labels = agent.record.labels.clone();
                for (key, value) in &changes {
                    match value {
                        Some(value) => labels.insert((*key).to_owned(), (*value).to_owned()),
                        None => labels.remove(*key),
                    };
                }
                AgentPatch {
                    name: None,
                    labels: Some(labels),
                }
            });
            let new = new.await?;
            session.out.show(&new, |_| labels_text(&new))
        }
        AgentCommand::Token(command) => token(session, command).await,
    }
}

/// Key and value of a label that is set, or the key alone of one that is taken away.
fn label_change(label: &str) -> Result<(&str, Option<&str>)> {
    match (label.split_once('='), label.strip_suffix('-')) {
        (Some((key, value)), _) if !key.is_empty() => Ok((key, Some(value))),
        (None, Some(key)) if !key.is_empty() => Ok((key, None)),
        _ => {
            Err(Error::usage(format!("`{label}` is no label"))
                .hint("KEY=VALUE sets a label, KEY- removes it."))
        }
    }
}

/// Changes a host as it is now: it also changes by itself, as when it connects, and what is asked for here still holds then.
async fn change(client: &Client, mut agent: Agent, patch: impl Fn(&Agent) -> AgentPatch) -> Result<Agent> {
    let id = agent.record.id;
    for _ in 0..TRIES {
        match client.agent_update(id, agent.version, &patch(&agent)).await {
            Err(error) if error.status == Some(412) => agent = client.agent_show(id).await?,
            done => return done,
        }
    }
    client.agent_update(id, agent.version, &patch(&agent)).await
}

async fn token(session: &Session<'_>, command: TokenCommand) -> Result<()> {
    let client = session.client()?;
    match command {
        TokenCommand::Create {
            note: word,
            ttl,
            quiet,
        } => {
            let ttl_s = ttl.map(|ttl| u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX));
            let created = client
                .enrolment_token_create(&EnrolmentTokenCreate { note: word, ttl_s })
                .await?;
            if quiet {
                return print(&created.secret);
            }
            session.out.show(&created, |out| {
                let left = crate::output::age(created.token.expires_at.since(out.now));
                format!(
                    "On the host, run:\n\n  {}\n\nIt asks for this token (one host, valid {left}):\n\n  {}",
                    created.installer, created.secret
                )
            })
        }
        TokenCommand::List => {
            let tokens = client.enrolment_token_list().await?;
            session.out.none(
                tokens.is_empty(),
                "no enrolment tokens; `windflow agent token create` makes one",
            );
            session.out.show(&tokens, |out| {
                let rows = tokens.iter().map(|token| {
                    let state = if token.used_at.is_some() {
                        out.cell("used", Tone::Plain)
                    } else if token.expires_at <= out.now {
                        out.cell("expired", Tone::Plain)
                    } else {
                        let left = crate::output::age(token.expires_at.since(out.now));
                        out.cell(format!("open ({left} left)"), Tone::Good)
                    };
                    vec![
                        Cell::new(token.id),
                        state,
                        Cell::new(out.ago(token.created_at)),
                        Cell::new(dash(&token.note)),
                    ]
                });
                out.table(&["ID", "STATE", "CREATED", "NOTE"], rows.collect())
            })
        }
        TokenCommand::Revoke { token } => {
            let id = token.parse().map_err(|error| Error::usage(format!("{error}")))?;
            client.enrolment_token_delete(id).await?;
            note("revoked");
            Ok(())
        }
    }
}

fn agents_table(out: &Output, agents: &[Agent]) -> String {
    let rows = agents.iter().map(|agent| {
        let inventory = &agent.record.inventory;
        let engine = match (&inventory.engine, &inventory.engine_problem) {
            (Some(engine), _) => Cell::new(format!("{} {}", kind(engine.kind), engine.version)),
            (None, Some(_)) => out.cell("not reachable", Tone::Bad),
            (None, None) => Cell::new("-"),
        };
        vec![
            Cell::new(&agent.record.name),
            out.presence(&agent.presence),
            engine,
            Cell::new(dash(&inventory.agent_version)),
            Cell::new(dash(&labels_text(agent))),
        ]
    });
    out.table(&["NAME", "STATE", "ENGINE", "AGENT", "LABELS"], rows.collect())
}

fn agent_text(out: &Output, agent: &Agent) -> String {
    use windflow_model::Presence;

    let record = &agent.record;
    let inventory = &record.inventory;
    let state = match &agent.presence {
        Presence::Connected {
            since,
            proven_at,
            rtt_us,
            remote,
            ..
        } => format!(
            "connected from {remote} for {}, proved {} in {}.{} ms",
            crate::output::age(out.now.since(*since)),
            out.ago(*proven_at),
            rtt_us / 1_000,
            rtt_us % 1_000 / 100
        ),
        Presence::Offline { since, reason, .. } => match since {
            Some(since) => format!(
                "offline for {}: {reason}",
                crate::output::age(out.now.since(*since))
            ),
            None => "never connected".to_owned(),
        },
    };
    let engine = match (&inventory.engine, &inventory.engine_problem) {
        (Some(engine), _) => format!(
            "{} {} (API {})",
            kind(engine.kind),
            engine.version,
            engine.api_version
        ),
        (None, Some(problem)) => problem.clone(),
        (None, None) => String::new(),
    };
    let engine = match &agent.presence {
        Presence::Connected {
            engine: Some(proof), ..
        } => match &proof.problem {
            None => {
                let (ms, tenths) = (proof.took_us / 1_000, proof.took_us % 1_000 / 100);
                format!("{engine}, answered {} in {ms}.{tenths} ms", out.ago(proof.at))
            }
            Some(problem) => format!("{engine}, did not answer {}: {problem}", out.ago(proof.at)),
        },
        _ => engine,
    };
    let lines = [
        ("Name", record.name.clone()),
        ("Id", record.id.to_string()),
        ("State", state),
        ("Host", inventory.hostname.clone()),
        (
            "System",
            format!(
                "{}, kernel {}, {}",
                inventory.os, inventory.kernel, inventory.arch
            ),
        ),
        (
            "Size",
            format!("{} processors, {}", inventory.cpus, bytes(inventory.memory_bytes)),
        ),
        ("Engine", engine),
        ("Agent", inventory.agent_version.clone()),
        ("Labels", labels_text(agent)),
        ("Enrolled", out.ago(record.enrolled_at)),
    ];
    let lines: Vec<_> = lines
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name:<9} {value}"))
        .collect();
    lines.join("\n")
}

/// The engine's name as one writes it.
fn kind(kind: EngineKind) -> String {
    format!("{kind:?}").to_lowercase()
}

fn labels_text(agent: &Agent) -> String {
    let labels: Vec<_> = agent
        .record
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    labels.join(",")
}

/// Containers of a host or a stack.
pub(super) fn containers_table(out: &Output, containers: &[ContainerSummary]) -> String {
    let rows = containers.iter().map(|container| {
        let tone = match (container.state, container.health) {
            (ContainerState::Running, Health::Unhealthy) => Tone::Bad,
            (ContainerState::Running, Health::Starting) => Tone::Busy,
            (ContainerState::Running, _) => Tone::Good,
            (ContainerState::Exited | ContainerState::Dead | ContainerState::Restarting, _) => Tone::Bad,
            _ => Tone::Busy,
        };
        let status = if container.status.is_empty() {
            format!("{:?}", container.state).to_lowercase()
        } else {
            container.status.clone()
        };
        vec![
            Cell::new(&container.name),
            Cell::new(dash(container.service.as_deref().unwrap_or_default())),
            Cell::new(&container.image),
            out.cell(status, tone),
            Cell::new(dash(&ports_text(&container.ports))),
        ]
    });
    out.table(
        &["CONTAINER", "SERVICE", "IMAGE", "STATUS", "PORTS"],
        rows.collect(),
    )
}

fn ports_text(ports: &[PortBinding]) -> String {
    let one = |port: &PortBinding| {
        let to = format!("{}/{}", port.container_port, port.protocol);
        match (port.host_port, port.host_ip.as_str()) {
            (0, _) => to,
            (host, "" | "0.0.0.0" | "::") => format!("{host}->{to}"),
            (host, ip) => format!("{ip}:{host}->{to}"),
        }
    };
    let mut texts: Vec<_> = ports.iter().map(one).collect();
    // The engine lists a port once per address family.
    texts.dedup();
    texts.join(", ")
}

fn dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}
