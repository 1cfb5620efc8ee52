//! Alerts, their rules, and silences.

use std::path::Path;

use comfy_table::Cell;
use windflow_api::{
    AlertAcknowledge, AlertQuery, AlertView, RulePreview, RuleTry, RuleView, SilenceCreate, SilenceView,
};
use windflow_model::{
    Severity, Targets, Timestamp,
    alert::{AlertState, Day, Matcher, RuleSpec, Schedule, Window},
};

use super::{Session, confirm, meant::meant, spec};
use crate::{
    cli::{AlertCommand, AlertListArgs, RuleCommand, SilenceCommand, SilenceCreateArgs},
    error::{Error, Result},
    http::Client,
    output::{Output, Tone, note},
};

/// `windflow alert …`.
pub(super) async fn run(session: &Session<'_>, command: AlertCommand) -> Result<()> {
    let client = session.client()?;
    match command {
        AlertCommand::List(args) => {
            let alerts = list(&client, &args).await?;
            session.out.none(alerts.is_empty(), "no such alerts");
            session.out.show(&alerts, |out| table(out, &alerts))
        }
        AlertCommand::Show { alert } => {
            let view = client.alert_show(alert).await?;
            session.out.show(&view, |_| text(&view))
        }
        AlertCommand::Ack { alert, note } => {
            let view = client
                .alert_acknowledge(alert, Some(&AlertAcknowledge { note }))
                .await?;
            session.out.show(&view, |_| text(&view))
        }
        AlertCommand::Unack { alert } => {
            let view = client.alert_acknowledge(alert, None).await?;
            session.out.show(&view, |_| text(&view))
        }
    }
}

async fn list(client: &Client, args: &AlertListArgs) -> Result<Vec<AlertView>> {
    let query = AlertQuery {
        state: Some(args.state.clone()).filter(|state| state != "all"),
        severity: args.severity,
        agent: match &args.on {
            Some(host) => Some(client.agent_find(host).await?.record.id),
            None => None,
        },
        stack: args.stack.clone(),
        rule: match &args.rule {
            Some(rule) => Some(client.rule_find(rule).await?.rule.id),
            None => None,
        },
        ..AlertQuery::default()
    };
    client.alert_list(&query, args.limit).await
}

fn table(out: &Output, alerts: &[AlertView]) -> String {
    let rows = alerts.iter().map(|view| {
        let alert = &view.alert;
        vec![
            out.cell(alert.severity, tone(alert.severity)),
            Cell::new(state(view)),
            Cell::new(&alert.rule_name),
            Cell::new(about(view)),
            Cell::new(&alert.summary),
            Cell::new(out.ago(alert.state.since())),
            Cell::new(alert.id),
        ]
    });
    let header = ["SEVERITY", "STATE", "RULE", "WHAT", "SUMMARY", "SINCE", "ID"];
    out.table(&header, rows.collect())
}

const fn tone(severity: Severity) -> Tone {
    match severity {
        Severity::Info => Tone::Plain,
        Severity::Warning => Tone::Busy,
        Severity::Critical => Tone::Bad,
    }
}

fn state(view: &AlertView) -> String {
    let mut words = vec![view.alert.state.name()];
    if view.alert.acknowledged.is_some() {
        words.push("acknowledged");
    }
    if !view.silenced.is_empty() {
        words.push("silenced");
    }
    words.join(", ")
}

fn about(view: &AlertView) -> String {
    let subject = &view.alert.subject;
    let parts = [&view.alert.host, &subject.stack, &subject.part];
    let parts: Vec<_> = parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .map(String::as_str)
        .collect();
    parts.join(" / ")
}

