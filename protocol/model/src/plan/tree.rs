//! The plan as a tree of text, the same wherever it is printed.

use std::fmt::Write as _;

use super::{Action, Change, Plan, PlanSummary, Reason, ResourceKind, ResourcePlan, StepId};

/// How a piece of the tree may be painted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Something new.
    Good,
    /// Something that changes.
    Busy,
    /// Something that goes away.
    Bad,
    /// Of no matter.
    Quiet,
    /// A heading.
    Strong,
}

impl Tone {
    /// The text in this tone for a terminal.
    #[must_use]
    pub fn ansi(self, text: &str) -> String {
        let code = match self {
            Self::Good => 32,
            Self::Busy => 33,
            Self::Bad => 31,
            Self::Quiet => 2,
            Self::Strong => 1,
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

impl Action {
    /// The tone it is painted in.
    #[must_use]
    pub const fn tone(self) -> Tone {
        match self {
            Self::Create | Self::Start | Self::Pull | Self::Build => Tone::Good,
            Self::Remove => Tone::Bad,
            Self::Recreate | Self::Update | Self::Stop => Tone::Busy,
            Self::Keep | Self::Wait => Tone::Quiet,
        }
    }

    const fn sign(self) -> &'static str {
        match self {
            Self::Create | Self::Start => "+",
            Self::Pull | Self::Build => "↓",
            Self::Remove => "-",
            Self::Recreate => "±",
            Self::Update | Self::Stop => "~",
            Self::Keep | Self::Wait => "=",
        }
    }
}

impl PlanSummary {
    /// In words, e.g. `1 to create, 3 kept`.
    #[must_use]
    pub fn words(&self) -> String {
        let parts = [
            (self.create, "to create"),
            (self.change, "to change"),
            (self.remove, "to remove"),
            (self.keep, "kept"),
        ];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if parts.is_empty() {
            "nothing there, nothing to do".to_owned()
        } else {
            parts.join(", ")
        }
    }
}

impl Plan {
    /// The tree, without a line end at its end. `title` begins it; `paint` decorates pieces and changes no width.
    #[must_use]
    pub fn tree(&self, title: &str, paint: &dyn Fn(Tone, &str) -> String) -> String {
        let counts = self.summary();
        let mut out = format!("{}: ", paint(Tone::Strong, title));
        if self.is_empty() {
            let _ = write!(out, "nothing to do ({})", counts.words());
            return out;
        }
        out.push_str(&counts.words());
        let width =
            |held: &ResourcePlan| held.resource.kind.to_string().len() + held.resource.name.chars().count();
        let width = self.resources.iter().map(width).max().unwrap_or(0) + 1;
        for (heading, held) in self.groups() {
            let _ = write!(out, "\n  {}", paint(Tone::Strong, &heading));
            for held in held {
                line(&mut out, held, width, paint);
            }
        }
        self.downtime(&mut out, paint);
        out
    }

    /// Resources under headings: what the stack shares, then each service in the order of the plan.
    fn groups(&self) -> Vec<(String, Vec<&ResourcePlan>)> {
        let mut out: Vec<(String, Vec<&ResourcePlan>)> = Vec::new();
        for held in &self.resources {
            let heading = match (&held.service, held.resource.kind) {
                (_, ResourceKind::Image) => "images".to_owned(),
                (None, _) => "shared".to_owned(),
                (Some(service), _) => format!("service {service}"),
            };
            match out.iter_mut().find(|(known, _)| *known == heading) {
                Some((_, group)) => group.push(held),
                None => out.push((heading, vec![held])),
            }
        }
        out
    }

    fn downtime(&self, out: &mut String, paint: &dyn Fn(Tone, &str) -> String) {
        if self.interruptions.is_empty() {
            let _ = write!(out, "\n  {}", paint(Tone::Good, "no interruption"));
            return;
        }
        let _ = write!(out, "\n  {}", paint(Tone::Strong, "interrupted, in this order"));
        for (index, stop) in self.interruptions.iter().enumerate() {
            let span = match stop.until {
                Some(until) => format!("until {}", self.step_words(until)),
                None => "for good".to_owned(),
            };
            let others = if stop.others_serve {
                "; other containers of the service serve meanwhile"
            } else {
                ""
            };
            let text = format!(
                "{}. {} ({}) from {} {span}{others}",
                index + 1,
                stop.service,
                stop.container,
                self.step_words(stop.from)
            );
            let _ = write!(out, "\n    {}", paint(Tone::Busy, &text));
        }
    }

    fn step_words(&self, id: StepId) -> String {
        self.step(id).map_or_else(
            || format!("step {}", id.0),
            |step| format!("{} {}", step.action, step.resource.name),
        )
    }
}

fn line(out: &mut String, held: &ResourcePlan, width: usize, paint: &dyn Fn(Tone, &str) -> String) {
    let tone = held.action.tone();
    let verb = paint(tone, &format!("{} {:<8}", held.action.sign(), held.action));
    let what = format!("{} {}", held.resource.kind, held.resource.name);
    let mut why = held.reason.text.clone();
    if let Some(bytes) = held.bytes {
        let _ = write!(why, " · {}", size(bytes));
    } else if held.action == Action::Pull {
        why.push_str(" · size known once it is fetched");
    }
    let changes = held.reason.every_change();
    if let [one] = changes.as_slice() {
        if one.old.is_some() || one.new.is_some() {
            let _ = write!(
                why,
                " · {}: {} → {}",
                one.key,
                shown(one.old.as_deref()),
                shown(one.new.as_deref())
            );
        }
        why.push_str(&place(one));
    }
    let pad = width.saturating_sub(what.chars().count());
    let _ = write!(
        out,
        "\n    {verb} {what}{:pad$}  {}",
        "",
        paint(
            if held.action.changes() {
                Tone::Strong
            } else {
                Tone::Quiet
            },
            &why
        )
    );
    if changes.len() > 1 {
        for change in changes {
            let values = if change.old.is_some() || change.new.is_some() {
                format!(
                    ": {} → {}",
                    shown(change.old.as_deref()),
                    shown(change.new.as_deref())
                )
            } else {
                String::new()
            };
            let _ = write!(
                out,
                "\n        {}{values}{}",
                change.key,
                paint(Tone::Quiet, &place(&change))
            );
        }
    }
}

fn shown(value: Option<&str>) -> String {
    const LONGEST: usize = 120;
    let Some(value) = value else {
        return "(none)".to_owned();
    };
    if value.chars().count() <= LONGEST {
        return value.to_owned();
    }
    let cut: String = value.chars().take(LONGEST).collect();
    format!("{cut}…")
}

fn place(change: &Change) -> String {
    change
        .at
        .as_ref()
        .map_or_else(String::new, |at| format!(" ({at})"))
}

/// Bytes for people, in powers of 1000 as registries count.
fn size(bytes: u64) -> String {
    let (mut rest, mut unit) = (bytes, "B");
    for next in ["kB", "MB", "GB", "TB"] {
        if rest < 1_000 {
            break;
        }
        (rest, unit) = (rest.div_ceil(1_000), next);
    }
    format!("{rest} {unit}")
}

impl Reason {
    /// The keys that differ; the single one of a reason that lists none.
    #[must_use]
    pub fn every_change(&self) -> Vec<Change> {
        match (&self.key, self.changes.as_slice()) {
            (Some(key), []) => vec![Change {
                key: key.clone(),
                old: self.old.clone(),
                new: self.new.clone(),
                at: self.at.clone(),
            }],
            (_, changes) => changes.to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::*, *};

    fn step(id: u32, action: Action, name: &str, reason: Reason) -> Step {
        Step {
            id: StepId(id),
            resource: ResourceRef {
                kind: ResourceKind::Container,
                name: name.to_owned(),
            },
            action,
            service: Some("web".to_owned()),
            reason,
            after: Vec::new(),
        }
    }

    fn plain(text: &str) -> Reason {
        Reason {
            text: text.to_owned(),
            ..Reason::default()
        }
    }

    fn plan(steps: Vec<Step>) -> Plan {
        let mut plan = Plan {
            stack: "s".parse().unwrap(),
            steps,
            warnings: Vec::new(),
            resources: Vec::new(),
            interruptions: Vec::new(),
            pin: Pin::default(),
        };
        plan.resolve();
        plan
    }

    #[test]
    fn one_entry_for_a_container_that_is_replaced() {
        let changed = Reason {
            text: "image, user changed".to_owned(),
            changes: vec![
                Change {
                    key: "services.web.image".to_owned(),
                    old: Some("a".to_owned()),
                    new: Some("b".to_owned()),
                    at: Some("compose.yaml:3:5".to_owned()),
                },
                Change {
                    key: "services.web.user".to_owned(),
                    new: Some("1".to_owned()),
                    ..Change::default()
                },
            ],
            ..Reason::default()
        };
        let mut plan = plan(vec![
            step(0, Action::Recreate, "s-web-1", changed),
            step(
                1,
                Action::Stop,
                "s-web-1",
                plain("it makes way for its replacement"),
            ),
            step(2, Action::Start, "s-web-1", plain("it is new")),
            step(3, Action::Remove, "s-web-1", plain("its replacement is good")),
            step(4, Action::Keep, "s-web-2", plain("unchanged")),
        ]);
        plan.interruptions = vec![Interruption {
            service: "web".to_owned(),
            container: "s-web-1".to_owned(),
            from: StepId(1),
            until: Some(StepId(2)),
            others_serve: true,
        }];
        assert_eq!(plan.summary().words(), "1 to change, 1 kept");
        let text = plan.tree("s", &|_, text| text.to_owned());
        let expected = "s: 1 to change, 1 kept
  service web
    ± recreate container s-web-1  image, user changed
        services.web.image: a → b (compose.yaml:3:5)
        services.web.user: (none) → 1
    = keep     container s-web-2  unchanged
  interrupted, in this order
    1. web (s-web-1) from stop s-web-1 until start s-web-1; other containers of the service serve meanwhile";
        assert_eq!(text, expected);
    }

    #[test]
    fn what_becomes_of_a_resource() {
        let check = |actions: &[Action], becomes: Action| {
            let steps = actions
                .iter()
                .zip(0..)
                .map(|(action, id)| step(id, *action, "x", plain("")));
            assert_eq!(plan(steps.collect()).resources[0].action, becomes, "{actions:?}");
        };
        check(&[Action::Keep], Action::Keep);
        check(&[Action::Keep, Action::Start], Action::Start);
        check(&[Action::Create, Action::Start], Action::Create);
        check(&[Action::Remove], Action::Remove);
        check(&[Action::Update, Action::Start, Action::Remove], Action::Recreate);
        check(
            &[
                Action::Recreate,
                Action::Stop,
                Action::Update,
                Action::Start,
                Action::Remove,
            ],
            Action::Recreate,
        );
    }

    #[test]
    fn sizes() {
        let check = |bytes: u64, text: &str| assert_eq!(size(bytes), text);
        check(0, "0 B");
        check(999, "999 B");
        check(1_000, "1 kB");
        check(1_240_000, "2 MB");
        check(12_000_000_000, "12 GB");
    }
}
