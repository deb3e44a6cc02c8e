//! The program inside the sandbox: starts both sides' agents, turn by turn on the same namespaces, and watches them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::net::{self, Node};
use super::{INSIDE, Rest, Run, Side, Spec, cloudy, serf};
use crate::cmd::rss_mb;

/// The verb that this program is started with inside.
pub const VERB: &str = "__bench-cluster";

/// Between two looks at a node.
const POLL: Duration = Duration::from_millis(20);
/// How long the nodes may take to find each other, in seconds.
const FORM: f64 = 180.0;
/// How long an event may take until it counts as lost.
const EVENT: Duration = Duration::from_secs(30);
/// Before the nodes count as at rest: both sides are busier after changes.
const SETTLE: Duration = Duration::from_secs(30);

/// Measures as it is told, and prints what it saw.
pub fn run(json: &str) -> Result<()> {
    let spec: Spec = serde_json::from_str(json)?;
    let nodes = net::make(spec.nodes)?;
    let mut runs = Vec::new();
    for loss in [0, spec.loss] {
        nodes.iter().try_for_each(|node| node.lose(loss))?;
        for turn in 0..spec.runs {
            for side in [Side::Serf, Side::Cloudy] {
                let resting = turn < spec.rests;
                let run = Cluster::new(&spec, &nodes, side, turn, loss).run(resting).with_context(|| format!("{side:?}, run {turn}"))?;
                eprintln!("  {}", line(turn, &run));
                runs.push(run);
            }
        }
    }
    std::io::stdout().write_all(&serde_json::to_vec(&runs)?)?;
    Ok(())
}

fn line(turn: usize, run: &Run) -> String {
    let seconds = |value: &Option<f64>| value.map_or_else(|| "never".to_owned(), |value| format!("{value:.2} s"));
    let events: Vec<String> = run.events.iter().map(seconds).collect();
    let (side, loss, lost, expected) = (run.side, run.loss, run.lost, run.expected);
    let joined = seconds(&run.joined);
    let rest = run.rest.as_ref().map_or_else(String::new, |rest| {
        format!("; at rest {:.0} + {:.0} bytes/s, {:.2} ms/s, {:.1} MB", rest.bytes_in, rest.bytes_out, rest.cpu, rest.rss)
    });
    format!(
        "{turn} {side:?} at {loss} % loss: formed {:.2} s, join {joined}, events {}; lost {lost} of {expected}{rest}",
        run.formed,
        events.join(" ")
    )
}

/// Looks until `look` finds something; how long that took.
pub fn wait<T>(what: &str, limit: f64, mut look: impl FnMut() -> Option<T>) -> Result<(T, f64)> {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return Ok((found, begun.elapsed().as_secs_f64()));
        }
        if begun.elapsed().as_secs_f64() > limit {
            bail!("waited {limit:.0} s for {what}");
        }
        std::thread::sleep(POLL);
    }
}

/// Agents that end with it.
#[derive(Default)]
pub struct Agents(pub Vec<Child>);

impl Drop for Agents {
    fn drop(&mut self) {
        for agent in &mut self.0 {
            let _gone = agent.kill();
            let _status = agent.wait();
        }
    }
}

/// One side's agents on the namespaces; all end with it.
struct Cluster<'a> {
    spec: &'a Spec,
    nodes: &'a [Node],
    side: Side,
    turn: usize,
    loss: u32,
    folder: PathBuf,
    agents: Agents,
}

impl<'a> Cluster<'a> {
    fn new(spec: &'a Spec, nodes: &'a [Node], side: Side, turn: usize, loss: u32) -> Self {
        let folder = Path::new(INSIDE).join("work").join(format!("{side:?}-{loss}-{turn}"));
        Self { spec, nodes, side, turn, loss, folder, agents: Agents::default() }
    }

    fn folder(&self, number: usize) -> PathBuf {
        self.folder.join(format!("n{number}"))
    }

    fn start(&mut self, number: usize, token: Option<&str>) -> Result<()> {
        let (node, folder) = (&self.nodes[number], self.folder(number));
        let agent = match self.side {
            Side::Serf => serf::start(node, number, &folder, &self.spec.serf_profile, (number > 0).then(|| &self.nodes[0]))?,
            Side::Cloudy => cloudy::start(node, number, &folder, token)?,
        };
        self.agents.0.push(agent);
        Ok(())
    }

    fn alive(&self, node: &Node) -> Option<usize> {
        match self.side {
            Side::Serf => serf::alive(node).ok(),
            Side::Cloudy => cloudy::alive(node).ok(),
        }
    }

    /// Waits until the first so many nodes know just as many; each is asked until it does.
    fn all_know(&self, count: usize) -> Result<f64> {
        let begun = Instant::now();
        std::thread::scope(|scope| {
            let looks: Vec<_> = self.nodes[..count]
                .iter()
                .map(|node| scope.spawn(move || wait("all to know all", FORM, || self.alive(node).filter(|alive| *alive == count))))
                .collect();
            looks.into_iter().try_for_each(|look| look.join().map_err(|_| anyhow::anyhow!("a look broke"))?.map(drop))
        })?;
        Ok(begun.elapsed().as_secs_f64())
    }

