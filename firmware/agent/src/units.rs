//! systemd over D-Bus: the state of the units that matter, and jobs that are followed to their result.

use crate::limits::{DBUS_TIMEOUT, DISK_UNIT_TIMEOUT, JOB_TIMEOUT};
use crate::status::{Services, Unit};
use futures_util::StreamExt;
use std::time::Duration;
use thiserror::Error;
use tokio::time::timeout;
use zbus::{Connection, OwnedObjectPath};

/// The units whose state the page shows, in the order shown.
pub const WATCHED: [&str; 8] = [
    "docker.service",
    "containerd.service",
    "systemd-networkd.service",
    "systemd-resolved.service",
    "systemd-timesyncd.service",
    "ssh.service",
    "cloudy-settings.service",
    "cloudy.service",
];

/// The units that may be started, stopped and restarted through the agent. The polkit rule in the overlay names the same.
pub const MANAGED: [&str; 5] =
    ["docker.service", "ssh.service", "systemd-timesyncd.service", "systemd-networkd.service", "cloudy-settings.service"];

/// The unit without which no app runs.
pub const DOCKER_UNIT: &str = "docker.service";

/// A unit as `ListUnits*` gives it: name, description, load, active, sub, following, path, job id, job type, job path.
type Row = (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
trait Manager {
    fn subscribe(&self) -> zbus::Result<()>;
    fn list_units_by_names(&self, names: &[&str]) -> zbus::Result<Vec<Row>>;
    fn list_units_filtered(&self, states: &[&str]) -> zbus::Result<Vec<Row>>;
    fn start_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn stop_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn restart_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn reset_failed_unit(&self, name: &str) -> zbus::Result<()>;
    #[zbus(signal)]
    fn job_removed(&self, id: u32, job: OwnedObjectPath, unit: String, result: String) -> zbus::Result<()>;
    #[zbus(property)]
    fn system_state(&self) -> zbus::Result<String>;
}

/// What can be done with a unit, and with an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Start it, if it does not run.
    Start,
    /// Stop it.
    Stop,
    /// Stop it, then start it.
    Restart,
}

/// What can be done with the whole machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Power {
    /// Stop all in order, and start again.
    Restart,
    /// Stop all in order, and switch off.
    Off,
}

/// Why a unit could not be asked or changed.
#[derive(Debug, Error)]
pub enum Error {
    /// D-Bus or systemd is not there.
    #[error("no systemd to ask on the system bus")]
    NoBus(#[source] zbus::Error),
    /// The unit is not one that may be changed from here.
    #[error("`{0}` can't be changed through cloudy; these can: {list}", list = MANAGED.join(", "))]
    NotManaged(String),
    /// systemd refused.
    #[error("systemd refused to {action} `{unit}`")]
    Refused {
        /// What was asked.
        action: &'static str,
        /// Of which unit.
        unit: String,
        /// systemd's or polkit's answer.
        #[source]
        source: zbus::Error,
    },
    /// The job ended otherwise than well.
    #[error("the job to {action} `{unit}` ended with `{result}`; see `journalctl -u {unit}`")]
    Job {
        /// What was asked.
        action: &'static str,
        /// Of which unit.
        unit: String,
        /// systemd's word: `failed`, `canceled`, `timeout`, `dependency`, `skipped`, …
        result: String,
    },
    /// No result came.
    #[error("no result of the job to {action} `{unit}` within {} s; it may still go on", wait.as_secs())]
    Waited {
        /// What was asked.
        action: &'static str,
        /// Of which unit.
        unit: String,
        /// How long was waited.
        wait: Duration,
    },
}

impl Action {
    /// As it is typed, said and named in paths.
    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
        }
    }
}

/// systemd, as reached over the system bus. Connects when first needed, and again after a failure.
#[derive(Default)]
pub struct Systemd {
    connection: tokio::sync::Mutex<Option<Connection>>,
    /// In tests, what was asked of a systemd that is only played, where it is.
    #[cfg(test)]
    pub played: std::sync::Mutex<Option<Vec<(Action, String)>>>,
}

