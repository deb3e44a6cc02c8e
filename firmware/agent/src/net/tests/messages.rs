//! Directed messages between processes that are killed and parted at random: each takes effect once. Each process is the network part as it ships, with its own
//! sockets and its own disk; this file stands where leases stand, sends numbers, and reads what came. It is no agent in a process of its own because no
//! agent says ten thousand things to another: of offers, all that is ever seen is how they stand, so one that came twice would not show.

use super::super::{ClusterView, Command, JoinConfig, NetConfig, NetHandle, Registry, ids::node_id, kind, start};
use super::{by_token, command, config, founding, until};
use cluster::NodeId;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Write},
    ops::Range,
    path::Path,
    process::{Child, ChildStdin, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

/// What a process is told by: its data folder and how it comes into the community.
const DATA: &str = "CLOUDY_TEST_DATA";
const JOIN: &str = "CLOUDY_TEST_JOIN";
const PORT: &str = "CLOUDY_TEST_PORT";
/// Set where the test runs in namespaces of its own.
const INSIDE: &str = "CLOUDY_TEST_INSIDE";
const NAMESPACES: [&str; 7] = ["--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"];
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long a message may wait: longer than any run.
const LIFE: Duration = Duration::from_secs(24 * 3600);
/// Numbers that each side is told to send between two kills.
const AT_ONCE: u64 = 30;

/// Says a line to the test. The test runner may have begun one.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nsaid {line}").unwrap();
    out.flush().unwrap();
}

