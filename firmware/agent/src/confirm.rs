//! The root unit `cloudy-confirm.service`: a slot on trial is watched until it proves good, then its trial is ended.
//!
//! Good means: the agent and its page answer; Docker runs if it ran before; there is a network if there was one before.
//! Absent neighbours never cost a slot. On a slot that is not on trial, what "before" means is noted, and U-Boot's state
//! is made whole where a part of it was lost.

use crate::client::Client;
use crate::kept;
use crate::limits::{AGENT_SOCKET, CONFIRM_EVERY, CONFIRM_TIMEOUT, CONFIRMED_MARK, SETTINGS_DIR, SETTLED_TIMEOUT};
use crate::mounts::Mounted;
use crate::settings::write_whole;
use crate::status::{Docker, Status};
use crate::uboot;
use anyhow::{Context, Result, bail};
use contract::boot::{BuildId, ENTRIES_DIR, EntryName};
use contract::paths::{BOOT_REPORT, FAILURE_RECORD};
use contract::report::{EntryReport, Failure, Report};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How the machine was when it was last good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Before {
    /// Docker ran.
    docker: bool,
    /// There was an address.
    network: bool,
}

/// Waits for the proof and confirms the slot.
///
/// # Errors
/// When the proof does not come in time, or the trial can't be ended; the loader's counter then goes on counting.
pub async fn run() -> Result<()> {
    let loader = Loader::find()?;
    let Some(entry) = loader.entry_on_trial() else {
        // Confirmed already. Note how "good" looks, for the next trial; what is slow gets its time.
        let all = Before { docker: true, network: true };
        let _ = wait_for(all, SETTLED_TIMEOUT).await;
        let status = look().await?;
        loader.heal()?;
        return note(&status);
    };
    log::info!(entry:% = entry; "this system is on trial");
    let status = match wait_for(before(), CONFIRM_TIMEOUT).await {
        Ok(status) => status,
        Err(error) => {
            give_up(&loader, entry, &error).await;
            return Err(error);
        }
    };
    loader.confirm(entry)?;
    std::fs::write(CONFIRMED_MARK, "").with_context(|| format!("writing `{CONFIRMED_MARK}`"))?;
    log::info!(entry:% = entry; "this system proved good and is confirmed");
    note(&status)
}

/// Who started this system, and counts its starts.
struct Loader {
    /// What init found of it.
    report: Report,
    /// It is U-Boot, with its state records; systemd-boot, with the names of entries on the ESP, otherwise.
    uboot: bool,
}

impl Loader {
    fn find() -> Result<Self> {
        let report = kept::report(Path::new(BOOT_REPORT))?.context("init left no report of this boot: nobody knows which slot runs")?;
        Ok(Self { report, uboot: uboot::is_here() })
    }

    /// The booted entry, while the loader counts its starts. None once confirmed, and where no loader counts.
    fn entry_on_trial(&self) -> Option<EntryName> {
        self.report.trial.map(|tries| EntryName { build: self.report.build, tries: Some(tries) })
    }

    /// Ends the trial of the running system.
    fn confirm(&self, entry: EntryName) -> Result<()> {
        if self.uboot { uboot::confirm(self.report.slot) } else { end_trial(entry) }
    }

    /// Mends what a cut left half done.
    fn heal(&self) -> Result<()> {
        if self.uboot { uboot::heal(self.report.slot) } else { remove_leftovers(&self.report) }
    }

    /// The partition that keeps reasons of failures.
    fn partition(&self) -> &'static str {
        if self.uboot { "config" } else { "esp" }
    }
}

fn before_path() -> PathBuf {
    Path::new(SETTINGS_DIR).join("last-good.json")
}

