//! The agent's life: open what it needs, say ready, serve until it is told to stop, leave calmly.

use crate::http::{self, Listener};
use crate::https::Https;
use crate::limits::{self, AGENT_SOCKET, DATA_DIR};
use crate::net::{self, Command, DoorConfig, FoundConfig, JoinConfig, Machine, NetConfig, NetHandle};
use crate::state::App;
use crate::{apps, blobs, host, household, kept, notify, settings, storage, stores, tunnels};
use anyhow::{Context, Result};
use contract::report::Report;
use contract::settings::{Door, Settings};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// What the agent is started with.
pub struct Options {
    /// Its data folder.
    pub data: PathBuf,
    /// Addresses of the page and the API.
    pub http: Vec<SocketAddr>,
    /// Addresses of the same over HTTPS.
    pub https: Vec<SocketAddr>,
    /// UDP addresses of the microcloud; empty for the default port on all.
    pub bind: Vec<SocketAddr>,
    /// The local socket; none for the default of this data folder.
    pub socket: Option<PathBuf>,
    /// The broker's socket.
    pub broker: PathBuf,
    /// Where images are served to this node's Docker: an address of loopback.
    pub registry: SocketAddr,
    /// Where public blobs are given to everybody.
    pub gateway: SocketAddr,
    /// The node's name; none for the machine's.
    pub name: Option<String>,
    /// Where apps that use the store have a folder each.
    pub stores: PathBuf,
    /// Where init's report lies.
    pub boot_report: PathBuf,
}