impl Systemd {
    /// The proxy, over a connection that is made when there is none.
    async fn manager(&self) -> Result<ManagerProxy<'static>, zbus::Error> {
        let mut held = self.connection.lock().await;
        let connection = match held.as_ref() {
            Some(connection) => connection.clone(),
            None => {
                let fresh = timeout(DBUS_TIMEOUT, Connection::system())
                    .await
                    .map_err(|_| zbus::Error::Failure("the system bus did not answer".to_owned()))??;
                held.insert(fresh).clone()
            }
        };
        ManagerProxy::builder(&connection).cache_properties(zbus::proxy::CacheProperties::No).build().await
    }

    /// The state of the watched units and the names of all failed ones.
    pub async fn services(&self) -> Services {
        let answer = timeout(DBUS_TIMEOUT, self.ask()).await;
        let reason = match answer {
            Ok(Ok(services)) => return services,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("systemd did not answer within {} s", DBUS_TIMEOUT.as_secs()),
        };
        *self.connection.lock().await = None;
        Services::Unknown { reason: format!("no systemd on the system bus: {reason}") }
    }

    async fn ask(&self) -> Result<Services, zbus::Error> {
        let manager = self.manager().await?;
        let units = manager.list_units_by_names(&WATCHED).await?.into_iter().map(unit).collect();
        let failed = manager.list_units_filtered(&["failed"]).await?.into_iter().map(|row| row.0).collect();
        Ok(Services::Known { system: manager.system_state().await?, units, failed })
    }

    /// Starts, stops or restarts a managed unit and waits for the job's result.
    ///
    /// # Errors
    /// When the unit is not managed, systemd refuses, the job fails, or no result comes in time.
    pub async fn run(&self, action: Action, name: &str) -> Result<(), Error> {
        if !MANAGED.contains(&name) {
            return Err(Error::NotManaged(name.to_owned()));
        }
        #[cfg(test)]
        if let Some(asked) = self.played.lock().unwrap().as_mut() {
            asked.push((action, name.to_owned()));
            return Ok(());
        }
        if action != Action::Stop {
            // What failed some times in a row would be refused for a while; who asks wants it tried now. Of a unit that is not loaded there is
            // nothing to forget.
            let _ = self.manager().await.map_err(Error::NoBus)?.reset_failed_unit(name).await;
        }
        self.job(action, name).await
    }

    /// Starts the unit of an installation, as `install::rules::unit` names it, and waits until it is at work.
    ///
    /// # Errors
    /// When systemd refuses, the job fails, or no result comes in time.
    pub async fn start_installation(&self, name: &str) -> Result<(), Error> {
        self.job(Action::Start, name).await
    }

    /// Starts the unit that does something with a disk, as `storage` names it, and waits until it is done, which may take long.
    ///
    /// # Errors
    /// When systemd refuses, the job fails, or no result comes in time.
    pub async fn start_disk(&self, name: &str) -> Result<(), Error> {
        self.job_within(Action::Start, name, DISK_UNIT_TIMEOUT).await
    }

    /// Asks init to make the node's data anew at the next start.
    ///
    /// # Errors
    /// When systemd refuses, the job fails, or no result comes in time.
    pub async fn request_reset(&self) -> Result<(), Error> {
        self.job(Action::Start, "cloudy-reset.service").await
    }

    /// Whether a unit runs or is about to; not where systemd does not say.
    pub async fn is_active(&self, name: &str) -> bool {
        let ask = async {
            let rows = self.manager().await?.list_units_by_names(&[name]).await?;
            Ok::<_, zbus::Error>(rows.into_iter().map(unit).any(|unit| matches!(unit.active.as_str(), "active" | "activating")))
        };
        matches!(timeout(DBUS_TIMEOUT, ask).await, Ok(Ok(true)))
    }

    /// Whether a unit is installed and does not run; not where systemd does not say.
    pub async fn is_stopped(&self, name: &str) -> bool {
        let ask = async {
            let rows = self.manager().await?.list_units_by_names(&[name]).await?;
            Ok::<_, zbus::Error>(rows.into_iter().map(unit).any(|unit| unit.load == "loaded" && unit.active != "active"))
        };
        matches!(timeout(DBUS_TIMEOUT, ask).await, Ok(Ok(true)))
    }

    async fn job(&self, action: Action, name: &str) -> Result<(), Error> {
        self.job_within(action, name, JOB_TIMEOUT).await
    }

    async fn job_within(&self, action: Action, name: &str, wait: Duration) -> Result<(), Error> {
        let manager = self.manager().await.map_err(Error::NoBus)?;
        manager.subscribe().await.or_else(already).map_err(Error::NoBus)?;
        // Listen first: a quick job's result would be missed otherwise.
        let mut removed = manager.receive_job_removed().await.map_err(Error::NoBus)?;
        let word = action.word();
        let job = match action {
            Action::Start => manager.start_unit(name, "replace").await,
            Action::Stop => manager.stop_unit(name, "replace").await,
            Action::Restart => manager.restart_unit(name, "replace").await,
        }
        .map_err(|source| Error::Refused { action: word, unit: name.to_owned(), source })?;
        let result = async {
            while let Some(signal) = removed.next().await {
                if let Ok(args) = signal.args()
                    && args.job() == &job
                {
                    return args.result().clone();
                }
            }
            "lost".to_owned()
        };
        match timeout(wait, result).await {
            Ok(result) if result == "done" => Ok(()),
            Ok(result) => Err(Error::Job { action: word, unit: name.to_owned(), result }),
            Err(_) => Err(Error::Waited { action: word, unit: name.to_owned(), wait }),
        }
    }
}

impl Systemd {
    /// Restarts the machine in order, or switches it off.
    ///
    /// # Errors
    /// When systemd is not there or refuses.
    pub async fn power(&self, power: Power) -> Result<(), Error> {
        let manager = self.manager().await.map_err(Error::NoBus)?;
        let target = match power {
            Power::Restart => "reboot.target",
            Power::Off => "poweroff.target",
        };
        let refused = |source| Error::Refused { action: "start", unit: target.to_owned(), source };
        manager.start_unit(target, "replace-irreversibly").await.map(|_| ()).map_err(refused)
    }
}

/// A second `Subscribe` on one connection is refused, and harmless.
fn already(error: zbus::Error) -> Result<(), zbus::Error> {
    match &error {
        zbus::Error::MethodError(name, _, _) if name.as_str() == "org.freedesktop.systemd1.AlreadySubscribed" => Ok(()),
        _ => Err(error),
    }
}

fn unit(row: Row) -> Unit {
    Unit { name: row.0, description: row.1, load: row.2, active: row.3, sub: row.4 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_polkit_rule_names_the_same_units() {
        let rule = include_str!("../../../overlay/common/usr/share/polkit-1/rules.d/50-cloudy.rules");
        let (_, rest) = rule.split_once("var units = [").unwrap();
        let (list, _) = rest.split_once(']').unwrap();
        let named: Vec<_> = list.split(',').map(|unit| unit.trim().trim_matches('"')).collect();
        assert_eq!(named, MANAGED);
    }

    #[tokio::test]
    async fn what_is_not_managed_is_refused_before_anybody_is_asked() {
        let error = Systemd::default().run(Action::Stop, "dbus.service").await.unwrap_err();
        assert!(matches!(error, Error::NotManaged(_)));
    }
}
