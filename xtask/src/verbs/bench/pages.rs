//! `cargo xtask bench pages`: how soon each page of a node begins to come, in a microcloud of many nodes that publish many services, beside a
//! static file of the same server. Real agents, each in a network namespace of its own.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::cluster::net::{self, Node};
use super::cluster::{INSIDE, cloudy, inner};
use super::median;
use crate::board::Arch;
use crate::cmd::rss_mb;
use crate::plan::Profile;
use crate::stages::{self, Workshop};
use crate::twin::place;
use crate::{tools, ui};

/// The verb that this program is started with inside.
pub const VERB: &str = "__bench-pages";
/// How long the nodes may take to find each other, and services to be known, in seconds.
const FORM: f64 = 900.0;
/// Nodes that start at once.
const AT_ONCE: usize = 6;
/// What a node loses that hears nothing, in hundredths.
const ALL: u32 = 100;
/// Services that are published between two words about it.
const SAID_EVERY: usize = 1000;
/// What an agent may have beside its database.
const AGENT_BYTES: u64 = 40_000_000;
/// What the record of a small service has at most.
const SMALL_RECORD_BYTES: usize = 500;
/// How many neighbours the kernel keeps, of all namespaces together.
const NEIGHBOURS: &str = "/proc/sys/net/ipv4/neigh/default/gc_thresh3";
/// How long a page may take.
const PATIENCE: Duration = Duration::from_secs(20);
pub(super) const NAME: &str = "ana";
pub(super) const PASSWORD: &str = "a garden at night";
/// What is looked at: the first is the static file.
const PATHS: [&str; 14] = [
    "/style.css",
    "/",
    "/search",
    "/search?text=pl",
    "/search?text=plaza+n7",
    "/apps",
    "/files",
    "/backups",
    "/microcloud",
    "/users",
    "/settings",
    "/help",
    "/api/v1/services?text=plaza",
    "/api/v1/nodes",
];

/// Measures the pages of a node.
#[derive(Args)]
pub struct Pages {
    /// Nodes.
    #[arg(long, default_value_t = 60)]
    nodes: usize,
    /// Services that they publish together.
    #[arg(long, default_value_t = 1000)]
    services: usize,
    /// How often each page is asked for.
    #[arg(long, default_value_t = 300)]
    requests: usize,
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
    requests: usize,
}

/// What came of one page.
#[derive(Serialize, Deserialize)]
struct Looked {
    path: String,
    /// Until the first byte, in milliseconds.
    first_ms: Vec<f64>,
    bytes: usize,
}

#[derive(Serialize, Deserialize)]
struct Found {
    pages: Vec<Looked>,
    rss_mb: f64,
}

impl Pages {
    /// Runs the benchmark.
    pub fn run(self) -> Result<()> {
        ensure!((2..=200).contains(&self.nodes), "--nodes must be 2 to 200");
        ensure!(self.requests > 0 && self.services > 0, "--requests and --services must be at least 1");
        enough_neighbours(self.nodes)?;
        enough_memory(self.nodes, self.services, SMALL_RECORD_BYTES)?;
        let spec = Spec { nodes: self.nodes, services: self.services, requests: self.requests };
        let found: Found = measured(self.program, "bench-pages", VERB, &spec)?;
        let rows: Vec<Row> = rows(&found.pages);
        if self.json {
            println!("{}", serde_json::to_string_pretty(&json!({ "pages": rows, "rss-mb": found.rss_mb }))?);
        } else {
            println!(
                "until the first byte, {} nodes, {} services   median   99 %   of the static file's   bytes",
                self.nodes, self.services
            );
            rows.iter().for_each(|row| println!("{}", row.line()));
            println!("the agent that was asked: {:.1} MB", found.rss_mb);
        }
        Ok(())
    }
}