/// Sends each number once: it is kept, or it is certain that it is not.
async fn send(registry: &Registry, to: NodeId, number: u64) {
    loop {
        match registry.send(to, kind::LEASES, number.to_be_bytes().to_vec(), LIFE).await {
            Ok(_) => return say(&format!("kept {number}")),
            // Too much waits, or the member is not known yet.
            Err(error) => {
                log::debug!("{number} is not taken: {error}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

/// Says what came, and takes it away but for the last: so each row's number names it for ever.
async fn receive(registry: Registry) {
    let mut came = registry.messages();
    let mut said = BTreeSet::new();
    loop {
        let mail = registry.mail().await.unwrap();
        for row in &mail {
            let number = u64::from_be_bytes(row.body.as_slice().try_into().unwrap());
            if said.insert(row.number) {
                say(&format!("row {} {number}", row.number));
            }
        }
        let last = mail.iter().map(|row| row.number).max();
        let done: Vec<_> = mail.iter().filter(|row| Some(row.number) != last).map(|row| (row.from, row.number)).collect();
        if !done.is_empty() {
            registry.mail_done(done).await.unwrap();
        }
        let _looked_anyway = tokio::time::timeout(Duration::from_millis(200), came.changed()).await;
    }
}

fn other(view: &ClusterView) -> Option<NodeId> {
    view.members.iter().find(|member| !member.me).map(|member| node_id(&member.id.parse().unwrap()))
}

/// One of the two processes; as a test of its own it is nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed() {
    let (Ok(data), Ok(join), Ok(port)) = (std::env::var(DATA), std::env::var(JOIN), std::env::var(PORT)) else { return };
    let by = match join.as_str() {
        "found" => founding(),
        "" => JoinConfig::default(),
        token => by_token(token),
    };
    let bind = vec![format!("127.0.0.1:{port}").parse().unwrap()];
    let handle: NetHandle = start(NetConfig { bind, ..config(Path::new(&data), &port, by) }).await.unwrap();
    until(&handle, "it is in", |view| view.community.is_some()).await;
    if join == "found" {
        let token = command(&handle, |reply| Command::Invite { uses: 1, valid_seconds: None, reply }).await.unwrap();
        say(&format!("token {token}"));
    }
    let view = until(&handle, "it knows the other", |view| other(view).is_some()).await;
    let other = other(&view).unwrap();
    let registry = handle.registry.borrow().clone().unwrap();
    tokio::spawn(receive(registry.clone()));
    say("up");
    let (lines, mut told) = tokio::sync::mpsc::channel(8);
    std::thread::spawn(move || std::io::stdin().lock().lines().map_while(Result::ok).try_for_each(|line| lines.blocking_send(line)));
    while let Some(line) = told.recv().await {
        let (from, count) = line.split_once(' ').unwrap();
        let from: u64 = from.parse().unwrap();
        for number in from..from + count.parse::<u64>().unwrap() {
            send(&registry, other, number).await;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the test runs programs itself")]
fn program(name: impl AsRef<std::ffi::OsStr>) -> std::process::Command {
    std::process::Command::new(name)
}

/// A process, what it was told, and what it said, over all its lives.
struct Side {
    data: tempfile::TempDir,
    port: u16,
    child: Child,
    orders: ChildStdin,
    said: mpsc::Receiver<String>,
    /// The next number that nobody was told to send.
    next: u64,
    kept: BTreeSet<u64>,
    /// Numbers that it may have kept, as it was killed meanwhile.
    perhaps: BTreeSet<u64>,
    /// Numbers that it was told to send and has not kept yet, as far as it said so.
    ordered: Range<u64>,
    /// By row, what it said.
    rows: BTreeMap<u64, u64>,
    token: Option<String>,
    up: bool,
}

impl Side {
    fn start(port: u16, join: &str) -> Self {
        let data = tempfile::tempdir().unwrap();
        let (child, orders, said) = Self::spawn(data.path(), port, join);
        let (kept, perhaps, rows) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
        Self { data, port, child, orders, said, next: 1, kept, perhaps, ordered: 1..1, rows, token: None, up: false }
    }

    fn spawn(data: &Path, port: u16, join: &str) -> (Child, ChildStdin, mpsc::Receiver<String>) {
        let mut child = program(std::env::current_exe().unwrap())
            .args(["--exact", "net::tests::messages::a_process_that_is_killed", "--nocapture", "--test-threads", "1"])
            .envs([(DATA, data.to_str().unwrap()), (JOIN, join), (PORT, &port.to_string())])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (out, orders) = (BufReader::new(child.stdout.take().unwrap()), child.stdin.take().unwrap());
        let (lines, said) = mpsc::channel();
        std::thread::spawn(move || {
            // A line that its end cut says nothing.
            out.lines()
                .map_while(Result::ok)
                .filter_map(|line| line.strip_prefix("said ").map(str::to_owned))
                .try_for_each(|line| lines.send(line))
        });
        (child, orders, said)
    }

    fn hear(&mut self, line: &str) {
        match *line.split(' ').collect::<Vec<_>>() {
            ["up"] => self.up = true,
            ["token", token] => self.token = Some(token.to_owned()),
            ["kept", number] => {
                self.ordered.start = number.parse::<u64>().unwrap() + 1;
                self.kept.insert(self.ordered.start - 1);
            }
            ["row", row, number] => {
                let (row, number) = (row.parse().unwrap(), number.parse().unwrap());
                let before = self.rows.insert(row, number);
                assert!(before.is_none_or(|before| before == number), "the row {row} was {before:?} and is {number}");
            }
            _ => panic!("{line}"),
        }
    }

    /// Takes in what it said until now.
    fn listen(&mut self) {
        while let Ok(line) = self.said.try_recv() {
            self.hear(&line);
        }
    }

    fn order(&mut self, count: u64) {
        if self.up && self.ordered.is_empty() && writeln!(self.orders, "{} {count}", self.next).is_ok() {
            self.ordered = self.next..self.next + count;
            self.next += count;
        }
    }

    /// It ends as by a power cut, and begins anew.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        // All that it said before.
        while let Ok(line) = self.said.recv_timeout(PATIENCE) {
            self.hear(&line);
        }
        // It sends one number after the other: at most one was kept and not said.
        if let Some(unsure) = self.ordered.next() {
            self.perhaps.insert(unsure);
            self.next = unsure + 1;
            self.ordered = self.next..self.next;
        }
        self.up = false;
        (self.child, self.orders, self.said) = Self::spawn(self.data.path(), self.port, "");
    }

    /// How many numbers of the other are here.
    fn has(&self) -> usize {
        self.rows.values().collect::<BTreeSet<_>>().len()
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn link(state: &str) {
    assert!(program("ip").args(["link", "set", "lo", state]).status().unwrap().success());
}

fn wait(sides: &mut [Side; 2], what: &str, come: impl Fn(&[Side; 2]) -> bool) {
    let begun = Instant::now();
    loop {
        sides.iter_mut().for_each(Side::listen);
        if come(sides) {
            return;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "waited until {what}: {:?}",
            sides.each_ref().map(|side| (side.kept.len(), side.has(), side.up))
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Numbers that were kept and have no effect, and those that have several.
fn faults(from: &Side, to: &Side) -> (usize, usize) {
    let mut effects: BTreeMap<u64, usize> = BTreeMap::new();
    to.rows.values().for_each(|number| *effects.entry(*number).or_default() += 1);
    assert!(effects.keys().all(|number| from.kept.contains(number) || from.perhaps.contains(number)), "what nobody sent has an effect");
    let lost = from.kept.iter().filter(|number| !effects.contains_key(number)).count();
    (lost, effects.values().filter(|times| **times > 1).count())
}

/// Runs a test in namespaces of its own; true where this is already inside.
fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let run = |words: &[&str]| program("unshare").args(NAMESPACES).args(words).stdin(Stdio::null()).env(INSIDE, "1").output();
    if !run(&["ip", "link", "set", "lo", "up"]).is_ok_and(|output| output.status.success()) {
        assert!(std::env::var_os("CI").is_none(), "in CI this runs: namespaces of an ordinary user, and `ip`");
        println!("skipped: there are no namespaces here, or no `ip`");
        return false;
    }
    let me = std::env::current_exe().unwrap();
    let script = "ip link set lo up && exec \"$@\"";
    let words = ["sh", "-c", script, "sh", me.to_str().unwrap(), "--exact", test, "--include-ignored", "--nocapture"];
    let output = run(&words).unwrap();
    println!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{test}");
    false
}

fn killed_and_parted(messages: usize, kills: usize, partitions: usize) {
    let seed = std::env::var("CLOUDY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| rand::rng().random::<u64>());
    println!("CLOUDY_SEED={seed}");
    let (mut rng, begun) = (StdRng::seed_from_u64(seed), Instant::now());
    let mut first = Side::start(4747, "found");
    let token = loop {
        let line = first.said.recv_timeout(PATIENCE).unwrap();
        first.hear(&line);
        if let Some(token) = first.token.clone() {
            break token;
        }
    };
    let mut sides = [first, Side::start(4748, &token)];
    wait(&mut sides, "both are up", |sides| sides.iter().all(|side| side.up));
    let (mut killed, mut parted, mut in_traffic) = (0, 0, 0);
    let kept = |sides: &[Side; 2]| sides.iter().map(|side| side.kept.len()).sum::<usize>();
    while killed < kills || parted < partitions || kept(&sides) < messages {
        wait(&mut sides, "both are up", |sides| sides.iter().all(|side| side.up));
        sides.iter_mut().for_each(|side| side.order(AT_ONCE));
        // Mostly when something has come since, else at any moment, also before the two have met again.
        if rng.random_bool(0.7) {
            let has = sides.each_ref().map(Side::has);
            if sides.iter().any(|side| !side.ordered.is_empty()) {
                wait(&mut sides, "something comes", |sides| sides.iter().zip(has).any(|(side, had)| side.has() > had));
                in_traffic += 1;
            }
        }
        std::thread::sleep(Duration::from_millis(rng.random_range(0..60)));
        if parted < partitions && killed * partitions >= parted * kills {
            parted += 1;
            link("down");
            // Shorter and longer than a connection lives without a word.
            let long = Duration::from_millis(rng.random_range(500..16_000));
            let end = Instant::now() + long;
            while Instant::now() < end {
                std::thread::sleep(Duration::from_millis(rng.random_range(100..2000)));
                if killed < kills && rng.random_bool(0.3) {
                    sides[rng.random_range(0..2)].kill();
                    killed += 1;
                }
                sides.iter_mut().for_each(|side| {
                    side.listen();
                    side.order(AT_ONCE);
                });
            }
            link("up");
        } else if killed < kills {
            let which = rng.random_range(0..5);
            for (at, side) in sides.iter_mut().enumerate() {
                if which % 2 == at || which == 4 {
                    side.kill();
                    killed += 1;
                }
            }
        }
    }
    wait(&mut sides, "all that was kept has come", |sides| faults(&sides[0], &sides[1]).0 + faults(&sides[1], &sides[0]).0 == 0);
    let [one, two] = [faults(&sides[0], &sides[1]), faults(&sides[1], &sides[0])];
    let (kept, lost, twice) = (kept(&sides), one.0 + two.0, one.1 + two.1);
    println!(
        "{kept} messages between two processes, {killed} kills of one ({in_traffic} rounds while something came), {parted} partitions: {lost} lost, {twice} twice, in {:.0} s",
        begun.elapsed().as_secs_f64()
    );
    println!("figure: effects of directed messages of real processes lost or twice: {} of at most 0 ", lost + twice);
    assert_eq!((lost, twice), (0, 0));
}

#[test]
fn each_message_takes_effect_once_over_kills_and_a_partition() {
    if inside("net::tests::messages::each_message_takes_effect_once_over_kills_and_a_partition") {
        killed_and_parted(500, 8, 1);
    }
}

#[test]
#[ignore = "slow: part of the full tests"]
fn of_10_000_messages_none_is_lost_and_none_takes_effect_twice_over_200_kills() {
    if inside("net::tests::messages::of_10_000_messages_none_is_lost_and_none_takes_effect_twice_over_200_kills") {
        killed_and_parted(10_000, 200, 10);
    }
}
