//! Keys of the file and of its top-level resources, and the shapes that several places share.

use super::Shape::{self, Any, Any2, Bool, Closed, Dict, Int, List, Null, Number, Object, Set, Text};
use super::service::SERVICE;

pub(super) fn name(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

pub(super) fn any_name(text: &str) -> bool {
    !text.is_empty()
}

pub(super) const ANY_INT: Shape = Int(i64::MIN, i64::MAX);
pub(super) const FLAG: Shape = Any2(&[Bool, Text]);
pub(super) const INT: Shape = Any2(&[ANY_INT, Text]);
pub(super) const NUMBER: Shape = Any2(&[Number, Text]);
pub(super) const TEXTS: Shape = List(&Text);
pub(super) const TEXT_SET: Shape = Set(&Text);
/// Lists whose repeats are merged before the check may repeat items.
pub(super) const TEXT_OR_LIST: Shape = Any2(&[Text, TEXTS]);
pub(super) const TEXT_OR_SET: Shape = Any2(&[Text, TEXT_SET]);
pub(super) const SCALAR: Shape = Any2(&[Text, Number, Bool, Null]);
/// A mapping of names to scalars, or a list of `KEY=value`.
pub(super) const LIST_OR_DICT: Shape = Any2(&[Dict(any_name, &SCALAR), TEXTS]);
pub(super) const OPTIONS: Shape = Dict(any_name, &Any2(&[Text, Number]));
pub(super) const TEXT_DICT: Shape = Dict(any_name, &Text);
pub(super) const COMMAND: Shape = Any2(&[Null, Text, TEXTS]);
pub(super) const HOSTS: Shape = Any2(&[Dict(any_name, &Any2(&[Text, TEXTS])), TEXT_SET]);
pub(super) const FILE_REFERENCES: Shape = List(&Any2(&[
    Text,
    Object(
        &[
            ("source", Text),
            ("target", Text),
            ("uid", Text),
            ("gid", Text),
            ("mode", NUMBER),
        ],
        &[],
    ),
]));

const EXTERNAL: Shape = Any2(&[Bool, Text, Object(&[("name", Text)], &[])]);

const NETWORK: Shape = Any2(&[
    Null,
    Object(
        &[
            ("name", Text),
            ("driver", Text),
            ("driver_opts", OPTIONS),
            (
                "ipam",
                Object(
                    &[
                        ("driver", Text),
                        (
                            "config",
                            List(&Object(
                                &[
                                    ("subnet", Text),
                                    ("ip_range", Text),
                                    ("gateway", Text),
                                    ("aux_addresses", TEXT_DICT),
                                ],
                                &[],
                            )),
                        ),
                        ("options", TEXT_DICT),
                    ],
                    &[],
                ),
            ),
            ("external", EXTERNAL),
            ("internal", FLAG),
            ("enable_ipv4", FLAG),
            ("enable_ipv6", FLAG),
            ("attachable", FLAG),
            ("labels", LIST_OR_DICT),
        ],
        &[],
    ),
]);

const VOLUME: Shape = Any2(&[
    Null,
    Object(
        &[
            ("name", Text),
            ("driver", Text),
            ("driver_opts", OPTIONS),
            ("external", EXTERNAL),
            ("labels", LIST_OR_DICT),
        ],
        &[],
    ),
]);

const SECRET: Shape = Object(
    &[
        ("name", Text),
        ("environment", Text),
        ("file", Text),
        ("external", EXTERNAL),
        ("labels", LIST_OR_DICT),
        ("driver", Text),
        ("driver_opts", OPTIONS),
        ("template_driver", Text),
    ],
    &[],
);

const CONFIG: Shape = Object(
    &[
        ("name", Text),
        ("content", Text),
        ("environment", Text),
        ("file", Text),
        ("external", EXTERNAL),
        ("labels", LIST_OR_DICT),
        ("template_driver", Text),
    ],
    &[],
);

const MODEL: Shape = Object(
    &[
        ("name", Text),
        ("model", Text),
        ("context_size", ANY_INT),
        ("runtime_flags", TEXTS),
    ],
    &["model"],
);

const INCLUDE: Shape = Any2(&[
    Text,
    Closed(
        &[
            ("path", TEXT_OR_SET),
            ("env_file", TEXT_OR_SET),
            ("project_directory", Text),
        ],
        &[],
    ),
]);

/// A whole file.
pub(crate) const FILE: Shape = Object(
    &[
        ("version", Text),
        ("name", Text),
        ("include", List(&INCLUDE)),
        ("services", Dict(name, &SERVICE)),
        ("models", Dict(name, &MODEL)),
        ("networks", Dict(any_name, &NETWORK)),
        ("volumes", Dict(name, &VOLUME)),
        ("secrets", Dict(name, &SECRET)),
        ("configs", Dict(name, &CONFIG)),
    ],
    &[],
);

/// Anything at all (for `storage_opt`, whose values are the driver's business).
pub(super) const FREE: Shape = Dict(any_name, &Any);
