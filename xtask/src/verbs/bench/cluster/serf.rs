//! Serf: its agent, and the little of its RPC protocol (MessagePack over TCP) that the poller needs.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::net::Node;
use crate::ask::LOOK;

const RPC_PORT: u16 = 7373;
const GOSSIP_PORT: u16 = 7946;
/// Any 32 bytes: both sides are encrypted.
const KEY: &str = "Y2xvdWR5IGJlbmNoIGNsdXN0ZXIga2V5IDMyIGJ5dGU=";

/// Starts an agent that joins through `seed`, if there is one.
pub fn start(node: &Node, number: usize, folder: &Path, profile: &str, seed: Option<&Node>) -> Result<Child> {
    fs::create_dir_all(folder)?;
    let log = File::create(folder.join("log"))?;
    let mut command = node.command("serf");
    command.args(["agent", "-log-level=warn", "-encrypt", KEY, "-profile", profile]);
    command.args(["-node", &format!("n{number}"), "-bind", &format!("{}:{GOSSIP_PORT}", node.address)]);
    command.args(["-rpc-addr", &format!("{}:{RPC_PORT}", node.address)]);
    command.args(["-snapshot", &folder.join("snapshot").display().to_string()]);
    if let Some(seed) = seed {
        command.args(["-retry-join", &format!("{}:{GOSSIP_PORT}", seed.address), "-retry-interval", "1s"]);
    }
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn().context("failed to start serf")
}

fn text(out: &mut Vec<u8>, text: &str) {
    // Fixed strings have up to 31 bytes, the next form up to 255.
    match u8::try_from(text.len()) {
        Ok(length @ 0..=31) => out.push(0xa0 | length),
        Ok(length) => out.extend([0xd9, length]),
        Err(_) => out.extend([0xd9, 0]),
    }
    out.extend(text.as_bytes());
}

/// A request's header: a map of command and number.
fn header(command: &str, sequence: u8) -> Vec<u8> {
    let mut out = vec![0x82];
    text(&mut out, "Command");
    text(&mut out, command);
    text(&mut out, "Seq");
    out.push(sequence);
    out
}

fn connect(node: &Node) -> Result<TcpStream> {
    let address: SocketAddr = format!("{}:{RPC_PORT}", node.address).parse()?;
    let stream = TcpStream::connect_timeout(&address, LOOK)?;
    stream.set_read_timeout(Some(LOOK))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn handshake() -> Vec<u8> {
    let mut out = header("handshake", 0);
    out.push(0x81);
    text(&mut out, "Version");
    out.push(1);
    out
}

fn count(haystack: &[u8], needle: &[u8]) -> usize {
    haystack.windows(needle.len()).filter(|window| *window == needle).count()
}

/// How many members a node holds for alive.
pub fn alive(node: &Node) -> Result<usize> {
    let mut stream = connect(node)?;
    let mut request = handshake();
    request.extend(header("members", 1));
    stream.write_all(&request)?;
    let mut got = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let read = stream.read(&mut buffer)?;
        ensure!(read > 0, "serf ended the connection");
        got.extend_from_slice(buffer.get(..read).unwrap_or_default());
        // The members are an array of maps; each has one status, and after that numbers alone.
        let Some(at) = got.windows(8).position(|window| window == b"\xa7Members") else { continue };
        let expected = match got.get(at + 8..) {
            Some([short @ 0x90..=0x9f, ..]) => usize::from(short & 0x0f),
            Some([0xdc, high, low, ..]) => usize::from(*high) << 8 | usize::from(*low),
            _ => continue,
        };
        if count(&got, b"\xa6Status") == expected && count(&got, b"DelegateCur") == expected {
            return Ok(count(&got, b"\xa6Status\xa5alive"));
        }
    }
}

/// Sends an event from a node.
pub fn send(node: &Node, name: &str) -> Result<()> {
    let mut stream = connect(node)?;
    let mut request = handshake();
    request.extend(header("event", 1));
    request.push(0x83);
    text(&mut request, "Name");
    text(&mut request, name);
    text(&mut request, "Payload");
    text(&mut request, "hello");
    text(&mut request, "Coalesce");
    request.push(0xc2);
    stream.write_all(&request)?;
    acknowledged(&mut stream).map(drop)
}

/// Waits until the handshake and one request are answered, each by a map of error and number; what has come so far.
fn acknowledged(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut got = Vec::new();
    let mut buffer = [0; 1024];
    while count(&got, b"\xa5Error") < 2 {
        let read = stream.read(&mut buffer)?;
        ensure!(read > 0, "serf ended the connection");
        got.extend_from_slice(buffer.get(..read).unwrap_or_default());
    }
    Ok(got)
}

/// Listens to a node's events until its agent ends: tells the node's number, the name of each, and when it came.
pub fn listen(node: &Node, number: usize, heard: mpsc::Sender<(usize, String, Instant)>) -> Result<()> {
    let mut stream = connect(node)?;
    let mut request = handshake();
    request.extend(header("stream", 1));
    request.push(0x81);
    text(&mut request, "Type");
    text(&mut request, "user");
    stream.write_all(&request)?;
    // No event may be sent before all listen.
    let mut got = acknowledged(&mut stream)?;
    stream.set_read_timeout(None)?;
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            let now = Instant::now();
            got.extend_from_slice(buffer.get(..read).unwrap_or_default());
            // Names are `event-RUN-NUMBER.`, so that none is the beginning of another.
            while let Some(at) = got.windows(6).position(|window| window == b"event-") {
                let Some(length) = got.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == b'.')) else { break };
                let name = String::from_utf8_lossy(got.get(at..=at + length).unwrap_or_default()).into_owned();
                got.drain(..=at + length);
                if heard.send((number, name, now)).is_err() {
                    return;
                }
            }
        }
    });
    Ok(())
}
