//! As much of HTTP/1.1 as an engine's clients speak, on a unix socket.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
};

use serde_json::Value;

/// One request.
pub(super) struct Request {
    pub(super) method: String,
    /// Without version and query.
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// One answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn json(status: u16, value: &Value) -> Self {
        Self {
            status,
            body: value.to_string().into_bytes(),
        }
    }

    pub(super) fn empty(status: u16) -> Self {
        Self {
            status,
            body: Vec::new(),
        }
    }

    pub(super) fn fault(status: u16, message: &str) -> Self {
        Self::json(status, &serde_json::json!({ "message": message }))
    }
}

/// Reads the next request of a connection; `None` at its end.
pub(super) fn read(from: &mut BufReader<UnixStream>) -> Option<Request> {
    let mut line = String::new();
    from.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut length, mut chunked) = (0_usize, false);
    loop {
        let mut line = String::new();
        from.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        match name.to_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "transfer-encoding" => chunked = value.contains("chunked"),
            _ => {}
        }
    }
    let body = if chunked {
        chunks(from)?
    } else {
        let mut body = vec![0; length];
        from.read_exact(&mut body).ok()?;
        body
    };
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let query = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (plain(key), plain(value))
    });
    // `/v1.51/containers/…`
    let bare = match path.strip_prefix("/v") {
        Some(rest) if rest.starts_with(|first: char| first.is_ascii_digit()) => {
            rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/")
        }
        _ => path,
    };
    Some(Request {
        method,
        path: plain(bare),
        query: query.collect(),
        body,
    })
}

fn chunks(from: &mut BufReader<UnixStream>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        from.read_line(&mut line).ok()?;
        let length = usize::from_str_radix(line.trim(), 16).ok()?;
        let mut piece = vec![0; length + 2];
        from.read_exact(&mut piece).ok()?;
        body.extend_from_slice(piece.get(..length)?);
        if length == 0 {
            return Some(body);
        }
    }
}

/// Percent signs and pluses resolved.
fn plain(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let pair: Vec<u8> = bytes.by_ref().take(2).collect();
                let pair = String::from_utf8(pair).unwrap_or_default();
                out.push(u8::from_str_radix(&pair, 16).unwrap_or(b'?'));
            }
            other => out.push(other),
        }
    }
    String::from_utf8(out).unwrap_or_default()
}

/// Answers a request whose body has no end that is known.
pub(super) fn begin(to: &mut UnixStream, api: &str) -> std::io::Result<()> {
    let start = format!(
        "HTTP/1.1 200 OK\r\nApi-Version: {api}\r\nServer: Docker/28 (linux)\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    to.write_all(start.as_bytes())
}

/// A piece of such a body.
pub(super) fn chunk(to: &mut UnixStream, piece: &[u8]) -> std::io::Result<()> {
    let length = format!("{:x}\r\n", piece.len());
    to.write_all(&[length.as_bytes(), piece, b"\r\n"].concat())
}

/// Whether the caller has hung up.
pub(super) fn is_gone(stream: &mut UnixStream) -> std::io::Result<bool> {
    stream.set_nonblocking(true)?;
    let read = stream.read(&mut [0; 64]);
    stream.set_nonblocking(false)?;
    match read {
        Ok(read) => Ok(read == 0),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

pub(super) fn write(to: &mut UnixStream, api: &str, head: bool, answer: &Answer) -> std::io::Result<()> {
    let start = format!(
        "HTTP/1.1 {} X\r\nApi-Version: {api}\r\nOstype: linux\r\nServer: Docker/28 (linux)\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        answer.status,
        answer.body.len()
    );
    to.write_all(start.as_bytes())?;
    if !head {
        to.write_all(&answer.body)?;
    }
    to.flush()
}
