//! A Docker that is played for tests: what its API says of containers, networks, volumes and images, kept in memory. It can be cut at any
//! change, before or after it was done.

use axum::Router;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::net::UnixListener;

/// Where it is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The how-manieth change.
    pub at: usize,
    /// Whether it is done all the same.
    pub done: bool,
}

/// What there is.
#[derive(Debug, Default)]
pub struct Has {
    /// Id → what it was made of, with `Name`, `Status`, and `Net`: the network's id since it was started. One that was made by hand has
    /// `Inspect` too: what Docker tells of it.
    pub containers: BTreeMap<String, Value>,
    /// Name → what it was made of, with `Id`.
    pub networks: BTreeMap<String, Value>,
    pub volumes: BTreeMap<String, Value>,
    /// What volumes hold in few bytes, by name.
    pub held: BTreeMap<String, Vec<u8>>,
    /// Names of images.
    pub images: Vec<String>,
    /// All changes that were asked for: `POST /containers/create?name=x`.
    pub changes: Vec<String>,
    /// How health is once a container runs.
    pub health: &'static str,
    pub cut: Option<Cut>,
    /// Volume → the tar that it holds, without its first header.
    pub contents: BTreeMap<String, Vec<u8>>,
    /// Whether what is written to a volume is not what is read there.
    pub corrupts: bool,
    /// Whether somebody starts what was made by hand, and stops it again, whenever a volume is filled.
    pub meddled: bool,
    /// So many lists more say that what was stopped runs.
    pub lag: usize,
    /// Volume → how large Docker says it is; where there is none, Docker counts nothing.
    pub sizes: BTreeMap<String, i64>,
    /// Where Docker says that all of its lies.
    pub root: String,
    made: usize,
}

/// The played Docker.
#[derive(Clone, Default)]
pub struct Played(Arc<Mutex<Has>>);

impl Played {
    /// Answers at a socket, and has this image.
    pub fn serve(socket: &Path, image: &str) -> Self {
        let played = Self::default();
        played.with(|has| (has.images, has.health) = (vec![image.to_owned()], "healthy"));
        let (listener, answers) = (UnixListener::bind(socket).unwrap(), played.clone());
        let router = Router::new().fallback(move |request: Request| answers.clone().answer(request));
        tokio::spawn(async move { axum::serve(listener, router).await });
        played
    }

    pub fn with<T>(&self, look: impl FnOnce(&mut Has) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }

    async fn answer(self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let raw = to_bytes(body, 1 << 20).await.unwrap_or_default();
        let body: Value = serde_json::from_slice(&raw).unwrap_or_default();
        let path = parts.uri.path().to_owned();
        let path = if path.starts_with("/v1.") { path.splitn(3, '/').nth(2).unwrap_or_default() } else { path.trim_start_matches('/') };
        let query: BTreeMap<String, String> = serde_urlencoded::from_str(parts.uri.query().unwrap_or_default()).unwrap();
        if path == "events" {
            // Nothing happens, and the connection stays.
            return std::future::pending().await;
        }
        self.with(|has| {
            if parts.method == Method::GET && path.ends_with("/archive") {
                return has.archive(path, &query["path"]);
            }
            if parts.method == Method::GET {
                return has.get(path, &query);
            }
            has.changes.push(format!("{} /{path}{}", parts.method, parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default()));
            let cut = has.cut.filter(|cut| cut.at == has.changes.len());
            if cut.is_some_and(|cut| !cut.done) {
                return failure(StatusCode::INTERNAL_SERVER_ERROR, "cut");
            }
            let answer = match path.ends_with("/archive") {
                true => has.fill(path, &query["path"], &raw),
                false => has.change(&parts.method, path, &query, body),
            };
            if cut.is_some() { failure(StatusCode::INTERNAL_SERVER_ERROR, "cut") } else { answer }
        })
    }
}

/// Whether something carries the labels that are asked for.
fn labelled(thing: &Value, query: &BTreeMap<String, String>) -> bool {
    let filters: Value = query.get("filters").and_then(|filters| serde_json::from_str(filters).ok()).unwrap_or_default();
    filters["label"].as_array().into_iter().flatten().filter_map(Value::as_str).all(|wanted| match wanted.split_once('=') {
        Some((label, value)) => thing["Labels"][label] == value,
        None => thing["Labels"][wanted].is_string(),
    })
}

/// What Docker numbers an image by its name.
pub fn image_id(name: &str) -> String {
    contract::oci::Digest::of(name.as_bytes()).to_string()
}

fn failure(status: StatusCode, message: &str) -> Response {
    (status, json!({ "message": message }).to_string()).into_response()
}

