//! One column of a block as bits: what the last values do not foretell, in Rice codes.
//!
//! ```text
//! column = form (order 0..2 | flagged | k) · first · [first difference] · divisor · codes
//! code   = [flag bit: not zero] · quotient in ones · 0 · k bits; a quotient of 24 ones means 64 bits as they are
//! ```
//! A column that stands still is a form and its value. All others take differences (order 1) or differences of them
//! (order 2), divided by what divides them all: pages of memory and ticks of a clock come in multiples.

use windflow_protocol::metrics::{MetricsError, Reader, put_signed, put_unsigned};

/// Quotients from here on are written as they are: one odd value must not cost a megabyte.
const ESCAPE: u32 = 24;
const FLAGGED: u8 = 0x04;

/// Appends a column. `scratch` is lent for the work.
pub(super) fn encode(values: &[i64], out: &mut Vec<u8>, scratch: &mut Scratch) {
    let Some((first, rest)) = values.split_first() else {
        return;
    };
    if rest.iter().all(|value| value == first) {
        out.push(0);
        put_signed(out, *first);
        return;
    }
    let Scratch { one, two } = scratch;
    one.clear();
    one.extend(
        values
            .iter()
            .zip(rest)
            .map(|(before, value)| value.wrapping_sub(*before)),
    );
    two.clear();
    two.extend(
        one.iter()
            .zip(one.iter().skip(1))
            .map(|(before, value)| value.wrapping_sub(*before)),
    );
    let (straight, bent) = (Plan::of(one), Plan::of(two));
    // The second order has one difference more to write.
    let order = if bent.bits + 24 < straight.bits { 2 } else { 1 };
    let (plan, residues) = if order == 2 {
        (bent, &*two)
    } else {
        (straight, &*one)
    };
    out.push(order | if plan.flagged { FLAGGED } else { 0 } | plan.k << 3);
    put_signed(out, *first);
    if order == 2 {
        put_signed(out, one.first().copied().unwrap_or(0));
    }
    put_unsigned(out, plan.divisor);
    let mut bits = BitWriter {
        out,
        held: 0,
        count: 0,
    };
    for residue in residues {
        bits.code(folded(*residue, plan.divisor), &plan);
    }
    bits.flush();
}

/// Room that encoding a block uses again and again.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    one: Vec<i64>,
    two: Vec<i64>,
}

/// Small for small values of either sign.
fn folded(value: i64, divisor: u64) -> u64 {
    let value = if divisor > 1 {
        // The divisor divides it and is below 2^63.
        value / i64::try_from(divisor).unwrap_or(1)
    } else {
        value
    };
    ((value << 1) ^ (value >> 63)) as u64
}

const fn unfolded(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// How residues are written.
struct Plan {
    divisor: u64,
    k: u8,
    flagged: bool,
    bits: u64,
}

impl Plan {
    fn of(residues: &[i64]) -> Self {
        let divisor = residues
            .iter()
            .fold(0, |all, value| gcd(all, value.unsigned_abs()));
        let divisor = if divisor >= 1 << 62 { 1 } else { divisor.max(1) };
        let (mut sum, mut zeros) = (0_u64, 0_u64);
        for value in residues {
            let value = folded(*value, divisor);
            sum = sum.saturating_add(value);
            zeros += u64::from(value == 0);
        }
        let count = residues.len() as u64;
        let mut best = Self {
            divisor,
            k: 0,
            flagged: false,
            bits: u64::MAX,
        };
        for (flagged, coded) in [(false, count), (true, count - zeros)] {
            let mean = sum / coded.max(1);
            let near = u8::try_from(u64::BITS - mean.leading_zeros())
                .unwrap_or(0)
                .min(30);
            for k in near.saturating_sub(2)..=near.min(30) {
                let bits = cost(residues, divisor, k, flagged);
                if bits < best.bits {
                    best = Self {
                        divisor,
                        k,
                        flagged,
                        bits,
                    };
                }
            }
        }
        best
    }
}

fn cost(residues: &[i64], divisor: u64, k: u8, flagged: bool) -> u64 {
    let one = |value: &i64| {
        let mut value = folded(*value, divisor);
        let mut bits = 1 + u64::from(k);
        if flagged {
            if value == 0 {
                return 1;
            }
            value -= 1;
            bits += 1;
        }
        let quotient = value >> k;
        if quotient >= u64::from(ESCAPE) {
            bits + u64::from(ESCAPE) + 64
        } else {
            bits + quotient
        }
    };
    residues.iter().map(one).sum()
}

const fn gcd(mut a: u64, mut b: u64) -> u64 {
    // Nearly always one of them divides the other, or both are small.
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

struct BitWriter<'o> {
    out: &'o mut Vec<u8>,
    held: u64,
    count: u32,
}

impl BitWriter<'_> {
    /// At most 32 bits.
    fn put(&mut self, bits: u64, count: u32) {
        self.held = self.held << count | bits;
        self.count += count;
        while self.count >= 8 {
            self.count -= 8;
            self.out.push((self.held >> self.count) as u8);
        }
    }

    fn code(&mut self, value: u64, plan: &Plan) {
        let mut value = value;
        if plan.flagged {
            if value == 0 {
                return self.put(0, 1);
            }
            self.put(1, 1);
            value -= 1;
        }
        let quotient = value >> plan.k;
        if quotient >= u64::from(ESCAPE) {
            self.put((1 << ESCAPE) - 1, ESCAPE);
            self.put(value >> 32, 32);
            self.put(value & 0xffff_ffff, 32);
        } else {
            let ones = quotient as u32;
            self.put(((1_u64 << ones) - 1) << 1, ones + 1);
            self.put(value & ((1 << plan.k) - 1), u32::from(plan.k));
        }
    }

    fn flush(&mut self) {
        if self.count > 0 {
            let free = 8 - self.count;
            self.put(0, free);
        }
    }
}

