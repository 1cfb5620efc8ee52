//! What may be asked for.

use windflow_api::TerminalCreate;

use super::super::{AppError, AppResult};

/// Longest grace in seconds.
const LONGEST_GRACE: u32 = 600;
/// Arguments and variables, and their bytes.
const WORDS: usize = 1_024;
const WORD_BYTES: usize = 128 << 10;
/// Most characters of a name, and of a path.
const NAME: usize = 255;
const PATH: usize = 4_096;

/// Bounds of a request, before anything happens.
pub(super) fn fits(request: &TerminalCreate) -> AppResult<()> {
    let words = || request.command.iter().chain(&request.env);
    let bytes: usize = words().map(String::len).sum();
    if words().count() > WORDS || bytes > WORD_BYTES {
        return Err(AppError::bad(format!(
            "command and env: at most {WORDS} words of {WORD_BYTES} bytes in all"
        )));
    }
    let texts = [
        &request.user,
        &request.working_dir,
        &request.service,
        &request.container,
    ];
    if words()
        .chain(texts.into_iter().flatten())
        .any(|text| text.contains('\0'))
    {
        return Err(AppError::bad(
            "a text holds a NUL character, which no program can be given",
        ));
    }
    for (what, text, most) in [
        ("container", &request.container, NAME),
        ("service", &request.service, NAME),
        ("user", &request.user, NAME),
        ("working_dir", &request.working_dir, PATH),
    ] {
        let Some(text) = text else { continue };
        if text.chars().count() > most || text.chars().any(char::is_control) {
            return Err(AppError::bad(format!(
                "{what}: at most {most} characters, and none that controls a terminal"
            )));
        }
    }
    if request.command.first().is_some_and(String::is_empty) {
        return Err(AppError::bad("command: the name of the program is empty"));
    }
    if let Some(variable) = request.env.iter().find(|text| text.find('=').unwrap_or(0) == 0) {
        return Err(AppError::bad(format!("env: {variable:?} is not KEY=value")));
    }
    let strange = |key: &str| key.chars().count() > NAME || key.chars().any(char::is_control);
    if super::trail::keys_of(request).any(strange) {
        return Err(AppError::bad(format!(
            "env: a name has at most {NAME} characters, and none that controls a terminal"
        )));
    }
    if request.grace_s > LONGEST_GRACE {
        return Err(AppError::bad(format!("grace_s: at most {LONGEST_GRACE}")));
    }
    Ok(())
}
