//! Just enough HTTP for what measures: one request over one connection, so that each look costs the same.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// How long a look may take.
pub const LOOK: Duration = Duration::from_secs(5);

/// An answer of status 2xx.
pub struct Answer {
    /// Its head.
    pub head: String,
    /// What follows, of a known length: the agent sends no chunks for JSON.
    pub body: String,
}

impl Answer {
    fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).context("the answer is no JSON")
    }

    /// A header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let of = |line: &&str| line.split_once(": ").is_some_and(|(key, _)| key.eq_ignore_ascii_case(name));
        self.head.lines().find(of).and_then(|line| line.split_once(": ")).map(|(_, value)| value)
    }
}

/// Asks for a page within that time.
pub fn page(address: SocketAddr, path: &str, wait: Duration) -> Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, wait)?;
    stream.set_read_timeout(Some(wait))?;
    exchange(&mut stream, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"))
}

/// Asks a node's page for JSON.
pub fn get(address: SocketAddr, path: &str) -> Result<Value> {
    page(address, path, LOOK)?.json()
}

/// Asks a node for a change over its socket.
pub fn post(socket: &Path, path: &str, body: &Value) -> Result<Value> {
    send(&mut connect(socket)?, "localhost", path, body)?.json()
}

/// Asks a node's page for a change, as a browser does.
pub fn post_page(address: SocketAddr, path: &str, body: &Value) -> Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, LOOK)?;
    stream.set_read_timeout(Some(LOOK))?;
    send(&mut stream, &format!("{address}\r\nOrigin: http://{address}"), path, body)
}

fn connect(socket: &Path) -> Result<UnixStream> {
    let stream = UnixStream::connect(socket).with_context(|| format!("failed to reach `{}`", socket.display()))?;
    stream.set_read_timeout(Some(LOOK))?;
    Ok(stream)
}

fn send(stream: &mut (impl Read + Write), host: &str, path: &str, body: &Value) -> Result<Answer> {
    let body = body.to_string();
    let head = format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    exchange(stream, &format!("{head}Connection: close\r\n\r\n{body}"))
}

fn exchange(stream: &mut (impl Read + Write), request: &str) -> Result<Answer> {
    stream.write_all(request.as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").context("no answer")?;
    let status = head.split_whitespace().nth(1).unwrap_or_default();
    ensure!(status.starts_with('2'), "it answered {status}: {}", body.trim());
    Ok(Answer { head: head.to_owned(), body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_an_error_and_headers_are_found() {
        struct Said(std::io::Cursor<Vec<u8>>);
        impl Read for Said {
            fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
                self.0.read(into)
            }
        }
        impl Write for Said {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let say = |text: &str| exchange(&mut Said(std::io::Cursor::new(text.as_bytes().to_vec())), "");
        let answer = say("HTTP/1.1 201 Created\r\nSet-Cookie: a=b; Path=/\r\n\r\n{}").unwrap();
        assert_eq!((answer.header("set-cookie"), answer.header("etag"), answer.body.as_str()), (Some("a=b; Path=/"), None, "{}"));
        for bad in ["HTTP/1.1 404 Not Found\r\n\r\nno", "HTTP/1.1 307 x\r\n\r\n", "nothing"] {
            assert!(say(bad).is_err(), "{bad}");
        }
    }
}
