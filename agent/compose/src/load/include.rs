//! `include`: other projects, loaded with their own directory and environment, as part of this one.

use super::paths;
use super::tree::{Loader, Scope};
use crate::dotenv;
use crate::yaml::{Map, Mark, Node, Value};
use std::collections::BTreeMap;

impl Loader<'_> {
    /// Takes what a document includes into the tree. What the document itself defines must be the same where both do.
    pub(super) fn include(&mut self, include: Node, document: &Node, scope: &Scope<'_>, into: &mut Node) {
        let Value::List(items) = include.value else {
            return self.report.error(include.at, "include", "must be a list");
        };
        for (index, item) in items.iter().enumerate() {
            let key = format!("include[{index}]");
            if let Some(tree) = self.included(item, &key, scope) {
                self.import(tree, document, &key, item.at, into);
            }
        }
    }

    fn included(&mut self, item: &Node, key: &str, scope: &Scope<'_>) -> Option<Node> {
        let texts = |node: Option<&Node>| -> Vec<String> {
            match node.map(|node| &node.value) {
                Some(Value::Str(text)) => vec![text.clone()],
                Some(Value::List(items)) => items
                    .iter()
                    .filter_map(|n| n.as_str().map(str::to_owned))
                    .collect(),
                _ => Vec::new(),
            }
        };
        let names = if item.as_map().is_some() {
            texts(item.get("path"))
        } else {
            texts(Some(item))
        };
        let Some(first) = names.first() else {
            self.report
                .error(item.at, key, "must name a file: a path, or a mapping with `path`");
            return None;
        };
        if let Some(remote) = names
            .iter()
            .find(|name| name.contains("://") || name.starts_with("git@") || name.starts_with("oci:"))
        {
            self.report.hinted(
                item.at,
                key,
                format!("the remote file {remote:?} is not included"),
                "include files of this host",
            );
            return None;
        }
        let files: Vec<String> = names
            .iter()
            .map(|name| paths::absolute(scope.directory, name, scope.env))
            .collect();
        let main = paths::absolute(scope.directory, first, scope.env);
        let directory = item.str_at("project_directory").map_or_else(
            || paths::parent(&main),
            |directory| paths::absolute(scope.directory, directory, scope.env),
        );
        if scope.including.contains(&main) {
            let chain = scope.including.iter().chain([&main]);
            let chain: Vec<&str> = chain.map(|file| self.report.shown(file)).collect();
            self.report.error(
                item.at,
                key,
                format!("the files include each other in a circle: {}", chain.join(" → ")),
            );
            return None;
        }
        let named: Vec<String> = texts(item.get("env_file"));
        let env_files: Vec<String> = named
            .iter()
            .map(|name| paths::absolute(scope.directory, name, scope.env))
            .collect();
        let env = self.included_env(&env_files, &directory, item.at, key, scope.env)?;
        let mut including = scope.including.clone();
        including.push(main);
        let inner = Scope {
            directory: &directory,
            env: &env,
            including,
        };
        let mut tree = Node::new(Value::Map(Map::new()), item.at);
        for file in &files {
            let text = self.text(file, item.at, key)?;
            self.file(file, &text, &inner, &mut tree);
        }
        paths::file(&mut tree, &directory, &env);
        super::normalise::resolve_values(&mut tree, &env);
        Some(tree)
    }

    /// The environment of an included project: its own files, but the including one wins.
    fn included_env(
        &mut self,
        files: &[String],
        directory: &str,
        at: Mark,
        key: &str,
        outer: &BTreeMap<String, String>,
    ) -> Option<BTreeMap<String, String>> {
        let implicit = vec![format!("{directory}/.env")];
        let list = if files.is_empty() { &implicit } else { files };
        let mut env = BTreeMap::new();
        for file in list {
            let text = if files.is_empty() {
                self.files.read(file).ok().flatten()
            } else if file == "/dev/null" {
                None
            } else {
                Some(self.text(file, at, key)?)
            };
            let Some(text) = text else { continue };
            let lookup = |name: &str| outer.get(name).or_else(|| env.get(name)).cloned();
            match dotenv::parse(&text, &lookup, &mut |_| {}) {
                Ok(values) => env.extend(values),
                Err(error) => {
                    let text = format!("{}:{}: {error}", self.report.shown(file), error.line);
                    self.report.error(at, key, text);
                }
            }
        }
        env.extend(outer.iter().map(|(name, value)| (name.clone(), value.clone())));
        Some(env)
    }

    /// Takes the resources of an included tree. One that is there already must be the same.
    fn import(&mut self, tree: Node, document: &Node, key: &str, at: Mark, into: &mut Node) {
        let Value::Map(sections) = tree.value else { return };
        for (section, node) in sections {
            let Value::Map(entries) = node.value else { continue };
            if !matches!(
                section.as_str(),
                "services" | "networks" | "volumes" | "secrets" | "configs" | "models"
            ) {
                continue;
            }
            if into.get(&section).is_none() {
                into.set(&section, Node::new(Value::Map(Map::new()), node.at));
            }
            let Some(own) = into.get_mut(&section).and_then(Node::as_map_mut) else {
                continue;
            };
            let defined = document.get(&section);
            for (name, mut entry) in entries {
                entry.directive = None;
                if let Some(twin) = defined.and_then(|map| map.get(&name))
                    && twin.to_json() != entry.to_json()
                {
                    let key = format!("{section}.{name}");
                    self.report
                        .error(twin.key, &key, "is defined here and in an included file");
                }
                match own.get(&name) {
                    Some(known) if known.to_json() != entry.to_json() => {
                        self.report.error(
                            at,
                            key,
                            format!("{section}.{name} is defined here and in the included file"),
                        );
                    }
                    _ => {
                        own.insert(name, entry);
                    }
                }
            }
        }
    }
}
