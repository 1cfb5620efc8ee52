//! SMTP (RFC 5321), as much as it takes to hand over one mail, on a connection that [`crate::egress`] has judged.
//!
//! ```text
//! connect ─ [TLS] ─ 220 ─ EHLO ─ [STARTTLS 220 ─ TLS ─ EHLO] ─ [AUTH 235] ─ MAIL 250 ─ RCPT 250 … ─ DATA 354 ─ text . ─ 250 ─ QUIT
//! ```
//! What is asked for is done or nothing is: without STARTTLS no mail, without TLS no password.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use windflow_kit::Chain;
use windflow_model::alert::{ChannelSettings, MailTls};

use super::{Receipt, SendError, TIMEOUT};
use crate::egress::{Egress, Wire};

/// Longest line of an answer, and most lines of one.
const LINE: u64 = 2_000;
const LINES: usize = 100;

/// Between whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Envelope {
    pub(super) from: String,
    pub(super) to: Vec<String>,
}

struct Reply {
    code: u16,
    lines: Vec<String>,
}

impl Reply {
    /// For people: one line.
    fn told(&self) -> String {
        let text = super::text::plain(&self.lines.join(" "), false);
        let text: String = text.trim().chars().take(200).collect();
        format!("{} {text}", self.code)
    }
}

struct Session {
    wire: BufReader<Wire>,
    place: String,
}

/// Hands one mail over.
pub(super) async fn send(
    egress: &Egress,
    settings: &ChannelSettings,
    envelope: &Envelope,
    message: &[u8],
) -> Result<Receipt, SendError> {
    let ChannelSettings::Email {
        host,
        port,
        tls,
        user,
        password,
        ..
    } = settings
    else {
        return Err(SendError::never("these are no settings of a mail"));
    };
    let wire = egress.wire(host, *port, *tls == MailTls::Tls, TIMEOUT).await;
    let wire = wire.map_err(|error| super::failed(&error))?;
    let mut session = Session {
        place: wire.place(),
        wire: BufReader::new(wire),
    };
    session.greeted().await?;
    let mut can = session.hello().await?;
    if *tls == MailTls::Starttls {
        session = session.secured(&can).await?;
        can = session.hello().await?;
    }
    if !user.is_empty() {
        session.sign_in(&can, user, password).await?;
    }
    session.hand_over(envelope, message).await
}

impl Session {
    fn broken(&self, doing: &str, error: &std::io::Error) -> SendError {
        SendError::later(
            format!("{} hung up at {doing}: {}", self.place, Chain(error)),
            None,
        )
    }

    async fn read(&mut self, doing: &str) -> Result<Reply, SendError> {
        let mut reply = Reply {
            code: 0,
            lines: Vec::new(),
        };
        loop {
            let mut line = Vec::new();
            let mut limited = (&mut self.wire).take(LINE);
            if let Err(error) = limited.read_until(b'\n', &mut line).await {
                return Err(self.broken(doing, &error));
            }
            if line.last() != Some(&b'\n') {
                let error = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
                return Err(self.broken(doing, &error));
            }
            let line = String::from_utf8_lossy(&line);
            let (code, rest) = line.trim_end().split_at_checked(3).unwrap_or(("", ""));
            let code: u16 = code.parse().unwrap_or(0);
            if !(200..600).contains(&code) || reply.lines.len() >= LINES {
                let text = format!("{} does not speak SMTP (at {doing})", self.place);
                return Err(SendError::later(text, None));
            }
            reply.code = code;
            reply.lines.push(rest.get(1..).unwrap_or_default().to_owned());
            if !rest.starts_with('-') {
                return Ok(reply);
            }
        }
    }

    async fn say(&mut self, line: &str, doing: &str) -> Result<Reply, SendError> {
        let written = async {
            self.wire.write_all(format!("{line}\r\n").as_bytes()).await?;
            self.wire.flush().await
        };
        if let Err(error) = written.await {
            return Err(self.broken(doing, &error));
        }
        self.read(doing).await
    }

    /// An answer that is not what it should be: 4xx may pass, the rest will not.
    fn refused(&self, doing: &str, reply: &Reply) -> SendError {
        let text = format!("{} refused {doing}: {}", self.place, reply.told());
        if (400..500).contains(&reply.code) {
            SendError::later(text, None)
        } else {
            SendError::never(text)
        }
    }

    async fn expect(&mut self, line: &str, doing: &str, wanted: &[u16]) -> Result<Reply, SendError> {
        let reply = self.say(line, doing).await?;
        if wanted.contains(&reply.code) {
            Ok(reply)
        } else {
            Err(self.refused(doing, &reply))
        }
    }

