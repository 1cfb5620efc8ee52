//! An SSH agent's socket, lent to a build step.

use std::path::Path;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use super::{
    call::Call,
    grpc::Status,
    proto::{Writer, field},
};

/// Bytes carried at once.
const PIECE: usize = 16 << 10;

pub(super) async fn forward(agent: &Path, call: &mut Call) -> Result<(), Status> {
    let broken =
        |error: std::io::Error| Status::unknown(format!("the SSH agent at {}: {error}", agent.display()));
    let wire = UnixStream::connect(agent).await.map_err(broken)?;
    let (mut read, mut write) = wire.into_split();
    let Call { receiver, sender } = call;
    let questions = async {
        while let Some(message) = receiver.message().await? {
            write.write_all(field(&message, 1)).await.map_err(broken)?;
        }
        Ok(())
    };
    let answers = async {
        let mut buffer = vec![0; PIECE];
        loop {
            let length = read.read(&mut buffer).await.map_err(broken)?;
            if length == 0 {
                return Ok(());
            }
            let piece = buffer.get(..length).unwrap_or_default();
            sender.send(&Writer::default().bytes(1, piece).done()).await?;
        }
    };
    // Whoever hangs up first ends it.
    tokio::select! {
        done = questions => done,
        done = answers => done,
    }
}
