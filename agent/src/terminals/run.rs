//! The task of one terminal: carries between process and tape, and watches the clock.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use tokio::{sync::mpsc, time::Instant};
use windflow_engine::targets::Output;
use windflow_model::{TerminalCause, TerminalEnd};

use super::{
    live::{Key, Live},
    process::{Control, Input, Running},
};

/// How often the end of a process is asked for that has closed its outputs and goes on.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// How long a terminal may last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Without a keystroke; commands without a terminal may go on.
    pub(super) idle: Option<Duration>,
    /// In all.
    pub(super) longest: Duration,
    /// Until somebody comes for it.
    pub(super) first: Duration,
    /// After its end was lost.
    pub(super) grace: Duration,
}

/// Runs until the process has ended and somebody has heard of it, or nobody can any more.
pub(super) async fn run(live: &Arc<Live>, running: Running, keys: mpsc::Receiver<Key>, limits: Limits) {
    let Running {
        mut output,
        input,
        control,
        ..
    } = running;
    let since = Instant::now();
    // The output goes with it: who ends the process reads what is left.
    let carry = async move {
        loop {
            while !live.has_room() {
                live.room.notified().await;
            }
            match output.next().await {
                Some(Ok(Output::Stdout(bytes))) => live.wrote(false, &bytes),
                Some(Ok(Output::Stderr(bytes))) => live.wrote(true, &bytes),
                Some(Err(error)) => {
                    return TerminalEnd {
                        detail: error,
                        ..TerminalEnd::of(TerminalCause::Broken)
                    };
                }
                None => return TerminalEnd::of(TerminalCause::Exited),
            }
        }
    };
    let sizes = async {
        let mut sizes = live.size.subscribe();
        sizes.mark_changed();
        while sizes.changed().await.is_ok() {
            let size = *sizes.borrow_and_update();
            if let Some(size) = size {
                control.resize(size).await;
            }
        }
    };
    let mut end = tokio::select! {
        end = carry => end,
        end = over(live, since, limits) => end,
        () = async { tokio::join!(typed(input, keys), sizes); } => TerminalEnd::of(TerminalCause::Broken),
    };
    if end.cause == TerminalCause::Exited {
        end = exited(live, &control, since, limits).await;
    }
    if end.cause != TerminalCause::Exited
        && let Err(failure) = control.end().await
    {
        tracing::warn!(%failure, "a terminal was closed, and its process could not be ended");
        end.detail = failure.message;
    }
    tracing::info!(cause = ?end.cause, code = end.exit_code, "terminal is over");
    live.over(end);
    // Kept until it was heard: whoever lost the connection at this moment comes back for the end.
    loop {
        let presence = live.presence();
        let until = presence.left_at + if presence.came { limits.grace } else { limits.first };
        if presence.close.is_some() || (!presence.typist && until <= Instant::now()) {
            return;
        }
        tokio::select! {
            () = live.touched.notified() => {}
            () = tokio::time::sleep_until(until), if !presence.typist => {}
        }
    }
}

/// How a process ended whose outputs are closed. One that only closed them goes on, within the same limits.
async fn exited(live: &Live, control: &Control, since: Instant, limits: Limits) -> TerminalEnd {
    loop {
        match control.code().await {
            Ok(Some(code)) => {
                return TerminalEnd {
                    exit_code: Some(code),
                    ..TerminalEnd::of(TerminalCause::Exited)
                };
            }
            Ok(None) => {}
            Err(failure) => {
                return TerminalEnd {
                    detail: failure.message,
                    ..TerminalEnd::of(TerminalCause::Broken)
                };
            }
        }
        tokio::select! {
            end = over(live, since, limits) => return end,
            () = tokio::time::sleep(ASK_EVERY) => {}
        }
    }
}

/// Hands keys to the process until it takes no more; never ends before its channel does.
async fn typed(mut input: Input, mut keys: mpsc::Receiver<Key>) {
    let mut open = true;
    while let Some(key) = keys.recv().await {
        // What a process that has closed its input does not read is dropped: it says itself when it ends.
        open = open
            && match key {
                Key::Bytes(bytes) => input.write(&bytes).await.is_ok(),
                Key::End => {
                    input.end().await;
                    false
                }
            };
    }
}

/// Waits for a reason to end it from here.
async fn over(live: &Live, since: Instant, limits: Limits) -> TerminalEnd {
    loop {
        let presence = live.presence();
        if let Some(end) = presence.close {
            return end;
        }
        let now = Instant::now();
        let longest = (since + limits.longest, TerminalCause::TooLong);
        let idle = limits
            .idle
            .map(|idle| (presence.typed_at + idle, TerminalCause::Idle));
        let left = if presence.came { limits.grace } else { limits.first };
        let left = (!presence.typist).then_some((presence.left_at + left, TerminalCause::Abandoned));
        let next = [Some(longest), idle, left]
            .into_iter()
            .flatten()
            .min_by_key(|(at, _)| *at)
            .unwrap_or(longest);
        if next.0 <= now {
            return TerminalEnd::of(next.1);
        }
        tokio::select! {
            () = live.touched.notified() => {}
            () = tokio::time::sleep_until(next.0) => {}
        }
    }
}