/// How the machine was when it was last good; where that is not known, nothing more is asked for.
fn before() -> Before {
    std::fs::read(before_path()).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

fn note(status: &Status) -> Result<()> {
    let now = Before { docker: matches!(status.docker, Docker::Running { .. }), network: !status.addresses.is_empty() };
    if now == before() {
        return Ok(());
    }
    write_whole(&before_path(), &serde_json::to_vec(&now)?, 0o644)
}

/// Asks until nothing is missing.
async fn wait_for(before: Before, patience: Duration) -> Result<Status> {
    let start = Instant::now();
    loop {
        let missing = match look().await {
            Ok(status) => match missing(&status, before) {
                None => return Ok(status),
                Some(missing) => missing,
            },
            Err(error) => format!("{error:#}"),
        };
        if start.elapsed() > patience {
            bail!("after {} s this system still is not good: {missing}", patience.as_secs());
        }
        tokio::time::sleep(CONFIRM_EVERY).await;
    }
}

/// The agent's status through its socket, and its page through the network.
async fn look() -> Result<Status> {
    let answer = Client::new(Path::new(AGENT_SOCKET)).get("/api/v1/status").await?;
    let status = Status::deserialize(&answer).context("understanding the agent's status")?;
    let page = status.pages.first().context("the agent serves no page")?;
    let port = page.rsplit(':').next().unwrap_or_default();
    crate::client::page_answers(&format!("127.0.0.1:{port}")).await?;
    Ok(status)
}

/// What keeps this system from being good.
fn missing(status: &Status, before: Before) -> Option<String> {
    match &status.docker {
        Docker::Running { .. } => {}
        other if before.docker => return Some(format!("Docker ran before and does not now: {other:?}")),
        _ => {}
    }
    (before.network && status.addresses.is_empty()).then(|| "there was a network before, and there is no address now".to_owned())
}

/// Keeps the reason where the next good system finds it, and restarts, so that the loader goes on to the next try or the
/// other system. Where there is no other system to go to, this one stays up: a restart would mend nothing.
async fn give_up(loader: &Loader, entry: EntryName, reason: &anyhow::Error) {
    let kept = keep_reason(loader, entry, format!("{reason:#}"));
    if let Err(error) = kept {
        log::error!("the reason could not be kept: {error:#}");
    }
    if !has_other(&loader.report.entries, entry) {
        log::error!("there is no other system to go back to: this one stays up");
        return;
    }
    log::error!("this system did not prove good: restarting");
    if let Err(error) = crate::units::Systemd::default().power(crate::units::Power::Restart).await {
        log::error!("the restart failed: {error}");
    }
}

/// Whether the loader knows another system that it would start.
fn has_other(entries: &[EntryReport], this: EntryName) -> bool {
    entries.iter().any(|other| other.build != this.build && EntryName { build: other.build, tries: other.tries }.is_bootable())
}

fn keep_reason(loader: &Loader, entry: EntryName, reason: String) -> Result<()> {
    let failure = Failure { build: entry.build, time: crate::host::now_secs(), step: "confirming".to_owned(), reason };
    let partition = Mounted::read_only(loader.partition(), "umask=0077")?;
    partition.make_writable()?;
    write_whole(&partition.path().join(FAILURE_RECORD), &serde_json::to_vec(&failure)?, 0o600)
}

/// Takes the counter out of the entry's name on the ESP.
fn end_trial(entry: EntryName) -> Result<()> {
    let esp = Mounted::read_only("esp", "umask=0077")?;
    esp.make_writable()?;
    rename_entry(&esp.path().join(ENTRIES_DIR), entry, EntryName { tries: None, ..entry })
}

/// Removes names with a counter that a cut confirmation left of the running system.
fn remove_leftovers(report: &Report) -> Result<()> {
    let left = leftovers(&report.entries, report.build);
    if left.is_empty() {
        return Ok(());
    }
    let esp = Mounted::read_only("esp", "umask=0077")?;
    esp.make_writable()?;
    let folder = esp.path().join(ENTRIES_DIR);
    for name in left {
        let path = folder.join(name.to_string());
        std::fs::remove_file(&path)
            .with_context(|| format!("removing the entry `{}`, of which there is a confirmed one", path.display()))?;
    }
    File::open(&folder)?.sync_all().context("syncing the ESP")
}

/// Counted names of the running system, if it has one without a counter too.
fn leftovers(entries: &[EntryReport], running: BuildId) -> Vec<EntryName> {
    let own = entries.iter().filter(|entry| entry.build == running);
    let (counted, confirmed): (Vec<_>, Vec<_>) = own.partition(|entry| entry.tries.is_some());
    if confirmed.is_empty() {
        return Vec::new();
    }
    counted.into_iter().map(|entry| EntryName { build: entry.build, tries: entry.tries }).collect()
}

/// Renames an entry so that the boot loader finds one of its names whole, wherever power goes. FAT's own rename writes the
/// folder twice without a flush between: of two sectors the disk may keep only the one that takes the old name away; and
/// cut between, both names would share the file's clusters, which go when either is removed. So the new name is a file of
/// its own, and on the disk before the old one goes.
fn rename_entry(folder: &Path, from: EntryName, to: EntryName) -> Result<()> {
    let (old, new) = (folder.join(from.to_string()), folder.join(to.to_string()));
    let doing = || format!("writing the entry `{}` anew as `{}`", old.display(), new.display());
    // An earlier try got as far as that.
    if !old.exists() && new.exists() {
        return Ok(());
    }
    let text = std::fs::read(&old).with_context(doing)?;
    let mut file = File::create(&new).with_context(doing)?;
    file.write_all(&text).and_then(|()| file.sync_all()).with_context(doing)?;
    let sync = || File::open(folder)?.sync_all();
    sync().and_then(|()| std::fs::remove_file(&old)).and_then(|()| sync()).with_context(doing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problems::tests::well;
    use contract::boot::Tries;

    #[test]
    fn what_ran_before_must_run_again_and_no_more() {
        let mut status = well();
        let all = Before { docker: true, network: true };
        assert_eq!(missing(&status, all), None);
        status.docker = Docker::Stopped { unit: "failed".to_owned() };
        assert!(missing(&status, all).unwrap().contains("Docker"));
        assert_eq!(missing(&status, Before { docker: false, network: true }), None);
        status.addresses.clear();
        assert!(missing(&status, Before { docker: false, network: true }).is_some());
        assert_eq!(missing(&status, Before::default()), None);
    }

    #[test]
    fn only_another_system_that_would_start_is_a_way_back() {
        let build = |n: u8| BuildId([n; 16]);
        let this = EntryName { build: build(1), tries: Some(Tries { left: 1, done: 2 }) };
        let entry = |n, tries| EntryReport { build: build(n), tries };
        assert!(!has_other(&[entry(1, this.tries)], this));
        assert!(has_other(&[entry(1, this.tries), entry(2, None)], this));
        assert!(!has_other(&[entry(2, Some(Tries { left: 0, done: 3 }))], this));
    }

    #[test]
    fn only_a_second_name_of_the_running_system_is_left_over() {
        let tries = Some(Tries { left: 2, done: 1 });
        let entry = |n, tries| EntryReport { build: BuildId([n; 16]), tries };
        let left = |entries: &[EntryReport]| leftovers(entries, BuildId([1; 16])).len();
        assert_eq!(left(&[entry(1, None), entry(2, tries)]), 0);
        assert_eq!(left(&[entry(1, tries), entry(2, None)]), 0);
        assert_eq!(left(&[entry(1, tries), entry(1, None), entry(2, tries)]), 1);
    }

    #[test]
    fn an_entry_is_renamed_also_where_an_earlier_try_was_cut() {
        let folder = tempfile::tempdir().unwrap();
        let from = EntryName { build: BuildId([1; 16]), tries: Some(Tries { left: 2, done: 1 }) };
        let to = EntryName { tries: None, ..from };
        let (old, new) = (folder.path().join(from.to_string()), folder.path().join(to.to_string()));
        // Nothing done yet; the new one is there in part; it is there whole; the old one is gone.
        for (before, has_old) in
            [(None, true), (Some("linux /clou"), true), (Some("linux /cloudy/x\n"), true), (Some("linux /cloudy/x\n"), false)]
        {
            let _ = std::fs::remove_file(&new);
            if let Some(text) = before {
                std::fs::write(&new, text).unwrap();
            }
            if has_old {
                std::fs::write(&old, "linux /cloudy/x\n").unwrap();
            }
            rename_entry(folder.path(), from, to).unwrap();
            assert!(!old.exists());
            assert_eq!(std::fs::read_to_string(&new).unwrap(), "linux /cloudy/x\n");
        }
        std::fs::remove_file(&new).unwrap();
        assert!(format!("{:#}", rename_entry(folder.path(), from, to).unwrap_err()).contains(&from.to_string()));
    }
}
