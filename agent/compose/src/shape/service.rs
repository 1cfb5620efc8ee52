//! Keys of a service.

use super::Shape::{
    self, Any2, Bool, Closed, Dict, Int, List, Null, Number, Object, Pattern, Set, Text, Word,
};
use super::table::{
    COMMAND, FILE_REFERENCES, FLAG, FREE, HOSTS, INT, LIST_OR_DICT, NUMBER, OPTIONS, TEXT_OR_SET, TEXT_SET,
    TEXTS, any_name, name,
};

fn container_name(text: &str) -> bool {
    let mut chars = text.chars().skip_while(|c| !c.is_ascii_alphanumeric()).skip(1);
    chars
        .next()
        .is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

fn pull_policy(text: &str) -> bool {
    const WORDS: [&str; 8] = [
        "always",
        "never",
        "build",
        "if_not_present",
        "missing",
        "refresh",
        "daily",
        "weekly",
    ];
    // As in the reference, the words may stand anywhere in the text.
    WORDS.iter().any(|word| text.contains(word))
        || text.split_once("every_").is_some_and(|(_, span)| {
            let unit = span.trim_start_matches(|c: char| c.is_ascii_digit());
            unit.len() < span.len() && unit.starts_with(['w', 'd', 'h', 'm', 's'])
        })
}

fn ulimit_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase())
}

const NATURAL: Shape = Any2(&[Text, Int(0, i64::MAX)]);

const ULIMITS: Shape = Dict(
    ulimit_name,
    &Any2(&[INT, Object(&[("soft", INT), ("hard", INT)], &["soft", "hard"])]),
);

const HOOK: Shape = Object(
    &[
        ("image", Text),
        ("per_replica", FLAG),
        ("command", COMMAND),
        ("user", Text),
        ("privileged", FLAG),
        ("working_dir", Text),
        ("environment", LIST_OR_DICT),
    ],
    &["command"],
);

const BUILD: Shape = Any2(&[
    Text,
    Object(
        &[
            ("context", Text),
            ("dockerfile", Text),
            ("dockerfile_inline", Text),
            ("entitlements", TEXTS),
            ("args", LIST_OR_DICT),
            ("ssh", LIST_OR_DICT),
            ("labels", LIST_OR_DICT),
            ("cache_from", TEXTS),
            ("cache_to", TEXTS),
            ("no_cache", FLAG),
            ("no_cache_filter", TEXT_OR_SET),
            ("additional_contexts", LIST_OR_DICT),
            ("network", Text),
            ("provenance", FLAG),
            ("sbom", FLAG),
            ("pull", FLAG),
            ("target", Text),
            ("shm_size", INT),
            ("extra_hosts", HOSTS),
            ("isolation", Text),
            ("privileged", FLAG),
            ("secrets", FILE_REFERENCES),
            ("tags", TEXTS),
            ("ulimits", ULIMITS),
            ("platforms", TEXTS),
        ],
        &[],
    ),
]);

const LIMIT: Shape = List(&Closed(&[("path", Text), ("rate", INT)], &[]));

const BLKIO: Shape = Closed(
    &[
        ("weight", INT),
        (
            "weight_device",
            List(&Closed(&[("path", Text), ("weight", INT)], &[])),
        ),
        ("device_read_bps", LIMIT),
        ("device_read_iops", LIMIT),
        ("device_write_bps", LIMIT),
        ("device_write_iops", LIMIT),
    ],
    &[],
);

const CONDITIONS: &[&str] = &[
    "service_started",
    "service_healthy",
    "service_completed_successfully",
];

const DEPENDS_ON: Shape = Any2(&[
    TEXT_SET,
    Dict(
        name,
        &Object(
            &[
                ("restart", FLAG),
                ("required", Bool),
                ("condition", Word(CONDITIONS)),
            ],
            &["condition"],
        ),
    ),
]);

const DEVICE_KEYS: &[(&str, Shape)] = &[
    ("capabilities", TEXT_SET),
    ("count", INT),
    ("device_ids", TEXT_SET),
    ("driver", Text),
    ("options", LIST_OR_DICT),
];

const UPDATE: Shape = Object(
    &[
        ("parallelism", INT),
        ("delay", Text),
        ("failure_action", Text),
        ("monitor", Text),
        ("max_failure_ratio", NUMBER),
        ("order", Word(&["start-first", "stop-first"])),
    ],
    &[],
);