fn said(value: &Value) -> Response {
    value.to_string().into_response()
}

fn nothing() -> Response {
    failure(StatusCode::NOT_FOUND, "no such thing")
}

fn done() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

impl Has {
    /// The volume that a container has there.
    fn volume_at(&self, path: &str, target: &str) -> Option<String> {
        let id = path.split('/').nth(1)?;
        let mounts = self.containers.get(id)?["HostConfig"]["Mounts"].as_array()?;
        let its = mounts.iter().find(|mount| mount["Target"] == target.trim_end_matches("/."))?;
        self.volumes.contains_key(its["Source"].as_str()?).then(|| its["Source"].as_str().unwrap_or_default().to_owned())
    }

    /// A tar, whose first header is never the same.
    fn archive(&mut self, path: &str, target: &str) -> Response {
        let Some(volume) = self.volume_at(path, target) else { return nothing() };
        if let Some(held) = self.held.get(&volume) {
            return held.clone().into_response();
        }
        self.made += 1;
        let mut tar = format!("{:0512}", self.made).into_bytes();
        tar.extend(self.contents.get(&volume).cloned().unwrap_or_else(|| vec![0; 1024]));
        tar.into_response()
    }

    fn fill(&mut self, path: &str, target: &str, tar: &[u8]) -> Response {
        let Some(volume) = self.volume_at(path, target) else { return nothing() };
        if self.meddled {
            for made in self.containers.values_mut().filter(|made| made["Inspect"].is_object()) {
                made["Started"] = json!("2026-01-02T03:04:05Z");
            }
        }
        if tar.len() <= 512 {
            self.held.insert(volume, tar.to_vec());
            return StatusCode::OK.into_response();
        }
        let mut content = tar[512..].to_vec();
        content[0] ^= u8::from(self.corrupts);
        self.contents.insert(volume, content);
        StatusCode::OK.into_response()
    }

    fn get(&mut self, path: &str, query: &BTreeMap<String, String>) -> Response {
        let parts: Vec<&str> = path.split('/').collect();
        match parts.as_slice() {
            ["_ping"] => "OK".into_response(),
            ["info"] => said(&json!({ "DockerRootDir": self.root })),
            ["system", "df"] if query["type"] == "volume" && !self.sizes.is_empty() => {
                let sized = |(name, size)| json!({ "Name": name, "UsageData": { "Size": size, "RefCount": 1 } });
                said(&json!({ "Volumes": self.sizes.iter().map(sized).collect::<Vec<_>>() }))
            }
            ["version"] => said(&json!({ "ApiVersion": "1.45", "Version": "26.1.5" })),
            ["containers", "json"] => {
                let lags = self.lag > 0;
                self.lag = self.lag.saturating_sub(1);
                let running = json!("running");
                let listed = self.containers.iter().filter(|(_, container)| labelled(container, query)).map(|(id, container)| {
                    let network = container["HostConfig"]["NetworkMode"].as_str().unwrap_or_default();
                    let its = container["HostConfig"]["Mounts"].as_array().cloned().unwrap_or_default();
                    let its: Vec<Value> = its.iter().map(|mount| json!({ "Type": mount["Type"], "Name": mount["Source"], "Destination": mount["Target"], "RW": true })).collect();
                    let mounts = if container["Inspect"].is_object() { container["Inspect"]["Mounts"].clone() } else { json!(its) };
                    json!({ "Id": id, "Names": [format!("/{}", container["Name"].as_str().unwrap())], "Labels": container["Labels"],
                        "Image": container["Image"], "ImageID": container["Inspect"]["Image"], "Mounts": mounts,
                        "State": if lags { &running } else { &container["Status"] }, "Status": "", "NetworkSettings": { "Networks": { network: { "NetworkID": container["Net"] } } } })
                });
                said(&listed.collect())
            }
            ["containers", id, "changes"] => said(&self.containers[*id]["Changes"]),
            ["containers", id, "json"] => match self.containers.get(*id) {
                Some(container) if container["Inspect"].is_object() => {
                    let mut inspect = container["Inspect"].clone();
                    inspect["State"] = json!({ "Status": container["Status"], "Running": container["Status"] == "running", "StartedAt": container["Started"] });
                    said(&inspect)
                }
                Some(container) => {
                    let health = json!({ "Status": self.health, "Log": [{ "Output": "no answer" }] });
                    said(&json!({ "Id": id, "State": { "Status": container["Status"], "ExitCode": 1, "Health": health } }))
                }
                None => nothing(),
            },
            ["containers", _, "logs"] => said(&Value::Null),
            ["networks"] => said(&self.networks.values().cloned().collect()),
            ["networks", name] => self.networks.get(*name).map_or_else(nothing, said),
            ["volumes"] => said(&json!({ "Volumes": self.volumes.values().collect::<Vec<_>>(), "Warnings": [] })),
            ["images", "json"] => {
                let image = |name: &String| {
                    let (tags, digests) = if name.contains('@') { (vec![], vec![name]) } else { (vec![name], vec![]) };
                    json!({ "Id": image_id(name), "ParentId": "", "RepoTags": tags, "RepoDigests": digests, "Created": 0, "Size": 0, "SharedSize": 0,
                        "Labels": {}, "Containers": 0 })
                };
                said(&self.images.iter().map(image).collect())
            }
            ["images", ..] => {
                let name = path.trim_start_matches("images/").trim_end_matches("/json").replace("%3A", ":").replace("%40", "@");
                let is = |image: &&String| **image == name.replace("%2F", "/") || image_id(image) == name;
                let found = self.images.iter().find(is);
                found.map_or_else(nothing, |name| said(&json!({ "Id": image_id(name), "RepoTags": [name], "Config": {} })))
            }
            _ => nothing(),
        }
    }

