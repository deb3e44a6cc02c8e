//! An agent and a broker beside a real dockerd of the test's own, where there is one and who tests may start it: what an app says and uses,
//! and what it said last when it fails.

#![expect(clippy::unwrap_used, reason = "a test may end so")]

mod support;

use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use support::{Agent, cloudy, get, layout, wait};

/// Says what it says as often as it can be counted, and ends as its password says.
const SCRIPT: &str = r#"
echo "begun with <b>$PASSWORD</b>"
if [ "$PASSWORD" = brief ]; then sleep 1; echo "no such <i>thing</i>"; exit 1; fi
n=0
while :; do
  n=$((n + 1))
  echo "line $n"
  i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done
  sleep 0.1
done
"#;

#[expect(clippy::disallowed_methods, reason = "the test runs programs itself")]
fn command(program: &str) -> Command {
    Command::new(program)
}

fn works(program: &str, words: &[&str]) -> bool {
    command(program).args(words).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Ended as one ends a program that has something to tidy up.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.0.id().try_into().unwrap()), nix::sys::signal::SIGTERM);
        let _ = self.0.wait();
    }
}

/// A dockerd with a folder of its own, which changes no rule of this machine's network.
fn dockerd(folder: &Path, socket: &Path) -> Ended {
    let log = std::fs::File::create(folder.join("log")).unwrap();
    let at = |flag: &str, name: &str| format!("--{flag}={}", folder.join(name).display());
    let child = command("dockerd")
        .args([at("data-root", "data"), at("exec-root", "exec"), at("pidfile", "pid"), format!("--host=unix://{}", socket.display())])
        .args(["--storage-driver=vfs", "--iptables=false", "--ip6tables=false", "--bridge=none"])
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let child = Ended(child);
    wait("dockerd answers", || std::os::unix::net::UnixStream::connect(socket).ok());
    child
}

/// A shell, `sleep`, the libraries that both need, and the script.
fn layer() -> Vec<u8> {
    let mut files: std::collections::BTreeSet<String> = ["/bin/sh".to_owned(), "/bin/sleep".to_owned()].into();
    for program in ["/bin/sh", "/bin/sleep"] {
        let said = command("ldd").arg(program).output().unwrap().stdout;
        let said = String::from_utf8(said).unwrap();
        files.extend(said.split_whitespace().filter(|word| word.starts_with('/')).map(str::to_owned));
    }
    let mut tar = tar::Builder::new(Vec::new());
    let above = |file: &String| Path::new(file).ancestors().skip(1).map(Path::to_owned).collect::<Vec<_>>();
    for folder in files.iter().flat_map(above).filter(|folder| folder.parent().is_some()).collect::<std::collections::BTreeSet<_>>() {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_size(0);
        header.set_mode(0o755);
        tar.append_data(&mut header, folder.strip_prefix("/").unwrap(), std::io::empty()).unwrap();
    }
    for file in files {
        let real = std::fs::canonicalize(&file).unwrap();
        tar.append_path_with_name(real, file.trim_start_matches('/')).unwrap();
    }
    let mut header = tar::Header::new_gnu();
    header.set_size(SCRIPT.len().try_into().unwrap());
    header.set_mode(0o755);
    tar.append_data(&mut header, "script", SCRIPT.as_bytes()).unwrap();
    tar.into_inner().unwrap()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Whether this can be had here.
fn lacking() -> Option<&'static str> {
    if !nix::unistd::geteuid().is_root() {
        return Some("a dockerd of one's own needs root");
    }
    let there = works("dockerd", &["--version"]) && works("ldd", &["/bin/sh"]);
    (!there).then_some("there is no dockerd (package docker.io)")
}

