//! What the agent says of an app → the project that Docker is given (pure). Here nothing of what it says is believed.

use super::{Failure, Project};
use crate::limits::UP_TIMEOUT;
use contract::apps::compose::{ImageName, PROJECT_PREFIX, compose};
use contract::apps::is_name;
use contract::oci::Digest;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

fn refuse(error: impl std::fmt::Display) -> Failure {
    Failure { error: error.to_string(), output: String::new() }
}

/// The project of an app.
pub fn named(app: &str) -> Result<String, Failure> {
    let project = format!("{PROJECT_PREFIX}{app}");
    if is_name(app) && is_name(&project) {
        return Ok(project);
    }
    Err(refuse(format!("`{}` is no name of an app: lower-case letters, digits and `-`, 33 at most", app.escape_default())))
}

/// What Docker calls an app's image.
pub fn image(app: &str, digest: &Digest, registry: SocketAddr) -> Result<String, Failure> {
    named(app)?;
    Ok(format!("{registry}/{app}@{digest}"))
}

/// The compose file, and how long the app may take until it is well.
pub fn compose_file(project: &Project, registry: SocketAddr) -> Result<(String, Duration), Failure> {
    let Project { app, facts, digest, choices } = project;
    let name = named(app)?;
    let facts = contract::apps::read(&Path::new(app).join("app.toml"), facts).map_err(|error| refuse(error.to_string()))?;
    let image = ImageName::new(&registry.to_string(), &digest.to_string()).map_err(refuse)?;
    let text = compose(&facts, &name, &image, choices).map_err(refuse)?;
    let start = facts.health.map_or(0, |health| health.start_seconds);
    Ok((text, UP_TIMEOUT + Duration::from_secs(start.into())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apps::catalog::tests::FACTS_TEXT;
    use contract::apps::compose::Choices;
    use proptest::prelude::*;

    const REGISTRY: &str = "127.0.0.1:4748";

    /// What a line of a project may begin with, at whatever depth: nothing here gives a privilege or a place of the host.
    const KEYS: [&str; 36] = [
        "name",
        "services",
        "app",
        "image",
        "pull_policy",
        "user",
        "init",
        "read_only",
        "restart",
        "cap_drop",
        "cap_add",
        "security_opt",
        "tmpfs",
        "environment",
        "ports",
        "published",
        "protocol",
        "volumes",
        "source",
        "target",
        "healthcheck",
        "test",
        "interval",
        "timeout",
        "retries",
        "start_period",
        "start_interval",
        "mem_limit",
        "pids_limit",
        "cpus",
        "stop_grace_period",
        "shm_size",
        "labels",
        "cloudy.app",
        "- target",
        "- type",
    ];

    fn key(line: &str) -> &str {
        let line = line.trim_start();
        if line.starts_with("- \"") { "" } else { line.split_once(':').map_or(line, |(key, _)| key) }
    }

    /// Holds a project against the policy, line by line: every text in it is quoted on one line of ASCII.
    fn harmless(text: &str, environment: &[&str], volumes: &[&str]) {
        assert!(text.is_ascii());
        for line in text.lines() {
            let key = key(line);
            let known = KEYS.contains(&key) || key.is_empty() || environment.contains(&key) || volumes.contains(&key.trim_matches('"'));
            assert!(known, "{line}");
        }
        for (start, only) in [
            ("user: ", "user: \"20001:20001\""),
            ("read_only: ", "read_only: true"),
            ("- type: ", "- type: volume"),
            ("security_opt:", "security_opt:"),
            ("cap_drop:", "cap_drop:"),
        ] {
            let mut found = text.lines().map(str::trim_start).filter(|line| line.starts_with(start)).peekable();
            assert!(found.peek().is_some() && found.all(|line| line == only), "{start}");
        }
        assert!(text.contains("cap_drop:\n      - \"ALL\"\n    security_opt:\n      - \"no-new-privileges:true\"\n"), "{text}");
        assert!(text.lines().any(|line| line.starts_with("    image: \"127.0.0.1:4748/broker@sha256:")));
        for source in text.lines().filter_map(|line| line.trim_start().strip_prefix("source: ")) {
            assert!(volumes.contains(&source.trim_matches('"')), "{source}");
        }
    }

    fn project(facts: &str, password: &str, port: u16) -> Project {
        let choices =
            Choices { ports: [("mqtt".to_owned(), port)].into(), settings: [("password".to_owned(), password.to_owned())].into() };
        Project { app: "broker".to_owned(), facts: facts.to_owned(), digest: Digest::of(b"index"), choices }
    }

    #[test]
    fn an_app_becomes_a_project_in_its_own_name_space() {
        let registry = REGISTRY.parse().unwrap();
        let (text, wait) = compose_file(&project(FACTS_TEXT, "x", 1883), registry).unwrap();
        assert!(text.starts_with("name: \"cloudy-broker\"\n"), "{text}");
        assert_eq!(wait, UP_TIMEOUT);
        harmless(&text, &["PASSWORD"], &["data"]);
        for name in ["", "../x", "x y", "--file", "X", "x\n", &"x".repeat(34)] {
            let other = Project { app: name.to_owned(), ..project(FACTS_TEXT, "x", 1883) };
            assert!(compose_file(&other, registry).is_err() && named(name).is_err(), "{name}");
            assert!(image(name, &other.digest, registry).is_err());
        }
        let root = FACTS_TEXT.replace("uid = 20001", "uid = 0");
        assert!(compose_file(&project(&root, "x", 1883), registry).is_err());
        let host = FACTS_TEXT.replace("volumes.data", "privileged = true\nvolumes.data");
        assert!(compose_file(&project(&host, "x", 1883), registry).unwrap_err().error.contains("privileged"));
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
            if let Ok((text, _)) = compose_file(&project(&facts, &password, port), REGISTRY.parse().unwrap()) {
                harmless(&text, &[&variable], &[&volume]);
                prop_assert!(!volume.contains('/') && !volume.contains('.'));
                for line in text.lines().filter(|line| line.contains("cap_add")) {
                    prop_assert!(more == Some("run.capabilities = [\"net-raw\"]"), "{}", line);
                }
            }
        }
    }
}
