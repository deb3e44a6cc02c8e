//! Settings that owners change while the node runs: asked of the root unit, and taken back where nobody reaches the node any more.
//!
//! Architecture invariant: what could cut a node off from its owner holds for good only once somebody who may says so at the node as it is then;
//! else it is as it was after five minutes, or at the next start.

use super::wish::{Plan, Wish, plan};
use super::{ZONEINFO, load, read_or_put_aside, write_whole};
use crate::limits::SETTINGS_TRIAL;
use crate::units::{self, Action, Systemd};
use contract::settings::inbox::SOURCE_PAGE;
use contract::settings::{Settings, page};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// What the settings were before a change that is on trial, below the data folder.
const TRIAL: &str = "settings-trial.json";
/// The unit that applies settings.
const UNIT: &str = "cloudy-settings.service";
/// How soon taking back is tried again, where it failed.
const TAKE_BACK_AGAIN: Duration = Duration::from_secs(30);
/// Why settings are not changed.
#[derive(Debug, thiserror::Error)]
pub enum NotSet {
    /// Something of the wish.
    #[error("{0}")]
    Wrong(String),
    /// The time zone.
    #[error("there is no time zone `{0}`: it is written as in Europe/Madrid")]
    Zone(String),
    /// It can't be written.
    #[error("it can't be kept: {0}")]
    NotKept(String),
    /// There is nothing to keep.
    #[error("no change is on trial any more: look at how the settings are now")]
    NoTrial,
    /// The root unit could not do it.
    #[error(transparent)]
    Unit(#[from] units::Error),
}

/// What was before, of the groups that are on trial.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Before {
    settings: Settings,
    network: bool,
    wifi: bool,
}

impl Before {
    /// A further change on trial: what was before the first one counts.
    fn and(self, now: &Settings, network: bool, wifi: bool) -> Self {
        let mut settings = self.settings;
        if network && !self.network {
            settings.network.clone_from(&now.network);
        }
        if wifi && !self.wifi {
            settings.wifi.clone_from(&now.wifi);
        }
        Self { settings, network: self.network || network, wifi: self.wifi || wifi }
    }

    /// Which of it are still as the page set them: what somebody wrote into `cloudy.toml` meanwhile has the last word.
    fn still_the_pages(&self, sources: &BTreeMap<String, String>) -> (bool, bool) {
        let from_page = |key: &str| sources.get(key).is_none_or(|source| source == SOURCE_PAGE);
        (self.network && from_page("network"), self.wifi && from_page("wifi"))
    }
}

/// What is known of a trial while the agent runs.
#[derive(Debug, Default)]
struct Now {
    until: Option<Instant>,
    taken_back: bool,
}

/// The settings as they are shown: `GET /api/v1/settings`. No key stands in them.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct SettingsView {
    /// The time zone; UTC where none was set.
    pub time_zone: Option<String>,
    /// An address with its network's length; none where DHCP gives one.
    pub address: Option<String>,
    /// The router.
    pub gateway: Option<String>,
    /// Name servers.
    pub dns: Vec<String>,
    /// The Wi-Fi's name; none where there is none.
    pub wifi: Option<String>,
    /// Whether that Wi-Fi has a key.
    pub wifi_key: bool,
    /// The country.
    pub country: Option<String>,
    /// Who may log in with ssh: the keys' kinds and comments.
    pub ssh_keys: Vec<String>,
    /// For each setting that has a value, where it came from.
    pub sources: BTreeMap<String, String>,
    /// Seconds until a change is taken back, unless somebody keeps it.
    pub trial_seconds: Option<u64>,
    /// Whether the last change was taken back.
    pub taken_back: bool,
}

/// The desk.
pub struct Desk {
    data: PathBuf,
    systemd: Arc<Systemd>,
    one: Mutex<()>,
    now: StdMutex<Now>,
}

impl Desk {
    /// Of the node whose data lies there.
    pub fn new(data: &Path, systemd: Arc<Systemd>) -> Self {
        Self { data: data.to_owned(), systemd, one: Mutex::new(()), now: StdMutex::default() }
    }

    fn now(&self) -> std::sync::MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trial(&self) -> PathBuf {
        self.data.join(TRIAL)
    }

    fn before(&self) -> Before {
        read_or_put_aside(&self.trial(), "what the settings were before is gone")
    }

    /// As they are.
    pub fn view(&self) -> SettingsView {
        let stored = load(&self.data);
        let values = stored.values;
        let network = values.network.unwrap_or_default();
        let now = self.now();
        SettingsView {
            time_zone: values.time_zone.map(String::from),
            address: network.address.map(|address| address.to_string()),
            gateway: network.gateway.map(|gateway| gateway.to_string()),
            dns: network.dns.iter().map(ToString::to_string).collect(),
            wifi_key: values.wifi.as_ref().is_some_and(|wifi| wifi.passphrase.is_some()),
            country: values.wifi.as_ref().map(|wifi| wifi.country.as_str().to_owned()),
            wifi: values.wifi.map(|wifi| String::from(wifi.ssid)),
            ssh_keys: values.ssh_keys.iter().flatten().map(|key| named(key.as_str())).collect(),
            sources: stored.sources,
            trial_seconds: now.until.map(|until| until.saturating_duration_since(Instant::now()).as_secs()),
            taken_back: now.taken_back,
        }
    }

