//! HTTP: thin handlers over [`crate::app`], one per operation and under its name.
//!
//! ```text
//! TLS ─► guard::frame      request id, limits of the URL, security headers, errors get their id
//!         └► guard::admit  default deny: everything but OPEN needs a credential; unsafe methods need our origin
//!             └► handler   ≤ 20 lines: parse, call the application, answer
//!         └► ui            everything that is not an operation: the embedded files
//! ```

use std::{path::PathBuf, sync::Arc};

use axum::{Router, extract::DefaultBodyLimit, extract::FromRef, middleware, routing::get};
use utoipa::{
    OpenApi as _,
    openapi::{self, OpenApi, RefOr, path::Operation},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{app::App, jobs::Jobs};

mod agent;
mod alert;
mod alert_rule;
mod audit;
mod channel;
mod deployment;
mod error;
mod event;
mod extract;
mod files;
mod group;
mod guard;
mod install;
mod live;
mod logs;
mod metrics;
mod recording;
mod rollout;
mod session;
mod silence;
mod stack;
mod system;
mod terminal;
#[cfg(test)]
mod tests;
mod token;

pub use guard::OPEN;

/// Largest body of a request: a spec of 900 KiB whose JSON escapes doubled it.
const MAX_BODY: usize = 2 << 20;

/// What the web side knows of the controller around it.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Pin of the CA, for agents and command lines.
    pub ca_pin: String,
    /// Base64 of the SHA-256 of the HTTPS certificate's public key, for `curl --pinnedpubkey`.
    pub tls_pin: String,
    /// `https://host:port` as others reach it.
    pub url: String,
    /// `host:port` (UDP) as agents reach it.
    pub quic: String,
    /// Folder with the agent's binaries.
    pub agent_binaries: PathBuf,
    /// What is known of them.
    pub(crate) digests: Arc<install::Digests>,
}

/// What every handler can have.
#[derive(Debug, Clone)]
pub struct Web {
    app: App,
    facts: Arc<Facts>,
    jobs: Jobs,
}

impl Web {
    /// The state of the router.
    #[must_use]
    pub fn new(app: App, facts: Facts, jobs: Jobs) -> Self {
        Self {
            app,
            facts: Arc::new(facts),
            jobs,
        }
    }
}

impl FromRef<Web> for App {
    fn from_ref(web: &Web) -> Self {
        web.app.clone()
    }
}

impl FromRef<Web> for Arc<Facts> {
    fn from_ref(web: &Web) -> Self {
        Arc::clone(&web.facts)
    }
}

impl FromRef<Web> for Jobs {
    fn from_ref(web: &Web) -> Self {
        web.jobs.clone()
    }
}

/// Schemas that no operation names, for readers of live feeds.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "WindFlow",
        description = "The API of the WindFlow controller. Errors have the shape of `ApiError`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(
        windflow_api::ApiError,
        windflow_api::LogFrame,
        windflow_model::LogLevel,
        windflow_model::LogEvent,
        windflow_api::TerminalEvent,
        windflow_api::TerminalAction,
        windflow_model::FleetEvent,
        windflow_model::Progress
    ))
)]
struct Document;

