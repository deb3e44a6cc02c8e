//! Docker through bollard: how it is, how apps are, what they say, and pulling by digest.

use super::container::{PROJECT_LABEL, SERVICE_LABEL};
use super::run::plain;
use super::serve::Teller;
use super::{Failure, Progress, ProjectState, Projects, Run};
use crate::limits::{DOCKER_TIMEOUT_SECS, FAILURE_OUTPUT_BYTES, LOG_MAX_BYTES, PROGRESS_EVERY, PULL_TIMEOUT};
use crate::status;
use bollard::errors::Error;
use bollard::models::{ContainerSummary, ContainerSummaryStateEnum as State, CreateImageInfo};
use bollard::query_parameters::{
    CreateImageOptions, InspectContainerOptions, ListContainersOptions, ListVolumesOptions, LogsOptions, RemoveImageOptions,
};
use bollard::{API_DEFAULT_VERSION, ClientVersion, Docker};
use contract::apps::compose::PROJECT_PREFIX;
use futures_util::StreamExt;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The version of the API that is spoken: the first that knows how often health is looked at while an app starts, and the oldest that
/// Docker of today understands.
const API: ClientVersion = ClientVersion { major_version: 1, minor_version: 44 };
/// What Docker at a socket understands, until something fails: it may be another Docker by then.
static UNDERSTOOD: Mutex<BTreeMap<PathBuf, ClientVersion>> = Mutex::new(BTreeMap::new());

fn understood() -> MutexGuard<'static, BTreeMap<PathBuf, ClientVersion>> {
    UNDERSTOOD.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn failed(doing: &str) -> impl FnOnce(Error) -> Failure + use<'_> {
    move |error| {
        understood().clear();
        Failure { error: format!("{doing}: {error}"), output: String::new() }
    }
}

/// The answer, and nothing where Docker has no such thing.
pub(super) fn if_there<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) async fn connect(socket: &Path, seconds: u64) -> Result<Docker, Error> {
    let at = |version: &ClientVersion| Docker::connect_with_unix(&socket.to_string_lossy(), seconds, version);
    let known = understood().get(socket).copied();
    if let Some(version) = known {
        return at(&version);
    }
    let mut docker = at(&API)?;
    if docker.ping().await.is_err() {
        // To say its version, Docker starts several programs: only one that is older is asked for it.
        docker = at(API_DEFAULT_VERSION)?.negotiate_version().await?;
    }
    understood().insert(socket.to_owned(), docker.client_version());
    Ok(docker)
}

/// Docker's version and counts.
pub async fn status(socket: &Path) -> status::Docker {
    match ask(socket).await {
        Ok(docker) => docker,
        Err(error) => status::Docker::Silent { reason: failed(&format!("Docker at `{}`", socket.display()))(error).error },
    }
}

async fn ask(socket: &Path) -> Result<status::Docker, Error> {
    let info = connect(socket, DOCKER_TIMEOUT_SECS).await?.info().await?;
    let count = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    Ok(status::Docker::Running {
        version: info.server_version.unwrap_or_default(),
        containers_running: count(info.containers_running),
        containers: count(info.containers),
        images: count(info.images),
    })
}

/// How all apps are.
pub async fn projects(socket: &Path) -> Result<Projects, Failure> {
    let docker = connect(socket, DOCKER_TIMEOUT_SECS).await.map_err(failed("Docker does not answer"))?;
    let filters = Some(HashMap::from([("label".to_owned(), vec![PROJECT_LABEL.to_owned()])]));
    let options = ListContainersOptions { all: true, filters: filters.clone(), ..ListContainersOptions::default() };
    let both = tokio::join!(docker.list_containers(Some(options)), docker.list_volumes(Some(ListVolumesOptions { filters })));
    let containers = both.0.map_err(failed("listing containers"))?;
    let volumes = both.1.map_err(failed("listing volumes"))?;
    let mut projects = Projects::new();
    for container in containers {
        if let Some(app) = app_of(container.labels.as_ref()) {
            let state = run(&container);
            projects
                .entry(app)
                .and_modify(|project: &mut ProjectState| project.run = project.run.with(state))
                .or_insert(ProjectState { run: state, data: false });
        }
    }
    for volume in volumes.volumes.unwrap_or_default() {
        if let Some(app) = app_of(Some(&volume.labels)) {
            projects.entry(app).or_insert(ProjectState { run: Run::Absent, data: true }).data = true;
        }
    }
    Ok(projects)
}

