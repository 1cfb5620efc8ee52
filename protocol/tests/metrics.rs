//! Samples as bytes: golden bytes, round trips, and bytes that are no samples.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::sync::Arc;

use proptest::prelude::*;
use windflow_model::metrics::{Group, Layout, Metric, Sample, Scope, Subject};
use windflow_protocol::metrics::{Batch, Decoder, Encoder, MAX_SAMPLES, MetricsError};

fn layout(width: usize) -> Arc<Layout> {
    let codes = 1..=u16::try_from(width).unwrap();
    Arc::new(Layout {
        groups: vec![Group {
            scope: Scope::Disk,
            subject: Subject {
                key: "sda".to_owned(),
                ..Subject::default()
            },
            metrics: codes.map(Metric).collect(),
        }],
    })
}

fn sample(layout: &Arc<Layout>, seq: u64, at_ms: i64, values: &[i64]) -> Arc<Sample> {
    Arc::new(Sample {
        seq,
        at_ms,
        layout: Arc::clone(layout),
        values: values.to_vec(),
    })
}

#[test]
fn the_bytes_stay_as_they_are() {
    let two = layout(2);
    let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
    let mut check = |samples: &[Arc<Sample>], hexed: &str| {
        let (batch, taken) = encoder.encode(samples).unwrap();
        assert_eq!((taken, hex::encode(&batch.body).as_str()), (samples.len(), hexed));
        let read = decoder.decode(&batch).unwrap();
        let sent: Vec<Sample> = samples.iter().map(|sample| (**sample).clone()).collect();
        assert_eq!(read, sent);
    };
    let first = sample(&two, 7, 1_795_000_000_000, &[100, 5]);
    let second = sample(&two, 8, 1_795_000_010_000, &[130, 5]);
    check(
        &[first, second],
        "01010103736461000000020102020780f8b2e5bd6800a09c0103c8013c0a00",
    );
}

#[test]
fn a_batch_ends_where_the_columns_change_and_at_its_bounds() {
    let (one, other) = (layout(1), layout(1));
    let mut encoder = Encoder::default();
    let mixed = [
        sample(&one, 1, 0, &[1]),
        sample(&one, 2, 10, &[1]),
        sample(&other, 3, 20, &[1]),
    ];
    assert_eq!(encoder.encode(&mixed).unwrap().1, 2);
    let many: Vec<_> = (0..1_000).map(|seq| sample(&one, seq, 0, &[1])).collect();
    assert_eq!(encoder.encode(&many).unwrap().1, MAX_SAMPLES);
    assert!(encoder.encode(&[]).is_none());
    assert!(
        encoder.encode(&[sample(&one, 1, 0, &[1, 2])]).is_none(),
        "not as wide as it says"
    );
}

#[test]
fn small_where_nothing_much_happens() {
    // 50 columns of an idle host: 12 stand still, the others move a little.
    let layout = layout(50);
    let values = |n: i64| -> Vec<i64> {
        let one = |column: i64| {
            if column < 12 {
                1 << 30
            } else {
                column * 1_000_000 + n * (column * 7 % 90)
            }
        };
        (0..50).map(one).collect()
    };
    let samples: Vec<_> = (0..7)
        .map(|n| {
            sample(
                &layout,
                n,
                i64::try_from(n).unwrap() * 10_000,
                &values(i64::try_from(n).unwrap()),
            )
        })
        .collect();
    let mut encoder = Encoder::default();
    encoder.encode(&samples[..1]).unwrap();
    let (batch, taken) = encoder.encode(&samples[1..]).unwrap();
    assert_eq!(taken, 6);
    assert!(
        batch.body.len() < 340,
        "{} bytes for six samples of 50 columns",
        batch.body.len()
    );
}

#[test]
fn what_is_no_batch() {
    let check = |body: &[u8], expected| {
        let batch = Batch {
            format: 1,
            body: body.to_vec(),
        };
        assert_eq!(Decoder::default().decode(&batch).map(drop), expected, "{body:?}");
    };
    check(&[], Err(MetricsError::Cut));
    check(&[0, 1, 1, 1], Err(MetricsError::Malformed("no layout was said")));
    check(&[2], Err(MetricsError::Malformed("an unknown layout")));
    // More groups than there are columns; more samples than a batch may have.
    check(&[1, 0xff, 0xff, 0xff, 0xff, 0x0f], Err(MetricsError::TooLarge));
    check(&[1, 0, 0xff, 0xff, 0x03], Err(MetricsError::TooLarge));
    check(
        &[1, 0, 1, 1, 2, 9],
        Err(MetricsError::Malformed("bytes behind the end")),
    );
    let newer = Batch {
        format: 2,
        body: vec![9],
    };
    assert_eq!(Decoder::default().decode(&newer), Ok(Vec::new()));
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        batches in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<(u32, i64, [i64; 3])>(), 1..5)), 1..5),
        cut in any::<proptest::sample::Index>(),
        bit in 0_usize..8,
    ) {
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
        let mut seq = 0_u64;
        let mut columns = layout(3);
        for (anew, rows) in batches {
            if anew {
                columns = layout(3);
            }
            let samples: Vec<_> = rows
                .iter()
                .map(|(missed, at_ms, values)| {
                    seq += 1 + u64::from(*missed);
                    sample(&columns, seq, *at_ms, values)
                })
                .collect();
            let (batch, taken) = encoder.encode(&samples).unwrap();
            prop_assert_eq!(taken, samples.len());
            // Damaged in any way: an error or other numbers, never a panic.
            let at = cut.index(batch.body.len());
            let mut damaged = batch.clone();
            damaged.body[at] ^= 1 << bit;
            let _any = Decoder::default().decode(&damaged);
            damaged.body.truncate(at);
            prop_assert!(Decoder::default().decode(&damaged).is_err());
            let read = decoder.decode(&batch).unwrap();
            let sent: Vec<Sample> = samples.iter().map(|sample| (**sample).clone()).collect();
            prop_assert_eq!(read, sent);
        }
    }

    #[test]
    fn noise_is_survived(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _any = Decoder::default().decode(&Batch { format: 1, body });
    }
}
