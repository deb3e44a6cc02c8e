//! What a node makes of an app beside what the real compose makes of it: the node takes over what compose made, both containers are the
//! same field by field, and compose finds what the node made.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::docker::{LAB_FILE, give_a_folder, must as run};
use super::node::{Node, REGISTRY, has, is, must};
use super::registry;
use super::trial::Trial;

/// Where the two may differ, each with its reason.
const DIFFERENT: [(&str, &str); 14] = [
    ("/Config/Hostname", "the container's id"),
    ("/Config/Labels/com.docker.compose.config-hash", "each hashes its own words"),
    ("/Config/Labels/com.docker.compose.image", "says to compose when to make a container anew, which is not compose's to do here"),
    ("/Config/Labels/com.docker.compose.project.config_files", "there is no file"),
    ("/Config/Labels/com.docker.compose.project.working_dir", "nor a folder of it"),
    ("/Config/Labels/com.docker.compose.version", "compose did not make it"),
    ("/Config/Labels/lab.Memory", "the node's way to Docker writes limits down"),
    ("/Config/Labels/lab.MemoryReservation", "the same"),
    ("/Config/Labels/lab.NanoCpus", "the same"),
    ("/HostConfig/Binds", "a text that says a volume, a path and a mode"),
    ("/HostConfig/Mounts", "the same, each in a field of its own"),
    ("/HostConfig/ContainerIDFile", "is not asked for"),
    ("/HostConfig/ConsoleSize", "there is no console"),
    ("/Mounts/0/Mode", "follows from how it was said"),
];

fn inspect(container: &str) -> Result<Value> {
    let said: Value = serde_json::from_str(&run("docker", &["inspect", container])?).context("docker inspect says no JSON")?;
    Ok(said[0].clone())
}

/// Leaves of what makes a container, by their path. What is empty is as good as not there.
fn leaves(at: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| leaves(&format!("{at}/{key}"), value, into)),
        Value::Array(all) => all.iter().enumerate().for_each(|(n, value)| leaves(&format!("{at}/{n}"), value, into)),
        Value::Null => {}
        Value::Bool(false) => {}
        Value::String(text) if text.is_empty() => {}
        other => {
            into.insert(at.to_owned(), other.to_string());
        }
    }
}

/// What is compared of a container.
fn of(container: &Value) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut container = container.clone();
    // Compose gives the environment in no order.
    if let Some(environment) = container["Config"]["Env"].as_array_mut() {
        environment.sort_by_key(Value::to_string);
    }
    for part in ["Config", "HostConfig", "Mounts", "Path", "Args"] {
        leaves(&format!("/{part}"), &container[part], &mut found);
    }
    for (name, network) in container["NetworkSettings"]["Networks"].as_object().into_iter().flatten() {
        // Its short id is among the names that Docker gives.
        let names = network["Aliases"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let id = container["Id"].as_str().unwrap_or_default();
        let mut names: Vec<&str> = names.filter(|name| !id.starts_with(name)).collect();
        names.sort_unstable();
        found.insert(format!("/Networks/{name}"), names.join(" "));
    }
    found
}

/// What differs and should not (pure).
fn differences(one: &Value, other: &Value) -> Vec<String> {
    let (one, other) = (of(one), of(other));
    let paths: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let may = |path: &str| DIFFERENT.iter().any(|(known, _)| path == *known || path.starts_with(&format!("{known}/")));
    let differ = paths.into_iter().filter(|path| one.get(*path) != other.get(*path) && !may(path));
    differ.map(|path| format!("{path}: {:?} by compose, {:?} by the node", one.get(path), other.get(path))).collect()
}

impl Node {
    /// An app of an older release, which compose made, is taken over; nothing of it is there afterwards.
    pub fn same_as_compose(&self, trial: &Trial, install: &[&str]) -> Result<()> {
        let begun = Instant::now();
        let (name, project) = (trial.name.as_str(), trial.project.as_str());
        let container = format!("{project}-app-1");
        let file = Path::new("/run/projects/older.yaml");
        fs::write(file, trial.compose.replace(registry::ADDRESS, REGISTRY))?;
        give_a_folder(trial)?;
        let file = file.to_string_lossy();
        let older = ["compose", "--progress", "quiet", "--file", &file, "--file", LAB_FILE];
        run("docker", &[older.as_slice(), &["up", "--detach", "--wait"]].concat())?;
        // Its ports are free for the node to choose.
        run("docker", &[older.as_slice(), &["stop"]].concat())?;
        let (older, before) = (inspect(&container)?, has(name)?);
        must(install)?;
        is(name, "running")?;
        let newer = inspect(&container)?;
        ensure!(older["Id"] != newer["Id"], "what compose made should be made anew");
        ensure!(has(name)? == before, "what it kept should stay: {before:?}, then {:?}", has(name)?);
        let differ = differences(&older, &newer);
        ensure!(differ.is_empty(), "the node's container is not as compose's:\n{}", differ.join("\n"));
        must(&["app", "start", name])?;
        ensure!(inspect(&container)?["Id"] == newer["Id"], "a container that is as it shall be should not be made anew");
        // A person's compose finds it by its name.
        run("docker", &["compose", "--project-name", project, "stop"])?;
        is(name, "stopped")?;
        must(&["app", "start", name])?;
        ensure!(inspect(&container)?["Id"] == newer["Id"], "what was stopped should not be made anew");
        run("docker", &["compose", "--project-name", project, "down", "--volumes"])?;
        ensure!(has(name)? == (0, 0), "compose should take away what the node made: {:?}", has(name)?);
        let left = run("docker", &["network", "ls", "--quiet", "--filter", &format!("label=com.docker.compose.project={project}")])?;
        ensure!(left.is_empty(), "compose should take its network away");
        must(&["app", "start", name])?;
        must(&["app", "remove", name, "--with-data"])?;
        let images = run("docker", &["images", "--quiet", &format!("{REGISTRY}/{name}")])?;
        ensure!(images.is_empty(), "its image should go with it");
        println!(
            "  {:5.1} s  what compose had made was taken over, is the same field by field, and compose finds it",
            begun.elapsed().as_secs_f32()
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_differs_is_named_but_for_what_may() {
        let of = |user: &str, hash: &str, id: &str| {
            json!({ "Id": id, "Config": { "User": user, "Labels": { "com.docker.compose.config-hash": hash } }, "HostConfig": {},
                "NetworkSettings": { "Networks": { "x_default": { "Aliases": ["app", id] } } } })
        };
        assert_eq!(differences(&of("1:1", "a", "one"), &of("1:1", "b", "two")), Vec::<String>::new());
        let differ = differences(&of("1:1", "a", "one"), &of("0:0", "a", "two"));
        assert!(differ.len() == 1 && differ[0].contains("/Config/User"), "{differ:?}");
    }
}
