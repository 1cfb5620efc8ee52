//! Errors at the edge of a process.
//!
//! Inside, an error names its operation and keeps the cause in `source`; nothing prints a cause in its own text.
//! [`Chain`] prints the whole story once, where it leaves the process.

use std::{error::Error, fmt};

/// Any error that may cross tasks.
pub type BoxError = Box<dyn Error + Send + Sync + 'static>;

/// Shows an error with all its causes: `a: b: c`. A cause that says the same as its parent is left out.
#[derive(Clone, Copy)]
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = self.0.to_string();
        f.write_str(&last)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Foreign errors often repeat their cause in their own text.
            if !last.ends_with(&text) {
                write!(f, ": {text}")?;
                last = text;
            }
            cause = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// [`Chain`] for a boxed error.
#[must_use]
pub fn chain(error: &BoxError) -> Chain<'_> {
    let plain: &(dyn Error + 'static) = error.as_ref();
    Chain(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Level {
        text: &'static str,
        #[source]
        source: Option<Box<Level>>,
    }

    fn check(levels: &[&'static str], expected: &str) {
        let mut error: Option<Box<Level>> = None;
        for text in levels.iter().rev() {
            error = Some(Box::new(Level { text, source: error }));
        }
        assert_eq!(Chain(&*error.unwrap()).to_string(), expected);
    }

    #[test]
    fn prints_each_cause_once() {
        check(&["a"], "a");
        check(&["a", "b", "c"], "a: b: c");
        check(
            &["cannot read x: no such file", "no such file"],
            "cannot read x: no such file",
        );
        check(&["a", "a", "b"], "a: b");
    }
}
