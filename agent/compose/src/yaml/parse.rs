//! From parser events to the located tree.

use super::scalar::decode_base64;
use super::{Directive, Map, Mark, Node, Value, resolve_plain};
use crate::problem::Report;
use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use std::borrow::Cow;
use std::collections::HashMap;

/// Largest file, bytes. The oracle has no limit; real projects stay below 1 MB.
const MOST_BYTES: usize = 8 * 1024 * 1024;
/// Most nodes of a document after anchors are expanded (compose-go's own figure).
const MOST_NODES: usize = 100_000;
/// Most bytes of text after anchors are expanded.
const MOST_TEXT: usize = 16 * 1024 * 1024;
/// Deepest nesting.
const MOST_DEPTH: usize = 100;
/// Most documents in a file.
const MOST_DOCUMENTS: usize = 100;

/// Reads all documents of a file. Problems go to the report; what could be read is returned.
pub(crate) fn parse(name: &str, text: &str, report: &mut Report) -> Vec<Node> {
    let file = report.file(name);
    let start = Mark {
        file,
        line: 1,
        column: 1,
    };
    if text.len() > MOST_BYTES {
        report.error(
            start,
            "",
            format!("the file has {} bytes; at most {MOST_BYTES} are read", text.len()),
        );
        return Vec::new();
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder {
        file,
        report,
        documents: Vec::new(),
        stack: Vec::new(),
        anchors: HashMap::new(),
        nodes: 0,
        bytes: 0,
        failed: false,
    };
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => builder.event(event, span),
            Err(error) => {
                let mark = Mark {
                    file,
                    line: index(error.marker().line()),
                    column: index(error.marker().col() + 1),
                };
                builder
                    .report
                    .error(mark, "", format!("not valid YAML: {}", error.info()));
                builder.failed = true;
            }
        }
        if builder.failed {
            return Vec::new();
        }
    }
    builder.documents
}

fn index(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// A list or map that is not closed yet.
struct Open {
    node: Node,
    anchor: usize,
    /// The key that waits for its value.
    key: Option<(String, Mark, bool)>,
    /// What `<<` brings in, in order.
    merges: Vec<Node>,
    counted: (usize, usize),
}

struct Builder<'r> {
    file: u32,
    report: &'r mut Report,
    documents: Vec<Node>,
    stack: Vec<Open>,
    /// Anchored nodes with their nodes and bytes.
    anchors: HashMap<usize, (Node, usize, usize)>,
    nodes: usize,
    bytes: usize,
    failed: bool,
}

