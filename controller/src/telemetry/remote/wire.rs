//! A `WriteRequest` of Prometheus remote write 1.0: protobuf, compressed with snappy. The message is so small that it is
//! written out here.
//!
//! ```text
//! WriteRequest { repeated TimeSeries timeseries = 1 }      TimeSeries { repeated Label labels = 1; repeated Sample samples = 2 }
//! Label { string name = 1; string value = 2 }              Sample { double value = 1; int64 timestamp = 2 }
//! ```

use std::collections::BTreeMap;

use windflow_model::{AgentId, metrics::text};

use super::{super::block::Block, parcel::Parcel};

/// Names and values that every series gets besides its own.
pub(super) type Extra = Vec<(String, String)>;

/// The body of a request. A host without a name is left out.
pub(super) fn encode(
    parcel: &Parcel,
    names: &BTreeMap<AgentId, String>,
    extra: &Extra,
) -> Result<Vec<u8>, snap::Error> {
    let mut out = Vec::new();
    for part in &parcel.parts {
        if let Some(name) = names.get(&part.agent) {
            put_block(&mut out, &part.block, &part.agent.to_string(), name, extra);
        }
    }
    snap::raw::Encoder::new().compress_vec(&out)
}

fn put_block(out: &mut Vec<u8>, block: &Block, agent: &str, name: &str, extra: &Extra) {
    let host = |metric: &str, more: &[(&'static str, &str)]| {
        let mut labels = vec![("__name__", metric), ("agent", agent), ("host", name)];
        labels.extend_from_slice(more);
        labels.extend(extra.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        // An empty value is the same as no label; the order is that of bytes.
        labels.retain(|(_, value)| !value.is_empty());
        labels.sort_unstable();
        let mut bytes = Vec::new();
        for (name, value) in labels {
            let mut label = Vec::new();
            put_bytes(&mut label, 1, name.as_bytes());
            put_bytes(&mut label, 2, value.as_bytes());
            put_bytes(&mut bytes, 1, &label);
        }
        bytes
    };
    let times = || block.times.iter().copied();
    let taken = times().map(|at| (at, at as f64 / 1_000.0));
    put_series(out, host(text::SAMPLE_TIME, &[]), taken);
    for (at, group) in block.layout.placed() {
        let labels = text::labels(group.scope, &group.subject);
        for (metric, column) in group
            .metrics
            .iter()
            .zip(block.columns.get(at..).unwrap_or_default())
        {
            let Some(known) = metric.known() else { continue };
            let base = known.unit.per_base();
            let values = times().zip(column).map(|(at, value)| (at, *value as f64 / base));
            put_series(out, host(&known.exposed(), &labels), values);
        }
    }
}

fn put_series(out: &mut Vec<u8>, mut series: Vec<u8>, samples: impl Iterator<Item = (i64, f64)>) {
    let mut sample = Vec::with_capacity(20);
    for (at, value) in samples {
        sample.clear();
        // A double of eight bytes.
        sample.push(1 << 3 | 1);
        sample.extend_from_slice(&value.to_le_bytes());
        sample.push(2 << 3);
        // Protobuf's int64: negative numbers in two's complement.
        put_varint(&mut sample, at.cast_unsigned());
        put_bytes(&mut series, 2, &sample);
    }
    put_bytes(out, 1, &series);
}

/// A field of text, bytes or a message.
fn put_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
