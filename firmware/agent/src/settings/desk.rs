//! Settings that owners change while the node runs: asked of the root unit, and taken back where nobody reaches the node any more.
//!
//! Architecture invariant: what could cut a node off from its owner holds for good only once somebody who may says so at the node as it is then;
//! else it is as it was after five minutes, or at the next start.

use super::wish::{Plan, Wish, plan};
use super::{load, read_or_put_aside, write_whole};
use crate::limits::SETTINGS_TRIAL;
use crate::units::{self, Action, Systemd};
use contract::settings::{Settings, page};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Instant;
use tokio::sync::Mutex;

/// What the settings were before a change that is on trial, below the data folder.
const TRIAL: &str = "settings-trial.json";
/// The unit that applies settings.
const UNIT: &str = "cloudy-settings.service";
/// Where time zones are.
const ZONEINFO: &str = "/usr/share/zoneinfo";

/// Why settings are not changed.
#[derive(Debug, thiserror::Error)]
pub enum NotSet {
    /// Something of the wish.
    #[error("{0}")]
    Wrong(String),
    /// It can't be written.
    #[error("it can't be kept: {0}")]
    NotKept(String),
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

    /// Changes settings. What could cut the node off is on trial from then on.
    ///
    /// # Errors
    /// See [`NotSet`].
    pub async fn set(self: &Arc<Self>, wish: Wish) -> Result<SettingsView, NotSet> {
        let _one = self.one.lock().await;
        let values = load(&self.data).values;
        let plan = plan(&values, wish).map_err(NotSet::Wrong)?;
        if let Some(zone) = &plan.settings.time_zone
            && !Path::new(ZONEINFO).join(zone.as_str()).is_file()
        {
            return Err(NotSet::Wrong(format!("there is no time zone `{}`: it is written as in Europe/Madrid", zone.as_str())));
        }
        if plan == Plan::default() {
            return Ok(self.view());
        }
        let (network, wifi) = plan.may_cut_off();
        if network || wifi {
            let before: Before = read_or_put_aside(&self.trial(), "what the settings were before is gone");
            self.write(TRIAL, &before.and(&values, network, wifi))?;
            *self.now() = Now { until: Some(Instant::now() + SETTINGS_TRIAL), taken_back: false };
            let desk = Arc::clone(self);
            tokio::spawn(async move {
                tokio::time::sleep(SETTINGS_TRIAL).await;
                desk.take_back_when_due().await;
            });
        }
        self.ask(&plan).await?;
        Ok(self.view())
    }

    /// Keeps what is on trial.
    ///
    /// # Errors
    /// What was before can't be forgotten.
    pub async fn keep(&self) -> Result<SettingsView, NotSet> {
        let _one = self.one.lock().await;
        self.forget()?;
        *self.now() = Now::default();
        Ok(self.view())
    }

    fn forget(&self) -> Result<(), NotSet> {
        match std::fs::remove_file(self.trial()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(NotSet::NotKept(error.to_string())),
            _ => Ok(()),
        }
    }

    async fn take_back_when_due(&self) {
        let _one = self.one.lock().await;
        if self.now().until.is_some_and(|until| until <= Instant::now()) {
            self.take_back().await;
        }
    }

    /// What was on trial when the agent ended is taken back when it begins.
    pub async fn begin(&self) {
        let _one = self.one.lock().await;
        if self.trial().exists() {
            self.take_back().await;
        }
    }

    async fn take_back(&self) {
        let before: Before = read_or_put_aside(&self.trial(), "what the settings were before is gone");
        let (settings, no_wifi) = page::back(&before.settings, before.network, before.wifi);
        log::warn!("nobody kept the change of the network within {} s: it is as it was before", SETTINGS_TRIAL.as_secs());
        let back = self.ask(&Plan { settings, no_wifi }).await.and_then(|()| self.forget());
        if let Err(error) = back {
            log::error!(error:%; "a change of the settings can't be taken back");
        }
        *self.now() = Now { until: None, taken_back: true };
    }

    async fn ask(&self, plan: &Plan) -> Result<(), NotSet> {
        let change = rand::rng().random();
        let bytes = page::ask(change, &plan.settings, plan.no_wifi).map_err(NotSet::Wrong)?;
        write_whole(&self.data.join(page::FILE), &bytes, 0o600).map_err(|error| NotSet::NotKept(format!("{error:#}")))?;
        let done = self.systemd.run(Action::Restart, UNIT).await;
        // Keys of a Wi-Fi stand in it; the settings have them now.
        let _ = std::fs::remove_file(self.data.join(page::FILE));
        Ok(done?)
    }

    fn write(&self, name: &str, value: &impl Serialize) -> Result<(), NotSet> {
        let bytes = serde_json::to_vec(value).map_err(|error| NotSet::NotKept(error.to_string()))?;
        write_whole(&self.data.join(name), &bytes, 0o600).map_err(|error| NotSet::NotKept(format!("{error:#}")))
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
    fn of_a_key_only_its_name_is_shown() {
        assert_eq!(named("ssh-ed25519 AAAAC3Nza ana at home"), "ana at home (ssh-ed25519)");
        assert_eq!(named("ssh-ed25519 AAAAC3Nza"), "ssh-ed25519");
    }

    #[tokio::test]
    async fn where_no_root_unit_is_nothing_changes_and_it_is_said() {
        let data = tempfile::tempdir().unwrap();
        let desk = Arc::new(Desk::new(data.path(), Arc::new(Systemd::default())));
        let wish = Wish { time_zone: Some("Nowhere/Land".to_owned()), ..Wish::default() };
        assert!(matches!(desk.set(wish).await, Err(NotSet::Wrong(words)) if words.contains("there is no time zone")));
        assert_eq!(desk.view().time_zone, None);
        assert!(desk.keep().await.is_ok());
    }
}
