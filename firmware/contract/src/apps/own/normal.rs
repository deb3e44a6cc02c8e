//! Holds what the real `docker compose config` understood against what was allowed: a second look, which believes nothing of the first.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::privilege::{self, Privilege};

/// Keys of a service that give it nothing outside of its containers, whatever stands there.
const HARMLESS: [&str; 29] = [
    "cap_drop",
    "command",
    // What they hold is looked at at the top.
    "configs",
    "cpus",
    "depends_on",
    "dns",
    "entrypoint",
    "environment",
    "extra_hosts",
    "group_add",
    "healthcheck",
    "hostname",
    "image",
    "init",
    "labels",
    "mem_limit",
    "mem_reservation",
    "pids_limit",
    "ports",
    "pull_policy",
    "read_only",
    "restart",
    "shm_size",
    "stdin_open",
    "stop_grace_period",
    "stop_signal",
    "tty",
    "ulimits",
    "user",
];

/// Why compose is not let do it.
type Checked = Result<(), String>;

/// Checks the JSON of `docker compose config --format json`. `instance` is the project's name.
///
/// # Errors
/// The key that was not allowed.
pub fn check(json: &str, instance: &str, grants: &BTreeSet<Privilege>) -> Checked {
    let root: Value = serde_json::from_str(json).map_err(|error| format!("`docker compose config` said no JSON: {error}"))?;
    let root = root.as_object().ok_or("`docker compose config` said no project")?;
    for (key, value) in root {
        match key.as_str() {
            "name" if value.as_str() == Some(instance) => {}
            "services" => {}
            "networks" | "volumes" | "configs" => parts(key, value, instance)?,
            _ if is_nothing(value) => {}
            _ => return Err(format!("compose understood `{key}`, which no app may have")),
        }
    }
    let services = root.get("services").and_then(Value::as_object).ok_or("compose understood no services")?;
    for (name, service) in services {
        let service = service.as_object().ok_or_else(|| format!("the service `{name}` is none"))?;
        for (key, value) in service {
            one(key, value, grants).map_err(|why| format!("compose understood `services.{name}.{key}`: {why}"))?;
        }
    }
    Ok(())
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// Networks and volumes: the project's own, with nothing of the node.
fn parts(kind: &str, value: &Value, instance: &str) -> Checked {
    let own = format!("{instance}_");
    for (name, part) in value.as_object().into_iter().flatten() {
        for (key, value) in part.as_object().into_iter().flatten() {
            let good = match key.as_str() {
                "name" => value.as_str().is_some_and(|called| called.starts_with(&own)),
                "internal" if kind == "networks" => value.is_boolean(),
                "content" if kind == "configs" => value.is_string(),
                _ => is_nothing(value),
            };
            if !good {
                return Err(format!("compose understood `{kind}.{name}.{key}`, which no app may have"));
            }
        }
    }
    Ok(())
}

fn one(key: &str, value: &Value, grants: &BTreeSet<Privilege>) -> Checked {
    if is_nothing(value) || HARMLESS.contains(&key) {
        return Ok(());
    }
    let granted = |privilege: Privilege| {
        if grants.contains(&privilege) { Ok(()) } else { Err(format!("the privilege `{privilege}` was not allowed")) }
    };
    let known = |privilege: Result<Option<Privilege>, privilege::BadPrivilege>| match privilege {
        Ok(None) => Ok(()),
        Ok(Some(privilege)) => granted(privilege),
        Err(never) => Err(never.to_string()),
    };
    let text = value.as_str().unwrap_or_default();
    match key {
        "privileged" => granted(Privilege::Privileged),
        "network_mode" if text == "host" => granted(Privilege::HostNetwork),
        "network_mode" if text == "none" || text.starts_with("service:") => Ok(()),
        "pid" if text == "host" => granted(Privilege::HostPid),
        "ipc" if text == "host" => granted(Privilege::HostIpc),
        "networks" => networks(value),
        "cap_add" => each(value, |item| known(Privilege::capability(item.as_str().unwrap_or_default()))),
        "security_opt" => each(value, |item| known(Privilege::security_opt(item.as_str().unwrap_or_default()))),
        "sysctls" => {
            for (name, value) in value.as_object().ok_or("it is no table")? {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                known(Privilege::sysctl(name, &value).map(Some))?;
            }
            Ok(())
        }
        "devices" => each(value, |item| {
            let named = item.get("source").and_then(Value::as_str).or_else(|| item.as_str()?.split(':').next());
            known(Privilege::device(named.unwrap_or_default()).map(Some))
        }),
        "volumes" => each(value, |item| volume(item, grants)),
        _ => Err("no app may have it".to_owned()),
    }
}

fn each(value: &Value, check: impl FnMut(&Value) -> Checked) -> Checked {
    value.as_array().ok_or("it is no list")?.iter().try_for_each(check)
}

fn networks(value: &Value) -> Checked {
    for (name, options) in value.as_object().ok_or("it is no table")? {
        let other = |map: &Map<String, Value>| map.iter().any(|(key, value)| key != "aliases" && !is_nothing(value));
        if options.as_object().is_some_and(other) {
            return Err(format!("`{name}` has more than other names"));
        }
    }
    Ok(())
}

fn volume(item: &Value, grants: &BTreeSet<Privilege>) -> Checked {
    let word = |key: &str| item.get(key).and_then(Value::as_str).unwrap_or_default();
    let source = word("source");
    match word("type") {
        "tmpfs" => Ok(()),
        "volume" if !source.contains(['/', '\\']) => Ok(()),
        "bind" => {
            let only_read = item.get("read_only").and_then(Value::as_bool).unwrap_or_default();
            let wanted = Privilege::path(source, only_read).map_err(|never| never.to_string())?;
            if item.get("bind").and_then(|bind| bind.get("propagation")).is_some_and(|said| !is_nothing(said)) {
                return Err("propagation of mounts is the node's own".to_owned());
            }
            if grants.contains(&wanted) { Ok(()) } else { Err(format!("the privilege `{wanted}` was not allowed")) }
        }
        other => Err(format!("`{}` is no kind of volume that an app may have", other.escape_default())),
    }
}
