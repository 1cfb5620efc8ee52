//! Release binaries: static (they start in an empty container), stripped, with checksums, within their size.

use crate::tool;
use anyhow::{Result, bail};
use sha2::{Digest as _, Sha256};

const TARGET: &str = "x86_64-unknown-linux-gnu";
const MB: u64 = 1_000_000;

/// (package, binary, largest size in bytes)
const BINARIES: &[(&str, &str, u64)] = &[
    ("windflow-agent", "windflow-agent", 10 * MB),
    ("windflow-controller", "windflow-controller", 35 * MB),
    ("windflow-client", "windflow", 20 * MB),
];

/// Builds the three binaries into dist/ and writes dist/SHA256SUMS. Fails if one is larger than allowed.
pub(crate) fn run() -> Result<()> {
    let root = tool::root();
    let dist = root.join("dist");
    fs_err::create_dir_all(&dist)?;
    // `--target` keeps the flag away from build scripts and proc-macros, which cannot be static.
    let mut arguments = vec!["build", "--release", "--locked", "--target", TARGET];
    for (package, _, _) in BINARIES {
        arguments.extend(["--package", package]);
    }
    tool::run(
        &root,
        "cargo",
        &arguments,
        &[("RUSTFLAGS", "-C target-feature=+crt-static")],
    )?;

    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), Into::into);
    let (mut sums, mut too_large) = (String::new(), Vec::new());
    for (_, binary, limit) in BINARIES {
        let bytes = fs_err::read(target.join(TARGET).join("release").join(binary))?;
        fs_err::copy(
            target.join(TARGET).join("release").join(binary),
            dist.join(binary),
        )?;
        let size = bytes.len() as u64;
        println!(
            "{binary}: {:.2} MB (limit {} MB)",
            size as f64 / MB as f64,
            limit / MB
        );
        if size > *limit {
            too_large.push(*binary);
        }
        sums.push_str(&format!("{}  {binary}\n", hex::encode(Sha256::digest(&bytes))));
    }
    fs_err::write(dist.join("SHA256SUMS"), sums)?;
    if !too_large.is_empty() {
        bail!("larger than allowed: {}", too_large.join(", "));
    }
    Ok(())
}