/// The app that something belongs to by its labels.
pub(super) fn app_of(labels: Option<&HashMap<String, String>>) -> Option<String> {
    labels?.get(PROJECT_LABEL)?.strip_prefix(PROJECT_PREFIX).map(str::to_owned)
}

/// How a container is by what Docker lists.
pub(super) fn run(container: &ContainerSummary) -> Run {
    // The list says whether it is well only in this text: "Up 2 minutes (unhealthy)".
    let said = container.status.as_deref().unwrap_or_default();
    match container.state {
        Some(State::RUNNING) if said.contains("(unhealthy)") => Run::Ill,
        Some(State::RUNNING) if said.contains("(health: starting)") => Run::Starting,
        Some(State::RUNNING) => Run::Running,
        Some(State::RESTARTING) => Run::Failing,
        _ => Run::Stopped,
    }
}

/// The containers of a project, whether they run or not.
pub(super) async fn listed(docker: &Docker, project: &str) -> Result<Vec<ContainerSummary>, Failure> {
    let filters = Some(HashMap::from([("label".to_owned(), vec![format!("{PROJECT_LABEL}={project}")])]));
    let options = ListContainersOptions { all: true, filters, ..ListContainersOptions::default() };
    docker.list_containers(Some(options)).await.map_err(failed("listing containers"))
}

/// The last lines of a project's containers, each under its name where there are several.
pub async fn logs(socket: &Path, project: &str, lines: u32) -> Result<String, Failure> {
    let docker = connect(socket, DOCKER_TIMEOUT_SECS).await.map_err(failed("Docker does not answer"))?;
    let mut containers = listed(&docker, project).await?;
    containers.sort_by(|one, other| one.names.cmp(&other.names));
    let mut text = String::new();
    for container in &containers {
        let Some(id) = &container.id else { continue };
        if containers.len() > 1 {
            let service = container.labels.as_ref().and_then(|labels| labels.get(SERVICE_LABEL));
            text.push_str(&format!("{}:\n", service.map_or(id.as_str(), String::as_str)));
        }
        text.push_str(&container_logs(&docker, id, lines, LOG_MAX_BYTES / containers.len().max(1)).await?);
    }
    match containers.is_empty() {
        true => Err(Failure { error: "there is no container of it".to_owned(), output: String::new() }),
        false => Ok(plain(&text)),
    }
}

async fn container_logs(docker: &Docker, container: &str, lines: u32, most: usize) -> Result<String, Failure> {
    let options = LogsOptions { stdout: true, stderr: true, tail: lines.to_string(), ..LogsOptions::default() };
    let mut stream = std::pin::pin!(docker.logs(container, Some(options)));
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(piece.map_err(failed("reading what the app says"))?.as_ref());
        let over = bytes.len().saturating_sub(most);
        bytes.drain(..over);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The id of an image that Docker has.
pub async fn held(socket: &Path, image: &str) -> Result<Option<String>, Failure> {
    let docker = connect(socket, DOCKER_TIMEOUT_SECS).await.map_err(failed("Docker does not answer"))?;
    let found = if_there(docker.inspect_image(image).await).map_err(failed("looking for the image"))?;
    Ok(found.map(|image| image.id.unwrap_or_default()))
}

/// When a container that stands still was started last, as Docker writes it. One that runs is refused.
pub(super) async fn stood_since(docker: &Docker, id: &str, name: &str) -> Result<Option<String>, Failure> {
    let found = docker.inspect_container(id, None::<InspectContainerOptions>).await;
    let state = found.map_err(failed(&format!("looking at `{name}`")))?.state.unwrap_or_default();
    if state.running == Some(true) {
        return Err(Failure { error: format!("`{name}` runs: what it writes meanwhile would be torn"), output: String::new() });
    }
    Ok(state.started_at)
}

/// Removes an image that nothing uses; one that something uses stays.
pub async fn remove_image(socket: &Path, image: &str) {
    let removed = match connect(socket, DOCKER_TIMEOUT_SECS).await {
        Ok(docker) => docker.remove_image(image, None::<RemoveImageOptions>, None).await.map(drop),
        Err(error) => Err(error),
    };
    if let Err(error) = removed {
        log::info!("the image `{image}` stays: {error}");
    }
}

/// Pulls an image, and tells how far it is.
pub async fn pull(socket: &Path, image: &str, teller: &mut Teller<'_>) -> Result<(), Failure> {
    let docker = connect(socket, PULL_TIMEOUT.as_secs()).await.map_err(failed("Docker does not answer"))?;
    let options = CreateImageOptions { from_image: Some(image.to_owned()), ..CreateImageOptions::default() };
    let mut stream = std::pin::pin!(docker.create_image(Some(options), None, None));
    let (mut layers, mut told) = (BTreeMap::new(), None::<Instant>);
    while let Some(info) = stream.next().await {
        let info = info.map_err(failed("pulling the image"))?;
        if let Some(detail) = &info.error_detail {
            let said: String = plain(detail.message.as_deref().unwrap_or_default()).chars().take(FAILURE_OUTPUT_BYTES).collect();
            return Err(Failure { error: format!("pulling the image: {said}"), output: String::new() });
        }
        note(&mut layers, &info);
        if told.is_none_or(|told| told.elapsed() >= PROGRESS_EVERY) {
            told = Some(Instant::now());
            teller.tell(sum(&layers)).await;
        }
    }
    teller.tell(sum(&layers)).await;
    Ok(())
}

/// What a line of Docker's says of a layer.
fn note(layers: &mut BTreeMap<String, Progress>, info: &CreateImageInfo) {
    let (Some(id), Some(status)) = (&info.id, &info.status) else { return };
    let number = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok()).unwrap_or_default();
    let layer = layers.entry(id.clone()).or_default();
    match (status.as_str(), &info.progress_detail) {
        ("Downloading", Some(detail)) => *layer = Progress { done: number(detail.current), total: number(detail.total) },
        ("Download complete" | "Pull complete", _) => layer.done = layer.total,
        _ => {}
    }
}

