//! Stops, restarts and takes away an app of the catalog through Docker's own API: whatever carries its project's label, whoever made it.

use super::Failure;
use super::container::PROJECT_LABEL;
use super::docker::{self, connect, failed, if_there, listed, remove_image};
use super::places;
use super::run::CHANGE;
use super::up::{remove, stop};
use crate::limits::{BROKER_TIMEOUT, STOPPED_LOOK_EVERY};
use crate::storage::Places;
use bollard::Docker;
use bollard::models::ImageSummary;
use bollard::query_parameters::{ListImagesOptions, ListNetworksOptions, RestartContainerOptions};
use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

async fn asked(socket: &Path) -> Result<Docker, Failure> {
    connect(socket, CHANGE.as_secs()).await.map_err(failed("Docker does not answer"))
}

async fn ids(docker: &Docker, project: &str) -> Result<Vec<String>, Failure> {
    Ok(listed(docker, project).await?.into_iter().filter_map(|container| container.id).collect())
}

/// Stops an app; what it keeps stays, and so does its container.
pub async fn stop_all(socket: &Path, project: &str) -> Result<(), Failure> {
    let docker = asked(socket).await?;
    for id in ids(&docker, project).await? {
        stop(&docker, &id).await?;
    }
    // What Docker lists comes a moment after what it does, and who asked for this looks there.
    let begun = Instant::now();
    while listed(&docker, project).await?.iter().any(|container| docker::run(container).is_up()) {
        if begun.elapsed() > BROKER_TIMEOUT {
            let error = format!("Docker has stopped the app, and still lists it as running after {} s", BROKER_TIMEOUT.as_secs());
            return Err(Failure { error, output: String::new() });
        }
        tokio::time::sleep(STOPPED_LOOK_EVERY).await;
    }
    Ok(())
}

/// Stops and starts it.
pub async fn restart_all(socket: &Path, project: &str, disks: &Places) -> Result<(), Failure> {
    let docker = asked(socket).await?;
    let ids = ids(&docker, project).await?;
    if ids.is_empty() {
        return Err(Failure { error: "there is no container of the app: start it".to_owned(), output: String::new() });
    }
    places::all_there(disks, &places::held(&docker, project).await?)?;
    for id in ids {
        docker.restart_container(&id, None::<RestartContainerOptions>).await.map_err(failed("restarting the app"))?;
    }
    Ok(())
}

/// Takes away containers, networks and images; what it keeps only `with_data`. `images` is what all names of its images begin with.
pub async fn down(socket: &Path, project: &str, images: &str, with_data: bool, disks: &Places) -> Result<(), Failure> {
    let docker = asked(socket).await?;
    if with_data {
        places::all_there(disks, &places::volumes_of(&docker, project).await?)?;
    }
    for id in ids(&docker, project).await? {
        remove(&docker, &id, with_data).await?;
    }
    let filters = Some(HashMap::from([("label".to_owned(), vec![format!("{PROJECT_LABEL}={project}")])]));
    let networks = docker.list_networks(Some(ListNetworksOptions { filters })).await;
    for id in networks.map_err(failed("listing networks"))?.into_iter().filter_map(|network| network.id) {
        if_there(docker.remove_network(&id).await).map_err(failed("removing the app's network"))?;
    }
    if with_data {
        for volume in places::volumes_of(&docker, project).await? {
            places::remove(&docker, disks, &volume).await?;
        }
    }
    let all = docker.list_images(None::<ListImagesOptions>).await.map_err(failed("listing images"))?;
    for image in of_app(&all, images) {
        remove_image(socket, image).await;
    }
    Ok(())
}

/// The app's images, also of versions that it ran before (pure).
fn of_app<'a>(all: &'a [ImageSummary], begin: &str) -> Vec<&'a str> {
    let names = all.iter().flat_map(|image| image.repo_digests.iter().chain(&image.repo_tags));
    names.map(String::as_str).filter(|name| name.starts_with(begin)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_images_that_go_are_the_app_s_alone() {
        let image = |digests: &[&str]| ImageSummary {
            repo_digests: digests.iter().map(|name| (*name).to_owned()).collect(),
            ..ImageSummary::default()
        };
        let all = [
            image(&["127.0.0.1:4748/web@sha256:1", "debian@sha256:1"]),
            image(&["127.0.0.1:4748/web@sha256:2"]),
            image(&["127.0.0.1:4748/web-two@sha256:3"]),
            image(&["elsewhere/127.0.0.1:4748/web@sha256:4"]),
        ];
        assert_eq!(of_app(&all, "127.0.0.1:4748/web@"), ["127.0.0.1:4748/web@sha256:1", "127.0.0.1:4748/web@sha256:2"]);
    }
}
