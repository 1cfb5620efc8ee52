//! Settings of a program: one table says key, variable, flag, default and meaning of each. The loader and the printed
//! reference both come from it, so neither can know a setting that the other does not.
//!
//! A file (TOML, flat), then the environment, then flags; the later wins. Every problem is kept with its place, and all
//! are told at once.

use std::{collections::BTreeMap, fmt::Write as _, io, path::Path};

use crate::error::Chain;

/// Form of a setting's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One text.
    Text,
    /// A whole number.
    Number,
    /// true or false.
    Switch,
    /// Texts: an array in the file, commas in the variable, a repeated flag.
    List,
}

/// One setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Key in the file.
    pub key: &'static str,
    /// Variable of the environment.
    pub env: &'static str,
    /// Flag of the command line, with its dashes.
    pub flag: Option<&'static str>,
    /// What holds if nobody says anything; empty if that is no text, then `help` says what.
    pub default: &'static str,
    /// Form of its value.
    pub form: Form,
    /// What it is, in which form.
    pub help: &'static str,
}

/// Everything that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the configuration is not valid:\n  {}", problems.join("\n  "))]
pub struct SettingsError {
    /// One line each, with its place.
    pub problems: Vec<String>,
}

#[derive(Debug, Clone)]
struct Found {
    values: Vec<String>,
    /// Where it was said, for messages.
    place: String,
}

/// Settings as they are collected.
#[derive(Debug)]
pub struct Settings {
    table: &'static [Setting],
    found: BTreeMap<&'static str, Found>,
    problems: Vec<String>,
}

impl Settings {
    /// Nothing is known yet.
    #[must_use]
    pub const fn new(table: &'static [Setting]) -> Self {
        Self {
            table,
            found: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    /// Reads a file. One that need not be there may be missing.
    pub fn file(&mut self, path: &Path, must_exist: bool) {
        match fs_err::read_to_string(path) {
            Ok(text) => self.text_of(&path.display().to_string(), &text),
            Err(error) if !must_exist && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.problems.push(Chain(&error).to_string()),
        }
    }

    fn text_of(&mut self, file: &str, text: &str) {
        let table: toml::Table = match text.parse() {
            Ok(table) => table,
            Err(error) => {
                let error: toml::de::Error = error;
                let at = error
                    .span()
                    .map_or_else(|| "1:1".to_owned(), |span| place(text, span.start));
                self.problems.push(format!("{file}:{at}: {}", error.message()));
                return;
            }
        };
        // In the order of the file, not of the alphabet.
        let mut entries: Vec<_> = table
            .iter()
            .map(|(key, value)| (key_start(text, key), key, value))
            .collect();
        entries.sort_by_key(|(start, ..)| *start);
        for (start, key, value) in entries {
            let at = format!("{file}:{}", place(text, start));
            let Some(setting) = self.table.iter().find(|setting| setting.key == key) else {
                let known: Vec<_> = self.table.iter().map(|setting| setting.key).collect();
                self.problems.push(format!(
                    "{at}: unknown key `{key}`; there are {}",
                    known.join(", ")
                ));
                continue;
            };
            match values(value, setting.form) {
                // An empty text says nothing, as an empty variable does; an empty list says: none.
                Some(values) if setting.form != Form::List && values.iter().all(String::is_empty) => {}
                Some(mut values) => {
                    values.retain(|value| !value.is_empty());
                    self.set(setting.key, values, format!("{at}: {key}"));
                }
                None => {
                    let form = match setting.form {
                        Form::Text => "a text in quotes",
                        Form::Number => "a whole number",
                        Form::Switch => "true or false",
                        Form::List => "a list of texts, like [\"a\", \"b\"]",
                    };
                    self.problems.push(format!("{at}: {key} must be {form}"));
                }
            }
        }
    }

    /// Reads the variables of the table; an empty one counts as absent.
    pub fn environment(&mut self, variable: &dyn Fn(&str) -> Option<String>) {
        for setting in self.table {
            let Some(text) = variable(setting.env).filter(|text| !text.is_empty()) else {
                continue;
            };
            let values = if setting.form == Form::List {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                parts.map(str::to_owned).collect()
            } else {
                vec![text]
            };
            self.set(setting.key, values, setting.env.to_owned());
        }
    }

    /// What a flag said; no values mean that it was not given.
    pub fn argument(&mut self, key: &'static str, values: impl IntoIterator<Item = String>) {
        let values: Vec<_> = values.into_iter().collect();
        let flag = self.table.iter().find(|setting| setting.key == key);
        if let (Some(setting), false) = (flag, values.is_empty()) {
            self.set(
                setting.key,
                values,
                setting.flag.unwrap_or(setting.key).to_owned(),
            );
        }
    }

    fn set(&mut self, key: &'static str, values: Vec<String>, place: String) {
        self.found.insert(key, Found { values, place });
    }

    /// The values of a list; none if it was not given.
    #[must_use]
    pub fn list(&self, key: &str) -> Vec<String> {
        self.given_list(key).unwrap_or_default()
    }

    /// The values of a list; `None` if it was not given, which is not the same as an empty one.
    #[must_use]
    pub fn given_list(&self, key: &str) -> Option<Vec<String>> {
        self.found.get(key).map(|found| found.values.clone())
    }

    /// The value of a setting, or its default; `read` makes what it stands for, or says what is wrong with it. `None` if
    /// there is neither, or if it is wrong: then the problem is kept.
    pub fn value<T>(&mut self, key: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let setting = self.table.iter().find(|setting| setting.key == key)?;
        let (text, place) = match self.found.get(key) {
            Some(found) => (found.values.first()?.as_str(), found.place.as_str()),
            None if setting.default.is_empty() => return None,
            None => (setting.default, key),
        };
        match read(text) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.problems.push(format!("{place}: {problem}"));
                None
            }
        }
    }

