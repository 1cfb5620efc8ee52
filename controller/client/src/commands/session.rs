//! Signing in and out.

use std::io::Read as _;

use windflow_api::{LoginRequest, Me, SetupRequest};
use windflow_kit::Secret;

use super::{Session, ask_line, ask_secret, secret_file};
use crate::{
    cli::{LoginArgs, SetupArgs},
    context::{self, Context, parse_url},
    error::{Error, Exit, Result},
    http::Client,
    output::note,
    pin::parse_pin,
};

/// Trusts the controller at `url`: by the pin given, or by asking a person.
async fn trust(url: &str, pin: Option<String>) -> Result<Context> {
    let mut context = Context {
        url: parse_url(url)?,
        ca_pin: None,
        token: None,
    };
    if let Some(text) = pin {
        let pin = parse_pin(&text).ok_or_else(|| {
            Error::usage(format!(
                "`{text}` is not a pin: it must be the base64 of 32 bytes"
            ))
            .hint("Copy it from the controller's console.")
        })?;
        context.ca_pin = Some(pin);
        return Ok(context);
    }
    let client = Client::new(&context)?;
    let refused = match client.setup_status().await {
        Err(error) if !client.seen_pins().is_empty() => error,
        Err(error) => return Err(error),
        Ok(_) => return Err(Error::failed("the controller was trusted without a pin")),
    };
    let pins = client.seen_pins();
    let seen = pins.last().cloned().unwrap_or_default();
    let answer = ask_line(
        &format!(
            "The controller's key is sha256:{seen}\nIs this the key that its console shows (\"CA pin\")? [y/N]"
        ),
        "Compare the key with the console, then give it with --ca-pin.",
    );
    match answer {
        Ok(answer) if answer.eq_ignore_ascii_case("y") => context.ca_pin = Some(seen),
        Ok(_) => return Err(Error::new(Exit::Unreachable, "the controller is not trusted")),
        Err(_) => return Err(refused),
    }
    Ok(context)
}

fn finish(session: &Session<'_>, context: &Context, me: &Me) -> Result<()> {
    let file = context::path(&|name| (session.variable)(name))?;
    context.save(&file, Some(&me.name))?;
    note(&format!("signed in to {} as {}", context.url, me.name));
    Ok(())
}

fn no_token() -> Error {
    Error::failed("the controller gave no token").hint("Use a `windflow` of the controller's version.")
}

/// `windflow login`.
pub(super) async fn login(session: &Session<'_>, args: LoginArgs) -> Result<()> {
    let mut context = trust(&args.url, args.ca_pin).await?;
    if let Some(file) = &args.token_file {
        context.token = Some(secret_file(file)?);
        let me = Client::new(&context)?.me().await?;
        return finish(session, &context, &me);
    }
    let username = match args.username {
        Some(name) => name,
        None => ask_line("Username:", "Give it with --username.")?,
    };
    let password = match &args.password_file {
        Some(file) => secret_file(file)?,
        None => ask_secret("password", "Give a file with --password-file.")?,
    };
    let request = LoginRequest {
        username,
        password: password.expose().clone(),
        token: true,
    };
    let opened = Client::new(&context)?.session_create(&request).await?;
    context.token = Some(Secret::new(opened.token.ok_or_else(no_token)?));
    finish(session, &context, &opened.user)
}

/// `windflow setup`.
pub(super) async fn setup(session: &Session<'_>, args: SetupArgs) -> Result<()> {
    let code = match (&args.code_file, args.code_stdin) {
        (Some(file), _) => secret_file(file)?,
        (None, true) => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(|error| Error::usage(format!("cannot read the setup code from stdin: {error}")))?;
            Secret::new(text.trim().to_owned())
        }
        (None, false) => ask_secret("setup code", "Give it with --code-file or --code-stdin.")?,
    };
    let mut context = trust(&args.url, args.ca_pin).await?;
    let username = match args.username {
        Some(name) => name,
        None => ask_line("Username of the administrator:", "Give it with --username.")?,
    };
    let password = match &args.password_file {
        Some(file) => secret_file(file)?,
        None => ask_secret("password", "Give a file with --password-file.")?,
    };
    let request = SetupRequest {
        code: code.expose().clone(),
        username,
        password: password.expose().clone(),
        token: true,
    };
    let opened = Client::new(&context)?.setup(&request).await?;
    context.token = Some(Secret::new(opened.token.ok_or_else(no_token)?));
    finish(session, &context, &opened.user)
}

/// `windflow logout`: the token ends on the controller too, if it can be reached.
pub(super) async fn logout(session: &Session<'_>) -> Result<()> {
    let file = context::path(&|name| (session.variable)(name))?;
    match session.client() {
        Ok(client) => {
            if let Err(error) = client.session_delete().await
                && error.exit != Exit::Refused
            {
                note(&format!(
                    "warning: the token could not be ended on the controller: {error}"
                ));
            }
        }
        Err(error) if !file.exists() => return Err(error),
        Err(_) => {}
    }
    context::forget(&file)?;
    note("signed out");
    Ok(())
}

/// `windflow whoami`.
pub(super) async fn whoami(session: &Session<'_>) -> Result<()> {
    let client = session.client()?;
    let me = client.me().await?;
    session
        .out
        .show(&me, |_| format!("{} at {}", me.name, client.url()))
}
