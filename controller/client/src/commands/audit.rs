//! The audit trail.

use std::collections::BTreeMap;

use comfy_table::Cell;
use windflow_api::{AuditEntry, AuditQuery, AuditVerdict};
use windflow_model::AgentId;

use super::{Session, agent_names};
use crate::{
    cli::AuditCommand,
    error::{Error, Result},
    output::{Output, Tone},
};

/// `windflow audit …`.
pub(super) async fn run(session: &Session<'_>, command: AuditCommand) -> Result<()> {
    let client = session.client()?;
    match command {
        AuditCommand::List {
            actor,
            agent,
            action,
            object,
            since,
            until,
            limit,
        } => {
            let actor = match agent {
                Some(host) => Some(client.agent_find(&host).await?.record.id.to_string()),
                None => actor,
            };
            let now = session.out.now;
            let query = AuditQuery {
                actor,
                action,
                object,
                from: since.map(|when| when.before(now)),
                to: until.map(|when| when.before(now)),
                ..AuditQuery::default()
            };
            let most = usize::try_from(limit).unwrap_or(usize::MAX);
            let entries = client.audit_list(&query, most).await?;
            session.out.none(entries.is_empty(), "no such records");
            let names = agent_names(&client).await?;
            session.out.show(&entries, |out| table(out, &entries, &names))
        }
        AuditCommand::Verify => {
            let verdict = client.audit_verify().await?;
            session.out.show(&verdict, |_| text(&verdict))?;
            judge(&verdict)
        }
    }
}

fn table(out: &Output, entries: &[AuditEntry], names: &BTreeMap<AgentId, String>) -> String {
    let rows = entries.iter().map(|entry| {
        // A host signs with its id.
        let host = entry.user_name.parse().ok().and_then(|id| names.get(&id));
        vec![
            Cell::new(entry.at),
            Cell::new(host.unwrap_or(&entry.user_name)),
            if entry.unreadable {
                out.cell("unreadable", Tone::Bad)
            } else {
                Cell::new(&entry.action)
            },
            Cell::new(&entry.object),
            Cell::new(detail(entry)),
        ]
    });
    out.table(&["TIME", "WHO", "WHAT", "OBJECT", "DETAIL"], rows.collect())
}

/// What else there is to say about a record, in one line.
fn detail(entry: &AuditEntry) -> String {
    if entry.unreadable {
        return "not as it was written: `windflow audit verify` says more".to_owned();
    }
    let moves = match entry.moves.as_slice() {
        [] => return entry.detail.clone(),
        moves if moves.iter().all(|one| one.deployment.to_string() == entry.object) => {
            let first = moves.first().and_then(|one| one.from.as_deref());
            let steps = first.into_iter().chain(moves.iter().map(|one| one.to.as_str()));
            steps.collect::<Vec<_>>().join(" → ")
        }
        moves => format!("{} deployment(s) moved", moves.len()),
    };
    match entry.detail.as_str() {
        "" => moves,
        detail => format!("{detail}; {moves}"),
    }
}

fn problems(verdict: &AuditVerdict) -> u64 {
    u64::try_from(verdict.problems.len())
        .unwrap_or(u64::MAX)
        .saturating_add(verdict.more_problems)
}

fn text(verdict: &AuditVerdict) -> String {
    let head = verdict.head.as_ref().map_or_else(
        || "none yet".to_owned(),
        |head| format!("{} {}", head.number, head.hash),
    );
    let found = match problems(verdict) {
        0 => "whole: no record was changed, taken out or put in".to_owned(),
        count => format!("{count} problem(s)"),
    };
    let mut text = format!(
        "Sealed   {}\nWaiting  {}\nHead     {head}\nVerdict  {found}",
        verdict.sealed, verdict.open
    );
    for problem in &verdict.problems {
        text.push_str(&format!(
            "\n\n{}\n  means: {}\n  do:    {}",
            problem.message, problem.meaning, problem.remedy
        ));
    }
    if verdict.more_problems > 0 {
        text.push_str(&format!("\n\nand {} more", verdict.more_problems));
    }
    text
}

