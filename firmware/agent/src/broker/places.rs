//! What apps keep on other disks than the node's own: the folders there, moving from one place to another, and taking away.
//!
//! A volume on a disk is Docker's own kind, bound to a folder of that disk. Docker makes no such folder, so without its disk a container
//! can't be started; what makes one looks first whether the disk is there.
//!
//! Architecture invariant: what an app keeps at one place is taken away only where all of it lies at another, was read there and compared.

use super::container::{PROJECT_LABEL, Place, VOLUME_LABEL, Wanted};
use super::docker::{connect, failed, if_there, listed};
use super::serve::{Broker, Teller};
use super::{Failure, Progress, Project, container, docker, project, up, volumes};
use crate::broker::run::CHANGE;
use crate::limits::{DOCKER_TIMEOUT_SECS, PROGRESS_EVERY};
use crate::storage::Places;
use bollard::Docker;
use bollard::models::{ContainerCreateBody, Volume};
use bollard::query_parameters::{CreateContainerOptions, ListVolumesOptions, RemoveVolumeOptions};
use contract::storage::{APPS, DiskId, GONE};
use futures_util::StreamExt;
use hyper::body::Bytes;
use rand::RngExt;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of a tar's first header: the volume itself, whose time of change differs.
const FIRST_HEADER: u64 = 512;
/// Zero bytes with which a tar ends.
const TAR_END: usize = 1024;

pub(super) fn refuse(error: impl Into<String>) -> Failure {
    Failure { error: error.into(), output: String::new() }
}

/// A place that is there now.
pub(super) fn place(disks: &Places, id: Option<DiskId>) -> Result<Option<Place>, Failure> {
    let Some(id) = id else { return Ok(None) };
    let folder = disks.usable(id).ok_or_else(|| refuse("the disk with the app's data is not there: plug it in"))?;
    let apps = folder.join(APPS);
    match is_folder(&apps) {
        true => Ok(Some(Place { id, apps })),
        false => {
            Err(refuse("the disk has no room for apps of this node: take it away, and have it prepared anew if nothing on it is needed"))
        }
    }
}

/// That all folders of an app are on the disk: one that is not would be another disk's, or somebody's copy.
pub(super) fn has_all(wanted: &Wanted) -> Result<(), Failure> {
    let lacking = wanted.volumes.iter().filter_map(device).find(|folder| !is_folder(folder));
    lacking.map_or(Ok(()), |folder| Err(refuse(format!("the app's data are not on this disk: there is no folder `{}`", folder.display()))))
}

