//! Tests of fields of lines that are JSON objects.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How a field is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum FieldOperator {
    /// It is there, whatever it holds.
    Exists,
    /// It is this (numbers by value, all else by its text).
    Equal,
    /// It is there and is not this.
    NotEqual,
    /// Its text holds this.
    Contains,
    /// A number below this.
    Less,
    /// A number of at most this.
    AtMost,
    /// A number above this.
    Greater,
    /// A number of at least this.
    AtLeast,
}

/// One test. As text: `request.status>=500`, `user=anna`, `path~/login`, `error`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct FieldTest {
    /// Its name; a point goes into objects (`request.status`), where no field has the whole name.
    pub field: String,
    /// How it is compared.
    pub operator: FieldOperator,
    /// With what; nothing for [`FieldOperator::Exists`].
    #[serde(default)]
    pub value: String,
}

/// In the order in which they are looked for: `>=` before `>`.
const SIGNS: &[(&str, FieldOperator)] = &[
    (">=", FieldOperator::AtLeast),
    ("<=", FieldOperator::AtMost),
    ("!=", FieldOperator::NotEqual),
    ("=", FieldOperator::Equal),
    ("~", FieldOperator::Contains),
    (">", FieldOperator::Greater),
    ("<", FieldOperator::Less),
];

/// A text that is no test of a field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldTestError {
    /// Nothing stands before the sign.
    #[error("`{0}` names no field: write it as FIELD=VALUE, FIELD>=NUMBER, FIELD~TEXT or FIELD")]
    NoField(String),
    /// A number is needed.
    #[error("`{0}` compares with `{1}`, which is no number")]
    NoNumber(String, String),
}

impl FieldTest {
    /// Whether it holds for an object.
    #[must_use]
    pub fn holds(&self, line: &Value) -> bool {
        let Some(found) = find(line, &self.field) else {
            return false;
        };
        let text = match found {
            Value::String(text) => Cow::Borrowed(text.as_str()),
            other => Cow::Owned(other.to_string()),
        };
        match (self.operator, self.numbers(found)) {
            (FieldOperator::Exists, _) => true,
            (FieldOperator::Equal, numbers) => self.same(found, &text, numbers),
            (FieldOperator::NotEqual, numbers) => !self.same(found, &text, numbers),
            (FieldOperator::Contains, _) => text.contains(&self.value),
            (FieldOperator::Less, numbers) => numbers.is_some_and(|(found, wanted)| found < wanted),
            (FieldOperator::AtMost, numbers) => numbers.is_some_and(|(found, wanted)| found <= wanted),
            (FieldOperator::Greater, numbers) => numbers.is_some_and(|(found, wanted)| found > wanted),
            (FieldOperator::AtLeast, numbers) => numbers.is_some_and(|(found, wanted)| found >= wanted),
        }
    }

    #[expect(
        clippy::float_cmp,
        reason = "the number that was written is meant, not one near it"
    )]
    fn same(&self, found: &Value, text: &str, numbers: Option<(f64, f64)>) -> bool {
        match (found, numbers) {
            (Value::Number(_), Some((found, wanted))) => found == wanted,
            _ => text == self.value,
        }
    }

    /// Both as numbers; a field may hold its number as text.
    fn numbers(&self, found: &Value) -> Option<(f64, f64)> {
        let found = match found {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        Some((found?, self.value.parse().ok()?))
    }

    /// Whether it can hold for any line at all.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), FieldTestError> {
        if self.field.is_empty() {
            return Err(FieldTestError::NoField(self.to_string()));
        }
        let numeric = matches!(
            self.operator,
            FieldOperator::Less | FieldOperator::AtMost | FieldOperator::Greater | FieldOperator::AtLeast
        );
        if numeric && self.value.parse::<f64>().is_err() {
            return Err(FieldTestError::NoNumber(self.to_string(), self.value.clone()));
        }
        Ok(())
    }
}

/// The field of the whole name, or the way of points to it.
fn find<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    if let Some(found) = object.get(name) {
        return Some(found);
    }
    name.match_indices('.').find_map(|(at, _)| {
        let inner = object.get(name.get(..at)?)?;
        find(inner, name.get(at + 1..)?)
    })
}

impl fmt::Display for FieldTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = SIGNS.iter().find(|(_, operator)| *operator == self.operator);
        match sign {
            Some((sign, _)) => write!(f, "{}{sign}{}", self.field, self.value),
            None => f.write_str(&self.field),
        }
    }
}

impl FromStr for FieldTest {
    type Err = FieldTestError;

    fn from_str(text: &str) -> Result<Self, FieldTestError> {
        let first = text.find(['=', '!', '~', '<', '>']);
        let found = first.and_then(|at| {
            let (field, rest) = text.split_at_checked(at)?;
            let (sign, operator) = SIGNS.iter().find(|(sign, _)| rest.starts_with(sign))?;
            Some((field, *operator, rest.get(sign.len()..)?))
        });
        let (field, operator, value) = found.unwrap_or((text, FieldOperator::Exists, ""));
        let test = Self {
            field: field.trim().to_owned(),
            operator,
            value: value.trim().to_owned(),
        };
        test.check().map_err(|error| match error {
            FieldTestError::NoField(_) => FieldTestError::NoField(text.to_owned()),
            other => other,
        })?;
        Ok(test)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_tested_as_written() {
        let line = serde_json::json!({
            "status": 503, "user": "anna", "took": "12.5", "a.b": 1, "request": {"path": "/login", "size": 0}, "none": null, "ok": true
        });
        for (test, wanted) in [
            ("status=503", true),
            ("status=503.0", true),
            ("status!=503", false),
            ("status>=500", true),
            ("status>503", false),
            ("status<=503", true),
            ("status<503", false),
            ("user=anna", true),
            ("user = anna", true),
            ("user!=otto", true),
            ("missing!=otto", false),
            ("user~nn", true),
            ("took>12", true),
            ("user>1", false),
            ("a.b=1", true),
            ("request.path~log", true),
            ("request.size=0", true),
            ("request.none", false),
            ("request", true),
            ("none", true),
            ("none=null", true),
            ("ok=true", true),
            ("user=a=b", false),
        ] {
            let parsed: FieldTest = test.parse().unwrap();
            assert_eq!(parsed.holds(&line), wanted, "{test}");
            assert_eq!(parsed.to_string().parse::<FieldTest>().unwrap(), parsed, "{test}");
        }
    }

    #[test]
    fn what_is_no_test_is_said() {
        for (test, wanted) in [
            ("=x", "names no field"),
            ("", "names no field"),
            ("status>many", "no number"),
        ] {
            let error = test.parse::<FieldTest>().unwrap_err().to_string();
            assert!(error.contains(wanted), "{test}: {error}");
        }
    }
}
