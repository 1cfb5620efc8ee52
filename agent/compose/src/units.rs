//! Sizes and durations as text.

/// Nanoseconds of each unit, longest name first where one begins another.
const UNITS: &[(&str, f64)] = &[
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("w", 604_800e9),
    ("d", 86_400e9),
    ("h", 3_600e9),
    ("m", 60e9),
    ("s", 1e9),
];

/// Reads a duration: Go's syntax and the units `d` and `w`.
///
/// # Errors
/// Why the text is no duration.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("invalid duration {text:?} (write it like 90s, 1m30s or 1h)");
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0_f64;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let amount: f64 = number.parse().map_err(|_| invalid())?;
        if tail.is_empty() {
            return Err(format!(
                "missing unit in duration {text:?} (write it like 90s, 1m30s or 1h)"
            ));
        }
        let (name, factor) = UNITS
            .iter()
            .find(|(name, _)| tail.starts_with(name))
            .ok_or_else(invalid)?;
        total += amount * factor;
        rest = tail.get(name.len()..).unwrap_or("");
    }
    // The largest whole number of nanoseconds, about 292 years.
    if total >= i64::MAX as f64 {
        return Err(format!("duration {text:?} is too long"));
    }
    let nanos = total.round() as i64;
    Ok(if negative { -nanos } else { nanos })
}

/// Writes a duration as Go does: `1m30s`, `500ms`, `24h0m0s`, `0s`.
#[must_use]
pub fn format_duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let value = nanos.unsigned_abs();
    if value == 0 {
        return "0s".to_owned();
    }
    let below_second = |unit: u64, name: &str| format!("{sign}{}{name}", fraction(value, unit));
    match value {
        0..1_000 => below_second(1, "ns"),
        1_000..1_000_000 => below_second(1_000, "µs"),
        1_000_000..1_000_000_000 => below_second(1_000_000, "ms"),
        _ => {
            let minutes = value / 60_000_000_000;
            let seconds = fraction(value % 60_000_000_000, 1_000_000_000);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{sign}{seconds}s"),
                (0, m) => format!("{sign}{m}m{seconds}s"),
                (h, m) => format!("{sign}{h}h{m}m{seconds}s"),
            }
        }
    }
}

/// `value / unit` with as many decimals as are needed.
fn fraction(value: u64, unit: u64) -> String {
    let (whole, rest) = (value / unit, value % unit);
    if rest == 0 {
        return whole.to_string();
    }
    let width = unit.to_string().len() - 1;
    let decimals = format!("{rest:0width$}");
    format!("{whole}.{}", decimals.trim_end_matches('0'))
}

/// Reads a size: a number with an optional binary unit (`b k kb kib m … p`), in any case. `-1` is kept.
///
/// # Errors
/// Why the text is no size.
pub fn parse_bytes(text: &str) -> Result<i64, String> {
    let invalid = || format!("invalid size {text:?} (write it like 64m, 1.5g or 1048576)");
    let split = text
        .rfind(|c: char| c.is_ascii_digit() || c == '.')
        .map_or(0, |at| at + 1);
    let (number, suffix) = text.split_at(split);
    let mut suffix = suffix.to_ascii_lowercase();
    if let Some(spaced) = suffix.strip_prefix(' ') {
        suffix = spaced.to_owned();
    }
    let amount: f64 = number.trim_end_matches(' ').parse().map_err(|_| invalid())?;
    if amount < 0.0 && number != "-1" || !amount.is_finite() {
        return Err(invalid());
    }
    let power = match suffix
        .strip_suffix("ib")
        .or_else(|| suffix.strip_suffix('b'))
        .unwrap_or(&suffix)
    {
        "" if !suffix.starts_with('i') => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return Err(invalid()),
    };
    let bytes = amount * 1024_f64.powi(power);
    if bytes >= i64::MAX as f64 {
        return Err(format!("size {text:?} is too large"));
    }
    Ok(bytes as i64)
}
