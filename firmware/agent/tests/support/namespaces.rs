//! Scripts that run in user, network and process namespaces of their own; no root is needed.

use super::{Local, wait};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// What `unshare` is told.
const NAMESPACES: [&str; 7] = ["--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"];

#[expect(clippy::disallowed_methods, reason = "the test runs programs itself")]
fn command(program: &str) -> Command {
    Command::new(program)
}

/// Why namespaces can't be had here, if so.
fn lacking() -> Option<&'static str> {
    let works = |words: &[&str]| {
        let (program, words) = words.split_first().unwrap();
        command(program).args(words).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    if !works(&["ip", "-V"]) {
        return Some("there is no `ip` (package iproute2)");
    }
    let unshare: Vec<&str> = ["unshare"].into_iter().chain(NAMESPACES).chain(["true"]).collect();
    (!works(&unshare)).then_some("user namespaces are refused")
}

/// Why a router that translates addresses can't be had here, if so.
fn lacking_nat() -> Option<&'static str> {
    let works = |words: &[&str]| {
        let status = command("unshare").args(NAMESPACES).args(words).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    if !works(&["nft", "-v"]) {
        return Some("there is no `nft` (package nftables)");
    }
    let try_it = "nft 'add table ip t; add chain ip t c { type nat hook postrouting priority 100; }; add rule ip t c masquerade'";
    (!works(&["sh", "-c", try_it])).then_some("the kernel translates no addresses in namespaces (nf_tables, masquerade)")
}

/// Whether namespaces can be had; in CI they must.
pub fn are_there() -> bool {
    run_unless(lacking())
}

/// Whether routers that translate addresses can be had in them too; in CI they must.
pub fn with_nat_are_there() -> bool {
    run_unless(lacking().or_else(lacking_nat))
}

fn run_unless(lacking: Option<&str>) -> bool {
    if let Some(why) = lacking {
        assert!(std::env::var_os("CI").is_none(), "in CI this runs: {why}");
        println!("skipped: {why}");
    }
    lacking.is_none()
}

/// A running script. It is the first process of its namespace, so that its end ends everything in it.
pub struct Script {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Script {
    /// Starts it with the program as `$1` and `words` after that; it says `started` once it is ready.
    pub fn start(script: &str, words: &[&Path]) -> Self {
        let mut child = command("unshare")
            .args(NAMESPACES)
            .args(["sh", "-c", script, "sh", env!("CARGO_BIN_EXE_cloudy")])
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut script = Self { child, said };
        script.hear("started");
        script
    }

    fn hear(&mut self, word: &str) {
        assert!(self.said.by_ref().map_while(Result::ok).any(|line| line == word), "the script did not say `{word}`");
    }

    /// Tells it a line; it says `done` when that is done.
    pub fn tell(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
        self.hear("done");
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks the agent at a socket.
pub fn ask(socket: &Path, method: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
    Local::open_at(socket)?.ask(method, path, body)
}

/// The same, where nothing as an answer is as good as none.
pub fn get(socket: &Path, path: &str) -> Value {
    ask(socket, "GET", path, &Value::Null).map(|(_, answer)| answer).unwrap_or_default()
}

/// Whether all hold the same, of a community of so many.
pub fn agree(sockets: &[PathBuf]) -> bool {
    let views: Vec<Value> = sockets.iter().map(|socket| get(socket, "/api/v1/view")).collect();
    views.iter().all(|view| view["root"] == views[0]["root"] && view["phase"] == "open" && view["members"] == sockets.len())
}

/// A community of `count` agents `n1`, `n2`…, each with a data folder below `folder`, which the script (`$2`) starts. All hold the same.
pub fn community(script: &str, folder: &Path, count: usize) -> (Script, Vec<PathBuf>) {
    for n in 1..=count {
        let data = folder.join(n.to_string());
        std::fs::create_dir(&data).unwrap();
        let founds = if n == 1 { "found = \"Home\"\n" } else { "" };
        std::fs::write(data.join("cloudy.toml"), format!("hostname = \"n{n}\"\n[join]\nmdns = false\n{founds}")).unwrap();
    }
    let sockets: Vec<PathBuf> = (1..=count).map(|n| folder.join(format!("{n}/agent.sock"))).collect();
    let script = Script::start(script, &[folder]);
    wait("the community is founded", || {
        let members = get(&sockets[0], "/api/v1/nodes")["members"].as_array().map_or(0, Vec::len);
        (members == 1).then_some(())
    });
    let token = ask(&sockets[0], "POST", "/api/v1/invite", &json!({ "uses": count, "valid-seconds": null })).unwrap().1["token"].clone();
    for socket in &sockets[1..] {
        let joined = wait("the agent answers", || ask(socket, "POST", "/api/v1/join", &json!({ "token": token })));
        assert_eq!(joined.0, 200, "{joined:?}");
    }
    wait("all hold the same", || agree(&sockets).then_some(()));
    (script, sockets)
}
