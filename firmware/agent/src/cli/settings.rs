//! `cloudy settings …` and `cloudy power …`

use super::{Local, text};
use crate::http::{PowerRequest, ResetRequest};
use crate::settings::{NetworkWish, WifiWish, Wish};
use crate::units::Power;
use anyhow::{Context, Result, ensure};
use clap::Subcommand;
use serde_json::Value;
use std::fmt::Write;
use std::path::PathBuf;

/// `cloudy settings`.
#[derive(clap::Args)]
pub struct SettingsArgs {
    #[command(subcommand)]
    verb: SettingsVerb,
}

#[derive(Subcommand)]
enum SettingsVerb {
    /// Show this node's settings.
    Show(Local),
    /// Change them. A change of network or Wi-Fi is taken back after five minutes, or at the next start, unless `cloudy settings keep` is said.
    Set(Box<Set>),
    /// Keep the change that is on trial.
    Keep(Local),
}

#[derive(clap::Args)]
struct Set {
    /// The time zone, such as Europe/Madrid.
    #[arg(long)]
    time_zone: Option<String>,
    /// A fixed address with its network's length, such as 192.168.1.20/24.
    #[arg(long, conflicts_with = "dhcp")]
    address: Option<String>,
    /// The router.
    #[arg(long, requires = "address")]
    gateway: Option<String>,
    /// A name server; may be given several times.
    #[arg(long)]
    dns: Vec<String>,
    /// The router gives the address.
    #[arg(long)]
    dhcp: bool,
    /// The Wi-Fi to join.
    #[arg(long, requires = "country", conflicts_with = "no_wifi")]
    wifi: Option<String>,
    /// A file with the Wi-Fi's key: what stands in a command can be seen by others.
    #[arg(long, requires = "wifi")]
    wifi_key_from: Option<PathBuf>,
    /// The country that the node stands in, such as ES.
    #[arg(long, requires = "wifi")]
    country: Option<String>,
    /// No Wi-Fi any more.
    #[arg(long)]
    no_wifi: bool,
    #[command(flatten)]
    local: Local,
}

impl Set {
    fn wish(&self) -> Result<Wish> {
        let passphrase = match &self.wifi_key_from {
            Some(file) => {
                let key = std::fs::read_to_string(file).with_context(|| format!("reading `{}`", file.display()))?;
                Some(key.trim_end_matches('\n').to_owned())
            }
            None => None,
        };
        let country = self.country.clone().unwrap_or_default();
        ensure!(
            self.dns.is_empty() || self.dhcp || self.address.is_some(),
            "say with the name servers how the address comes: --dhcp, or --address"
        );
        let network = self.dhcp || self.address.is_some();
        let addresses = || NetworkWish { address: self.address.clone(), gateway: self.gateway.clone(), dns: self.dns.clone() };
        Ok(Wish {
            time_zone: self.time_zone.clone(),
            network: network.then(addresses),
            wifi: self.wifi.clone().map(|ssid| WifiWish { ssid, passphrase, country }),
            no_wifi: self.no_wifi,
        })
    }
}

impl SettingsArgs {
    /// Does what was asked.
    ///
    /// # Errors
    /// The agent does not answer, or refuses.
    pub async fn run(self) -> Result<()> {
        match self.verb {
            SettingsVerb::Show(local) => local.show(&local.client().get("/api/v1/settings").await?, shown),
            SettingsVerb::Set(set) => set.local.show(&set.local.client().put("/api/v1/settings", &set.wish()?).await?, shown),
            SettingsVerb::Keep(local) => local.show(&local.client().post("/api/v1/settings/keep", &()).await?, shown),
        }
    }
}

fn shown(answer: &Value) -> Result<String> {
    let or = |key: &str, other: &str| Some(text(answer, key)).filter(|said| !said.is_empty()).unwrap_or_else(|| other.to_owned());
    let list = |key: &str| {
        let all = answer.get(key).and_then(Value::as_array).into_iter().flatten();
        all.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    let mut out = format!("time zone  {}\naddress    {}\n", or("time-zone", "UTC"), or("address", "by DHCP"));
    for (name, said) in [("router", or("gateway", "")), ("dns", list("dns").join(", "))] {
        if !said.is_empty() {
            writeln!(out, "{name:<10} {said}")?;
        }
    }
    writeln!(out, "wi-fi      {}", or("wifi", "none"))?;
    for key in list("ssh-keys") {
        writeln!(out, "ssh        {key}")?;
    }
    if let Some(seconds) = answer.get("trial-seconds").and_then(Value::as_u64) {
        writeln!(out, "A change is on trial: `cloudy settings keep` keeps it, else it is taken back in {seconds} s.")?;
    }
    Ok(out)
}

/// `cloudy power`.
#[derive(clap::Args)]
pub struct PowerArgs {
    /// What to do with this machine.
    action: Power,
    #[command(flatten)]
    local: Local,
}

/// `cloudy factory-reset`.
#[derive(clap::Args)]
pub struct ResetArgs {
    /// This node's name: who erases a node says which.
    name: String,
    #[command(flatten)]
    local: Local,
}

impl ResetArgs {
    /// Does it.
    ///
    /// # Errors
    /// The agent does not answer, or refuses.
    pub async fn run(self) -> Result<()> {
        let answer = self.local.client().post("/api/v1/reset", &ResetRequest { name: self.name }).await?;
        self.local.show(&answer, |_| Ok("It restarts, and forgets all that it kept.".to_owned()))
    }
}

impl PowerArgs {
    /// Does it.
    ///
    /// # Errors
    /// The agent does not answer, or refuses.
    pub async fn run(self) -> Result<()> {
        let answer = self.local.client().post("/api/v1/power", &PowerRequest { action: self.action }).await?;
        self.local.show(&answer, |_| Ok("It begins.".to_owned()))
    }
}
