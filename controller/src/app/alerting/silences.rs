//! Which silences cover an alert.

use windflow_model::{Alert, Silence, SilenceId, alert::Matcher};

use super::facts::Facts;

/// The silences that cover an alert at this moment.
pub(crate) fn covering<'a>(
    silences: impl IntoIterator<Item = &'a Silence>,
    alert: &Alert,
    facts: &Facts,
) -> Vec<SilenceId> {
    let holds = |one: &&Silence| one.until(facts.now).is_some() && matches(&one.matcher, alert, facts);
    silences.into_iter().filter(holds).map(|one| one.id).collect()
}

fn matches(matcher: &Matcher, alert: &Alert, facts: &Facts) -> bool {
    let host = || {
        let Some(targets) = &matcher.targets else {
            return true;
        };
        alert
            .subject
            .agent
            .is_some_and(|agent| facts.meant(Some(targets), agent))
    };
    matcher.rule.is_none_or(|rule| rule == alert.rule)
        && (matcher.stack.is_empty() || matcher.stack == alert.subject.stack)
        && matcher.severity.is_none_or(|most| alert.severity <= most)
        && host()
}
