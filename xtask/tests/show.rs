//! README's third command, as a newcomer types it: two virtual nodes whose pages show each other, until Ctrl-C.
//!
//! It boots a built image, so it runs after one: `cargo test -p xtask --test show -- --ignored`.
#![cfg(test)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long two nodes may take to boot where there is no KVM.
const PATIENCE: Duration = Duration::from_secs(1200);
/// How often a page is looked at.
const POLL: Duration = Duration::from_secs(1);

/// A page, once it answers.
fn get(address: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    write!(stream, "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

#[test]
#[ignore = "boots an image that was built: it runs with `cargo xtask test --full`"]
fn two_nodes_are_shown_until_ctrl_c() {
    #[expect(clippy::disallowed_methods, reason = "the builder is what is tested here")]
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let mut child = command.args(["vm", "x86-minipc", "--nodes", "2"]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut pages = Vec::new();
    for line in lines.by_ref().take_while(|line| !line.starts_with("Ctrl-C")) {
        pages.extend(
            line.trim().strip_prefix("page").map(|page| page.trim().trim_start_matches("http://").trim_end_matches('/').to_owned()),
        );
    }
    assert_eq!(pages.len(), 2, "the verb ended, or names no pages");
    let begun = Instant::now();
    let ready = |page: &String| {
        get(page).is_some_and(|text| text.starts_with("HTTP/1.1 200") && text.contains("node-1") && text.contains("node-2"))
    };
    while !pages.iter().all(ready) {
        if begun.elapsed() > PATIENCE || child.try_wait().unwrap().is_some() {
            let _ = child.kill();
            panic!("no page shows both nodes after {:?}", begun.elapsed());
        }
        std::thread::sleep(POLL);
    }
    println!("both pages show both nodes after {:.0} s", begun.elapsed().as_secs_f64());
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    let rest: Vec<String> = lines.collect();
    assert!(child.wait().unwrap().success(), "{rest:?}");
    assert!(rest.iter().any(|line| line.starts_with("The nodes are off")), "{rest:?}");
    assert!(pages.iter().all(|page| TcpStream::connect(page).is_err()), "a machine still runs");
}
