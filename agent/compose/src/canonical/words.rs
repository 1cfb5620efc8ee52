//! A command as one text becomes words, as the reference splits it: quotes and backslashes of a shell, nothing expanded,
//! and an operator of the shell ends the command.

use crate::problem::Report;
use crate::yaml::{Node, Value};

pub(super) fn command(node: &mut Node, path: &str, report: &mut Report) {
    let Value::Str(text) = &node.value else { return };
    let mark = node.at;
    match split(text) {
        Ok(Words { words, rest }) => {
            if let Some(rest) = rest {
                report.warn(
                    mark,
                    path,
                    format!(
                        "no shell reads this command: it ends before {rest:?}; write [sh, -c, …] for a shell"
                    ),
                );
            }
            node.value = Value::List(words.into_iter().map(|word| Node::text(word, mark)).collect());
        }
        Err(message) => report.hinted(mark, path, message, "write the command as a list of words"),
    }
}

#[derive(Debug, PartialEq)]
struct Words<'t> {
    words: Vec<String>,
    /// What an operator of the shell cuts off.
    rest: Option<&'t str>,
}

/// What stands around a character.
#[derive(Clone, Copy, PartialEq)]
enum Inside {
    Nothing,
    Single,
    Double,
    Back,
    /// `$(…)`.
    Dollar,
}

fn split(text: &str) -> Result<Words<'_>, &'static str> {
    let mut words = Vec::new();
    let mut word = String::new();
    // Whether there is a word, which may be an empty one in quotes.
    let mut some = false;
    let mut inside = Inside::Nothing;
    let mut rest = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match (c, inside) {
            ('\\', Inside::Nothing | Inside::Double | Inside::Back | Inside::Dollar) => {
                let (_, escaped) = chars
                    .next()
                    .ok_or("nothing follows the backslash at the end of the command")?;
                word.push(escaped);
                some = true;
                continue;
            }
            (' ' | '\t' | '\r' | '\n', Inside::Nothing) => {
                if std::mem::take(&mut some) {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            ('\'', Inside::Nothing) => {
                inside = Inside::Single;
                continue;
            }
            ('"', Inside::Nothing) => {
                inside = Inside::Double;
                continue;
            }
            ('\'', Inside::Single) | ('"', Inside::Double) => {
                inside = Inside::Nothing;
                some = true;
                continue;
            }
            ('`', Inside::Nothing) => inside = Inside::Back,
            ('`', Inside::Back) | (')', Inside::Dollar) => inside = Inside::Nothing,
            ('(', Inside::Nothing) if word.ends_with('$') => inside = Inside::Dollar,
            ('(' | ')', Inside::Nothing) | ('(', Inside::Dollar) => {
                return Err("parentheses have no meaning in a command that no shell reads");
            }
            (';' | '&' | '|' | '<' | '>', Inside::Nothing) => {
                // The number before `>` belongs to the operator.
                some &= !(c == '>' && word.starts_with(|c: char| c.is_ascii_digit()));
                rest = text.get(at..);
                break;
            }
            _ => {}
        }
        word.push(c);
        some = true;
    }
    if inside != Inside::Nothing {
        return Err("a quote in the command is not closed");
    }
    if some {
        words.push(word);
    }
    Ok(Words { words, rest })
}
