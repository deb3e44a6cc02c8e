//! Containers that were made by hand become apps: looking, holding the old one still, copying what it keeps, putting it back, and taking
//! away what an owner wants no more. The old container and its volumes are only read here, until an owner says otherwise.

use super::by_hand::{self, ByHand, Thing, is_id, is_name, runs};
use super::container::{PROJECT_LABEL, SERVICE_LABEL};
use super::docker::{app_of, connect, failed, if_there, listed, stood_since};
use super::serve::Broker;
use super::taken::{Around, Taken, Was, taken};
use super::turns::BY_HAND;
use super::up::{remove, stop};
use super::volumes::{self, Reached};
use super::{Failure, Room, Volume, project, room};
use crate::limits::{BROKER_TIMEOUT, DOCKER_TIMEOUT_SECS, STOPPED_LOOK_EVERY, VOLUME_TIMEOUT};
use bollard::Docker;
use bollard::models::{
    ContainerCreateBody, ContainerUpdateBody, HostConfig, Mount, MountType, MountVolumeOptions, RestartPolicy, RestartPolicyNameEnum,
    VolumeCreateRequest,
};
use bollard::query_parameters::{
    CreateContainerOptions, InspectContainerOptions, ListContainersOptions, ListImagesOptions, ListVolumesOptions, RemoveContainerOptions,
    RemoveImageOptions, RemoveVolumeOptions, StartContainerOptions,
};
use futures_util::StreamExt;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::time::Instant;
use tokio::time::timeout;

/// What the container is called through which volumes are filled; it is never started.
const MOVER: &str = "moving";

fn refuse(error: impl Into<String>) -> Failure {
    Failure { error: error.into(), output: String::new() }
}

async fn asked(socket: &Path, seconds: u64) -> Result<Docker, Failure> {
    connect(socket, seconds).await.map_err(failed("Docker does not answer"))
}

async fn all_containers(docker: &Docker) -> Result<Vec<bollard::models::ContainerSummary>, Failure> {
    let options = ListContainersOptions { all: true, ..ListContainersOptions::default() };
    docker.list_containers(Some(options)).await.map_err(failed("listing containers"))
}

/// What was made by hand. `registry` is what the names of the catalog's images begin with.
pub async fn list(socket: &Path, registry: &str) -> Result<ByHand, Failure> {
    let docker = asked(socket, DOCKER_TIMEOUT_SECS).await?;
    let (containers, images, volumes) = tokio::join!(
        all_containers(&docker),
        docker.list_images(None::<ListImagesOptions>),
        docker.list_volumes(None::<ListVolumesOptions>)
    );
    let images = images.map_err(failed("listing images"))?;
    let volumes = volumes.map_err(failed("listing volumes"))?.volumes.unwrap_or_default();
    Ok(by_hand::by_hand(&containers?, &images, &volumes, registry))
}

/// What a container of a person's would be as an app: by its number, its name, or how its number begins.
/// Nothing where there is none.
pub async fn look(socket: &Path, container: &str) -> Result<Option<Taken>, Failure> {
    let docker = asked(socket, DOCKER_TIMEOUT_SECS).await?;
    let Some(mut found) = find(&docker, container).await? else { return Ok(None) };
    let wrote = match docker.container_changes(&found.id).await {
        Ok(changes) => {
            let mounts: Vec<&str> = found.form.volumes.iter().map(|volume| volume.path.as_str()).collect();
            by_hand::outside(changes.into_iter().flatten().map(|change| change.path).collect(), &mounts)
        }
        Err(error) => Some(format!(
            "Docker does not say what it wrote outside of its volumes, which stays in the old container alone: {}",
            by_hand::shown(&error.to_string())
        )),
    };
    found.differs.extend(wrote);
    Ok(Some(found))
}

async fn look_at(docker: &Docker, container: &str) -> Result<Taken, Failure> {
    let gone = || refuse(format!("the container `{}` is not there any more", by_hand::shown(container)));
    find(docker, container).await?.ok_or_else(gone)
}

