//! Who asks, and what the document says that they may ask.

use std::fmt;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Value, json};

use crate::ask;

/// The API's document, as the node serves it.
pub const DOCUMENT: &str = "firmware/agent/assets/openapi.json";
/// How long a stream may take to begin.
const BEGIN: Duration = Duration::from_secs(20);

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Without a token.
    Nobody,
    /// With a token to read.
    Guest,
    /// With a token for apps.
    Operator,
    /// With an owner's token.
    Owner,
    /// Over the node's own socket.
    Local,
}

impl Role {
    /// Those who may do least come first.
    pub const ALL: [Self; 5] = [Self::Nobody, Self::Guest, Self::Operator, Self::Owner, Self::Local];

    fn scope(self) -> Option<&'static str> {
        match self {
            Self::Nobody | Self::Local => None,
            Self::Guest => Some("read"),
            Self::Operator => Some("apps"),
            Self::Owner => Some("admin"),
        }
    }

    /// A new token, where the role has one.
    pub fn token(self, socket: &Path) -> Result<Option<String>> {
        let Some(scope) = self.scope() else { return Ok(None) };
        let said = ask::post(socket, &format!("/api/v1/users/{self}/tokens"), &json!({ "scope": scope }))?;
        Ok(Some(said["token"].as_str().context("no token")?.to_owned()))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nobody => "nobody",
            Self::Guest => "guest",
            Self::Operator => "operator",
            Self::Owner => "owner",
            Self::Local => "local",
        })
    }
}

/// Makes a person for each role.
pub fn people(socket: &Path) -> Result<()> {
    for role in Role::ALL.into_iter().filter(|role| role.scope().is_some()) {
        let person = json!({ "name": role.to_string(), "role": role, "password": format!("a password of {role}") });
        ask::post(socket, "/api/v1/users", &person)?;
    }
    Ok(())
}

/// An operation of the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    pub id: String,
    pub method: String,
    pub path: String,
    /// Only over the node's own socket.
    pub local: bool,
}

/// All operations.
pub fn document(repo: &Path) -> Result<Vec<Operation>> {
    let path = repo.join(DOCUMENT);
    let bytes = fs::read(&path).with_context(|| format!("failed to read `{}`", path.display()))?;
    operations(&serde_json::from_slice(&bytes).context("the API's document is no JSON")?)
}

fn operations(document: &Value) -> Result<Vec<Operation>> {
    let paths = document["paths"].as_object().context("the API's document has no paths")?;
    let mut found = Vec::new();
    for (path, methods) in paths {
        for (method, said) in methods.as_object().context("a path of the API's document has no methods")? {
            if let Some(id) = said["operationId"].as_str() {
                found.push(Operation {
                    id: id.to_owned(),
                    method: method.to_uppercase(),
                    path: path.clone(),
                    local: said.get("servers").is_some(),
                });
            }
        }
    }
    ensure!(!found.is_empty(), "the API's document has no operations");
    Ok(found)
}

/// Reads the beginning of each stream over the node's own socket; those that began as they must.
pub fn streams(socket: &Path) -> Result<Vec<String>> {
    let jobs = told(socket, "/api/v1/jobs?limit=1", "\r\n\r\n{")?;
    let id = jobs.split("\"id\":").nth(1).and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()).context("no job was made")?;
    let apps = told(socket, "/api/v1/apps?limit=1", "\r\n\r\n{")?;
    let name = apps.split("\"name\":\"").nth(1).and_then(|rest| rest.split('"').next()).context("no app is installed")?;
    let mut read = Vec::new();
    for (stream, path, has) in super::STREAMS {
        told(socket, &path.replace("{id}", id).replace("{name}", name), has)?;
        read.push(stream.to_owned());
    }
    Ok(read)
}

/// What is answered, as soon as it says that it must.
fn told(socket: &Path, path: &str, has: &str) -> Result<String> {
    let mut stream = UnixStream::connect(socket).context("failed to reach the node")?;
    stream.set_read_timeout(Some(BEGIN))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream, application/json\r\n\r\n")?;
    let (begun, mut text, mut piece) = (Instant::now(), String::new(), [0; 4096]);
    while !(text.starts_with("HTTP/1.1 200") && text.contains(has)) {
        let read = stream.read(&mut piece).with_context(|| format!("`{path}` begins with {text:?}"))?;
        if read == 0 || begun.elapsed() > BEGIN {
            bail!("`{path}` says {text:?}");
        }
        text += &String::from_utf8_lossy(&piece[..read]);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_read_from_the_document_and_those_of_the_socket_are_told_apart() {
        let said = json!({ "paths": { "/a/{b}": {
            "get": { "operationId": "seen" }, "put": { "operationId": "set", "servers": [{ "url": "unix" }] }, "parameters": []
        } } });
        let found = operations(&said).unwrap();
        let has = |id: &str, method: &str, local| found.iter().any(|one| one.id == id && one.method == method && one.local == local);
        assert!(found.len() == 2 && has("seen", "GET", false) && has("set", "PUT", true), "{found:?}");
        assert!(operations(&json!({ "paths": {} })).is_err());
    }
}