fn sum(layers: &BTreeMap<String, Progress>) -> Progress {
    layers.values().fold(Progress::default(), |sum, layer| Progress {
        done: sum.done.saturating_add(layer.done),
        total: sum.total.saturating_add(layer.total),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::ProgressDetail;

    #[test]
    fn a_container_s_state_is_told_from_what_docker_lists() {
        let container =
            |state, status: &str| ContainerSummary { state: Some(state), status: Some(status.to_owned()), ..Default::default() };
        for (state, status, expected) in [
            (State::RUNNING, "Up 2 minutes (healthy)", Run::Running),
            (State::RUNNING, "Up 2 minutes", Run::Running),
            (State::RUNNING, "Up 2 minutes (unhealthy)", Run::Ill),
            (State::RUNNING, "Up 1 second (health: starting)", Run::Starting),
            (State::RESTARTING, "Restarting (1) 2 seconds ago", Run::Failing),
            (State::EXITED, "Exited (0) 3 hours ago", Run::Stopped),
            (State::CREATED, "Created", Run::Stopped),
        ] {
            assert_eq!(run(&container(state, status)), expected, "{status}");
        }
        // Of several containers the worst counts; where some are meant to run and others don't, it is not well.
        for (one, other, both) in [
            (Run::Running, Run::Running, Run::Running),
            (Run::Running, Run::Starting, Run::Starting),
            (Run::Running, Run::Stopped, Run::Ill),
            (Run::Failing, Run::Stopped, Run::Failing),
            (Run::Stopped, Run::Stopped, Run::Stopped),
        ] {
            assert_eq!((one.with(other), other.with(one)), (both, both));
        }
        let labels = |project: &str| HashMap::from([(PROJECT_LABEL.to_owned(), project.to_owned())]);
        assert_eq!(app_of(Some(&labels("cloudy-broker"))).as_deref(), Some("broker"));
        assert_eq!(app_of(Some(&labels("wiki"))), None);
    }

    #[test]
    fn a_pull_s_progress_is_the_sum_of_its_layers() {
        let line = |id: &str, status: &str, current, total| CreateImageInfo {
            id: Some(id.to_owned()),
            status: Some(status.to_owned()),
            progress_detail: Some(ProgressDetail { current, total }),
            error_detail: None,
        };
        let mut layers = BTreeMap::new();
        for info in [
            line("a", "Pulling fs layer", None, None),
            line("a", "Downloading", Some(5), Some(10)),
            line("b", "Downloading", Some(1), Some(30)),
            line("a", "Download complete", None, None),
            line("b", "Extracting", Some(30), Some(30)),
        ] {
            note(&mut layers, &info);
        }
        assert_eq!(sum(&layers), Progress { done: 11, total: 40 });
    }
}
