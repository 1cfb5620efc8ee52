//! The order to the builder, out of a service's `build` section.

use std::collections::BTreeMap;

use windflow_compose::model::{Build, Ulimit};

use super::proto::Writer;

/// What an order may be refused for: the key and why.
pub(super) type Refused = (&'static str, String);

/// What the builder is told.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// Options of the Dockerfile's frontend.
    pub(super) options: BTreeMap<String, String>,
    entitlements: Vec<String>,
    exports: Vec<Cache>,
}

/// A place of the build cache: kind and attributes.
#[derive(Debug, PartialEq, Eq)]
struct Cache {
    kind: String,
    attributes: BTreeMap<String, String>,
}

impl Cache {
    /// An image, or `type=KIND,KEY=VALUE,…`.
    fn parse(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        let mut attributes = BTreeMap::new();
        if parts.iter().all(|part| !part.contains('=')) {
            attributes.insert("ref".to_owned(), text.to_owned());
        }
        for part in parts {
            if let Some((key, value)) = part.split_once('=') {
                attributes.insert(key.trim().to_lowercase(), value.trim().to_owned());
            }
        }
        let kind = attributes.remove("type").unwrap_or_else(|| "registry".to_owned());
        if kind == "local" {
            return Err(format!(
                "{text:?}: a directory of this host as build cache is not supported; use type=registry or type=inline"
            ));
        }
        Ok(Self { kind, attributes })
    }
}

impl Order {
    /// Everything but the contexts.
    pub(super) fn new(
        build: &Build,
        args: &BTreeMap<String, String>,
        labels: &BTreeMap<String, String>,
        platform: Option<String>,
    ) -> Result<Self, Refused> {
        let mut order = Self::default();
        for (prefix, pairs) in [("build-arg:", args), ("label:", labels)] {
            for (key, value) in pairs {
                order.set(&format!("{prefix}{key}"), value);
            }
        }
        if build.no_cache {
            order.set("no-cache", "");
        } else if !build.no_cache_filter.is_empty() {
            order.set("no-cache", build.no_cache_filter.join(","));
        }
        // An image that is here already is taken, unless a newer one was asked for.
        order.set("image-resolve-mode", if build.pull { "pull" } else { "local" });
        if let Some(target) = build.target.as_ref().filter(|target| !target.is_empty()) {
            order.set("target", target);
        }
        if let Some(platform) = platform {
            order.set("platform", platform);
        }
        if build.shm_size.0 > 0 {
            order.set("shm-size", build.shm_size.0.to_string());
        }
        let limits = build.ulimits.iter().map(|(name, limit)| match *limit {
            Ulimit::Single(both) => format!("{name}={both}:{both}"),
            Ulimit::Range { soft, hard } => format!("{name}={soft}:{hard}"),
        });
        let limits: Vec<String> = limits.collect();
        if !limits.is_empty() {
            order.set("ulimit", limits.join(","));
        }
        let hosts = build.extra_hosts.iter();
        let hosts: Vec<String> = hosts
            .map(|host| host.replacen(':', "=", usize::from(!host.contains('='))))
            .collect();
        if !hosts.is_empty() {
            order.set("add-hosts", hosts.join(","));
        }
        order.entitlements.clone_from(&build.entitlements);
        if build.privileged {
            order.entitlements.push("security.insecure".to_owned());
        }
        match build.network.as_deref().unwrap_or_default() {
            "" | "default" => {}
            "none" => order.set("force-network-mode", "none"),
            "host" => {
                order.set("force-network-mode", "host");
                order.entitlements.push("network.host".to_owned());
            }
            other => {
                let text = format!("{other:?}: BuildKit knows default, host and none");
                return Err(("network", text));
            }
        }
        order.caches(build)?;
        Ok(order)
    }

    fn caches(&mut self, build: &Build) -> Result<(), Refused> {
        let mut imports = Vec::new();
        for text in &build.cache_from {
            let cache = Cache::parse(text).map_err(|text| ("cache_from", text))?;
            imports.push(serde_json::json!({ "Type": cache.kind, "Attrs": cache.attributes }));
        }
        if !imports.is_empty() {
            self.set("cache-imports", serde_json::Value::from(imports).to_string());
        }
        for text in &build.cache_to {
            self.exports
                .push(Cache::parse(text).map_err(|text| ("cache_to", text))?);
        }
        Ok(())
    }

    pub(super) fn set(&mut self, key: &str, value: impl Into<String>) {
        self.options.insert(key.to_owned(), value.into());
    }

