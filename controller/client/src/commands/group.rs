//! Groups of hosts.

use comfy_table::Cell;
use windflow_api::{GroupCreate, GroupView};

use super::{Session, agent_names, confirm};
use crate::{cli::GroupCommand, error::Result, output::note};

/// `windflow group …`.
pub(super) async fn run(session: &Session<'_>, command: GroupCommand) -> Result<()> {
    let client = session.client()?;
    match command {
        GroupCommand::List => {
            let groups = client.group_list().await?;
            session.out.none(
                groups.is_empty(),
                "no groups yet; `windflow group create NAME --selector key=value` makes one",
            );
            session.out.show(&groups, |out| {
                let rows = groups.iter().map(|view| {
                    vec![
                        Cell::new(&view.group.name),
                        Cell::new(selector(view)),
                        Cell::new(view.hosts.len()),
                        Cell::new(out.ago(view.group.updated_at)),
                    ]
                });
                out.table(&["NAME", "SELECTOR", "HOSTS", "SAVED"], rows.collect())
            })
        }
        GroupCommand::Create { name, selector, on } => {
            let mut agents = Vec::new();
            for host in &on {
                agents.push(client.agent_find(host).await?.record.id);
            }
            let request = GroupCreate {
                name,
                selector,
                agents,
            };
            let view = client.group_create(&request).await?;
            session.out.show(&view, |_| {
                format!("{} has {} host(s) now", view.group.name, view.hosts.len())
            })
        }
        GroupCommand::Show { group } => {
            let view = client.group_find(&group).await?;
            let names = agent_names(&client).await?;
            session.out.show(&view, |_| {
                let hosts = view.hosts.iter();
                let hosts: Vec<_> = hosts.filter_map(|id| names.get(id)).map(String::as_str).collect();
                format!(
                    "Name      {}\nId        {}\nSelector  {}\nHosts     {}",
                    view.group.name,
                    view.group.id,
                    selector(&view),
                    hosts.join(", ")
                )
            })
        }
        GroupCommand::Remove { group, yes } => {
            let view = client.group_find(&group).await?;
            confirm(&format!("Remove the group {}?", view.group.name), yes)?;
            client.group_delete(view.group.id).await?;
            note(&format!("removed {}", view.group.name));
            Ok(())
        }
    }
}

fn selector(view: &GroupView) -> String {
    let selector = view.group.selector.as_ref();
    selector.map_or_else(|| "-".to_owned(), ToString::to_string)
}
