//! `windflow stack plan`.

use comfy_table::Cell;
use windflow_api::{AgentPlan, PlanRequest};
use windflow_model::{Action, Plan};

use super::{
    super::{Session, agent_names},
    deploy::{find, read_spec},
    hosts::hosts,
};
use crate::{
    cli::{OnArgs, SpecArgs},
    error::{Error, Exit, Result},
    http::Client,
    output::{Output, Tone},
};

pub(super) async fn plan(
    session: &Session<'_>,
    client: &Client,
    name: &str,
    spec: SpecArgs,
    on: &OnArgs,
    detailed: bool,
) -> Result<()> {
    let named = !spec.files.is_empty();
    let known = find(client, name).await?;
    let spec = if named || known.is_none() {
        Some(read_spec(spec)?)
    } else {
        None
    };
    let Some(stack) = known else {
        return Err(
            Error::new(Exit::NotFound, format!("there is no stack `{name}` to plan"))
                .hint("`windflow stack validate` checks files; `windflow stack deploy` creates the stack."),
        );
    };
    let request = PlanRequest {
        agents: hosts(client, on, Some(&stack)).await?,
        rev: None,
        spec,
    };
    let plans = client.stack_plan(stack.stack.id, &request).await?;
    let names = agent_names(client).await?;
    session.out.show(&plans, |out| {
        let texts = plans.iter().map(|plan| {
            let host = names
                .get(&plan.agent)
                .cloned()
                .unwrap_or_else(|| plan.agent.to_string());
            plan_text(out, &host, plan)
        });
        texts.collect::<Vec<_>>().join("\n\n")
    })?;
    if plans.iter().any(|plan| plan.error.is_some()) {
        return Err(Error::failed("not every host could plan"));
    }
    let changes = plans
        .iter()
        .filter_map(|plan| plan.plan.as_ref())
        .any(|plan| !plan.is_empty());
    if detailed && changes {
        return Err(Error::failed("there are changes"));
    }
    Ok(())
}

fn plan_text(out: &Output, host: &str, plan: &AgentPlan) -> String {
    match (&plan.plan, &plan.error) {
        (Some(plan), _) => format!("{host}: {}\n{}", summary(plan), steps_table(out, plan))
            .trim_end()
            .to_owned(),
        (None, Some(failure)) => format!("{host}: {failure}\n  {}", failure.hint),
        (None, None) => format!("{host}: no answer"),
    }
}

fn summary(plan: &Plan) -> String {
    let counts = plan.summary();
    if plan.is_empty() {
        return format!("nothing to do, {} kept", counts.keep);
    }
    let parts = [
        (counts.create, "to create"),
        (counts.change, "to change"),
        (counts.remove, "to remove"),
        (counts.keep, "kept"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<_> = parts.map(|(count, what)| format!("{count} {what}")).collect();
    parts.join(", ")
}

fn steps_table(out: &Output, plan: &Plan) -> String {
    let shown = plan.steps.iter().filter(|step| step.action.changes());
    let rows: Vec<_> = shown
        .map(|step| {
            let tone = match step.action {
                Action::Create | Action::Start | Action::Pull => Tone::Good,
                Action::Remove => Tone::Bad,
                _ => Tone::Busy,
            };
            let mut why = step.reason.text.clone();
            if let (Some(old), Some(new)) = (&step.reason.old, &step.reason.new) {
                why.push_str(&format!(": {old} -> {new}"));
            }
            vec![
                out.cell(format!("  {}", step.action), tone),
                Cell::new(step.resource.kind),
                Cell::new(&step.resource.name),
                Cell::new(why),
            ]
        })
        .collect();
    let mut text = if rows.is_empty() {
        String::new()
    } else {
        out.table(&["  ACTION", "KIND", "NAME", "WHY"], rows)
    };
    for warning in &plan.warnings {
        text.push_str(&format!("\n  warning: {warning}"));
    }
    text
}
