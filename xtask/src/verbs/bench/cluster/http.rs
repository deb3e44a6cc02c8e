//! Just enough HTTP for the poller: one request over one connection, so that a look costs both sides the same.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// How long a look may take.
pub const LOOK: Duration = Duration::from_secs(5);

/// Asks a node's page.
pub fn get(address: SocketAddr, path: &str) -> Result<Value> {
    let mut stream = TcpStream::connect_timeout(&address, LOOK)?;
    stream.set_read_timeout(Some(LOOK))?;
    ask(&mut stream, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"))
}

/// Asks a node for a change over its socket.
pub fn post(socket: &Path, path: &str, body: &Value) -> Result<Value> {
    let mut stream = UnixStream::connect(socket).with_context(|| format!("failed to reach `{}`", socket.display()))?;
    stream.set_read_timeout(Some(LOOK))?;
    let body = body.to_string();
    let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    ask(&mut stream, &format!("{head}Connection: close\r\n\r\n{body}"))
}

fn ask(stream: &mut (impl Read + Write), request: &str) -> Result<Value> {
    stream.write_all(request.as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").context("no answer")?;
    let status = head.split_whitespace().nth(1).unwrap_or_default();
    ensure!(status.starts_with('2'), "it answered {status}: {}", body.trim());
    // Bodies of known length only: the agent sends no chunks for JSON.
    serde_json::from_str(body).context("the answer is no JSON")
}
