//! Files over streams: frames of the protocol here, [`Transfers`] there.

use std::time::Duration;

use futures_util::StreamExt as _;
use windflow_kit::error::Chain;
use windflow_model::{Code, Doc, Document, Failure, FilePath, FilePlace, FileQuery, FilesWritten};
use windflow_protocol::{FileInput, FileItem, files::MAX_DATA};
use windflow_transport::{FrameReader, FrameWriter, StreamError, streams::BULK};

use super::streams::seal;
use crate::transfers::{Transfers, Writing};

/// Whoever takes or sends nothing for so long has gone, and others may have their turn.
const STALLED: Duration = Duration::from_secs(300);

pub(super) async fn serve(
    transfers: &Transfers,
    writer: &mut FrameWriter,
    frames: &mut FrameReader,
    query: Doc<FileQuery>,
) -> Result<(), StreamError> {
    let query = match query.open() {
        Ok(query) => query,
        Err(error) => {
            let failure = Failure::new(Code::Unsupported, Chain(&error).to_string());
            return writer.send(&failed(failure)).await;
        }
    };
    match query {
        FileQuery::Volumes => answer(writer, transfers.volumes().await, FileItem::Volumes).await,
        FileQuery::List { place, path } => {
            answer(writer, transfers.list(place, &path).await, FileItem::Listing).await
        }
        FileQuery::Read { place, path, archive } => read(transfers, writer, place, &path, archive).await,
        FileQuery::Write {
            place,
            path,
            archive,
            mode,
        } => {
            let begun = transfers.write(place, path, archive, mode).await;
            write(begun, writer, frames).await
        }
    }
}

async fn answer<T: Document>(
    writer: &mut FrameWriter,
    found: Result<T, Failure>,
    item: impl FnOnce(Doc<T>) -> FileItem,
) -> Result<(), StreamError> {
    let sealed = found.and_then(|found| seal(&found));
    writer.send(&sealed.map_or_else(failed, item)).await
}

async fn read(
    transfers: &Transfers,
    writer: &mut FrameWriter,
    place: FilePlace,
    path: &FilePath,
    archive: bool,
) -> Result<(), StreamError> {
    let opened = transfers.read(place, path, archive).await;
    let (listing, mut bytes) = match opened.and_then(|(listing, bytes)| Ok((seal(&listing)?, bytes))) {
        Ok(opened) => opened,
        Err(failure) => return writer.send(&failed(failure)).await,
    };
    writer.prefer(BULK);
    writer.send(&FileItem::Listing(listing)).await?;
    while let Some(piece) = bytes.next().await {
        match piece {
            Ok(piece) => {
                for data in piece.chunks(MAX_DATA) {
                    let item = FileItem::Data(data.to_vec());
                    match tokio::time::timeout(STALLED, writer.send(&item)).await {
                        Ok(sent) => sent?,
                        Err(_) => {
                            writer.reset();
                            return Ok(());
                        }
                    }
                }
            }
            Err(failure) => return writer.send(&failed(failure)).await,
        }
    }
    writer.send(&FileItem::End).await
}

async fn write(
    begun: Result<Writing, Failure>,
    writer: &mut FrameWriter,
    frames: &mut FrameReader,
) -> Result<(), StreamError> {
    let writing = match begun {
        Ok(writing) => writing,
        Err(failure) => return writer.send(&failed(failure)).await,
    };
    writer.send(&FileItem::Ready).await?;
    let written = take(writing, frames).await?;
    // What still comes is not read.
    frames.stop();
    answer(writer, written, FileItem::Written).await
}

/// Takes what comes, and puts it into the place at its end. Whoever turns away before has changed nothing.
async fn take(
    mut writing: Writing,
    frames: &mut FrameReader,
) -> Result<Result<FilesWritten, Failure>, StreamError> {
    loop {
        let Ok(frame) = tokio::time::timeout(STALLED, frames.next::<FileInput>()).await else {
            let text = format!(
                "nothing more came for {} s; nothing was written",
                STALLED.as_secs()
            );
            return Ok(Err(Failure::new(Code::BadRequest, text)));
        };
        match frame? {
            Some(FileInput::Data(bytes)) => {
                if let Err(failure) = writing.take(bytes).await {
                    return Ok(Err(failure));
                }
            }
            Some(FileInput::End) => return Ok(writing.finish().await),
            None => {
                let text = "what was to be written broke off in the middle; nothing of it was written";
                return Ok(Err(Failure::new(Code::BadRequest, text)));
            }
        }
    }
}

fn failed(failure: Failure) -> FileItem {
    FileItem::Failed(failure.into())
}
