//! Those who ask a node over TLS as its people's programs do: each on one connection, again and again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustls::crypto::{CryptoProvider, ring};
use serde::{Deserialize, Serialize};
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{ConnectionDetails, Connector, DefaultConnector, Transport};

use super::super::median;
use super::super::pages::most;

/// How long an answer may take; a handshake is part of the first.
const PATIENCE: Duration = Duration::from_secs(10);
/// After something has failed.
const PAUSE: Duration = Duration::from_millis(100);
/// Between two looks of who asks meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The largest answer that is read.
const ANSWER_MAX_BYTES: u64 = 4 << 20;

/// How a node is reached.
pub struct Door {
    /// Where it listens for TLS.
    pub address: SocketAddr,
    /// The root of its certificates, in DER.
    pub root: Vec<u8>,
    bearer: String,
}

/// What came of one path.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Load {
    path: String,
    /// Connections that were wanted at once.
    connections: usize,
    /// Those that were given an answer in time.
    served: usize,
    /// How often one was opened.
    opened: usize,
    /// Requests with a good answer.
    good: usize,
    /// Of those a second.
    pub requests_a_second: f64,
    median_ms: f64,
    /// What 99 of 100 are not above.
    most_ms: f64,
    /// All others, by status or by what was seen instead.
    bad: BTreeMap<String, usize>,
}

/// Who asks politely meanwhile: each time on a connection of its own.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Meanwhile {
    pub asked: usize,
    pub failed: usize,
    pub slowest_ms: f64,
}

/// What one connection saw.
#[derive(Debug, Default)]
struct Client {
    good_ms: Vec<f64>,
    bad: BTreeMap<String, usize>,
    served: bool,
}

/// Opens connections as ever, and counts them.
#[derive(Debug)]
struct Counting {
    inner: DefaultConnector,
    opened: Arc<AtomicUsize>,
}

impl Connector<()> for Counting {
    type Out = Box<dyn Transport>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<()>) -> Result<Option<Self::Out>, ureq::Error> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        self.inner.connect(details, chained)
    }
}

/// The cryptography of both sides.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

impl Door {
    /// Of a node at `address`, that knows `token`, and whose root is given in PEM.
    pub fn new(address: SocketAddr, token: String, root: &str) -> Result<Self> {
        let root = Certificate::from_pem(root.as_bytes()).context("the node's root can't be read")?;
        Ok(Self { address, root: root.der().to_vec(), bearer: format!("Bearer {token}") })
    }

    /// A client with one connection, which it keeps open.
    fn agent(&self, opened: &Arc<AtomicUsize>) -> ureq::Agent {
        let root = Certificate::from_der(&self.root).to_owned();
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(provider())
            .root_certs(RootCerts::Specific(Arc::new(vec![root])));
        let config = ureq::Agent::config_builder()
            .tls_config(tls.build())
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .max_idle_connections_per_host(1)
            .proxy(None)
            .build();
        let counting = Counting { inner: DefaultConnector::default(), opened: Arc::clone(opened) };
        ureq::Agent::with_parts(config, counting, DefaultResolver::default())
    }

    /// Asks for something and reads the answer whole; its status, or what was seen instead.
    fn ask(&self, agent: &ureq::Agent, path: &str) -> Result<u16, String> {
        let asked = agent.get(format!("https://{}{path}", self.address)).header("authorization", &self.bearer).call();
        let mut answer = asked.map_err(|error| error.to_string())?;
        let read = answer.body_mut().with_config().limit(ANSWER_MAX_BYTES).read_to_vec();
        read.map(|_| answer.status().as_u16()).map_err(|error| error.to_string())
    }
}

impl Client {
    /// Notes what came of a request that took so long.
    fn note(&mut self, came: Result<u16, String>, took: Duration) {
        match came {
            Ok(status) if (200..300).contains(&status) => self.good_ms.push(took.as_secs_f64() * 1e3),
            Ok(status) => *self.bad.entry(status.to_string()).or_default() += 1,
            Err(seen) => *self.bad.entry(seen).or_default() += 1,
        }
    }
}

/// Asks for a path on so many connections for so long.
pub fn load(door: &Door, path: &str, connections: usize, time: Duration) -> Result<Load> {
    let opened = Arc::new(AtomicUsize::new(0));
    let agents: Vec<ureq::Agent> = (0..connections).map(|_| door.agent(&opened)).collect();
    let begun = Instant::now();
    let clients = thread::scope(|scope| {
        let ask = |agent: ureq::Agent| move || one(door, &agent, path, begun + time);
        let threads: Vec<_> = agents.into_iter().map(|agent| scope.spawn(ask(agent))).collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow::anyhow!("who asked broke"))).collect::<Result<Vec<Client>>>()
    })?;
    Ok(Load::of(path, &clients, opened.load(Ordering::Relaxed), time))
}

fn one(door: &Door, agent: &ureq::Agent, path: &str, until: Instant) -> Client {
    let mut client = Client::default();
    while Instant::now() < until {
        let begun = Instant::now();
        let came = door.ask(agent, path);
        let failed = came.is_err();
        client.note(came, begun.elapsed());
        client.served |= !failed && Instant::now() < until;
        if failed {
            thread::sleep(PAUSE);
        }
    }
    client
}

