//! The one place that starts programs, and the place of the tree.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the tree, from where this crate was compiled.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// A command with its folder set.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place of this crate that starts programs; always waited for"
)]
fn command(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder);
    command
}

/// Runs a program with its output on ours; fails if it fails.
pub(crate) fn run(folder: &Path, program: &str, arguments: &[&str], env: &[(&str, &str)]) -> Result<()> {
    let status = command(program, folder)
        .args(arguments)
        .envs(env.iter().copied())
        .status()
        .with_context(|| format!("{program} could not be started"))?;
    if !status.success() {
        bail!("{program} {} failed ({status})", arguments.join(" "));
    }
    Ok(())
}

/// Runs a program and gives what it printed on stdout; its stderr is shown only if it fails.
pub(crate) fn capture(folder: &Path, program: &str, arguments: &[&str]) -> Result<String> {
    let output = command(program, folder)
        .args(arguments)
        .output()
        .with_context(|| format!("{program} could not be started"))?;
    if !output.status.success() {
        bail!(
            "{program} {} failed ({}): {}",
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    String::from_utf8(output.stdout).with_context(|| format!("{program} printed something that is not UTF-8"))
}

/// Every file of the tree that git would keep (tracked, or new and not ignored), relative to the root.
pub(crate) fn files() -> Result<Vec<String>> {
    let list = capture(
        &root(),
        "git",
        &["ls-files", "-z", "--cached", "--others", "--exclude-standard"],
    )?;
    let mut files: Vec<String> = list
        .split('\0')
        .filter(|f| !f.is_empty() && root().join(f).is_file())
        .map(str::to_owned)
        .collect();
    files.sort();
    files.dedup();
    Ok(files)
}
