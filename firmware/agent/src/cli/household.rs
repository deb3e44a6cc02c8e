//! `cloudy household`: the nodes of one owner.

use super::{Local, member, text};
use crate::http::{HouseholdAnswer, HouseholdWish};
use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::Value;
use std::fmt::Write;

/// What `cloudy household` is told.
#[derive(Args)]
pub struct Household {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    local: Local,
}

#[derive(Subcommand)]
enum Verb {
    /// Make this node the first of your nodes, or by your recovery kit one more of them.
    Begin {
        /// The recovery kit of the node where you began.
        #[arg(long)]
        kit: Option<String>,
        /// Make a new key, whichever is here: nodes of the old one are asked anew.
        #[arg(long, conflicts_with = "kit")]
        new_key: bool,
        #[command(flatten)]
        local: Local,
    },
    /// Say that another node is yours too; that is confirmed there.
    Ask {
        /// Its name, or its id or the beginning of that.
        node: String,
        #[command(flatten)]
        local: Local,
    },
    /// Confirm that this node is of the owner of a node that says so.
    Accept {
        /// That node.
        node: String,
        #[command(flatten)]
        local: Local,
    },
    /// Say that it is not.
    Refuse {
        /// That node.
        node: String,
        #[command(flatten)]
        local: Local,
    },
    /// Say no more that a node is yours too.
    TakeBack {
        /// That node.
        node: String,
        #[command(flatten)]
        local: Local,
    },
    /// Take this node out of your nodes.
    Leave(Local),
    /// Print the recovery kit of the household that began on this node.
    Kit(Local),
}

fn at(node: &str) -> String {
    format!("/api/v1/household/{node}")
}

impl Household {
    /// Does it.
    ///
    /// # Errors
    /// The agent does not answer, or refuses.
    pub async fn run(self) -> Result<()> {
        const ALL: &str = "/api/v1/household";
        match self.verb {
            None => self.local.show(&self.local.client().get(ALL).await?, people),
            Some(Verb::Begin { kit, new_key, local }) => {
                local.show(&local.client().post(ALL, &HouseholdWish { kit, new_key }).await?, |answer| {
                    let kit = text(answer, "kit");
                    let saved = "Save this recovery kit; it makes nodes yours, and is printed again by `cloudy household kit`:";
                    let late = answer.get("late").and_then(Value::as_str).map(|late| format!("\n{late}")).unwrap_or_default();
                    Ok(if kit.is_empty() { "This node is yours.".to_owned() } else { format!("This node is yours. {saved}\n{kit}{late}") })
                })
            }
            Some(Verb::Ask { node, local }) => {
                let id = member(&local.client().nodes().await?, &node)?;
                let answer = local.client().put(&at(&id), &()).await?;
                local.show(&answer, |_| {
                    Ok(format!("Now confirm it there: on its page under Your nodes, or `cloudy household accept` on `{node}`."))
                })
            }
            Some(Verb::Accept { node, local }) => said(&local, &node, true, "This node is yours, as that one is.").await,
            Some(Verb::Refuse { node, local }) => said(&local, &node, false, "It was told that this node is not theirs.").await,
            Some(Verb::TakeBack { node, local }) => {
                let id = member(&local.client().nodes().await?, &node)?;
                local.show(&local.client().delete(&at(&id)).await?, people)
            }
            Some(Verb::Leave(local)) => local.show(&local.client().delete(ALL).await?, |_| Ok("This node is nobody's now.".to_owned())),
            Some(Verb::Kit(local)) => {
                local.show(&local.client().post("/api/v1/household-kit", &()).await?, |answer| Ok(text(answer, "kit")))
            }
        }
    }
}

async fn said(local: &Local, node: &str, yes: bool, done: &str) -> Result<()> {
    let id = member(&local.client().nodes().await?, node)?;
    let answer = local.client().post(&at(&id), &HouseholdAnswer { yes }).await?;
    local.show(&answer, |_| Ok(done.to_owned()))
}

/// A household, as people read it.
fn people(answer: &Value) -> Result<String> {
    let mut out = String::new();
    let list = |key: &str| answer.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let flag = |node: &Value, key: &str| node.get(key) == Some(&Value::Bool(true));
    let short = |node: &Value| text(node, "id").get(..8).unwrap_or_default().to_owned();
    match answer.get("owner").and_then(Value::as_str) {
        None => writeln!(out, "This node is nobody's: `cloudy household begin` makes it yours.")?,
        Some(owner) => writeln!(out, "owner {}; this node is one of {}", owner.get(..8).unwrap_or_default(), list("nodes").len() + 1)?,
    }
    for node in list("nodes") {
        writeln!(out, "{:20} {}  {}", text(&node, "name"), short(&node), if flag(&node, "alive") { "there" } else { "not there" })?;
    }
    for node in list("asked") {
        let how = if flag(&node, "refused") { "said no" } else { "to be confirmed there" };
        writeln!(out, "{:20} {}  {how}", text(&node, "name"), short(&node))?;
    }
    for node in list("asking") {
        let name = text(&node, "name");
        let before = if flag(&node, "refused") { "Refused before: the owner" } else { "The owner" };
        writeln!(
            out,
            "{before} of `{name}` ({0}) says that this node is theirs: `cloudy household accept {0}`, or `refuse`",
            short(&node)
        )?;
    }
    Ok(out)
}
