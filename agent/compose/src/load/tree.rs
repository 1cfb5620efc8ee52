//! One file after the other into one canonical tree.

use crate::cast::interpolate_tree;
use crate::files::Files;
use crate::load::paths;
use crate::merge::{merge_files, prune_nulls, remove, take_directives, unify_service};
use crate::problem::Report;
use crate::shape::{self, FILE};
use crate::yaml::{self, Map, Mark, Node, Value};
use crate::{canonical, merge};
use std::collections::BTreeMap;

/// Most files that one load reads.
const MOST_FILES: usize = 500;
/// Longest chain of `extends`.
const MOST_CHAIN: usize = 50;

pub(super) struct Loader<'a> {
    pub(super) files: &'a dyn Files,
    pub(super) report: &'a mut Report,
    pub(super) interpolate: bool,
    /// Variables stay as they are, and so do the values that may hold them.
    pub(super) draft: bool,
    /// A part of the project could not be read at all: what seems to be missing may be there.
    pub(super) blind: bool,
    pub(super) read: usize,
}

/// Where and with what a file is read.
pub(super) struct Scope<'s> {
    /// Base of relative paths.
    pub(super) directory: &'s str,
    pub(super) env: &'s BTreeMap<String, String>,
    /// Files that are being included, outermost first.
    pub(super) including: Vec<String>,
}

