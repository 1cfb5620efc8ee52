//! `plan`, and `up --plan`: what would be done, and doing just that.

use std::{
    io::{self, IsTerminal as _},
    path::Path,
};

use windflow_model::{Pin, Plan, StackName, Want};

use super::{
    Context, Result,
    args::{ListFormat, PlanArgs},
    session::Session,
    show,
    up::{up_options, up_project},
};
use crate::failure::CommandError;

/// `plan`.
pub(super) async fn plan(context: &Context, args: &PlanArgs) -> Result<()> {
    let changes = shown(context, args).await.map_err(|error| {
        // Exit code 1 says that there are changes: an error must have another one.
        if args.detailed_exitcode && error.exit == 1 {
            CommandError { exit: 2, ..error }
        } else {
            error
        }
    })?;
    if args.detailed_exitcode && changes {
        return Err(CommandError::failed("there are changes"));
    }
    Ok(())
}

/// Prints the plan; whether it has changes.
async fn shown(context: &Context, args: &PlanArgs) -> Result<bool> {
    if args.up.plan.is_some() {
        return Err(CommandError::usage(
            "--plan is for `up`, which carries a plan out",
        ));
    }
    let project = up_project(context, &args.up)?;
    let flags = context.before.clone().with(args.up.project.clone());
    // The journal has the key of the content digests, without which every config would look changed.
    let session = Session::open(context, true).await?;
    let options = up_options(&flags, &project, &args.up);
    let planned = async {
        let order = session.order(&project, Want::Present, options)?;
        Ok(session.engine.plan(order).await?)
    };
    let planned = planned.await;
    let plan = session.close(planned).await?;
    let color = io::stdout().is_terminal() && context.caller.variable("NO_COLOR").is_none();
    print(&plan, args.format, color)?;
    Ok(!plan.is_empty())
}

pub(super) fn print(plan: &Plan, format: ListFormat, color: bool) -> Result<()> {
    for warning in &plan.warnings {
        show::note(&format!("warning: {warning}"));
    }
    if format == ListFormat::Json {
        let text =
            serde_json::to_string_pretty(plan).map_err(|error| CommandError::failed(error.to_string()))?;
        return show::data(&format!("{text}\n"));
    }
    let tree = plan.tree(plan.stack.as_str(), &|tone, text| {
        if color { tone.ansi(text) } else { text.to_owned() }
    });
    show::data(&format!("{tree}\n"))
}

/// The pin in what `plan --format json` printed.
pub(super) fn read(path: &Path, stack: &StackName) -> Result<Pin> {
    let shown = path.display();
    let text = fs_err::read_to_string(path).map_err(|error| CommandError::usage(error.to_string()))?;
    let plan: Plan = serde_json::from_str(&text).map_err(|error| {
        CommandError::usage(format!("{shown} is no plan: {error}"))
            .hint("`windflow-agent local plan --format json > FILE` writes one.")
    })?;
    if plan.stack != *stack {
        return Err(CommandError::usage(format!(
            "{shown} is a plan of project {}, not of {stack}",
            plan.stack
        )));
    }
    if plan.pin.is_empty() || !plan.pin.is_reasonable() {
        return Err(
            CommandError::usage(format!("{shown} does not say what it was made from"))
                .hint("Write the plan again with this version."),
        );
    }
    Ok(plan.pin)
}
