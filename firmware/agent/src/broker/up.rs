//! Makes an app of the catalog run through Docker's own API: its network, its volumes, its one container. Each step looks at what is there
//! first, so that whatever cut it, doing it again ends the same.

use super::container::{Found, PROJECT_LABEL, Wanted, found};
use super::docker::{connect, failed, if_there, listed};
use super::{Failure, well};
use crate::broker::run::CHANGE;
use bollard::Docker;
use bollard::models::{ContainerCreateBody, NetworkInspect};
use bollard::query_parameters::{
    CreateContainerOptions, InspectNetworkOptions, RemoveContainerOptions, StartContainerOptions, StopContainerOptions,
};
use std::path::Path;
use std::time::Duration;

/// Whether an app's containers are started once they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// And waited for, so long at most.
    Within(Duration),
    Never,
}

/// Makes an app as it is wanted, of an image that is here, and starts it.
pub async fn up(socket: &Path, wanted: &Wanted, start: Start) -> Result<(), Failure> {
    let docker = connect(socket, CHANGE.as_secs()).await.map_err(failed("Docker does not answer"))?;
    let (containers, network) = tokio::join!(listed(&docker, &wanted.project), network(&docker, wanted));
    let network = network?;
    let Found { stays, go } = found(&containers?, wanted, network.as_deref());
    let container = if network.is_some() {
        make_container(&docker, wanted, stays, &go).await?
    } else {
        // Docker looks for the network when the container starts, so both are made at once.
        let (connected, made) = tokio::join!(make_network(&docker, wanted), make_container(&docker, wanted, stays, &go));
        connected?;
        match made? {
            // A Docker that looks for it sooner finds it now.
            None => make_container(&docker, wanted, None, &[]).await?,
            made => made,
        }
    };
    let container = container.ok_or_else(|| lacking(wanted))?;
    let Start::Within(wait) = start else { return Ok(()) };
    let started = docker.start_container(&container, None::<StartContainerOptions>).await;
    started.map_err(failed(&format!("starting `{}`", wanted.name)))?;
    well::wait(&docker, &container, &wanted.name, wait).await
}

/// The app's network, if it is there.
async fn network(docker: &Docker, wanted: &Wanted) -> Result<Option<String>, Failure> {
    let network = if_there(docker.inspect_network(&wanted.network.name, None::<InspectNetworkOptions>).await);
    match network.map_err(failed("looking for the app's network"))? {
        Some(network) => its_own(network, wanted).map(Some),
        None => Ok(None),
    }
}

/// A network that somebody made by hand may lead anywhere (pure).
fn its_own(network: NetworkInspect, wanted: &Wanted) -> Result<String, Failure> {
    let of = network.labels.as_ref().and_then(|labels| labels.get(PROJECT_LABEL));
    match network.id {
        Some(id) if of == Some(&wanted.project) => Ok(id),
        _ => {
            let name = &wanted.network.name;
            let error =
                format!("Docker's network `{name}` was not made for this app: `docker network rm {name}` makes room for the app's own");
            Err(Failure { error, output: String::new() })
        }
    }
}

async fn make_network(docker: &Docker, wanted: &Wanted) -> Result<(), Failure> {
    docker.create_network(wanted.network.clone()).await.map(drop).map_err(failed("making the app's network"))
}

fn lacking(wanted: &Wanted) -> Failure {
    let (name, image, network) = (&wanted.name, &wanted.image, &wanted.network.name);
    let error = format!("Docker made `{name}` not: it has no image `{image}` or no network `{network}`; somebody took it away meanwhile");
    Failure { error, output: String::new() }
}

/// The container that is as it shall be, or a new one where the others were; none where Docker lacks what it is made of. What the others
/// kept has names and stays.
async fn make_container(docker: &Docker, wanted: &Wanted, stays: Option<String>, go: &[String]) -> Result<Option<String>, Failure> {
    for id in go {
        remove(docker, id, false).await?;
    }
    if stays.is_some() {
        return Ok(stays);
    }
    for volume in &wanted.volumes {
        docker.create_volume(volume.clone()).await.map_err(failed("making a volume of the app's"))?;
    }
    let options = CreateContainerOptions { name: Some(wanted.name.clone()), ..CreateContainerOptions::default() };
    let body: ContainerCreateBody = wanted.body.clone();
    let made = if_there(docker.create_container(Some(options), body).await).map_err(failed(&format!("making `{}`", wanted.name)))?;
    for warning in made.iter().flat_map(|made| &made.warnings) {
        log::warn!("Docker says of `{}`: {warning}", wanted.name);
    }
    Ok(made.map(|made| made.id))
}

/// Stops a container within the time that it was made with, and removes it; one that is gone is no failure.
pub(super) async fn remove(docker: &Docker, id: &str, nameless_volumes: bool) -> Result<(), Failure> {
    stop(docker, id).await?;
    let options = RemoveContainerOptions { v: nameless_volumes, force: true, ..RemoveContainerOptions::default() };
    if_there(docker.remove_container(id, Some(options)).await).map(drop).map_err(failed("removing a container"))
}

/// Stops a container within the time that it was made with.
pub(super) async fn stop(docker: &Docker, id: &str) -> Result<(), Failure> {
    if_there(docker.stop_container(id, None::<StopContainerOptions>).await).map(drop).map_err(failed("stopping a container"))
}
