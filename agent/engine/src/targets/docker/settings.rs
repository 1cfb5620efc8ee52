//! What an inspect tells of a container, in the form of [`crate::plan::settings_of`].

use serde_json::{Map, Value, json};
use windflow_compose::model::Span;

use super::{DockerTarget, wire};
use crate::{
    plan::{Settings, list_of},
    targets::TargetError,
};

/// Values that are taken as the engine gives them: Compose key, and place in the inspect.
const PLAIN: [(&str, &str); 20] = [
    ("image", "/Config/Image"),
    ("command", "/Config/Cmd"),
    ("entrypoint", "/Config/Entrypoint"),
    ("user", "/Config/User"),
    ("working_dir", "/Config/WorkingDir"),
    ("hostname", "/Config/Hostname"),
    ("domainname", "/Config/Domainname"),
    ("tty", "/Config/Tty"),
    ("stdin_open", "/Config/OpenStdin"),
    ("stop_signal", "/Config/StopSignal"),
    ("labels", "/Config/Labels"),
    ("privileged", "/HostConfig/Privileged"),
    ("read_only", "/HostConfig/ReadonlyRootfs"),
    ("init", "/HostConfig/Init"),
    ("cpuset", "/HostConfig/CpusetCpus"),
    ("cgroup_parent", "/HostConfig/CgroupParent"),
    ("pid", "/HostConfig/PidMode"),
    ("ipc", "/HostConfig/IpcMode"),
    ("uts", "/HostConfig/UTSMode"),
    ("network_mode", "/HostConfig/NetworkMode"),
];

/// Numbers; the Compose form of sizes is text.
const NUMBERS: [(&str, &str, bool); 9] = [
    ("mem_limit", "/HostConfig/Memory", true),
    ("mem_reservation", "/HostConfig/MemoryReservation", true),
    ("memswap_limit", "/HostConfig/MemorySwap", true),
    ("shm_size", "/HostConfig/ShmSize", true),
    ("cpu_shares", "/HostConfig/CpuShares", false),
    ("cpu_quota", "/HostConfig/CpuQuota", false),
    ("cpu_period", "/HostConfig/CpuPeriod", false),
    ("pids_limit", "/HostConfig/PidsLimit", false),
    ("oom_score_adj", "/HostConfig/OomScoreAdj", false),
];

const LISTS: [(&str, &str); 7] = [
    ("cap_add", "/HostConfig/CapAdd"),
    ("cap_drop", "/HostConfig/CapDrop"),
    ("dns", "/HostConfig/Dns"),
    ("dns_opt", "/HostConfig/DnsOptions"),
    ("dns_search", "/HostConfig/DnsSearch"),
    ("extra_hosts", "/HostConfig/ExtraHosts"),
    ("group_add", "/HostConfig/GroupAdd"),
];

/// `None` if the container is gone.
pub(super) async fn of(target: &DockerTarget, id: &str) -> Result<Option<Settings>, TargetError> {
    let what = format!("look at container {}", super::execute::short(id));
    let found: Option<Value> = wire::json(target, &format!("/containers/{id}/json"), &what).await?;
    Ok(found.as_ref().map(settings))
}

fn settings(found: &Value) -> Settings {
    let at = |place: &str| found.pointer(place).filter(|value| !value.is_null());
    let mut out = Settings::new();
    let mut set = |key: &str, value: Value| drop(out.insert(key.to_owned(), value));
    for (key, place) in PLAIN {
        let unset = match key {
            "command" | "entrypoint" => json!([]),
            "labels" => json!({}),
            "init" => json!(false),
            _ => json!(""),
        };
        set(key, at(place).cloned().unwrap_or(unset));
    }
    for (key, place, as_text) in NUMBERS {
        let number = at(place).and_then(Value::as_i64).unwrap_or(0);
        set(
            key,
            if as_text {
                json!(number.to_string())
            } else {
                json!(number)
            },
        );
    }
    for (key, place) in LISTS {
        set(key, list_of(key, texts(at(place))));
    }
    let nano = at("/HostConfig/NanoCpus").and_then(Value::as_f64).unwrap_or(0.0);
    set("cpus", json!(nano / 1e9));
    if let Some(seconds) = at("/Config/StopTimeout").and_then(Value::as_i64) {
        set(
            "stop_grace_period",
            json!(Span(seconds.saturating_mul(1_000_000_000)).to_string()),
        );
    }
    set(
        "runtime",
        at("/HostConfig/Runtime").cloned().unwrap_or_else(|| json!("")),
    );
    set(
        "sysctls",
        at("/HostConfig/Sysctls").cloned().unwrap_or_else(|| json!({})),
    );
    let tmpfs = object(at("/HostConfig/Tmpfs"))
        .into_iter()
        .map(|(path, options)| {
            let options = options.as_str().unwrap_or_default();
            format!("{path}:{options}")
        });
    set("tmpfs", list_of("tmpfs", tmpfs.collect()));
    set("restart", json!(restart(at("/HostConfig/RestartPolicy"))));
    set("ports", list_of("ports", ports(at("/HostConfig/PortBindings"))));
    set("volumes", list_of("volumes", volumes(at("/Mounts"))));
    let environment: Map<String, Value> = texts(at("/Config/Env"))
        .iter()
        .filter_map(|item| item.split_once('='))
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect();
    set("environment", environment.into());
    if let Some(check) = at("/Config/Healthcheck") {
        set("healthcheck", healthcheck(check));
    }
    let mut logging = object(at("/HostConfig/LogConfig/Config"));
    logging.insert(
        "driver".to_owned(),
        at("/HostConfig/LogConfig/Type").cloned().unwrap_or_default(),
    );
    set("logging", logging.into());
    out
}