struct BitReader<'r, 'b> {
    reader: &'r mut Reader<'b>,
    held: u64,
    count: u32,
}

impl BitReader<'_, '_> {
    fn take(&mut self, count: u32) -> Result<u64, MetricsError> {
        while self.count < count {
            self.held = self.held << 8 | u64::from(self.reader.byte()?);
            self.count += 8;
        }
        self.count -= count;
        Ok(self.held >> self.count & ((1_u64 << count) - 1))
    }

    fn code(&mut self, k: u8, flagged: bool) -> Result<u64, MetricsError> {
        if flagged && self.take(1)? == 0 {
            return Ok(0);
        }
        let mut ones = 0;
        while ones < ESCAPE && self.take(1)? == 1 {
            ones += 1;
        }
        let value = if ones == ESCAPE {
            let high = self.take(32)?;
            high << 32 | self.take(32)?
        } else {
            u64::from(ones) << k | self.take(u32::from(k))?
        };
        Ok(value.wrapping_add(u64::from(flagged)))
    }
}

/// Reads a column of `count` values.
///
/// # Errors
/// [`MetricsError`].
pub(super) fn decode(reader: &mut Reader<'_>, count: usize) -> Result<Vec<i64>, MetricsError> {
    let mut values = Vec::with_capacity(count);
    if count == 0 {
        return Ok(values);
    }
    let form = reader.byte()?;
    let (order, flagged, k) = (form & 3, form & FLAGGED != 0, form >> 3);
    let mut value = reader.signed()?;
    values.push(value);
    if order == 0 {
        values.resize(count, value);
        return Ok(values);
    }
    let mut step = 0;
    if order == 2 {
        step = reader.signed()?;
        if count > 1 {
            value = value.wrapping_add(step);
            values.push(value);
        }
    }
    let divisor = reader.unsigned()? as i64;
    let mut bits = BitReader {
        reader,
        held: 0,
        count: 0,
    };
    while values.len() < count {
        let residue = unfolded(bits.code(k, flagged)?).wrapping_mul(divisor);
        step = if order == 2 {
            step.wrapping_add(residue)
        } else {
            residue
        };
        value = value.wrapping_add(step);
        values.push(value);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(values: &[i64]) -> Vec<u8> {
        let mut out = Vec::new();
        encode(values, &mut out, &mut Scratch::default());
        out
    }

    fn check(values: &[i64], most: usize) {
        let bytes = bytes(values);
        assert!(bytes.len() <= most, "{} bytes for {values:?}", bytes.len());
        let mut reader = Reader::new(&bytes);
        assert_eq!(decode(&mut reader, values.len()).as_deref(), Ok(values));
        assert_eq!(reader.end(), Ok(()));
    }

    #[test]
    fn columns_as_hosts_have_them() {
        check(&[], 0);
        check(&[7], 2);
        check(&[1 << 40; 120], 8);
        check(&[i64::MIN, i64::MAX, 0, i64::MIN, -1], 60);
        let column = |make: fn(i64) -> i64| (0..120).map(make).collect::<Vec<_>>();
        // A beat of ten seconds with a jitter of a millisecond.
        check(&column(|n| 1_795_000_000_000 + n * 10_000 + n * n % 3 - 1), 60);
        // Ticks of an idle processor.
        check(&column(|n| n * 19_900 + (n * 7 % 13) * 10), 80);
        // Memory in pages.
        check(&column(|n| (5_000_000 + n * n * 31 % 64) * 4_096), 130);
        // Nearly nothing, and then a lot.
        check(&column(|n| n / 30 * 1_000_000), 50);
    }

    #[test]
    fn what_is_no_column() {
        for bytes in [&[][..], &[1], &[0x09, 0, 1], &[2, 0, 0, 1, 0xff, 0xff]] {
            assert!(decode(&mut Reader::new(bytes), 30).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(values in proptest::collection::vec(any::<i64>(), 0..50), small in proptest::collection::vec(-500_i64..500, 0..200), scale in 1_i64..100_000) {
            check(&values, usize::MAX);
            let scaled: Vec<i64> = small.iter().map(|value| value * scale).collect();
            check(&scaled, usize::MAX);
        }

        #[test]
        fn noise_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..60), count in 0_usize..200) {
            let _any = decode(&mut Reader::new(&bytes), count);
        }
    }
}
