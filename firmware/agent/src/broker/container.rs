//! A project → what Docker's API is told, and what becomes of the containers that are there (pure). Names and labels are compose's, so
//! that containers which compose made are found and taken over, and compose finds those that are made here.

use bollard::models::{
    ContainerCreateBody, ContainerSummary, ContainerSummaryStateEnum as State, EndpointSettings, HealthConfig, HostConfig, Mount,
    MountType, NetworkCreateRequest, NetworkingConfig, PortBinding, RestartPolicy, RestartPolicyNameEnum, VolumeCreateRequest,
};
use contract::apps::compose::{
    DROPPED, HEALTH_INTERVAL_SECONDS, HEALTH_RETRIES, HEALTH_START_INTERVAL_SECONDS, HEALTH_TIMEOUT_SECONDS, Healthcheck, PROJECT_PREFIX,
    Project, SECURITY, SERVICE, STORE_INSIDE,
};
use contract::oci::Digest;
use contract::storage::DiskId;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// The label by which compose says what belongs to which project.
pub const PROJECT_LABEL: &str = "com.docker.compose.project";
/// The label by which it says to which service of it.
pub const SERVICE_LABEL: &str = "com.docker.compose.service";
/// The label by which a container is known that is as it shall be.
const HASH_LABEL: &str = "com.docker.compose.config-hash";
/// The label that compose gives to what a person ran beside the services.
pub const ONE_OFF_LABEL: &str = "com.docker.compose.oneoff";
/// The label by which it says which volume of it.
pub const VOLUME_LABEL: &str = "com.docker.compose.volume";
/// The label of a project's network.
const NETWORK_LABEL: &str = "com.docker.compose.network";
/// The network that compose makes where a project names none.
const NETWORK: &str = "default";
const MIB: i64 = 1024 * 1024;
const NANOS: i64 = 1_000_000_000;

/// All that Docker is told of an app.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// The container's name.
    pub name: String,
    /// The project's.
    pub project: String,
    /// The image, by its digest.
    pub image: String,
    /// What the container is.
    pub body: ContainerCreateBody,
    /// The network that it has for itself.
    pub network: NetworkCreateRequest,
    /// What it keeps.
    pub volumes: Vec<VolumeCreateRequest>,
    /// Another one for all else that a container could be.
    pub hash: String,
}

/// A disk beside the node's own on which an app keeps its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The disk.
    pub id: DiskId,
    /// The folder on it in which each volume has one.
    pub apps: PathBuf,
}

impl Place {
    /// The folder of a volume.
    pub fn folder(&self, project: &str, volume: &str) -> PathBuf {
        self.apps.join(format!("{}.{volume}", project.strip_prefix(PROJECT_PREFIX).unwrap_or(project)))
    }
}

/// What Docker calls a volume: at each place it is another one.
fn volume_name(project: &str, volume: &str, place: Option<&Place>) -> String {
    place.map_or_else(|| format!("{project}_{volume}"), |place| format!("{project}_{volume}.{}", place.id))
}

