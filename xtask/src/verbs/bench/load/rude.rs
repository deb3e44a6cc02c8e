//! Those who keep a node busy: who send a byte of their header each second, and who send a body without end, its length declared or not.
//! They speak TLS as others do; what they say in it is written here by hand, since no client says it.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, version::TLS13};
use serde::{Deserialize, Serialize};

use super::clients::{Door, provider};

/// Between two bytes of who is slow.
const SLOW_PAUSE: Duration = Duration::from_secs(1);
/// How long who sends much looks whether there is an answer.
const HUGE_LOOK: Duration = Duration::from_millis(1);
/// Who is not cut in this time is not cut.
const LIMIT: Duration = Duration::from_secs(60);
/// Bytes that are declared, and the most that are sent.
const HUGE_BYTES: usize = 256 << 20;
/// Bytes that are sent at once.
const PIECE_BYTES: usize = 16 << 10;
/// What lets everybody send it something.
const PATH: &str = "/api/v1/session";

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// How somebody is rude.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A byte of the header each second.
    Slow,
    /// A body of a declared length that is far too much.
    Declared,
    /// A body in chunks that do not end.
    Chunked,
}

impl Kind {
    fn words(self) -> &'static str {
        match self {
            Self::Slow => "slow clients",
            Self::Declared => "huge bodies, declared",
            Self::Chunked => "huge bodies, in chunks",
        }
    }
}

/// How it ended for one.
#[derive(Debug)]
struct End {
    /// The status of the answer, if there was one.
    status: Option<u16>,
    /// Until it was cut; none if it was not.
    seconds: Option<f64>,
    /// Bytes that it could send.
    bytes: usize,
}

/// How it ended for all of a kind.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Cut {
    kind: Kind,
    count: usize,
    /// By status; `none` where nothing was said.
    statuses: BTreeMap<String, usize>,
    uncut: usize,
    first_seconds: f64,
    last_seconds: f64,
    most_bytes: usize,
}

/// Has so many of each kind be rude, all at once.
pub fn all(door: &Door, kinds: &[(Kind, usize)]) -> Result<Vec<Cut>> {
    let config = config(door)?;
    thread::scope(|scope| {
        let config = &config;
        let one = |kind| scope.spawn(move || rude(door, config, kind));
        let begun: Vec<_> = kinds.iter().map(|(kind, count)| (*kind, (0..*count).map(|_| one(*kind)).collect::<Vec<_>>())).collect();
        let mut cuts = Vec::new();
        for (kind, threads) in begun {
            let ends = threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow::anyhow!("who was rude broke"))?);
            cuts.push(Cut::of(kind, &ends.collect::<Result<Vec<End>>>()?));
        }
        cuts.retain(|cut| cut.count > 0);
        Ok(cuts)
    })
}

fn config(door: &Door) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(door.root.clone()))?;
    let config = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13])?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

fn rude(door: &Door, config: &Arc<ClientConfig>, kind: Kind) -> Result<End> {
    let mut socket = TcpStream::connect_timeout(&door.address, LIMIT)?;
    socket.set_read_timeout(Some(LIMIT))?;
    socket.set_write_timeout(Some(LIMIT))?;
    let mut connection = ClientConnection::new(Arc::clone(config), ServerName::from(door.address.ip()))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket).context("no handshake with who is rude")?;
    }
    socket.set_read_timeout(Some(if kind == Kind::Slow { SLOW_PAUSE } else { HUGE_LOOK }))?;
    Ok(send(&mut StreamOwned::new(connection, socket), &door.address.to_string(), kind))
}

/// Sends what a kind sends, and looks after each piece whether it was cut.
fn send(stream: &mut Stream, host: &str, kind: Kind) -> End {
    let (begun, mut bytes) = (Instant::now(), 0);
    let ended = |status, bytes| End { status, seconds: Some(begun.elapsed().as_secs_f64()), bytes };
    for piece in pieces(host, kind) {
        if begun.elapsed() > LIMIT {
            break;
        }
        // An answer may be there though nothing more is taken.
        let taken = stream.write_all(&piece).and_then(|()| stream.flush());
        if taken.is_ok() {
            bytes += piece.len();
        }
        match heard(stream) {
            Heard::Nothing if taken.is_ok() => {}
            Heard::Nothing | Heard::End => return ended(None, bytes),
            Heard::Answer(status) => return ended(status, bytes),
        }
    }
    End { status: None, seconds: None, bytes }
}

