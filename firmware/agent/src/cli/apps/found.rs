//! `cloudy app found`, `get` and `share`: apps that go from node to node.

use super::Local;
use crate::cli::blob::{bytes, follow};
use crate::cli::text;
use crate::http::{Sharing, encode};
use anyhow::{Result, bail};
use clap::Subcommand;
use serde_json::Value;
use std::fmt::Write;

/// Words of `cloudy app` about other nodes.
#[derive(Subcommand)]
pub enum FoundVerb {
    /// List apps that nodes of the microcloud give.
    Found(Local),
    /// Fetch an app that another node gives into the catalog, and wait until it is there.
    Get {
        /// The app's name, or the hash of its blob.
        app: String,
        /// It takes the place of the app of that name that came from a signed catalog.
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        local: Local,
    },
    /// Give an app of the catalog to the nodes of the microcloud.
    Share {
        /// The app.
        name: String,
        /// Everybody who reaches this node may fetch it.
        #[arg(long)]
        public: bool,
        #[command(flatten)]
        local: Local,
    },
}

impl FoundVerb {
    /// Does what was asked.
    ///
    /// # Errors
    /// The agent does not answer, or refuses.
    pub async fn run(self) -> Result<()> {
        match self {
            Self::Found(local) => local.show(&all(&local).await?, list),
            Self::Get { app, replace, local } => get(&app, replace, &local).await,
            Self::Share { name, public, local } => {
                let answer = local.client().post(&format!("/api/v1/catalog/{}/share", encode(&name)), &Sharing { public }).await?;
                local.show(&answer, |blob| {
                    let size = blob.get("size-bytes").and_then(Value::as_u64).unwrap_or_default();
                    Ok(format!(
                        "{}\n{} to fetch. Next: `cloudy app get {name}` on any node of the microcloud.",
                        text(blob, "hash"),
                        bytes(size)
                    ))
                })
            }
        }
    }
}

async fn all(local: &Local) -> Result<Value> {
    local.client().list("/api/v1/found-apps", "apps").await
}

fn apps(answer: &Value) -> Vec<Value> {
    answer.get("apps").and_then(Value::as_array).cloned().unwrap_or_default()
}

fn name(found: &Value) -> String {
    found.get("app").map(|app| text(app, "name")).unwrap_or_default()
}

fn is(found: &Value, key: &str) -> bool {
    found.get(key) == Some(&Value::Bool(true))
}

fn list(answer: &Value) -> Result<String> {
    let mut out = String::new();
    for found in &apps(answer) {
        let title = found.pointer("/app/title/en").and_then(Value::as_str).unwrap_or_default().to_owned();
        let holders = found.get("holders").and_then(Value::as_array).cloned().unwrap_or_default();
        let givers: Vec<String> = holders.iter().map(|holder| text(holder, "node-name")).collect();
        let how = match (is(found, "in-catalog"), is(found, "known"), is(found, "fits")) {
            (true, ..) => " (in the catalog)".to_owned(),
            (_, _, false) => format!(" (for {})", found.pointer("/app/architecture").and_then(Value::as_str).unwrap_or_default()),
            (_, true, _) => " (the catalog has another version)".to_owned(),
            _ => String::new(),
        };
        let size = found.get("size-bytes").and_then(Value::as_u64).unwrap_or_default();
        writeln!(out, "{:<20} {:>8}  {title}{how}", name(found), bytes(size))?;
        writeln!(out, "    {}  from {}", text(found, "hash"), givers.join(", "))?;
    }
    let none = "No node gives an app. Next: `cloudy app share NAME` on a node that has one in its catalog";
    out.push_str(if out.is_empty() { none } else { "Next: `cloudy app get NAME`" });
    Ok(out)
}

/// The hash of the app of that name: of those for this machine that the catalog has not, the only one.
fn chosen(answer: &Value, app: &str) -> Result<String> {
    let named: Vec<Value> = apps(answer).into_iter().filter(|found| name(found) == app).collect();
    let mut fit: Vec<&Value> = named.iter().filter(|found| is(found, "fits")).collect();
    if fit.len() > 1 {
        fit.retain(|found| !is(found, "in-catalog"));
    }
    match (fit.as_slice(), named.is_empty()) {
        ([one], _) => Ok(text(one, "hash")),
        ([], true) => bail!("no node gives an app `{app}`: `cloudy app found` lists those that there are"),
        ([], false) => bail!("`{app}` is given for other machines only: share it from a node like this one"),
        _ => bail!("nodes give several versions of `{app}`: `cloudy app found` lists them; name one by its hash"),
    }
}

async fn get(app: &str, replace: bool, local: &Local) -> Result<()> {
    let hash = if crate::net::is_hash(app) { app.to_owned() } else { chosen(&all(local).await?, app)? };
    let begun = local.client().post(&format!("/api/v1/found-apps/{hash}?replace={replace}"), &()).await?;
    let state = |here: &Value| here.pointer("/taking/state").and_then(Value::as_str).unwrap_or_default().to_owned();
    let blob = follow(local, begun, |here| state(here) != "wanted").await?;
    let here = blob.get("here").cloned().unwrap_or_default();
    if state(&here) == "refused" {
        bail!("it was fetched, and is not in the catalog: {}", here.pointer("/taking/why").and_then(Value::as_str).unwrap_or_default());
    }
    local.show(&blob, |blob| {
        let name = blob.pointer("/app/name").and_then(Value::as_str).unwrap_or_default();
        Ok(format!("In the catalog now: {name}\nNext: `cloudy app install {name}`"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn of_several_versions_nobody_guesses() {
        let found = |hash: &str, fits: bool, in_catalog: bool| json!({ "hash": hash, "app": { "name": "wiki" }, "fits": fits, "in-catalog": in_catalog });
        let choose = |all: &[Value]| chosen(&json!({ "apps": all }), "wiki").map_err(|error| error.to_string());
        assert_eq!(choose(&[found("a", true, false), found("b", false, false)]), Ok("a".to_owned()));
        assert_eq!(choose(&[found("a", true, true), found("b", true, false)]), Ok("b".to_owned()));
        assert_eq!(choose(&[found("a", true, true)]), Ok("a".to_owned()));
        assert!(choose(&[found("a", true, false), found("b", true, false)]).unwrap_err().contains("several versions"));
        assert!(choose(&[found("a", false, false)]).unwrap_err().contains("other machines"));
        assert!(choose(&[]).unwrap_err().contains("no node gives"));
    }
}