fn labels(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// What is made of a project. `stores` is the folder in which each app that uses the store has one.
pub fn wanted(project: &Project, stores: &Path, place: Option<&Place>) -> Wanted {
    let (its, name) = (project.name.as_str(), format!("{}-{SERVICE}-1", project.name));
    let network = format!("{its}_{NETWORK}");
    let volumes = project.volumes.keys().map(|volume| VolumeCreateRequest {
        name: Some(volume_name(its, volume, place)),
        labels: Some(labels(&[(PROJECT_LABEL, its), (VOLUME_LABEL, volume)])),
        driver: place.map(|_| "local".to_owned()),
        driver_opts: place
            .map(|place| labels(&[("type", "none"), ("o", "bind"), ("device", &place.folder(its, volume).to_string_lossy())])),
        ..VolumeCreateRequest::default()
    });
    let mut body = body(project, &name, &network, stores, place);
    let hash = hash(&body);
    body.labels.get_or_insert_default().insert(HASH_LABEL.to_owned(), hash.clone());
    Wanted {
        project: its.to_owned(),
        image: project.image.clone(),
        volumes: volumes.collect(),
        network: NetworkCreateRequest {
            labels: Some(labels(&[(PROJECT_LABEL, its), (NETWORK_LABEL, NETWORK)])),
            name: network,
            driver: Some("bridge".to_owned()),
            ..NetworkCreateRequest::default()
        },
        name,
        body,
        hash,
    }
}

fn body(project: &Project, name: &str, network: &str, stores: &Path, place: Option<&Place>) -> ContainerCreateBody {
    let ports = || project.ports.iter().map(|port| (format!("{}/{}", port.container, port.protocol), port.node));
    let mut bindings: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for (port, node) in ports() {
        let binding = PortBinding { host_ip: None, host_port: Some(node.to_string()) };
        bindings.entry(port).or_default().get_or_insert_default().push(binding);
    }
    let mut exposed: Vec<String> = bindings.keys().cloned().collect();
    exposed.sort_unstable();
    let mount = |(volume, path): (&String, &String)| Mount {
        typ: Some(MountType::VOLUME),
        source: Some(volume_name(&project.name, volume, place)),
        target: Some(path.clone()),
        ..Mount::default()
    };
    // The one folder of the host: its path is the broker's, and the app's name.
    let store = |app: &String| Mount {
        typ: Some(MountType::BIND),
        source: Some(stores.join(app).to_string_lossy().into_owned()),
        target: Some(STORE_INSIDE.to_owned()),
        read_only: Some(true),
        ..Mount::default()
    };
    let mut all = labels(&[
        (PROJECT_LABEL, &project.name),
        (SERVICE_LABEL, SERVICE),
        (ONE_OFF_LABEL, "False"),
        ("com.docker.compose.container-number", "1"),
        ("com.docker.compose.depends_on", ""),
    ]);
    all.extend(project.labels.iter().map(|(name, value)| (name.clone(), value.clone())));
    let restart = if project.attended { RestartPolicyNameEnum::NO } else { RestartPolicyNameEnum::UNLESS_STOPPED };
    let host = HostConfig {
        memory: Some(i64::from(project.memory_mb) * MIB),
        nano_cpus: Some(i64::from(project.cpu_percent) * (NANOS / 100)),
        pids_limit: Some(project.processes.into()),
        shm_size: project.shared_memory_mb.map(|mb| i64::from(mb) * MIB),
        init: Some(true),
        readonly_rootfs: Some(true),
        restart_policy: Some(RestartPolicy { name: Some(restart), maximum_retry_count: None }),
        cap_drop: Some(vec![DROPPED.to_owned()]),
        cap_add: Some(project.capabilities.iter().map(|capability| capability.name().to_owned()).collect()),
        security_opt: Some(vec![SECURITY.to_owned()]),
        tmpfs: Some(project.scratch.iter().cloned().collect()),
        mounts: Some(project.volumes.iter().map(mount).chain(project.store.iter().map(store)).collect()),
        network_mode: Some(network.to_owned()),
        port_bindings: Some(bindings),
        ..HostConfig::default()
    };
    let endpoint = EndpointSettings { aliases: Some(vec![name.to_owned(), SERVICE.to_owned()]), ..EndpointSettings::default() };
    ContainerCreateBody {
        user: Some(format!("{0}:{0}", project.user)),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        exposed_ports: Some(exposed),
        env: Some(project.environment.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        healthcheck: project.health.as_ref().map(healthcheck),
        image: Some(project.image.clone()),
        labels: Some(all),
        stop_timeout: Some(project.stop_seconds.into()),
        host_config: Some(host),
        networking_config: Some(NetworkingConfig { endpoints_config: Some([(network.to_owned(), endpoint)].into()) }),
        ..ContainerCreateBody::default()
    }
}

fn healthcheck(health: &Healthcheck) -> HealthConfig {
    let nanos = |seconds: u32| Some(i64::from(seconds) * NANOS);
    HealthConfig {
        test: Some(health.test.clone()),
        interval: nanos(HEALTH_INTERVAL_SECONDS),
        timeout: nanos(HEALTH_TIMEOUT_SECONDS),
        retries: Some(HEALTH_RETRIES.into()),
        start_period: nanos(health.start_seconds),
        start_interval: nanos(HEALTH_START_INTERVAL_SECONDS),
    }
}

/// The hash of all that a container is, in whatever order a map gives it.
fn hash(body: &ContainerCreateBody) -> String {
    // JSON of a body can't fail; an empty text would only make a container anew.
    let value = serde_json::to_value(body).map(sorted).unwrap_or_default();
    Digest::of(value.to_string().as_bytes()).hex().to_owned()
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => map.into_iter().map(|(key, value)| (key, sorted(value))).collect::<BTreeMap<_, _>>().into_iter().collect(),
        Value::Array(all) => all.into_iter().map(sorted).collect(),
        other => other,
    }
}

/// What becomes of the containers of a project that are there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// This one is as it shall be.
    pub stays: Option<String>,
    /// These make room: they are of other settings, of another release, or were left by what was cut.
    pub go: Vec<String>,
}

/// Judges containers. `network` is the one that there is; a container of one that was removed could not start.
pub fn found(containers: &[ContainerSummary], wanted: &Wanted, network: Option<&str>) -> Found {
    let mut found = Found::default();
    for container in containers {
        let Some(id) = container.id.clone() else { continue };
        if found.stays.is_none() && is_as_wanted(container, wanted, network) {
            found.stays = Some(id);
        } else {
            found.go.push(id);
        }
    }
    found
}

fn is_as_wanted(container: &ContainerSummary, wanted: &Wanted, network: Option<&str>) -> bool {
    let label = |name: &str| container.labels.as_ref().and_then(|labels| labels.get(name)).map(String::as_str);
    let named = container.names.iter().flatten().any(|name| name.trim_start_matches('/') == wanted.name);
    let startable = matches!(container.state, Some(State::CREATED | State::RUNNING | State::RESTARTING | State::EXITED));
    let networks = container.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
    let its = networks.and_then(|networks| networks.get(&wanted.network.name)?.network_id.as_deref()).unwrap_or_default();
    // One that was never started knows its network by name only.
    let new = container.state == Some(State::CREATED) && its.is_empty();
    let connected = network.is_some_and(|network| new || its == network);
    let ours = label(SERVICE_LABEL) == Some(SERVICE) && label(ONE_OFF_LABEL) == Some("False");
    named && ours && startable && connected && label(HASH_LABEL) == Some(&wanted.hash)
}

#[cfg(test)]
#[path = "container_tests.rs"]
mod tests;