/// A trail with problems is a failure, for scripts that look every night.
fn judge(verdict: &AuditVerdict) -> Result<()> {
    match problems(verdict) {
        0 => Ok(()),
        count => Err(Error::failed(format!(
            "the audit trail is not as it was written: {count} problem(s)"
        ))
        .hint("What each means and what to do is said with it; keep a copy of the data directory before you go on.")),
    }
}

#[cfg(test)]
mod tests {
    use windflow_api::{AuditMove, AuditProblem, AuditProblemKind};
    use windflow_model::{DeploymentId, Timestamp, UserId};

    use super::*;
    use crate::error::Exit;

    fn entry(object: &str, detail: &str, moves: &[(DeploymentId, Option<&str>, &str)]) -> AuditEntry {
        let moves = moves.iter().map(|(deployment, from, to)| AuditMove {
            deployment: *deployment,
            from: from.map(str::to_owned),
            to: (*to).to_owned(),
        });
        AuditEntry {
            id: "0".repeat(32),
            at: Timestamp::from_millis(0),
            user: format!("usr_{}", "0".repeat(26)).parse::<UserId>().unwrap(),
            user_name: "ada".to_owned(),
            action: "act".to_owned(),
            object: object.to_owned(),
            detail: detail.to_owned(),
            request: String::new(),
            remote: String::new(),
            moves: moves.collect(),
            unreadable: false,
        }
    }

    #[test]
    fn a_record_is_one_line() {
        let check = |entry: AuditEntry, expected: &str| assert_eq!(detail(&entry), expected);
        let id = |last: char| format!("dep_{}{last}", "0".repeat(25)).parse::<DeploymentId>();
        let (one, two) = (id('1').unwrap(), id('2').unwrap());
        let own = one.to_string();
        check(entry("stk_x", "stack web", &[]), "stack web");
        check(entry(&own, "", &[(one, None, "queued")]), "queued");
        let moves = [
            (one, Some("queued"), "offered"),
            (one, Some("offered"), "accepted"),
        ];
        check(entry(&own, "", &moves), "queued → offered → accepted");
        check(entry(&own, "by hand", &moves[..1]), "by hand; queued → offered");
        let moves = [(one, None, "queued"), (two, None, "queued")];
        check(entry("stk_x", "rev 1", &moves), "rev 1; 2 deployment(s) moved");
        let lost = AuditEntry {
            unreadable: true,
            ..entry("", "", &[])
        };
        check(lost, "not as it was written: `windflow audit verify` says more");
    }

    #[test]
    fn a_trail_with_problems_fails_and_says_what_to_do() {
        let check = |kinds: &[AuditProblemKind], more_problems: u64, words: &[&str]| {
            let problems = kinds.iter().map(|kind| AuditProblem {
                kind: *kind,
                seal: Some(3),
                record: None,
                message: "record 7 (seal 3) was changed".to_owned(),
                meaning: kind.meaning().to_owned(),
                remedy: kind.remedy().to_owned(),
            });
            let verdict = AuditVerdict {
                sealed: 12,
                open: 1,
                head: None,
                problems: problems.collect(),
                more_problems,
            };
            let shown = text(&verdict);
            for word in words {
                assert!(shown.contains(word), "{word}: {shown}");
            }
            let exit = judge(&verdict).err().map(|error| error.exit);
            assert_eq!(exit, (!kinds.is_empty()).then_some(Exit::Failed), "{kinds:?}");
        };
        check(&[], 0, &["Sealed   12\nWaiting  1", "whole", "none yet"]);
        check(
            &[AuditProblemKind::RecordChanged],
            0,
            &[
                "1 problem",
                "record 7",
                "means: What this record says",
                "do:    Compare",
            ],
        );
        check(&[AuditProblemKind::HeadWrong], 9, &["10 problem", "and 9 more"]);
    }
}
