//! The page over HTTPS, with certificates of the node's own.
//!
//! ```text
//! root (made once, kept) ─ signs for the names and addresses of now ─▶ leaf ─▶ TLS ─▶ the same router as HTTP
//! ```
//! A person who tells a browser to trust the root reaches the node without a warning, whatever address it gets next. The root is the
//! node's and not the microcloud's: no admin has to be there when a node gets another address, there is no key on one card that vouches
//! for all, and a node that is lost harms those alone who trusted it.
//!
//! Architecture invariant: the root carries critical constraints: it can vouch for local names and private addresses, and never for the
//! rest of the world.

mod cert;

use crate::host;
use crate::limits::HTTPS_LOOK_EVERY;
use crate::links;
use crate::settings::{put_aside, read_whole, write_whole};
use anyhow::{Context, Result};
use cert::Root;
use data_encoding::BASE64;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use time::{Duration, OffsetDateTime};

/// The folder, below the agent's data folder.
const FOLDER: &str = "https";
/// Where a node is called by its name on every local network (mDNS).
const DOMAIN: &str = "local";
/// A certificate is made anew after this long, though nothing has changed.
const FRESH_DAYS: i64 = 30;

/// How the page is reached over HTTPS: `GET /api/v1/https`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Https))]
#[serde(rename_all = "kebab-case")]
pub struct HttpsView {
    /// Its port.
    pub port: u16,
    /// SHA-256 of the root's certificate, as browsers show it.
    pub fingerprint: String,
    /// The root's certificate, in PEM; `GET /root.crt` gives it as browsers and phones take it.
    pub root: String,
    /// Whether plain HTTP leads there.
    pub only: bool,
}

/// Whether plain HTTP leads to HTTPS: `PUT /api/v1/https`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = HttpsChoice))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Choice {
    /// Whether.
    pub only: bool,
}

/// The certificate of now.
#[derive(Debug)]
struct Now {
    addresses: Vec<IpAddr>,
    made: OffsetDateTime,
    key: Arc<CertifiedKey>,
}

/// HTTPS of this node.
pub struct Https {
    folder: PathBuf,
    name: String,
    root: Root,
    fingerprint: String,
    only: Mutex<Choice>,
    now: Mutex<Now>,
    port: OnceLock<u16>,
}

impl std::fmt::Debug for Https {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Https").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Now, as far as this machine's clock knows.
fn clock() -> OffsetDateTime {
    let secs = i64::try_from(host::now_secs()).unwrap_or_default();
    OffsetDateTime::from_unix_timestamp(secs).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// Whether another certificate is wanted (pure): for other addresses, or after a while, or once the clock was set.
fn is_stale(made_for: (&[IpAddr], OffsetDateTime), now: (&[IpAddr], OffsetDateTime)) -> bool {
    let away = now.1 - made_for.1;
    made_for.0 != now.0 || away.abs() > Duration::days(FRESH_DAYS)
}

impl Https {
    /// Reads the root, or makes one: for a node that has none yet, or has another name now.
    ///
    /// # Errors
    /// It can't be made or kept.
    pub fn open(data: &Path, name: &str) -> Result<Self> {
        let folder = data.join(FOLDER);
        std::fs::create_dir_all(&folder).with_context(|| format!("making `{}`", folder.display()))?;
        // One for each name that the node ever had: who goes back to a name is trusted as before.
        let file = folder.join(format!("root-{}.json", Root::file_name(name)));
        let kept = read_whole::<Root>(&file).unwrap_or_else(|error| {
            log::error!("{error:#}: browsers will warn of this node again, since its root is made anew");
            if let Err(stays) = put_aside(&file) {
                log::error!("it can't be put aside: {stays}");
            }
            None
        });
        let root = match kept.filter(|root| root.fingerprint().is_ok()) {
            Some(root) => root,
            None => {
                let root = Root::make(name)?;
                write_whole(&file, &serde_json::to_vec(&root)?, 0o600)?;
                root
            }
        };
        let only = read_whole(&folder.join("only.json")).ok().flatten().unwrap_or_default();
        let fingerprint = root.fingerprint()?;
        let now = signed(&root, name, links::addresses(), clock())?;
        let (name, only, now) = (name.to_owned(), Mutex::new(only), Mutex::new(now));
        Ok(Self { folder, name, root, fingerprint, only, now, port: OnceLock::new() })
    }

    /// What a listener needs. Browsers of the last years speak TLS 1.3.
    ///
    /// # Errors
    /// The cryptography is not there.
    pub fn config(self: &Arc<Self>) -> Result<Arc<ServerConfig>> {
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider())).with_protocol_versions(&[&TLS13])?;
        let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(self) as Arc<_>;
        let mut config = config.with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// Notes where it listens.
    pub fn is_at(&self, port: u16) {
        self.port.get_or_init(|| port);
    }

    /// Holds the certificate to the node's addresses and clock, until the agent ends.
    pub async fn keep_fresh(self: Arc<Self>) {
        loop {
            tokio::time::sleep(HTTPS_LOOK_EVERY).await;
            let https = Arc::clone(&self);
            let refreshed = tokio::task::spawn_blocking(move || https.refresh(links::addresses(), clock())).await;
            if let Ok(Err(error)) = refreshed {
                log::error!("the certificate of the page stays as it is: {error:#}");
            }
        }
    }

    fn refresh(&self, addresses: Vec<IpAddr>, at: OffsetDateTime) -> Result<()> {
        let stale = {
            let now = lock(&self.now);
            is_stale((&now.addresses, now.made), (&addresses, at))
        };
        if stale {
            let next = signed(&self.root, &self.name, addresses, at)?;
            *lock(&self.now) = next;
        }
        Ok(())
    }

    /// How the page is reached.
    pub fn view(&self) -> HttpsView {
        HttpsView {
            port: self.port.get().copied().unwrap_or_default(),
            fingerprint: self.fingerprint.clone(),
            root: pem(&self.root_der()),
            only: self.is_only(),
        }
    }

    /// The root's certificate.
    pub fn root_der(&self) -> Vec<u8> {
        self.root.der().unwrap_or_default()
    }

    /// Whether plain HTTP leads to HTTPS.
    pub fn is_only(&self) -> bool {
        lock(&self.only).only
    }

    /// Says whether it does.
    ///
    /// # Errors
    /// It can't be written.
    pub fn choose(&self, choice: Choice) -> Result<()> {
        let mut only = lock(&self.only);
        write_whole(&self.folder.join("only.json"), &serde_json::to_vec(&choice)?, 0o600)?;
        *only = choice;
        Ok(())
    }
}

impl HttpsView {
    /// Where a browser finds the page that calls the node so, without a port. The certificate is for no bare name.
    pub fn at(&self, host: &str) -> String {
        let local = if host.contains(['.', ':']) || host == "localhost" { String::new() } else { format!(".{DOMAIN}") };
        let port = if self.port == 443 { String::new() } else { format!(":{}", self.port) };
        format!("https://{host}{local}{port}")
    }
}

fn signed(root: &Root, name: &str, addresses: Vec<IpAddr>, at: OffsetDateTime) -> Result<Now> {
    let leaf = root.sign(name, &addresses, at)?;
    let key = ring::sign::any_ecdsa_type(&leaf.key).context("the key of the page's certificate")?;
    Ok(Now { addresses, made: at, key: Arc::new(CertifiedKey::new(leaf.chain, key)) })
}

fn pem(der: &[u8]) -> String {
    let text = BASE64.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

impl ResolvesServerCert for Https {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&lock(&self.now).key))
    }
}

#[cfg(test)]
#[path = "tests.rs"]
pub mod tests;
