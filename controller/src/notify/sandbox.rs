//! What of Jinja templates may use. The engine bounds the steps of a rendering and [`super::template`] its output, but a
//! step may double a text or a list: thirty of them take all memory of a controller. So what makes values is left out:
//! there are loops, conditions, names, fields, filters and comparisons; no variables, no joined texts, no lists.

/// Longest template.
pub(super) const MOST: usize = 16 << 10;
/// Statements that there are.
const STATEMENTS: [&str; 6] = ["for", "endfor", "if", "elif", "else", "endif"];
/// Words before a parenthesis that make it no call.
const WORDS: [&str; 9] = ["in", "and", "or", "not", "if", "elif", "else", "is", "for"];

/// Looks at all tags. The error has its line.
pub(super) fn check(source: &str) -> Result<(), (usize, String)> {
    if source.len() > MOST {
        return Err((1, "a template has at most 16 KiB".to_owned()));
    }
    let mut at = 0;
    while let Some(found) = source[at..].find('{') {
        let open = at + found;
        let line = source[..open].matches('\n').count() + 1;
        let rest = &source[open + 1..];
        let Some(kind) = rest.chars().next().filter(|kind| matches!(kind, '{' | '%' | '#')) else {
            at = open + 1;
            continue;
        };
        let inner = &rest[1..];
        let length = match kind {
            '#' => inner.find("#}"),
            '%' => end(inner, "%}"),
            _ => end(inner, "}}"),
        };
        let length = length.ok_or_else(|| (line, "a tag is not closed".to_owned()))?;
        if kind != '#' {
            tag(&inner[..length], kind == '%').map_err(|what| (line, what))?;
        }
        at = open + 2 + length + 2;
    }
    Ok(())
}

/// Where a tag ends; texts in it may hold anything.
fn end(inner: &str, close: &str) -> Option<usize> {
    let (mut quote, mut escaped) = (None, false);
    for (at, c) in inner.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(q) if c == q => quote = None,
            Some(_) => {}
            None if matches!(c, '\'' | '"') => quote = Some(c),
            None if inner[at..].starts_with(close) => return Some(at),
            None => {}
        }
    }
    None
}

fn tag(inner: &str, statement: bool) -> Result<(), String> {
    let inner = inner.trim_matches(['-', '+']);
    let first = inner.split_whitespace().next().unwrap_or_default();
    if statement && !STATEMENTS.contains(&first) {
        return Err(format!(
            "there is no {{% {first} %}} here; there are {}",
            STATEMENTS.join(", ")
        ));
    }
    // Names of a loop may be two: `{% for name, value in group|items %}`.
    let names = if statement && first == "for" {
        inner.find(" in ").unwrap_or(0)
    } else {
        0
    };
    let (mut quote, mut escaped) = (None, false);
    let (mut calls, mut word, mut before) = (Vec::new(), String::new(), ' ');
    for (at, c) in inner.char_indices() {
        if let Some(q) = quote {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                c if c == q => (quote, before) = (None, c),
                _ => {}
            }
            continue;
        }
        match c {
            '\'' | '"' => quote = Some(c),
            '~' | '+' | '*' => return Err(format!("`{c}` is not there; write one tag behind the other")),
            '{' | '}' => return Err("maps are not there".to_owned()),
            '[' if !(before.is_alphanumeric() || matches!(before, '_' | ']' | ')'))
                || WORDS.contains(&word.as_str()) =>
            {
                return Err("lists are not there".to_owned());
            }
            '[' => calls.push(false),
            '(' => calls.push(!word.is_empty() && !WORDS.contains(&word.as_str())),
            ')' | ']' => drop(calls.pop()),
            ',' if at >= names && calls.last() != Some(&true) => return Err("lists are not there".to_owned()),
            _ => {}
        }
        if c.is_alphanumeric() || c == '_' {
            if !(before.is_alphanumeric() || before == '_') {
                word.clear();
            }
            word.push(c);
            if word == "recursive" {
                return Err("loops that call themselves are not there".to_owned());
            }
        } else if !c.is_whitespace() {
            word.clear();
        }
        // A blank ends a word, but what stands before the next sign is still that word.
        before = c;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_values_is_left_out() {
        let check = |source: &str, expected: Result<(), &str>| match (check(source), expected) {
            (Ok(()), Ok(())) => {}
            (Err((_, what)), Err(says)) => assert!(what.contains(says), "{source}: {what}"),
            (found, expected) => panic!("{source}: {found:?}, not {expected:?}"),
        };
        check("plain { text } [a, b] ~ + *", Ok(()));
        check("{{ title }} {# a ~ b #} {{- text -}}", Ok(()));
        check("{% for a in alerts %}{{ a.host|upper }}{% endfor %}", Ok(()));
        check(
            "{%- for name, value in group|items -%}{{ name }}={{ value }}{% endfor %}",
            Ok(()),
        );
        check(
            "{{ alerts[0].host }} {{ group['host'] }} {{ text|truncate(20) }}",
            Ok(()),
        );
        check("{% if (a and b) or not (c) %}{% else %}{% endif %}", Ok(()));
        check("{{ 'a ~ b, [c] }}' }}{{ note|default('x', true) }}", Ok(()));
        check("{% set a = 'x' %}", Err("set"));
        check("{%- macro x() %}{% endmacro %}", Err("macro"));
        check("{% filter upper %}", Err("filter"));
        check("{% with a = b %}", Err("with"));
        check("{{ a ~ a }}", Err("~"));
        check("{{ a + a }}", Err("+"));
        check("{{ 'x' * 1000000000 }}", Err("*"));
        check("{% for a in [x, x] %}", Err("lists"));
        check("{% for a in [x] %}", Err("lists"));
        check("{% for a in(x, x) %}", Err("lists"));
        check("{% for a in (x, x) %}", Err("lists"));
        check("{{ (a, b) }}", Err("lists"));
        check("{{ a, b }}", Err("lists"));
        check("{% for a in x, x %}", Err("lists"));
        check("{{ {'a': a} }}", Err("maps"));
        check("{% for a in b recursive %}", Err("call themselves"));
        check("{{ a", Err("closed"));
        check(&"x".repeat(20_000), Err("16 KiB"));
    }
}
