//! cloudy: its agent, and its API as the poller uses it.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::net::Node;
use crate::ask;

const PAGE_PORT: u16 = 8080;
const PORT: u16 = 4747;

/// Starts an agent that founds a community, or joins by `token`.
pub fn start(node: &Node, number: usize, folder: &Path, token: Option<&str>) -> Result<Child> {
    agent(node, number, folder, token)?.spawn().context("failed to start cloudy")
}

/// The command that starts it.
pub fn agent(node: &Node, number: usize, folder: &Path, token: Option<&str>) -> Result<Command> {
    fs::create_dir_all(folder)?;
    let how = token.map_or_else(|| "found = \"Bench\"".to_owned(), |token| format!("token = \"{token}\""));
    fs::write(folder.join("cloudy.toml"), format!("hostname = \"n{number}\"\n[join]\n{how}\nmdns = false\n"))?;
    let log = File::create(folder.join("log"))?;
    let mut command = node.command(&format!("{}/cloudy", super::INSIDE));
    command.args(["agent", "--broker", "/nonexistent/broker.sock", "--data", &folder.display().to_string()]);
    command.args(["--http", &format!("{}:{PAGE_PORT}", node.address), "--bind", &format!("{}:{PORT}", node.address)]);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Ok(command)
}

/// Where a node's page is.
pub fn page(node: &Node) -> Result<SocketAddr> {
    Ok(format!("{}:{PAGE_PORT}", node.address).parse()?)
}

/// An invite for so many nodes.
pub fn invite(folder: &Path, uses: usize) -> Result<String> {
    let answer = ask::post(&folder.join("agent.sock"), "/api/v1/invite", &json!({ "uses": uses, "valid-seconds": null }))?;
    answer["token"].as_str().map(str::to_owned).context("no token")
}

/// How many members a node holds for alive, itself included.
pub fn alive(node: &Node) -> Result<usize> {
    let (mut count, mut after) = (0, String::new());
    loop {
        let nodes: Value = ask::get(page(node)?, &format!("/api/v1/nodes?after={after}"))?;
        let members = nodes["members"].as_array().context("no members")?;
        count += members.iter().filter(|member| member["state"] == "alive").count();
        match nodes["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => return Ok(count),
        }
    }
}

/// What a service says of itself where nothing depends on it.
pub const TEXT: &str = "hello";

/// Publishes a service.
pub fn publish(folder: &Path, name: &str, text: &str) -> Result<()> {
    let service = json!({ "key": name, "title": name, "description": text });
    ask::post(&folder.join("agent.sock"), "/api/v1/services", &service).map(drop)
}

/// How many services a node finds.
pub fn count(node: &Node) -> Result<usize> {
    let (mut count, mut after) = (0, String::new());
    loop {
        let found: Value = ask::get(page(node)?, &format!("/api/v1/services?after={after}"))?;
        count += found["services"].as_array().context("no services")?.len();
        match found["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => return Ok(count),
        }
    }
}

/// Makes somebody the owner of a node and logs them in; the cookie of the session.
pub fn owner(node: &Node, folder: &Path, name: &str, password: &str) -> Result<String> {
    ask::post(&folder.join("agent.sock"), "/api/v1/users", &json!({ "name": name, "role": "owner", "password": password }))?;
    let opened = ask::post_page(page(node)?, "/api/v1/session", &json!({ "name": name, "password": password }))?;
    let cookie = opened.header("set-cookie").and_then(|cookie| cookie.split(';').next());
    cookie.map(str::to_owned).context("no session was opened")
}

/// Makes somebody the owner of a node; a token by which a program reads what they may, and the root of the node's certificates in PEM.
pub fn reader(node: &Node, folder: &Path, name: &str, password: &str) -> Result<(String, String)> {
    let socket = folder.join("agent.sock");
    ask::post(&socket, "/api/v1/users", &json!({ "name": name, "role": "owner", "password": password }))?;
    let made = ask::post(&socket, &format!("/api/v1/users/{name}/tokens"), &json!({ "scope": "read", "label": "load" }))?;
    let https = ask::get(page(node)?, "/api/v1/https")?;
    let text = |value: &Value, key: &str| value[key].as_str().map(str::to_owned).with_context(|| format!("no {key}"));
    Ok((text(&made, "token")?, text(&https, "root")?))
}

/// The titles of what is published, as a node says.
pub fn published(node: &Node, name: &str) -> Result<bool> {
    let found: Value = ask::get(page(node)?, &format!("/api/v1/services?text={name}"))?;
    let services = found["services"].as_array().context("no services")?;
    Ok(services.iter().any(|service| service["title"] == name))
}