async fn find(docker: &Docker, container: &str) -> Result<Option<Taken>, Failure> {
    if !is_name(container) {
        return Ok(None);
    }
    let found = if_there(docker.inspect_container(container, None::<InspectContainerOptions>).await);
    let Some(found) = found.map_err(failed("looking at the container"))? else { return Ok(None) };
    let labels = found.config.as_ref().and_then(|config| config.labels.as_ref());
    let (Some(id), Some(image)) = (found.id.clone().filter(|id| is_id(id)), found.image.clone()) else { return Ok(None) };
    if app_of(labels).is_some() {
        return Ok(None);
    }
    let image = docker.inspect_image(&image).await.map_err(failed("looking at the container's image"))?;
    let around = around(docker, &id, found.name.as_deref().unwrap_or_default().trim_start_matches('/')).await?;
    let json = |value: serde_json::Result<serde_json::Value>| value.map_err(|error| refuse(format!("reading what Docker says: {error}")));
    Ok(Some(taken(&json(serde_json::to_value(found))?, &json(serde_json::to_value(image))?, &around)))
}

/// What is known of volumes, beside that container.
async fn around(docker: &Docker, id: &str, its: &str) -> Result<Around, Failure> {
    let volumes = docker.list_volumes(None::<ListVolumesOptions>).await.map_err(failed("listing volumes"))?.volumes.unwrap_or_default();
    let plain =
        volumes.into_iter().filter(|volume| volume.driver == "local" && volume.options.is_empty()).map(|volume| volume.name).collect();
    let mut shared: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut joined = BTreeSet::new();
    for other in all_containers(docker).await?.iter().filter(|other| other.id.as_deref() != Some(id)) {
        let name = other.names.iter().flatten().next().map(|name| name.trim_start_matches('/')).unwrap_or_default();
        let network =
            other.host_config.as_ref().and_then(|host| host.network_mode.as_deref()).and_then(|mode| mode.strip_prefix("container:"));
        if network.is_some_and(|of| of == id || of == its) {
            joined.insert(name.to_owned());
        }
        for volume in other.mounts.iter().flatten().filter_map(|mount| mount.name.clone()) {
            shared.entry(volume).or_default().insert(name.to_owned());
        }
    }
    let runtime = docker.info().await.ok().and_then(|info| info.default_runtime).unwrap_or_default();
    Ok(Around { plain, shared, runtime, joined })
}

/// A container of a person's, all of which can be taken over.
async fn whole(docker: &Docker, container: &str) -> Result<Taken, Failure> {
    let taken = look_at(docker, container).await?;
    match taken.not.first() {
        None => Ok(taken),
        Some(not) => Err(refuse(format!("`{}` can't be adopted any more: `{}`: {}", taken.name, not.what, not.why))),
    }
}

/// What a copy of all that a container keeps takes; nothing where that is not known.
pub async fn its_room(socket: &Path, container: &str) -> Result<Option<Room>, Failure> {
    let docker = asked(socket, DOCKER_TIMEOUT_SECS).await?;
    let taken = whole(&docker, container).await?;
    Ok(room::room(socket, &docker, &taken.carried).await)
}

/// Has Docker start a container by itself as it is said, and no other way.
async fn set_restart(docker: &Docker, id: &str, restart: &str, retries: i64) -> Result<(), Failure> {
    let (name, retries) = match restart {
        "always" => (RestartPolicyNameEnum::ALWAYS, None),
        "unless-stopped" => (RestartPolicyNameEnum::UNLESS_STOPPED, None),
        "on-failure" => (RestartPolicyNameEnum::ON_FAILURE, Some(retries)),
        _ => (RestartPolicyNameEnum::NO, None),
    };
    let policy = RestartPolicy { name: Some(name), maximum_retry_count: retries };
    let body = ContainerUpdateBody { restart_policy: Some(policy), ..ContainerUpdateBody::default() };
    docker.update_container(id, body).await.map_err(failed("setting when the container is started"))
}

/// Stops a container that is taken over, and tells Docker not to start it again when the node restarts. (Of one that runs, Docker would set
/// its limits anew for that.)
pub async fn hold(socket: &Path, container: &str) -> Result<(), Failure> {
    let docker = asked(socket, super::run::CHANGE.as_secs()).await?;
    let taken = whole(&docker, container).await?;
    stop(&docker, &taken.id).await?;
    let begun = Instant::now();
    while look_at(&docker, &taken.id).await?.was.up {
        if begun.elapsed() > BROKER_TIMEOUT {
            return Err(refuse(format!("Docker has stopped `{}`, and still says that it runs", taken.name)));
        }
        tokio::time::sleep(STOPPED_LOOK_EVERY).await;
    }
    set_restart(&docker, &taken.id, "no", 0).await
}