    /// A further context by its name in the Dockerfile.
    pub(super) fn context(&mut self, name: &str, place: String) {
        // As a reference in the Dockerfile is looked up: without what is meant anyway.
        let plain = name.strip_prefix("docker.io/").unwrap_or(name);
        let plain = plain.strip_prefix("library/").unwrap_or(plain);
        let plain = plain.strip_suffix(":latest").unwrap_or(plain);
        self.set(&format!("context:{plain}"), place);
        self.set("frontend.caps", "moby.buildkit.frontend.contexts+forward");
    }

    /// The message. `images` are the names that the image gets.
    pub(super) fn message(&self, reference: &str, session: &str, images: &[String]) -> Vec<u8> {
        let exporter = BTreeMap::from([("name".to_owned(), images.join(","))]);
        let mut cache = Writer::default();
        for export in &self.exports {
            let entry = Writer::default()
                .bytes(1, &export.kind)
                .map(2, &export.attributes);
            cache = cache.always(4, entry.done());
        }
        let mut order = Writer::default()
            .bytes(1, reference)
            // The engine's own store of images.
            .bytes(3, "moby")
            .map(4, &exporter)
            .bytes(5, session)
            .bytes(6, "dockerfile.v0")
            .map(7, &self.options)
            .bytes(8, cache.done());
        for entitlement in &self.entitlements {
            order = order.always(9, entitlement);
        }
        order.done()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(build: &Build) -> Result<Order, Refused> {
        Order::new(build, &BTreeMap::new(), &BTreeMap::new(), None)
    }

    #[test]
    fn options_of_the_frontend() {
        let check = |build: Build, expected: &[(&str, &str)]| {
            let mut order = order(&build).unwrap();
            order.options.remove("image-resolve-mode");
            let options: Vec<_> = order
                .options
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str()))
                .collect();
            assert_eq!(options, expected);
        };
        check(Build::default(), &[]);
        let no_cache_filter = vec!["a".to_owned(), "b".to_owned()];
        check(
            Build {
                no_cache_filter: no_cache_filter.clone(),
                ..Build::default()
            },
            &[("no-cache", "a,b")],
        );
        check(
            Build {
                no_cache: true,
                no_cache_filter,
                ..Build::default()
            },
            &[("no-cache", "")],
        );
        check(
            Build {
                ulimits: BTreeMap::from([
                    ("core".into(), Ulimit::Single(1)),
                    ("nofile".into(), Ulimit::Range { soft: 2, hard: 3 }),
                ]),
                extra_hosts: vec!["a=192.0.2.1".into(), "b=::1".into(), "c:192.0.2.3".into()],
                network: Some("none".into()),
                ..Build::default()
            },
            &[
                ("add-hosts", "a=192.0.2.1,b=::1,c=192.0.2.3"),
                ("force-network-mode", "none"),
                ("ulimit", "core=1:1,nofile=2:3"),
            ],
        );
        check(
            Build {
                cache_from: vec!["r.example.org/a:1".into(), "type=gha,scope=x".into()],
                ..Build::default()
            },
            &[(
                "cache-imports",
                r#"[{"Type":"registry","Attrs":{"ref":"r.example.org/a:1"}},{"Type":"gha","Attrs":{"scope":"x"}}]"#,
            )],
        );
    }

    #[test]
    fn what_cannot_be_ordered_is_named() {
        let check = |build: Build, key: &str| assert_eq!(order(&build).unwrap_err().0, key);
        let local = vec!["type=local,dest=/tmp/c".to_owned()];
        check(
            Build {
                cache_to: local.clone(),
                ..Build::default()
            },
            "cache_to",
        );
        check(
            Build {
                cache_from: local,
                ..Build::default()
            },
            "cache_from",
        );
        check(
            Build {
                network: Some("my-net".into()),
                ..Build::default()
            },
            "network",
        );
    }

    #[test]
    fn privileges_and_names() {
        let mut order = order(&Build {
            privileged: true,
            network: Some("host".into()),
            cache_to: vec!["type=inline".into()],
            ..Build::default()
        })
        .unwrap();
        order.context("docker.io/library/base:latest", "local:x".into());
        assert_eq!(order.options["context:base"], "local:x");
        let message = order.message("r", "s", &["a".into(), "b:1".into()]);
        let fields: Vec<_> = super::super::proto::Fields(&message).collect();
        let texts = |number: u32| -> Vec<String> {
            let found = fields.iter().filter(|(field, _)| *field == number);
            found.map(|(_, value)| value.text()).collect()
        };
        assert_eq!(texts(4), ["\n\u{4}name\u{12}\u{5}a,b:1"]);
        assert_eq!(texts(8), ["\"\u{8}\n\u{6}inline"]);
        assert_eq!(texts(9), ["security.insecure", "network.host"]);
    }
}