/// The local socket of the agent with that data folder.
pub fn socket_of(data: &Path) -> PathBuf {
    if data == Path::new(DATA_DIR) { AGENT_SOCKET.into() } else { data.join("agent.sock") }
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// When the data folder, the page's address or the local socket can't be had.
pub async fn run(options: Options) -> Result<()> {
    let data = &options.data;
    std::fs::create_dir_all(data).with_context(|| format!("making the data folder `{}`", data.display()))?;
    let (boot, unknown) = match kept::report(&options.boot_report) {
        Ok(boot) => (boot, false),
        Err(error) => {
            log::error!("{error:#}");
            (None, true)
        }
    };
    settings::take_local_inbox(data);
    let stored = settings::load(data);
    let name = options.name.or_else(|| stored.values.hostname.as_ref().map(ToString::to_string)).unwrap_or_else(host::name);

    let mut pages = Vec::new();
    for address in &options.http {
        pages.push(listen(*address).await?);
    }
    anyhow::ensure!(options.registry.ip().is_loopback(), "the registry of images is for this machine alone: give an address of loopback");
    let registry = TcpListener::bind(options.registry).await.inspect_err(|error| {
        log::error!("no app can be installed, since {} can't be listened on for Docker: {error}", options.registry);
    });
    let at_registry = registry.as_ref().ok().and_then(|listener| listener.local_addr().ok()).unwrap_or(options.registry);
    let gateway = listen(options.gateway).await.inspect_err(|error| log::error!("public blobs are given to nobody: {error:#}"));
    let socket = options.socket.unwrap_or_else(|| socket_of(data));
    let local = listen_locally(&socket)?;

    let (callers, waiting) = mpsc::channel(limits::BLOB_CALLERS);
    let (comers, at_tunnels) = mpsc::channel(limits::TUNNEL_CALLERS);
    let (own, at_household) = mpsc::channel(limits::HOUSEHOLD_CALLERS);
    let desks = net::Desks { blobs: callers, tunnels: comers, household: own };
    let (lessees, questions) = mpsc::channel(limits::LEASE_QUESTIONS);
    // Another identity would be another node, and a life that is not kept would be lived twice.
    let net = if unknown || boot.as_ref().is_some_and(|report| !kept::keeps(report.data)) {
        log::error!("this node's data is not kept in this run: no identity is made, and no microcloud is joined");
        None
    } else {
        start_net(data, options.bind, &name, &stored.values, machine(data, boot.as_ref()), desks, lessees).await
    };
    let at: Vec<SocketAddr> = pages.iter().filter_map(|listener| listener.local_addr().ok()).collect();
    let app = Arc::new(App::new(data.clone(), options.broker, name, at.clone(), net.clone(), boot, at_registry));
    if unknown {
        app.users().distrust();
    }

    let monitor = net.clone().map(|net| tokio::spawn(monitor(Arc::clone(&app), net)));
    tokio::spawn(crate::allocator::give_back_again_and_again());
    let (stop, stopping) = watch::channel(false);
    let mut servers = JoinSet::new();
    // One for all listeners: what leads to its routes takes memory.
    let page = http::network(Arc::clone(&app));
    for (listener, https) in encrypted(&app, data, &options.https).await {
        servers.spawn(http::serve(Listener::Tls(listener, https), page.clone(), stopping.clone()));
    }
    for listener in pages {
        servers.spawn(http::serve(Listener::Tcp(listener), page.clone(), stopping.clone()));
    }
    if let Ok(registry) = registry {
        let router = apps::registry::router(Arc::clone(app.apps().catalog()));
        servers.spawn(http::serve(Listener::Tcp(registry), router, stopping.clone()));
    }
    if let Ok(gateway) = gateway {
        let router = blobs::gateway::router(Arc::clone(app.blobs()));
        gateway.local_addr().into_iter().for_each(|address| app.blobs().is_given_at(address));
        servers.spawn(http::serve(Listener::Tcp(gateway), router, stopping.clone()));
    }
    servers.spawn(http::serve(Listener::Unix(local, http::may_change), http::local(Arc::clone(&app)), stopping));
    app.apps().resume();
    let telling = tokio::spawn({
        let app = Arc::clone(&app);
        Arc::clone(app.apps()).keep_telling(move || app.registry())
    });

    let mut giving = JoinSet::new();
    let catalogs = Arc::clone(app.catalogs());
    giving.spawn(Arc::clone(app.apps()).keep_taking(Arc::clone(app.blobs()), move |image| catalogs.would_take_from(image)));
    giving.spawn(Arc::clone(app.catalogs()).keep_going());
    giving.spawn(Arc::clone(app.leases()).keep_going());
    giving.spawn(Arc::clone(app.leases()).keep_time());
    giving.spawn(Arc::clone(app.leases()).keep_replicas());
    giving.spawn(storage::keep(Arc::clone(&app)));
    giving.spawn(stores::keep(Arc::clone(&app), options.stores));
    if let Some(net) = &net {
        let (line, of) = (net.line.clone(), Arc::clone(&app));
        giving.spawn(blobs::serve(Arc::clone(app.blobs()), line.clone(), waiting));
        giving.spawn(Arc::clone(app.blobs()).keep_going(line, move || of.registry()));
        giving.spawn(Arc::clone(app.leases()).answer(questions));
        let server = tunnels::Server::new(net.line.clone(), net.registry.clone(), own_ports(&app));
        giving.spawn(tunnels::serve(server, at_tunnels));
        let of = Arc::clone(&app);
        let server = household::Server::new(net.clone(), move || http::household(Arc::clone(&of)));
        giving.spawn(household::serve(server, at_household));
    }

    for address in &at {
        log::info!(address:% = address; "the page is at http://{address}/");
    }
    notify::send("READY=1");
    tokio::spawn(Arc::clone(app.settings()).begin());
    wait_for_the_end(&app).await?;

    log::info!("stopping");
    notify::send("STOPPING=1");
    telling.abort();
    let _ = stop.send(true);
    while servers.join_next().await.is_some() {}
    if let Some(monitor) = monitor {
        monitor.abort();
    }
    app.tunnels().close_all();
    giving.shutdown().await;
    // What ends now is no word about a job: it goes on at the next start.
    app.apps().leave_jobs();
    app.blobs().close().await;
    if let Some(net) = net {
        say_goodbye(net).await;
    }
    let _ = std::fs::remove_file(&socket);
    Ok(())
}

/// The ports at which this agent listens, as far as they are known when it is asked.
fn own_ports(app: &Arc<App>) -> impl Fn() -> Vec<u16> + Send + Sync + 'static {
    let app = Arc::clone(app);
    move || {
        let gateway = app.blobs().gateway().map(|at| at.port());
        app.apps().node_ports().into_iter().chain(gateway).collect()
    }
}

/// Where the page is served over HTTPS. A node goes on without it.
async fn encrypted(app: &App, data: &Path, addresses: &[SocketAddr]) -> Vec<(TcpListener, TlsAcceptor)> {
    let mut listeners = Vec::new();
    if addresses.is_empty() || !app.keeps() {
        return listeners;
    }
    let begun = Https::open(data, app.name()).map(Arc::new).and_then(|https| Ok((TlsAcceptor::from(https.config()?), https)));
    let (acceptor, https) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            log::error!("the page is not served over HTTPS: {error:#}");
            return listeners;
        }
    };
    for address in addresses {
        if !app.apps().keep_port(address.port(), "this node's page over HTTPS") {
            log::error!("the page is not served over HTTPS at {address}: an app has that port");
            continue;
        }
        match listen(*address).await {
            Ok(listener) => {
                listener.local_addr().into_iter().for_each(|at| https.is_at(at.port()));
                listeners.push((listener, acceptor.clone()));
            }
            Err(error) => log::error!("the page is not served over HTTPS at {address}: {error:#}"),
        }
    }
    if !listeners.is_empty() {
        app.serves_https(Arc::clone(&https));
        tokio::spawn(https.keep_fresh());
    }
    listeners
}

