//! The person who asks: requests to the controller, and what is written down of their answers.

use windflow_api::{
    DeployRequest, DeploymentQuery, DeploymentView, EnrolmentTokenCreate, PageQuery, RemoveRequest,
    RollbackRequest, RolloutCreate, RolloutHostQuery, RolloutQuery, RolloutView,
};
use windflow_controller::{
    app::{App, AppError, idempotency::IdempotencyKey, rollout::RolloutAct},
    context::OpContext,
};
use windflow_model::{
    DeploymentState, Rev, RolloutPlan, RolloutState, SpecFile, StackName, StackSpec, Summary, Targets,
};
use windflow_tests::history::{RolloutHost, What};

use crate::hosts::Ground;

/// What an operator may ask for. Stacks and hosts by name.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    Token,
    Stack {
        name: String,
    },
    /// Saves these services and deploys them.
    Deploy {
        stack: String,
        compose: String,
        hosts: Vec<String>,
        /// Asks twice, as one does whose first answer was lost.
        again: bool,
    },
    /// Takes back the deployments of an earlier request, where it is not too late.
    Cancel {
        number: u64,
    },
    Rollback {
        stack: String,
        back: u64,
    },
    Remove {
        stack: String,
        hosts: Vec<String>,
    },
    /// Saves these services and brings them to all hosts in waves.
    Rollout {
        stack: String,
        compose: String,
        plan: RolloutPlan,
    },
    /// Lets rollouts go on that wait for a person, or ends all that are not over.
    Settle {
        cancel: bool,
    },
    /// Counts what is not final.
    Count,
    /// Writes down how everything ended.
    Account,
}

/// A compose file with these `(service, image)`.
pub(crate) fn compose(services: &[(String, String)]) -> String {
    let lines: Vec<String> = services
        .iter()
        .map(|(name, image)| format!("  {name}: {{image: {image}}}\n"))
        .collect();
    format!("services:\n{}", lines.concat())
}

fn spec(compose: String) -> StackSpec {
    let mut spec = StackSpec {
        files: vec![SpecFile {
            path: "compose.yaml".to_owned(),
            content: compose,
        }],
        ..StackSpec::default()
    };
    spec.policy.health_timeout_s = 10;
    spec.policy.rollback.watch_s = 1;
    spec
}

pub(crate) async fn serve(app: App, ground: Ground, number: u64, request: Request) {
    ground.history.note(
        "operator",
        What::Asked {
            request: number,
            text: format!("{request:?}"),
        },
    );
    match answer(&app, &ground, number, request).await {
        Ok(deployments) => ground.history.note(
            "operator",
            What::Granted {
                request: number,
                deployments,
            },
        ),
        Err(error) => ground.history.note(
            "operator",
            What::Denied {
                request: number,
                why: windflow_kit::error::Chain(&error).to_string(),
            },
        ),
    }
    ground.directory.lock().unwrap().answered = number;
}

