//! Keeps disks and apps together: what is plugged in is mounted, an app whose disk is gone stands still, and starts when it is there again.

use super::rules::{self, Act, Ask, Placed};
use super::{DiskAction, DiskState, NotDone, Storage};
use crate::apps::{Apps, JobPlace};
use crate::limits::DISKS_LOOK_EVERY;
use crate::state::App;
use crate::units::Action;
use contract::storage::DiskId;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

/// Does so for as long as the agent runs.
pub async fn keep(app: Arc<App>) {
    loop {
        app.storage().turn(app.apps()).await;
        tokio::time::sleep(DISKS_LOOK_EVERY).await;
    }
}

impl Storage {
    /// One look, and what follows from it.
    async fn turn(self: &Arc<Self>, apps: &Arc<Apps>) {
        let _one = self.one.lock().await;
        let storage = Arc::clone(self);
        let places = apps.places();
        let at = places.clone();
        let (view, mounted) = match tokio::task::spawn_blocking(move || storage.view(&at)).await {
            Ok(Ok(found)) => found,
            // All stays as it is.
            Ok(Err(error)) => return log::warn!("{error}"),
            Err(error) => return log::warn!("looking at the disks broke: {error}"),
        };
        let ready = |id: &DiskId| view.disks.iter().any(|disk| disk.id == Some(*id) && disk.state == DiskState::Ready);
        let away = places.iter().filter(|(_, id)| !ready(id));
        let wrong = |id: &DiskId| view.disks.iter().find(|disk| disk.id == Some(*id))?.wrong.clone();
        let why = |id: &DiskId| match wrong(id) {
            Some(wrong) => format!("its data lie on the disk `{}`: {wrong}", self.name(*id)),
            None => self.is_missing(*id),
        };
        apps.wait_for_disks(away.map(|(app, id)| (app.clone(), why(id))).collect());
        let placed: Vec<Placed> = if places.is_empty() { Vec::new() } else { apps.placed().await };
        let tried = {
            let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
            tried.retain(|app| places.get(app).is_some_and(&ready));
            tried.clone()
        };
        for id in apps.take_untidy() {
            self.tidy(id).await;
        }
        for act in rules::next(&view.disks, &mounted, &placed, &tried) {
            self.act_by_itself(apps, act).await;
        }
    }

    async fn act_by_itself(&self, apps: &Arc<Apps>, act: Act) {
        let done = match &act {
            Act::Ask(ask) => self.ask(ask).await.map_err(|error| error.to_string()),
            Act::Halt(app) => {
                log::warn!("the disk of `{app}` was unplugged: it stands still until it is there again");
                apps.halt(app).await.map_err(|error| error.to_string())
            }
            Act::Start(app) => {
                self.tried.lock().unwrap_or_else(PoisonError::into_inner).insert(app.clone());
                log::info!("the disk of `{app}` is there: it is started");
                let app = app.clone();
                let begun = apps.in_background(move |apps| apps.act(&app, Action::Start).map(drop)).await;
                begun.map_err(|error| error.to_string()).and_then(|begun| begun.map_err(|error| error.to_string()))
            }
        };
        if let Err(error) = done {
            log::warn!("{act:?}: {error}");
        }
    }

    /// What is said of an app whose disk is not there.
    pub fn is_missing(&self, id: DiskId) -> String {
        format!("its data lie on the disk `{}`, which is not there: plug it in", self.name(id))
    }

    /// Does something with a disk that was prepared, to the end, whoever hangs up meanwhile.
    ///
    /// # Errors
    /// See [`NotDone`].
    pub async fn act(self: &Arc<Self>, apps: &Arc<Apps>, id: DiskId, action: DiskAction) -> Result<(), NotDone> {
        let (storage, apps) = (Arc::clone(self), Arc::clone(apps));
        let done = tokio::spawn(async move {
            let _one = storage.one.lock().await;
            if action == DiskAction::Forget {
                return storage.forget_lost(&apps, id).await;
            }
            let view = storage.view(&BTreeMap::new())?.0;
            let disk = view.disks.into_iter().find(|disk| disk.id == Some(id) && !disk.disk.is_empty()).ok_or(NotDone::Absent)?;
            match (action, disk.state) {
                (DiskAction::Eject, _) => storage.eject(&apps, id).await,
                (DiskAction::Use, DiskState::Ready) => Ok(()),
                (DiskAction::Use, _) => {
                    storage.note(id, disk.name.as_deref().filter(|name| !name.is_empty()).unwrap_or("disk"))?;
                    storage.ask(&Ask::Mount(id)).await
                }
                (DiskAction::Repair, DiskState::Wrong) => storage.ask(&Ask::Repair(id)).await,
                (DiskAction::Forget, _) => Err(NotDone::State("the disk is plugged in".to_owned())),
                (DiskAction::Repair, DiskState::ReadOnly) => {
                    Err(NotDone::State("the disk is in its place: take it away first, then it can be repaired".to_owned()))
                }
                (DiskAction::Repair, _) => Err(NotDone::State("the disk is not known to be damaged".to_owned())),
            }
        });
        done.await.map_err(|error| NotDone::State(error.to_string()))?
    }

    /// What lay on it is lost, an owner says.
    async fn forget_lost(&self, apps: &Arc<Apps>, id: DiskId) -> Result<(), NotDone> {
        let there = self.view(&BTreeMap::new())?.0.disks.into_iter().any(|disk| disk.id == Some(id) && !disk.disk.is_empty());
        if there {
            let why = "the disk is plugged in: move what apps keep on it, or remove them with their data";
            return Err(NotDone::State(why.to_owned()));
        }
        if !self.known().disks.contains_key(&id) && !apps.places().values().any(|at| *at == id) {
            return Err(NotDone::Absent);
        }
        apps.give_up(id).await.map_err(|error| NotDone::State(error.to_string()))?;
        self.forget(id);
        Ok(())
    }

    /// Its apps stand still, all is written, and nobody uses it any more.
    async fn eject(&self, apps: &Arc<Apps>, id: DiskId) -> Result<(), NotDone> {
        let places: BTreeMap<String, DiskId> = apps.places().into_iter().filter(|(_, at)| *at == id).collect();
        if let Some(JobPlace { job, app }) = apps.job_at(id) {
            return Err(NotDone::State(format!("job {job} is at work on `{app}`: take the disk away when it is over")));
        }
        // Whatever comes of it, the next turn says which apps may start.
        apps.wait_for_disks(places.keys().map(|app| (app.clone(), "its disk is being taken away".to_owned())).collect());
        for app in places.keys() {
            self.tried.lock().unwrap_or_else(PoisonError::into_inner).remove(app);
            apps.halt(app).await.map_err(|error| NotDone::State(error.to_string()))?;
        }
        self.ask(&Ask::Eject(id)).await
    }
}
