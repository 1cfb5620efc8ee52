//! The bans of deny.toml, judged from Cargo.lock alone: they hold where cargo-deny is not installed.

use crate::tool;
use anyhow::{Context, Result};
use serde::Deserialize;

#[derive(Deserialize)]
struct Deny {
    bans: Bans,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
struct Ban {
    name: String,
    /// `<a.b.c`: only these are banned. Absent: every version.
    version: Option<String>,
    reason: String,
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    source: Option<String>,
}

/// Every locked package that is banned, or that does not come from the registry.
pub(crate) fn check() -> Result<Vec<String>> {
    let root = tool::root();
    let deny = toml::from_str(&fs_err::read_to_string(root.join("deny.toml"))?).context("deny.toml")?;
    let lock = toml::from_str(&fs_err::read_to_string(root.join("Cargo.lock"))?).context("Cargo.lock")?;
    judge(&deny, &lock)
}

fn judge(deny: &Deny, lock: &Lock) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for package in &lock.package {
        for ban in deny.bans.deny.iter().filter(|b| b.name == package.name) {
            if banned(ban, &package.version)? {
                problems.push(format!(
                    "Cargo.lock: {} {} is banned: {}",
                    package.name, package.version, ban.reason
                ));
            }
        }
        if package
            .source
            .as_deref()
            .is_some_and(|s| !s.starts_with("registry+"))
        {
            problems.push(format!(
                "Cargo.lock: {} {} does not come from the registry",
                package.name, package.version
            ));
        }
    }
    Ok(problems)
}

fn banned(ban: &Ban, version: &str) -> Result<bool> {
    let Some(range) = &ban.version else {
        return Ok(true);
    };
    let bound = range.strip_prefix('<').with_context(|| {
        format!(
            "deny.toml: {}: only ranges like `<1.2.3` are understood, not `{range}`",
            ban.name
        )
    })?;
    Ok(numbers(version) < numbers(bound))
}

fn numbers(version: &str) -> Vec<u64> {
    let plain = version.split(['-', '+']).next().unwrap_or(version);
    plain.split('.').map(|n| n.trim().parse().unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, version: &str, source: &str, problems: usize) {
        let deny: Deny = toml::from_str(
            "[bans]\ndeny = [{ name = \"openssl\", reason = \"C\" }, { name = \"tar\", version = \"<0.4.45\", reason = \"old\" }]",
        )
        .unwrap();
        let lock: Lock = toml::from_str(&format!(
            "[[package]]\nname = \"{name}\"\nversion = \"{version}\"\nsource = \"{source}\"\n"
        ))
        .unwrap();
        assert_eq!(judge(&deny, &lock).unwrap().len(), problems, "{name} {version}");
    }

    #[test]
    fn packages_are_judged() {
        let registry = "registry+https://example.org/index";
        check("openssl", "0.10.1", registry, 1);
        check("openssl-probe", "0.2.0", registry, 0);
        check("tar", "0.4.44", registry, 1);
        check("tar", "0.4.45", registry, 0);
        check("tar", "0.10.0", registry, 0);
        check("serde", "1.0.0", "git+https://example.org/serde", 1);
    }
}
