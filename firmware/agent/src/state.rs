//! What the agent knows of its machine, gathered when somebody asks and no more often than makes sense.

use crate::apps::Apps;
use crate::blobs::Blobs;
use crate::broker;
use crate::catalogs::Catalogs;
use crate::host::{self, Sampler};
use crate::household::Forward;
use crate::http::Seats;
use crate::https::Https;
use crate::leases::Leases;
use crate::limits::{CONFIRMED_MARK, HOST_MAX_AGE, UNITS_MAX_AGE, WATCHERS};
use crate::links;
use crate::measured::Measured;
use crate::net::{ClusterView, NetHandle, Registry};
use crate::once::Onces;
use crate::problems;
use crate::sampled::Sampled;
use crate::settings::Desk;
use crate::setup::Setup;
use crate::status::{Boot, Clock, Docker, Host, Services, Status};
use crate::storage::{Places, Storage};
use crate::text::Lang;
use crate::tokens::AppTokens;
use crate::tunnels::Tunnels;
use crate::units::Systemd;
use crate::users::Users;
use cluster::health::{self, Figures, MAX_TEXT_BYTES};
use contract::report::Report;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use tokio::sync::{Mutex, Notify, Semaphore};

/// The agent's shared state.
pub struct App {
    data: PathBuf,
    broker: PathBuf,
    name: String,
    pages: Vec<SocketAddr>,
    net: Option<NetHandle>,
    boot: Option<Report>,
    systemd: Arc<Systemd>,
    apps: Arc<Apps>,
    blobs: Arc<Blobs>,
    sampler: Mutex<Sampler>,
    host: Sampled<Host>,
    machine: Sampled<(Services, Docker)>,
    watchers: Arc<Semaphore>,
    app_watchers: Arc<Semaphore>,
    followers: Arc<Seats>,
    app_tokens: AppTokens,
    users: Arc<Users>,
    once: Arc<Onces>,
    ending: Notify,
    settings: Arc<Desk>,
    storage: Arc<Storage>,
    https: OnceLock<Arc<Https>>,
    leases: Arc<Leases>,
    catalogs: Arc<Catalogs>,
    setup: Arc<Setup>,
    tunnels: Arc<Tunnels>,
    measured: Arc<Measured>,
    forward: Option<Forward>,
}

fn keeps(boot: Option<&Report>) -> bool {
    boot.is_none_or(|report| crate::kept::keeps(report.data))
}

impl App {
    /// `data` is the agent's data folder, `broker` the broker's socket, `name` the node's name,
    /// `pages` where its page is served, `boot` what init saw, `registry` where images are served on loopback.
    pub fn new(
        data: PathBuf,
        broker: PathBuf,
        name: String,
        pages: Vec<SocketAddr>,
        net: Option<NetHandle>,
        boot: Option<Report>,
        registry: SocketAddr,
    ) -> Self {
        let systemd = Arc::new(Systemd::default());
        let keeps = keeps(boot.as_ref());
        let blobs = Arc::new(Blobs::load(&data, keeps));
        let apps = Arc::new(Apps::open(&data, broker.clone(), Arc::clone(&blobs), Arc::clone(&systemd), &pages, registry));
        Self {
            tunnels: Arc::new(Tunnels::new(Arc::clone(&apps), net.as_ref())),
            measured: Arc::new(Measured::new(net.as_ref())),
            forward: net.clone().map(Forward::new),
            catalogs: Arc::new(Catalogs::open(&data, Arc::clone(&apps), Arc::clone(&blobs), net.clone())),
            leases: Arc::new(Leases::open(&data, Arc::clone(&apps), Arc::clone(&blobs), net.clone())),
            apps,
            blobs,
            app_tokens: AppTokens::load(&data),
            users: Arc::new(Users::load(&data, keeps)),
            once: Arc::new(Onces::load(&data, keeps)),
            ending: Notify::new(),
            settings: Arc::new(Desk::new(&data, Arc::clone(&systemd))),
            setup: Arc::new(Setup::load(&data)),
            storage: Arc::new(Storage::open(
                &data,
                boot.as_ref().map(|report| report.disk.as_str()),
                Arc::clone(&systemd),
                Places::default(),
            )),
            https: OnceLock::new(),
            data,
            broker,
            name,
            pages,
            net,
            boot,
            systemd,
            sampler: Mutex::new(Sampler::new()),
            host: Sampled::new(HOST_MAX_AGE),
            machine: Sampled::new(UNITS_MAX_AGE),
            watchers: Arc::new(Semaphore::new(WATCHERS)),
            app_watchers: Arc::new(Semaphore::new(WATCHERS)),
            followers: Arc::default(),
        }
    }

    /// The name of this machine.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name by which people know this node: the one that it has in the microcloud, else the machine's.
    pub fn known_as(&self) -> String {
        let there = self.net.as_ref().map(|net| net.view.borrow().me.name.clone()).filter(|name| !name.is_empty());
        there.unwrap_or_else(|| self.name.clone())
    }