fn operations() -> OpenApiRouter<Web> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(session::setup_status, session::setup_create))
        .routes(routes!(session::session_create))
        .routes(routes!(session::session_delete))
        .routes(routes!(session::me))
        .routes(routes!(system::info))
        .routes(routes!(system::healthz))
        .routes(routes!(system::readyz))
        .routes(routes!(system::metrics))
        .routes(routes!(system::openapi_document))
        .routes(routes!(install::install_script))
        .routes(routes!(install::agent_binary))
        .routes(routes!(agent::agent_list))
        .routes(routes!(
            agent::agent_view,
            agent::agent_update,
            agent::agent_delete
        ))
        .routes(routes!(agent::agent_containers))
        .routes(routes!(files::volume_list))
        .routes(routes!(files::file_list))
        .routes(routes!(files::file_read, files::file_write))
        .routes(routes!(
            token::enrolment_token_list,
            token::enrolment_token_create
        ))
        .routes(routes!(token::enrolment_token_delete))
        .routes(routes!(stack::stack_validate))
        .routes(routes!(stack::stack_list, stack::stack_create))
        .routes(routes!(
            stack::stack_view,
            stack::stack_update,
            stack::stack_delete
        ))
        .routes(routes!(stack::stack_plan))
        .routes(routes!(stack::stack_preview))
        .routes(routes!(stack::revision_list))
        .routes(routes!(stack::revision_view))
        .routes(routes!(stack::stack_containers))
        .routes(routes!(logs::stack_logs))
        .routes(routes!(logs::fleet_logs))
        .routes(routes!(deployment::deployment_create))
        .routes(routes!(deployment::stack_rollback))
        .routes(routes!(deployment::stack_remove))
        .routes(routes!(deployment::deployment_list))
        .routes(routes!(deployment::deployment_view))
        .routes(routes!(deployment::deployment_cancel))
        .routes(routes!(rollout::rollout_list, rollout::rollout_create))
        .routes(routes!(rollout::rollout_preview))
        .routes(routes!(rollout::rollout_view))
        .routes(routes!(rollout::rollout_hosts))
        .routes(routes!(rollout::rollout_pause))
        .routes(routes!(rollout::rollout_resume))
        .routes(routes!(rollout::rollout_promote))
        .routes(routes!(rollout::rollout_cancel))
        .routes(routes!(group::group_list, group::group_create))
        .routes(routes!(
            group::group_view,
            group::group_update,
            group::group_delete
        ))
        .routes(routes!(alert::alert_list))
        .routes(routes!(alert::alert_view))
        .routes(routes!(alert::alert_acknowledge, alert::alert_unacknowledge))
        .routes(routes!(alert_rule::rule_list, alert_rule::rule_create))
        .routes(routes!(alert_rule::rule_preview))
        .routes(routes!(
            alert_rule::rule_view,
            alert_rule::rule_update,
            alert_rule::rule_delete
        ))
        .routes(routes!(silence::silence_list, silence::silence_create))
        .routes(routes!(
            silence::silence_view,
            silence::silence_update,
            silence::silence_delete
        ))
        .routes(routes!(channel::channel_list, channel::channel_create))
        .routes(routes!(
            channel::channel_view,
            channel::channel_update,
            channel::channel_delete
        ))
        .routes(routes!(channel::channel_test))
        .routes(routes!(channel::channel_test_unsaved))
        .routes(routes!(channel::channel_preview))
        .routes(routes!(channel::notice_list))
        .routes(routes!(terminal::terminal_list, terminal::terminal_create))
        .routes(routes!(recording::recording_list))
        .routes(routes!(recording::recording_view))
        .routes(routes!(recording::recording_cast))
        .routes(routes!(terminal::terminal_attach, terminal::terminal_delete))
        .routes(routes!(audit::audit_list))
        .routes(routes!(audit::audit_verify))
        .routes(routes!(live::deployment_events))
        .routes(routes!(event::event_list))
        .routes(routes!(event::event_live))
        .routes(routes!(metrics::metrics_list))
        .routes(routes!(metrics::agent_metrics))
        .routes(routes!(metrics::metrics_query))
        .routes(routes!(metrics::metrics_live))
}

/// The OpenAPI document: the operations as they are routed, each with the shape of its errors.
#[must_use]
pub fn document() -> OpenApi {
    let mut document = operations().into_openapi();
    document.info.version = windflow_kit::build::VERSION.to_owned();
    for item in document.paths.paths.values_mut() {
        let all = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.delete,
            &mut item.patch,
        ];
        all.into_iter().flatten().for_each(errors);
    }
    document
}

fn errors(operation: &mut Operation) {
    let schema = openapi::Ref::from_schema_name("ApiError");
    let content = openapi::ContentBuilder::new().schema(Some(schema)).build();
    let response = openapi::ResponseBuilder::new()
        .description("A refusal or a failure.")
        .content("application/json", content)
        .build();
    let responses = &mut operation.responses.responses;
    responses.insert("default".to_owned(), RefOr::T(response));
}

/// The whole web side.
pub fn router(web: Web) -> Router {
    let (operations, _) = operations().split_for_parts();
    operations
        .route_layer(middleware::from_fn_with_state(web.clone(), guard::admit))
        .fallback(get(crate::ui::serve).fallback(guard::no_such_route))
        .method_not_allowed_fallback(guard::wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(web.clone(), guard::frame))
        .with_state(web)
}

/// What every unknown path below `/api` and `/dl` answers.
pub(crate) async fn no_such_route() -> axum::response::Response {
    axum::response::IntoResponse::into_response(guard::no_such_route().await)
}
