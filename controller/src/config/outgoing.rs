//! Settings of what the controller calls.

use std::path::PathBuf;

use windflow_kit::settings::Settings;

use crate::egress::{Allow, EgressOptions};

pub(super) fn egress(settings: &mut Settings) -> EgressOptions {
    let allow = Allow::read(&settings.list("egress_allow")).unwrap_or_else(|problems| {
        for problem in problems {
            settings.problem("egress_allow", &problem);
        }
        Allow::default()
    });
    EgressOptions {
        allow,
        ca_file: settings.value("egress_ca_file", |text| Ok(PathBuf::from(text))),
    }
}
