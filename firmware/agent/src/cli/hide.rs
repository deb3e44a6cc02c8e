//! `cloudy hide` and `show`: services that admins hide from all who search.

use super::{Local, member, text};
use crate::http::{HideWish, encode};
use anyhow::Result;
use clap::Args;
use serde_json::Value;
use std::fmt::Write;

/// What `cloudy hide` is told.
#[derive(Args)]
pub struct Hide {
    /// The node whose service it is: its name, or its id or the beginning of that [default: list what is hidden].
    node: Option<String>,
    /// The service, as `cloudy search` lists it [default: all of that node].
    service: Option<String>,
    /// Why, which all may read.
    #[arg(long, requires = "node")]
    reason: Option<String>,
    #[command(flatten)]
    local: Local,
}

/// What `cloudy show` is told.
#[derive(Args)]
pub struct Show {
    /// The node whose service it is: its name, or its id or the beginning of that.
    node: String,
    /// The service [default: all of that node].
    service: Option<String>,
    #[command(flatten)]
    local: Local,
}

impl Hide {
    /// Hides it, or lists what is hidden.
    ///
    /// # Errors
    /// The agent does not answer, or refuses.
    pub async fn run(self) -> Result<()> {
        let Self { node, service, reason, local } = self;
        let Some(name) = node else {
            return local.show(&local.client().list("/api/v1/hidden", "hidden").await?, list);
        };
        let node = member(&local.client().nodes().await?, &name)?;
        let answer = local.client().put(&path(&node, service.as_deref()), &HideWish { reason }).await?;
        let next = match &service {
            Some(service) => format!("cloudy show {name} {service}"),
            None => format!("cloudy show {name}"),
        };
        local.show(&answer, |answer| Ok(format!("Hidden from all who search: {}. To undo it: `{next}`", what(answer))))
    }
}

impl Show {
    /// Shows it again.
    ///
    /// # Errors
    /// The agent does not answer, or refuses.
    pub async fn run(self) -> Result<()> {
        let Self { node: name, service, local } = self;
        // What a node published that is no member any more is named by its whole id.
        let whole = name.len() == 64 && name.bytes().all(|digit| digit.is_ascii_hexdigit());
        let node = if whole { name } else { member(&local.client().nodes().await?, &name)? };
        let answer = local.client().delete(&path(&node, service.as_deref())).await?;
        local.show(&answer, |answer| {
            Ok(match answer.get("hidden").filter(|mark| mark.is_object()) {
                Some(mark) => format!("This node hides it no more, but it stays hidden: {}.", words(mark)),
                None => "It is shown to all again.".to_owned(),
            })
        })
    }
}

fn path(node: &str, service: Option<&str>) -> String {
    let service = service.map(|service| format!("/{}", encode(service))).unwrap_or_default();
    format!("/api/v1/hidden/{node}{service}")
}

/// A name, or the beginning of the id where there is none.
fn called(entry: &Value, name: &str, id: &str) -> String {
    let name = text(entry, name);
    if name.is_empty() { text(entry, id).chars().take(8).collect() } else { name }
}

fn what(entry: &Value) -> String {
    let node = called(entry, "node-name", "node");
    match entry.get("key").and_then(Value::as_str) {
        Some(key) => format!("`{key}` of {node}"),
        None => format!("all services of {node}"),
    }
}

/// Who hides a service, and why.
pub fn words(mark: &Value) -> String {
    let reason = mark.get("reason").and_then(Value::as_str).map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("hidden for all by {}{reason}", called(mark, "by-name", "by"))
}

fn list(answer: &Value) -> Result<String> {
    let mut out = String::new();
    for entry in answer.get("hidden").and_then(Value::as_array).into_iter().flatten() {
        writeln!(out, "{}, {}", what(entry), words(entry))?;
    }
    if out.is_empty() {
        out.push_str("Nothing is hidden for all. An admin's node hides something: `cloudy hide NODE SERVICE --reason WHY`");
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_hidden_is_said_with_who_hides_it_and_why() {
        let one = json!({ "node": "ab".repeat(32), "node-name": "", "key": "wiki", "by": "0f", "by-name": "garden", "reason": "spam" });
        let all = json!({ "node": "ab".repeat(32), "node-name": "roof", "key": null, "by": "0f", "by-name": "garden", "reason": null });
        let said = list(&json!({ "hidden": [one, all] })).unwrap();
        assert_eq!(said, "`wiki` of abababab, hidden for all by garden: spam\nall services of roof, hidden for all by garden\n");
        assert_eq!((path("ab", Some("a.b")), path("ab", None)), ("/api/v1/hidden/ab/a.b".to_owned(), "/api/v1/hidden/ab".to_owned()));
    }
}
