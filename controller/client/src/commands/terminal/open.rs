//! Terminals that others have open.

use std::io::{self, Write as _};

use comfy_table::Cell;
use windflow_api::TerminalView;
use windflow_kit::terminal;
use windflow_model::TerminalId;

use super::{GRACE, Heard, Printer, Signals, finish, say};
use crate::{
    cli::TerminalsCommand,
    commands::{Session, agent_names},
    error::{Error, Exit, Result},
    http::Client,
    output::note,
    terminal::{Seen, Terminal},
};

/// What a program may have left its terminal in: another screen, no cursor, colours, a mouse that is listened to.
const RESTORE: &str = "\u{1b}[?1049l\u{1b}[?25h\u{1b}[0m\u{1b}[?1000l\u{1b}[?1006l\u{1b}[?2004l\r\n";

/// `windflow terminals …`.
pub(in crate::commands) async fn terminals(session: &Session<'_>, command: TerminalsCommand) -> Result<()> {
    let client = session.client()?;
    match command {
        TerminalsCommand::List => list(session, &client).await,
        TerminalsCommand::Watch { id } => watch(client, id).await,
        TerminalsCommand::Close { id } => {
            client.terminal_delete(id).await?;
            note(&format!("terminal {id} is closed"));
            Ok(())
        }
    }
}

async fn list(session: &Session<'_>, client: &Client) -> Result<()> {
    let open = client.terminal_list().await?;
    let names = agent_names(client).await?;
    session.out.none(open.is_empty(), "no terminal is open");
    session.out.show(&open, |out| {
        let rows = open.iter().map(|one| {
            let place = one.host_user.as_ref().unwrap_or(&one.container);
            let mut state = vec![if one.attached { "attached" } else { "left alone" }.to_owned()];
            state.extend(one.recorded.then(|| "recorded".to_owned()));
            state.extend((one.watchers > 0).then(|| format!("{} watch", one.watchers)));
            vec![
                Cell::new(one.id),
                Cell::new(names.get(&one.agent).map_or("?", String::as_str)),
                Cell::new(place),
                Cell::new(one.command.join(" ")),
                Cell::new(&one.user_name),
                Cell::new(out.ago(one.opened_at)),
                Cell::new(state.join(", ")),
            ]
        });
        let header = ["ID", "HOST", "WHERE", "COMMAND", "BY", "OPENED", "STATE"];
        out.table(&header, rows.collect())
    })
}

async fn watch(client: Client, id: TerminalId) -> Result<()> {
    let open = client.terminal_list().await?;
    let Some(view) = open.into_iter().find(|one| one.id == id) else {
        let error = Error::new(Exit::NotFound, format!("there is no terminal {id} any more"));
        return Err(error.hint("`windflow terminals list` shows those that are open."));
    };
    if let (Some(theirs), Some((columns, rows))) = (view.size, terminal::size())
        && (theirs.columns > columns || theirs.rows > rows)
    {
        note(&format!(
            "windflow: it is {} columns wide and {} rows high, larger than this one: what it shows may be out of place",
            theirs.columns, theirs.rows
        ));
    }
    let mut signals = Signals::listen()?;
    let mut watched = Terminal::new(client, id, GRACE).kept_by_reader().watching();
    let done = carry(&mut watched, &view, &mut signals).await;
    if view.tty && terminal::is_there() {
        let mut out = io::stdout().lock();
        let _ = out.write_all(RESTORE.as_bytes()).and_then(|()| out.flush());
    }
    done
}

async fn carry(watched: &mut Terminal, view: &TerminalView, signals: &mut Signals) -> Result<()> {
    let mut printer = Printer::start()?;
    let mut end = None;
    loop {
        if let (Some(end), true) = (&end, printer.is_idle()) {
            // How the process ended is not how the watching did.
            let what = finish(Clone::clone(end), view.tty)
                .err()
                .map(|error| error.message);
            let what = what.filter(|text| !text.is_empty());
            note(what.as_deref().unwrap_or("the terminal is over"));
            return Ok(());
        }
        tokio::select! {
            printed = printer.printed() => watched.used(printed?),
            seen = watched.next(), if end.is_none() && printer.has_room() => match seen? {
                Seen::Output { stderr, bytes } => printer.print(stderr, bytes, watched.position()),
                Seen::Ready => {}
                Seen::Missing(lost) => say(view, &format!("{lost} bytes of output are missing here")),
                Seen::Lost => say(view, "the connection is lost"),
                Seen::Back => say(view, "connected again"),
                Seen::Ended(how) => end = Some(how),
            },
            heard = signals.next() => match heard {
                Heard::Resized => {}
                Heard::End(_) => return Ok(()),
            },
        }
    }
}
