//! Streams that the controller opens on a host.

use std::time::Duration;

use tokio::sync::mpsc;
use windflow_kit::{error::Chain, task::spawn_scoped};
use windflow_model::{Code, Doc, Document, Failure, LogEvent, LogQuery, Plan};
use windflow_protocol::{StreamItem, StreamOpen};
use windflow_transport::{FrameReader, FrameWriter, quinn::Connection};

use super::{handle::LogStream, home::Assignment};

/// A plan looks at images and containers; a host that needs longer is in trouble.
const PLAN_WITHIN: Duration = Duration::from_secs(60);
/// The first answer of a log stream.
const OPEN_WITHIN: Duration = Duration::from_secs(20);
/// Frames between the stream and its reader; behind them QUIC's flow control holds the host back.
const FRAMES: usize = 1;

pub(super) fn broken(what: &str, error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::new(
        Code::AgentOffline,
        format!("{what} was cut off: {}", Chain(error)),
    )
}

pub(super) fn late(what: &str, after: Duration) -> Failure {
    Failure::new(
        Code::AgentTimeout,
        format!("{what} was not answered within {} s", after.as_secs()),
    )
}

pub(super) fn seal<T: Document>(value: &T) -> Result<Doc<T>, Failure> {
    Doc::seal(value).map_err(|error| Failure::new(Code::Internal, Chain(&error).to_string()))
}

async fn open(connection: &Connection, header: StreamOpen) -> Result<FrameReader, Failure> {
    let (send, receive) = connection
        .open_bi()
        .await
        .map_err(|error| broken("the stream", &error))?;
    let mut writer = FrameWriter::new(send);
    writer
        .send(&header)
        .await
        .map_err(|error| broken("the stream", &error))?;
    writer.finish();
    Ok(FrameReader::new(receive))
}

pub(super) async fn plan(connection: Connection, assignment: Assignment) -> Result<Plan, Failure> {
    let ask = async {
        let mut reader = open(&connection, StreamOpen::Plan(seal(&assignment)?)).await?;
        let item = reader.next::<StreamItem>().await;
        match item.map_err(|error| broken("the plan", &error))? {
            Some(StreamItem::Plan(plan)) => plan
                .open()
                .map_err(|error| Failure::new(Code::Internal, Chain(&error).to_string())),
            Some(StreamItem::Failed(failure)) => Err(failure.into()),
            _ => Err(Failure::new(Code::HostFailure, "the host sent no plan")),
        }
    };
    tokio::time::timeout(PLAN_WITHIN, ask)
        .await
        .unwrap_or_else(|_| Err(late("the plan", PLAN_WITHIN)))
}

pub(super) async fn logs(connection: Connection, query: LogQuery) -> Result<LogStream, Failure> {
    let ask = async {
        let mut reader = open(&connection, StreamOpen::Logs(seal(&query)?)).await?;
        // The host answers at once, with no lines if it has none yet.
        let first = reader.next::<StreamItem>().await;
        match first.map_err(|error| broken("the log stream", &error))? {
            Some(StreamItem::Failed(failure)) => Err(failure.into()),
            Some(item) => Ok((reader, item)),
            None => Err(Failure::new(Code::HostFailure, "the host sent no logs")),
        }
    };
    let (reader, first) = tokio::time::timeout(OPEN_WITHIN, ask)
        .await
        .unwrap_or_else(|_| Err(late("the log stream", OPEN_WITHIN)))?;
    let (events, inbox) = mpsc::channel(FRAMES);
    let pump = spawn_scoped("log relay", relay(reader, first, events));
    Ok(LogStream {
        frames: inbox,
        ready: Vec::new().into_iter(),
        _pump: pump,
    })
}

async fn relay(mut reader: FrameReader, first: StreamItem, events: mpsc::Sender<Vec<LogEvent>>) {
    let mut item = first;
    let reason = loop {
        // A frame's lines stay together: the reader writes them together, too.
        let batch = match item {
            StreamItem::Lines { first, lines } => (first..)
                .zip(lines)
                .map(|(seq, line)| line.into_event(seq))
                .collect(),
            StreamItem::Gap { from, lost, reason } => vec![LogEvent::Gap { from, lost, reason }],
            StreamItem::Searched(searched) => match searched.open() {
                Ok(searched) => vec![LogEvent::Searched(searched)],
                Err(error) => break format!("protocol error: {}", Chain(&error)),
            },
            StreamItem::End { reason } => break reason,
            StreamItem::Failed(failure) => break failure.message,
            StreamItem::Plan(_) => break "protocol error: a plan among log lines".to_owned(),
        };
        if events.send(batch).await.is_err() {
            return;
        }
        item = match reader.next().await {
            Ok(Some(next)) => next,
            Ok(None) => break "the host ended the stream".to_owned(),
            Err(error) => break format!("the host went away: {}", Chain(&error)),
        };
    };
    // If the reader has gone, nobody waits for the end.
    let _gone = events.send(vec![LogEvent::End { reason }]).await;
}
