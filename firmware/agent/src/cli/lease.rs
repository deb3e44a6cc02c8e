//! `cloudy lease …`: apps on somebody else's node, by offer and consent.

use super::{Local, text};
use crate::http::{LeaseDecision, LeaseWord, encode};
use crate::leases::{Consent, Policy, Wanted, Wish};
use anyhow::{Context, Result, bail};
use clap::Subcommand;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::ExitCode;

/// `cloudy lease`.
#[derive(clap::Args)]
pub struct LeaseArgs {
    #[command(subcommand)]
    verb: LeaseVerb,
}

#[derive(Subcommand)]
enum LeaseVerb {
    /// Offer an app of this node's catalog to another node, whose owner is asked.
    Offer {
        /// The app.
        app: String,
        /// The other node: its name, or the beginning of its id.
        #[arg(long, conflicts_with = "copies", required_unless_present = "copies")]
        node: Option<String>,
        /// Or so many nodes: the owner's own first, then those with the most free memory.
        #[arg(long)]
        copies: Option<u16>,
        /// A setting of the app.
        #[arg(long = "set", value_name = "NAME=VALUE")]
        settings: Vec<String>,
        /// Nobody else may run it meanwhile: it stops there when that node can't reach this one for the term.
        #[arg(long)]
        exclusive: bool,
        /// How long it runs there without hearing of this node.
        #[arg(long)]
        term_seconds: Option<u32>,
        /// Words to the other node's owner.
        #[arg(long, default_value = "")]
        note: String,
        #[command(flatten)]
        local: Local,
    },
    /// Keep copies of an app on other nodes: one whose node is gone for five minutes is made elsewhere.
    Keep {
        /// The app.
        app: String,
        /// How many, the owner's own nodes first; 0 takes all of them back.
        #[arg(long)]
        copies: u16,
        /// A setting of the app; without any it is set as before.
        #[arg(long = "set", value_name = "NAME=VALUE")]
        settings: Vec<String>,
        /// How long each runs without hearing of this node.
        #[arg(long)]
        term_seconds: Option<u32>,
        /// Words to the other nodes' owners.
        #[arg(long, default_value = "")]
        note: String,
        #[command(flatten)]
        local: Local,
    },
    /// List what this node runs for others, what others run for it, and what is asked.
    Ls(Local),
    /// Run here what was offered.
    Accept {
        /// The lease, or the beginning of its id.
        id: String,
        #[command(flatten)]
        local: Local,
    },
    /// Do not.
    Refuse {
        /// The lease, or the beginning of its id.
        id: String,
        #[command(flatten)]
        local: Local,
    },
    /// End a lease, on whichever side, or take an offer back. What the app keeps stays where it ran.
    End {
        /// The lease, or the beginning of its id.
        id: String,
        #[command(flatten)]
        local: Local,
    },
    /// Say what becomes of a node's offers before anybody looks at them.
    Consent {
        /// What.
        consent: Consent,
        /// The node: its name, or the beginning of its id; all that are not named without.
        #[arg(long)]
        node: Option<String>,
        /// Apps of others that run here at most.
        #[arg(long)]
        most: Option<u16>,
        #[command(flatten)]
        local: Local,
    },
}

