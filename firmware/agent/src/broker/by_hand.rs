//! What somebody made with Docker by hand, beside the apps: containers, images and volumes as Docker lists them → what is shown (pure).
//! All that Docker says is somebody else's words: it is cut, and what would change how it is shown is left out.

use super::container::PROJECT_LABEL;
use super::docker::app_of;
use crate::net::is_plain;
use bollard::models::{ContainerSummary, ContainerSummaryStateEnum as State, ImageSummary, Volume};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Containers, images and volumes that are shown at most, of each.
pub const SHOWN: usize = 200;
/// Ports, mounts, names and users of one of them that are shown at most.
const PARTS: usize = 20;
/// Characters of a text at most.
const CHARS: usize = 200;
/// The label by which a swarm knows its own.
const SWARM_LABEL: &str = "com.docker.swarm.service.name";

/// What was made by hand. No value of an environment stands in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct ByHand {
    /// Containers of no app, by name.
    pub containers: Vec<HandContainer>,
    /// Images that no app uses, by name.
    pub images: Vec<HandImage>,
    /// Volumes of no app, by name.
    pub volumes: Vec<HandVolume>,
    /// Whether there are more than are shown.
    pub more: bool,
}

/// A container that somebody made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct HandContainer {
    /// Docker's number for it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// How it is, in Docker's word: `running`, `exited`.
    pub state: String,
    /// What it publishes: `8080:80/tcp`.
    pub ports: Vec<String>,
    /// What it has of volumes and of the node's folders: `data:/data`.
    pub mounts: Vec<String>,
    /// The compose project that it is part of.
    pub project: Option<String>,
    /// Why it can't be adopted, as far as that is seen from here.
    pub stays: Option<String>,
    /// The app that it became; it is kept, stopped, until an owner removes it.
    #[serde(default)]
    pub adopted: Option<String>,
}

/// An image that somebody brought.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct HandImage {
    /// Docker's number for it.
    pub id: String,
    /// Its names; none where another image has taken them.
    pub tags: Vec<String>,
    /// Its size.
    pub bytes: u64,
    /// Containers that use it.
    pub used_by: Vec<String>,
}

/// A volume that somebody made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct HandVolume {
    /// Its name.
    pub name: String,
    /// Containers that use it.
    pub used_by: Vec<String>,
}

/// Something that was made by hand and that an owner wants no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "which", deny_unknown_fields)]
pub enum Thing {
    /// A container that does not run, by its number.
    Container(String),
    /// An image that nothing uses, by its number.
    Image(String),
    /// A volume that nothing uses, by its name.
    Volume(String),
}

/// A text of somebody else's, as it may be shown in one line.
pub fn shown(text: &str) -> String {
    text.chars().filter(|c| is_plain(*c)).take(CHARS).collect()
}

/// Where a container writes without keeping anything.
const FLEETING: [&str; 10] =
    ["/dev", "/etc/hostname", "/etc/hosts", "/etc/mtab", "/etc/resolv.conf", "/proc", "/run", "/sys", "/tmp", "/var/run"];
/// Places that are named at most.
const PLACES: usize = 5;

/// What is said of what a container changed outside of its mounts: of a folder that holds something changed, that alone is named.
pub fn outside(changed: BTreeSet<String>, mounts: &[&str]) -> Option<String> {
    let passed: Vec<&str> = FLEETING.iter().chain(mounts).map(|path| path.trim_end_matches('/')).collect();
    let within = |path: &str, folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let holds = |path: &str| {
        let below = format!("{}/", path.trim_end_matches('/'));
        let next = changed.range(below.clone()..).next();
        next.is_some_and(|next| next.starts_with(&below)) || passed.iter().any(|passed| passed.starts_with(&below))
    };
    let mut left = changed.iter().filter(|path| !passed.iter().any(|folder| within(path, folder)) && !holds(path));
    let first: Vec<String> = left.by_ref().take(PLACES).map(|path| format!("`{}`", shown(path))).collect();
    let more = left.count();
    let more = if more == 0 { String::new() } else { format!(", and {more} more") };
    let said = || format!("what it wrote outside of its volumes stays in the old container alone: {}{more}", first.join(", "));
    (!first.is_empty()).then(said)
}

/// 64 digits, as Docker numbers containers and images.
pub fn is_id(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
}

/// What Docker lets a container or volume be called; also what its number is.
pub fn is_name(name: &str) -> bool {
    name.len() <= 255
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"_.-".contains(&c))
}

fn name(container: &ContainerSummary) -> String {
    let first = container.names.iter().flatten().next().map(String::as_str).unwrap_or_default();
    shown(first.trim_start_matches('/'))
}

fn label<'a>(container: &'a ContainerSummary, name: &str) -> Option<&'a str> {
    container.labels.as_ref()?.get(name).map(String::as_str)
}