    fn run(mut self, resting: bool) -> Result<Run> {
        let count = self.nodes.len();
        let begun = Instant::now();
        self.start(0, None)?;
        let token = match self.side {
            Side::Serf => None,
            Side::Cloudy => {
                wait("the founder", FORM, || self.alive(&self.nodes[0]).filter(|alive| *alive == 1))?;
                Some(cloudy::invite(&self.folder(0), count)?)
            }
        };
        for number in 1..count - 1 {
            self.start(number, token.as_deref())?;
        }
        self.all_know(count - 1)?;
        let formed = begun.elapsed().as_secs_f64();
        let begun = Instant::now();
        self.start(count - 1, token.as_deref())?;
        let joined = self.all_know(count).ok().map(|_| begun.elapsed().as_secs_f64());
        let (events, lost) = self.events()?;
        let rest = if resting { Some(self.rest()?) } else { None };
        let expected = self.spec.events * count;
        let run = Run { side: self.side, loss: self.loss, formed, joined, events, lost, expected, rest };
        let folder = self.folder.clone();
        drop(self);
        std::fs::remove_dir_all(&folder)?;
        Ok(run)
    }

    /// Sends events one after the other, each from another node; when each was at all, and how many were lost.
    fn events(&self) -> Result<(Vec<Option<f64>>, usize)> {
        let (sender, heard) = mpsc::channel();
        if self.side == Side::Serf {
            for (number, node) in self.nodes.iter().enumerate() {
                serf::listen(node, number, sender.clone())?;
            }
        }
        let mut took = Vec::new();
        let mut lost = 0;
        for number in 0..self.spec.events {
            let from = (number * 5 + 1) % self.nodes.len();
            let name = format!("event-{}-{number}.", self.turn);
            let begun = Instant::now();
            let at = match self.side {
                Side::Serf => {
                    serf::send(&self.nodes[from], &name)?;
                    self.heard(&heard, &name, begun)
                }
                Side::Cloudy => {
                    cloudy::publish(&self.folder(from), &name, cloudy::TEXT)?;
                    self.readable(&name, begun)
                }
            };
            let missing = at.iter().filter(|at| at.is_none()).count();
            lost += missing;
            let last = at.into_iter().flatten().fold(0.0, f64::max);
            took.push((missing == 0).then_some(last));
        }
        Ok((took, lost))
    }

    fn heard(&self, heard: &mpsc::Receiver<(usize, String, Instant)>, name: &str, begun: Instant) -> Vec<Option<f64>> {
        let mut at = vec![None; self.nodes.len()];
        while at.iter().any(Option::is_none) {
            let left = EVENT.saturating_sub(begun.elapsed());
            let Ok((number, event, when)) = heard.recv_timeout(left) else { break };
            if event == name
                && let Some(at) = at.get_mut(number)
            {
                at.get_or_insert(when.saturating_duration_since(begun).as_secs_f64());
            }
        }
        at
    }

    fn readable(&self, name: &str, begun: Instant) -> Vec<Option<f64>> {
        std::thread::scope(|scope| {
            let look = |node| {
                let left = EVENT.saturating_sub(begun.elapsed()).as_secs_f64();
                let found = wait("an event", left, || cloudy::published(node, name).ok().filter(|there| *there));
                found.ok().map(|_| begun.elapsed().as_secs_f64())
            };
            let looks: Vec<_> = self.nodes.iter().map(|node| scope.spawn(move || look(node))).collect();
            looks.into_iter().map(|look| look.join().ok().flatten()).collect()
        })
    }

    /// Nobody looks at the nodes meanwhile.
    fn rest(&self) -> Result<Rest> {
        std::thread::sleep(SETTLE);
        let count = |look: &dyn Fn(usize) -> Result<f64>| (0..self.nodes.len()).map(look).sum::<Result<f64>>();
        let before = [self.bytes(|(received, _)| received)?, self.bytes(|(_, sent)| sent)?, count(&|at| cpu(&self.agents.0[at]))?];
        let begun = Instant::now();
        std::thread::sleep(Duration::from_secs(self.spec.rest_seconds));
        let time = begun.elapsed().as_secs_f64() * count(&|_| Ok(1.0))?;
        let after = [self.bytes(|(received, _)| received)?, self.bytes(|(_, sent)| sent)?, count(&|at| cpu(&self.agents.0[at]))?];
        let rss = count(&|at| rss_mb(self.agents.0[at].id()))? / count(&|_| Ok(1.0))?;
        let [bytes_in, bytes_out, cpu] = std::array::from_fn(|at| (after[at] - before[at]) / time);
        Ok(Rest { bytes_in, bytes_out, cpu, rss })
    }

    fn bytes(&self, of: impl Fn((f64, f64)) -> f64) -> Result<f64> {
        self.nodes.iter().map(|node| node.bytes().map(&of)).sum()
    }
}

/// Milliseconds of processor that a program has used, all its threads together.
fn cpu(agent: &Child) -> Result<f64> {
    let mut nanoseconds = 0.0;
    for task in std::fs::read_dir(format!("/proc/{}/task", agent.id()))? {
        // A thread may end meanwhile; the next look counts it neither before nor after.
        let text = std::fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
        nanoseconds += text.split_whitespace().next().and_then(|word| word.parse::<f64>().ok()).unwrap_or(0.0);
    }
    Ok(nanoseconds / 1e6)
}
