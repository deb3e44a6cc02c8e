//! What Docker is told of an app: no privilege whatever is said, the same for the same, and which containers stay.

use super::*;
use crate::apps::catalog::tests::FACTS_TEXT;
use crate::broker::project::checked;
use bollard::models::ContainerSummaryNetworkSettings;
use contract::apps::compose::{Choices, RESTART, RESTART_ATTENDED, STORES_DIR};
use proptest::prelude::*;
use serde_json::json;

fn project(facts: &str, password: &str, port: u16) -> Option<Project> {
    chosen(facts, password, port, false)
}

fn chosen(facts: &str, password: &str, port: u16, attended: bool) -> Option<Project> {
    let settings = [("password".to_owned(), password.to_owned())].into();
    let choices = Choices { ports: [("mqtt".to_owned(), port)].into(), settings, attended };
    let asked =
        crate::broker::Project { app: "broker".to_owned(), facts: facts.to_owned(), digest: Digest::of(b"index"), choices, place: None };
    checked(&asked, "127.0.0.1:4748".parse().unwrap()).ok().map(|(project, _)| project)
}

fn good() -> Wanted {
    made(&project(FACTS_TEXT, "se$cret", 1883).unwrap())
}

/// As on a node.
fn made(project: &Project) -> Wanted {
    wanted(project, Path::new(STORES_DIR), None)
}

/// What a container may be told: nothing here gives a privilege or a place of the host.
const KEYS: [&str; 11] = [
    "User",
    "AttachStdout",
    "AttachStderr",
    "ExposedPorts",
    "Env",
    "Healthcheck",
    "Image",
    "Labels",
    "StopTimeout",
    "HostConfig",
    "NetworkingConfig",
];
/// And of the host.
const HOST_KEYS: [&str; 14] = [
    "Memory",
    "NanoCpus",
    "PidsLimit",
    "ShmSize",
    "Init",
    "ReadonlyRootfs",
    "RestartPolicy",
    "CapDrop",
    "CapAdd",
    "SecurityOpt",
    "Tmpfs",
    "Mounts",
    "NetworkMode",
    "PortBindings",
];

/// Holds what Docker is told against the policy, as it goes over the wire.
fn harmless(wanted: &Wanted) {
    let body = serde_json::to_value(&wanted.body).unwrap();
    let host = &body["HostConfig"];
    for (value, known) in [(&body, &KEYS[..]), (host, &HOST_KEYS[..])] {
        for key in value.as_object().unwrap().keys() {
            assert!(known.contains(&key.as_str()), "{key}");
        }
    }
    assert_eq!(body["User"], "20001:20001");
    assert!(body["Image"].as_str().unwrap().starts_with("127.0.0.1:4748/broker@sha256:"));
    assert_eq!((&host["ReadonlyRootfs"], &host["Init"]), (&true.into(), &true.into()));
    assert_eq!((&host["CapDrop"], &host["SecurityOpt"]), (&serde_json::json!(["ALL"]), &serde_json::json!(["no-new-privileges:true"])));
    assert_eq!(host["NetworkMode"], "cloudy-broker_default");
    assert_eq!(wanted.network.name, "cloudy-broker_default");
    assert_eq!(body["NetworkingConfig"]["EndpointsConfig"].as_object().unwrap().keys().collect::<Vec<_>>(), ["cloudy-broker_default"]);
    for limit in ["Memory", "NanoCpus", "PidsLimit"] {
        assert!(host[limit].as_i64().unwrap() > 0, "{limit}");
    }
    for mount in host["Mounts"].as_array().unwrap() {
        if mount["Type"] == "bind" {
            let store = json!({ "Type": "bind", "Source": "/var/lib/cloudy-stores/broker", "Target": "/run/cloudy", "ReadOnly": true });
            assert_eq!(*mount, store);
            continue;
        }
        assert_eq!(mount.as_object().unwrap().keys().collect::<Vec<_>>(), ["Source", "Target", "Type"]);
        let source = mount["Source"].as_str().unwrap();
        assert_eq!(mount["Type"], "volume");
        assert!(source.strip_prefix("cloudy-broker_").is_some_and(contract::apps::is_name), "{source}");
    }
    for how in host["Tmpfs"].as_object().unwrap().values() {
        assert!(how.as_str().unwrap().ends_with(",noexec,nosuid,nodev"), "{how}");
    }
    for volume in &wanted.volumes {
        assert!(volume.driver.is_none() && volume.driver_opts.is_none() && volume.name.as_ref().unwrap().starts_with("cloudy-broker_"));
    }
    assert!(wanted.network.options.is_none() && wanted.network.driver.as_deref() == Some("bridge"));
}