fn object(value: Option<&Value>) -> Map<String, Value> {
    value.and_then(Value::as_object).cloned().unwrap_or_default()
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let items = value.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn field<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn restart(policy: Option<&Value>) -> String {
    let name = policy.map_or("", |policy| field(policy, "Name"));
    let count = policy
        .and_then(|policy| policy.get("MaximumRetryCount"))
        .and_then(Value::as_i64)
        .unwrap_or(0);
    match (name, count) {
        ("", _) => "no".to_owned(),
        (name, count) if count > 0 => format!("{name}:{count}"),
        (name, _) => name.to_owned(),
    }
}

fn ports(bindings: Option<&Value>) -> Vec<String> {
    let mut out = Vec::new();
    for (target, bindings) in object(bindings) {
        for binding in bindings.as_array().into_iter().flatten() {
            let (ip, port) = (field(binding, "HostIp"), field(binding, "HostPort"));
            if !port.is_empty() {
                let ip = if ip == "0.0.0.0" { "" } else { ip };
                out.push(format!("{ip}:{port}:{target}"));
            }
        }
    }
    out
}

fn volumes(mounts: Option<&Value>) -> Vec<String> {
    let mounts = mounts.and_then(Value::as_array).into_iter().flatten();
    mounts
        .map(|mount| {
            let name = field(mount, "Name");
            let source = if name.is_empty() {
                field(mount, "Source")
            } else {
                name
            };
            format!("{source}:{}", field(mount, "Destination"))
        })
        .collect()
}

fn healthcheck(check: &Value) -> Value {
    let mut out = Map::new();
    out.insert("test".to_owned(), check.get("Test").cloned().unwrap_or_default());
    if let Some(retries) = check.get("Retries") {
        out.insert("retries".to_owned(), retries.clone());
    }
    for (key, name) in [
        ("interval", "Interval"),
        ("timeout", "Timeout"),
        ("start_period", "StartPeriod"),
        ("start_interval", "StartInterval"),
    ] {
        if let Some(nanos) = check.get(name).and_then(Value::as_i64) {
            out.insert(key.to_owned(), json!(Span(nanos).to_string()));
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_compose_words() {
        let found = json!({
            "Config": {"Image": "i", "Cmd": ["a"], "Entrypoint": null, "User": "1", "StopTimeout": 90,
                "Env": ["A=1=2", "B"], "Healthcheck": {"Test": ["CMD", "x"], "Interval": 5_000_000_000_i64}},
            "HostConfig": {"Memory": 64, "NanoCpus": 500_000_000, "CapAdd": ["CAP_NET_ADMIN"],
                "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}, "Tmpfs": {"/r": ""},
                "PortBindings": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]},
                "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}}},
            "Mounts": [{"Name": "v", "Source": "/var/lib", "Destination": "/d"}]
        });
        let got = settings(&found);
        let check = |key: &str, value: Value| assert_eq!(got.get(key), Some(&value), "{key}");
        check("command", json!(["a"]));
        check("entrypoint", json!([]));
        check("stop_grace_period", json!("1m30s"));
        check("environment", json!({"A": "1=2"}));
        check("mem_limit", json!("64"));
        check("cpus", json!(0.5));
        check("cap_add", json!(["NET_ADMIN"]));
        check("restart", json!("on-failure:3"));
        check("tmpfs", json!(["/r"]));
        check("ports", json!([":8080:80/tcp"]));
        check("volumes", json!(["v:/d"]));
        check("healthcheck", json!({"test": ["CMD", "x"], "interval": "5s"}));
        check("logging", json!({"driver": "json-file", "max-size": "1m"}));
    }
}
