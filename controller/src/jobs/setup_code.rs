//! Keeps the setup code on the console and in the data directory current while no user exists.

use std::{io::Write as _, path::PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt as _;

use windflow_kit::blocking;

use crate::app::{App, AppError, AppResult};

const OP: &str = "setup-code";

pub(super) async fn keep(app: App, file: PathBuf) -> AppResult<()> {
    if !app.setup_needed().await? {
        app.setup().forget();
        return match fs_err::tokio::remove_file(&file).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(AppError::internal(OP)(error)),
            _ => Ok(()),
        };
    }
    let (code, new) = app.setup().present()?;
    if !new && file.exists() {
        return Ok(());
    }
    let (text, path) = (format!("{code}\n"), file.clone());
    let write = move || -> std::io::Result<()> {
        let mut draft = path.clone();
        draft.set_extension("new");
        let mut out = fs_err::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)?;
        out.write_all(text.as_bytes())?;
        fs_err::rename(draft, path)
    };
    let written = blocking::run(write).await.map_err(AppError::internal(OP))?;
    written.map_err(AppError::internal(OP))?;
    // For the person at the console: neither a log line nor piped data.
    let mut console = std::io::stdout();
    let said = writeln!(
        console,
        "Setup code (15 min): {code}\n  No user exists yet: open the URL above and enter it, or run `windflow setup`.\n  \
         The current code is also in {}.",
        file.display()
    );
    said.and_then(|()| console.flush())
        .map_err(AppError::internal(OP))
}
