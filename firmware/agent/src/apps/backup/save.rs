//! Making a backup: what a job does while the app is stopped, and the backups that there are.

use super::super::drive::failed;
use super::super::record::Job;
use super::super::{Apps, JobKind, JobView, Refused};
use super::format::{Manifest, Part, write};
use super::{BackupWish, WAITING_PARTS, key};
use crate::blobs::{BlobView, Blobs, Refused as BlobRefused, Visibility, Wish as BlobWish};
use crate::broker::{self, Progress, Request, Volume};
use crate::host::now_secs;
use crate::limits::STREAM_IDLE;
use crate::net::{BlobSearch, Holder, Registry};
use crate::pieces;
use crate::revision::Expected;
use serde::Serialize;
use std::io::Error as IoError;
use std::sync::Arc;
use time::OffsetDateTime;
use tokio::sync::mpsc::{Sender, channel};

/// What the name of a backup ends with.
const ENDING: &str = ".cloudy-backup";

/// A backup that some node holds.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Backup))]
#[serde(rename_all = "kebab-case")]
pub struct BackupView {
    /// The blob.
    pub hash: String,
    /// Its name: the app's, and when it was made.
    pub name: String,
    /// How long it is.
    pub size_bytes: u64,
    /// Who holds it.
    pub holders: Vec<Holder>,
    /// Whether all of it is on this node.
    pub here: bool,
    /// Whether members of the microcloud may keep copies.
    pub shared: bool,
}

impl BackupView {
    fn of(blob: BlobView) -> Self {
        let here = blob.here.as_ref();
        Self {
            here: here.is_some_and(|here| here.complete),
            shared: here.is_none_or(|here| here.visibility != Visibility::Private),
            hash: blob.hash,
            name: blob.facts.name,
            size_bytes: blob.facts.size_bytes,
            holders: blob.holders.unwrap_or_default(),
        }
    }
}

/// Whether a file is a backup, as far as its name says.
fn is_backup(name: &str) -> bool {
    name.ends_with(ENDING)
}

/// Who may fetch one.
fn who_may(shared: bool) -> Visibility {
    if shared { Visibility::Community } else { Visibility::Private }
}

/// What a backup is called: in UTC, since nodes of one microcloud may be in several zones.
fn name_of(app: &str, made_secs: u64) -> String {
    let at = i64::try_from(made_secs).ok().and_then(|secs| OffsetDateTime::from_unix_timestamp(secs).ok());
    let at = at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (day, hour) = (at.date(), at.time());
    format!(
        "{app}-{:04}-{:02}-{:02}-{:02}{:02}{:02}{ENDING}",
        day.year(),
        u8::from(day.month()),
        day.day(),
        hour.hour(),
        hour.minute(),
        hour.second()
    )
}

impl Apps {
    /// The key that backups are for.
    pub fn backup_key(&self) -> &key::BackupKey {
        &self.backup_key
    }

    /// Begins to make a backup of an app.
    ///
    /// # Errors
    /// See [`Refused`]; nothing was done.
    pub fn back_up(self: &Arc<Self>, name: &str, wish: BackupWish) -> Result<JobView, Refused> {
        if self.kept().apps.contains_key(name) && self.backup_key.recipient().is_none() {
            return Err(Refused::NoBackupKey);
        }
        // What can be refused is refused before the app is stopped for it.
        self.blobs.may_add(who_may(wish.shared))?;
        self.begin(name, JobKind::Backup { shared: wish.shared }, &Expected::anything(), |_| Ok(None.into()))
    }

    /// A page of the backups that nodes hold, and the cursor of the next.
    ///
    /// # Errors
    /// It can't be understood, or the records can't be read.
    pub async fn backups(
        &self,
        blobs: &Blobs,
        registry: Option<&Registry>,
        search: BlobSearch,
    ) -> Result<(Vec<BackupView>, Option<String>), BlobRefused> {
        // The name is looked at where records are, so that a page holds backups alone.
        let text = format!("{} {ENDING}", search.text);
        let page = blobs.page(registry, BlobSearch { text, ..search }, true).await?;
        let views = page.blobs.into_iter().filter(|blob| is_backup(&blob.facts.name)).map(BackupView::of);
        Ok((views.collect(), page.next))
    }

    /// The step of a job that makes the backup: the app does not run. One that was made already stays.
    pub(in super::super) async fn save(self: &Arc<Self>, job: &Job) -> Result<(), broker::Error> {
        if job.backup.is_some() {
            return Ok(());
        }
        let (app, id) = (job.app.clone(), job.id);
        let recipient = self.backup_key.recipient().ok_or_else(|| failed(Refused::NoBackupKey))?;
        let installed = self.kept().apps.get(&app).cloned().ok_or_else(|| failed(Refused::NotInstalled(app.clone())))?;
        let volumes: Vec<Volume> = broker::ask(&self.broker, &Request::Volumes { app: app.clone() }, |_| ()).await?;
        let made_secs = now_secs();
        let manifest = Manifest::new(&app, made_secs, installed.what, installed.choices, volumes.clone());
        let (parts, mut coming) = channel(WAITING_PARTS);
        let feeding = tokio::spawn(Arc::clone(self).feed(id, app.clone(), volumes, parts));
        let sealed = pieces::written(move |to| {
            write(to, &recipient, &manifest, || coming.blocking_recv().ok_or_else(|| IoError::other("a volume was not read to its end")))
        });
        let shared = matches!(job.course.kind, JobKind::Backup { shared: true });
        let wish = BlobWish {
            name: name_of(&app, made_secs),
            media_type: "application/age".to_owned(),
            visibility: who_may(shared),
            pinned: true,
            app: None,
        };
        let added = self.blobs.add_slowly(wish, pieces::stream(sealed), STREAM_IDLE).await;
        // Why a volume could not be read says more than that the backup was not finished.
        feeding.await.map_err(failed)??;
        let made = added.map_err(failed)?.hash;
        let noted = self.in_background(move |apps| {
            apps.alter(|kept| {
                kept.has_made(id, &made);
                Ok(())
            })
        });
        noted.await.map_err(failed)?.map_err(failed)
    }

    /// Gives all volumes to who writes the backup. Where nobody takes them any more, that one says why.
    async fn feed(self: Arc<Self>, id: u64, app: String, volumes: Vec<Volume>, to: Sender<Part>) -> Result<(), broker::Error> {
        let mut done = 0;
        for volume in volumes {
            let mut pieces = broker::read(&self.broker, &Request::ReadVolume { app: app.clone(), volume: volume.clone() }).await?;
            if to.send(Part::Volume(volume)).await.is_err() {
                return Ok(());
            }
            while let Some(piece) = pieces.recv().await {
                let piece = piece.map_err(|error| match error.kind() {
                    std::io::ErrorKind::ConnectionAborted => {
                        broker::Error::Unreachable { socket: self.broker.clone(), why: error.to_string() }
                    }
                    _ => failed(error),
                })?;
                done += u64::try_from(piece.len()).unwrap_or_default();
                if to.send(Part::Bytes(piece)).await.is_err() {
                    return Ok(());
                }
                self.say(id, |live| live.progress = Some(Progress { done, total: 0 }));
            }
        }
        let _gone = to.send(Part::End).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_is_called_by_its_app_and_moment() {
        let name = name_of("wiki", 1_795_813_509);
        assert_eq!(name, "wiki-2026-11-27-210509.cloudy-backup");
        assert!(is_backup(&name) && !is_backup("wiki.tar"));
    }
}