impl Builder<'_> {
    fn fail(&mut self, mark: Mark, message: impl Into<String>) {
        let path = self.path();
        self.report.error(mark, &path, message);
        self.failed = true;
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for open in &self.stack {
            match &open.node.value {
                Value::List(items) => path.push_str(&format!("[{}]", items.len())),
                _ => {
                    if let Some((key, ..)) = &open.key {
                        path = super::join(&path, key);
                    }
                }
            }
        }
        path
    }

    fn event(&mut self, event: Event<'_>, span: Span) {
        let mark = Mark {
            file: self.file,
            line: index(span.start.line()),
            column: index(span.start.col() + 1),
        };
        match event {
            Event::DocumentStart(_) => {
                self.anchors.clear();
                if self.documents.len() == MOST_DOCUMENTS {
                    self.fail(mark, format!("more than {MOST_DOCUMENTS} documents in one file"));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                self.count(1, text.len(), mark);
                let Some(node) = self.scalar(&text, plain, tag.as_deref(), mark) else {
                    let tag = tag.map(|tag| tag.suffix.clone()).unwrap_or_default();
                    return self.fail(mark, format!("{text:?} is no value for the tag !!{tag}"));
                };
                let merge = plain && text == "<<";
                self.finish(node, anchor, merge, (1, text.len()));
            }
            Event::SequenceStart(anchor, tag) => self.open(Value::List(Vec::new()), anchor, tag, mark),
            Event::MappingStart(anchor, tag) => self.open(Value::Map(Map::new()), anchor, tag, mark),
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some((_, nodes, bytes)) => {
                    let (nodes, bytes) = (*nodes, *bytes);
                    self.count(nodes, bytes, mark);
                    if !self.failed {
                        let node = self.anchors.get(&anchor).map(|(node, ..)| node.clone());
                        if let Some(node) = node {
                            self.finish(node, 0, false, (0, 0));
                        }
                    }
                }
                None => self.fail(mark, "an alias inside of its own anchor"),
            },
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
    }

    fn count(&mut self, nodes: usize, bytes: usize, mark: Mark) {
        self.nodes += nodes;
        self.bytes += bytes;
        if self.nodes > MOST_NODES {
            self.fail(
                mark,
                format!("the document has more than {MOST_NODES} values when its aliases are expanded"),
            );
        } else if self.bytes > MOST_TEXT {
            self.fail(
                mark,
                format!("the document has more than {MOST_TEXT} bytes when its aliases are expanded"),
            );
        }
    }

    /// None: the text does not fit its tag.
    fn scalar(&mut self, text: &str, plain: bool, tag: Option<&Tag>, mark: Mark) -> Option<Node> {
        let resolved = || {
            if plain {
                resolve_plain(text)
            } else {
                Value::Str(text.to_owned())
            }
        };
        let value = match tag {
            Some(tag) if tag.is_yaml_core_schema() => match tag.suffix.as_str() {
                "str" => Value::Str(text.to_owned()),
                "binary" => Value::Str(decode_base64(text)?),
                kind @ ("null" | "int" | "float" | "bool" | "timestamp") => {
                    let value = resolve_plain(text);
                    let fits = match kind {
                        "null" => matches!(value, Value::Null),
                        "int" => matches!(value, Value::Int(_)),
                        "float" => matches!(value, Value::Int(_) | Value::Float(_)),
                        "bool" => matches!(value, Value::Bool(_)),
                        _ => true,
                    };
                    return fits.then(|| Node::new(value, mark));
                }
                _ => resolved(),
            },
            Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => Value::Str(text.to_owned()),
            // Nothing behind a tag of one's own is an empty text.
            Some(_) if text.is_empty() => Value::Str(String::new()),
            _ => resolved(),
        };
        Some(Node {
            directive: tag.and_then(directive),
            ..Node::new(value, mark)
        })
    }

    fn open(&mut self, value: Value, anchor: usize, tag: Option<Cow<'_, Tag>>, mark: Mark) {
        if self.stack.len() == MOST_DEPTH {
            self.fail(mark, format!("nested more than {MOST_DEPTH} levels deep"));
            return;
        }
        let counted = (self.nodes, self.bytes);
        self.count(1, 0, mark);
        let node = Node {
            directive: tag.as_deref().and_then(directive),
            ..Node::new(value, mark)
        };
        self.stack.push(Open {
            node,
            anchor,
            key: None,
            merges: Vec::new(),
            counted,
        });
    }

    fn close(&mut self) {
        let Some(mut open) = self.stack.pop() else { return };
        if let Value::Map(map) = &mut open.node.value {
            for merge in open.merges {
                let Value::Map(from) = merge.value else { continue };
                for (key, node) in from {
                    map.entry(key).or_insert(node);
                }
            }
        }
        let (nodes, bytes) = (self.nodes - open.counted.0, self.bytes - open.counted.1);
        self.finish(open.node, open.anchor, false, (nodes, bytes));
    }

    /// A node is complete: into its parent with it.
    fn finish(&mut self, node: Node, anchor: usize, merge_key: bool, (nodes, bytes): (usize, usize)) {
        if self.failed {
            return;
        }
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), nodes, bytes));
        }
        let Some(open) = self.stack.last_mut() else {
            self.documents.push(node);
            return;
        };
        match &mut open.node.value {
            Value::List(items) => items.push(node),
            Value::Map(map) => match open.key.take() {
                None => match &node.value {
                    Value::Str(text) => open.key = Some((text.clone(), node.at, merge_key)),
                    _ => {
                        let text = node.scalar_text().unwrap_or_else(|| {
                            if node.is_null() {
                                "null".to_owned()
                            } else {
                                node.kind().to_owned()
                            }
                        });
                        self.fail(
                            node.at,
                            format!("the key {text} is not a string; put it in quotes"),
                        );
                    }
                },
                Some((_, mark, true)) => {
                    let sources = match node.value {
                        Value::List(items) => items,
                        _ => vec![node],
                    };
                    if !open.merges.is_empty() {
                        self.fail(mark, "`<<` is given twice; write one, with a list of mappings");
                    } else if sources.iter().all(|source| source.as_map().is_some()) {
                        open.merges.extend(sources);
                    } else {
                        self.fail(mark, "`<<` takes a mapping or a list of mappings");
                    }
                }
                Some((key, mark, false)) => {
                    if map.contains_key(&key) {
                        let message = format!("the key {key:?} is given twice");
                        open.key = Some((key, mark, false));
                        self.fail(mark, message);
                        return;
                    }
                    map.insert(key, Node { key: mark, ..node });
                }
            },
            _ => {}
        }
    }
}

fn directive(tag: &Tag) -> Option<Directive> {
    match (tag.handle.as_str(), tag.suffix.as_str()) {
        ("!", "reset") => Some(Directive::Reset),
        ("!", "override") => Some(Directive::Override),
        _ => None,
    }
}
