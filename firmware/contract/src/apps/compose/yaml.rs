//! A project as compose reads it. Every text in it is quoted, so that none is taken for anything else.

use std::fmt::Write as _;

use super::{
    DROPPED, HEALTH_INTERVAL_SECONDS, HEALTH_RETRIES, HEALTH_START_INTERVAL_SECONDS, HEALTH_TIMEOUT_SECONDS, Healthcheck, Project, RESTART,
    RESTART_ATTENDED, SECURITY, SERVICE, STORE_INSIDE, STORES_DIR,
};

impl Project {
    /// The project's YAML.
    pub fn yaml(&self) -> String {
        let mut yaml = Yaml(String::new());
        yaml.value(0, "name", &self.name);
        yaml.table(0, "services");
        yaml.table(1, SERVICE);
        yaml.value(2, "image", &self.image);
        yaml.value(2, "pull_policy", "missing");
        yaml.value(2, "user", &format!("{0}:{0}", self.user));
        yaml.plain(2, "init", "true");
        yaml.plain(2, "read_only", "true");
        yaml.value(2, "restart", if self.attended { RESTART_ATTENDED } else { RESTART });
        yaml.list(2, "cap_drop", [DROPPED]);
        if !self.capabilities.is_empty() {
            yaml.list(2, "cap_add", self.capabilities.iter().map(|capability| capability.name()));
        }
        yaml.list(2, "security_opt", [SECURITY]);
        let scratch: Vec<String> = self.scratch.iter().map(|(path, how)| format!("{path}:{how}")).collect();
        yaml.list(2, "tmpfs", scratch.iter().map(String::as_str));
        if !self.environment.is_empty() {
            yaml.table(2, "environment");
            for (name, value) in &self.environment {
                yaml.value(3, name, value);
            }
        }
        if !self.ports.is_empty() {
            yaml.table(2, "ports");
            for port in &self.ports {
                yaml.line(3, &format!("- target: {}", port.container));
                yaml.value(4, "published", &port.node.to_string());
                yaml.value(4, "protocol", port.protocol);
            }
        }
        if !self.volumes.is_empty() || self.store.is_some() {
            yaml.table(2, "volumes");
            for (name, path) in &self.volumes {
                yaml.line(3, "- type: volume");
                yaml.value(4, "source", name);
                yaml.value(4, "target", path);
            }
            if let Some(app) = &self.store {
                yaml.line(3, "- type: bind");
                yaml.value(4, "source", &format!("{STORES_DIR}/{app}"));
                yaml.value(4, "target", STORE_INSIDE);
                yaml.plain(4, "read_only", "true");
                yaml.table(4, "bind");
                yaml.plain(5, "create_host_path", "false");
            }
        }
        if let Some(health) = &self.health {
            yaml.health(health);
        }
        yaml.value(2, "mem_limit", &format!("{}m", self.memory_mb));
        yaml.plain(2, "pids_limit", &self.processes.to_string());
        yaml.value(2, "cpus", &format!("{}.{:02}", self.cpu_percent / 100, self.cpu_percent % 100));
        yaml.value(2, "stop_grace_period", &format!("{}s", self.stop_seconds));
        if let Some(mb) = self.shared_memory_mb {
            yaml.value(2, "shm_size", &format!("{mb}m"));
        }
        yaml.table(2, "labels");
        for (name, value) in &self.labels {
            yaml.value(3, name, value);
        }
        if !self.volumes.is_empty() {
            yaml.table(0, "volumes");
            for name in self.volumes.keys() {
                yaml.plain(1, &quoted(name), "{}");
            }
        }
        yaml.0
    }
}

/// YAML, line by line.
pub(in crate::apps) struct Yaml(pub String);

impl Yaml {
    pub fn line(&mut self, depth: usize, text: &str) {
        let _ = writeln!(self.0, "{:1$}{text}", "", depth * 2);
    }

    /// A key with a word of ours.
    pub fn plain(&mut self, depth: usize, key: &str, value: &str) {
        self.line(depth, &format!("{key}: {value}"));
    }

    /// A key with any text.
    pub fn value(&mut self, depth: usize, key: &str, value: &str) {
        self.plain(depth, key, &quoted(value));
    }

    pub fn table(&mut self, depth: usize, key: &str) {
        self.line(depth, &format!("{key}:"));
    }

    fn health(&mut self, health: &Healthcheck) {
        self.table(2, "healthcheck");
        self.list(3, "test", health.test.iter().map(String::as_str));
        self.value(3, "interval", &format!("{HEALTH_INTERVAL_SECONDS}s"));
        self.value(3, "timeout", &format!("{HEALTH_TIMEOUT_SECONDS}s"));
        self.plain(3, "retries", &HEALTH_RETRIES.to_string());
        self.value(3, "start_period", &format!("{}s", health.start_seconds));
        self.value(3, "start_interval", &format!("{HEALTH_START_INTERVAL_SECONDS}s"));
    }

    pub fn list<'a>(&mut self, depth: usize, key: &str, items: impl IntoIterator<Item = &'a str>) {
        self.table(depth, key);
        for item in items {
            self.line(depth + 1, &format!("- {}", quoted(item)));
        }
    }
}

/// A text as a double-quoted scalar of ASCII (YAML 1.2, 7.3.1), with compose's own `$` doubled, so that it stands for itself.
pub(in crate::apps) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '$' => out.push_str("$$"),
            ' '..='~' => out.push(c),
            _ => {
                let _ = write!(out, "\\U{:08X}", u32::from(c));
            }
        }
    }
    out.push('"');
    out
}