fn text(view: &AlertView) -> String {
    let alert = &view.alert;
    let mut lines = vec![
        format!("Alert     {}", alert.id),
        format!("Rule      {} ({})", alert.rule_name, alert.severity),
        format!("State     {}", state(view)),
        format!("What      {}", about(view)),
        format!("Summary   {}", alert.summary),
        format!("Since     {}", alert.state.since()),
    ];
    lines.extend(alert.state.fired().map(|at| format!("Fired     {at}")));
    if let AlertState::Resolved { at, why, .. } = alert.state {
        let why = match why {
            windflow_model::alert::Resolution::Cleared => "its condition does not hold any more",
            windflow_model::alert::Resolution::Gone => "what it was about is gone",
            windflow_model::alert::Resolution::Rule => "its rule was changed or removed",
        };
        lines.push(format!("Ended     {at}: {why}"));
    }
    if let Some(known) = &alert.acknowledged {
        lines.push(
            format!("Known     by {} since {} {}", known.by.name, known.at, known.note)
                .trim_end()
                .to_owned(),
        );
    }
    lines.join("\n")
}

/// `windflow rule …`.
pub(super) async fn rule(session: &Session<'_>, command: RuleCommand) -> Result<()> {
    let client = session.client()?;
    match command {
        RuleCommand::List => {
            let rules = client.rule_list().await?;
            session.out.none(
                rules.is_empty(),
                "no rules; `windflow rule create -f FILE` makes one",
            );
            session.out.show(&rules, |out| rules_table(out, &rules))
        }
        RuleCommand::Show { rule } => {
            let view = client.rule_find(&rule).await?;
            let spec = serde_json::to_string_pretty(&view.rule.spec).unwrap_or_default();
            session.out.show(&view.rule.spec, |_| spec)
        }
        RuleCommand::Create { file } => {
            let view = client.rule_create(&read(&file)?).await?;
            session
                .out
                .show(&view, |_| format!("made {}", view.rule.spec.name))
        }
        RuleCommand::Update { rule, file } => {
            let spec = read(&file)?;
            let view = client.rule_find(&rule).await?;
            let view = client.rule_update(view.rule.id, view.version, &spec).await?;
            session
                .out
                .show(&view, |_| format!("saved {}", view.rule.spec.name))
        }
        RuleCommand::Try { file } => {
            let preview = client.rule_preview(&RuleTry { spec: read(&file)? }).await?;
            session.out.show(&preview, |out| preview_text(out, &preview))
        }
        RuleCommand::Enable { rule } => switch(session, &client, &rule, true).await,
        RuleCommand::Disable { rule } => switch(session, &client, &rule, false).await,
        RuleCommand::Remove { rule, yes } => {
            let view = client.rule_find(&rule).await?;
            confirm(
                &format!("Remove the rule {}? Its alerts end.", view.rule.spec.name),
                yes,
            )?;
            client.rule_delete(view.rule.id).await?;
            note(&format!("removed {}", view.rule.spec.name));
            Ok(())
        }
    }
}

async fn switch(session: &Session<'_>, client: &Client, rule: &str, enabled: bool) -> Result<()> {
    let view = client.rule_find(rule).await?;
    let spec = RuleSpec {
        enabled,
        ..view.rule.spec
    };
    let view = client.rule_update(view.rule.id, view.version, &spec).await?;
    let word = if enabled { "used again" } else { "not used for now" };
    session
        .out
        .show(&view, |_| format!("{} is {word}", view.rule.spec.name))
}

fn read(file: &Path) -> Result<RuleSpec> {
    spec::read(file, "`windflow rule show NAME` shows how a rule is written.")
}

fn rules_table(out: &Output, rules: &[RuleView]) -> String {
    let rows = rules.iter().map(|view| {
        let spec = &view.rule.spec;
        let firing = if view.firing > 0 {
            tone(spec.severity)
        } else {
            Tone::Plain
        };
        vec![
            Cell::new(&spec.name),
            Cell::new(spec.severity),
            Cell::new(spec.condition.name()),
            Cell::new(format!("{} s", spec.for_s)),
            Cell::new(if spec.enabled { "yes" } else { "no" }),
            Cell::new(view.pending),
            out.cell(view.firing, firing),
        ]
    });
    out.table(
        &["NAME", "SEVERITY", "ON", "FOR", "USED", "PENDING", "FIRING"],
        rows.collect(),
    )
}

