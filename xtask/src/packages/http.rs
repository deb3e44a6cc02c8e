//! The HTTP client of the fetch: limits, proxy from the environment, and names looked up once.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

/// Limit for a connection to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// Limit for the server to send the next bytes.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// A client that keeps up to `connections` connections open. A status is no error to it.
pub fn agent(connections: usize) -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(READ_TIMEOUT))
        .timeout_per_read(Some(READ_TIMEOUT))
        .max_idle_connections(connections)
        .max_idle_connections_per_host(connections)
        .user_agent(concat!("cloudy-xtask/", env!("CARGO_PKG_VERSION")))
        .build();
    ureq::Agent::with_parts(config, DefaultConnector::default(), Remembering::default())
}

/// Looks each host up once: ureq does so for every request, also where it has a connection, and a resolver that is asked
/// by eight threads hundreds of times drops some of it, which costs five seconds each.
#[derive(Debug, Default)]
struct Remembering {
    lookup: DefaultResolver,
    known: Mutex<BTreeMap<String, Vec<SocketAddr>>>,
}

impl Resolver for Remembering {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.authority().map(ToString::to_string).unwrap_or_default();
        // Held over the lookup, so that those who start together ask once.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(addresses) = known.get(&host) {
            let mut list = self.empty();
            for address in addresses {
                list.push(*address);
            }
            return Ok(list);
        }
        let list = self.lookup.resolve(uri, config, timeout)?;
        known.insert(host, list.iter().copied().collect());
        Ok(list)
    }
}
