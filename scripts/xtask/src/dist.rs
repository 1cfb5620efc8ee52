//! Release binaries: static (they start in an empty container), stripped, with checksums, within their size.
//!
//! Names are `PROGRAM-ARCH`, as `packaging/README.md` says: a controller offers the `windflow-agent-ARCH` beside it.

use crate::tool;
use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};
use std::{
    env::consts::ARCH,
    path::{Path, PathBuf},
};

const MB: u64 = 1_000_000;

/// (package, binary, profile, largest size in bytes)
const BINARIES: &[(&str, &str, &str, u64)] = &[
    ("windflow-agent", "windflow-agent", "small", 10 * MB),
    ("windflow-controller", "windflow-controller", "release", 35 * MB),
    ("windflow-client", "windflow", "release", 20 * MB),
];

/// Builds the three binaries for this machine's architecture into dist/ and writes dist/SHA256SUMS; under their plain names
/// they are in the folder `shipped` of the target. Fails if one is larger than allowed or needs a loader.
pub(crate) fn run() -> Result<()> {
    let root = tool::root();
    let page = root.join("web-ui/dist/index.html");
    if !page.is_file() {
        bail!(
            "{} is missing, and the controller would go without its web UI: build it first with \
             `npm --prefix web-ui ci && npm --prefix web-ui run build`",
            page.display()
        );
    }
    let triple = format!("{ARCH}-unknown-linux-gnu");
    // The sources are there before their places are looked for: other flags would build everything again next time.
    tool::run(&root, "cargo", &["fetch", "--locked"], &[])?;
    let flags = flags(&root)?;
    // Equal functions are kept once: 0.7 % of the agent. Only lld does that, which is the linker here.
    let fold = if ARCH == "x86_64" {
        "link-arg=-Wl,--icf=all"
    } else {
        "link-arg=-Wl,--gc-sections"
    };
    // One by one: built together, each would carry what the others want of a shared crate (HTTP/2 in the agent).
    for (package, binary, profile, _) in BINARIES {
        // `--target` keeps the flag away from build scripts and proc-macros, which cannot be static.
        tool::run(
            &root,
            "cargo",
            &[
                "rustc",
                "--profile",
                profile,
                "--locked",
                "--target",
                &triple,
                "--package",
                package,
                "--bin",
                binary,
                "--",
                // The relocations of a static, position-independent program take 3 % of it as a plain table (RELR: 0.1 %).
                "-C",
                "link-arg=-Wl,-z,pack-relative-relocs",
                "-C",
                fold,
                // A profile's `strip` does not reach the linker of every toolchain.
                "-C",
                "link-arg=-Wl,--strip-all",
            ],
            &[("RUSTFLAGS", &flags)],
        )?;
    }

    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let dist = root.join("dist");
    let shipped = target.join(&triple).join("shipped");
    fs_err::create_dir_all(&dist)?;
    fs_err::create_dir_all(&shipped)?;
    let (mut sums, mut problems) = (String::new(), Vec::new());
    for (_, binary, profile, limit) in BINARIES {
        let built = target.join(&triple).join(profile).join(binary);
        let name = format!("{binary}-{ARCH}");
        let bytes = fs_err::read(&built)?;
        fs_err::copy(&built, dist.join(&name))?;
        fs_err::copy(&built, shipped.join(binary))?;
        let size = bytes.len() as u64;
        println!(
            "{name}: {:.2} MB (limit {} MB)",
            size as f64 / MB as f64,
            limit / MB
        );
        if size > *limit {
            problems.push(format!("{name} is larger than allowed"));
        }
        if needs_loader(&bytes).with_context(|| built.display().to_string())? {
            problems.push(format!("{name} is not static: it names a loader"));
        }
        sums.push_str(&format!("{}  {name}\n", hex::encode(Sha256::digest(&bytes))));
    }
    fs_err::write(dist.join("SHA256SUMS"), sums)?;
    if !problems.is_empty() {
        bail!("{}", problems.join("; "));
    }
    Ok(())
}

/// Whether a 64-bit little-endian ELF file has a PT_INTERP header, that is, wants ld.so.
fn needs_loader(file: &[u8]) -> Result<bool> {
    const PT_INTERP: u64 = 3;
    if file.get(..6) != Some(b"\x7fELF\x02\x01") {
        bail!("not a 64-bit little-endian ELF file");
    }
    let number = |at: usize, length: usize| -> Result<u64> {
        let bytes = file.get(at..at + length).context("the file is cut short")?;
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    };
    let (start, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    for index in 0..count {
        let at = usize::try_from(start + index * size)?;
        if number(at, 4)? == PT_INTERP {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Static, and without the paths of this machine: panics name their places, and those of the dependencies are long.
fn flags(root: &Path) -> Result<String> {
    let mut flags = "-C target-feature=+crt-static".to_owned();
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let sources = home.map(|home| home.join("registry/src"));
    let registries = sources.and_then(|sources| fs_err::read_dir(sources).ok());
    for registry in registries.into_iter().flatten() {
        flags.push_str(&format!(" --remap-path-prefix={}/=", registry?.path().display()));
    }
    flags.push_str(&format!(" --remap-path-prefix={}/=", root.display()));
    Ok(flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loader_is_noticed() {
        let check = |header: u8, expected: bool| {
            let mut file = vec![0; 120];
            file[..6].copy_from_slice(b"\x7fELF\x02\x01");
            (file[32], file[54], file[56], file[64]) = (64, 56, 1, header);
            assert_eq!(needs_loader(&file).unwrap(), expected, "{header}");
        };
        check(1, false);
        check(3, true);
        assert!(needs_loader(b"#!/bin/sh").is_err());
        assert!(needs_loader(b"\x7fELF\x02\x01").is_err());
    }
}
