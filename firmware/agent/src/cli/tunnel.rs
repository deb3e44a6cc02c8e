//! `cloudy open` and `cloudy tunnels …`: services of other nodes, opened through this one.

use super::{Local, member, text};
use crate::http::TunnelWish;
use anyhow::Result;
use clap::Subcommand;
use serde_json::Value;
use std::fmt::Write;

/// What `cloudy open` is told.
#[derive(clap::Args)]
pub struct Open {
    /// The node whose service it is: its name, or its id or the beginning of that.
    node: String,
    /// The service, as `cloudy search` lists it.
    service: String,
    #[command(flatten)]
    local: Local,
}

impl Open {
    /// Opens it.
    ///
    /// # Errors
    /// The agent does not answer, or refuses.
    pub async fn run(self) -> Result<()> {
        let Self { node, service, local } = self;
        let node = member(&local.client().nodes().await?, &node)?;
        let answer = local.client().post("/api/v1/tunnels", &TunnelWish { node, service }).await?;
        local.show(&answer, |answer| Ok(answer.get("tunnel").map(|tunnel| text(tunnel, "address")).unwrap_or_default()))
    }
}

/// `cloudy tunnels`.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct TunnelsArgs {
    #[command(subcommand)]
    verb: Option<TunnelsVerb>,
    #[command(flatten)]
    local: Local,
}

#[derive(Subcommand)]
enum TunnelsVerb {
    /// Close one, with all that goes through it.
    Close {
        /// Its port on this node.
        port: u16,
        #[command(flatten)]
        local: Local,
    },
}

impl TunnelsArgs {
    /// Does what was asked.
    ///
    /// # Errors
    /// The agent does not answer, or refuses.
    pub async fn run(self) -> Result<()> {
        match self.verb {
            None => self.local.show(&self.local.client().list("/api/v1/tunnels", "tunnels").await?, list),
            Some(TunnelsVerb::Close { port, local }) => {
                let answer = local.client().delete(&format!("/api/v1/tunnels/{port}")).await?;
                local.show(&answer, |_| Ok(format!("Nothing is open at port {port} any more.")))
            }
        }
    }
}

fn list(answer: &Value) -> Result<String> {
    let mut out = String::new();
    for tunnel in answer.get("tunnels").and_then(Value::as_array).into_iter().flatten() {
        let number = |key| tunnel.get(key).and_then(Value::as_u64).unwrap_or_default();
        writeln!(out, "{:<24} {:<20} {}", text(tunnel, "service"), text(tunnel, "node-name"), text(tunnel, "address"))?;
        writeln!(
            out,
            "    {} connections; closes after {} minutes without any",
            number("connections"),
            number("idle-left-seconds").div_ceil(60)
        )?;
    }
    if out.is_empty() {
        out.push_str("Nothing of other nodes is open through this one. Next: `cloudy search`, then `cloudy open NODE SERVICE`");
    }
    Ok(out)
}
