//! Interpolation of a tree, and the casts that follow: a text at a boolean or numeric path becomes that kind of value.

use crate::interpolate::interpolate;
use crate::problem::Report;
use crate::yaml::{Node, Value, fits, join};
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cast {
    Bool,
    Int,
    Float,
}

/// Most bytes of all texts of a project in which variables were replaced.
const MOST_REPLACED: usize = 64 * 1024 * 1024;

/// Paths below a service; `*` is a name or a place in a list.
const SERVICE: &[(&str, Cast)] = &[
    ("attach", Cast::Bool),
    ("blkio_config.weight", Cast::Int),
    ("blkio_config.weight_device.*.weight", Cast::Int),
    ("build.no_cache", Cast::Bool),
    ("build.privileged", Cast::Bool),
    ("build.pull", Cast::Bool),
    ("build.ulimits.*", Cast::Int),
    ("build.ulimits.*.hard", Cast::Int),
    ("build.ulimits.*.soft", Cast::Int),
    ("cpu_count", Cast::Int),
    ("cpu_percent", Cast::Float),
    ("cpu_period", Cast::Int),
    ("cpu_quota", Cast::Int),
    ("cpu_rt_period", Cast::Int),
    ("cpu_rt_runtime", Cast::Int),
    ("cpu_shares", Cast::Int),
    ("cpus", Cast::Float),
    ("depends_on.*.required", Cast::Bool),
    ("depends_on.*.restart", Cast::Bool),
    ("deploy.placement.max_replicas_per_node", Cast::Int),
    ("deploy.replicas", Cast::Int),
    ("deploy.resources.limits.cpus", Cast::Float),
    ("deploy.resources.limits.pids", Cast::Int),
    ("deploy.resources.reservations.cpus", Cast::Float),
    (
        "deploy.resources.reservations.generic_resources.*.discrete_resource_spec.value",
        Cast::Int,
    ),
    ("deploy.restart_policy.max_attempts", Cast::Int),
    ("deploy.rollback_config.max_failure_ratio", Cast::Float),
    ("deploy.rollback_config.parallelism", Cast::Int),
    ("deploy.update_config.max_failure_ratio", Cast::Float),
    ("deploy.update_config.parallelism", Cast::Int),
    ("env_file.*.required", Cast::Bool),
    ("healthcheck.disable", Cast::Bool),
    ("healthcheck.retries", Cast::Int),
    ("init", Cast::Bool),
    ("oom_kill_disable", Cast::Bool),
    ("oom_score_adj", Cast::Int),
    ("pids_limit", Cast::Int),
    ("ports.*.target", Cast::Int),
    ("post_start.*.privileged", Cast::Bool),
    ("pre_start.*.per_replica", Cast::Bool),
    ("pre_start.*.privileged", Cast::Bool),
    ("pre_stop.*.privileged", Cast::Bool),
    ("privileged", Cast::Bool),
    ("read_only", Cast::Bool),
    ("scale", Cast::Int),
    ("stdin_open", Cast::Bool),
    ("tty", Cast::Bool),
    ("ulimits.*", Cast::Int),
    ("ulimits.*.hard", Cast::Int),
    ("ulimits.*.soft", Cast::Int),
    ("volumes.*.bind.create_host_path", Cast::Bool),
    ("volumes.*.read_only", Cast::Bool),
    ("volumes.*.volume.nocopy", Cast::Bool),
];

/// Paths below a top-level resource.
const RESOURCE: &[(&str, Cast)] = &[
    ("external", Cast::Bool),
    ("internal", Cast::Bool),
    ("attachable", Cast::Bool),
    ("enable_ipv4", Cast::Bool),
    ("enable_ipv6", Cast::Bool),
];

fn cast_at(path: &[&str]) -> Option<Cast> {
    let (table, rest) = match path {
        ["services", _, rest @ ..] => (SERVICE, rest),
        ["networks" | "volumes" | "secrets" | "configs", _, rest @ ..] => (RESOURCE, rest),
        _ => return None,
    };
    table
        .iter()
        .find(|(pattern, _)| fits(rest, pattern))
        .map(|(_, cast)| *cast)
}

/// Replaces variables in all values (never in keys), then casts. What fails is reported and taken out. `env` none: only casts.
pub(crate) fn interpolate_tree(root: &mut Node, env: Option<&BTreeMap<String, String>>, report: &mut Report) {
    walk(root, &mut Vec::new(), "", env, report);
}

/// False: the value is of no use.
fn walk(
    node: &mut Node,
    keys: &mut Vec<String>,
    path: &str,
    env: Option<&BTreeMap<String, String>>,
    report: &mut Report,
) -> bool {
    let at = node.at;
    match &mut node.value {
        Value::Str(text) => {
            if let Some(env) = env
                && text.contains('$')
            {
                let mut unset = Vec::new();
                let lookup = |name: &str| env.get(name).cloned();
                match interpolate(text, &lookup, &mut |name| unset.push(name.to_owned())) {
                    Ok(replaced) => {
                        *text = replaced;
                        report.replaced += text.len();
                        if report.replaced > MOST_REPLACED {
                            let message = format!(
                                "the project has more than {MOST_REPLACED} bytes when its variables are replaced"
                            );
                            report.error(at, "", message);
                            return false;
                        }
                    }
                    Err(error) => {
                        report.error(at, path, error.to_string());
                        return false;
                    }
                }
                for name in unset {
                    report.warn(
                        at,
                        path,
                        format!("the variable {name} is not set; an empty text stands for it"),
                    );
                }
            }
            let borrowed: Vec<&str> = keys.iter().map(String::as_str).collect();
            let Some(cast) = cast_at(&borrowed) else {
                return true;
            };
            match convert(text, cast) {
                Ok((value, old)) => {
                    if old {
                        let message = format!("{text:?} as a boolean is not YAML 1.2; write true or false");
                        report.warn(at, path, message);
                    }
                    node.value = value;
                }
                Err(message) => {
                    report.error(at, path, message);
                    return false;
                }
            }
        }
        Value::List(items) => {
            let mut index = 0;
            keys.push("[]".to_owned());
            items.retain_mut(|item| {
                index += 1;
                walk(item, keys, &format!("{path}[{}]", index - 1), env, report)
            });
            keys.pop();
        }
        Value::Map(map) => map.retain(|key, item| {
            keys.push(key.clone());
            let good = walk(item, keys, &join(path, key), env, report);
            keys.pop();
            good
        }),
        _ => {}
    }
    true
}

/// The value, and whether it was written in an outdated way.
fn convert(text: &str, cast: Cast) -> Result<(Value, bool), String> {
    match cast {
        Cast::Bool => match text.to_ascii_lowercase().as_str() {
            "true" => Ok((Value::Bool(true), false)),
            "false" => Ok((Value::Bool(false), false)),
            "y" | "yes" | "on" => Ok((Value::Bool(true), true)),
            "n" | "no" | "off" => Ok((Value::Bool(false), true)),
            _ => Err(format!("invalid boolean {text:?}; write true or false")),
        },
        Cast::Int => text
            .parse()
            .map(|n| (Value::Int(n), false))
            .map_err(|_| format!("{text:?} is not an integer")),
        Cast::Float => text
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
            .map(|number| (Value::Float(number), false))
            .ok_or_else(|| format!("{text:?} is not a number")),
    }
}
