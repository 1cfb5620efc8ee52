//! Objects of a service.

use super::super::Shape::{self, Any2, Bool, Closed, Dict, Int, List, Null, Number, Object, Text, Word};
use super::super::table::{
    COMMAND, FILE_REFERENCES, FLAG, HOSTS, INT, LIST_OR_DICT, NUMBER, OPTIONS, SCALAR, TEXT_OR_SET, TEXT_SET,
    TEXTS, any_name, name,
};

pub(super) fn container_name(text: &str) -> bool {
    let mut chars = text.chars().skip_while(|c| !c.is_ascii_alphanumeric()).skip(1);
    chars
        .next()
        .is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

pub(super) fn pull_policy(text: &str) -> bool {
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

pub(super) fn ulimit_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase())
}

pub(super) const NATURAL: Shape = Any2(&[Text, Int(0, i64::MAX)]);

pub(super) const ULIMITS: Shape = Dict(
    ulimit_name,
    &Any2(&[INT, Object(&[("soft", INT), ("hard", INT)], &["soft", "hard"])]),
);

pub(super) const HOOK: Shape = Object(
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

pub(super) const BUILD: Shape = Any2(&[
    Text,
    Object(
        &[
            ("context", Text),
            ("dockerfile", Text),
            ("dockerfile_inline", Text),
            ("entitlements", TEXTS),
            ("args", LIST_OR_DICT),
            ("ssh", Any2(&[Dict(any_name, &SCALAR), TEXT_SET])),
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

pub(super) const LIMIT: Shape = List(&Closed(&[("path", Text), ("rate", INT)], &[]));

pub(super) const BLKIO: Shape = Closed(
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

pub(super) const CONDITIONS: &[&str] = &[
    "service_started",
    "service_healthy",
    "service_completed_successfully",
];

pub(super) const DEPENDS_ON: Shape = Any2(&[
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

pub(super) const DEVICE_KEYS: &[(&str, Shape)] = &[
    ("capabilities", TEXT_SET),
    ("count", INT),
    ("device_ids", TEXT_SET),
    ("driver", Text),
    ("options", LIST_OR_DICT),
];

pub(super) const UPDATE: Shape = Object(
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

pub(super) const DEPLOY: Shape = Any2(&[
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

pub(super) const HEALTHCHECK: Shape = Object(
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

pub(super) const NETWORKS: Shape = Any2(&[
    TEXT_SET,
    Dict(
        name,
        &Any2(&[
            Null,
            Object(
                &[
                    ("aliases", TEXTS),
                    ("interface_name", Text),
                    ("ipv4_address", Text),
                    ("ipv6_address", Text),
                    ("link_local_ips", TEXTS),
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

pub(super) const PORTS: Shape = List(&Any2(&[
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

pub(super) const VOLUMES: Shape = List(&Any2(&[
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
            ("tmpfs", Object(&[("size", NATURAL), ("mode", Number)], &[])),
            ("image", Object(&[("subpath", Text)], &[])),
        ],
        &["type"],
    ),
]));

pub(super) const WATCH: Shape = Object(
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

pub(super) const ENV_FILE: Shape = Any2(&[
    Text,
    List(&Any2(&[
        Text,
        Closed(&[("path", Text), ("format", Text), ("required", FLAG)], &["path"]),
    ])),
]);

pub(super) const PROVIDER_OPTION: Shape = Any2(&[Text, Number, Bool, List(&Any2(&[Text, Number, Bool]))]);
