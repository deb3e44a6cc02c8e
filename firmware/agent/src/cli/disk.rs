//! `cloudy disk …`: disks beside the node's own.

use super::apps::follow;
use super::blob::bytes;
use super::{Local, text};
use crate::http::{MoveWish, encode};
use crate::storage::PrepareWish;
use anyhow::{Context, Result, bail, ensure};
use clap::Subcommand;
use serde_json::Value;
use std::fmt::Write;
use std::process::ExitCode;

/// `cloudy disk`.
#[derive(clap::Args)]
pub struct DiskArgs {
    #[command(subcommand)]
    verb: DiskVerb,
}

#[derive(Subcommand)]
enum DiskVerb {
    /// List the disks of this node, and those that apps wait for.
    List(Local),
    /// Prepare a disk for apps. All that is on it is lost.
    Prepare {
        /// The disk, such as /dev/sda.
        disk: String,
        /// What it shall be called.
        name: String,
        /// All that is on it may be lost.
        #[arg(long)]
        yes_erase: bool,
        #[command(flatten)]
        local: Local,
    },
    /// Use a disk that another node prepared, or one that was to be unplugged.
    Use {
        /// Its name or id.
        disk: String,
        #[command(flatten)]
        local: Local,
    },
    /// Stop the apps whose data lie on a disk, and unmount it, so that it may be unplugged.
    Eject {
        /// Its name or id.
        disk: String,
        #[command(flatten)]
        local: Local,
    },
    /// Mend a damaged disk as well as can be; some files may be lost.
    Repair {
        /// Its name or id.
        disk: String,
        #[command(flatten)]
        local: Local,
    },
    /// Count what apps kept on a disk as lost, since it does not come back: they can be removed and restored then.
    Forget {
        /// Its name or id.
        disk: String,
        /// What lay on it is lost.
        #[arg(long)]
        yes_lose: bool,
        #[command(flatten)]
        local: Local,
    },
    /// Move an app's data to a disk, or back to the node's own storage.
    Move {
        /// The app.
        app: String,
        /// The disk's name or id; the node's own storage without.
        disk: Option<String>,
        #[command(flatten)]
        local: Local,
    },
}

impl DiskArgs {
    /// Does what was asked.
    ///
    /// # Errors
    /// The agent does not answer, or refuses.
    pub async fn run(self) -> Result<ExitCode> {
        match self.verb {
            DiskVerb::List(local) => local.show(&look(&local).await?, list)?,
            DiskVerb::Prepare { disk, name, yes_erase, local } => {
                let all = look(&local).await?;
                let path = if disk.starts_with('/') { disk } else { format!("/dev/{disk}") };
                let found = disks(&all).find(|one| text(one, "disk") == path).with_context(|| format!("there is no disk `{path}`"))?;
                let shown =
                    format!("{path} ({}, {})", text(found, "model"), bytes(found.get("bytes").and_then(Value::as_u64).unwrap_or_default()));
                ensure!(yes_erase, "all that is on {shown} would be lost; if it is the right one, say --yes-erase");
                let wish = PrepareWish { disk: path, mark: text(found, "mark"), name, erase: true };
                let answer = local.client().post("/api/v1/storage", &wish).await?;
                local.show(&answer, |_| Ok(format!("{shown} is prepared. Next: `cloudy disk move APP {}`", wish.name)))?;
            }
            DiskVerb::Use { disk, local } => act(&local, &disk, "use", "It is used.").await?,
            DiskVerb::Eject { disk, local } => act(&local, &disk, "eject", "It may be unplugged.").await?,
            DiskVerb::Repair { disk, local } => act(&local, &disk, "repair", "It is used again.").await?,
            DiskVerb::Forget { disk, yes_lose, local } => {
                ensure!(yes_lose, "what apps kept on it would count as lost; if the disk is lost for good, say --yes-lose");
                act(&local, &disk, "forget", "It is forgotten. Next: remove its apps, and restore them from their backups.").await?;
            }
            DiskVerb::Move { app, disk, local } => {
                let disk = match disk {
                    Some(disk) => Some(id(&look(&local).await?, &disk)?.parse().map_err(anyhow::Error::msg)?),
                    None => None,
                };
                let begun = local.client().post(&format!("/api/v1/apps/{}/move", encode(&app)), &MoveWish { disk }).await?;
                return follow(&local, begun).await;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn look(local: &Local) -> Result<Value> {
    local.client().get("/api/v1/storage").await
}

async fn act(local: &Local, disk: &str, action: &str, done: &str) -> Result<()> {
    let id = id(&look(local).await?, disk)?;
    let answer = local.client().post(&format!("/api/v1/storage/{id}/{action}"), &()).await?;
    local.show(&answer, |_| Ok(done.to_owned()))
}

fn disks(answer: &Value) -> impl Iterator<Item = &Value> {
    answer.get("disks").and_then(Value::as_array).into_iter().flatten()
}

/// The id of the one disk that is called so.
fn id(answer: &Value, disk: &str) -> Result<String> {
    let mut named = disks(answer).filter(|one| [text(one, "id"), text(one, "name"), text(one, "disk")].iter().any(|word| word == disk));
    match (named.next().map(|one| text(one, "id")).filter(|id| !id.is_empty()), named.next()) {
        (Some(id), None) => Ok(id),
        (Some(_), Some(_)) => bail!("several disks are called `{disk}`: name one by its id (`cloudy disk list --json`)"),
        (None, _) => bail!("no disk that was prepared is called `{disk}`: `cloudy disk list` lists them"),
    }
}

fn list(answer: &Value) -> Result<String> {
    let mut out = String::new();
    for disk in disks(answer) {
        let number = |key: &str| disk.get(key).and_then(Value::as_u64);
        let words = |key: &str| {
            let all = disk.get(key).and_then(Value::as_array).into_iter().flatten();
            all.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>().join(", ")
        };
        let name = Some(text(disk, "name")).filter(|name| !name.is_empty()).unwrap_or_else(|| "-".to_owned());
        write!(
            out,
            "{:<16} {:<9} {:<14} {:>8}  {}",
            name,
            text(disk, "state"),
            text(disk, "disk"),
            bytes(number("bytes").unwrap_or_default()),
            text(disk, "model")
        )?;
        for (before, said) in [("holds", words("holds")), ("apps:", words("apps")), ("-", text(disk, "wrong"))] {
            if !said.is_empty() {
                write!(out, "  {before} {said}")?;
            }
        }
        writeln!(out)?;
    }
    if out.is_empty() {
        out.push_str("No disk is seen.");
    }
    Ok(out)
}
