//! Every setting, as a table.

use windflow_kit::settings::{Form, Setting};

/// Every setting. The loader below and `windflow-controller config reference` both come from this.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "data_dir",
        env: "WINDFLOW_DATA_DIR",
        flag: Some("--data-dir"),
        default: "/var/lib/windflow-controller",
        form: Form::Text,
        help: "Directory for everything that lasts: store, authority, setup code.",
    },
    Setting {
        key: "http",
        env: "WINDFLOW_HTTP",
        flag: Some("--http"),
        default: "[::]:8443",
        form: Form::Text,
        help: "Address and port of the HTTPS API and the web UI (TCP).",
    },
    Setting {
        key: "quic",
        env: "WINDFLOW_QUIC",
        flag: Some("--quic"),
        default: "[::]:8443",
        form: Form::Text,
        help: "Address and port for agents (UDP).",
    },
    Setting {
        key: "names",
        env: "WINDFLOW_NAMES",
        flag: Some("--name"),
        default: "",
        form: Form::List,
        help: "Names and addresses this controller is reached by, for its certificate; the first one is shown in URLs. \
               Without any: the host's name.",
    },
    Setting {
        key: "quic_address",
        env: "WINDFLOW_QUIC_ADDRESS",
        flag: None,
        default: "",
        form: Form::Text,
        help: "host:port (UDP) that agents are told to dial. Without it: the first name and the port of `quic`.",
    },
    Setting {
        key: "agent_binaries",
        env: "WINDFLOW_AGENT_BINARIES",
        flag: None,
        default: "",
        form: Form::Text,
        help: "Folder with windflow-agent-ARCH, which the installer fetches. Without it: the folder of the \
               controller's own program.",
    },
    Setting {
        key: "agent_certificate_life_s",
        env: "WINDFLOW_AGENT_CERTIFICATE_LIFE_S",
        flag: None,
        default: "86400",
        form: Form::Number,
        help: "Life of agents' certificates in seconds, 10 to 604800; renewed at half of it.",
    },
    Setting {
        key: "link_handshakes",
        env: "WINDFLOW_LINK_HANDSHAKES",
        flag: None,
        default: "1024",
        form: Form::Number,
        help: "Hosts whose handshake or greeting may be in progress, 16 to 65536; more wait.",
    },
    Setting {
        key: "link_handshakes_per_source",
        env: "WINDFLOW_LINK_HANDSHAKES_PER_SOURCE",
        flag: None,
        default: "768",
        form: Form::Number,
        help: "Of them from one IPv4 address or one IPv6 network of 64 bits, 8 to 65536; more are refused and \
               come back with jitter.",
    },
    Setting {
        key: "link_handshakes_per_s",
        env: "WINDFLOW_LINK_HANDSHAKES_PER_S",
        flag: None,
        default: "",
        form: Form::Number,
        help: "Handshakes begun in a second, 1 to 100000; the rest of the processor is the API's. Without it: 500 for \
               each processor.",
    },
    Setting {
        key: "link_joins_per_s",
        env: "WINDFLOW_LINK_JOINS_PER_S",
        flag: None,
        default: "20",
        form: Form::Number,
        help: "Hosts that may join in a second, 1 to 10000; others are told when their turn is.",
    },
    Setting {
        key: "metrics_days",
        env: "WINDFLOW_METRICS_DAYS",
        flag: None,
        default: "7",
        form: Form::Number,
        help: "Days for which samples of hosts are kept as they came, 1 to 3650.",
    },
    Setting {
        key: "metrics_minute_days",
        env: "WINDFLOW_METRICS_MINUTE_DAYS",
        flag: None,
        default: "30",
        form: Form::Number,
        help: "Days for which one value a minute is kept, 1 to 3650.",
    },
    Setting {
        key: "metrics_ten_minute_days",
        env: "WINDFLOW_METRICS_TEN_MINUTE_DAYS",
        flag: None,
        default: "400",
        form: Form::Number,
        help: "Days for which one value in ten minutes is kept, 1 to 3650.",
    },
    Setting {
        key: "metrics_disk_mb",
        env: "WINDFLOW_METRICS_DISK_MB",
        flag: None,
        default: "10240",
        form: Form::Number,
        help: "Most megabytes on disk for all of that, 64 to 10000000; beyond it the oldest go, the finest first.",
    },
    Setting {
        key: "egress_allow",
        env: "WINDFLOW_EGRESS_ALLOW",
        flag: None,
        default: "",
        form: Form::List,
        help: "Networks (10.1.0.0/16), addresses and names of hosts that the controller may call although they are not of \
               the public internet.",
    },
    Setting {
        key: "egress_ca_file",
        env: "WINDFLOW_EGRESS_CA_FILE",
        flag: None,
        default: "",
        form: Form::Text,
        help: "Certificates (PEM) of authorities that are trusted for what the controller calls, besides those of the system.",
    },
];
