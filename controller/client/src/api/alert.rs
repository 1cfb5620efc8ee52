//! Alerts, their rules, and silences.

use reqwest::Method;
use windflow_api::{
    AlertAcknowledge, AlertQuery, AlertView, RulePreview, RuleTry, RuleView, SilenceCreate, SilenceView,
};
use windflow_model::{AlertId, RuleId, SilenceId, alert::RuleSpec};

use super::{etag, missing, path};
use crate::{error::Result, http::Client};

calls! {
    /// One alert.
    alert_show(id: AlertId) -> AlertView = get "/api/v1/alerts/{id}";
    /// All rules.
    rule_list() -> Vec<RuleView> = list "/api/v1/alert-rules";
    /// One rule.
    rule_show(id: RuleId) -> RuleView = get "/api/v1/alert-rules/{id}";
    /// Makes a rule.
    rule_create(request: &RuleSpec) -> RuleView = post "/api/v1/alert-rules", request;
    /// What a rule would see.
    rule_preview(request: &RuleTry) -> RulePreview = post "/api/v1/alert-rules/preview", request;
    /// Removes a rule.
    rule_delete(id: RuleId) -> () = delete "/api/v1/alert-rules/{id}";
    /// All silences.
    silence_list() -> Vec<SilenceView> = list "/api/v1/silences";
    /// Makes a silence.
    silence_create(request: &SilenceCreate) -> SilenceView = post "/api/v1/silences", request;
    /// Removes a silence.
    silence_delete(id: SilenceId) -> () = delete "/api/v1/silences/{id}";
}

impl Client {
    /// The alerts that fit, the newest first, at most so many.
    ///
    /// # Errors
    /// [`crate::error::Error`] with the exit code of the refusal.
    pub async fn alert_list(&self, query: &AlertQuery, most: usize) -> Result<Vec<AlertView>> {
        let parts = [
            ("state", query.state.clone()),
            ("severity", query.severity.map(|one| one.to_string())),
            ("agent", query.agent.map(|id| id.to_string())),
            ("stack", query.stack.clone()),
            ("rule", query.rule.map(|id| id.to_string())),
        ];
        self.list_some(&path("/api/v1/alerts", parts), most).await
    }

    /// Says that somebody knows, or takes it back (`None`).
    ///
    /// # Errors
    /// [`crate::error::Error`] with the exit code of the refusal.
    pub async fn alert_acknowledge(&self, id: AlertId, says: Option<&AlertAcknowledge>) -> Result<AlertView> {
        let path = format!("/api/v1/alerts/{id}/acknowledgement");
        let request = match says {
            Some(says) => self.request(Method::PUT, &path).json(says),
            None => self.request(Method::DELETE, &path),
        };
        self.json(request).await
    }

    /// Saves a rule over the version that was read.
    ///
    /// # Errors
    /// [`crate::error::Error`] with the exit code of the refusal; a conflict if it changed since `version`.
    pub async fn rule_update(&self, id: RuleId, version: u64, spec: &RuleSpec) -> Result<RuleView> {
        let request = self.request(Method::PUT, &format!("/api/v1/alert-rules/{id}"));
        self.json(request.header("If-Match", etag(version)).json(spec))
            .await
    }

    /// The rule with this id or name.
    ///
    /// # Errors
    /// Not found, or the refusal of the list.
    pub async fn rule_find(&self, text: &str) -> Result<RuleView> {
        if let Ok(id) = text.parse() {
            return self.rule_show(id).await;
        }
        let rules = self.rule_list().await?;
        let names = rules.iter().map(|view| view.rule.spec.name.clone()).collect();
        let found = rules.into_iter().find(|view| view.rule.spec.name == text);
        found.ok_or_else(|| missing("rule", text, names, "windflow rule list"))
    }
}
