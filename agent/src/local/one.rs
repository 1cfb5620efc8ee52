//! `attach`, `export`, `commit`: one container as a whole.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use futures_util::StreamExt as _;
use windflow_engine::targets::{AttachRequest, Commit, Ending, ObservedContainer};

use super::{
    Context, Result,
    args::{AttachArgs, CommitArgs, ExportArgs},
    project::Project,
    run::{containers, one_of},
    session::{failed, target},
    show::{self, note},
    terminal::{self, Pump},
};
use crate::failure::CommandError;

/// How long after the end of its output a process that has ended may still count as running.
const END: Duration = Duration::from_secs(2);

/// `attach`.
pub(super) async fn attach(context: &Context, args: AttachArgs) -> Result<()> {
    let project = context.load_lenient(args.project, std::slice::from_ref(&args.service))?;
    let target = target(&context.caller)?;
    let container = one_of(&target, &project, &args.service, args.index).await?;
    if project.dry_run {
        return told(&container, "would be attached to");
    }
    let settings = target.settings(&container.id).await.map_err(failed)?;
    let tty = settings
        .is_some_and(|settings| settings.get("tty").and_then(serde_json::Value::as_bool) == Some(true));
    let request = AttachRequest {
        container: container.id.clone(),
        tty,
        stdin: !args.no_stdin,
        logs: false,
        detach_keys: args.detach_keys,
    };
    let session = target.attach(request).await.map_err(failed)?;
    let end = target
        .wait(&container.id, Ending::NotRunning)
        .await
        .map_err(failed)?;
    let raw = if tty && !args.no_stdin {
        Some(terminal::raw()?)
    } else {
        None
    };
    let proxied = args.sig_proxy;
    terminal::pump(
        &target,
        session,
        Pump {
            tty,
            stdin: !args.no_stdin,
            proxied,
        },
    )
    .await?;
    drop(raw);
    match tokio::time::timeout(END, end).await {
        Ok(code) => CommandError::exit_code(code.map_err(failed)?),
        // Detached by keys: it goes on.
        Err(_) => Ok(()),
    }
}

/// `export`.
pub(super) async fn export(context: &Context, args: ExportArgs) -> Result<()> {
    let project = context.load_lenient(args.project, std::slice::from_ref(&args.service))?;
    let container = any_of(context, &project, &args.service, args.index).await?;
    if args.output.is_none() && io::stdout().is_terminal() {
        return Err(CommandError::usage(
            "a tar is nothing for a terminal: use -o FILE",
        ));
    }
    if project.dry_run {
        return told(&container, "would be exported");
    }
    let mut pieces = target(&context.caller)?
        .export(&container.id)
        .await
        .map_err(failed)?;
    let broken = |error: io::Error| CommandError::failed(format!("cannot write the tar: {error}"));
    let Some(file) = args.output else {
        let mut out = io::stdout().lock();
        while let Some(piece) = pieces.next().await {
            out.write_all(&piece.map_err(failed)?).map_err(broken)?;
        }
        return out.flush().map_err(broken);
    };
    // Under another name until it is whole.
    let file = context.caller.working_dir.join(file);
    let directory = file.parent().unwrap_or(&context.caller.working_dir);
    let mut part = tempfile_in(directory, &file);
    let mut out = fs_err::File::create(part.path()).map_err(broken)?;
    while let Some(piece) = pieces.next().await {
        out.write_all(&piece.map_err(failed)?).map_err(broken)?;
    }
    out.sync_all().map_err(broken)?;
    fs_err::rename(part.path(), &file).map_err(broken)?;
    part.keep();
    Ok(())
}

/// A file that goes unless it was kept.
struct Part(Option<std::path::PathBuf>);

impl Part {
    fn path(&self) -> &std::path::Path {
        self.0.as_deref().unwrap_or_else(|| std::path::Path::new(""))
    }

    fn keep(&mut self) {
        self.0 = None;
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // What was never made need not go.
            let _ = fs_err::remove_file(path);
        }
    }
}

fn tempfile_in(directory: &std::path::Path, file: &std::path::Path) -> Part {
    let mut name = file.file_name().unwrap_or_default().to_os_string();
    name.push(".part");
    Part(Some(directory.join(name)))
}

/// `commit`.
pub(super) async fn commit(context: &Context, args: CommitArgs) -> Result<()> {
    let project = context.load_lenient(args.project, std::slice::from_ref(&args.service))?;
    let container = any_of(context, &project, &args.service, args.index).await?;
    if project.dry_run {
        return told(&container, "would become an image");
    }
    let commit = Commit {
        container: container.id,
        name: args.image,
        author: args.author,
        message: args.message,
        changes: args.changes,
        pause: args.pause,
    };
    let id = target(&context.caller)?.commit(commit).await.map_err(failed)?;
    show::data(&format!("{id}\n"))
}

/// A container of a service, running or not.
async fn any_of(
    context: &Context,
    project: &Project,
    service: &str,
    index: u32,
) -> Result<ObservedContainer> {
    let mut found = containers(&target(&context.caller)?, project).await?;
    found.retain(|container| {
        container.service() == Some(service)
            && !container.is_oneoff()
            && (index == 0 || container.number() == index)
    });
    found.sort_by_key(ObservedContainer::number);
    let number = if index > 0 {
        format!(" number {index}")
    } else {
        String::new()
    };
    let missing = || CommandError::failed(format!("service {service:?} has no container{number}"));
    found.into_iter().next().ok_or_else(missing)
}

fn told(container: &ObservedContainer, what: &str) -> Result<()> {
    note(&format!("dry run: container {} {what}", container.name));
    Ok(())
}
