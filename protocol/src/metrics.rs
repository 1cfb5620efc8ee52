//! Samples as bytes: columns of differences. Both ends remember the last sample of their session, so what does not change
//! costs a bit, and what changes little costs a byte.
//!
//! ```text
//! batch  = layout? · count · first number · first time · (missed, change of the interval)* · bitmap · columns
//! layout = 0 as before | 1 groups: scope, key, name, stack, service, metrics
//! column = one difference per sample, only where the bitmap has its bit
//! ```
//! Numbers are LEB128, signed ones in zigzag. After an error the session's memory is of no use: it ends.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use windflow_model::metrics::{Group, Layout, Metric, Sample, Scope, Subject};

mod varint;

pub use varint::{Reader, put_signed, put_unsigned};

/// The form that [`Encoder`] writes.
pub const FORMAT: u8 = 1;
/// Most samples in a batch.
pub const MAX_SAMPLES: usize = 256;
/// Most columns of a sample.
pub const MAX_WIDTH: usize = 16_384;
/// Most values of a batch: what a decoder may have to make room for.
const MAX_VALUES: usize = 1 << 18;
/// Longest text of a subject.
const MAX_TEXT: usize = 1_024;

/// Samples on their way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// How `body` is written; a reader leaves forms alone that it does not know.
    pub format: u8,
    /// The samples.
    pub body: Vec<u8>,
}

/// Why bytes are no samples.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum MetricsError {
    /// They end too early.
    #[error("samples end in the middle")]
    Cut,
    /// More than any host sends.
    #[error("samples are too many or too wide")]
    TooLarge,
    /// A text that is none, a layout that was never said, bytes left over.
    #[error("samples are not well formed: {0}")]
    Malformed(&'static str),
}

/// Writes batches of one session.
#[derive(Debug, Default)]
pub struct Encoder {
    layout: Option<Arc<Layout>>,
    last: Vec<i64>,
}

impl Encoder {
    /// The longest row of `samples` from its begin that fits into one batch, and how long it is. Nothing for no samples,
    /// or for a sample that is too wide.
    pub fn encode(&mut self, samples: &[Arc<Sample>]) -> Option<(Batch, usize)> {
        let first = samples.first()?;
        let width = first.values.len();
        if width > MAX_WIDTH || width != first.layout.width() {
            return None;
        }
        let most = (MAX_VALUES / width.max(1)).clamp(1, MAX_SAMPLES);
        let alike = |sample: &&Arc<Sample>| {
            Arc::ptr_eq(&sample.layout, &first.layout) && sample.values.len() == width
        };
        let count = samples.iter().take(most).take_while(alike).count();
        let samples = samples.get(..count)?;

        let mut body = Vec::with_capacity(64 + width);
        if self
            .layout
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, &first.layout))
        {
            body.push(0);
        } else {
            body.push(1);
            put_layout(&mut body, &first.layout);
            self.layout = Some(Arc::clone(&first.layout));
            self.last = vec![0; width];
        }
        put_times(&mut body, samples);
        put_columns(&mut body, &self.last, samples);
        self.last.clone_from(&samples.last()?.values);
        Some((Batch { format: FORMAT, body }, count))
    }
}

fn put_times(body: &mut Vec<u8>, samples: &[Arc<Sample>]) {
    put_unsigned(body, samples.len() as u64);
    let (mut seq, mut at, mut step) = (0, 0, 0);
    for (index, sample) in samples.iter().enumerate() {
        // Numbers count up by one: what is written is how many are missing.
        let expected = if index == 0 { 0 } else { seq + 1 };
        put_unsigned(body, sample.seq.saturating_sub(expected));
        put_signed(body, sample.at_ms.wrapping_sub(at).wrapping_sub(step));
        step = if index == 0 {
            0
        } else {
            sample.at_ms.wrapping_sub(at)
        };
        (seq, at) = (sample.seq.max(expected), sample.at_ms);
    }
}

fn put_columns(body: &mut Vec<u8>, last: &[i64], samples: &[Arc<Sample>]) {
    let bitmap = body.len();
    body.resize(bitmap + last.len().div_ceil(8), 0);
    for (column, before) in last.iter().enumerate() {
        let values = || samples.iter().filter_map(|sample| sample.values.get(column));
        if values().all(|value| value == before) {
            continue;
        }
        if let Some(byte) = body.get_mut(bitmap + column / 8) {
            *byte |= 1 << (column % 8);
        }
        let mut before = *before;
        for value in values() {
            put_signed(body, value.wrapping_sub(before));
            before = *value;
        }
    }
}

