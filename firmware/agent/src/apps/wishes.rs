//! What people wish of apps → jobs. Everything that can be refused is refused here, before anything is done.

use super::asked::Asked;
use super::backup::NotRead;
use super::catalog;
use super::own::NotSaved;
use super::plan::Kind;
use super::record::{Aim, Installed, Job, Own, What};
use super::{Apps, JobView, NOT_NOW, ports};
use crate::blobs::Refused as BlobRefused;
use crate::broker::NotTaken;
use crate::revision::Expected;
use crate::units::Action;
use contract::apps::Protocol;
use contract::apps::compose::{self, Choices, ImageName, PROJECT_PREFIX};
use contract::apps::own;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

/// What a person chooses: `POST` and `PUT /api/v1/apps/NAME`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = AppWish))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Wish {
    /// The port's name → the node's port; proposed where it is not said.
    #[serde(default)]
    pub ports: BTreeMap<String, u16>,
    /// The setting's name → its value.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// A change also takes the image and facts that the catalog has now.
    #[serde(default)]
    pub update: bool,
}

/// Why there is no job.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The catalog has no such app.
    #[error("there is no app `{0}` in this node's catalog: `cloudy app catalog` lists them, `cloudy app add PATH` adds one")]
    Unknown(String),
    /// It is not installed.
    #[error("the app `{0}` is not installed: `cloudy app list` shows those that are")]
    NotInstalled(String),
    /// It is installed.
    #[error("the app `{0}` is installed already: `cloudy app set {0}` changes it")]
    Installed(String),
    /// A job is at work on it.
    #[error("job {id} is at work on `{app}`: `cloudy jobs` shows how far it is; try again when it is over")]
    Busy {
        /// The job.
        id: u64,
        /// The app.
        app: String,
    },
    /// It is not as it was seen.
    #[error("somebody else has changed the app `{0}` meanwhile: look at how it is now, and change it again if that is still wanted")]
    Changed(String),
    /// A port.
    #[error(transparent)]
    Port(#[from] ports::Refused),
    /// A setting.
    #[error(transparent)]
    Choice(#[from] compose::Refused),
    /// Its facts.
    #[error(transparent)]
    Facts(#[from] catalog::Refused),
    /// What this version does not take any more of an app of a person's own.
    #[error("the app can't be read any more:\n{0}")]
    Faults(#[from] own::Faults),
    /// What no owner allowed it.
    #[error("{0}")]
    NotGranted(String),
    /// It must not start now.
    #[error("the app `{app}` {NOT_NOW}: {why}")]
    Barred {
        /// The app.
        app: String,
        /// Why.
        why: String,
    },
    /// Docker can't be asked.
    #[error("{0}")]
    Docker(String),
    /// There is no key to encrypt to.
    #[error("there is no key for backups yet: an owner makes one on the page of backups, or by `cloudy backup new-key`")]
    NoBackupKey,
    /// What was given is no secret key.
    #[error("this is no secret key: it is one word that begins with `AGE-SECRET-KEY-1`, as it was told when the key was made")]
    NoSecretKey,
    /// It is here, so a backup of it is not put over it.
    #[error("the app `{0}` is installed here: a backup does not replace it; remove it with its data first, or restore it on another node")]
    InTheWay(String),
    /// The backup.
    #[error(transparent)]
    Backup(#[from] NotRead),
    /// Its blob.
    #[error(transparent)]
    Blob(#[from] BlobRefused),
    /// An app of one's own in it.
    #[error(transparent)]
    NotSaved(#[from] NotSaved),
    /// What can't be taken over of a container.
    #[error("`{container}` can't be adopted, and is left as it is: {}", .not.iter().map(|not| format!("`{}`: {}", not.what, not.why)).collect::<Vec<_>>().join("; "))]
    NotTaken {
        /// The container.
        container: String,
        /// What, and why.
        not: Vec<NotTaken>,
    },
    /// It has no room for a second copy of what it keeps.
    #[error("`{container}` is left as it is: its volumes are copied for the app, and {room}")]
    NoRoom {
        /// The container.
        container: String,
        /// How much is needed, how much is free, and the mend.
        room: Box<catalog::Refused>,
    },
    /// Nobody made it.
    #[error("there is no container `{0}` that was made by hand: `cloudy app by-hand` lists them")]
    NoContainer(String),
    /// It is an app already.
    #[error("`{container}` was adopted as `{app}` already, which is installed")]
    Adopted {
        /// The container.
        container: String,
        /// The app.
        app: String,
    },
    /// Only what an app has taken the place of is removed from here.
    #[error("`{0}` is no container that an app has taken the place of: adopt it first, or remove it with `docker rm`")]
    NotAdopted(String),
    /// It takes a container's place, or nothing.
    #[error(
        "`{app}` was read from the container `{container}`, which is still there: an owner adopts that (`cloudy app adopt`), or forgets what was saved"
    )]
    ToAdopt {
        /// The app.
        app: String,
        /// The container.
        container: String,
    },
    /// What the broker did not do, and why.
    #[error("{0}")]
    ByHand(String),
    /// A person's own.
    #[error("the data of apps of your own can't be moved: they say in their form or compose file where they keep them")]
    NotMoved,
    /// It is there.
    #[error("the data of `{0}` lie there already")]
    ThereAlready(String),
    /// The disk it shall go to.
    #[error("the disk is not ready: `cloudy disk list` shows how it is")]
    DiskNotReady,
    /// The job could not be recorded, so it is not begun.
    #[error("the job can't be recorded, so nothing was done: {0}")]
    NotKept(String),
}

impl Apps {
    /// Installs an app of the catalog.
    ///
    /// # Errors
    /// See [`Refused`]; nothing was done.
    pub fn install(self: &Arc<Self>, name: &str, wish: Wish) -> Result<JobView, Refused> {
        self.install_as(name, wish, false)
    }

    /// Likewise; one that is `attended` runs only while somebody says so.
    ///
    /// # Errors
    /// See [`Refused`]; nothing was done.
    pub fn install_as(self: &Arc<Self>, name: &str, wish: Wish, attended: bool) -> Result<JobView, Refused> {
        let what = self.found(name).ok_or_else(|| Refused::Unknown(name.to_owned()))?;
        if let What::Own(own) = &what
            && let Some(container) = &own.saved.by_hand
            && self.kept().adopted.get(container).is_none_or(|app| app != name)
        {
            return Err(Refused::ToAdopt { app: name.to_owned(), container: container.clone() });
        }
        let choices = Choices { ports: wish.ports, settings: wish.settings, attended };
        let target = self.target(name, what, choices)?;
        self.begin(name, Kind::Install, &Expected::anything(), move |installed| match installed {
            Some(_) => Err(Refused::Installed(name.to_owned())),
            None => Ok(Some(target).into()),
        })
    }

    /// Changes an app's settings, ports, or image. What is not said stays.
    ///
    /// # Errors
    /// See [`Refused`]; nothing was done.
    pub fn change(self: &Arc<Self>, name: &str, wish: Wish, expected: &Expected) -> Result<JobView, Refused> {
        let now = self.kept().apps.get(name).cloned().ok_or_else(|| Refused::NotInstalled(name.to_owned()))?;
        if !expected.holds(now.revision) {
            return Err(Refused::Changed(name.to_owned()));
        }
        let what = match (wish.update, now.what.clone()) {
            (true, what) => self.next(name, &what).ok_or_else(|| Refused::Unknown(name.to_owned()))?,
            (false, What::Own(own)) => What::Own(Box::new(Own { again: false, ..*own })),
            (false, what) => what,
        };
        let mut choices = now.choices.clone();
        let app = self.face(name, &what)?;
        // What a newer version has no more is forgotten.
        choices.ports.retain(|port, _| app.ports.contains_key(port));
        choices.settings.retain(|setting, _| app.settings.contains_key(setting));
        choices.ports.extend(wish.ports);
        choices.settings.extend(wish.settings);
        let target = self.target(name, what, choices)?.published(now.publication());
        // What is kept of it was read above, so nobody may have changed it since.
        self.begin(name, Kind::Change, &Expected::only(now.revision), |_| Ok(Some(target).into()))
    }

    /// Starts, stops or restarts an app.
    ///
    /// # Errors
    /// See [`Refused`]; nothing was done.
    pub fn act(self: &Arc<Self>, name: &str, action: Action) -> Result<JobView, Refused> {
        let kind = match action {
            Action::Start => Kind::Start,
            Action::Stop => Kind::Stop,
            Action::Restart => Kind::Restart,
        };
        self.begin(name, kind, &Expected::anything(), |_| Ok(None.into()))
    }

    /// Takes an app away.
    ///
    /// # Errors
    /// See [`Refused`]; nothing was done.
    pub fn remove(self: &Arc<Self>, name: &str, with_data: bool, expected: &Expected) -> Result<JobView, Refused> {
        self.begin(name, Kind::Remove { with_data }, expected, |_| Ok(None.into()))
    }

    /// Records a job and drives it, if the app has no other.
    pub(super) fn begin(
        self: &Arc<Self>,
        name: &str,
        kind: Kind,
        expected: &Expected,
        aim: impl FnOnce(Option<&Installed>) -> Result<Aim, Refused>,
    ) -> Result<JobView, Refused> {
        let starts = matches!(kind, Kind::Install | Kind::Start | Kind::Restart | Kind::Restore | Kind::Adopt);
        if let Some(why) = starts.then(|| self.barred(name)).flatten() {
            return Err(Refused::Barred { app: name.to_owned(), why });
        }
        let job: Job = self.alter(|kept| {
            if let Some(busy) = kept.busy(name) {
                return Err(Refused::Busy { id: busy.id, app: name.to_owned() });
            }
            let installed = kept.apps.get(name);
            if installed.is_none() && !matches!(kind, Kind::Install | Kind::Restore | Kind::Adopt) {
                return Err(Refused::NotInstalled(name.to_owned()));
            }
            if installed.is_some_and(|now| !expected.holds(now.revision)) {
                return Err(Refused::Changed(name.to_owned()));
            }
            let aim = Aim { asked: Asked::now(), ..aim(installed)? };
            if let Some(busy) = aim.adopting.as_ref().and_then(|adopting| kept.adopting(&adopting.container)) {
                return Err(Refused::Busy { id: busy.id, app: busy.app.clone() });
            }
            Ok(kept.begin(name, kind, aim))
        })?;
        self.drive(job.id);
        Ok(JobView::of(&job, None))
    }

    /// An app as it shall be: all its ports chosen, its settings held against what it takes.
    pub(super) fn target(&self, name: &str, what: What, choices: Choices) -> Result<Installed, Refused> {
        self.target_after(name, what, choices, &[])
    }

    /// Likewise, once some ports are free on which a program of this node listens now.
    pub(super) fn target_after(&self, name: &str, what: What, choices: Choices, freed: &[u16]) -> Result<Installed, Refused> {
        let face = self.face(name, &what)?;
        let held = self.held();
        let holder = |port, protocol| match freed.contains(&port) {
            true => ports::keeper(&held, name, port, protocol),
            false => ports::holder(&held, name, port, protocol),
        };
        let ports = ports::choose(&face.ports, &choices.ports, holder)?;
        let choices = Choices { ports, ..choices };
        // The broker composes it; what it would refuse is refused now.
        let instance = format!("{PROJECT_PREFIX}{name}");
        match &what {
            What::Entry(entry) => {
                let image = ImageName::new("127.0.0.1", &entry.index.to_string())?;
                compose::compose(&*self.catalog.facts(entry)?, &instance, &image, &choices)?;
            }
            What::Own(own) => {
                let project = own::read(&own.saved.definition)?;
                own::write(&project, name, &instance, &choices, &own.saved.grants).map_err(|error| match error {
                    own::NotRun::Choice(error) => Refused::Choice(error),
                    own::NotRun::NotGranted(why) => Refused::NotGranted(why),
                })?;
            }
        }
        Ok(Installed::new(what, choices))
    }

    /// The ports that are the node's own, or of apps.
    pub(super) fn held(&self) -> Vec<ports::Held> {
        let own_ports = self.own_ports.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let own =
            own_ports.iter().map(|(port, what)| ports::Held { port: *port, protocol: Protocol::Both, by: ports::By::Node(what.clone()) });
        let mut held: Vec<_> = own.collect();
        for (name, installed) in self.kept().with_ports() {
            let Ok(app) = self.face(name, &installed.what) else { continue };
            let its = |(port, number): (&String, &u16)| {
                let protocol = app.ports.get(port)?.protocol;
                Some(ports::Held { port: *number, protocol, by: ports::By::App(name.to_owned()) })
            };
            held.extend(installed.choices.ports.iter().filter_map(its));
        }
        held
    }
}
