//! A command as one text becomes words, as a POSIX shell splits them (nothing is expanded).

use crate::problem::Report;
use crate::yaml::{Node, Value};

pub(super) fn command(node: &mut Node, path: &str, report: &mut Report) {
    let Value::Str(text) = &node.value else { return };
    match split(text) {
        Some(words) => {
            let mark = node.at;
            node.value = Value::List(words.into_iter().map(|word| Node::text(word, mark)).collect());
        }
        None => report.error(node.at, path, "a quote or backslash in the command is not closed"),
    }
}

/// None: a quote is open at the end.
fn split(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '"' => break,
                        '\\' => match chars.next()? {
                            c @ ('"' | '\\' | '$' | '`') => word.push(c),
                            c => word.extend(['\\', c]),
                        },
                        c => word.push(c),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(chars.next()?),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}
