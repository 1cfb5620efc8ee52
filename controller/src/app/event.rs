//! What people may see of the fleet's events.

use windflow_api::{EventParams, Page, PageQuery};
use windflow_model::{FleetEvent, StackName};

use super::{
    App, AppError, AppResult,
    event_bus::{EventReader, From},
    keys,
    records::NameHolder,
};
use crate::{context::OpContext, event_log::EventFilter};

impl App {
    /// A page of events, the newest first.
    ///
    /// # Errors
    /// No such host or group, a limit out of range, or a disk that cannot be read.
    pub async fn event_list(&self, op: &OpContext, params: &EventParams) -> AppResult<Page<FleetEvent>> {
        if params.after.is_some() {
            return Err(AppError::bad(
                "after: that is for the feed; a list goes on with cursor",
            ));
        }
        let limit = params.limit.unwrap_or(PageQuery::DEFAULT_LIMIT);
        if !(1..=PageQuery::MAX_LIMIT).contains(&limit) {
            let text = format!("limit: {limit} is not between 1 and {}", PageQuery::MAX_LIMIT);
            return Err(AppError::bad(text));
        }
        let filter = self.event_filter(op, params).await?;
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let (items, next) = self.event_page(filter, params.cursor, most).await?;
        Ok(Page {
            items,
            next_cursor: next.map(|id| id.to_string()),
        })
    }

    /// Events as they happen, or after one, or since a time.
    ///
    /// # Errors
    /// As [`App::event_list`].
    pub async fn event_feed(&self, op: &OpContext, params: &EventParams) -> AppResult<EventReader> {
        let of_a_list = [
            ("cursor", params.cursor.is_some()),
            ("limit", params.limit.is_some()),
            ("until", params.until.is_some()),
        ];
        if let Some((name, _)) = of_a_list.iter().find(|(_, is)| *is) {
            return Err(AppError::bad(format!(
                "{name}: that is for the list; a feed has no end"
            )));
        }
        let from = match (params.after, params.since) {
            (Some(after), _) => From::After(after),
            (None, Some(since)) => From::Since(since),
            (None, None) => From::Now,
        };
        Ok(self.events(self.event_filter(op, params).await?, from))
    }

    async fn event_filter(&self, op: &OpContext, params: &EventParams) -> AppResult<EventFilter> {
        let named = self.hosts_named(
            op,
            params.agent.as_deref(),
            params.selector.as_ref(),
            params.group,
        );
        let agents = named.await?.map(|agents| agents.into_iter().collect());
        let stack = match &params.stack {
            Some(name) => {
                // What is no name of a stack may be a project that was started by hand.
                let id = match name.parse::<StackName>() {
                    Ok(held) => {
                        let key = keys::stack_name(op.org, &held);
                        let held = self.find::<NameHolder>("event_list", &key).await?;
                        held.and_then(|held| held.value.id.parse().ok())
                    }
                    Err(_) => None,
                };
                Some((name.clone(), id))
            }
            None => None,
        };
        let kinds = params
            .kind
            .as_deref()
            .unwrap_or_default()
            .split(',')
            .map(str::trim);
        Ok(EventFilter {
            agents,
            stack,
            kinds: kinds.filter(|kind| !kind.is_empty()).map(str::to_owned).collect(),
            since: params.since,
            until: params.until,
        })
    }
}