/// Has this program measure inside of the sandbox, beside the agent's (a release's where none is given), and reads what it saw.
pub(super) fn measured<T: DeserializeOwned>(program: Option<PathBuf>, name: &str, verb: &str, spec: &impl Serialize) -> Result<T> {
    let shop = Workshop::open(crate::verbs::root()?, None)?;
    let layered = shop.tools.with_layer(&shop.repo, tools::CLUSTER_LOCK, &shop.cache, None)?;
    let program = match program {
        Some(program) => program,
        None => stages::programs_for(&shop, Arch::Amd64, Profile::Release)?.of("agent")?.to_owned(),
    };
    let folder = shop.repo.join("target").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("failed to empty `{}`", folder.display()))?;
    }
    fs::create_dir_all(&folder)?;
    let told = layered
        .sandbox()
        .bind(&program, &format!("{INSIDE}/cloudy"))
        .bind(&std::env::current_exe()?, &format!("{INSIDE}/xtask"))
        .bind_writable(&folder, &format!("{INSIDE}/work"))
        .command([format!("{INSIDE}/xtask"), verb.to_owned(), serde_json::to_string(spec)?])
        .run_with(|_| Ok(()), ui::say)
        .with_context(|| format!("the measurement did not end well; what the agents said lies in {}", folder.display()))?;
    let found = serde_json::from_slice(&told).context("the measurement's result can't be read")?;
    fs::remove_dir_all(&folder)?;
    Ok(found)
}

/// A page's figures.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Row {
    path: String,
    median_ms: f64,
    most_ms: f64,
    ratio: f64,
    bytes: usize,
}

impl Row {
    fn line(&self) -> String {
        format!("{:<44} {:8.2} ms {:8.2} ms {:8.1} {:>18}", self.path, self.median_ms, self.most_ms, self.ratio, self.bytes)
    }
}

/// Each node knows each other by its address on the link, and the kernel's table for that is one for all namespaces: where it is full, nobody
/// reaches anybody.
pub(super) fn enough_neighbours(nodes: usize) -> Result<()> {
    let Ok(said) = fs::read_to_string(NEIGHBOURS) else { return Ok(()) };
    let most: usize = said.trim().parse().with_context(|| format!("`{NEIGHBOURS}` is no number"))?;
    let (wanted, double) = (nodes * nodes, nodes * nodes * 2);
    ensure!(
        wanted < most,
        "{nodes} nodes want {wanted} entries of the kernel's table of neighbours, which has {most}: as root, \
         `sysctl -w net.ipv4.neigh.default.gc_thresh3={double} net.ipv4.neigh.default.gc_thresh2={double}`, or give --nodes"
    );
    Ok(())
}

/// Agents keep what they have in memory, each all of it, and a file system there may take half of that.
pub(super) fn enough_memory(nodes: usize, services: usize, record_bytes: usize) -> Result<()> {
    let Some(available) = place::available_memory() else { return Ok(()) };
    let wanted = memory_for(nodes as u64, services as u64, record_bytes as u64);
    let mb = |bytes: u64| bytes / 1_000_000;
    ensure!(
        wanted <= available,
        "{nodes} nodes with {services} services want {} MB of memory, where {} MB are left: give less --nodes or --services",
        mb(wanted),
        mb(available)
    );
    Ok(())
}

/// A database has half as much again as its records.
const fn memory_for(nodes: u64, services: u64, record_bytes: u64) -> u64 {
    let databases = nodes * services * record_bytes * 3 / 2;
    let agents = nodes * AGENT_BYTES;
    if databases > agents { 2 * databases } else { databases + agents }
}

/// The value that 99 of 100 are not above.
pub(super) fn most(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() * 99).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

fn rows(pages: &[Looked]) -> Vec<Row> {
    let still = pages.first().map_or(f64::NAN, |page| median(&page.first_ms));
    let row = |page: &Looked| {
        let middle = median(&page.first_ms);
        Row { path: page.path.clone(), median_ms: middle, most_ms: most(&page.first_ms), ratio: middle / still, bytes: page.bytes }
    };
    pages.iter().map(row).collect()
}

/// Where an agent keeps what it has, by its node's number: in memory, since the syncs of dozens of agents on one disk are nobody's measure.
pub(super) fn folder_of(number: usize) -> PathBuf {
    Path::new(INSIDE).join("agents").join(format!("n{number}"))
}

/// Makes it; what the agent says goes where it can be read afterwards.
fn folder_for(number: usize) -> Result<PathBuf> {
    let folder = folder_of(number);
    fs::create_dir_all(&folder)?;
    symlink(Path::new(INSIDE).join("work").join(format!("n{number}.log")), folder.join("log"))?;
    Ok(folder)
}

