//! An app of a person's own → the project that Docker is given (pure, but for the look at folders of the node). Read and checked anew
//! here: of what the agent says of it, only what an owner granted is believed, and no grant reaches what is the node's own.

use super::{Failure, OwnProject, project};
use crate::limits::UP_TIMEOUT;
use contract::apps::own::{self, Privilege, Project};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn refuse(error: impl std::fmt::Display) -> Failure {
    Failure { error: error.to_string(), output: String::new() }
}

fn read(wanted: &OwnProject) -> Result<Project, Failure> {
    project::named(&wanted.app)?;
    own::read(&wanted.definition).map_err(refuse)
}

/// The compose file, and how long it may take until it is well.
pub fn compose_file(wanted: &OwnProject) -> Result<(String, Duration), Failure> {
    let project = read(wanted)?;
    let text = own::write(&project, &wanted.app, &project::named(&wanted.app)?, &wanted.choices, &wanted.grants).map_err(refuse)?;
    Ok((text, UP_TIMEOUT + Duration::from_millis(project.start_ms())))
}

/// The images that it runs, each with a tag or digest: without one, Docker would pull all that there are.
pub fn images(wanted: &OwnProject) -> Result<BTreeSet<String>, Failure> {
    let images = own::images(&read(wanted)?, &wanted.choices).map_err(refuse)?;
    Ok(images.iter().map(|image| tagged(image)).collect())
}

fn tagged(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or_default();
    if last.contains([':', '@']) { image.to_owned() } else { format!("{image}:latest") }
}

/// Folders of the node that were granted must be there, and be themselves: what is a link leads elsewhere, perhaps only later.
pub fn places(grants: &BTreeSet<Privilege>, root: &Path) -> Result<(), Failure> {
    for grant in grants {
        let (Privilege::HostPath(path) | Privilege::HostPathRead(path)) = grant else { continue };
        let mut so_far = PathBuf::from(root);
        for part in path.split('/').filter(|part| !part.is_empty()) {
            so_far.push(part);
            let found = std::fs::symlink_metadata(&so_far);
            match found {
                Ok(found) if found.is_symlink() => {
                    return Err(refuse(format!("`{path}`: `{}` is a link; name the folder that it leads to", so_far.display())));
                }
                Ok(_) => {}
                Err(error) => {
                    return Err(refuse(format!("`{path}` of the node can't be given to the app: `{}`: {error}", so_far.display())));
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::apps::own::Definition;
    use proptest::prelude::*;

    fn wanted(compose: &str, grants: &[&str]) -> OwnProject {
        let definition = Definition { title: "x".to_owned(), compose: Some(compose.to_owned()), ..Definition::default() };
        let grants = grants.iter().map(|grant| grant.parse().unwrap()).collect();
        OwnProject { app: "own".to_owned(), definition, grants, choices: Default::default() }
    }

    #[test]
    fn what_was_not_granted_is_refused_here_too() {
        let music = "services: { app: { image: x, volumes: [\"/srv/music:/m\"] } }";
        assert!(compose_file(&wanted(music, &[])).unwrap_err().error.contains("`host-path=/srv/music`, which an owner"));
        assert!(compose_file(&wanted(music, &["host-path-read=/srv/music"])).is_err());
        assert!(compose_file(&wanted(music, &["host-path=/srv/music"])).is_ok());
        let keys = "services: { app: { image: x, volumes: [\"/var/lib/cloudy:/m\"] } }";
        assert!(compose_file(&wanted(keys, &["privileged"])).unwrap_err().error.contains("whoever allows it"));
        // Over the socket too, no grant is understood that nobody can give.
        for never in ["host-path=/var/lib/cloudy", "host-path=/run/docker.sock", "device=/dev/sda", "host-path=/"] {
            let json = serde_json::json!({ "request": "up-own", "project": { "app": "own", "definition": { "title": "x", "compose": keys },
                "grants": [never], "choices": {} } });
            assert!(serde_json::from_value::<super::super::Request>(json).is_err(), "{never}");
        }
        assert!(compose_file(&OwnProject { app: "../x".to_owned(), ..wanted(music, &[]) }).is_err());
        assert_eq!(images(&wanted("services: { a: { image: x }, b: { image: h:1/y } }", &[])).unwrap().len(), 2);
        assert_eq!((tagged("h:1/y").as_str(), tagged("x:2").as_str()), ("h:1/y:latest", "x:2"));
    }

    #[test]
    fn a_folder_that_is_a_link_is_given_to_nobody() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("srv/music")).unwrap();
        std::os::unix::fs::symlink("/etc", root.path().join("srv/link")).unwrap();
        let ask = |path: &str| places(&[Privilege::HostPath(path.to_owned())].into(), root.path());
        assert!(ask("/srv/music").is_ok());
        assert!(ask("/srv/link").unwrap_err().error.contains("is a link") && ask("/srv/link/x").is_err());
        assert!(ask("/srv/none").is_err());
    }

    proptest! {
        /// Whatever an agent that was taken over says, what is run has no more than what it was granted, and nothing of the node's own.
        #[test]
        fn nothing_that_is_said_goes_beyond_its_grants(
            key in prop::sample::select(vec!["privileged", "network_mode", "pid", "ipc", "volumes", "devices", "cap_add", "security_opt",
                "env_file", "build", "configs", "userns_mode", "extends", "cgroup_parent", "runtime"]),
            value in prop::sample::select(vec!["true", "host", "[\"/:/x\"]", "[\"/etc:/x:ro\"]", "[/dev/sda]", "[SYS_ADMIN]", "[ALL]",
                "[\"apparmor:unconfined\"]", ".env", "\"\"", "{file: /etc/passwd}", "[/run/docker.sock:/run/docker.sock]"]),
            title in "\\PC{0,10}",
        ) {
            let mut project = wanted(&format!("services: {{ app: {{ image: x, {key}: {value} }} }}"), &["device=/dev/ttyUSB0"]);
            project.definition.title = title;
            if let Ok((text, _)) = compose_file(&project) {
                for word in ["privileged", "host", "devices", "cap_add", "unconfined", "bind", "env_file", "docker.sock", "build"] {
                    prop_assert!(!text.contains(word), "{}", text);
                }
            }
        }
    }
}