fn preview_text(out: &Output, preview: &RulePreview) -> String {
    let rows = preview.sights.iter().map(|sight| {
        let parts = [&sight.host, &sight.subject.stack, &sight.subject.part];
        let parts: Vec<_> = parts
            .into_iter()
            .filter(|part| !part.is_empty())
            .map(String::as_str)
            .collect();
        let (word, tone) = match sight.holds {
            Some(true) => ("holds", Tone::Bad),
            Some(false) => ("clear", Tone::Good),
            None => ("unknown", Tone::Plain),
        };
        vec![
            out.cell(word, tone),
            Cell::new(parts.join(" / ")),
            Cell::new(&sight.summary),
        ]
    });
    let table = out.table(&["NOW", "WHAT", "SUMMARY"], rows.collect());
    format!(
        "{table}\nholds for {}, does not for {}, unknown for {}",
        preview.holds, preview.clear, preview.unknown
    )
}

/// `windflow silence …`.
pub(super) async fn silence(session: &Session<'_>, command: SilenceCommand) -> Result<()> {
    let client = session.client()?;
    match command {
        SilenceCommand::List => {
            let silences = client.silence_list().await?;
            session.out.none(silences.is_empty(), "no silences");
            session.out.show(&silences, |out| silences_table(out, &silences))
        }
        SilenceCommand::Create(args) => {
            let request = wanted(&client, *args, session.out.now).await?;
            let view = client.silence_create(&request).await?;
            session.out.show(&view, |_| format!("made {}", view.silence.id))
        }
        SilenceCommand::Remove { silence } => {
            client.silence_delete(silence).await?;
            note(&format!("removed {silence}"));
            Ok(())
        }
    }
}

async fn wanted(client: &Client, args: SilenceCreateArgs, now: Timestamp) -> Result<SilenceCreate> {
    let who = meant(client, args.on.as_deref(), None, args.group.as_deref()).await?;
    let agents = who
        .agent
        .as_deref()
        .unwrap_or_default()
        .split(',')
        .filter_map(|id| id.parse().ok());
    let targets = Targets {
        selector: who.selector,
        group: who.group,
        agents: agents.collect(),
    };
    let schedule = match (args.span, args.weekly) {
        (Some(span), _) => Schedule::Once {
            from: now,
            until: now.plus(span),
        },
        (None, at) => Schedule::Weekly(Window {
            days: args.days.iter().map(|day| day_of(day)).collect::<Result<_>>()?,
            at: at.unwrap_or_default(),
            minutes: args.minutes.unwrap_or_default(),
            zone: args.zone,
        }),
    };
    Ok(SilenceCreate {
        note: args.note,
        matcher: Matcher {
            rule: match &args.rule {
                Some(rule) => Some(client.rule_find(rule).await?.rule.id),
                None => None,
            },
            targets: (!targets.is_empty()).then_some(targets),
            stack: args.stack,
            severity: args.severity,
        },
        schedule,
    })
}

fn day_of(text: &str) -> Result<Day> {
    let day = serde_json::from_value(serde_json::Value::String(text.trim().to_lowercase()));
    day.map_err(|_| {
        Error::usage(format!(
            "--days: {text:?} is no day of the week; write monday, tuesday, …"
        ))
    })
}

fn silences_table(out: &Output, silences: &[SilenceView]) -> String {
    let rows = silences.iter().map(|view| {
        let when = match &view.silence.schedule {
            Schedule::Once { from, until } => format!("{from} to {until}"),
            Schedule::Weekly(window) => {
                let zone = if window.zone.is_empty() {
                    "UTC"
                } else {
                    &window.zone
                };
                let days: Vec<_> = window
                    .days
                    .iter()
                    .map(|day| format!("{day:?}").to_lowercase())
                    .collect();
                let days = if days.is_empty() {
                    "daily".to_owned()
                } else {
                    days.join(",")
                };
                format!("{days} {} for {} min, {zone}", window.at, window.minutes)
            }
        };
        let holds = view
            .active_until
            .map_or_else(|| "-".to_owned(), |until| until.to_string());
        vec![
            Cell::new(&view.silence.note),
            Cell::new(when),
            Cell::new(holds),
            Cell::new(view.silence.id),
        ]
    });
    out.table(&["NOTE", "WHEN", "HOLDS UNTIL", "ID"], rows.collect())
}
