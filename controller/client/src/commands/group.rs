//! Groups of hosts.

use std::collections::BTreeMap;

use comfy_table::Cell;
use windflow_api::{GroupCreate, GroupView};
use windflow_model::{AgentId, Group};

use super::{Session, agent_names, confirm};
use crate::{
    cli::{GroupCommand, GroupUpdateArgs},
    error::{Error, Exit, Result},
    http::Client,
    output::{Output, note},
};

/// Status of a change to another version than the one that is there.
const STALE: u16 = 412;
/// How often a change is made anew because somebody else was faster.
const ROUNDS: usize = 5;

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
            session.out.show(&groups, |out| table(out, &groups))
        }
        GroupCommand::Create { name, selector, on } => {
            let agents = ids(&client, &on).await?;
            let request = GroupCreate {
                name,
                selector,
                agents,
            };
            let view = create(&client, &request).await?;
            session.out.show(&view, |_| sum(&view))
        }
        GroupCommand::Show { group } => {
            let view = client.group_find(&group).await?;
            let names = agent_names(&client).await?;
            session.out.show(&view, |_| text(&view, &names))
        }
        GroupCommand::Update(args) => {
            let view = update(&client, &args).await?;
            session.out.show(&view, |_| sum(&view))
        }
        GroupCommand::Remove {
            group,
            yes,
            if_exists,
        } => {
            let view = match client.group_find(&group).await {
                Err(error) if if_exists && error.exit == Exit::NotFound => {
                    note(&format!("there is no group {group}"));
                    return Ok(());
                }
                found => found?,
            };
            confirm(&format!("Remove the group {}?", view.group.name), yes)?;
            client.group_delete(view.group.id).await?;
            note(&format!("removed {}", view.group.name));
            Ok(())
        }
    }
}

/// Makes a group; one that is there and the same is fine.
async fn create(client: &Client, request: &GroupCreate) -> Result<GroupView> {
    let refused = match client.group_create(request).await {
        Err(error) if error.status == Some(409) => error,
        result => return result,
    };
    let groups = client.group_list().await?;
    let Some(there) = groups.into_iter().find(|view| view.group.name == request.name) else {
        return Err(refused);
    };
    if same(&there.group, request) {
        note(&format!("{} is there already", request.name));
        return Ok(there);
    }
    Err(refused.hint(format!(
        "It means other hosts (`windflow group show {0}`). `windflow group update {0}` changes it.",
        request.name
    )))
}

/// Changes a group as it is now: what somebody else changes meanwhile stays.
async fn update(client: &Client, args: &GroupUpdateArgs) -> Result<GroupView> {
    let on = ids(client, &args.on).await?;
    let add = ids(client, &args.add).await?;
    let drop = ids(client, &args.drop).await?;
    let mut view = client.group_find(&args.group).await?;
    for _ in 1..ROUNDS {
        let request = changed(&view.group, args, &on, &add, &drop)?;
        if same(&view.group, &request) {
            note(&format!("{} is so already", view.group.name));
            return Ok(view);
        }
        let id = view.group.id;
        match client.group_update(id, view.version, &request).await {
            Err(error) if error.status == Some(STALE) => view = client.group_show(id).await?,
            result => return result,
        }
    }
    let request = changed(&view.group, args, &on, &add, &drop)?;
    client.group_update(view.group.id, view.version, &request).await
}

/// What a group becomes.
fn changed(
    group: &Group,
    args: &GroupUpdateArgs,
    on: &[AgentId],
    add: &[AgentId],
    drop: &[AgentId],
) -> Result<GroupCreate> {
    let selector = match &args.selector {
        Some(selector) => Some(selector.clone()),
        None => group.selector.clone().filter(|_| !args.no_selector),
    };
    let mut agents = if on.is_empty() {
        group.agents.clone()
    } else {
        on.to_vec()
    };
    agents.extend_from_slice(add);
    agents.retain(|agent| !drop.contains(agent));
    agents.sort_unstable();
    agents.dedup();
    if selector.is_none() && agents.is_empty() {
        return Err(
            Error::usage(format!("nobody would be left in the group {}", group.name)).hint(format!(
                "Name a selector or hosts, or remove it: `windflow group remove {}`.",
                group.name
            )),
        );
    }
    Ok(GroupCreate {
        name: args.name.clone().unwrap_or_else(|| group.name.clone()),
        selector,
        agents,
    })
}

fn same(group: &Group, request: &GroupCreate) -> bool {
    let mut wanted = request.agents.clone();
    wanted.sort_unstable();
    wanted.dedup();
    let mut there = group.agents.clone();
    there.sort_unstable();
    group.name == request.name && group.selector == request.selector && there == wanted
}