/// Why a container that carries these labels is no app by itself.
pub fn part_of(project: Option<&str>, swarm: bool) -> Option<String> {
    match project {
        Some(project) => {
            let project = shown(project);
            Some(format!("it is part of the compose project `{project}`: save its compose file as an own app, and install that"))
        }
        None if swarm => Some("it belongs to a swarm, which would make it anew: remove its service there first".to_owned()),
        None => None,
    }
}

fn one(container: &ContainerSummary) -> Option<HandContainer> {
    let id = container.id.clone().filter(|id| is_id(id))?;
    let ports: BTreeSet<String> = container
        .ports
        .iter()
        .flatten()
        .filter_map(|port| {
            let kind = port.typ.map(|kind| format!("/{kind}")).unwrap_or_default();
            Some(format!("{}:{}{kind}", port.public_port?, port.private_port))
        })
        .collect();
    let mount = |mount: &bollard::models::MountPoint| {
        let from = mount.name.as_deref().filter(|name| !name.is_empty()).or(mount.source.as_deref()).unwrap_or_default();
        let only_read = if mount.rw == Some(false) { ":ro" } else { "" };
        shown(&format!("{from}:{}{only_read}", mount.destination.as_deref().unwrap_or_default()))
    };
    let project = label(container, PROJECT_LABEL).map(shown);
    Some(HandContainer {
        id,
        name: name(container),
        image: shown(container.image.as_deref().unwrap_or_default()),
        state: container.state.map(|state| state.to_string()).unwrap_or_default(),
        ports: ports.into_iter().take(PARTS).collect(),
        mounts: container.mounts.iter().flatten().map(mount).take(PARTS).collect(),
        stays: part_of(project.as_deref(), label(container, SWARM_LABEL).is_some()),
        project,
        adopted: None,
    })
}

/// What of all that Docker has belongs to no app. `registry` is what the names of the catalog's images begin with.
pub fn by_hand(containers: &[ContainerSummary], images: &[ImageSummary], volumes: &[Volume], registry: &str) -> ByHand {
    let mut uses: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let (mut of_apps, mut hands) = (BTreeSet::new(), Vec::new());
    for container in containers {
        let its_volumes = container.mounts.iter().flatten().filter_map(|mount| mount.name.as_deref());
        let all = its_volumes.chain(container.image_id.as_deref()).filter(|what| !what.is_empty());
        if app_of(container.labels.as_ref()).is_some() {
            of_apps.extend(all);
            continue;
        }
        for what in all {
            uses.entry(what).or_default().insert(name(container));
        }
        hands.extend(one(container));
    }
    let used_by = |what: &str| uses.get(what).into_iter().flatten().take(PARTS).cloned().collect::<Vec<_>>();
    let catalog = |image: &ImageSummary| image.repo_tags.iter().chain(&image.repo_digests).any(|name| name.starts_with(registry));
    let mut images: Vec<HandImage> = images
        .iter()
        .filter(|image| image.id.strip_prefix("sha256:").is_some_and(is_id))
        .filter(|image| !of_apps.contains(image.id.as_str()) && !catalog(image))
        .map(|image| HandImage {
            id: image.id.clone(),
            tags: image.repo_tags.iter().filter(|tag| *tag != "<none>:<none>").map(|tag| shown(tag)).take(PARTS).collect(),
            bytes: u64::try_from(image.size).unwrap_or_default(),
            used_by: used_by(&image.id),
        })
        .collect();
    let mut volumes: Vec<HandVolume> = volumes
        .iter()
        .filter(|volume| is_name(&volume.name))
        .filter(|volume| app_of(Some(&volume.labels)).is_none() && !of_apps.contains(volume.name.as_str()))
        .map(|volume| HandVolume { name: volume.name.clone(), used_by: used_by(&volume.name) })
        .collect();
    hands.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
    images.sort_by(|one, other| (&one.tags, &one.id).cmp(&(&other.tags, &other.id)));
    volumes.sort_by(|one, other| one.name.cmp(&other.name));
    let more = hands.len() > SHOWN || images.len() > SHOWN || volumes.len() > SHOWN;
    hands.truncate(SHOWN);
    images.truncate(SHOWN);
    volumes.truncate(SHOWN);
    ByHand { containers: hands, images, volumes, more }
}

