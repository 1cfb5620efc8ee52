//! Files on a host: a stream of its own for each look and each transfer. What is not taken on one side is not pulled from the other.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use windflow_kit::{BoxError, error::Chain};
use windflow_model::{
    Code, Doc, Document, Failure, FileListing, FilePath, FilePlace, FileQuery, FilesWritten, VolumeList,
};
use windflow_protocol::{FileInput, FileItem, StreamOpen, files::MAX_DATA};
use windflow_transport::{FrameReader, FrameWriter, quinn::Connection, streams::BULK};

use super::streams::{broken, late, seal};

/// A look may have the engine pack a whole folder.
const LOOK_WITHIN: Duration = Duration::from_secs(60);
/// For the engine to unpack what was written.
const UNPACK_WITHIN: Duration = Duration::from_secs(600);
/// For a host that takes no more to say why.
const WHY_WITHIN: Duration = Duration::from_secs(10);
const WHAT: &str = "the transfer of files";

/// Bytes of a file, or of a tar. What is not asked for holds the host back.
pub type FileBytes = BoxStream<'static, Result<Bytes, Failure>>;

async fn dial(connection: &Connection, query: &FileQuery) -> Result<(FrameReader, FrameWriter), Failure> {
    let (send, receive) = connection.open_bi().await.map_err(|error| broken(WHAT, &error))?;
    let mut writer = FrameWriter::new(send);
    writer
        .send(&StreamOpen::Files(seal(query)?))
        .await
        .map_err(|error| broken(WHAT, &error))?;
    Ok((FrameReader::new(receive), writer))
}

async fn next(reader: &mut FrameReader) -> Result<FileItem, Failure> {
    match reader.next::<FileItem>().await {
        Ok(Some(FileItem::Failed(failure))) => Err(failure.into()),
        Ok(Some(item)) => Ok(item),
        Ok(None) => Err(Failure::new(Code::HostFailure, "the host ended the stream early")),
        Err(error) => Err(broken(WHAT, &error)),
    }
}

fn open<T: Document>(doc: Doc<T>) -> Result<T, Failure> {
    doc.open()
        .map_err(|error| Failure::new(Code::Internal, Chain(&error).to_string()))
}

fn unasked() -> Failure {
    Failure::new(
        Code::HostFailure,
        "protocol error: the host answered something else",
    )
}

async fn within<T>(time: Duration, asked: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::time::timeout(time, asked)
        .await
        .unwrap_or_else(|_| Err(late(WHAT, time)))
}

pub(super) async fn volumes(connection: Connection) -> Result<VolumeList, Failure> {
    within(LOOK_WITHIN, async {
        let (mut reader, mut writer) = dial(&connection, &FileQuery::Volumes).await?;
        writer.finish();
        match next(&mut reader).await? {
            FileItem::Volumes(list) => open(list),
            _ => Err(unasked()),
        }
    })
    .await
}

pub(super) async fn list(
    connection: Connection,
    place: FilePlace,
    path: FilePath,
) -> Result<FileListing, Failure> {
    within(LOOK_WITHIN, async {
        let (mut reader, mut writer) = dial(&connection, &FileQuery::List { place, path }).await?;
        writer.finish();
        match next(&mut reader).await? {
            FileItem::Listing(listing) => open(listing),
            _ => Err(unasked()),
        }
    })
    .await
}

pub(super) async fn read(
    connection: Connection,
    place: FilePlace,
    path: FilePath,
    archive: bool,
) -> Result<(FileListing, FileBytes), Failure> {
    let query = FileQuery::Read { place, path, archive };
    within(LOOK_WITHIN, async {
        let (mut reader, mut writer) = dial(&connection, &query).await?;
        writer.finish();
        let listing = match next(&mut reader).await? {
            FileItem::Listing(listing) => open(listing)?,
            _ => return Err(unasked()),
        };
        let bytes = stream::unfold(Some(reader), |reader| async move {
            let mut reader = reader?;
            match next(&mut reader).await {
                Ok(FileItem::Data(bytes)) => Some((Ok(Bytes::from(bytes)), Some(reader))),
                Ok(FileItem::End) => None,
                Ok(_) => Some((Err(unasked()), None)),
                Err(failure) => Some((Err(failure), None)),
            }
        });
        Ok((listing, bytes.boxed()))
    })
    .await
}

/// The query is a [`FileQuery::Write`].
pub(super) async fn write(
    connection: Connection,
    query: FileQuery,
    mut body: BoxStream<'static, Result<Bytes, BoxError>>,
) -> Result<FilesWritten, Failure> {
    let (mut reader, mut writer) = within(LOOK_WITHIN, async {
        let (mut reader, writer) = dial(&connection, &query).await?;
        match next(&mut reader).await? {
            FileItem::Ready => Ok((reader, writer)),
            _ => Err(unasked()),
        }
    })
    .await?;
    writer.prefer(BULK);
    let sent = tokio::select! {
        sent = send(&mut writer, &mut body) => sent,
        // It has seen enough to refuse.
        early = next(&mut reader) => return early.and_then(|_| Err(unasked())),
    };
    match sent {
        Ok(()) => {}
        Err(Unsent::Body(failure)) => return Err(failure),
        Err(Unsent::Host(failure)) => {
            // It takes no more, and has said why.
            let why = tokio::time::timeout(WHY_WITHIN, next(&mut reader)).await;
            return Err(why.ok().and_then(Result::err).unwrap_or(failure));
        }
    }
    within(UNPACK_WITHIN, async {
        match next(&mut reader).await? {
            FileItem::Written(written) => open(written),
            _ => Err(unasked()),
        }
    })
    .await
}

/// Why not all was sent.
enum Unsent {
    /// What was to be sent broke off.
    Body(Failure),
    /// The host takes no more.
    Host(Failure),
}

async fn send(
    writer: &mut FrameWriter,
    body: &mut BoxStream<'static, Result<Bytes, BoxError>>,
) -> Result<(), Unsent> {
    let host = |error| Unsent::Host(broken(WHAT, &error));
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| {
            let text = format!("what was to be written broke off: {}", Chain(&*error));
            Unsent::Body(Failure::new(Code::BadRequest, text))
        })?;
        for data in piece.chunks(MAX_DATA) {
            writer.send(&FileInput::Data(data.to_vec())).await.map_err(host)?;
        }
    }
    writer.send(&FileInput::End).await.map_err(host)?;
    writer.finish();
    Ok(())
}
