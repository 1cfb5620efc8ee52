//! The controller itself: signs of life, figures, its own description.

use std::{fmt::Write as _, sync::Arc};

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use utoipa::openapi::OpenApi;
use windflow_api::{Info, Readiness};
use windflow_kit::build;
use windflow_model::Presence;

use super::{Facts, error::Answer, error::ApiFailure, extract::Caller, install};
use crate::{app::App, jobs::Jobs};

/// What this controller is and how hosts reach it.
#[utoipa::path(get, path = "/api/v1/info", operation_id = "info", tag = "system",
    responses((status = 200, body = Info)))]
pub(super) async fn info(State(facts): State<Arc<Facts>>, _caller: Caller) -> Answer<Info> {
    Ok(Json(Info {
        version: build::VERSION.to_owned(),
        build: build::describe(),
        ca_pin: facts.ca_pin.clone(),
        quic_address: facts.quic.clone(),
        url: facts.url.clone(),
        agent_archs: install::archs(&facts),
        features: vec![
            "stacks".to_owned(),
            "logs".to_owned(),
            "plan".to_owned(),
            "metrics".to_owned(),
        ],
    }))
}

/// The process lives.
#[utoipa::path(get, path = "/healthz", operation_id = "healthz", tag = "system",
    responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// The controller can serve: the store answers and the agent listener runs.
#[utoipa::path(get, path = "/readyz", operation_id = "readyz", tag = "system",
    responses((status = 200, body = Readiness), (status = 503, body = Readiness)))]
pub(super) async fn readyz(State(app): State<App>) -> Response {
    let mut problems = Vec::new();
    if app.setup_needed().await.is_err() {
        problems.push("the store does not answer".to_owned());
    }
    if !app.has_fleet() {
        problems.push("the agent listener does not run".to_owned());
    }
    let ready = problems.is_empty();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(Readiness { ready, problems })).into_response()
}

/// The OpenAPI document.
#[utoipa::path(get, path = "/api/v1/openapi.json", operation_id = "openapi_document", tag = "system",
    responses((status = 200, body = Object)))]
pub(super) async fn openapi_document() -> Json<OpenApi> {
    Json(super::document())
}

/// Figures in the text format of Prometheus.
#[utoipa::path(get, path = "/metrics", operation_id = "metrics", tag = "system",
    responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) async fn metrics(
    State(app): State<App>,
    State(jobs): State<Jobs>,
    Caller(op): Caller,
) -> Result<Response, ApiFailure> {
    let names = app.host_names(op.org).await?;
    let presences = app.hosts().presences().await;
    let connected = presences
        .values()
        .filter(|one| matches!(one, Presence::Connected { .. }))
        .count();
    let mut text = String::new();
    let mut gauge = |name: &str, help: &str, value: String| {
        // Writing to a String does not fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name}{value}");
    };
    gauge(
        "windflow_build_info",
        "This build.",
        format!("{{version=\"{}\"}} 1", build::VERSION),
    );
    gauge(
        "windflow_controller_epoch",
        "Starts of this controller.",
        format!(" {}", app.epoch()),
    );
    gauge(
        "windflow_agents_connected",
        "Hosts with a proven connection.",
        format!(" {connected}"),
    );
    gauge(
        "windflow_deployment_feeds",
        "Deployments with a live feed.",
        format!(" {}", app.feeds()),
    );
    text.push_str(&app.hosts().metrics());
    text.push_str(&jobs.metrics());
    text.push_str(&app.notice_metrics());
    text.push_str(&app.telemetry().text(&names));
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}
