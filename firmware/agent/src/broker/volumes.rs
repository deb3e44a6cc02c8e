//! Volumes of an app that does not run: which there are, what they hold, and filling them. Docker's archive API reads and writes them in
//! a container that is stopped or was never started, so that no program of the app has to be there for it.

use super::container::{PROJECT_LABEL, SERVICE_LABEL};
use super::docker::{connect, failed, listed};
use super::{Failure, Volume};
use crate::limits::{DOCKER_TIMEOUT_SECS, VOLUME_TIMEOUT};
use bollard::body_try_stream;
use bollard::models::{ContainerSummary, ContainerSummaryStateEnum as State};
use bollard::query_parameters::{DownloadFromContainerOptions, ListVolumesOptions, UploadToContainerOptions};
use futures_util::{Stream, StreamExt, TryStreamExt};
use hyper::body::Bytes;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

/// The label by which Docker marks a volume that a container was given without a name.
const NAMELESS_LABEL: &str = "com.docker.volume.anonymous";

/// A volume, and a container through which it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    pub volume: Volume,
    pub container: String,
}

fn refuse(error: String) -> Failure {
    Failure { error, output: String::new() }
}

/// The volumes of a project, none of whose containers may run: each once, whoever shares it.
pub async fn reached(socket: &Path, project: &str) -> Result<Vec<Reached>, Failure> {
    let docker = connect(socket, DOCKER_TIMEOUT_SECS).await.map_err(failed("Docker does not answer"))?;
    let containers = listed(&docker, project).await?;
    let of = |label: String| ListVolumesOptions { filters: Some(HashMap::from([("label".to_owned(), vec![label])])) };
    let mut its = BTreeSet::new();
    for label in [format!("{PROJECT_LABEL}={project}"), NAMELESS_LABEL.to_owned()] {
        let volumes = docker.list_volumes(Some(of(label))).await.map_err(failed("listing volumes"))?;
        its.extend(volumes.volumes.unwrap_or_default().into_iter().map(|volume| volume.name));
    }
    at_rest(&containers, &its)
}