    /// Notes a problem with the value of a setting.
    pub fn problem(&mut self, key: &str, problem: &str) {
        let place = self.found.get(key).map_or(key, |found| found.place.as_str());
        self.problems.push(format!("{place}: {problem}"));
    }

    /// Ends the collection.
    ///
    /// # Errors
    /// Every problem that was found.
    pub fn finish(self) -> Result<(), SettingsError> {
        if self.problems.is_empty() {
            Ok(())
        } else {
            Err(SettingsError {
                problems: self.problems,
            })
        }
    }
}

/// All settings of a table as a configuration file in which every line is a comment: meaning, variable, flag, default.
#[must_use]
pub fn reference(title: &str, table: &[Setting]) -> String {
    let mut out = format!(
        "# {title}\n# A setting of the command line wins over its variable, which wins over this file.\n"
    );
    for setting in table {
        let mut ways = vec![setting.env];
        ways.extend(setting.flag);
        let value = match setting.form {
            Form::List => "[]".to_owned(),
            Form::Number | Form::Switch => setting.default.to_owned(),
            Form::Text => format!("\"{}\"", setting.default),
        };
        // Writing to a String does not fail.
        let _ = write!(
            out,
            "\n# {}\n# Also: {}\n#{} = {value}\n",
            setting.help,
            ways.join(", "),
            setting.key
        );
    }
    out
}

fn values(value: &toml::Value, form: Form) -> Option<Vec<String>> {
    let text = |value: &toml::Value| value.as_str().map(str::to_owned);
    match form {
        Form::Text => Some(vec![text(value)?]),
        Form::Number => Some(vec![value.as_integer()?.to_string()]),
        Form::Switch => Some(vec![value.as_bool()?.to_string()]),
        Form::List => value.as_array()?.iter().map(text).collect(),
    }
}

/// Where a top-level key stands: its first line.
fn key_start(text: &str, key: &str) -> usize {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let bare = line.trim_start().trim_start_matches(['[', '"']);
        if bare
            .strip_prefix(key)
            .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
        {
            return start + (line.len() - line.trim_start().len());
        }
        start += line.len();
    }
    0
}