/// Reads batches of one session.
#[derive(Debug, Default)]
pub struct Decoder {
    layout: Option<Arc<Layout>>,
    last: Vec<i64>,
}

impl Decoder {
    /// The samples of a batch; none of a form that this build does not know.
    ///
    /// # Errors
    /// [`MetricsError`]; what follows in this session cannot be read either.
    pub fn decode(&mut self, batch: &Batch) -> Result<Vec<Sample>, MetricsError> {
        if batch.format != FORMAT {
            return Ok(Vec::new());
        }
        let mut reader = Reader::new(&batch.body);
        match reader.byte()? {
            0 => {}
            1 => {
                let layout = layout(&mut reader)?;
                self.last = vec![0; layout.width()];
                self.layout = Some(Arc::new(layout));
            }
            _ => return Err(MetricsError::Malformed("an unknown layout")),
        }
        let none = MetricsError::Malformed("no layout was said");
        let layout = self.layout.as_ref().ok_or(none)?;
        let count = reader.count(MAX_SAMPLES)?;
        let width = self.last.len();
        if count * width > MAX_VALUES {
            return Err(MetricsError::TooLarge);
        }
        let mut samples = times(&mut reader, count, layout, width)?;
        columns(&mut reader, &mut self.last, &mut samples)?;
        reader.end()?;
        Ok(samples)
    }
}

fn times(
    reader: &mut Reader<'_>,
    count: usize,
    layout: &Arc<Layout>,
    width: usize,
) -> Result<Vec<Sample>, MetricsError> {
    let mut samples = Vec::with_capacity(count);
    let (mut seq, mut at, mut step) = (0_u64, 0_i64, 0_i64);
    for index in 0..count {
        let expected = if index == 0 { 0 } else { seq.saturating_add(1) };
        seq = expected.saturating_add(reader.unsigned()?);
        let next = at.wrapping_add(step).wrapping_add(reader.signed()?);
        step = if index == 0 { 0 } else { next.wrapping_sub(at) };
        at = next;
        samples.push(Sample {
            seq,
            at_ms: at,
            layout: Arc::clone(layout),
            values: Vec::with_capacity(width),
        });
    }
    Ok(samples)
}

fn columns(reader: &mut Reader<'_>, last: &mut [i64], samples: &mut [Sample]) -> Result<(), MetricsError> {
    let bitmap = reader.bytes(last.len().div_ceil(8))?;
    for (column, before) in last.iter_mut().enumerate() {
        let changes = bitmap
            .get(column / 8)
            .is_some_and(|byte| byte >> (column % 8) & 1 == 1);
        for sample in &mut *samples {
            if changes {
                *before = before.wrapping_add(reader.signed()?);
            }
            sample.values.push(*before);
        }
    }
    Ok(())
}

/// Writes a layout.
pub fn put_layout(out: &mut Vec<u8>, layout: &Layout) {
    put_unsigned(out, layout.groups.len() as u64);
    for group in &layout.groups {
        out.push(group.scope.code());
        let Subject {
            key,
            name,
            stack,
            service,
        } = &group.subject;
        for text in [key, name, stack, service] {
            let text = cut(text);
            put_unsigned(out, text.len() as u64);
            out.extend_from_slice(text.as_bytes());
        }
        put_unsigned(out, group.metrics.len() as u64);
        for metric in &group.metrics {
            put_unsigned(out, u64::from(metric.0));
        }
    }
}

/// As much of a text as a reader takes.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// Reads a layout.
///
/// # Errors
/// [`MetricsError`].
pub fn layout(reader: &mut Reader<'_>) -> Result<Layout, MetricsError> {
    let count = reader.count(MAX_WIDTH)?;
    let (mut groups, mut width) = (Vec::new(), 0);
    for _ in 0..count {
        let scope = Scope::from_code(reader.byte()?);
        let subject = Subject {
            key: reader.text(MAX_TEXT)?,
            name: reader.text(MAX_TEXT)?,
            stack: reader.text(MAX_TEXT)?,
            service: reader.text(MAX_TEXT)?,
        };
        let len = reader.count(MAX_WIDTH - width)?;
        width += len;
        let mut metrics = Vec::new();
        for _ in 0..len {
            let code = u16::try_from(reader.unsigned()?);
            metrics.push(Metric(
                code.map_err(|_| MetricsError::Malformed("a metric's number"))?,
            ));
        }
        groups.push(Group {
            scope,
            subject,
            metrics,
        });
    }
    Ok(Layout { groups })
}