/// Whether there is a folder, and no link to one elsewhere: whoever had the disk may have laid that.
fn is_folder(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

/// Makes the folders of volumes that an update of the app brings. Docker must know one of its volumes there, and each that it knows must
/// be whole: else this is another disk's copy, or Docker has forgotten all.
pub(super) async fn make_new(socket: &Path, wanted: &Wanted) -> Result<(), Failure> {
    if !wanted.volumes.iter().filter_map(device).any(|folder| !is_folder(&folder)) {
        return Ok(());
    }
    let docker = connect(socket, DOCKER_TIMEOUT_SECS).await.map_err(failed("Docker does not answer"))?;
    let known: BTreeSet<String> = volumes_of(&docker, &wanted.project).await?.into_iter().map(|volume| volume.name).collect();
    let is_known = |volume: &&bollard::models::VolumeCreateRequest| volume.name.as_ref().is_some_and(|name| known.contains(name));
    let (old, new): (Vec<_>, Vec<_>) = wanted.volumes.iter().partition(is_known);
    if old.is_empty() || !old.iter().filter_map(|volume| device(volume)).all(|folder| is_folder(&folder)) {
        return Ok(());
    }
    for folder in new.into_iter().filter_map(device) {
        let made = std::fs::DirBuilder::new().mode(0o700).create(&folder);
        made.map_err(|error| refuse(format!("making room on the disk, `{}`: {error}", folder.display())))?;
    }
    Ok(())
}

fn device(volume: &bollard::models::VolumeCreateRequest) -> Option<PathBuf> {
    volume.driver_opts.as_ref()?.get("device").map(PathBuf::from)
}

/// The volumes of a project, wherever they lie.
pub(super) async fn volumes_of(docker: &Docker, project: &str) -> Result<Vec<Volume>, Failure> {
    let filters = Some(HashMap::from([("label".to_owned(), vec![format!("{PROJECT_LABEL}={project}")])]));
    let listed = docker.list_volumes(Some(ListVolumesOptions { filters })).await.map_err(failed("listing volumes"))?;
    Ok(listed.volumes.unwrap_or_default())
}

/// The folder on a disk that a volume is bound to, and that disk; none where it is the node's own (pure).
fn bound(disks: &Places, volume: &Volume) -> Option<(DiskId, PathBuf)> {
    let folder = PathBuf::from(volume.options.get("device")?);
    let below = folder.strip_prefix(&disks.mounts).ok()?;
    let id = below.components().next()?.as_os_str().to_str()?.parse().ok()?;
    (folder.parent() == Some(disks.folder(id).join(APPS).as_path())).then_some((id, folder))
}

/// What is said where a disk is needed that is not there.
const NOT_THERE: &str =
    "the disk with the app's data is not there: plug it in; where it is lost for good, an owner says so (`cloudy disk forget`)";

/// That the disks of all these volumes are there, and the folders on them.
pub(super) fn all_there(disks: &Places, volumes: &[Volume]) -> Result<(), Failure> {
    let mut bound = volumes.iter().filter_map(|volume| bound(disks, volume));
    match bound.all(|(id, folder)| disks.usable(id).is_some() && folder.parent().is_some_and(is_folder) && is_folder(&folder)) {
        true => Ok(()),
        false => Err(refuse(NOT_THERE)),
    }
}

async fn names_held(docker: &Docker, project: &str) -> Result<BTreeSet<String>, Failure> {
    let mounts = listed(docker, project).await?.into_iter().flat_map(|container| container.mounts.unwrap_or_default());
    Ok(mounts.filter_map(|mount| mount.name).collect())
}

/// Those of a project's volumes that a container of it has: others are left from a place where its data were.
pub(super) async fn held(docker: &Docker, project: &str) -> Result<Vec<Volume>, Failure> {
    let held = names_held(docker, project).await?;
    Ok(volumes_of(docker, project).await?.into_iter().filter(|volume| held.contains(&volume.name)).collect())
}

/// Takes a volume away; on a disk its folder is put aside by one renaming, for the root unit to clear.
pub(super) async fn remove(docker: &Docker, disks: &Places, volume: &Volume) -> Result<(), Failure> {
    if let Some((id, folder)) = bound(disks, volume) {
        if disks.usable(id).is_none() {
            return Err(refuse(NOT_THERE));
        }
        aside(&folder)?;
    }
    let removed = docker.remove_volume(&volume.name, None::<RemoveVolumeOptions>).await;
    if_there(removed).map(drop).map_err(failed("removing what the app kept"))
}

fn aside(folder: &Path) -> Result<(), Failure> {
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let to = folder.with_file_name(format!("{GONE}{name}-{:016x}", rand::rng().random::<u64>()));
    match std::fs::rename(folder, &to) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(refuse(format!("putting `{}` aside: {error}", folder.display()))),
        _ => Ok(()),
    }
}

/// What went through a stream: its hash without the first header, how long it is, and how it ends.
#[derive(Clone, Default)]
struct Sum {
    hash: Sha256,
    bytes: u64,
    last: Vec<u8>,
}

impl Sum {
    fn add(&mut self, piece: &[u8]) {
        let skip = usize::try_from(FIRST_HEADER.saturating_sub(self.bytes)).unwrap_or_default().min(piece.len());
        self.hash.update(piece.get(skip..).unwrap_or_default());
        self.bytes += u64::try_from(piece.len()).unwrap_or_default();
        self.last.extend_from_slice(piece.get(piece.len().saturating_sub(TAR_END)..).unwrap_or_default());
        let over = self.last.len().saturating_sub(TAR_END);
        self.last.drain(..over);
    }

    /// A tar that came to its end.
    fn is_whole(&self) -> bool {
        self.last.len() == TAR_END && self.last.iter().all(|byte| *byte == 0)
    }

    fn same(&self, other: &Self) -> bool {
        self.bytes == other.bytes && self.hash.clone().finalize() == other.hash.clone().finalize()
    }
}