/// Asks for a path again and again, each time anew, until `done`.
pub fn meanwhile(door: &Door, path: &str, done: &AtomicBool) -> Result<Meanwhile> {
    let (opened, mut seen) = (Arc::default(), Meanwhile::default());
    while !done.load(Ordering::Relaxed) {
        let (begun, mut client) = (Instant::now(), Client::default());
        client.note(door.ask(&door.agent(&opened), path), begun.elapsed());
        seen.asked += 1;
        seen.failed += client.bad.len();
        seen.slowest_ms = client.good_ms.iter().copied().fold(seen.slowest_ms, f64::max);
        thread::sleep(LOOK_EVERY);
    }
    Ok(seen)
}

impl Load {
    fn of(path: &str, clients: &[Client], opened: usize, time: Duration) -> Self {
        let good: Vec<f64> = clients.iter().flat_map(|client| client.good_ms.iter().copied()).collect();
        let mut bad = BTreeMap::new();
        for (seen, count) in clients.iter().flat_map(|client| &client.bad) {
            *bad.entry(seen.clone()).or_default() += count;
        }
        Self {
            path: path.to_owned(),
            connections: clients.len(),
            served: clients.iter().filter(|client| client.served).count(),
            opened,
            good: good.len(),
            requests_a_second: f64::from(u32::try_from(good.len()).unwrap_or(u32::MAX)) / time.as_secs_f64(),
            // No figure of none: what is not a number is told as nothing.
            median_ms: if good.is_empty() { 0.0 } else { median(&good) },
            most_ms: if good.is_empty() { 0.0 } else { most(&good) },
            bad,
        }
    }

    /// Its figures, and how they stand to those of the static file.
    pub fn line(&self, still: f64) -> String {
        format!(
            "{:<32} {:>8.0} requests/s ({:.2} of the static file's), median {:.1} ms, 99 % {:.1} ms; {} of {} connections served, {} opened; {} good, {} bad",
            self.path,
            self.requests_a_second,
            self.requests_a_second / still,
            self.median_ms,
            self.most_ms,
            self.served,
            self.connections,
            self.opened,
            self.good,
            self.bad.values().sum::<usize>()
        )
    }

    /// What was not as it has to be.
    pub fn faults(&self) -> Vec<String> {
        let left = self.connections.saturating_sub(self.served);
        let bad: Vec<String> = self.bad.iter().map(|(seen, count)| format!("{count} × {seen}")).collect();
        let alone = (left > 0).then(|| {
            let all = self.connections;
            format!("{left} of {all} connections had no answer in time (`HTTP_CONNECTIONS` of the agent's limits.rs are served at once)")
        });
        let told: Vec<String> = alone.into_iter().chain(bad).collect();
        if told.is_empty() { Vec::new() } else { vec![format!("{}: {}", self.path, told.join(", "))] }
    }
}

impl Meanwhile {
    pub fn line(&self) -> String {
        format!("meanwhile: {} asked, {} failed, the slowest answer took {:.0} ms", self.asked, self.failed, self.slowest_ms)
    }

    /// What was not as it has to be.
    pub fn fault(&self) -> Option<String> {
        let told = format!("of {} requests meanwhile {} failed", self.asked, self.failed);
        (self.asked == 0 || self.failed > 0).then_some(told)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// So many connections, of which so many were served.
    pub fn load(connections: usize, served: usize, requests: usize) -> Load {
        let client = |number| Client { good_ms: vec![1.0; requests], bad: BTreeMap::new(), served: number < served };
        Load::of("/x", &(0..connections).map(client).collect::<Vec<_>>(), connections, Duration::from_secs(10))
    }

    /// As the program outside reads it.
    fn told(load: &Load) -> Load {
        serde_json::from_slice(&serde_json::to_vec(load).unwrap()).unwrap()
    }

    #[test]
    fn answers_are_counted_by_what_they_are() {
        let mut client = Client::default();
        client.note(Ok(204), Duration::from_millis(3));
        client.note(Ok(500), Duration::from_millis(3));
        client.note(Err("timeout".to_owned()), Duration::from_millis(3));
        let other = Client { bad: [("500".to_owned(), 2)].into(), served: true, ..Client::default() };
        let load = Load::of("/x", &[client, other], 3, Duration::from_secs(2));
        assert_eq!((load.good, load.served, load.connections, load.opened), (1, 1, 2, 3));
        assert_eq!(load.bad, [("500".to_owned(), 3), ("timeout".to_owned(), 1)].into());
        assert_eq!(told(&Load::of("/x", &[], 0, Duration::from_secs(2))).good, 0);
        assert_eq!(
            load.faults(),
            [
                "/x: 1 of 2 connections had no answer in time (`HTTP_CONNECTIONS` of the agent's limits.rs are served at once), 3 × 500, 1 × timeout"
            ]
        );
    }

    #[test]
    fn requests_are_held_against_the_static_files() {
        let load = load(2, 2, 100);
        assert!((load.requests_a_second - 20.0).abs() < 1e-9 && load.faults().is_empty());
        assert!(load.line(40.0).contains("20 requests/s (0.50 of the static file's)"), "{}", load.line(40.0));
    }

    #[test]
    fn who_was_not_asked_meanwhile_has_shown_nothing() {
        assert!(Meanwhile::default().fault().is_some());
        assert!(Meanwhile { asked: 3, failed: 0, slowest_ms: 1.0 }.fault().is_none());
    }
}