/// Whether a container may write: what is copied from it meanwhile would be torn.
pub fn runs(state: Option<State>) -> bool {
    !matches!(state, Some(State::CREATED | State::EXITED | State::DEAD))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn id(n: u8) -> String {
        format!("{n:064x}")
    }

    fn listed(containers: &Value, images: &Value, volumes: &Value) -> ByHand {
        by_hand(
            &serde_json::from_value::<Vec<_>>(containers.clone()).unwrap(),
            &serde_json::from_value::<Vec<_>>(images.clone()).unwrap(),
            &serde_json::from_value::<Vec<_>>(volumes.clone()).unwrap(),
            "127.0.0.1:4748/",
        )
    }

    fn image(n: u8, tags: &[&str], digests: &[&str]) -> Value {
        json!({ "Id": format!("sha256:{}", id(n)), "ParentId": "", "RepoTags": tags, "RepoDigests": digests, "Created": 0, "Size": 7,
            "SharedSize": 0, "Labels": {}, "Containers": 0 })
    }

    fn volume(name: &str, labels: &Value) -> Value {
        json!({ "Name": name, "Driver": "local", "Mountpoint": "/x", "Labels": labels, "Scope": "local", "Options": {} })
    }

    #[test]
    fn what_belongs_to_apps_is_not_there_and_the_rest_is_with_its_uses() {
        let ours = json!({ "com.docker.compose.project": "cloudy-wiki" });
        let theirs = json!({ "com.docker.compose.project": "blog", "com.docker.compose.service": "web" });
        let containers = json!([
            { "Id": id(1), "Names": ["/web"], "Image": "nginx:1", "ImageID": format!("sha256:{}", id(11)), "State": "running",
              "Ports": [{ "IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp" },
                        { "IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp" }, { "PrivatePort": 443, "Type": "tcp" }],
              "Mounts": [{ "Type": "volume", "Name": "site", "Destination": "/site", "RW": true },
                         { "Type": "bind", "Source": "/srv/x", "Destination": "/x", "RW": false }] },
            { "Id": id(2), "Names": ["/blog-web-1"], "Labels": theirs, "State": "exited" },
            { "Id": id(3), "Names": ["/cloudy-wiki-app-1"], "Labels": ours, "State": "running", "ImageID": format!("sha256:{}", id(12)),
              "Mounts": [{ "Type": "volume", "Name": "nameless", "Destination": "/data", "RW": true }] },
        ]);
        let images = json!([
            image(11, &["nginx:1"], &[]),
            image(12, &["wiki:1"], &[]),
            image(13, &[], &["127.0.0.1:4748/radio@sha256:1"]),
            image(14, &["<none>:<none>"], &[]),
        ]);
        let volumes = json!([
            volume("site", &json!({})),
            volume("nameless", &json!({})),
            volume("cloudy-wiki_data", &ours),
            volume("old", &json!({}))
        ]);
        let found = listed(&containers, &images, &volumes);
        let names: Vec<&str> = found.containers.iter().map(|container| container.name.as_str()).collect();
        assert_eq!(names, ["blog-web-1", "web"]);
        assert!(found.containers[0].stays.as_ref().unwrap().contains("`blog`") && found.containers[1].stays.is_none());
        assert_eq!(found.containers[1].ports, ["8080:80/tcp"]);
        assert_eq!(found.containers[1].mounts, ["site:/site", "/srv/x:/x:ro"]);
        let images: Vec<(&[String], &[String])> = found.images.iter().map(|image| (&image.tags[..], &image.used_by[..])).collect();
        assert_eq!(images, [(&[][..], &[][..]), (&["nginx:1".to_owned()][..], &["web".to_owned()][..])]);
        let volumes: Vec<(&str, usize)> = found.volumes.iter().map(|volume| (volume.name.as_str(), volume.used_by.len())).collect();
        assert_eq!(volumes, [("old", 0), ("site", 1)]);
        assert!(!found.more);
    }

    #[test]
    fn there_is_a_bound_to_all_of_it() {
        let containers: Vec<Value> = (0..=255)
            .map(|n| {
                json!({ "Id": id(n), "Names": [format!("/{}", "x".repeat(5000))],
            "Ports": (0..999).map(|port| json!({ "PrivatePort": port, "PublicPort": port + 1000, "Type": "tcp" })).collect::<Vec<_>>() })
            })
            .collect();
        let found = listed(&json!(containers), &json!([]), &json!([]));
        assert!(found.more && found.containers.len() == SHOWN);
        assert!(found.containers.iter().all(|container| container.name.len() == CHARS && container.ports.len() == PARTS));
    }

    proptest! {
        /// Whatever things are called, nothing that is shown changes how it is shown, and every number and name can be asked for.
        #[test]
        fn hostile_words_are_shown_in_one_line(name in "\\PC{0,40}|[\\x00-\\x20\u{202e}\u{2066}a]{0,40}", other in any::<String>()) {
            let containers = json!([{ "Id": id(1), "Names": [name], "Image": other, "Labels": { "com.docker.compose.project": other },
                "Mounts": [{ "Type": "volume", "Name": name, "Destination": other }], "State": "running" }, { "Id": other, "Names": [name] }]);
            let found = listed(&containers, &json!([image(1, &[&name], &[&other])]), &json!([volume(&name, &json!({})), volume(&other, &json!({}))]));
            // Without backslashes that stand for themselves.
            let text = serde_json::to_string(&found).unwrap().replace(r"\\", "");
            prop_assert!(!text.contains("\\n") && !text.contains("\\u00") && !text.contains('\u{202e}') && !text.contains('\u{2066}'), "{}", text);
            prop_assert!(found.containers.iter().all(|container| is_id(&container.id)));
            prop_assert!(found.volumes.iter().all(|volume| is_name(&volume.name)));
        }
    }
}