    /// Changes settings, to the end, whoever hangs up meanwhile: who changes the network loses the connection. What could cut the node off
    /// is on trial from then on.
    ///
    /// # Errors
    /// See [`NotSet`].
    pub async fn set(self: &Arc<Self>, wish: Wish) -> Result<SettingsView, NotSet> {
        let desk = Arc::clone(self);
        let done = tokio::spawn(async move { desk.set_to_the_end(wish).await });
        done.await.map_err(|error| NotSet::NotKept(error.to_string()))?
    }

    async fn set_to_the_end(self: &Arc<Self>, wish: Wish) -> Result<SettingsView, NotSet> {
        let _one = self.one.lock().await;
        let values = load(&self.data).values;
        let plan = plan(&values, wish).map_err(NotSet::Wrong)?;
        if let Some(zone) = &plan.settings.time_zone
            && !Path::new(ZONEINFO).join(zone.as_str()).is_file()
        {
            return Err(NotSet::Zone(zone.as_str().to_owned()));
        }
        if plan == Plan::default() {
            return Ok(self.view());
        }
        let (network, wifi) = plan.may_cut_off();
        if network || wifi {
            let before = self.before().and(&values, network, wifi);
            self.write(TRIAL, serde_json::to_vec(&before)).await?;
            *self.now() = Now { until: Some(Instant::now() + SETTINGS_TRIAL), taken_back: false };
            self.look_again_after(SETTINGS_TRIAL);
        }
        self.ask(&plan).await?;
        Ok(self.view())
    }

    /// Keeps what is on trial.
    ///
    /// # Errors
    /// Nothing is, or what was before can't be forgotten.
    pub async fn keep(&self) -> Result<SettingsView, NotSet> {
        let _one = self.one.lock().await;
        if !self.trial().exists() {
            return Err(NotSet::NoTrial);
        }
        self.forget()?;
        *self.now() = Now::default();
        Ok(self.view())
    }

    /// It is on the disk that nothing is on trial.
    fn forget(&self) -> Result<(), NotSet> {
        let removed = match std::fs::remove_file(self.trial()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            removed => removed.and_then(|()| std::fs::File::open(&self.data)?.sync_all()),
        };
        removed.map_err(|error| NotSet::NotKept(error.to_string()))
    }

    fn look_again_after(self: &Arc<Self>, time: Duration) {
        let desk = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            let _one = desk.one.lock().await;
            let due = { desk.now().until.is_some_and(|until| until <= Instant::now()) };
            if due {
                desk.take_back().await;
            }
        });
    }

    /// What was on trial when the agent ended is taken back when it begins; what was asked and not taken is forgotten.
    pub async fn begin(self: Arc<Self>) {
        let _one = self.one.lock().await;
        let _ = std::fs::remove_file(self.data.join(page::FILE));
        if self.trial().exists() {
            self.take_back().await;
        }
    }

    /// Where that fails it is tried again: nobody may reach the node to do it.
    async fn take_back(self: &Arc<Self>) {
        let before = self.before();
        let sources = load(&self.data).sources;
        let (network, wifi) = before.still_the_pages(&sources);
        let (settings, no_wifi) = page::back(&before.settings, network, wifi);
        log::warn!("nobody kept the change of the network within {} s: it is as it was before", SETTINGS_TRIAL.as_secs());
        match self.ask(&Plan { settings, no_wifi }).await.and_then(|()| self.forget()) {
            Ok(()) => *self.now() = Now { until: None, taken_back: true },
            Err(error) => {
                log::error!(error:%; "a change of the settings can't be taken back yet; it is tried again");
                *self.now() = Now { until: Some(Instant::now() + TAKE_BACK_AGAIN), taken_back: false };
                self.look_again_after(TAKE_BACK_AGAIN);
            }
        }
    }

    /// Asks the root unit, and looks whether it took it.
    async fn ask(&self, plan: &Plan) -> Result<(), NotSet> {
        if *plan == Plan::default() {
            return Ok(());
        }
        let change = rand::rng().random();
        let bytes = page::ask(change, &plan.settings, plan.no_wifi).map_err(NotSet::Wrong)?;
        self.write(page::FILE, Ok(bytes.clone())).await?;
        let done = self.systemd.run(Action::Restart, UNIT).await;
        // Keys of a Wi-Fi stand in it; the settings have them now.
        let _ = std::fs::remove_file(self.data.join(page::FILE));
        done?;
        match load(&self.data).taken(&bytes) {
            Some([]) => Ok(()),
            Some(mistakes) => Err(NotSet::Wrong(mistakes.join("; "))),
            None => Err(NotSet::NotKept(format!("`{UNIT}` did not take it; `journalctl -u {UNIT}` says why"))),
        }
    }

    /// It is on the disk when this answers, which waits on a thread of its own: the agent's one thread has neighbours to answer.
    async fn write(&self, name: &str, bytes: serde_json::Result<Vec<u8>>) -> Result<(), NotSet> {
        let not_kept = |error: String| NotSet::NotKept(error);
        let (file, bytes) = (self.data.join(name), bytes.map_err(|error| not_kept(error.to_string()))?);
        let written = tokio::task::spawn_blocking(move || write_whole(&file, &bytes, 0o600)).await;
        written.map_err(|error| not_kept(error.to_string()))?.map_err(|error| not_kept(format!("{error:#}")))
    }

    /// Names of time zones, in order.
    pub fn zones() -> Vec<String> {
        let table = std::fs::read_to_string(Path::new(ZONEINFO).join("zone1970.tab")).unwrap_or_default();
        let mut zones: Vec<String> =
            table.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split('\t').nth(2)).map(str::to_owned).collect();
        zones.sort();
        zones.dedup();
        zones
    }
}