/// Puts a container back as it was before it was held.
pub async fn release(socket: &Path, container: &str, was: &Was) -> Result<(), Failure> {
    let docker = asked(socket, super::run::CHANGE.as_secs()).await?;
    let taken = look_at(&docker, container).await?;
    set_restart(&docker, &taken.id, &was.restart, was.retries).await?;
    if was.up {
        docker
            .start_container(&taken.id, None::<StartContainerOptions>)
            .await
            .map_err(failed(&format!("starting `{}` again", taken.name)))?;
    }
    Ok(())
}

/// Copies what a container that stands still keeps into volumes of the app `project`, which does not run. Doing it again copies it again.
pub async fn move_in(socket: &Path, container: &str, project: &str) -> Result<(), Failure> {
    let docker = asked(socket, VOLUME_TIMEOUT.as_secs()).await?;
    let taken = whole(&docker, container).await?;
    let before = stood_since(&docker, &taken.id, &taken.name).await?;
    let mover = format!("{project}-{MOVER}");
    for its in listed(&docker, project).await? {
        let left = its.names.iter().flatten().any(|name| name.trim_start_matches('/') == mover);
        match its.id {
            Some(id) if left && !runs(its.state) => remove(&docker, &id, true).await?,
            _ => return Err(refuse("the app is here already: what it keeps is not written over")),
        }
    }
    if taken.carried.is_empty() {
        return Ok(());
    }
    for carried in &taken.carried {
        make_volume(&docker, project, &carried.to).await?;
    }
    let id = make_mover(&docker, &taken, project, mover).await?;
    let copied = copy(socket, &taken, &id).await;
    remove(&docker, &id, true).await?;
    copied?;
    // It stood still before: somebody with Docker's own commands may have started it since, and stopped it again.
    if stood_since(&docker, &taken.id, &taken.name).await? != before {
        return Err(refuse(format!("`{}` was started while it was copied, so the copy may be torn: stop it, and try again", taken.name)));
    }
    Ok(())
}

/// A volume with compose's labels, which then takes it for its own.
async fn make_volume(docker: &Docker, project: &str, volume: &str) -> Result<(), Failure> {
    let name = format!("{project}_{volume}");
    let labels = [(PROJECT_LABEL, project), ("com.docker.compose.volume", volume)].map(|(key, value)| (key.to_owned(), value.to_owned()));
    let wanted = VolumeCreateRequest { name: Some(name.clone()), labels: Some(HashMap::from(labels)), ..VolumeCreateRequest::default() };
    let made = docker.create_volume(wanted).await.map_err(failed("making a volume of the app's"))?;
    if made.labels.get(PROJECT_LABEL).map(String::as_str) != Some(project) {
        return Err(refuse(format!(
            "Docker's volume `{name}` was not made for this app, and is not written over: adopt it under another name"
        )));
    }
    Ok(())
}

/// A container that is never started, through which the app's volumes are filled: of what the image has at their places, nothing goes in.
async fn make_mover(docker: &Docker, taken: &Taken, project: &str, name: String) -> Result<String, Failure> {
    let mount = |carried: &super::taken::Carried| Mount {
        typ: Some(MountType::VOLUME),
        source: Some(format!("{project}_{}", carried.to)),
        target: Some(carried.target.clone()),
        volume_options: Some(MountVolumeOptions { no_copy: Some(true), ..MountVolumeOptions::default() }),
        ..Mount::default()
    };
    let labels = [(PROJECT_LABEL, project), (SERVICE_LABEL, MOVER)].map(|(key, value)| (key.to_owned(), value.to_owned()));
    let host = HostConfig {
        mounts: Some(taken.carried.iter().map(mount).collect()),
        network_mode: Some("none".to_owned()),
        ..HostConfig::default()
    };
    let body = ContainerCreateBody {
        image: Some(taken.form.image.clone()),
        entrypoint: Some(vec![MOVER.to_owned()]),
        labels: Some(HashMap::from(labels)),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    };
    let options = CreateContainerOptions { name: Some(name), ..CreateContainerOptions::default() };
    Ok(docker.create_container(Some(options), body).await.map_err(failed("making what volumes are filled through"))?.id)
}

