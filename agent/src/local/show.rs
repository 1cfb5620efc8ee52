//! What local mode prints. Data goes to stdout, the rest to stderr.

use std::{
    collections::BTreeSet,
    io::{self, Write as _},
};

use serde::Serialize;
use windflow_compose::config::{self, ConfigRequest};
use windflow_kit::{Chain, Clock};
use windflow_model::{ContainerSummary, Health, PortBinding, Timestamp};

use super::{
    Result,
    args::{ConfigArgs, ListFormat, PsArgs},
    project::{HostFiles, Request, warn},
};
use crate::failure::CommandError;

/// A line for the user, beside the data.
pub(super) fn note(text: &str) {
    // Nothing can be done about a stderr that is gone.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints data; a closed pipe is no error.
pub(super) fn data(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CommandError::failed(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// `config`.
pub(super) fn config(args: &ConfigArgs, request: Request) -> Result<()> {
    if args.resolve_image_digests || args.lock_image_digests {
        return Err(CommandError::usage(
            "`config` asks no registry: digests of images cannot be looked up here",
        ));
    }
    let mut load = request.load;
    load.consistency = !args.no_consistency;
    load.resolve_paths = !args.no_path_resolution;
    load.normalize = !args.no_normalize;
    load.services.clone_from(&args.names);
    let question = ConfigRequest {
        load,
        show: args.show(),
        format: args.format.map(Into::into),
        no_interpolate: args.no_interpolate,
    };
    let answer =
        config::config(question, &HostFiles).map_err(|problems| CommandError::problems(&problems))?;
    warn(&answer.warnings);
    match &args.output {
        _ if args.quiet => Ok(()),
        Some(file) => fs_err::write(file, &answer.text)
            .map_err(|error| CommandError::failed(format!("{}", Chain(&error)))),
        None => data(&answer.text),
    }
}

/// As `docker compose ps --format json` prints a container; the fields scripts read.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PsLine<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    name: &'a str,
    project: &'a str,
    service: &'a str,
    image: &'a str,
    state: String,
    status: &'a str,
    health: &'a str,
    exit_code: i64,
    publishers: Vec<Publisher<'a>>,
}

#[derive(Serialize)]
struct Publisher<'a> {
    #[serde(rename = "URL")]
    url: &'a str,
    #[serde(rename = "TargetPort")]
    target: u16,
    #[serde(rename = "PublishedPort")]
    published: u16,
    #[serde(rename = "Protocol")]
    protocol: &'a str,
}

/// `ps`.
pub(super) fn ps(args: &PsArgs, mut containers: Vec<ContainerSummary>) -> Result<()> {
    containers.sort_by(|a, b| a.name.cmp(&b.name));
    let mut text = String::new();
    if args.list_services {
        let services: BTreeSet<&str> = containers
            .iter()
            .filter_map(|container| container.service.as_deref())
            .collect();
        let lines: String = services.iter().map(|name| format!("{name}\n")).collect();
        return data(&lines);
    }
    if args.quiet {
        for container in &containers {
            text.push_str(&container.id);
            text.push('\n');
        }
        return data(&text);
    }
    if args.format == ListFormat::Json {
        for container in &containers {
            let line = serde_json::to_string(&ps_line(container));
            text.push_str(&line.map_err(|error| CommandError::failed(error.to_string()))?);
            text.push('\n');
        }
        return data(&text);
    }
    let rows = containers.iter().map(|container| {
        [
            container.name.clone(),
            container.image.clone(),
            container.service.clone().unwrap_or_default(),
            container.status.clone(),
            ports(&container.ports),
        ]
    });
    data(&columns(
        ["NAME", "IMAGE", "SERVICE", "STATUS", "PORTS"],
        rows.collect(),
    ))
}

fn ps_line(container: &ContainerSummary) -> PsLine<'_> {
    PsLine {
        id: &container.id,
        name: &container.name,
        project: container.project.as_deref().unwrap_or_default(),
        service: container.service.as_deref().unwrap_or_default(),
        image: &container.image,
        state: super::list::word(container.state),
        status: &container.status,
        health: match container.health {
            Health::None => "",
            Health::Starting => "starting",
            Health::Healthy => "healthy",
            Health::Unhealthy => "unhealthy",
        },
        exit_code: container.exit_code.unwrap_or(0),
        publishers: container
            .ports
            .iter()
            .map(|port| Publisher {
                url: &port.host_ip,
                target: port.container_port,
                published: port.host_port,
                protocol: &port.protocol,
            })
            .collect(),
    }
}

fn ports(ports: &[PortBinding]) -> String {
    let one = |port: &PortBinding| match port.host_port {
        0 => format!("{}/{}", port.container_port, port.protocol),
        host => format!(
            "{}:{host}->{}/{}",
            port.host_ip, port.container_port, port.protocol
        ),
    };
    ports.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Left-aligned columns, two blanks apart, no blanks at line ends.
pub(super) fn columns<const N: usize>(header: [&str; N], rows: Vec<[String; N]>) -> String {
    let head = header.map(str::to_owned).to_vec();
    table(
        std::iter::once(head)
            .chain(rows.into_iter().map(Vec::from))
            .collect(),
    )
}

/// The same for rows of any length.
pub(super) fn table(rows: Vec<Vec<String>>) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in &rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// `2026-11-21T12:00:00Z`, Unix seconds, or so long ago: `42m`, `10s`.
pub(super) fn moment(text: Option<&str>, clock: &Clock) -> Result<Option<Timestamp>> {
    let Some(text) = text else { return Ok(None) };
    if let Ok(at) = text.parse() {
        return Ok(Some(at));
    }
    if let Ok(seconds) = text.parse::<i64>() {
        return Ok(Some(Timestamp::from_millis(seconds.saturating_mul(1000))));
    }
    let ago = crate::cli::parse_duration(text)
        .map_err(|_| CommandError::usage(format!("`{text}` is no time: use 2026-11-21T12:00:00Z or 42m")))?;
    let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
    Ok(Some(Timestamp::from_millis(clock.now_ms().saturating_sub(ago))))
}

#[cfg(test)]
mod tests {
    use windflow_model::ContainerState;

    use super::*;

    #[test]
    fn columns_are_aligned_and_trimmed() {
        let rows = vec![
            ["web-1".to_owned(), String::new()],
            ["a".to_owned(), "x".to_owned()],
        ];
        assert_eq!(
            columns(["NAME", "PORTS"], rows),
            "NAME   PORTS\nweb-1\na      x\n"
        );
    }

    #[test]
    fn ps_prints_what_scripts_read() {
        let container = ContainerSummary {
            id: "abc".into(),
            name: "p-web-1".into(),
            project: Some("p".into()),
            service: Some("web".into()),
            rev: None,
            image: "i".into(),
            state: ContainerState::Running,
            health: Health::Healthy,
            exit_code: None,
            status: "Up 3 seconds (healthy)".into(),
            ports: vec![PortBinding {
                host_ip: "0.0.0.0".into(),
                host_port: 80,
                container_port: 8080,
                protocol: "tcp".into(),
            }],
            created_at: windflow_model::Timestamp::from_millis(0),
        };
        let line = serde_json::to_string(&ps_line(&container)).unwrap();
        assert_eq!(
            line,
            r#"{"ID":"abc","Name":"p-web-1","Project":"p","Service":"web","Image":"i","State":"running","Status":"Up 3 seconds (healthy)","Health":"healthy","ExitCode":0,"Publishers":[{"URL":"0.0.0.0","TargetPort":8080,"PublishedPort":80,"Protocol":"tcp"}]}"#
        );
    }
}
