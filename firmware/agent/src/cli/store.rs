//! `cloudy store`: what apps keep in the microcloud.

use super::{Local, text};
use crate::http::encode;
use crate::net::is_plain;
use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};
use std::fmt::Write;

/// What `cloudy store` is told.
#[derive(clap::Args)]
pub struct Store {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Show what is under a key.
    Get {
        #[command(flatten)]
        place: Place,
    },
    /// Set a key to a text, in place of all values that are shown here.
    Put {
        #[command(flatten)]
        place: Place,
        /// The text.
        value: String,
        /// Only if the key is as it was when it had this context (ETag).
        #[arg(long)]
        if_match: Option<String>,
        /// Only if there is nothing under the key.
        #[arg(long, conflicts_with = "if_match")]
        new: bool,
    },
    /// Delete a key's value.
    Delete {
        #[command(flatten)]
        place: Place,
    },
    /// Count a counter up or down.
    Add {
        #[command(flatten)]
        place: Place,
        /// By how much.
        #[arg(allow_negative_numbers = true)]
        by: i64,
    },
    /// Put an element into a set.
    Insert {
        #[command(flatten)]
        place: Place,
        /// The element.
        element: String,
    },
    /// Take an element out of a set.
    Take {
        #[command(flatten)]
        place: Place,
        /// The element.
        element: String,
    },
    /// Show an app's keys; without an app: the apps.
    List {
        /// The app.
        app: Option<String>,
        /// Go on after this key.
        #[arg(long, default_value = "")]
        after: String,
        #[command(flatten)]
        local: Local,
    },
    /// Make a token by which an app uses its store over the network.
    Token {
        /// The app.
        app: String,
        #[command(flatten)]
        local: Local,
    },
    /// Take all tokens of an app back.
    Revoke {
        /// The app.
        app: String,
        #[command(flatten)]
        local: Local,
    },
    /// Show the full name of an app that this node owns: who writes in it is said by `cloudy store writers`.
    Own {
        /// The first part of its name.
        label: String,
        #[command(flatten)]
        local: Local,
    },
    /// Say who may write in an app that this node owns; without ids: every member.
    Writers {
        /// The app's full name.
        app: String,
        /// Ids of nodes or owners.
        ids: Vec<String>,
        /// Nobody but the owner.
        #[arg(long, conflicts_with = "ids")]
        nobody: bool,
        #[command(flatten)]
        local: Local,
    },
}

/// A key of an app.
#[derive(clap::Args)]
struct Place {
    /// The app.
    app: String,
    /// The key.
    key: String,
    #[command(flatten)]
    local: Local,
}

impl Place {
    fn path(&self) -> String {
        format!("/api/v1/store/{}/{}", encode(&self.app), encode(&self.key))
    }

    async fn change(&self, change: &Value) -> Result<()> {
        let answer = self.local.client().post(&self.path(), change).await?;
        self.local.show(&answer, |answer| Ok(format!("It is on this node's disk; its context is {}.", text(answer, "etag"))))
    }
}

impl Store {
    /// Does it.
    ///
    /// # Errors
    /// The agent does not answer, or refuses.
    pub async fn run(self) -> Result<()> {
        match self.what {
            What::Get { place } => {
                let answer = place.local.client().get(&place.path()).await?;
                place.local.show(&answer, |answer| Ok(shown(answer)))
            }
            What::Put { place, value, if_match, new } => {
                let none = new.then_some("*");
                place.change(&json!({ "put": value, "if-match": if_match, "if-none-match": none })).await
            }
            What::Delete { place } => place.change(&json!({ "delete": true })).await,
            What::Add { place, by } => place.change(&json!({ "add": by })).await,
            What::Insert { place, element } => place.change(&json!({ "insert": element })).await,
            What::Take { place, element } => place.change(&json!({ "take": element })).await,
            What::List { app: None, local, .. } => {
                let answer = local.client().get("/api/v1/store").await?;
                local.show(&answer, |answer| Ok(lines(answer.get("apps"))))
            }
            What::List { app: Some(app), after, local } => {
                let query = serde_urlencoded::to_string([("after", after)])?;
                let answer = local.client().get(&format!("/api/v1/store/{}?{query}", encode(&app))).await?;
                local.show(&answer, |answer| {
                    let mut out = String::new();
                    for key in answer.get("keys").and_then(Value::as_array).into_iter().flatten() {
                        write!(
                            out,
                            "{}\n{}",
                            printable(&text(key, "key")),
                            shown(key).lines().fold(String::new(), |all, line| all + "  " + line + "\n")
                        )?;
                    }
                    if let Some(next) = answer.get("next").and_then(Value::as_str) {
                        writeln!(out, "There is more: --after {next}")?;
                    }
                    Ok(out.trim_end().to_owned())
                })
            }
            What::Token { app, local } => {
                let answer = local.client().post(&format!("/api/v1/store-token/{}", encode(&app)), &json!({})).await?;
                local.show(&answer, |answer| {
                    Ok(format!("{}\nThe app shows it as `Authorization: Bearer TOKEN`; it is not shown again.", text(answer, "token")))
                })
            }
            What::Revoke { app, local } => {
                let answer = local.client().delete(&format!("/api/v1/store-token/{}", encode(&app))).await?;
                local.show(&answer, |answer| {
                    Ok(format!("{} tokens open nothing any more.", answer.get("revoked").and_then(Value::as_u64).unwrap_or(0)))
                })
            }
            What::Own { label, local } => {
                let answer = local.client().get(&format!("/api/v1/store-own/{}", encode(&label))).await?;
                local.show(&answer, |answer| Ok(text(answer, "app")))
            }
            What::Writers { app, ids, nobody, local } => {
                let only = (nobody || !ids.is_empty()).then_some(ids);
                let path = format!("/api/v1/store-writers/{}", encode(&app));
                let answer = local.client().put(&path, &json!({ "only": only })).await?;
                local.show(&answer, |answer| Ok(format!("Who may write in `{}` is said to all members.", text(answer, "app"))))
            }
        }
    }
}

fn lines(values: Option<&Value>) -> String {
    let one = |value: &Value| value.as_str().map_or_else(|| value.to_string(), printable);
    values.and_then(Value::as_array).map(|all| all.iter().map(one).collect::<Vec<_>>().join("\n")).unwrap_or_default()
}

/// What others wrote, so that it is read and can't steer the terminal.
fn printable(text: &str) -> String {
    let steers = |c: char| !matches!(c, '\n' | '\t') && (!is_plain(c) || matches!(c, '\u{200e}' | '\u{200f}'));
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

/// A value for people: concurrent values one a line.
fn shown(answer: &Value) -> String {
    let counter = answer.get("counter").filter(|counter| !counter.is_null()).map(ToString::to_string).unwrap_or_default();
    let parts = [lines(answer.get("values")), counter, lines(answer.get("set"))];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_is_read_and_steers_no_terminal() {
        let shown =
            shown(&json!({ "values": ["brot\n\tmilk · pa", "\u{1b}[2Jx\u{9b}\u{202e}y"], "set": [{ "base64": "AA==" }], "counter": -3 }));
        assert_eq!(shown, "brot\n\tmilk · pa\n\\u{1b}[2Jx\\u{9b}\\u{202e}y\n-3\n{\"base64\":\"AA==\"}");
    }
}