async fn copy(socket: &Path, taken: &Taken, to: &str) -> Result<(), Failure> {
    for carried in &taken.carried {
        let reached = |container: &str| Reached {
            volume: Volume { service: String::new(), target: carried.target.clone() },
            container: container.to_owned(),
        };
        let pieces = volumes::read(socket, &reached(&taken.id)).await?;
        volumes::write(socket, &reached(to), pieces.map(|piece| piece.map_err(std::io::Error::other))).await?;
    }
    Ok(())
}

/// Takes away something that was made by hand and that nothing uses. Docker is never asked to force it.
pub async fn clear(socket: &Path, registry: &str, thing: &Thing) -> Result<(), Failure> {
    let (docker, all) = (asked(socket, super::run::CHANGE.as_secs()).await?, list(socket, registry).await?);
    let gone = |what: &str| refuse(format!("there is no {what} of that name that was made by hand: `cloudy app by-hand` lists them"));
    let used = |by: &[String]| refuse(format!("it is used by {}: remove that first", by.join(", ")));
    match thing {
        Thing::Container(id) => {
            let found = all.containers.iter().find(|container| container.id == *id).ok_or_else(|| gone("container"))?;
            if !["exited", "created", "dead"].contains(&found.state.as_str()) {
                return Err(refuse(format!("`{}` is {}: stop it first", found.name, found.state)));
            }
            // Volumes without a name stay too: what they hold may be all that there is.
            let options = RemoveContainerOptions { v: false, force: false, ..RemoveContainerOptions::default() };
            if_there(docker.remove_container(id, Some(options)).await).map(drop).map_err(failed("removing the container"))
        }
        Thing::Image(id) => {
            let found = all.images.iter().find(|image| image.id == *id || image.tags.contains(id)).ok_or_else(|| gone("image"))?;
            if !found.used_by.is_empty() {
                return Err(used(&found.used_by));
            }
            let names = if found.tags.is_empty() { vec![found.id.clone()] } else { found.tags.clone() };
            for name in names {
                let removed = docker.remove_image(&name, None::<RemoveImageOptions>, None).await;
                if_there(removed).map_err(failed(&format!("removing the image `{name}`")))?;
            }
            Ok(())
        }
        Thing::Volume(name) => {
            let found = all.volumes.iter().find(|volume| volume.name == *name).ok_or_else(|| gone("volume"))?;
            if !found.used_by.is_empty() {
                return Err(used(&found.used_by));
            }
            if_there(docker.remove_volume(name, None::<RemoveVolumeOptions>).await).map(drop).map_err(failed("removing the volume"))
        }
    }
}

impl Broker {
    fn catalog_s(&self) -> String {
        format!("{}/", self.options.registry)
    }

    pub(super) async fn by_hand(&self) -> Result<ByHand, Failure> {
        list(&self.options.docker_socket, &self.catalog_s()).await
    }

    pub(super) async fn hold(&self, container: &str) -> Result<(), Failure> {
        let _turn = self.turns.of_both(BY_HAND).await;
        hold(&self.options.docker_socket, container).await
    }

    pub(super) async fn release(&self, container: &str, was: &Was) -> Result<(), Failure> {
        let _turn = self.turns.of_both(BY_HAND).await;
        release(&self.options.docker_socket, container, was).await
    }

    pub(super) async fn move_in(&self, container: &str, app: &str) -> Result<(), Failure> {
        let project = project::named(app)?;
        // What is read and where it goes stay as they are; apps beside them wait for nothing.
        let _turns = (self.turns.of_app(app).await, self.turns.of_app(BY_HAND).await);
        let moved = timeout(VOLUME_TIMEOUT, move_in(&self.options.docker_socket, container, &project)).await;
        moved.unwrap_or_else(|_| Err(refuse(format!("what it keeps is not copied after {} s", VOLUME_TIMEOUT.as_secs()))))
    }

    pub(super) async fn clear_by_hand(&self, thing: &Thing) -> Result<(), Failure> {
        let _turn = self.turns.of_both(BY_HAND).await;
        clear(&self.options.docker_socket, &self.catalog_s(), thing).await
    }
}