const DEPLOY: Shape = Any2(&[
    Null,
    Object(
        &[
            ("mode", Text),
            ("endpoint_mode", Text),
            ("replicas", INT),
            ("labels", LIST_OR_DICT),
            ("rollback_config", UPDATE),
            ("update_config", UPDATE),
            (
                "resources",
                Object(
                    &[
                        (
                            "limits",
                            Object(&[("cpus", NUMBER), ("memory", Text), ("pids", INT)], &[]),
                        ),
                        (
                            "reservations",
                            Object(
                                &[
                                    ("cpus", NUMBER),
                                    ("memory", Text),
                                    (
                                        "generic_resources",
                                        List(&Object(
                                            &[(
                                                "discrete_resource_spec",
                                                Object(&[("kind", Text), ("value", NUMBER)], &[]),
                                            )],
                                            &[],
                                        )),
                                    ),
                                    ("devices", List(&Object(DEVICE_KEYS, &[]))),
                                ],
                                &[],
                            ),
                        ),
                    ],
                    &[],
                ),
            ),
            (
                "restart_policy",
                Object(
                    &[
                        ("condition", Text),
                        ("delay", Text),
                        ("max_attempts", INT),
                        ("window", Text),
                    ],
                    &[],
                ),
            ),
            (
                "placement",
                Object(
                    &[
                        ("constraints", TEXTS),
                        ("preferences", List(&Object(&[("spread", Text)], &[]))),
                        ("max_replicas_per_node", INT),
                    ],
                    &[],
                ),
            ),
        ],
        &[],
    ),
]);

const HEALTHCHECK: Shape = Object(
    &[
        ("disable", FLAG),
        ("interval", Text),
        ("retries", NUMBER),
        ("test", Any2(&[Text, TEXTS])),
        ("timeout", Text),
        ("start_period", Text),
        ("start_interval", Text),
    ],
    &[],
);

const NETWORKS: Shape = Any2(&[
    TEXT_SET,
    Dict(
        name,
        &Any2(&[
            Null,
            Object(
                &[
                    ("aliases", TEXT_SET),
                    ("interface_name", Text),
                    ("ipv4_address", Text),
                    ("ipv6_address", Text),
                    ("link_local_ips", TEXT_SET),
                    ("mac_address", Text),
                    ("driver_opts", OPTIONS),
                    ("priority", Number),
                    ("gw_priority", Number),
                ],
                &[],
            ),
        ]),
    ),
]);

const PORTS: Shape = Set(&Any2(&[
    Number,
    Text,
    Object(
        &[
            ("name", Text),
            ("mode", Text),
            ("host_ip", Text),
            ("target", INT),
            ("published", INT),
            ("protocol", Text),
            ("app_protocol", Text),
        ],
        &[],
    ),
]));

const VOLUMES: Shape = Set(&Any2(&[
    Text,
    Object(
        &[
            (
                "type",
                Word(&["bind", "volume", "tmpfs", "cluster", "npipe", "image"]),
            ),
            ("source", Text),
            ("target", Text),
            ("read_only", FLAG),
            ("consistency", Text),
            (
                "bind",
                Object(
                    &[
                        ("propagation", Text),
                        ("create_host_path", FLAG),
                        (
                            "recursive",
                            Word(&["enabled", "disabled", "writable", "readonly"]),
                        ),
                        ("selinux", Word(&["z", "Z"])),
                    ],
                    &[],
                ),
            ),
            (
                "volume",
                Object(
                    &[("labels", LIST_OR_DICT), ("nocopy", FLAG), ("subpath", Text)],
                    &[],
                ),
            ),
            ("tmpfs", Object(&[("size", NATURAL), ("mode", NUMBER)], &[])),
            ("image", Object(&[("subpath", Text)], &[])),
        ],
        &["type"],
    ),
]));

const WATCH: Shape = Object(
    &[
        ("ignore", TEXT_OR_SET),
        ("include", TEXT_OR_SET),
        ("path", Text),
        (
            "action",
            Word(&["rebuild", "sync", "restart", "sync+restart", "sync+exec"]),
        ),
        ("target", Text),
        ("exec", HOOK),
        ("initial_sync", FLAG),
    ],
    &["path", "action"],
);

const ENV_FILE: Shape = Any2(&[
    Text,
    List(&Any2(&[
        Text,
        Closed(&[("path", Text), ("format", Text), ("required", FLAG)], &["path"]),
    ])),
]);

const PROVIDER_OPTION: Shape = Any2(&[Text, Number, Bool, List(&Any2(&[Text, Number, Bool]))]);