/// What is sent, piece by piece.
fn pieces(host: &str, kind: Kind) -> Box<dyn Iterator<Item = Vec<u8>>> {
    let head =
        |length: &str| format!("POST {PATH} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{length}\r\n\r\n").into_bytes();
    let body = vec![b' '; PIECE_BYTES];
    let times = HUGE_BYTES / PIECE_BYTES;
    match kind {
        Kind::Slow => {
            let begin = format!("GET / HTTP/1.1\r\nHost: {host}\r\nX-Slow: ").into_bytes();
            Box::new(begin.into_iter().chain(std::iter::repeat(b'a')).map(|byte| vec![byte]))
        }
        Kind::Declared => Box::new(std::iter::once(head(&format!("Content-Length: {HUGE_BYTES}"))).chain(std::iter::repeat_n(body, times))),
        Kind::Chunked => {
            let chunk = [format!("{PIECE_BYTES:x}\r\n").as_bytes(), &body, b"\r\n"].concat();
            Box::new(std::iter::once(head("Transfer-Encoding: chunked")).chain(std::iter::repeat_n(chunk, times)))
        }
    }
}

/// What came from the node.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Nothing,
    Answer(Option<u16>),
    End,
}

fn heard(stream: &mut Stream) -> Heard {
    let mut begin = [0; 64];
    match stream.read(&mut begin) {
        Ok(0) => Heard::End,
        Ok(length) => Heard::Answer(status(begin.get(..length).unwrap_or_default())),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Heard::Nothing,
        Err(_) => Heard::End,
    }
}

/// The status of an answer that begins so.
fn status(begin: &[u8]) -> Option<u16> {
    std::str::from_utf8(begin.get(..12)?).ok()?.strip_prefix("HTTP/1.1 ")?.parse().ok()
}

impl Cut {
    fn of(kind: Kind, ends: &[End]) -> Self {
        let seconds = || ends.iter().filter_map(|end| end.seconds);
        let mut statuses = BTreeMap::new();
        for end in ends.iter().filter(|end| end.seconds.is_some()) {
            *statuses.entry(end.status.map_or_else(|| "none".to_owned(), |status| status.to_string())).or_default() += 1;
        }
        Self {
            kind,
            count: ends.len(),
            statuses,
            uncut: ends.iter().filter(|end| end.seconds.is_none()).count(),
            first_seconds: seconds().reduce(f64::min).unwrap_or_default(),
            last_seconds: seconds().fold(0.0, f64::max),
            most_bytes: ends.iter().map(|end| end.bytes).max().unwrap_or_default(),
        }
    }

    pub fn line(&self) -> String {
        let statuses: Vec<String> = self.statuses.iter().map(|(status, count)| format!("{count} × {status}")).collect();
        format!(
            "{} {}: cut after {:.2} to {:.2} s with status {}; {} bytes were sent at most",
            self.count,
            self.kind.words(),
            self.first_seconds,
            self.last_seconds,
            statuses.join(", "),
            self.most_bytes
        )
    }

    /// What was not as it has to be.
    pub fn fault(&self) -> Option<String> {
        (self.uncut > 0).then(|| format!("{} of {} {} were not cut in {} s", self.uncut, self.count, self.kind.words(), LIMIT.as_secs()))
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// So many that were cut and so many that were not.
    pub fn cut(count: usize, uncut: usize) -> Cut {
        let end = |number| End { status: None, seconds: (number >= uncut).then_some(20.0), bytes: 20 };
        told(&Cut::of(Kind::Slow, &(0..count).map(end).collect::<Vec<_>>()))
    }

    /// As the program outside reads it.
    fn told(cut: &Cut) -> Cut {
        serde_json::from_slice(&serde_json::to_vec(cut).unwrap()).unwrap()
    }

    #[test]
    fn a_status_is_read_from_how_an_answer_begins() {
        assert_eq!(status(b"HTTP/1.1 413 Payload Too Large\r\n"), Some(413));
        assert_eq!((status(b"HTTP/1.1 4"), status(b"no answer at all")), (None, None));
    }

    #[test]
    fn the_slow_send_one_byte_and_never_end_and_the_huge_send_more_than_is_taken() {
        let slow: Vec<Vec<u8>> = pieces("h", Kind::Slow).take(500).collect();
        assert!(slow.iter().all(|piece| piece.len() == 1));
        let text = String::from_utf8(slow.concat()).unwrap();
        assert!(text.starts_with("GET / HTTP/1.1\r\nHost: h\r\n") && !text.contains("\r\n\r\n"), "{text}");
        let sent = |kind| pieces("h", kind).map(|piece| piece.len()).sum::<usize>();
        assert!(sent(Kind::Declared) > HUGE_BYTES && sent(Kind::Chunked) > HUGE_BYTES);
        let chunk = pieces("h", Kind::Chunked).nth(1).unwrap();
        assert!(chunk.starts_with(b"4000\r\n") && chunk.len() == PIECE_BYTES + 8);
    }

    #[test]
    fn who_was_not_cut_is_a_fault() {
        assert!(cut(3, 0).fault().is_none() && cut(3, 0).line().contains("20.00 to 20.00 s with status 3 × none"));
        assert!(cut(3, 3).fault().is_some());
        assert!(cut(3, 1).fault().is_some_and(|fault| fault.contains("1 of 3 slow clients")));
    }
}
