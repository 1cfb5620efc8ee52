//! What the builder tells of its steps.

use std::collections::{BTreeMap, VecDeque};

use super::proto::Fields;

/// Steps that are remembered; no Dockerfile has as many.
const STEPS: usize = 10_000;

/// The steps of one build, and the end of its output.
#[derive(Debug, Default)]
pub(super) struct Trace {
    steps: BTreeMap<String, Step>,
    tail: VecDeque<String>,
    most: usize,
}

#[derive(Debug, Default)]
struct Step {
    begun: bool,
    done: bool,
    cached: bool,
}

impl Trace {
    /// Remembers so many lines of output.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            ..Self::default()
        }
    }

    /// Takes a message in; gives what there is to say.
    pub(super) fn take(&mut self, message: &[u8]) -> Vec<String> {
        let mut said = Vec::new();
        for (field, value) in Fields(message) {
            match field {
                1 => self.step(value.bytes(), &mut said),
                3 => self.output(value.bytes(), &mut said),
                _ => {}
            }
        }
        said
    }

    fn step(&mut self, message: &[u8], said: &mut Vec<String>) {
        let (mut digest, mut name) = (String::new(), String::new());
        let (mut cached, mut begun, mut done) = (false, false, false);
        for (field, value) in Fields(message) {
            match field {
                1 => digest = value.text(),
                3 => name = value.text(),
                4 => cached = value.number() != 0,
                5 => begun = true,
                6 => done = true,
                _ => {}
            }
        }
        if self.steps.len() >= STEPS && !self.steps.contains_key(&digest) {
            return;
        }
        let step = self.steps.entry(digest).or_default();
        let (news, first) = (begun && !step.begun, cached && !step.cached);
        (step.begun, step.done, step.cached) = (step.begun || begun, done || cached, step.cached || cached);
        if first {
            said.push(format!("{name}: from the cache"));
        } else if news {
            said.push(name.clone());
            self.remember(name);
        }
    }

    fn output(&mut self, message: &[u8], said: &mut Vec<String>) {
        let text = Fields(message)
            .filter(|(field, _)| *field == 4)
            .map(|(_, value)| value.text());
        for line in text.flat_map(|text| text.split(['\n', '\r']).map(str::to_owned).collect::<Vec<_>>()) {
            let line = line.trim_end();
            if !line.is_empty() {
                said.push(line.to_owned());
                self.remember(line.to_owned());
            }
        }
    }

    fn remember(&mut self, line: String) {
        self.tail.push_back(line);
        if self.tail.len() > self.most {
            self.tail.pop_front();
        }
    }

    /// Steps that are done, steps that are known.
    pub(super) fn counts(&self) -> (u64, u64) {
        let done = self.steps.values().filter(|step| step.done).count();
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        (number(done), number(self.steps.len()))
    }

    /// The last lines.
    pub(super) fn tail(&self) -> Vec<String> {
        self.tail.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::proto::Writer, *};

    fn step(digest: &str, name: &str, fields: &[u32]) -> Vec<u8> {
        let mut step = Writer::default().bytes(1, digest).bytes(3, name);
        for field in fields {
            step = if *field == 4 {
                step.number(4, 1)
            } else {
                step.always(*field, "")
            };
        }
        Writer::default().always(1, step.done()).done()
    }

    fn output(text: &str) -> Vec<u8> {
        let log = Writer::default().bytes(1, "sha256:2").number(3, 1).bytes(4, text);
        Writer::default().always(3, log.done()).done()
    }

    #[test]
    fn steps_and_output() {
        let mut trace = Trace::new(3);
        let mut check = |message: Vec<u8>, said: &[&str], counts: (u64, u64)| {
            assert_eq!(trace.take(&message), said);
            assert_eq!(trace.counts(), counts);
        };
        check(step("sha256:1", "[1/2] FROM a", &[]), &[], (0, 1));
        check(
            step("sha256:1", "[1/2] FROM a", &[4, 5, 6]),
            &["[1/2] FROM a: from the cache"],
            (1, 1),
        );
        check(step("sha256:2", "[2/2] RUN b", &[5]), &["[2/2] RUN b"], (1, 2));
        check(output("one\ntwo\r\n\n"), &["one", "two"], (1, 2));
        check(output("three\nfour"), &["three", "four"], (1, 2));
        check(step("sha256:2", "[2/2] RUN b", &[5, 6]), &[], (2, 2));
        check(vec![255; 9], &[], (2, 2));
        assert_eq!(trace.tail(), ["two", "three", "four"]);
    }
}
