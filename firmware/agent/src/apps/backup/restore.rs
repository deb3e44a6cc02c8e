//! Restoring a backup: what is refused before anything is done, and what a job does.

use super::super::drive::failed;
use super::super::own::{NotSaved, Saved};
use super::super::record::{Aim, Job, Own, What};
use super::super::{Apps, JobKind, JobView, Refused};
use super::format::{Manifest, NotRead, Opener, Part, open, read};
use super::key::secret;
use super::{RestoreWish, WAITING_PARTS};
use crate::broker::{self, Progress, Request};
use crate::revision::Expected;
use contract::apps::compose::Choices;
use contract::apps::is_name;
use hyper::body::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::mpsc::{Sender, channel};
use tokio::task::JoinHandle;

/// Where a job restores from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Source {
    /// The blob.
    pub hash: String,
    /// What opens it.
    pub opener: Opener,
}

/// A volume that is being filled.
struct Filling {
    to: Sender<std::io::Result<Bytes>>,
    task: JoinHandle<Result<(), broker::Error>>,
}

impl Filling {
    /// All of it was given, or what went wrong.
    async fn end(self) -> Result<(), broker::Error> {
        drop(self.to);
        self.task.await.map_err(failed)?
    }
}

impl Apps {
    /// Begins to restore a backup that is on this node.
    ///
    /// # Errors
    /// See [`Refused`]; nothing was done.
    pub async fn restore(self: &Arc<Self>, hash: &str, wish: RestoreWish) -> Result<JobView, Refused> {
        let identity = secret(&wish.secret).ok_or(Refused::NoSecretKey)?;
        let coming = self.blobs.incoming(hash).await?;
        let hash = hash.to_owned();
        let begun = self.in_background(move |apps| {
            let (opener, manifest) = open(coming, &identity)?;
            apps.begin_restoring(Source { hash, opener }, manifest)
        });
        begun.await.map_err(|error| Refused::NotKept(error.to_string()))?
    }

    fn begin_restoring(self: &Arc<Self>, source: Source, manifest: Manifest) -> Result<JobView, Refused> {
        let name = manifest.app;
        if !is_name(&name) {
            return Err(NotRead::Damaged("the app in it has no name".to_owned()).into());
        }
        if self.kept().apps.contains_key(&name) {
            return Err(Refused::InTheWay(name));
        }
        let what = self.restored(&name, manifest.what)?;
        let face = self.face(&name, &what)?;
        // Whoever lent it is not asked about what is restored.
        let mut choices = Choices { attended: false, ..manifest.choices };
        // What this node's version of it has no more is left.
        choices.ports.retain(|port, _| face.ports.contains_key(port));
        choices.settings.retain(|setting, _| face.settings.contains_key(setting));
        let anywhere = Choices { ports: Default::default(), ..choices.clone() };
        let target = match self.target(&name, what.clone(), choices) {
            // Its ports belong to another here.
            Err(Refused::Port(_)) => self.target(&name, what, anywhere),
            target => target,
        }?;
        self.begin(&name, JobKind::Restore, &Expected::anything(), |installed| match installed {
            Some(_) => Err(Refused::InTheWay(name.clone())),
            None => Ok(Aim { target: Some(target), source: Some(source), ..Aim::default() }),
        })
    }

    /// What is made to run: of the catalog, the version that this node has; of a person's own, as it was saved, with what an owner granted
    /// it here. No backup grants anything: whoever knows the public half of a key can make one.
    fn restored(&self, name: &str, what: What) -> Result<What, Refused> {
        match what {
            What::Entry(_) => self.catalog.get(name).map(What::Entry).ok_or_else(|| Refused::Unknown(name.to_owned())),
            What::Own(own) => {
                let definition = own.saved.definition;
                if self.own.get(name).is_some_and(|saved| saved.definition != definition) {
                    return Err(NotSaved::There(name.to_owned()).into());
                }
                if self.catalog.get(name).is_some() {
                    return Err(NotSaved::Taken(name.to_owned()).into());
                }
                self.own.save(name, definition.clone())?;
                let saved = self.own.get(name).unwrap_or(Saved { definition, ..Saved::default() });
                Ok(What::Own(Box::new(Own { saved, again: false })))
            }
        }
    }

    /// The step of a job that looks at all of a backup before anything is made of it.
    pub(in super::super) async fn check(self: &Arc<Self>, job: &Job) -> Result<(), broker::Error> {
        let source = job.source.clone().ok_or_else(|| failed("nothing is known of the backup any more"))?;
        let coming = self.blobs.incoming(&source.hash).await.map_err(failed)?;
        let id = job.id;
        let looked = self.in_background(move |apps| {
            let mut done = 0;
            read(coming, &source.opener, |part| {
                apps.have_read(id, &mut done, &part);
                Ok(())
            })
        });
        looked.await.map_err(failed)?.map(drop).map_err(failed)
    }

    fn have_read(&self, id: u64, done: &mut u64, part: &Part) {
        if let Part::Bytes(bytes) = part {
            *done += u64::try_from(bytes.len()).unwrap_or_default();
            self.say(id, |live| live.progress = Some(Progress { done: *done, total: 0 }));
        }
    }

    /// The step of a job that fills the app's volumes; it was created and does not run.
    pub(in super::super) async fn fill(self: &Arc<Self>, job: &Job) -> Result<(), broker::Error> {
        let source = job.source.clone().ok_or_else(|| failed("nothing is known of the backup any more"))?;
        let coming = self.blobs.incoming(&source.hash).await.map_err(failed)?;
        let (parts, mut taken) = channel(WAITING_PARTS);
        let reading = tokio::task::spawn_blocking(move || {
            read(coming, &source.opener, |part| parts.blocking_send(part).map_err(|_| NotRead::Stopped))
        });
        let (mut now, mut done): (Option<Filling>, u64) = (None, 0);
        while let Some(part) = taken.recv().await {
            self.have_read(job.id, &mut done, &part);
            match (part, &now) {
                (Part::Volume(volume), _) => {
                    if let Some(before) = now.take() {
                        before.end().await?;
                    }
                    let (to, pieces) = channel(WAITING_PARTS);
                    let request = Request::WriteVolume { app: job.app.clone(), volume };
                    let broker = self.broker.clone();
                    now = Some(Filling { to, task: tokio::spawn(async move { broker::write(&broker, &request, pieces).await }) });
                }
                (Part::Bytes(bytes), Some(filling)) => {
                    if filling.to.send(Ok(bytes)).await.is_err() {
                        break;
                    }
                }
                (Part::Bytes(_) | Part::End, _) => {}
            }
        }
        drop(taken);
        let read = reading.await.map_err(failed)?;
        let wrong = match read {
            Ok(_) | Err(NotRead::Stopped) => None,
            Err(error) => Some(error),
        };
        if let Some(last) = now {
            if wrong.is_some() {
                let _ended = last.to.send(Err(std::io::Error::other("the backup ends here"))).await;
            }
            let ended = last.end().await;
            if wrong.is_none() {
                ended?;
            }
        }
        wrong.map_or(Ok(()), |error| Err(failed(error)))
    }
}