async fn ids(client: &Client, hosts: &[String]) -> Result<Vec<AgentId>> {
    let mut ids = Vec::with_capacity(hosts.len());
    for host in hosts {
        ids.push(client.agent_find(host).await?.record.id);
    }
    Ok(ids)
}

fn table(out: &Output, groups: &[GroupView]) -> String {
    let rows = groups.iter().map(|view| {
        vec![
            Cell::new(&view.group.name),
            Cell::new(selector(&view.group)),
            Cell::new(view.group.agents.len()),
            Cell::new(view.hosts.len()),
            Cell::new(out.ago(view.group.updated_at)),
        ]
    });
    out.table(&["NAME", "SELECTOR", "NAMED", "HOSTS", "SAVED"], rows.collect())
}

fn sum(view: &GroupView) -> String {
    format!("{} has {} host(s) now", view.group.name, view.hosts.len())
}

fn text(view: &GroupView, names: &BTreeMap<AgentId, String>) -> String {
    let list = |ids: &[AgentId]| {
        let names: Vec<_> = ids
            .iter()
            .filter_map(|id| names.get(id))
            .map(String::as_str)
            .collect();
        if names.is_empty() {
            "-".to_owned()
        } else {
            names.join(", ")
        }
    };
    format!(
        "Name      {}\nId        {}\nSelector  {}\nNamed     {}\nHosts     {}",
        view.group.name,
        view.group.id,
        selector(&view.group),
        list(&view.group.agents),
        list(&view.hosts)
    )
}

fn selector(group: &Group) -> String {
    let selector = group.selector.as_ref();
    selector.map_or_else(|| "-".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use windflow_model::{GroupId, Timestamp, UserId};

    use super::*;
    use crate::cli::{Cli, Command};

    fn id<T: std::str::FromStr>(prefix: &str, last: char) -> T {
        let text = format!("{prefix}_{}{last}", "0".repeat(25));
        text.parse().unwrap_or_else(|_| panic!("{text}"))
    }

    #[test]
    fn a_change_touches_only_what_it_names() {
        let host = |last| id::<AgentId>("agt", last);
        let group = Group {
            id: id::<GroupId>("grp", '0'),
            name: "paris".to_owned(),
            selector: Some("site=paris".parse().unwrap()),
            agents: vec![host('1'), host('2')],
            created_at: Timestamp::from_millis(0),
            updated_at: Timestamp::from_millis(0),
            updated_by: id::<UserId>("usr", '0'),
        };
        // As on the command line: a host is meant by the last digit of its id.
        let check = |line: &str, expected: Option<(&str, &str, &[char])>| {
            let words = format!("windflow group update paris {line}");
            let parsed = Cli::try_parse_from(words.split_whitespace()).unwrap();
            let Command::Group(GroupCommand::Update(args)) = parsed.command else {
                panic!("{line}");
            };
            let hosts = |names: &[String]| -> Vec<AgentId> {
                names
                    .iter()
                    .map(|name| host(name.chars().next().unwrap()))
                    .collect()
            };
            let (on, add, drop) = (hosts(&args.on), hosts(&args.add), hosts(&args.drop));
            let found = changed(&group, &args, &on, &add, &drop);
            let Some((name, selector, agents)) = expected else {
                assert_eq!(found.map_err(|error| error.exit), Err(Exit::Usage), "{line}");
                return;
            };
            let found = found.unwrap();
            let shown = found.selector.as_ref().map(ToString::to_string);
            assert_eq!(
                (found.name.as_str(), shown.unwrap_or_default().as_str()),
                (name, selector),
                "{line}"
            );
            assert_eq!(
                found.agents,
                agents.iter().map(|last| host(*last)).collect::<Vec<_>>(),
                "{line}"
            );
            assert_eq!(
                same(&group, &found),
                (name, selector, agents) == ("paris", "site=paris", &['1', '2']),
                "{line}"
            );
        };
        check("--name paris", Some(("paris", "site=paris", &['1', '2'])));
        check("--name lyon", Some(("lyon", "site=paris", &['1', '2'])));
        check("--selector site=lyon", Some(("paris", "site=lyon", &['1', '2'])));
        check("--no-selector", Some(("paris", "", &['1', '2'])));
        check("--add 3,1", Some(("paris", "site=paris", &['1', '2', '3'])));
        check("--drop 3", Some(("paris", "site=paris", &['1', '2'])));
        check("--drop 1 --add 4", Some(("paris", "site=paris", &['2', '4'])));
        check("--on 4", Some(("paris", "site=paris", &['4'])));
        check("--no-selector --drop 1,2", None);
    }
}
