//! What hosts measure.

use windflow_api::{HostMetrics, MetricsHistory, MetricsHistoryQuery, MetricsQuery, Page};

use super::path;
use crate::{error::Result, http::Client};

/// A route with a query in its address.
pub(crate) fn metrics_path(base: &str, query: &MetricsQuery) -> String {
    let parts = [
        ("agent", query.agent.clone()),
        ("label", query.label.clone()),
        ("detail", query.detail.then(|| "true".to_owned())),
        ("every_ms", query.every_ms.map(|every| every.to_string())),
    ];
    path(base, parts)
}

impl Client {
    /// The newest values of hosts.
    ///
    /// # Errors
    /// [`crate::error::Error`] with the exit code of the refusal.
    pub async fn metrics_list(&self, query: &MetricsQuery) -> Result<Vec<HostMetrics>> {
        let page: Page<HostMetrics> = self.get(&metrics_path("/api/v1/metrics", query)).await?;
        Ok(page.items)
    }

    /// What was measured over time.
    ///
    /// # Errors
    /// [`crate::error::Error`] with the exit code of the refusal.
    pub async fn metrics_query(&self, query: &MetricsHistoryQuery) -> Result<MetricsHistory> {
        let query = query.clone();
        let parts = [
            ("metric", Some(query.metric)),
            ("function", query.function),
            ("from", query.from.map(|at| at.to_string())),
            ("to", query.to.map(|at| at.to_string())),
            ("step_s", query.step_s.map(|step| step.to_string())),
            ("agent", query.agent),
            ("label", query.label),
            ("key", query.key),
            ("stack", query.stack),
            ("service", query.service),
            ("by", query.by),
            ("combine", query.combine),
        ];
        self.get(&path("/api/v1/metrics/query", parts)).await
    }
}