    /// The network part, if it runs.
    pub fn net(&self) -> Option<&NetHandle> {
        self.net.as_ref()
    }

    /// The replicated registry, while this node belongs to a community.
    pub fn registry(&self) -> Option<Registry> {
        self.net.as_ref().and_then(|net| net.registry.borrow().clone())
    }

    /// The apps of this node.
    pub fn apps(&self) -> &Arc<Apps> {
        &self.apps
    }

    /// Apps of this node on others, and of others on this one.
    pub fn leases(&self) -> &Arc<Leases> {
        &self.leases
    }

    /// Signed catalogs of apps that are followed and published.
    pub fn catalogs(&self) -> &Arc<Catalogs> {
        &self.catalogs
    }

    /// Services of other nodes that are open through this one.
    pub fn tunnels(&self) -> &Arc<Tunnels> {
        &self.tunnels
    }

    /// What was measured to members without a connection.
    pub fn measured(&self) -> &Arc<Measured> {
        &self.measured
    }

    /// The way to other nodes of this one's owner, if the network part runs.
    pub fn forward(&self) -> Option<&Forward> {
        self.forward.as_ref()
    }

    /// HTTPS, where it is served.
    pub fn https(&self) -> Option<&Arc<Https>> {
        self.https.get()
    }

    /// Notes that it is served.
    pub fn serves_https(&self, https: Arc<Https>) {
        self.https.get_or_init(|| https);
    }

    /// How far setting this node up is.
    pub fn setup(&self) -> &Arc<Setup> {
        &self.setup
    }

    /// The settings of this node.
    pub fn settings(&self) -> &Arc<Desk> {
        &self.settings
    }

    /// The disks of this node.
    pub fn storage(&self) -> &Arc<Storage> {
        &self.storage
    }

    /// Restarts the machine, or switches it off.
    ///
    /// # Errors
    /// See [`crate::units::Error`].
    pub async fn power(&self, power: crate::units::Power) -> Result<(), crate::units::Error> {
        self.systemd.power(power).await
    }

    /// Has the node forget all that it kept: its data is made anew at the restart that this begins.
    ///
    /// # Errors
    /// See [`crate::units::Error`].
    pub async fn reset(&self) -> Result<(), crate::units::Error> {
        self.systemd.request_reset().await?;
        self.systemd.power(crate::units::Power::Restart).await
    }

    /// Ends the agent calmly; systemd starts it again.
    pub fn end(&self) {
        self.ending.notify_one();
    }

    /// Waits until somebody ends the agent from within.
    pub async fn ended(&self) {
        self.ending.notified().await;
    }

    /// The blobs of this node.
    pub fn blobs(&self) -> &Arc<Blobs> {
        &self.blobs
    }

    /// Tokens by which apps use their store over the network.
    pub fn app_tokens(&self) -> &AppTokens {
        &self.app_tokens
    }

    /// The users of this node.
    pub fn users(&self) -> &Arc<Users> {
        &self.users
    }

    /// Requests that are done once.
    pub fn once(&self) -> &Arc<Onces> {
        &self.once
    }

    /// Room for those who watch changes.
    pub fn watchers(&self) -> Arc<Semaphore> {
        Arc::clone(&self.watchers)
    }

    /// Room for apps that watch their store, which strangers can't fill.
    pub fn app_watchers(&self) -> Arc<Semaphore> {
        Arc::clone(&self.app_watchers)
    }

    /// Room for those who follow what apps say.
    pub fn followers(&self) -> &Arc<Seats> {
        &self.followers
    }

    /// The newest view of the microcloud, if the network part runs.
    pub fn view(&self) -> Option<ClusterView> {
        self.net.as_ref().map(|net| net.view.borrow().clone())
    }

    /// Changes a unit and waits for the result; what was known of units is then asked anew.
    pub async fn change_unit(&self, action: crate::units::Action, unit: &str) -> Result<(), crate::units::Error> {
        let result = self.systemd.run(action, unit).await;
        self.machine.forget().await;
        result
    }

    /// Systemd, so that tests can play it.
    #[cfg(test)]
    pub fn systemd(&self) -> &Systemd {
        &self.systemd
    }

    /// Whether what is written now is there at the next start.
    pub fn keeps(&self) -> bool {
        keeps(self.boot.as_ref())
    }

    /// What init saw; none outside of an image.
    pub fn boot_report(&self) -> Option<&Report> {
        self.boot.as_ref()
    }

    /// Starts the unit of an installation and waits until it is at work.
    pub async fn start_installation(&self, unit: &str) -> Result<(), crate::units::Error> {
        self.systemd.start_installation(unit).await
    }

    /// Whether that unit runs, as far as systemd says.
    pub async fn is_unit_active(&self, unit: &str) -> bool {
        self.systemd.is_active(unit).await
    }

