//! `history`, `rollback`: the revisions a stack has had on this host.

use serde_json::json;
use windflow_model::Rev;

use super::{
    Context, Result,
    args::{HistoryArgs, ListFormat, RollbackArgs},
    session::Session,
    show::{self, columns},
};
use crate::failure::CommandError;

/// `history`.
pub(super) async fn history(context: &Context, args: HistoryArgs) -> Result<()> {
    let project = context.load_lenient(args.project, &[])?;
    let session = Session::open(context, true).await?;
    let listed = session
        .engine
        .history(&project.name)
        .await
        .map_err(CommandError::from);
    let revisions = session.close(listed).await?;
    if args.format == ListFormat::Json {
        let items: Vec<_> = revisions.iter().map(|revision| json!(revision)).collect();
        let text = serde_json::to_string(&items).map_err(|error| CommandError::failed(error.to_string()))?;
        return show::data(&format!("{text}\n"));
    }
    let rows = revisions.iter().map(|revision| {
        let what = match (revision.want.is_absent(), revision.again) {
            (true, _) => "removed".to_owned(),
            (false, Some(again)) => format!("brought {again} back"),
            (false, None) => "deployed".to_owned(),
        };
        [
            revision.rev.to_string(),
            revision.at.to_string(),
            what,
            revision.state.name().replace('_', " "),
            if revision.kept { "yes" } else { "no" }.to_owned(),
        ]
    });
    show::data(&columns(
        ["REVISION", "WHEN", "WHAT", "STATE", "CAN COME BACK"],
        rows.collect(),
    ))
}

/// `rollback`.
pub(super) async fn rollback(context: &Context, args: RollbackArgs) -> Result<()> {
    let project = context.load_lenient(args.project, &[])?;
    let session = Session::open(context, true).await?;
    let result = async {
        let order = session
            .engine
            .again(&project.name, args.revision.map(Rev))
            .await?;
        session.apply(&project, order, None).await
    };
    let result = result.await;
    session.close(result).await
}
