//! The lab's doors: a node, a neighbour and a spare node that is nobody's member, whose APIs are reached from outside over sockets in a
//! folder that is shared with the lab. What asks them there, such as Schemathesis, need not be in the lab.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _, stdin};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::node::{self, Neighbour, Node, docker, is, json, must};
use super::own::IMAGE;
use super::trial::Trial;
use super::{DOORS, LAYOUT};
use crate::cmd::peak_mb;
use crate::relay::{Ends, join};

/// The file in the doors' folder that says that all is ready.
pub const READY: &str = "ready";
/// The file there of all that agents and broker said, once nobody asks any more.
pub const SAID: &str = "node.log";
/// Where something answers that the neighbour publishes: `ci/api` names it too.
const SERVICE: u16 = 8099;
/// Where each leads.
pub const ALL: [&str; 7] = ["page", "socket", "friend", "friend-page", "spare", "spare-page", "docker"];

/// What is seen once nobody asks any more.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Seen {
    /// The most memory that the agent had, in megabytes; none where it has ended.
    pub agent_most_mb: Option<f64>,
    /// What agents and broker said of panics.
    pub panics: Vec<String>,
    /// Whether agent and broker live.
    pub alive: bool,
}

enum Target {
    Page(u16),
    Socket(PathBuf),
}

/// Opens the doors, waits until stdin ends, and prints what was seen.
pub fn inside(trial: &Trial) -> Result<()> {
    let mut node = Node::start()?;
    let name = trial.name.as_str();
    must(&["app", "add", LAYOUT, name])?;
    must(&node::install(trial).iter().map(String::as_str).collect::<Vec<_>>())?;
    is(name, "running")?;
    let image = docker(&["inspect", "--format", "{{.Image}}", &format!("{}-app-1", trial.project)])?;
    ensure!(image.starts_with("sha256:"), "Docker has no container of `{name}`: {image}");
    docker(&["tag", image.trim(), IMAGE])?;
    must(&["app", "remove", name, "--with-data"])?;
    let friend = Neighbour::start("friend", 8089)?;
    let spare = Neighbour::start("spare", 8090)?;
    let token = json(&["invite"])?["token"].as_str().context("an invite has no token")?.to_owned();
    friend.must(&["join", &token])?;
    friend.must(&["app", "add", LAYOUT, name])?;
    for door in ALL {
        let target = match door {
            "page" => Target::Page(8088),
            "socket" => Target::Socket(Path::new(node::DATA).join("agent.sock")),
            "friend" => Target::Socket(friend.socket()),
            "friend-page" => Target::Page(friend.page),
            "spare" => Target::Socket(spare.socket()),
            "spare-page" => Target::Page(spare.page),
            _ => Target::Socket("/var/run/docker.sock".into()),
        };
        open(door, target)?;
    }
    answer(SERVICE)?;
    fs::write(Path::new(DOORS).join(READY), "")?;
    // Who has asked enough closes it.
    stdin().read_to_end(&mut Vec::new())?;
    fs::copy(node::LOG, Path::new(DOORS).join(SAID)).context("failed to hand out what the agents said")?;
    let seen = Seen { agent_most_mb: peak_mb(node.ids().0).ok(), panics: node::panics()?, alive: node.lives()? };
    println!("{}", serde_json::to_string(&seen)?);
    Ok(())
}

/// Something that answers, for the neighbour to publish.
fn answer(port: u16) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).context("failed to listen on loopback")?;
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _gone = stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
        }
    });
    Ok(())
}

fn open(door: &str, target: Target) -> Result<()> {
    let at = Path::new(DOORS).join(door);
    let listener = UnixListener::bind(&at).with_context(|| format!("failed to listen at `{}`", at.display()))?;
    // Whoever started the lab may be somebody else outside.
    fs::set_permissions(&at, Permissions::from_mode(0o666))?;
    std::thread::spawn(move || {
        for outside in listener.incoming().flatten() {
            let inside = match &target {
                Target::Page(port) => TcpStream::connect(("127.0.0.1", *port)).map(Ends::Tcp),
                Target::Socket(path) => UnixStream::connect(path).map(Ends::Unix),
            };
            if let Ok(inside) = inside {
                std::thread::spawn(move || join(Ends::Unix(outside), inside));
            }
        }
    });
    Ok(())
}

/// A URL for each door of a folder, on this host's loopback.
pub fn urls(folder: &Path) -> Result<BTreeMap<&'static str, String>> {
    ALL.into_iter()
        .map(|door| {
            let listener = TcpListener::bind("127.0.0.1:0").context("failed to listen on loopback")?;
            let url = format!("http://{}", listener.local_addr()?);
            let socket = folder.join(door);
            std::thread::spawn(move || {
                for outside in listener.incoming().flatten() {
                    if let Ok(inside) = UnixStream::connect(&socket) {
                        std::thread::spawn(move || join(Ends::Tcp(outside), Ends::Unix(inside)));
                    }
                }
            });
            Ok((door, url))
        })
        .collect()
}
