//! What the agent says of an app → the project that Docker is given (pure). Here nothing of what it says is believed.

use super::{Failure, Project};
use crate::limits::UP_TIMEOUT;
use contract::apps::compose::{self, ImageName, PROJECT_PREFIX, compose};
use contract::apps::is_name;
use contract::oci::Digest;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
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

/// What the names of an app's images begin with.
pub fn images(app: &str, registry: SocketAddr) -> String {
    format!("{registry}/{app}@")
}

/// What Docker calls an app's image.
pub fn image(app: &str, digest: &Digest, registry: SocketAddr) -> Result<String, Failure> {
    named(app)?;
    Ok(format!("{}{digest}", images(app, registry)))
}

/// Where the app's folder lies that its store's socket stands in.
pub fn store_folder(stores: &Path, app: &str) -> Result<PathBuf, Failure> {
    named(app)?;
    Ok(stores.join(app))
}

/// The checked project, and how long the app may take until it is well.
pub fn checked(project: &Project, registry: SocketAddr) -> Result<(compose::Project, Duration), Failure> {
    let Project { app, facts, digest, choices, place: _ } = project;
    let name = named(app)?;
    let facts = contract::apps::read(&Path::new(app).join("app.toml"), facts).map_err(|error| refuse(error.to_string()))?;
    let image = ImageName::new(&registry.to_string(), &digest.to_string()).map_err(refuse)?;
    let project = compose(&facts, &name, &image, choices).map_err(refuse)?;
    let start = project.health.as_ref().map_or(0, |health| health.start_seconds);
    Ok((project, UP_TIMEOUT + Duration::from_secs(start.into())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apps::catalog::tests::FACTS_TEXT;
    use contract::apps::compose::Choices;

    #[test]
    fn an_app_becomes_a_project_in_its_own_name_space() {
        let registry = "127.0.0.1:4748".parse().unwrap();
        let wanted = |app: &str, facts: &str| {
            let choices = Choices { ports: [].into(), settings: [("password".to_owned(), "x".to_owned())].into(), attended: false };
            Project { app: app.to_owned(), facts: facts.to_owned(), digest: Digest::of(b"index"), choices, place: None }
        };
        let (project, wait) = checked(&wanted("broker", FACTS_TEXT), registry).unwrap();
        assert_eq!((project.name.as_str(), wait), ("cloudy-broker", UP_TIMEOUT));
        assert_eq!(project.image, image("broker", &Digest::of(b"index"), registry).unwrap());
        assert!(project.image.starts_with(&images("broker", registry)));
        for name in ["", "../x", "x y", "--file", "X", "x\n", &"x".repeat(34)] {
            assert!(checked(&wanted(name, FACTS_TEXT), registry).is_err() && named(name).is_err(), "{name}");
            assert!(image(name, &Digest::of(b"index"), registry).is_err());
        }
        let root = FACTS_TEXT.replace("uid = 20001", "uid = 0");
        assert!(checked(&wanted("broker", &root), registry).is_err());
        let host = FACTS_TEXT.replace("volumes.data", "privileged = true\nvolumes.data");
        assert!(checked(&wanted("broker", &host), registry).unwrap_err().error.contains("privileged"));
    }
}