#[test]
fn what_an_app_says_and_uses_is_seen_as_it_happens_and_what_it_said_last_when_it_fails() {
    if let Some(why) = lacking() {
        println!("skipped: {why}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (docker, broker_at) = (folder.path().join("docker.sock"), folder.path().join("broker.sock"));
    let _dockerd = dockerd(folder.path(), &docker);
    let registry = format!("127.0.0.1:{}", free_port());
    let state = folder.path().join("broker");
    let mut broker = cloudy();
    let broker = broker.arg("broker").args(["--registry", &registry]).args(["--socket".as_ref(), broker_at.as_path()]);
    let broker = broker.args(["--state".as_ref(), state.as_path(), "--docker-socket".as_ref(), docker.as_path()]);
    let _broker = Ended(broker.stderr(Stdio::inherit()).spawn().unwrap());
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join("cloudy.toml"), "hostname = \"garden\"\n").unwrap();
    let mut child = cloudy();
    let child =
        child.args(["agent", "--http", "127.0.0.1:0", "--bind", "127.0.0.1:0", "--gateway", "127.0.0.1:0", "--registry", &registry]);
    let child = child.args(["--broker".as_ref(), broker_at.as_path(), "--data".as_ref(), data.path()]);
    let mut agent = Agent { child: child.stderr(Stdio::inherit()).spawn().unwrap(), data };
    agent.wait_until_up();
    let image = folder.path().join("image");
    layout::layout_that_runs(&image, &layer());
    agent.json(&["app", "add", image.to_str().unwrap()]);

    // One that goes on: it is followed, by the command line and by the page's own operation.
    let installed = agent.run(&["app", "install", "broker", "--set=password=good", &format!("--port=mqtt={}", free_port())]);
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    let mut follow = cloudy();
    let follow = follow.args(["app", "logs", "broker", "--follow", "--lines", "1", "--data"]).arg(agent.data.path());
    let mut follow = follow.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines().map(Result::unwrap);
    let number = |line: &str| line.strip_prefix("line ").and_then(|n| n.parse::<u64>().ok());
    let first = lines.find_map(|line| number(&line)).unwrap();
    for n in first + 1..first + 20 {
        assert_eq!(number(&lines.next().unwrap()), Some(n), "each line once, and none is left out");
    }
    let used = wait("it is seen to work", || {
        let its = agent.json(&["app", "list"])["apps"][0]["use"].clone();
        its["cpu-percent"].as_f64().filter(|percent| *percent > 1.0).map(|_| its)
    });
    println!("a shell that counts: {used}");
    let memory = used["memory-bytes"].as_u64().unwrap();
    assert!((10_000..64 << 20).contains(&memory) && used["memory-limit-bytes"] == 64 << 20, "{used}");
    assert!(used["cpu-percent"].as_f64().unwrap() <= 100.0 * std::thread::available_parallelism().unwrap().get() as f64, "{used}");

    // One that is stopped uses nothing, and is followed into its next run.
    assert!(agent.run(&["app", "stop", "broker"]).status.success());
    wait("it uses nothing", || agent.json(&["app", "list"])["apps"][0]["use"].is_null().then_some(()));
    let changed = agent.run(&["app", "set", "broker", "--set=password=brief"]);
    assert!(changed.status.success(), "{}", String::from_utf8_lossy(&changed.stderr));
    let started = agent.run(&["app", "start", "broker"]);
    assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
    lines.find(|line| line == "begun with <b>brief</b>").unwrap();
    lines.find(|line| line == "no such <i>thing</i>").unwrap();

    // What it said last stands on its page.
    let mut owner = cloudy();
    let owner = owner.args(["user", "add", "ana", "--role", "owner", "--data"]).arg(agent.data.path());
    let mut owner = owner.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    owner.stdin.take().unwrap().write_all(b"a horse in the garden\n").unwrap();
    assert!(owner.wait().unwrap().success());
    let token: Value = agent.json(&["user", "token", "ana", "--scope", "read"]);
    let bearer = format!("Authorization: Bearer {}", token["token"].as_str().unwrap());
    let page = get(&agent.page(), "/apps/broker", &[&bearer]);
    assert!(page.1.contains("no such &lt;i&gt;thing&lt;/i&gt;"), "{} {}", page.0, page.1);

    assert!(agent.run(&["app", "remove", "broker", "--with-data"]).status.success());
    assert!(follow.wait().unwrap().success(), "an app that goes ends who follows it");
    agent.stop();
}
