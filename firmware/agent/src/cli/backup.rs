//! `cloudy backup …`: backups of apps, encrypted to an owner's key.

use super::apps::follow;
use super::blob::{bytes, whole};
use super::{Local, text};
use crate::apps::{BackupWish, Key, RestoreWish};
use crate::http::encode;
use anyhow::{Context, Result};
use clap::Subcommand;
use serde_json::Value;
use std::fmt::Write;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// `cloudy backup`.
#[derive(clap::Args)]
pub struct BackupArgs {
    #[command(subcommand)]
    verb: BackupVerb,
}

#[derive(Subcommand)]
enum BackupVerb {
    /// Show the key that backups are encrypted to.
    Key(Local),
    /// Make a key, and print its secret half once: whoever loses it has lost what was backed up.
    NewKey(Local),
    /// Encrypt to a key that you have already.
    UseKey {
        /// Its public half: age1…
        recipient: String,
        #[command(flatten)]
        local: Local,
    },
    /// Make a backup of an app, which stands still meanwhile; `cloudy blob get` writes it to a file.
    Make {
        /// The app.
        app: String,
        /// Nodes of the microcloud may keep copies, which they can't read.
        #[arg(long)]
        shared: bool,
        #[command(flatten)]
        local: Local,
    },
    /// List the backups that nodes hold.
    Ls(Local),
    /// Install an app with what a backup on this node holds. `cloudy blob add FILE` brings one to the node.
    Restore {
        /// The hash of the backup, or the beginning of it.
        hash: String,
        /// A file with the secret half of the key; `-` for the standard input.
        #[arg(long)]
        key_file: PathBuf,
        #[command(flatten)]
        local: Local,
    },
}

impl BackupArgs {
    /// Does what was asked.
    ///
    /// # Errors
    /// The agent does not answer, or refuses.
    pub async fn run(self) -> Result<ExitCode> {
        match self.verb {
            BackupVerb::Key(local) => local.show(&local.client().get("/api/v1/backup-key").await?, |key| {
                Ok(match key.get("recipient").and_then(Value::as_str) {
                    Some(recipient) => recipient.to_owned(),
                    None => "There is no key. Next: `cloudy backup new-key`".to_owned(),
                })
            })?,
            BackupVerb::NewKey(local) => local.show(&local.client().post("/api/v1/backup-key", &()).await?, |key| {
                let (public, secret) = (text(key, "recipient"), text(key, "secret"));
                Ok(format!("# public key: {public}\n{secret}\n# Keep this on paper: this node does not.\n# Next: `cloudy backup make APP`"))
            })?,
            BackupVerb::UseKey { recipient, local } => {
                let answer = local.client().put("/api/v1/backup-key", &Key { recipient }).await?;
                local.show(&answer, |key| Ok(format!("Backups are for {} now.", text(key, "recipient"))))?;
            }
            BackupVerb::Make { app, shared, local } => {
                let begun = local.client().post(&format!("/api/v1/apps/{}/backup", encode(&app)), &BackupWish { shared }).await?;
                return follow(&local, begun).await;
            }
            BackupVerb::Ls(local) => local.show(&local.client().list("/api/v1/backups", "backups").await?, list)?,
            BackupVerb::Restore { hash, key_file, local } => {
                let secret = read(&key_file)?;
                let hash = whole(&local, &hash).await?;
                let begun = local.client().post(&format!("/api/v1/backups/{hash}/restore"), &RestoreWish { secret }).await?;
                return follow(&local, begun).await;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn read(file: &Path) -> Result<String> {
    let mut key = String::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut key).context("reading the key")?;
    } else {
        key = std::fs::read_to_string(file).with_context(|| format!("reading `{}`", file.display()))?;
    }
    Ok(key)
}

fn list(answer: &Value) -> Result<String> {
    let mut out = String::new();
    for backup in answer.get("backups").and_then(Value::as_array).into_iter().flatten() {
        let size = backup.get("size-bytes").and_then(Value::as_u64).unwrap_or_default();
        let here = if backup.get("here") == Some(&Value::Bool(true)) { "here" } else { "elsewhere" };
        let shared = if backup.get("shared") == Some(&Value::Bool(true)) { ", shared" } else { "" };
        writeln!(out, "{:<50} {:>8}  {here}{shared}\n    {}", text(backup, "name"), bytes(size), text(backup, "hash"))?;
    }
    if out.is_empty() {
        out.push_str("There is no backup. Next: `cloudy backup make APP`");
    }
    Ok(out)
}
