//! Chores of the house, run by `scripts/test` and by hand as `cargo xtask NAME`.
//!
//! Each check reads the tree, prints every problem it finds with its place and the rule, and fails if there was one.
//! Nothing here is part of a product.

#![forbid(unsafe_code)]

mod deps;
mod dist;
mod generate;
mod lock;
mod readme;
mod tidy;
mod tool;

use anyhow::{Result, bail};
use clap::Parser;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "xtask", about = "Chores of the house")]
enum Chore {
    /// Dependency walls between the crates of the workspace
    CheckDeps,
    /// File lengths, forbidden words, wire types, lint set-up of every crate
    CheckTidy,
    /// Commands and files named in the documents exist
    CheckReadme,
    /// Banned crates and versions, from Cargo.lock alone
    CheckLock,
    /// All checks above
    Check,
    /// Write controller/openapi.json, the web UI's schema and the keys in docs/compose.md from the source
    Gen {
        /// Change nothing; fail if a file is not what the source says
        #[arg(long)]
        check: bool,
    },
    /// Static release binaries with their checksums in dist/
    Dist,
}

fn main() -> ExitCode {
    match run(&Chore::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(chore: &Chore) -> Result<()> {
    match chore {
        Chore::CheckDeps => report("walls", &deps::check()?),
        Chore::CheckTidy => report("tidiness", &tidy::check()?),
        Chore::CheckReadme => report("documents", &readme::check()?),
        Chore::CheckLock => report("lock file", &lock::check()?),
        Chore::Check => {
            let mut problems = deps::check()?;
            problems.extend(tidy::check()?);
            problems.extend(readme::check()?);
            problems.extend(lock::check()?);
            report("walls, tidiness, documents, lock file", &problems)
        }
        Chore::Gen { check } => report("generated files", &generate::run(*check)?),
        Chore::Dist => dist::run(),
    }
}

/// Prints the problems, one a line, and fails if there are any.
fn report(what: &str, problems: &[String]) -> Result<()> {
    for problem in problems {
        println!("{problem}");
    }
    if !problems.is_empty() {
        bail!("{what}: {} problem(s)", problems.len());
    }
    println!("{what}: in order");
    Ok(())
}
