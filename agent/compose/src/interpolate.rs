//! Variables in texts: `$NAME`, `${NAME}` and every operator, nested.

use std::fmt;

/// Why a text could not be interpolated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The text is no valid template.
    #[error("invalid variable in {0:?}; write a literal dollar sign as $$")]
    Invalid(String),
    /// A variable with `?` has no value.
    #[error("{}", Missing(name, message))]
    Required {
        /// The variable.
        name: String,
        /// The author's message.
        message: String,
    },
    /// The result would be too large.
    #[error("the text has more than {MOST_BYTES} bytes when its variables are replaced")]
    TooLarge,
    /// Defaults in defaults, too many levels deep.
    #[error("variables are nested more than {MOST_DEPTH} levels deep")]
    TooDeep,
}

struct Missing<'a>(&'a str, &'a str);

impl fmt::Display for Missing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "required variable {} is missing a value", self.0)?;
        if self.1.is_empty() {
            Ok(())
        } else {
            write!(f, ": {}", self.1)
        }
    }
}

const MOST_DEPTH: usize = 50;
/// Most bytes of a text after its variables are replaced.
pub(crate) const MOST_BYTES: usize = 16 * 1024 * 1024;

/// Replaces the variables of a text. `lookup` knows the values; `unset` hears of every variable that was used, has no
/// value and no default (it counts as empty).
///
/// # Errors
/// See [`TemplateError`].
pub fn interpolate(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    unset: &mut dyn FnMut(&str),
) -> Result<String, TemplateError> {
    expand(text, lookup, unset, 0)
}

fn expand(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    unset: &mut dyn FnMut(&str),
    depth: usize,
) -> Result<String, TemplateError> {
    if depth > MOST_DEPTH {
        return Err(TemplateError::TooDeep);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        if out.len() > MOST_BYTES {
            return Err(TemplateError::TooLarge);
        }
        out.push_str(rest.get(..at).unwrap_or(""));
        rest = rest.get(at + 1..).unwrap_or("");
        if let Some(tail) = rest.strip_prefix('$') {
            out.push('$');
            rest = tail;
        } else if let Some(tail) = rest.strip_prefix('{') {
            let end = closing_brace(tail).ok_or_else(|| TemplateError::Invalid(shown(text)))?;
            let inner = tail.get(..end).unwrap_or("");
            out.push_str(&braced(inner, text, lookup, unset, depth)?);
            rest = tail.get(end + 1..).unwrap_or("");
        } else {
            let end = name_end(rest);
            let name = rest.get(..end).unwrap_or("");
            if name.is_empty() {
                out.push('$');
                continue;
            }
            match lookup(name) {
                Some(value) => out.push_str(&value),
                None => unset(name),
            }
            rest = rest.get(end..).unwrap_or("");
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn braced(
    inner: &str,
    whole: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    unset: &mut dyn FnMut(&str),
    depth: usize,
) -> Result<String, TemplateError> {
    let (name, tail) = inner.split_at(name_end(inner));
    if name.is_empty() {
        return Err(TemplateError::Invalid(shown(whole)));
    }
    let value = lookup(name);
    let (non_empty, operator) = match tail.strip_prefix(':') {
        Some(tail) => (true, tail),
        None => (false, tail),
    };
    let argument = operator.get(1..).unwrap_or("");
    let present = value
        .as_ref()
        .is_some_and(|value| !(non_empty && value.is_empty()));
    match (operator.chars().next(), non_empty) {
        (None, false) => {
            if value.is_none() {
                unset(name);
            }
            Ok(value.unwrap_or_default())
        }
        (Some(operator @ ('-' | '+' | '?')), _) => {
            // An argument that is not used must be right as well, but nobody hears of its variables.
            let argument = if present == (operator == '+') {
                expand(argument, lookup, unset, depth + 1)?
            } else {
                expand(argument, lookup, &mut |_| {}, depth + 1)?
            };
            match (operator, present) {
                ('+', true) | ('-', false) => Ok(argument),
                ('+', false) => Ok(String::new()),
                ('?', false) => Err(TemplateError::Required {
                    name: name.to_owned(),
                    message: argument,
                }),
                _ => Ok(value.unwrap_or_default()),
            }
        }
        _ => Err(TemplateError::Invalid(shown(whole))),
    }
}

/// As much of a text as a message needs.
fn shown(text: &str) -> String {
    text.chars().take(200).collect()
}

/// Length of the variable name at the beginning.
fn name_end(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(text.len())
}

/// The brace that closes the one before the text; inner pairs are skipped.
fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 1_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// How a text uses a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) name: String,
    /// What stands for it if it is not set.
    pub(crate) default: String,
    /// What stands for it if it is set.
    pub(crate) presence: String,
    /// Whether it must be set.
    pub(crate) required: bool,
}

/// The variables of a text, those in defaults included. What is no valid template is passed over.
pub(crate) fn uses(text: &str) -> Vec<Use> {
    let mut found = Vec::new();
    collect(text, 0, &mut found);
    found
}

fn collect(text: &str, depth: usize, found: &mut Vec<Use>) {
    if depth > MOST_DEPTH {
        return;
    }
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        rest = rest.get(at + 1..).unwrap_or("");
        if let Some(tail) = rest.strip_prefix('$') {
            rest = tail;
            continue;
        }
        let (inner, tail) = match rest.strip_prefix('{') {
            Some(tail) => match closing_brace(tail) {
                Some(end) => (tail.get(..end).unwrap_or(""), tail.get(end + 1..).unwrap_or("")),
                None => return,
            },
            None => rest.split_at(name_end(rest)),
        };
        rest = tail;
        let (name, tail) = inner.split_at(name_end(inner));
        if name.is_empty() {
            continue;
        }
        let operator = tail.strip_prefix(':').unwrap_or(tail);
        let argument = operator.get(1..).unwrap_or("");
        let given = |sign| {
            if operator.starts_with(sign) {
                argument.to_owned()
            } else {
                String::new()
            }
        };
        found.push(Use {
            name: name.to_owned(),
            default: given('-'),
            presence: given('+'),
            required: operator.starts_with('?'),
        });
        collect(argument, depth + 1, found);
    }
}