/// What of these containers is kept in these volumes; nothing while one of them may write (pure).
fn at_rest(containers: &[ContainerSummary], its: &BTreeSet<String>) -> Result<Vec<Reached>, Failure> {
    if containers.is_empty() {
        return Err(refuse("there is no container of the app: start it once".to_owned()));
    }
    if containers.iter().any(|container| !matches!(container.state, Some(State::CREATED | State::EXITED | State::DEAD))) {
        return Err(refuse("the app runs: what it writes meanwhile would be torn".to_owned()));
    }
    let mut found: BTreeMap<String, Reached> = BTreeMap::new();
    for container in containers {
        let Some(id) = &container.id else { continue };
        let service = container.labels.as_ref().and_then(|labels| labels.get(SERVICE_LABEL)).cloned().unwrap_or_default();
        for mount in container.mounts.iter().flatten() {
            let (Some("volume"), Some(name), Some(target)) = (mount.typ.as_deref(), &mount.name, &mount.destination) else { continue };
            if !its.contains(name) || !mount.rw.unwrap_or_default() {
                continue;
            }
            // Docker's archive goes into what is mounted below too, be it a folder of the node.
            let within =
                |other: &str| other.strip_prefix(target.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/') && rest != "/");
            let below = container.mounts.iter().flatten().filter_map(|mount| mount.destination.as_deref()).find(|other| within(other));
            if let Some(below) = below {
                let (below, target) = (below.escape_default(), target.escape_default());
                return Err(refuse(format!(
                    "`{below}` lies inside of `{target}`: what an app keeps can't be told apart there, so it has no backup"
                )));
            }
            let reached = Reached { volume: Volume { service: service.clone(), target: target.clone() }, container: id.clone() };
            let first = found.entry(name.clone()).or_insert_with(|| reached.clone());
            if reached.volume < first.volume {
                *first = reached;
            }
        }
    }
    let mut all: Vec<Reached> = found.into_values().collect();
    all.sort_by(|one, other| one.volume.cmp(&other.volume));
    Ok(all)
}

/// The one that is meant.
pub async fn one(socket: &Path, project: &str, volume: &Volume) -> Result<Reached, Failure> {
    let all = reached(socket, project).await?;
    all.into_iter().find(|reached| reached.volume == *volume).ok_or_else(|| {
        let (service, target) = (volume.service.escape_default(), volume.target.escape_default());
        refuse(format!("the app keeps nothing at `{target}` of `{service}`"))
    })
}

/// What a volume holds, as a tar whose names begin at the volume.
pub async fn read(socket: &Path, from: &Reached) -> Result<impl Stream<Item = Result<Bytes, String>> + use<>, Failure> {
    let docker = connect(socket, VOLUME_TIMEOUT.as_secs()).await.map_err(failed("Docker does not answer"))?;
    let options = DownloadFromContainerOptions { path: format!("{}/.", from.volume.target.trim_end_matches('/')) };
    let mut stream = Box::pin(docker.download_from_container(&from.container, Some(options)));
    // A volume that can't be read is said before anything is given.
    let first = stream.next().await.transpose().map_err(failed("reading a volume"))?;
    let first = futures_util::stream::iter(first.map(Ok));
    Ok(first.chain(stream.map_err(|error| format!("reading a volume: {error}"))))
}

/// Fills one with what such a tar has.
pub async fn write(socket: &Path, to: &Reached, tar: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static) -> Result<(), Failure> {
    let docker = connect(socket, VOLUME_TIMEOUT.as_secs()).await.map_err(failed("Docker does not answer"))?;
    let options = UploadToContainerOptions { path: to.volume.target.clone(), ..UploadToContainerOptions::default() };
    docker.upload_to_container(&to.container, Some(options), body_try_stream(tar)).await.map_err(failed("filling a volume"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::MountPoint;

    fn container(id: &str, service: &str, state: State, mounts: &[(&str, &str, bool)]) -> ContainerSummary {
        let mount = |(name, target, rw): &(&str, &str, bool)| MountPoint {
            typ: Some("volume".to_owned()),
            name: Some((*name).to_owned()),
            destination: Some((*target).to_owned()),
            rw: Some(*rw),
            ..MountPoint::default()
        };
        ContainerSummary {
            id: Some(id.to_owned()),
            state: Some(state),
            labels: Some(HashMap::from([(SERVICE_LABEL.to_owned(), service.to_owned())])),
            mounts: Some(mounts.iter().map(mount).collect()),
            ..ContainerSummary::default()
        }
    }

    #[test]
    fn what_lies_inside_of_a_volume_is_never_taken_along() {
        let its: BTreeSet<String> = ["data".to_owned()].into();
        let mut app = container("1", "app", State::EXITED, &[("data", "/data", true), ("x", "/database", true)]);
        assert_eq!(at_rest(std::slice::from_ref(&app), &its).unwrap().len(), 1);
        let folder = MountPoint { typ: Some("bind".to_owned()), destination: Some("/data/music".to_owned()), ..MountPoint::default() };
        app.mounts.as_mut().unwrap().push(folder);
        assert!(at_rest(&[app], &its).unwrap_err().error.contains("lies inside"));
    }

    #[test]
    fn volumes_are_read_of_what_does_not_run_and_each_once() {
        let its: BTreeSet<String> = ["data", "more"].map(str::to_owned).into();
        let db = |state| container("1", "db", state, &[("data", "/var/lib/db", true), ("another's", "/x", true)]);
        let web = container("2", "web", State::EXITED, &[("data", "/db", false), ("more", "/srv", true), ("data", "/again", true)]);
        let found = at_rest(&[web.clone(), db(State::EXITED)], &its).unwrap();
        let said: Vec<_> = found.iter().map(|reached| (reached.volume.service.as_str(), reached.volume.target.as_str())).collect();
        assert_eq!(said, [("db", "/var/lib/db"), ("web", "/srv")]);
        for state in [State::RUNNING, State::RESTARTING, State::PAUSED, State::REMOVING] {
            let why = at_rest(&[web.clone(), db(state)], &its).unwrap_err().error;
            assert!(why.contains("the app runs"), "{state:?}: {why}");
        }
        assert!(at_rest(&[], &its).unwrap_err().error.contains("no container"));
    }
}