impl Broker {
    /// Copies what an app keeps to another place, and reads the copy. What an earlier try left there makes room first.
    pub(super) async fn shift(&self, asked: &Project, to: Option<DiskId>, teller: &mut Teller<'_>) -> Result<(), Failure> {
        if asked.place == to {
            return Err(refuse("the app's data lie there already"));
        }
        let disks = &self.options.disks;
        let (project, _) = project::checked(asked, self.options.registry)?;
        let (old_place, new_place) = (place(disks, asked.place)?, place(disks, to)?);
        let old = container::wanted(&project, &self.options.stores, old_place.as_ref());
        let new = container::wanted(&project, &self.options.stores, new_place.as_ref());
        has_all(&old)?;
        let turn = self.turns.of_app(&asked.app).await;
        let docker = connect(&self.options.docker_socket, CHANGE.as_secs()).await.map_err(failed("Docker does not answer"))?;
        if listed(&docker, &old.project).await?.iter().any(|container| docker::run(container).is_up()) {
            return Err(refuse("the app runs: what it writes meanwhile would be torn"));
        }
        self.have(&old.image, teller).await?;
        // As it was, and nothing of an earlier try.
        let machine = self.turns.of_machine(&turn).await;
        up::up(&self.options.docker_socket, &old, up::Start::Never).await?;
        let from = self.its_container(&docker, &old).await?;
        let into = self.make_room(&docker, &new).await?;
        drop(machine);
        let before = docker::stood_since(&docker, &from, &asked.app).await?;
        let mut done = 0;
        for target in project.volumes.values() {
            let copied = self.copy(&from, &into, target, &mut done, teller).await?;
            let mut read = Sum::default();
            let mut pieces = Box::pin(volumes::read(&self.options.docker_socket, &reached(&into, target)).await?);
            while let Some(piece) = pieces.next().await {
                read.add(&piece.map_err(refuse)?);
            }
            if !copied.is_whole() || !copied.same(&read) {
                return Err(refuse(format!(
                    "the copy of `{target}` is not what was there, so it is not used: is one of the disks broken?"
                )));
            }
        }
        // By Docker's own commands anybody could have started it meanwhile.
        if docker::stood_since(&docker, &from, &asked.app).await? != before {
            return Err(refuse("the app was started while it was copied, so the copy may be torn and is not used: try again"));
        }
        synced(new_place.as_ref())
    }

    async fn its_container(&self, docker: &Docker, wanted: &Wanted) -> Result<String, Failure> {
        let there = listed(docker, &wanted.project).await?;
        let id = there.into_iter().find_map(|container| container.id);
        id.ok_or_else(|| refuse("Docker made no container of the app"))
    }

    /// New volumes, and a container through which they are filled. It is never started, and goes when the app is made to run.
    async fn make_room(&self, docker: &Docker, new: &Wanted) -> Result<String, Failure> {
        let names: BTreeSet<&str> = new.volumes.iter().filter_map(|volume| volume.name.as_deref()).collect();
        for volume in volumes_of(docker, &new.project).await?.iter().filter(|volume| names.contains(volume.name.as_str())) {
            remove(docker, &self.options.disks, volume).await?;
        }
        for volume in &new.volumes {
            if let Some(folder) = device(volume) {
                aside(&folder)?;
                let made = std::fs::DirBuilder::new().mode(0o700).create(&folder);
                made.map_err(|error| refuse(format!("making room on the disk, `{}`: {error}", folder.display())))?;
            }
            docker.create_volume(volume.clone()).await.map_err(failed("making a volume of the app's"))?;
        }
        let options = CreateContainerOptions { name: Some(format!("{}-move-1", new.project)), ..CreateContainerOptions::default() };
        let mut body: ContainerCreateBody = new.body.clone();
        // Docker gives the folder to the user whom the image gives it to, since nothing is in it yet: the copy does not.
        body.labels.get_or_insert_default().insert(container::ONE_OFF_LABEL.to_owned(), "True".to_owned());
        let made = docker.create_container(Some(options), body).await.map_err(failed("making room for the app's data"))?;
        Ok(made.id)
    }

