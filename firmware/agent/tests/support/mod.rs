//! Real agents on loopback, each with a data folder of its own, and how they are asked.

#![allow(dead_code, reason = "each test program uses a part of this")]

pub mod broker;
pub mod community;
pub mod layout;
pub mod namespaces;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long a condition may take to come true on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(180);
/// Between two looks.
const POLL: Duration = Duration::from_millis(50);

const WORDS: [&str; 11] = [
    "agent",
    "--http",
    "127.0.0.1:0",
    "--bind",
    "127.0.0.1:0",
    "--broker",
    "/nonexistent/broker.sock",
    "--registry",
    "127.0.0.1:0",
    "--gateway",
    "127.0.0.1:0",
];

/// Where apps that use the store have a folder each, in an agent's data folder.
pub const STORES: &str = "stores";

/// What init reports of a boot.
const REPORT: &str = r#"{"build":"00112233445566778899aabbccddeeff","slot":"a","disk":"/dev/sda","partitions":[],"trial":null,"entries":[],
"first_boot":false,"data":"STATE","fsck":null,"clock":"hardware","watchdog_seconds":null,"last_failure":null,"warnings":[],"steps":[]}"#;

#[expect(clippy::disallowed_methods, reason = "the test runs the program itself")]
pub fn cloudy() -> Command {
    Command::new(env!("CARGO_BIN_EXE_cloudy"))
}

/// A running agent with a data folder of its own; stopped by SIGTERM when dropped.
pub struct Agent {
    pub child: Child,
    pub data: tempfile::TempDir,
}

impl Agent {
    pub fn start(name: &str, toml: &str) -> Self {
        let data = tempfile::tempdir().unwrap();
        std::fs::write(data.path().join("cloudy.toml"), format!("hostname = \"{name}\"\n{toml}")).unwrap();
        let agent = Self { child: Self::spawn(data.path()), data };
        agent.wait_until_up();
        agent
    }

    /// Starts with what init would have said of data.
    pub fn start_with_data(name: &str, toml: &str, state: &str) -> Self {
        let data = tempfile::tempdir().unwrap();
        std::fs::write(data.path().join("cloudy.toml"), format!("hostname = \"{name}\"\n{toml}")).unwrap();
        let agent = Self { child: Self::spawn_with_data(data.path(), state), data };
        agent.wait_until_up();
        agent
    }

    pub fn spawn_with_data(data: &Path, state: &str) -> Child {
        let report = data.join("boot.json");
        let text = REPORT.replace("STATE", state);
        std::fs::write(&report, text).unwrap();
        cloudy()
            .args(WORDS)
            .args(["--data".as_ref(), data, "--boot-report".as_ref(), report.as_path()])
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap()
    }

    pub fn spawn(data: &Path) -> Child {
        // Where somebody plays a broker, it is asked.
        let played = data.join(broker::SOCKET);
        let words = WORDS.map(|word| if word.ends_with("/broker.sock") && played.exists() { played.to_str().unwrap() } else { word });
        let stores = data.join(STORES);
        cloudy().args(words).arg("--data").arg(data).arg("--stores").arg(stores).stderr(Stdio::inherit()).spawn().unwrap()
    }

    pub fn wait_until_up(&self) {
        wait("the agent answers", || self.run(&["status", "--json"]).status.success().then_some(()));
    }

    pub fn run(&self, words: &[&str]) -> Output {
        cloudy().args(words).arg("--data").arg(self.data.path()).output().unwrap()
    }

    /// The JSON of a command that succeeds.
    #[track_caller]
    pub fn json(&self, words: &[&str]) -> Value {
        let words: Vec<&str> = words.iter().copied().chain(["--json"]).collect();
        let output = self.run(&words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub fn page(&self) -> String {
        self.json(&["status"])["pages"][0].as_str().unwrap().to_owned()
    }

    /// Names of the members that are alive, as the API says.
    pub fn alive(&self) -> Vec<String> {
        let nodes: Value = serde_json::from_str(&get(&self.page(), "/api/v1/nodes", &[]).1).unwrap();
        let members = nodes["members"].as_array().cloned().unwrap_or_default();
        let mut names: Vec<_> =
            members.iter().filter(|m| m["state"] == "alive").map(|m| m["name"].as_str().unwrap_or_default().to_owned()).collect();
        names.sort();
        names
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    pub fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks until there is something, for as long as is usual here.
#[track_caller]
pub fn wait<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait_for(what, PATIENCE, look)
}

/// The same, for at most so long.
#[track_caller]
pub fn wait_for<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < patience, "waited {patience:?} until {what}");
        std::thread::sleep(POLL);
    }
}

/// What `cloudy nodes` says, once it answers.
pub fn nodes(data: &Path) -> Option<Value> {
    let output = cloudy().args(["nodes", "--json", "--data"]).arg(data).output().unwrap();
    serde_json::from_slice(&output.stdout).ok()
}

/// Status line with headers, and body.
pub fn get(address: &str, path: &str, headers: &[&str]) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let host = if headers.iter().any(|h| h.starts_with("Host:")) { String::new() } else { format!("Host: {address}\r\n") };
    let more: String = headers.iter().map(|h| format!("{h}\r\n")).collect();
    write!(stream, "GET {path} HTTP/1.1\r\n{host}{more}Connection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// A connection to an agent's local socket, kept open.
pub struct Local(BufReader<UnixStream>);

impl Local {
    /// Opens one; none while no agent listens there.
    pub fn open(data: &Path) -> Option<Self> {
        Self::open_at(&data.join("agent.sock"))
    }

    /// The same of a socket that lies elsewhere.
    pub fn open_at(socket: &Path) -> Option<Self> {
        let stream = UnixStream::connect(socket).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Some(Self(BufReader::new(stream)))
    }

    /// Status and JSON of an answer; none if the agent is gone.
    pub fn ask(&mut self, method: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.0.get_mut().write_all(&[head.as_bytes(), body.as_bytes()].concat()).ok()?;
        let mut line = String::new();
        self.0.read_line(&mut line).ok()?;
        let status = line.split(' ').nth(1)?.parse().ok()?;
        let mut length = 0;
        loop {
            line.clear();
            self.0.read_line(&mut line).ok().filter(|read| *read > 0)?;
            match line.trim_end().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().ok()?,
                Some(_) => {}
                None => break,
            }
        }
        let mut answer = vec![0; length];
        self.0.read_exact(&mut answer).ok()?;
        Some((status, serde_json::from_slice(&answer).ok()?))
    }
}
