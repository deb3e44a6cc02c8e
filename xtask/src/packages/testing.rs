//! For tests: .debs made in memory, and a small HTTP server on loopback whose answers are a function.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};

use super::cache::Cache;
use super::lock::LockedPackage;
use super::sources::Sources;
use crate::digest::hex;

/// Adds an entry to a tar: (path, type, mode, link target, content).
pub type TarEntry<'a> = (&'a str, tar::EntryType, u32, &'a str, &'a [u8]);

/// A tar with these entries; names are written as they are, so that hostile ones can be made.
pub fn tar_of(entries: &[TarEntry]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, kind, mode, target, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(*mode);
        header.set_uid(0);
        header.set_gid(42);
        header.set_mtime(1_700_000_000);
        header.set_size(content.len() as u64);
        header.set_username("root").unwrap();
        header.set_groupname("shadow").unwrap();
        if matches!(kind, tar::EntryType::Char | tar::EntryType::Block) {
            header.set_device_major(1).unwrap();
            header.set_device_minor(3).unwrap();
        }
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

/// An ar archive of these members.
pub fn ar_of(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in members {
        writeln!(bytes, "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`", 0, 0, 0, 100_644, content.len()).unwrap();
        bytes.extend_from_slice(content);
        if content.len() % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    bytes
}

/// Compresses by the suffix: `""`, `.gz`, `.xz` or `.zst`.
pub fn compress(suffix: &str, bytes: &[u8]) -> Vec<u8> {
    match suffix {
        "" => bytes.to_vec(),
        ".gz" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        ".xz" => {
            let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        ".zst" => ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest),
        _ => panic!("{suffix}"),
    }
}

/// A package `name` 1.0-1 (all) with one file of `content`, compressed by `suffix`.
pub fn deb_of(name: &str, suffix: &str, content: &[u8]) -> Vec<u8> {
    let text = format!("Package: {name}\nVersion: 1.0-1\nArchitecture: all\nDescription: test\n");
    let control = tar_of(&[
        ("./", tar::EntryType::Directory, 0o755, "", b""),
        ("./control", tar::EntryType::Regular, 0o644, "", text.as_bytes()),
        ("./postinst", tar::EntryType::Regular, 0o755, "", b"#!/bin/sh\n"),
    ]);
    let file = format!("./usr/share/{name}");
    let data = tar_of(&[
        ("./", tar::EntryType::Directory, 0o755, "", b""),
        ("./usr/", tar::EntryType::Directory, 0o755, "", b""),
        ("./usr/share/", tar::EntryType::Directory, 0o755, "", b""),
        (&file, tar::EntryType::Regular, 0o4755, "", content),
        ("./usr/share/again", tar::EntryType::Link, 0o4755, &file, b""),
        ("./usr/bin", tar::EntryType::Symlink, 0o777, "../elsewhere", b""),
        ("./usr/null", tar::EntryType::Char, 0o666, "", b""),
    ]);
    ar_of(&[
        ("debian-binary", b"2.0\n"),
        (&format!("control.tar{suffix}"), &compress(suffix, &control)),
        (&format!("data.tar{suffix}"), &compress(suffix, &data)),
    ])
}

/// The lock's entry of a .deb made by [`deb_of`].
pub fn locked(name: &str, deb: &[u8]) -> LockedPackage {
    LockedPackage {
        name: name.to_owned(),
        version: "1.0-1".to_owned(),
        arch: "all".to_owned(),
        sha256: hex(&Sha256::digest(deb)),
        size: deb.len() as u64,
        source: "test".to_owned(),
        path: format!("pool/{name}_1.0-1+b1_all.deb"),
        payload: false,
        suite: None,
    }
}

/// Puts a .deb into a cache, as if it had been fetched.
pub fn put_deb(cache: &Cache, package: &LockedPackage, deb: &[u8]) {
    let path = cache.deb_path(&package.sha256);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, deb).unwrap();
}

/// What a test server answers.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Further header lines, each with its end.
    pub headers: String,
    /// The body as it is sent.
    pub body: Vec<u8>,
    /// What Content-Length says; `None`: the body ends with the connection.
    pub length: Option<usize>,
}

impl Answer {
    /// A plain answer.
    pub fn new(status: u16, body: &[u8]) -> Self {
        Self { status, body: body.to_vec(), length: Some(body.len()), headers: String::new() }
    }

    /// The file `body` from byte `from`, as a server that resumes answers.
    pub fn file(body: &[u8], from: Option<usize>) -> Self {
        match from {
            None => Self::new(200, body),
            Some(from) => {
                let headers = format!("Content-Range: bytes {from}-{}/{}\r\n", body.len() - 1, body.len());
                Self { headers, ..Self::new(206, &body[from..]) }
            }
        }
    }
}

/// A request as the test server saw it: path, and the first byte of its Range.
pub type Seen = (String, Option<usize>);

/// A running test server. Its thread ends with the process.
pub struct Server {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    /// All requests so far.
    pub seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Starts a server that answers by `answer(path, first byte of the range, how many requests that path had before)`.
    pub fn start(answer: impl Fn(&str, Option<usize>, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let answer = Arc::new(answer);
        let noted = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, noted) = (Arc::clone(&answer), Arc::clone(&noted));
                std::thread::spawn(move || serve(stream, &*answer, &noted));
            }
        });
        Self { url, seen }
    }

    /// A server's sources: one, with the key `test`.
    pub fn sources(&self) -> Sources {
        let text = format!("[test]\nurl = \"{}\"\nsuites = [\"s\"]\ncomponents = [\"main\"]\nkeys = [\"k\"]\n", self.url);
        Sources::parse(&text, Path::new("sources.toml"), Path::new("/")).unwrap()
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

/// Answers one request and closes the connection.
fn serve(stream: TcpStream, answer: &dyn Fn(&str, Option<usize>, usize) -> Answer, noted: &Mutex<Vec<Seen>>) {
    let mut reader = BufReader::new(&stream);
    let mut line = String::new();
    if reader.read_line(&mut line).unwrap_or(0) == 0 {
        return;
    }
    let path = line.split(' ').nth(1).unwrap_or_default().replace("%2b", "+");
    let mut from = None;
    loop {
        line.clear();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line.trim().is_empty() {
            break;
        }
        if let Some(range) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
            from = range.split('-').next().and_then(|first| first.parse().ok());
        }
    }
    let before = {
        let mut noted = noted.lock().unwrap();
        let before = noted.iter().filter(|(other, _)| *other == path).count();
        noted.push((path.clone(), from));
        before
    };
    let Answer { status, headers, body, length } = answer(&path, from, before);
    let length = length.map_or_else(String::new, |length| format!("Content-Length: {length}\r\n"));
    let head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\n{length}{headers}\r\n");
    // A client that has heard enough may hang up.
    let _ = (&stream).write_all(head.as_bytes()).and_then(|()| (&stream).write_all(&body));
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = reader.read_to_end(&mut Vec::new());
}