    async fn greeted(&mut self) -> Result<(), SendError> {
        let reply = self.read("the greeting").await?;
        match reply.code {
            220 => Ok(()),
            // A greeting that refuses is of the moment: too many connections, a list of addresses.
            _ => Err(SendError::later(
                format!("{} refused the connection: {}", self.place, reply.told()),
                None,
            )),
        }
    }

    /// What the server can, in upper case.
    async fn hello(&mut self) -> Result<Vec<String>, SendError> {
        // An address literal is always well formed; the name of this machine need not be.
        let reply = self.expect("EHLO [127.0.0.1]", "EHLO", &[250]).await?;
        Ok(reply
            .lines
            .iter()
            .skip(1)
            .map(|line| line.to_ascii_uppercase())
            .collect())
    }

    /// TLS from here on, or nothing.
    async fn secured(mut self, can: &[String]) -> Result<Self, SendError> {
        if !can.iter().any(|line| line.trim() == "STARTTLS") {
            // Somebody in between may have taken it out; it may be back later.
            let text = format!("{} offers no STARTTLS; nothing is sent in plain text", self.place);
            return Err(SendError::later(text, None));
        }
        self.expect("STARTTLS", "STARTTLS", &[220]).await?;
        if !self.wire.buffer().is_empty() {
            // What was said before TLS would be taken for said within it.
            let text = format!("{} said more than it was asked before TLS", self.place);
            return Err(SendError::later(text, None));
        }
        let wire = self.wire.into_inner().secure(TIMEOUT).await;
        let wire = wire.map_err(|error| super::failed(&error))?;
        Ok(Self {
            place: self.place,
            wire: BufReader::new(wire),
        })
    }

    async fn sign_in(&mut self, can: &[String], user: &str, password: &str) -> Result<(), SendError> {
        const DOING: &str = "the sign-in";
        let wire = self.wire.get_ref();
        if !wire.is_tls() && !wire.is_local() {
            let text = format!("{}: a password is only sent over TLS", self.place);
            return Err(SendError::never(text));
        }
        let ways: Vec<&str> = can
            .iter()
            .find_map(|line| line.strip_prefix("AUTH"))
            .map(|ways| ways.split([' ', '=']).collect())
            .unwrap_or_default();
        if ways.contains(&"PLAIN") {
            let text = STANDARD.encode(format!("\0{user}\0{password}"));
            self.expect(&format!("AUTH PLAIN {text}"), DOING, &[235]).await?;
        } else if ways.contains(&"LOGIN") {
            self.expect("AUTH LOGIN", DOING, &[334]).await?;
            self.expect(&STANDARD.encode(user), DOING, &[334]).await?;
            self.expect(&STANDARD.encode(password), DOING, &[235]).await?;
        } else {
            let text = format!("{} takes neither AUTH PLAIN nor AUTH LOGIN", self.place);
            return Err(SendError::never(text));
        }
        Ok(())
    }

    async fn hand_over(&mut self, envelope: &Envelope, message: &[u8]) -> Result<Receipt, SendError> {
        let from = format!("MAIL FROM:<{}>", envelope.from);
        self.expect(&from, "the sender", &[250]).await?;
        let mut refused = None;
        let mut taken = 0;
        for to in &envelope.to {
            let doing = format!("the receiver {to}");
            match self.expect(&format!("RCPT TO:<{to}>"), &doing, &[250, 251]).await {
                Ok(_) => taken += 1,
                // One wrong address does not keep the others from being told.
                Err(error) if !error.again => refused = Some(error),
                Err(error) => return Err(error),
            }
        }
        if let (0, Some(error)) = (taken, refused.clone()) {
            return Err(error);
        }
        self.expect("DATA", "the mail", &[354]).await?;
        let data = stuffed(message);
        if let Err(error) = self.wire.write_all(&data).await {
            return Err(self.broken("the mail", &error));
        }
        let reply = self.expect(".", "the mail", &[250]).await?;
        // It is taken; how the conversation ends does not matter any more.
        let _ended = self.say("QUIT", "the end").await;
        let mut said = reply.told();
        if let Some(error) = refused {
            said = format!("{said}; but {error}");
        }
        Ok(Receipt { said })
    }
}

/// The text with its lines ended by CR LF and a dot before each dot that begins one, so that no text ends the mail.
fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 2);
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        if line.first() == Some(&b'.') {
            out.push(b'.');
        }
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        // A CR alone would be a line's end to some servers.
        out.extend(text.iter().filter(|byte| **byte != b'\r'));
        out.extend_from_slice(b"\r\n");
    }
    out
}
