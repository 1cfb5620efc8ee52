//! Which hosts are meant by `--on`, `--selector` and `--group`.

use windflow_model::{GroupId, Selector};

use crate::{
    error::{Error, Result},
    http::Client,
};

/// Hosts, as a request names them.
#[derive(Debug, Default)]
pub(super) struct Meant {
    /// Ids with commas.
    pub(super) agent: Option<String>,
    pub(super) selector: Option<Selector>,
    pub(super) group: Option<GroupId>,
}

pub(super) async fn meant(
    client: &Client,
    on: Option<&str>,
    selector: Option<&Selector>,
    group: Option<&str>,
) -> Result<Meant> {
    let (hosts, labels) = split(on.unwrap_or_default());
    let mut agents = Vec::new();
    for host in hosts {
        agents.push(client.agent_find(host).await?.record.id.to_string());
    }
    let labels = match labels {
        "" => None,
        labels => Some(
            labels
                .parse()
                .map_err(|error| Error::usage(format!("--on: {error}")))?,
        ),
    };
    if labels.is_some() && selector.is_some() {
        return Err(Error::usage(
            "--on names labels, and so does --selector: use one of them",
        ));
    }
    Ok(Meant {
        agent: (!agents.is_empty()).then(|| agents.join(",")),
        selector: labels.or_else(|| selector.cloned()),
        group: match group {
            Some(text) => Some(client.group_find(text).await?.group.id),
            None => None,
        },
    })
}

/// Hosts and labels of `--on`: no name of a host has such a sign in it.
fn split(on: &str) -> (Vec<&str>, &str) {
    if on.contains(['=', '!']) {
        return (Vec::new(), on);
    }
    let hosts = on.split(',').map(str::trim).filter(|host| !host.is_empty());
    (hosts.collect(), "")
}