/// Listens at `address`. Where the machine has no IPv6, "all addresses" falls back to those of IPv4.
async fn listen(address: SocketAddr) -> Result<TcpListener> {
    let first = TcpListener::bind(address).await;
    let listener = match first {
        Err(error) if address.is_ipv6() && address.ip().is_unspecified() && error.kind() != std::io::ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        other => other,
    };
    listener.with_context(|| {
        format!("opening the page's address {address}: is it taken, or is the port one for root? Choose another with --http")
    })
}

/// The socket for changes, open to the agent's user and group only.
fn listen_locally(path: &Path) -> Result<UnixListener> {
    let doing = || format!("opening the local socket `{}`", path.display());
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        anyhow::bail!("another agent listens at `{}` already; give this one another --data or --socket", path.display());
    }
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path).with_context(doing)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).with_context(doing)?;
    Ok(listener)
}

/// Starts the network part. A node without it still has a page that says so.
async fn start_net(
    data: &Path,
    bind: Vec<SocketAddr>,
    name: &str,
    values: &Settings,
    machine: Machine,
    desks: net::Desks,
    lessees: mpsc::Sender<net::LeaseQuestion>,
) -> Option<NetHandle> {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let (name, join) = (name.to_owned(), join_config(values));
    let config = NetConfig { data: data.to_owned(), bind, name, version, machine, wall: net::of_machine, join, desks, lessees };
    match net::start(config).await {
        Ok(handle) => Some(handle),
        Err(error) => {
            log::error!("the network part could not start: {error:#}");
            None
        }
    }
}

/// What all members are told of this machine.
fn machine(data: &Path, boot: Option<&Report>) -> Machine {
    let sample = host::Sampler::new().sample(data);
    Machine {
        board: host::model(),
        build: boot.map(|report| report.build.to_string()).unwrap_or_default(),
        architecture: std::env::consts::ARCH.to_owned(),
        cpus: u32::try_from(sample.cpus).unwrap_or_default(),
        memory_mb: sample.memory_total_bytes / 1_000_000,
    }
}

/// What the settings say about joining, in the network part's words.
fn join_config(values: &Settings) -> JoinConfig {
    let join = &values.join;
    JoinConfig {
        found: join.found.clone().map(|name| FoundConfig {
            name: name.into(),
            kit: join.kit.clone().map(Into::into),
            member: join.member.clone().map(Into::into),
        }),
        token: join.token.clone().map(Into::into),
        lan: join.lan.unwrap_or(false),
        door: match join.door {
            None | Some(Door::Closed) => DoorConfig::Closed,
            Some(Door::Open) => DoorConfig::Open,
            Some(Door::Minutes(minutes)) => DoorConfig::OpenMinutes(minutes),
        },
        mdns: join.mdns.unwrap_or(true),
    }
}

/// Returns at SIGTERM or SIGINT. Meanwhile it tells systemd's watchdog that this loop still turns.
async fn wait_for_the_end(app: &App) -> Result<()> {
    let mut term = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut int = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let every = notify::watchdog_every();
    loop {
        let tick = async {
            match every {
                Some(every) => tokio::time::sleep(every).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = term.recv() => return Ok(()),
            _ = int.recv() => return Ok(()),
            () = app.ended() => return Ok(()),
            () = tick => notify::send("WATCHDOG=1"),
        }
    }
}

/// Gives the network part a sample of this machine whenever it wants one.
async fn monitor(app: Arc<App>, mut net: NetHandle) {
    net.samples.mark_changed();
    while net.samples.changed().await.is_ok() {
        let figures = app.figures().await;
        if net.commands.send(Command::Health { figures }).await.is_err() {
            return;
        }
    }
}

async fn say_goodbye(net: NetHandle) {
    let (reply, answer) = oneshot::channel();
    if net.commands.send(Command::Shutdown { reply }).await.is_ok() {
        let _ = tokio::time::timeout(limits::NET_GOODBYE, answer).await;
    }
}