async fn answer(app: &App, ground: &Ground, number: u64, request: Request) -> Result<Vec<String>, AppError> {
    let op = OpContext::system("operator");
    let stack_of = |name: &str| ground.directory.lock().unwrap().stacks[name];
    let agents_of = |names: &[String]| {
        let directory = ground.directory.lock().unwrap();
        names
            .iter()
            .map(|name| directory.agents[name])
            .collect::<Vec<_>>()
    };
    let made = match request {
        Request::Token => {
            let (_, secret) = app
                .token_create(
                    &op,
                    EnrolmentTokenCreate {
                        note: String::new(),
                        ttl_s: None,
                    },
                )
                .await?;
            ground
                .directory
                .lock()
                .unwrap()
                .tokens
                .push_back(secret.expose().clone());
            return Ok(Vec::new());
        }
        Request::Stack { name } => {
            let first = compose(&[("web".to_owned(), "nginx:1".to_owned())]);
            let name_is: StackName = name.parse().unwrap();
            // Asked again after an answer that never came.
            let there = app.stack_list(&op, &PageQuery::default()).await?.items;
            let known = there.iter().find(|view| view.stack.name == name_is);
            let id = match known {
                Some(view) => view.stack.id,
                None => app.stack_create(&op, name_is, spec(first), None).await?.stack.id,
            };
            ground.directory.lock().unwrap().stacks.insert(name, id);
            return Ok(Vec::new());
        }
        Request::Deploy {
            stack,
            compose,
            hosts,
            again,
        } => {
            let id = stack_of(&stack);
            let held = app.stack_view(&op, id).await?;
            app.stack_update(&op, id, held.version, spec(compose)).await?;
            let request = DeployRequest {
                agents: agents_of(&hosts),
                rev: None,
                pins: Vec::new(),
            };
            let key = IdempotencyKey::new(&op, &format!("request-{number}"), &number)?;
            let first = app.deployment_create(&op, id, request.clone(), Some(&key)).await;
            if !again {
                first?
            } else {
                if let Ok(first) = &first {
                    ground.history.note(
                        "operator",
                        What::Repeated {
                            request: number,
                            deployments: ids(first),
                        },
                    );
                }
                app.deployment_create(&op, id, request, Some(&key)).await?
            }
        }
        Request::Cancel { number } => {
            let made = ground.directory.lock().unwrap().made.get(&number).cloned();
            for id in made.into_iter().flatten() {
                let _too_late = app.deployment_cancel(&op, id).await;
            }
            return Ok(Vec::new());
        }
        Request::Rollback { stack, back } => {
            let id = stack_of(&stack);
            let newest = app.stack_view(&op, id).await?.stack.latest_rev.0;
            let rev = Rev(newest.saturating_sub(back).max(1));
            app.stack_rollback(&op, id, RollbackRequest { rev, agents: None }, None)
                .await?
        }
        Request::Remove { stack, hosts } => {
            let request = RemoveRequest {
                agents: Some(agents_of(&hosts)),
                volumes: false,
            };
            app.stack_remove(&op, stack_of(&stack), request, None).await?
        }
        Request::Rollout { stack, compose, plan } => {
            let id = stack_of(&stack);
            let held = app.stack_view(&op, id).await?;
            app.stack_update(&op, id, held.version, spec(compose)).await?;
            let agents = ground
                .directory
                .lock()
                .unwrap()
                .agents
                .values()
                .copied()
                .collect();
            let request = RolloutCreate {
                stack: id,
                targets: Targets {
                    agents,
                    ..Targets::default()
                },
                plan,
                rev: None,
            };
            let key = IdempotencyKey::new(&op, &format!("request-{number}"), &number)?;
            let made = app.rollout_create(&op, request, Some(&key)).await?;
            let rollout = made.rollout.id.to_string();
            let request = number;
            ground
                .history
                .note("operator", What::RolloutMade { request, rollout });
            return Ok(Vec::new());
        }
        Request::Settle { cancel } => {
            for one in active_rollouts(app, &op).await? {
                let waits = matches!(one.rollout.state, RolloutState::Paused { until: None, .. });
                let act = if cancel {
                    RolloutAct::Cancel
                } else {
                    RolloutAct::Resume
                };
                if cancel || waits {
                    // It may have ended meanwhile.
                    let _over = app.rollout_act(&op, one.rollout.id, None, act).await;
                }
            }
            return Ok(Vec::new());
        }
        Request::Count => {
            let query = DeploymentQuery {
                state: Some("active".to_owned()),
                limit: Some(500),
                ..DeploymentQuery::default()
            };
            let open = app.deployment_list(&op, &query).await?.items.len();
            let open = open + active_rollouts(app, &op).await?.len();
            ground.directory.lock().unwrap().open = Some(open);
            return Ok(Vec::new());
        }
        Request::Account => return account(app, ground, &op).await,
    };
    let list = made.iter().map(|view| view.deployment.id).collect();
    ground.directory.lock().unwrap().made.insert(number, list);
    Ok(ids(&made))
}

fn ids(made: &[DeploymentView]) -> Vec<String> {
    made.iter().map(|view| view.deployment.id.to_string()).collect()
}