impl Loader<'_> {
    /// Reads a file, or says why not at the place that names it.
    pub(super) fn text(&mut self, path: &str, at: Mark, key: &str) -> Option<String> {
        self.read += 1;
        let message = if self.read > MOST_FILES {
            format!("more than {MOST_FILES} files")
        } else {
            let read = self.files.read(path);
            let path = self.report.shown(path);
            match read {
                Ok(Some(text)) => return Some(text),
                Ok(None) => format!("the file {path} does not exist"),
                Err(cause) => format!("the file {path} cannot be read: {cause}"),
            }
        };
        self.report.error(at, key, message);
        self.blind = true;
        None
    }

    /// Merges a file with all its documents into the tree.
    pub(super) fn file(&mut self, path: &str, text: &str, scope: &Scope<'_>, into: &mut Node) {
        let before = self.report.problems.len();
        let documents = yaml::parse(path, text, self.report);
        if self.report.problems.len() > before {
            self.blind = true;
        }
        for mut document in documents {
            match &document.value {
                Value::Map(_) => {}
                Value::Null => {
                    self.report.error(document.at, "", "the document is empty");
                    continue;
                }
                _ => {
                    self.report.error(
                        document.at,
                        "",
                        "the top of a Compose file must be a mapping of keys",
                    );
                    continue;
                }
            }
            if !self.draft {
                interpolate_tree(&mut document, self.interpolate.then_some(scope.env), self.report);
            }
            let directives = take_directives(&mut document);
            if let Some(include) = document.as_map_mut().and_then(|map| map.shift_remove("include")) {
                self.include(include, &document, scope, into);
            }
            remove(into, &directives);
            let original = document.clone();
            self.services(&mut document, &original, path, scope, into, &directives);
            prune_nulls(&mut document, &[&*into]);
            shape::check(&mut document, &FILE, "", self.report);
            if let Some(version) = document.as_map_mut().and_then(|map| map.shift_remove("version")) {
                self.report.warn(
                    version.key,
                    "version",
                    "the key is obsolete and has no effect; remove it",
                );
            }
            self.long_form(&mut document);
            merge_files(into, document, self.report);
        }
    }

    /// Brings a document into the form in which it is merged.
    fn long_form(&mut self, document: &mut Node) {
        if self.draft {
            canonical::draft(document);
        } else {
            canonical::file(document, self.report);
        }
        unify(document);
    }

    /// Replaces every service that extends another by the merged one.
    fn services(
        &mut self,
        document: &mut Node,
        original: &Node,
        path: &str,
        scope: &Scope<'_>,
        into: &Node,
        directives: &[Vec<String>],
    ) {
        let Some(Value::Map(services)) = document.get_mut("services").map(|node| &mut node.value) else {
            return;
        };
        for (name, service) in services.iter_mut() {
            if service.get("extends").is_none() {
                continue;
            }
            let mut chain = vec![(path.to_owned(), name.clone())];
            let own = service.clone();
            let before = into.get("services").and_then(|services| services.get(name));
            if let Some(merged) =
                self.extended(own, original, name, path, scope, directives, &mut chain, before)
            {
                *service = merged;
            } else if let Some(map) = service.as_map_mut() {
                map.shift_remove("extends");
            }
        }
    }

    /// A service with its base below it, in the long form.
    #[expect(
        clippy::too_many_arguments,
        reason = "one recursion, whose state is these values"
    )]
    fn extended(
        &mut self,
        mut own: Node,
        document: &Node,
        name: &str,
        path: &str,
        scope: &Scope<'_>,
        directives: &[Vec<String>],
        chain: &mut Vec<(String, String)>,
        before: Option<&Node>,
    ) -> Option<Node> {
        if own.is_null() && base_may_be_empty(chain) {
            own.value = Value::Map(Map::new());
        }
        let extends = own.as_map_mut().and_then(|map| map.shift_remove("extends"));
        let mut base = match extends {
            Some(extends) if !extends.is_null() => {
                Some(self.base(&extends, document, name, path, scope, directives, chain)?)
            }
            _ => None,
        };
        let prefix: Vec<Vec<String>> = directives
            .iter()
            .filter(|keys| {
                keys.first().is_some_and(|k| k == "services") && keys.get(1).is_some_and(|k| k == name)
            })
            .map(|keys| keys.iter().skip(2).cloned().collect())
            .collect();
        if let Some(base) = &mut base {
            remove(base, &prefix);
        }
        let bases: Vec<&Node> = base.iter().chain(before).collect();
        merge::prune_service_nulls(&mut own, &bases);
        let mark = own.at;
        let services = Node::new(Value::Map(Map::from([(name.to_owned(), own)])), mark);
        let mut wrapped = Node::map([("services", services)], mark);
        shape::check(&mut wrapped, &FILE, "", self.report);
        self.long_form(&mut wrapped);
        let own = wrapped.get("services")?.get(name)?.clone();
        Some(match base {
            Some(mut base) => {
                let mut keys = vec!["services".to_owned(), name.to_owned()];
                merge::merge(&mut base, own, &mut keys, self.report);
                base
            }
            None => own,
        })
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one recursion, whose state is these values"
    )]
    fn base(
        &mut self,
        extends: &Node,
        document: &Node,
        name: &str,
        path: &str,
        scope: &Scope<'_>,
        directives: &[Vec<String>],
        chain: &mut Vec<(String, String)>,
    ) -> Option<Node> {
        let key = format!("services.{name}.extends");
        let target = extends.as_str().or_else(|| extends.str_at("service"));
        let Some(target) = target else {
            self.report.error(
                extends.at,
                &key,
                "must be the name of a service, or a mapping with `service` and `file`",
            );
            return None;
        };
        let file = extends
            .str_at("file")
            .map(|file| paths::absolute(scope.directory, file, scope.env));
        let place = (file.clone().unwrap_or_else(|| path.to_owned()), target.to_owned());
        if chain.contains(&place) || chain.len() >= MOST_CHAIN {
            let mut names: Vec<&str> = chain.iter().map(|(_, name)| name.as_str()).collect();
            names.push(target);
            self.report.error(
                extends.at,
                &key,
                format!(
                    "the services extend each other in a circle: {}",
                    names.join(" → ")
                ),
            );
            return None;
        }
        chain.push(place);
        let missing = |loader: &mut Self, document: &Node, file: &str| {
            let file = loader.report.shown(file);
            let known = document.get("services").and_then(Node::as_map);
            let hint = known.and_then(|map| shape::nearest(target, map.keys().map(String::as_str)));
            let mut problem = loader.report.place(
                extends.at,
                &key,
                format!("there is no service {target:?} in {file}"),
            );
            problem.hint = hint.map(|name| format!("did you mean {name:?}?"));
            loader.report.push(problem);
        };
        let Some(file) = file else {
            let Some(own) = document
                .get("services")
                .and_then(|services| services.get(target))
                .cloned()
            else {
                missing(self, document, path);
                return None;
            };
            return self.extended(own, document, target, path, scope, directives, chain, None);
        };
        let text = self.text(&file, extends.at, &key)?;
        let mut documents = yaml::parse(&file, &text, self.report);
        let mut other = documents.drain(..).next()?;
        if !self.draft {
            interpolate_tree(&mut other, self.interpolate.then_some(scope.env), self.report);
        }
        let directives = take_directives(&mut other);
        let Some(own) = other
            .get("services")
            .and_then(|services| services.get(target))
            .cloned()
        else {
            missing(self, &other, &file);
            return None;
        };
        let directory = paths::parent(&file);
        let inner = Scope {
            directory: &directory,
            env: scope.env,
            including: scope.including.clone(),
        };
        let mut base = self.extended(own, &other, target, &file, &inner, &directives, chain, None)?;
        paths::service(&mut base, &directory, scope.env);
        Some(base)
    }
}

fn unify(document: &mut Node) {
    for (name, service) in document
        .get_mut("services")
        .and_then(Node::as_map_mut)
        .into_iter()
        .flatten()
    {
        unify_service(name, service);
    }
}

/// A base that says nothing is an empty one; a service of the project itself may not be empty.
const fn base_may_be_empty(chain: &[(String, String)]) -> bool {
    chain.len() > 1
}
