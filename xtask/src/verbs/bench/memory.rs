//! `cargo xtask bench memory`: what an agent weighs that knows many nodes with many services each, right after somebody has read them all and
//! once it rests. Real agents, each in a network namespace of its own.

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cluster::{cloudy, net};
use super::{median, pages};
use crate::ask;
use crate::cmd::rss_mb;

/// The verb that this program is started with inside.
pub const VERB: &str = "__bench-memory";
/// The most that the agent that was asked may weigh, in megabytes.
const MOST_MB: f64 = 35.0;
/// What a service's record may have at most, in bytes; and what of it each has.
const RECORD_BYTES: usize = 4096;
/// A quotation mark is two bytes of the record.
const QUOTES: usize = 1900;
/// After so long it is at rest: an agent gives free pages back every 10 s.
const SETTLED: Duration = Duration::from_secs(30);
/// For so long it is looked at then.
const LOOKED: Duration = Duration::from_secs(30);
/// How long a page of the scan may take.
const PATIENCE: Duration = Duration::from_secs(300);
const LOOK: Duration = Duration::from_millis(500);

/// Measures the memory of a node that knows many.
#[derive(Args)]
pub struct Memory {
    /// Nodes.
    #[arg(long, default_value_t = 60)]
    nodes: usize,
    /// Services that each publishes.
    #[arg(long, default_value_t = 200)]
    services: usize,
    /// The agent's program, instead of a release's that is made for it.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize, Deserialize)]
struct Spec {
    nodes: usize,
    services: usize,
}

/// Megabytes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Found {
    /// Of the node that was asked, before anybody did.
    before: f64,
    /// The same, right after a full scan.
    scanned: f64,
    /// The same, at rest.
    rests: f64,
    /// Of the others.
    others: Vec<f64>,
    /// What the scan read.
    read: f64,
}

impl Memory {
    /// Runs the benchmark.
    pub fn run(self) -> Result<()> {
        ensure!((2..=200).contains(&self.nodes), "--nodes must be 2 to 200");
        ensure!(self.services > 0, "--services must be at least 1");
        pages::enough_neighbours(self.nodes)?;
        pages::enough_memory(self.nodes, self.nodes * self.services, RECORD_BYTES)?;
        let spec = Spec { nodes: self.nodes, services: self.services };
        let found: Found = pages::measured(self.program, "bench-memory", VERB, &spec)?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&found)?);
        } else {
            println!("{}", found.line(&spec));
        }
        let most = found.scanned.max(found.rests);
        ensure!(most <= MOST_MB, "the agent has {most:.1} MB, where {MOST_MB} are the most");
        Ok(())
    }
}

impl Found {
    fn line(&self, spec: &Spec) -> String {
        let Self { before, scanned, rests, others, read } = self;
        let verdict = |has: f64| if has <= MOST_MB { "won" } else { "LOST" };
        format!(
            "{} nodes with {} services of 4 KB each; resident memory of the one that was asked: {before:.1} MB before, {scanned:.1} MB right after \
             all {read:.1} MB were read (at most {MOST_MB}: {}), {rests:.1} MB at rest ({}); of the others {:.1} MB (median), {:.1} MB at most",
            spec.nodes,
            spec.services,
            verdict(*scanned),
            verdict(*rests),
            median(others),
            others.iter().copied().fold(0.0, f64::max)
        )
    }
}

/// Measures as it is told, and prints what it saw.
pub fn inside(json: &str) -> Result<()> {
    let spec: Spec = serde_json::from_str(json)?;
    let nodes = net::make(spec.nodes)?;
    let first = nodes.first().context("no nodes")?;
    let text = "\"".repeat(QUOTES);
    let agents = pages::form(&nodes, spec.nodes * spec.services, &text, cloudy::start)?;
    let processes: Vec<u32> = agents.0.iter().map(std::process::Child::id).collect();
    let asked = *processes.first().context("no agent")?;
    let before = rest(asked)?;
    let mut bytes = 0;
    let mut services = 0;
    let mut after = String::new();
    loop {
        let answer = ask::page(cloudy::page(first)?, &format!("/api/v1/services?limit=1000&after={after}"), PATIENCE)?;
        bytes += answer.body.len();
        let found: Value = serde_json::from_str(&answer.body).context("the answer is no JSON")?;
        services += found["services"].as_array().context("no services")?.len();
        match found["next"].as_str() {
            Some(next) => next.clone_into(&mut after),
            None => break,
        }
    }
    let scanned = rss_mb(asked)?;
    ensure!(services == spec.nodes * spec.services, "{services} services were read");
    ensure!(bytes / services > RECORD_BYTES * 9 / 10, "a service has {} bytes", bytes / services);
    let rests = rest(asked)?;
    let others = processes.iter().skip(1).map(|process| rss_mb(*process)).collect::<Result<_>>()?;
    let found = Found { before, scanned, rests, others, read: bytes as f64 / 1e6 };
    std::io::stdout().write_all(&serde_json::to_vec(&found)?)?;
    Ok(())
}

/// The most that a process has while it is at rest.
fn rest(process: u32) -> Result<f64> {
    std::thread::sleep(SETTLED);
    let begun = Instant::now();
    let mut most: f64 = 0.0;
    while begun.elapsed() < LOOKED {
        most = most.max(rss_mb(process)?);
        std::thread::sleep(LOOK);
    }
    Ok(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_lost() {
        let spec = Spec { nodes: 2, services: 3 };
        let found = |scanned, rests| Found { before: 20.0, scanned, rests, others: vec![9.0, 11.0, 10.0], read: 48.0 };
        let line = found(36.0, 21.0).line(&spec);
        assert!(
            line.contains("36.0 MB right after all 48.0 MB were read (at most 35: LOST), 21.0 MB at rest (won)")
                && line.contains("10.0 MB (median), 11.0"),
            "{line}"
        );
        assert!(!found(35.0, 35.0).line(&spec).contains("LOST"));
        assert!(found(35.0, 35.1).line(&spec).contains("35.1 MB at rest (LOST)"));
    }
}