/// A key's kind and comment, without the key.
fn named(key: &str) -> String {
    let mut parts = key.split_whitespace();
    let (kind, comment) = (parts.next().unwrap_or_default(), parts.skip(1).collect::<Vec<_>>().join(" "));
    if comment.is_empty() { kind.to_owned() } else { format!("{comment} ({kind})") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::WifiWish;

    fn settings(toml: &str) -> Settings {
        contract::settings::parse(toml.as_bytes()).unwrap().settings
    }

    #[test]
    fn of_changes_on_trial_what_was_before_the_first_comes_back() {
        let first = settings("network = { address = \"10.0.0.5/24\" }\nwifi = { ssid = \"Casa\", country = \"ES\" }");
        let then = settings("network = { address = \"10.0.0.6/24\" }\nwifi = { ssid = \"Casa\", country = \"ES\" }");
        let before = Before::default().and(&first, true, false).and(&then, true, false).and(&then, false, true);
        assert_eq!((before.network, before.wifi, &before.settings), (true, true, &first));
        let read: Before = serde_json::from_slice(&serde_json::to_vec(&before).unwrap()).unwrap();
        assert_eq!(read, before);
    }

    #[test]
    fn what_cloudy_toml_says_meanwhile_is_not_taken_back() {
        let before = Before { network: true, wifi: true, ..Before::default() };
        let sources = |network: &str| BTreeMap::from([("network".to_owned(), network.to_owned())]);
        assert_eq!(before.still_the_pages(&sources(SOURCE_PAGE)), (true, true));
        assert_eq!(before.still_the_pages(&sources("cloudy.toml")), (false, true));
    }

    #[test]
    fn of_a_key_only_its_name_is_shown() {
        assert_eq!(named("ssh-ed25519 AAAAC3Nza ana at home"), "ana at home (ssh-ed25519)");
        assert_eq!(named("ssh-ed25519 AAAAC3Nza"), "ssh-ed25519");
    }

    #[tokio::test]
    async fn where_no_root_unit_is_nothing_changes_and_it_is_said() {
        let data = tempfile::tempdir().unwrap();
        let desk = Arc::new(Desk::new(data.path(), Arc::new(Systemd::default())));
        let wish = Wish { time_zone: Some("Nowhere/Land".to_owned()), ..Wish::default() };
        assert!(matches!(desk.set(wish).await, Err(NotSet::Zone(zone)) if zone == "Nowhere/Land"));
        // It can't be asked, or does not take it; what could cut the node off stays on trial, and nothing secret stays.
        let wifi = WifiWish { ssid: "Casa".to_owned(), passphrase: Some("secret secret".to_owned()), country: "ES".to_owned() };
        assert!(matches!(desk.set(Wish { wifi: Some(wifi), ..Wish::default() }).await, Err(NotSet::Unit(_) | NotSet::NotKept(_))));
        assert!(!data.path().join(page::FILE).exists() && data.path().join(TRIAL).exists());
        let seen = desk.view();
        assert_eq!((seen.wifi, seen.taken_back), (None, false));
        assert!(seen.trial_seconds.unwrap() > SETTINGS_TRIAL.as_secs() - 60);
        // An agent that starts takes it back, and goes on trying where nobody does it.
        let again = Arc::new(Desk::new(data.path(), Arc::new(Systemd::default())));
        Arc::clone(&again).begin().await;
        let seen = again.view();
        assert!(seen.trial_seconds.unwrap() <= TAKE_BACK_AGAIN.as_secs() && !seen.taken_back && data.path().join(TRIAL).exists());
        // Who keeps it ends that, once.
        assert!(again.keep().await.unwrap().trial_seconds.is_none());
        assert!(matches!(again.keep().await, Err(NotSet::NoTrial)));
    }
}