impl LeaseArgs {
    /// Does what was asked.
    ///
    /// # Errors
    /// The agent does not answer, or refuses.
    pub async fn run(self) -> Result<ExitCode> {
        match self.verb {
            LeaseVerb::Offer { app, node, copies, settings, exclusive, term_seconds, note, local } => {
                let node = match node {
                    Some(node) => Some(whole_node(&local, &node).await?),
                    None => None,
                };
                let wish = Wish { app, node, copies, settings: pairs(&settings)?, exclusive, term_seconds, note };
                let offered = local.client().post("/api/v1/leases", &wish).await?;
                local.show(&offered, |offered| {
                    let ids = offered.get("leases").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
                    Ok(format!("Offered: {}\nNext: `cloudy lease ls` shows whether its owner agrees", ids.collect::<Vec<_>>().join(", ")))
                })?;
            }
            LeaseVerb::Keep { app, copies, settings, term_seconds, note, local } => {
                let settings = if settings.is_empty() { None } else { Some(pairs(&settings)?) };
                let wanted = Wanted { replicas: copies, settings, term_seconds, note };
                local.show(&local.client().put(&format!("/api/v1/replicas/{}", encode(&app)), &wanted).await?, list)?;
            }
            LeaseVerb::Ls(local) => local.show(&local.client().get("/api/v1/leases").await?, list)?,
            LeaseVerb::Accept { id, local } => decide(&local, &id, LeaseWord::Accept).await?,
            LeaseVerb::Refuse { id, local } => decide(&local, &id, LeaseWord::Refuse).await?,
            LeaseVerb::End { id, local } => decide(&local, &id, LeaseWord::End).await?,
            LeaseVerb::Consent { consent, node, most, local } => {
                let now = local.client().get("/api/v1/leases").await?;
                let policy = now.get("policy").cloned().unwrap_or_default();
                let mut policy: Policy =
                    serde_json::from_value(policy).context("the agent answers with a policy that this version does not know")?;
                match node {
                    Some(node) => drop(policy.nodes.insert(whole_node(&local, &node).await?, consent)),
                    None => policy.others = consent,
                }
                policy.most = most.unwrap_or(policy.most);
                local.show(&local.client().put("/api/v1/lease-policy", &policy).await?, list)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn pairs(settings: &[String]) -> Result<BTreeMap<String, String>> {
    let pair = |setting: &String| {
        let (name, value) = setting.split_once('=').with_context(|| format!("`{setting}` is no setting: write NAME=VALUE"))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    settings.iter().map(pair).collect()
}

/// The one of `all` that is called so or begins so.
fn the_one(all: impl Iterator<Item = (String, String)>, said: &str, what: &str) -> Result<String> {
    let fits = |(id, name): &(String, String)| id.starts_with(said) || *name == said;
    let found: Vec<String> = all.filter(fits).map(|(id, _)| id).collect();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => bail!("there is no {what} `{said}`"),
        several => bail!("`{said}` may be {} {what}s: say more of the id", several.len()),
    }
}

async fn whole_node(local: &Local, said: &str) -> Result<String> {
    let view = local.client().nodes().await?;
    let members = view.get("members").and_then(Value::as_array).into_iter().flatten();
    the_one(members.map(|member| (text(member, "id"), text(member, "name"))), said, "node")
}

async fn decide(local: &Local, said: &str, decision: LeaseWord) -> Result<()> {
    let now = local.client().get("/api/v1/leases").await?;
    let of = |side: &str| now.get(side).and_then(Value::as_array).cloned().unwrap_or_default();
    let all = [of("held"), of("given")].concat();
    let id = the_one(all.iter().map(|lease| (text(lease, "id"), String::new())), said, "lease")?;
    local.show(&local.client().put(&format!("/api/v1/leases/{id}"), &LeaseDecision { decision }).await?, list)
}

fn list(answer: &Value) -> Result<String> {
    let mut out = String::new();
    let of = |side: &str| answer.get(side).and_then(Value::as_array).cloned().unwrap_or_default();
    let line = |out: &mut String, lease: &Value, app: &str, with: &str| {
        let exclusive = if lease.get("exclusive") == Some(&Value::Bool(true)) { ", exclusive" } else { "" };
        let why = text(lease, "why");
        let because = if why.is_empty() { String::new() } else { format!("\n    {why}") };
        let node = if text(lease, "node-name").is_empty() { text(lease, "node") } else { text(lease, "node-name") };
        writeln!(out, "{:<10} {app:<16} {with} {node}{exclusive}\n    {}{because}", text(lease, "state"), text(lease, "id"))
    };
    for lease in of("held") {
        line(&mut out, &lease, &lease.get("app").map(|app| text(app, "name")).unwrap_or_default(), "here for")?;
        if text(&lease, "state") == "asked" {
            let settings: Vec<&str> =
                lease.get("settings").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
            writeln!(out, "    says: {}\n    sets: {}", text(&lease, "note"), settings.join(", "))?;
        }
    }
    for lease in of("given") {
        line(&mut out, &lease, &text(&lease, "app"), "on")?;
    }
    for kept in of("replicas") {
        let number = |name: &str| kept.get(name).and_then(Value::as_u64).unwrap_or(0);
        writeln!(
            out,
            "{:<10} {:<16} {} of {} run, {} coming, {} gone, {} more than could be asked",
            "kept",
            text(&kept, "app"),
            number("running"),
            number("wanted"),
            number("coming"),
            number("gone"),
            number("missing")
        )?;
        if !text(&kept, "why").is_empty() {
            writeln!(out, "    {}", text(&kept, "why"))?;
        }
    }
    if out.is_empty() {
        out.push_str("Nothing runs on another's node. Next: `cloudy lease offer APP --node NODE`");
    }
    Ok(out)
}