/// A service.
pub(super) const SERVICE: Shape = Object(
    &[
        ("annotations", LIST_OR_DICT),
        ("attach", FLAG),
        ("blkio_config", BLKIO),
        ("build", BUILD),
        ("cap_add", TEXT_SET),
        ("cap_drop", TEXT_SET),
        ("cgroup", Word(&["host", "private"])),
        ("cgroup_parent", Text),
        ("command", COMMAND),
        ("configs", FILE_REFERENCES),
        (
            "container_name",
            Pattern(
                container_name,
                "a container name has at least two of a-z, A-Z, 0-9, `_`, `.`, `-`",
            ),
        ),
        ("cpu_count", NATURAL),
        ("cpu_percent", Any2(&[Text, Int(0, 100)])),
        ("cpu_period", NUMBER),
        ("cpu_quota", NUMBER),
        ("cpu_rt_period", NUMBER),
        ("cpu_rt_runtime", NUMBER),
        ("cpu_shares", NUMBER),
        ("cpus", NUMBER),
        ("cpuset", Text),
        (
            "credential_spec",
            Object(&[("config", Text), ("file", Text), ("registry", Text)], &[]),
        ),
        ("depends_on", DEPENDS_ON),
        ("deploy", DEPLOY),
        ("develop", Any2(&[Null, Object(&[("watch", List(&WATCH))], &[])])),
        ("device_cgroup_rules", TEXT_SET),
        (
            "devices",
            List(&Any2(&[
                Text,
                Object(
                    &[("source", Text), ("target", Text), ("permissions", Text)],
                    &["source"],
                ),
            ])),
        ),
        ("dns", TEXT_OR_SET),
        ("dns_opt", TEXT_SET),
        ("dns_search", TEXT_OR_SET),
        ("domainname", Text),
        ("entrypoint", COMMAND),
        ("env_file", ENV_FILE),
        ("environment", LIST_OR_DICT),
        ("expose", Set(&Any2(&[Text, Number]))),
        (
            "extends",
            Any2(&[Text, Closed(&[("service", Text), ("file", Text)], &["service"])]),
        ),
        ("external_links", TEXT_SET),
        ("extra_hosts", HOSTS),
        ("gpus", Any2(&[Word(&["all"]), List(&Object(DEVICE_KEYS, &[]))])),
        ("group_add", Set(&Any2(&[Text, Number]))),
        ("healthcheck", HEALTHCHECK),
        ("hostname", Text),
        ("image", Text),
        ("init", FLAG),
        ("ipc", Text),
        ("isolation", Text),
        ("label_file", Any2(&[Text, TEXTS])),
        ("labels", LIST_OR_DICT),
        ("links", TEXT_SET),
        (
            "logging",
            Object(
                &[
                    ("driver", Text),
                    ("options", Dict(any_name, &Any2(&[Text, Number, Null]))),
                ],
                &[],
            ),
        ),
        ("mac_address", Text),
        ("mem_limit", NUMBER),
        ("mem_reservation", INT),
        ("mem_swappiness", INT),
        ("memswap_limit", NUMBER),
        (
            "models",
            Any2(&[
                TEXT_SET,
                Dict(
                    name,
                    &Any2(&[Null, Object(&[("endpoint_var", Text), ("model_var", Text)], &[])]),
                ),
            ]),
        ),
        ("network_mode", Text),
        ("networks", NETWORKS),
        ("oom_kill_disable", FLAG),
        ("oom_score_adj", Any2(&[Text, Int(-1000, 1000)])),
        ("pid", Any2(&[Text, Null])),
        ("pids_limit", NUMBER),
        ("platform", Text),
        ("ports", PORTS),
        ("post_start", List(&HOOK)),
        ("pre_start", List(&HOOK)),
        ("pre_stop", List(&HOOK)),
        ("privileged", FLAG),
        ("profiles", TEXT_SET),
        (
            "provider",
            Object(
                &[("type", Text), ("options", Dict(any_name, &PROVIDER_OPTION))],
                &["type"],
            ),
        ),
        (
            "pull_policy",
            Pattern(
                pull_policy,
                "use always, never, build, if_not_present, missing, refresh, daily, weekly or every_<duration>",
            ),
        ),
        ("pull_refresh_after", Text),
        ("read_only", FLAG),
        ("restart", Text),
        ("runtime", Text),
        ("scale", INT),
        ("secrets", FILE_REFERENCES),
        ("security_opt", TEXT_SET),
        ("shm_size", NUMBER),
        ("stdin_open", FLAG),
        ("stop_grace_period", Text),
        ("stop_signal", Text),
        ("storage_opt", FREE),
        ("sysctls", LIST_OR_DICT),
        ("tmpfs", TEXT_OR_SET),
        ("tty", FLAG),
        ("ulimits", ULIMITS),
        ("use_api_socket", Bool),
        ("user", Text),
        ("userns_mode", Text),
        ("uts", Text),
        ("volumes", VOLUMES),
        ("volumes_from", TEXT_SET),
        ("working_dir", Text),
    ],
    &[],
);