/// Makes a microcloud of the nodes, whose agents `start` starts, and has them publish so many services of that text together; ends when the first
/// node knows all of it. They publish while nobody hears them, and tell it all together: else each of the services would be told to everybody by itself,
/// which takes an hour and is nobody's measure.
pub(super) fn form(
    nodes: &[Node],
    services: usize,
    text: &str,
    start: impl Fn(&Node, usize, &Path, Option<&str>) -> Result<Child>,
) -> Result<inner::Agents> {
    let first = nodes.first().context("no nodes")?;
    let alive = |count: usize| move || cloudy::alive(first).ok().filter(|alive| *alive == count);
    let mut agents = inner::Agents(vec![start(first, 0, &folder_for(0)?, None)?]);
    inner::wait("the founder", FORM, alive(1))?;
    let token = cloudy::invite(&folder_of(0), nodes.len())?;
    for (number, node) in nodes.iter().enumerate().skip(1) {
        agents.0.push(start(node, number, &folder_for(number)?, Some(&token))?);
        if number % AT_ONCE == 0 {
            inner::wait("some more nodes", FORM, alive(number + 1))?;
        }
    }
    inner::wait("all nodes", FORM, alive(nodes.len()))?;
    eprintln!("  {} nodes know each other", nodes.len());
    nodes.iter().try_for_each(|node| node.lose(ALL))?;
    for number in 0..services {
        let at = number % nodes.len();
        cloudy::publish(&folder_of(at), &format!("plaza-{number}."), text).with_context(|| format!("publishing service {number}"))?;
        if number % SAID_EVERY == SAID_EVERY - 1 {
            eprintln!("  {} of {services} services are published", number + 1);
        }
    }
    nodes.iter().try_for_each(|node| node.lose(0))?;
    inner::wait("all nodes once more", FORM, alive(nodes.len()))?;
    let known = || cloudy::count(first).ok().filter(|count| *count == services);
    inner::wait("all services", FORM, known)?;
    eprintln!("  {services} services are known to the node that is asked");
    Ok(agents)
}

/// Measures as it is told, and prints what it saw.
pub fn inside(json: &str) -> Result<()> {
    let spec: Spec = serde_json::from_str(json)?;
    let nodes = net::make(spec.nodes)?;
    let first = nodes.first().context("no nodes")?;
    let agents = form(&nodes, spec.services, cloudy::TEXT, cloudy::start)?;
    let cookie = cloudy::owner(first, &folder_of(0), NAME, PASSWORD)?;
    let mut pages = Vec::new();
    for path in PATHS {
        let mut looked = Looked { path: path.to_owned(), first_ms: Vec::new(), bytes: 0 };
        for _ in 0..spec.requests {
            let (first_ms, bytes) = look(&cloudy::page(first)?.to_string(), path, &cookie)?;
            looked.first_ms.push(first_ms);
            looked.bytes = bytes;
        }
        pages.push(looked);
    }
    let rss_mb = rss_mb(agents.0.first().context("no agent")?.id())?;
    std::io::stdout().write_all(&serde_json::to_vec(&Found { pages, rss_mb })?)?;
    Ok(())
}

/// Asks for a page over a connection of its own: milliseconds until its first byte, and its bytes.
fn look(address: &str, path: &str, cookie: &str) -> Result<(f64, usize)> {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut first = [0];
    stream.read_exact(&mut first).with_context(|| format!("nothing came of {path}"))?;
    let first_ms = begun.elapsed().as_secs_f64() * 1e3;
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest)?;
    ensure!(rest.starts_with(b"TTP/1.1 200"), "{path} answers {}", String::from_utf8_lossy(rest.get(..60).unwrap_or(&rest)));
    Ok((first_ms, rest.len() + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_agents_hold_must_fit_the_half_of_memory() {
        assert_eq!(memory_for(60, 12_000, 4096), 2 * 60 * 12_000 * 6144);
        assert_eq!(memory_for(3, 200, 500), 3 * AGENT_BYTES + 3 * 200 * 750);
    }

    #[test]
    fn figures_are_held_against_the_static_file() {
        let looked = |path: &str, first_ms: Vec<f64>| Looked { path: path.to_owned(), first_ms, bytes: 7 };
        let rows = rows(&[looked("/style.css", vec![1.0; 100]), looked("/", (1..=100).map(f64::from).collect())]);
        assert_eq!((rows[0].ratio, rows[1].median_ms, rows[1].most_ms), (1.0, 51.0, 99.0));
    }
}