#[test]
fn an_app_is_told_as_compose_would() {
    let it = good();
    harmless(&it);
    assert_eq!(it.name, "cloudy-broker-app-1");
    assert_eq!(it.body.env.as_deref(), Some(&["PASSWORD=se$cret".to_owned()][..]));
    let labels = it.body.labels.clone().unwrap();
    for (name, value) in
        [(PROJECT_LABEL, "cloudy-broker"), (SERVICE_LABEL, "app"), (ONE_OFF_LABEL, "False"), (HASH_LABEL, it.hash.as_str())]
    {
        assert_eq!(labels[name], value);
    }
    let volume = &it.volumes[0];
    assert_eq!((volume.name.as_deref(), it.volumes.len()), (Some("cloudy-broker_data"), 1));
    assert_eq!(volume.labels.as_ref().unwrap()["com.docker.compose.volume"], "data");
    assert_eq!(it.network.labels.as_ref().unwrap()[NETWORK_LABEL], "default");
    let host = it.body.host_config.unwrap();
    assert_eq!(host.restart_policy.unwrap().name.unwrap().to_string(), RESTART);
    // What runs only while somebody says so is never started by Docker.
    let attended = made(&chosen(FACTS_TEXT, "x", 1883, true).unwrap()).body.host_config.unwrap();
    assert_eq!(attended.restart_policy.unwrap().name.unwrap().to_string(), RESTART_ATTENDED);
    assert_eq!(host.port_bindings.unwrap()["1883/tcp"].as_ref().unwrap()[0].host_port.as_deref(), Some("1883"));
}

#[test]
fn an_app_that_uses_the_store_gets_its_own_folder_to_read_and_another_hash() {
    let facts = format!("store = true\n{}", FACTS_TEXT.trim_start());
    let it = made(&project(&facts, "x", 1883).unwrap());
    harmless(&it);
    let mounts = it.body.host_config.clone().unwrap().mounts.unwrap();
    assert_eq!(mounts.iter().filter(|mount| mount.typ == Some(MountType::BIND)).count(), 1);
    let without = made(&project(FACTS_TEXT, "x", 1883).unwrap());
    assert_ne!(it.hash, without.hash);
    assert!(without.body.host_config.unwrap().mounts.unwrap().iter().all(|mount| mount.typ == Some(MountType::VOLUME)));
}

#[test]
fn the_hash_is_the_same_for_the_same_and_another_for_each_change() {
    let hashes: std::collections::BTreeSet<String> = (0..20).map(|_| good().hash).collect();
    assert_eq!(hashes.len(), 1, "maps have no order of their own");
    for (facts, password, port) in [
        (FACTS_TEXT.to_owned(), "other", 1883),
        (FACTS_TEXT.to_owned(), "se$cret", 1884),
        (FACTS_TEXT.replace("memory-mb = 64", "memory-mb = 65"), "se$cret", 1883),
        (FACTS_TEXT.replace("/var/lib/x", "/var/lib/y"), "se$cret", 1883),
    ] {
        assert_ne!(made(&project(&facts, password, port).unwrap()).hash, good().hash);
    }
}

fn container(id: &str, wanted: &Wanted, state: State, network: &str) -> ContainerSummary {
    let endpoint = EndpointSettings { network_id: Some(network.to_owned()), ..EndpointSettings::default() };
    let networks = Some([(wanted.network.name.clone(), endpoint)].into());
    ContainerSummary {
        id: Some(id.to_owned()),
        names: Some(vec![format!("/{}", wanted.name)]),
        labels: wanted.body.labels.clone(),
        state: Some(state),
        network_settings: Some(ContainerSummaryNetworkSettings { networks }),
        ..ContainerSummary::default()
    }
}

