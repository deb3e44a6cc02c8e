//! Scripts that run in user, network and process namespaces of their own; no root is needed.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
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

/// Whether namespaces can be had; in CI they must.
pub fn are_there() -> bool {
    let lacking = lacking();
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