fn place(text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("{line}:{column}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Setting] = &[
        Setting {
            key: "dir",
            env: "X_DIR",
            flag: Some("--dir"),
            default: "/d",
            form: Form::Text,
            help: "A folder.",
        },
        Setting {
            key: "names",
            env: "X_NAMES",
            flag: None,
            default: "",
            form: Form::List,
            help: "Names.",
        },
        Setting {
            key: "size",
            env: "X_SIZE",
            flag: None,
            default: "7",
            form: Form::Number,
            help: "A size.",
        },
    ];

    fn check(
        text: &str,
        variables: &[(&str, &str)],
        flag: Option<&str>,
        expected: Result<(&str, &[&str]), &str>,
    ) {
        let mut settings = Settings::new(TABLE);
        settings.text_of("a.toml", text);
        settings.environment(&|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        });
        settings.argument("dir", flag.map(str::to_owned));
        let dir = settings.value("dir", |dir| match dir {
            "bad" => Err("it is bad".to_owned()),
            dir => Ok(dir.to_owned()),
        });
        let names = settings.list("names");
        let seen = settings.finish().map(|()| (dir.unwrap_or_default(), names));
        match (seen, expected) {
            (Ok((dir, names)), Ok((wanted, list))) => {
                assert_eq!(dir, wanted, "{text}");
                assert_eq!(names, list, "{text}");
            }
            (Err(error), Err(wanted)) => assert_eq!(error.problems.join("\n"), wanted, "{text}"),
            (seen, expected) => panic!("{text}: {seen:?} is not {expected:?}"),
        }
    }

    #[test]
    fn the_later_wins_and_all_problems_are_told_with_their_place() {
        check("", &[], None, Ok(("/d", &[])));
        check(
            "dir = '/f'\nnames = ['a', 'b']",
            &[],
            None,
            Ok(("/f", &["a", "b"])),
        );
        check(
            "dir = '/f'",
            &[("X_DIR", "/e"), ("X_NAMES", "c, d")],
            None,
            Ok(("/e", &["c", "d"])),
        );
        check("dir = '/f'", &[("X_DIR", "/e")], Some("/g"), Ok(("/g", &[])));
        check("dir = '/f'", &[("X_DIR", "")], None, Ok(("/f", &[])));
        check("dir = ''", &[], None, Ok(("/d", &[])));
        check("dir = 'bad'", &[], None, Err("a.toml:1:1: dir: it is bad"));
        check("", &[("X_DIR", "bad")], None, Err("X_DIR: it is bad"));
        check("", &[], Some("bad"), Err("--dir: it is bad"));
        check(
            "names = 3\n\n  dri = 1\ndir = 2\n",
            &[],
            None,
            Err("a.toml:1:1: names must be a list of texts, like [\"a\", \"b\"]\n\
             a.toml:3:3: unknown key `dri`; there are dir, names, size\n\
             a.toml:4:1: dir must be a text in quotes"),
        );
        check(
            "size = 'big'",
            &[],
            None,
            Err("a.toml:1:1: size must be a whole number"),
        );
        check(
            "[link]\nx = 1\n",
            &[],
            None,
            Err("a.toml:1:1: unknown key `link`; there are dir, names, size"),
        );
        check(
            "dir = \n",
            &[],
            None,
            Err("a.toml:1:7: string values must be quoted, expected literal string"),
        );
    }

    #[test]
    fn the_reference_is_a_file_that_can_be_used() {
        let text = reference("Settings of x", TABLE);
        let uncommented = text.replace("\n#", "\n").replace("\n ", "\n# ");
        check(&uncommented, &[], None, Ok(("/d", &[])));
        for word in ["A folder.", "X_DIR", "--dir", "X_NAMES"] {
            assert!(text.contains(word), "{text}");
        }
    }
}