#[test]
fn what_is_as_it_shall_be_stays_and_all_else_makes_room() {
    let it = good();
    let stays = |container: ContainerSummary| found(&[container], &it, Some("net")).stays.is_some();
    for state in [State::CREATED, State::RUNNING, State::RESTARTING, State::EXITED] {
        assert!(stays(container("1", &it, state, "net")), "{state:?}");
        assert_eq!(stays(container("1", &it, state, "")), state == State::CREATED, "one that never ran knows no network's id: {state:?}");
    }
    // Docker could not start these.
    assert!(!stays(container("1", &it, State::DEAD, "net")) && !stays(container("1", &it, State::PAUSED, "net")));
    assert!(!stays(container("1", &it, State::EXITED, "gone")));
    assert!(found(&[container("1", &it, State::EXITED, "net")], &it, None).stays.is_none());
    let with = |label: &str, value: &str| {
        let mut other = container("1", &it, State::RUNNING, "net");
        other.labels.as_mut().unwrap().insert(label.to_owned(), value.to_owned());
        other
    };
    assert!(!stays(with(HASH_LABEL, "compose's own")) && !stays(with(SERVICE_LABEL, "db")) && !stays(with(ONE_OFF_LABEL, "True")));
    // What compose left when it was cut while it made one anew.
    let cut =
        ContainerSummary { names: Some(vec!["/123456789abc_cloudy-broker-app-1".to_owned()]), ..container("0", &it, State::EXITED, "") };
    let all = [cut, container("1", &it, State::RUNNING, "net"), container("2", &it, State::RUNNING, "net")];
    assert_eq!(found(&all, &it, Some("net")), Found { stays: Some("1".to_owned()), go: vec!["0".to_owned(), "2".to_owned()] });
    assert_eq!(found(&[], &it, Some("net")), Found::default());
}

proptest! {
    /// Whatever an agent that was taken over says, what is run has no privileges and nothing of the host.
    #[test]
    fn nothing_that_is_said_asks_for_privileges(
        password in "(\\PC|[\"'$\n\r:#{}&*!|>%@`\\\\ -]){0,60}",
        path in "(/var/run/docker\\.sock|/|/etc|\\.\\./x|/a:ro|/v[\"$#: \n]{0,4})",
        volume in "(data|/|\\.\\.|[a-z/.$\"-]{1,12})",
        variable in "[A-Z_=\": \n]{1,12}",
        command in "[ -~\n]{0,20}",
        port in any::<u16>(),
        more in prop::option::of(prop::sample::select(vec![
            "privileged = true", "run.privileged = true", "run.network = \"host\"", "devices = [\"/dev/sda\"]",
            "run.capabilities = [\"sys-admin\"]", "run.capabilities = [\"net-raw\"]", "volumes.x = { path = \"/x\", source = \"/\" }",
        ])),
    ) {
        let quote = |text: &str| serde_json::to_string(text).unwrap();
        let facts = FACTS_TEXT
            .replace("volumes.data", &format!("volumes.{}", quote(&volume)))
            .replace("\"/var/lib/x\"", &quote(&path))
            .replace("\"PASSWORD\"", &quote(&variable))
            .replace("[\"/usr/bin/x\"]", &format!("[\"/usr/bin/x\", {}]", quote(&command)));
        let facts = format!("{}\n{facts}", more.unwrap_or_default());
        if let Some(project) = project(&facts, &password, port) {
            let wanted = made(&project);
            harmless(&wanted);
            let env = wanted.body.env.clone().unwrap_or_default();
            prop_assert_eq!(env, vec![format!("{variable}={password}")]);
            let added = wanted.body.host_config.and_then(|host| host.cap_add).unwrap_or_default();
            prop_assert!(added.is_empty() || more == Some("run.capabilities = [\"net-raw\"]") && added == ["NET_RAW"]);
        }
    }
}
