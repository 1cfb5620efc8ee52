//! Files of this host for a controller: what its owner's policy lets be seen, handed out and written.

use std::{path::PathBuf, sync::Arc};

use futures_util::{StreamExt as _, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use windflow_engine::{
    Files,
    files::{Bounds, FileStream, Intake, Located, Taken},
};
use windflow_kit::blocking;
use windflow_model::{Code, Failure, FileListing, FilePath, FilePlace, FilesWritten, VolumeList};

use crate::policy::{FileAccess, Policy, PolicyFile};

/// Readings and writings at once: each may hold a connection of the engine and a container.
const MOST: usize = 8;
/// Looks at once. They are short, but one of a large folder is much work for the engine.
const MOST_LOOKS: usize = 4;
/// Bytes that what comes in leaves free on the disk of the state directory, where the journal is.
const RESERVE: u64 = 256 << 20;

/// The files of this host. Clones share the bounds.
#[derive(Debug, Clone)]
pub(crate) struct Transfers {
    files: Files,
    policy: PolicyFile,
    intake: PathBuf,
    turns: Arc<Semaphore>,
    looks: Arc<Semaphore>,
}

/// Bytes on their way into a place.
#[derive(Debug)]
pub(crate) struct Writing {
    transfers: Transfers,
    place: Located,
    path: FilePath,
    mode: Option<u32>,
    intake: Option<Intake>,
    _turn: OwnedSemaphorePermit,
}

impl Transfers {
    pub(crate) fn new(files: Files, policy: PolicyFile, intake: PathBuf) -> Self {
        Self {
            files,
            policy,
            intake,
            turns: Arc::new(Semaphore::new(MOST)),
            looks: Arc::new(Semaphore::new(MOST_LOOKS)),
        }
    }

    /// Finds a place, if the policy lets it be had.
    async fn locate(&self, wanted: FileAccess, place: FilePlace) -> Result<(Located, Policy), Failure> {
        let policy = self.policy.read()?;
        let place = self.files.locate(place).await?;
        policy.may_access(wanted, place.stack.as_deref())?;
        Ok((place, policy))
    }

    fn turn(&self) -> Result<OwnedSemaphorePermit, Failure> {
        Arc::clone(&self.turns).try_acquire_owned().map_err(|_| {
            let text = format!("{MOST} transfers of files are under way on this host, which is the most");
            Failure::new(Code::RateLimited, text)
        })
    }

    pub(crate) async fn volumes(&self) -> Result<VolumeList, Failure> {
        let policy = self.policy.read()?;
        let mut list = self.files.volumes().await?;
        list.volumes.retain(|volume| {
            policy
                .may_access(FileAccess::Read, volume.project.as_deref())
                .is_ok()
        });
        Ok(list)
    }

    pub(crate) async fn list(&self, place: FilePlace, path: &FilePath) -> Result<FileListing, Failure> {
        let _turn = self.looks.acquire().await;
        let (place, _) = self.locate(FileAccess::Read, place).await?;
        self.files.list(&place, path).await
    }

    pub(crate) async fn read(
        &self,
        place: FilePlace,
        path: &FilePath,
        archive: bool,
    ) -> Result<(FileListing, FileStream), Failure> {
        let turn = self.turn()?;
        let (place, _) = self.locate(FileAccess::Read, place).await?;
        let (listing, bytes) = self.files.read(&place, path, archive).await?;
        let bytes = stream::unfold((bytes, turn), |(mut bytes, turn)| async move {
            Some((bytes.next().await?, (bytes, turn)))
        });
        Ok((listing, bytes.boxed()))
    }

    pub(crate) async fn write(
        &self,
        place: FilePlace,
        path: FilePath,
        archive: bool,
        mode: Option<u32>,
    ) -> Result<Writing, Failure> {
        let turn = self.turn()?;
        let (place, policy) = self.locate(FileAccess::Write, place).await?;
        let folder = self.intake.clone();
        let bounds = Bounds {
            most: policy.files_upload,
            reserve: RESERVE,
        };
        let intake = blocking::run(move || Intake::new(&folder, archive, bounds)).await;
        Ok(Writing {
            transfers: self.clone(),
            place,
            path,
            mode,
            intake: Some(intake.map_err(|error| broken_off(&error))??),
            _turn: turn,
        })
    }
}

impl Writing {
    /// Takes the next bytes; they are on disk when this returns.
    pub(crate) async fn take(&mut self, bytes: Vec<u8>) -> Result<(), Failure> {
        let Some(mut intake) = self.intake.take() else {
            return Err(over());
        };
        let taken = blocking::run(move || intake.take(&bytes).map(|()| intake)).await;
        self.intake = Some(taken.map_err(|error| broken_off(&error))??);
        Ok(())
    }

    /// All bytes have come: puts them into the place.
    pub(crate) async fn finish(mut self) -> Result<FilesWritten, Failure> {
        let taken: Taken = self.intake.take().ok_or_else(over)?.finish()?;
        self.transfers
            .files
            .write(&self.place, &self.path, self.mode, taken)
            .await
    }
}

fn over() -> Failure {
    Failure::new(Code::HostFailure, "nothing more is taken: the writing has failed")
}

fn broken_off(error: &dyn std::error::Error) -> Failure {
    Failure::new(Code::HostFailure, format!("the writing broke off: {error}"))
}