    fn change(&mut self, method: &Method, path: &str, query: &BTreeMap<String, String>, mut body: Value) -> Response {
        self.made += 1;
        let id = format!("id{}", self.made);
        let parts: Vec<&str> = path.split('/').collect();
        match (method.as_str(), parts.as_slice()) {
            ("POST", ["networks", "create"]) => {
                let name = body["Name"].as_str().unwrap().to_owned();
                if self.networks.contains_key(&name) {
                    return failure(StatusCode::CONFLICT, "network exists");
                }
                body["Id"] = json!(id);
                self.networks.insert(name, body);
                said(&json!({ "Id": id, "Warning": "" }))
            }
            ("POST", ["volumes", "create"]) => {
                let name = body["Name"].as_str().unwrap().to_owned();
                let options = body.get("DriverOpts").filter(|options| options.is_object()).cloned().unwrap_or_else(|| json!({}));
                let driver = json!("local");
                (body["Driver"], body["Options"], body["Mountpoint"], body["Scope"]) = (driver, options, json!("/x"), json!("local"));
                let volume = self.volumes.entry(name).or_insert(body);
                said(volume)
            }
            ("POST", ["containers", "create"]) => {
                let name = &query["name"];
                if self.containers.values().any(|other| other["Name"] == *name) {
                    return failure(StatusCode::CONFLICT, "the name is in use");
                }
                (body["Name"], body["Status"], body["Net"]) = (json!(name), json!("created"), json!(""));
                self.containers.insert(id.clone(), body);
                said(&json!({ "Id": id, "Warnings": [] }))
            }
            ("POST", ["containers", id, what @ ("start" | "stop" | "restart")]) => {
                let Some(container) = self.containers.get_mut(*id) else { return nothing() };
                if *what == "stop" {
                    container["Status"] = json!("exited");
                    return done();
                }
                if container["Inspect"].is_object() {
                    container["Status"] = json!("running");
                    return done();
                }
                let Some(network) = container["HostConfig"]["NetworkMode"].as_str().and_then(|name| self.networks.get(name)) else {
                    return failure(StatusCode::NOT_FOUND, "the network is not there");
                };
                (container["Status"], container["Net"]) = (json!("running"), network["Id"].clone());
                done()
            }
            ("POST", ["containers", id, "update"]) => {
                let Some(container) = self.containers.get_mut(*id) else { return nothing() };
                container["Inspect"]["HostConfig"]["RestartPolicy"] = body["RestartPolicy"].clone();
                said(&json!({ "Warnings": [] }))
            }
            ("POST", ["images", "create"]) => {
                self.images.push(query["fromImage"].clone());
                done()
            }
            ("DELETE", ["containers", id]) => self.containers.remove(*id).map_or_else(nothing, |_| done()),
            ("DELETE", ["networks", id]) => {
                self.networks.retain(|_, network| network["Id"] != *id);
                done()
            }
            ("DELETE", ["volumes", name]) => {
                self.contents.remove(*name);
                self.volumes.remove(*name).map_or_else(nothing, |_| done())
            }
            ("DELETE", ["images", ..]) => {
                let name = path.trim_start_matches("images/").replace("%3A", ":").replace("%40", "@").replace("%2F", "/");
                self.images.retain(|image| *image != name);
                said(&json!([]))
            }
            _ => nothing(),
        }
    }
}