    /// Copies one volume, and says how far it is.
    async fn copy(&self, from: &str, into: &str, target: &str, done: &mut u64, teller: &mut Teller<'_>) -> Result<Sum, Failure> {
        let socket = &self.options.docker_socket;
        let sum = Arc::new(Mutex::new(Sum::default()));
        let counted = Arc::clone(&sum);
        let pieces = volumes::read(socket, &reached(from, target)).await?;
        let tar = pieces.map(move |piece| -> std::io::Result<Bytes> {
            let piece = piece.map_err(std::io::Error::other)?;
            counted.lock().unwrap_or_else(PoisonError::into_inner).add(&piece);
            Ok(piece)
        });
        let to = reached(into, target);
        let mut writing = std::pin::pin!(volumes::write(socket, &to, tar));
        loop {
            tokio::select! {
                written = &mut writing => break written?,
                () = tokio::time::sleep(PROGRESS_EVERY) => {
                    let now = { sum.lock().unwrap_or_else(PoisonError::into_inner).bytes };
                    teller.tell(Progress { done: *done + now, total: 0 }).await;
                }
            }
        }
        let sum = sum.lock().unwrap_or_else(PoisonError::into_inner).clone();
        *done += sum.bytes;
        Ok(sum)
    }

    /// Takes away what an app keeps at one place, where each volume has another at the place that stays, and no container has it.
    pub(super) async fn clear(&self, app: &str, from: Option<DiskId>, keep: Option<DiskId>) -> Result<(), Failure> {
        let name = project::named(app)?;
        let disks = &self.options.disks;
        place(disks, keep)?;
        let _turn = self.turns.of_both(app).await;
        let docker = connect(&self.options.docker_socket, DOCKER_TIMEOUT_SECS).await.map_err(failed("Docker does not answer"))?;
        let all = volumes_of(&docker, &name).await?;
        let at = |disk: Option<DiskId>| -> BTreeMap<&str, &Volume> {
            let there = all.iter().filter(|volume| bound(disks, volume).map(|(id, _)| id) == disk);
            there.filter_map(|volume| Some((volume.labels.get(VOLUME_LABEL)?.as_str(), volume))).collect()
        };
        let (goes, stays) = (at(from), at(keep));
        if from == keep || goes.keys().any(|volume| !stays.contains_key(volume)) {
            return Err(refuse("what the app keeps is not all at the other place, so nothing of it is taken away"));
        }
        let held = names_held(&docker, &name).await?;
        if goes.values().any(|volume| held.contains(&volume.name)) {
            return Err(refuse("a container of the app still has what would be taken away"));
        }
        for volume in goes.values() {
            remove(&docker, disks, volume).await?;
        }
        Ok(())
    }
}

impl Broker {
    /// Forgets what an app kept on a disk that is lost for good: Docker's volumes there, with the containers. No folder is touched.
    pub(super) async fn give_up(&self, app: &str, disk: DiskId) -> Result<(), Failure> {
        let name = project::named(app)?;
        if self.options.disks.usable(disk).is_some() {
            return Err(refuse("the disk is there: move the app's data back, or remove the app with them"));
        }
        let _turn = self.turns.of_both(app).await;
        let docker = connect(&self.options.docker_socket, DOCKER_TIMEOUT_SECS).await.map_err(failed("Docker does not answer"))?;
        let containers = listed(&docker, &name).await?;
        if containers.iter().any(|container| docker::run(container).is_up()) {
            return Err(refuse("the app runs: stop it first"));
        }
        for id in containers.into_iter().filter_map(|container| container.id) {
            up::remove(&docker, &id, false).await?;
        }
        for volume in volumes_of(&docker, &name).await? {
            if bound(&self.options.disks, &volume).is_some_and(|(id, _)| id == disk) {
                let removed = docker.remove_volume(&volume.name, None::<RemoveVolumeOptions>).await;
                if_there(removed).map(drop).map_err(failed("forgetting what the app kept"))?;
            }
        }
        Ok(())
    }
}

fn reached(container: &str, target: &str) -> volumes::Reached {
    let volume = super::Volume { service: String::new(), target: target.to_owned() };
    volumes::Reached { volume, container: container.to_owned() }
}

/// All of a place is on its disk.
fn synced(place: Option<&Place>) -> Result<(), Failure> {
    match place {
        Some(place) => {
            let top = File::open(&place.apps).and_then(|top| nix::unistd::syncfs(top).map_err(Into::into));
            top.map_err(|error| refuse(format!("the disk does not take what was written: {error}")))
        }
        None => {
            nix::unistd::sync();
            Ok(())
        }
    }
}