    /// All that the node says about itself, problems in `lang`.
    pub async fn status(&self, lang: Lang) -> Status {
        let host = self.host.get(async || self.sampler.lock().await.sample(&self.data)).await;
        let (services, docker) = self.machine.get(async || self.ask_machine().await).await;
        let view = self.view();
        let mut status = Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            build: self.boot.as_ref().map(|r| r.build.to_string()),
            name: self.name.clone(),
            node: view.as_ref().map(|v| v.me.id.clone()),
            pages: self.pages.iter().map(ToString::to_string).collect(),
            addresses: links::addresses().iter().map(ToString::to_string).collect(),
            clock: Clock {
                unix_seconds: host::now_secs(),
                synchronised: synchronised(),
                // A time server knows better than a few neighbours.
                ahead_seconds: view.as_ref().and_then(|v| v.clock_ahead_seconds).filter(|_| synchronised() != Some(true)),
            },
            host,
            boot: self.boot.as_ref().map(boot),
            wifi: crate::settings::load(&self.data).values.wifi.map(|wifi| crate::wifi::look(wifi.ssid.as_str())),
            docker,
            services,
            settings: crate::settings::state(&self.data),
            problems: Vec::new(),
        };
        let network = view.map(|v| v.problems).unwrap_or_default();
        status.problems = problems::find(&status, &network, lang);
        status
    }

    /// What all members are told of how this machine is. Links are added by the network part.
    pub async fn figures(&self) -> Figures {
        let host = self.host.get(async || self.sampler.lock().await.sample(&self.data)).await;
        let (_, docker) = self.machine.get(async || self.ask_machine().await).await;
        figures(&host, &docker)
    }

    async fn ask_machine(&self) -> (Services, Docker) {
        let services = self.systemd.services().await;
        let docker_unit = match &services {
            Services::Known { units, .. } => units.iter().find(|u| u.name == "docker.service"),
            Services::Unknown { .. } => None,
        };
        let docker = match docker_unit {
            // Asking a stopped Docker would start it through its socket, against the owner's wish.
            Some(unit) if unit.load == "loaded" && unit.active != "active" => Docker::Stopped { unit: unit.active.clone() },
            _ => broker::status(&self.broker).await,
        };
        (services, docker)
    }
}

/// The same figures, as small as they travel.
fn figures(host: &Host, docker: &Docker) -> Figures {
    let mb = |bytes: u64| u32::try_from(bytes / 1_000_000).unwrap_or(u32::MAX);
    let short = |text: &str| text.chars().filter(|c| c.is_ascii_graphic()).take(MAX_TEXT_BYTES).collect();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what fits")]
    let (load, cpu, temperature) = (
        (host.load[0] * 100.0).clamp(0.0, 65_535.0) as u16,
        host.cpu_percent.clamp(0.0, 100.0) as u8,
        host.temperature_celsius.map(|t| t.clamp(-300.0, 300.0) as i16),
    );
    Figures {
        uptime_seconds: u32::try_from(host.uptime_seconds).unwrap_or(u32::MAX),
        load_hundredths: load,
        cpu_percent: cpu,
        cpus: u16::try_from(host.cpus).unwrap_or(u16::MAX),
        memory_total_mb: mb(host.memory_total_bytes),
        memory_available_mb: mb(host.memory_available_bytes),
        storage_total_mb: mb(host.storage_total_bytes),
        storage_available_mb: mb(host.storage_available_bytes),
        temperature_celsius: temperature,
        docker: match docker {
            Docker::Running { version, containers_running, .. } => {
                health::Docker::Running { version: short(version), containers: u16::try_from(*containers_running).unwrap_or(u16::MAX) }
            }
            Docker::Stopped { .. } | Docker::Silent { .. } => health::Docker::Stopped,
            Docker::NoBroker { .. } => health::Docker::Unknown,
        },
        version: short(env!("CARGO_PKG_VERSION")),
        links: Vec::new(),
    }
}

fn boot(report: &Report) -> Boot {
    // A failure of the build that runs now is one that it got over.
    let rollback = report.last_failure.as_ref().filter(|f| f.build != report.build).map(|f| format!("{}: {}", f.step, f.reason));
    let confirmed = report.trial.is_none() || std::path::Path::new(CONFIRMED_MARK).exists();
    Boot {
        slot: Some(report.slot.to_string()),
        confirmed: Some(confirmed),
        data: Some(report.data),
        rollback,
        problems: report.warnings.clone(),
    }
}

/// Whether the kernel's clock follows a time server (adjtimex(2): no STA_UNSYNC), as far as timesyncd says.
fn synchronised() -> Option<bool> {
    // timesyncd touches this file at each synchronisation; it is there on images and most Debian machines.
    std::path::Path::new("/run/systemd/timesync").is_dir().then(|| std::path::Path::new("/run/systemd/timesync/synchronized").exists())
}
