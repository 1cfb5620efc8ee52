//! Rollouts go as far as they can.

use std::time::Duration;

use crate::app::{App, AppResult};

/// A pass over large rollouts takes time: at most a fifth of it is spent in passes, however fast hosts report.
const REST: u32 = 4;
/// Longest rest.
const MOST: Duration = Duration::from_secs(1);

pub(super) async fn advance(app: App) -> AppResult<()> {
    let began = tokio::time::Instant::now();
    let open = app.rollouts_advance().await?;
    if open > 0 {
        tokio::time::sleep((began.elapsed() * REST).min(MOST)).await;
    }
    Ok(())
}