async fn active_rollouts(app: &App, op: &OpContext) -> Result<Vec<RolloutView>, AppError> {
    let query = RolloutQuery {
        state: Some("active".to_owned()),
        ..RolloutQuery::default()
    };
    Ok(app.rollout_list(op, &query).await?.items)
}

/// What is said of each rollout.
async fn account_rollouts(app: &App, ground: &Ground, op: &OpContext) -> Result<(), AppError> {
    let parts = Summary::default().parts();
    let name = |state| {
        parts
            .iter()
            .find(|(part, ..)| *part == state)
            .map_or("", |(_, name, _)| *name)
    };
    for one in app.rollout_list(op, &RolloutQuery::default()).await?.items {
        let view = app.rollout_view(op, one.rollout.id).await?;
        let hosts = app
            .rollout_hosts(op, one.rollout.id, &RolloutHostQuery::default())
            .await?;
        let hosts = hosts.items.into_iter().map(|host| RolloutHost {
            agent: host.agent.to_string(),
            wave: host.wave,
            state: name(host.state).to_owned(),
            deployment: host.deployment.map(|id| id.to_string()),
        });
        let counts = view.summary.parts().into_iter().filter(|(.., count)| *count > 0);
        ground.history.note(
            "controller",
            What::RolloutEnded {
                rollout: view.rollout.id.to_string(),
                rev: view.rollout.rev.0,
                phase: view.rollout.state.name().to_owned(),
                limit: view.failure_limit,
                deadline_ms: u64::from(view.rollout.plan.deadline_s) * 1_000,
                summary: counts.map(|(_, name, count)| (name.to_owned(), count)).collect(),
                hosts: hosts.collect(),
            },
        );
    }
    Ok(())
}

async fn account(app: &App, ground: &Ground, op: &OpContext) -> Result<Vec<String>, AppError> {
    let latest = DeploymentQuery {
        latest: true,
        limit: Some(500),
        ..DeploymentQuery::default()
    };
    let newest: Vec<_> = app.deployment_list(op, &latest).await?.items;
    let newest: Vec<_> = newest.iter().map(|view| view.deployment.id).collect();
    let mut query = DeploymentQuery {
        limit: Some(500),
        ..DeploymentQuery::default()
    };
    loop {
        let page = app.deployment_list(op, &query).await?;
        for view in &page.items {
            let one = &view.deployment;
            let newest = newest.contains(&one.id);
            let (mut services, mut hopeless) = (Vec::new(), false);
            if !one.want.is_absent() {
                // What went back runs what it went back to.
                let rev = match &one.state {
                    DeploymentState::RolledBack { to: Some(to), .. } => *to,
                    _ => one.rev,
                };
                let revision = app.revision_view(op, one.stack, rev).await?;
                let content = &revision.spec.files[0].content;
                hopeless = content.contains("fake/");
                let names = content
                    .lines()
                    .skip(1)
                    .filter_map(|line| line.trim().split(':').next());
                services = names.map(str::to_owned).collect();
            }
            ground.history.note(
                "controller",
                What::Ended {
                    deployment: one.id.to_string(),
                    stack: one.stack_name.to_string(),
                    agent: one.agent.to_string(),
                    rev: one.rev.0,
                    op: one.op.to_string(),
                    state: one.state.name().to_owned(),
                    newest,
                    services,
                    hopeless,
                },
            );
        }
        match page.next_cursor {
            Some(cursor) => query.cursor = Some(cursor),
            None => break,
        }
    }
    account_rollouts(app, ground, op).await?;
    for one in app.audit_moves(op).await? {
        let (deployment, from, to) = (one.deployment, one.from, one.to);
        ground
            .history
            .note("controller", What::Audited { deployment, from, to });
    }
    let verdict = app.audit_verify(op).await?;
    ground.history.note(
        "controller",
        What::AuditChecked {
            records: usize::try_from(verdict.sealed + verdict.open).unwrap_or(usize::MAX),
            problems: verdict.problems.into_iter().map(|one| one.message).collect(),
        },
    );
    Ok(Vec::new())
}
