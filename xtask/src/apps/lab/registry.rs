//! The lab's registry: an image layout, read-only, over HTTP on loopback. What is asked and answered is decided in `contract::oci`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use anyhow::{Context, Result};
use contract::oci::{Ask, Digest, Found, headers};
use serde::Deserialize;

/// Where it listens.
pub const ADDRESS: &str = "127.0.0.1:5000";
/// The longest request line and header in bytes.
const LINE_BYTES: u64 = 8 * 1024;

/// Serves the layout in `root` until the process ends.
pub fn serve(root: &'static Path) -> Result<()> {
    let listener = TcpListener::bind(ADDRESS).with_context(|| format!("failed to listen on {ADDRESS}"))?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                if let Err(error) = answer(stream, root) {
                    eprintln!("  registry: {error:#}");
                }
            });
        }
    });
    Ok(())
}

fn answer(mut stream: TcpStream, root: &Path) -> Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?.take(LINE_BYTES));
    let mut line = String::new();
    // Docker tries TLS first, which is no text.
    if reader.read_line(&mut line).is_err() {
        return Ok(());
    }
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
            break;
        }
    }
    let mut words = line.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let read = |digest: &Digest| std::fs::read(root.join("blobs/sha256").join(digest.hex())).ok();
    let (found, body) = match Ask::parse(method, path) {
        Some(Ask::Version) => (Found::Version, Vec::new()),
        Some(Ask::Blob { digest, .. }) => match read(&digest) {
            Some(body) => (Found::Blob(digest), body),
            None => (Found::Nothing, Vec::new()),
        },
        Some(Ask::Manifest { digest, .. }) => match read(&digest) {
            Some(body) => (Found::Manifest(digest, media_type(&body)?), body),
            None => (Found::Nothing, Vec::new()),
        },
        None => (Found::Nothing, Vec::new()),
    };
    let status = if found == Found::Nothing { "404 Not Found" } else { "200 OK" };
    let mut head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers(&found) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    if method == "GET" {
        stream.write_all(&body)?;
    }
    Ok(stream.flush()?)
}

/// What an index or manifest says it is.
fn media_type(body: &[u8]) -> Result<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Typed {
        media_type: String,
    }
    Ok(serde_json::from_slice::<Typed>(body).context("a manifest says no type")?.media_type)
}
