//! Backups on the node in the lab: an app is backed up while it is used, removed with all that it keeps, and restored; the agent is killed
//! in the middle of both.

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::docker::step;
use super::node::{Killed, Node, has, is, json, must, refused};
use super::trial::Trial;

/// Where the owner of this node keeps the secret half of the key.
const KEY: &str = "/run/backup-key";
const OTHER_KEY: &str = "/run/other-key";

impl Node {
    /// What an owner does with backups of an app that runs; it is not there afterwards.
    pub fn back_up(&mut self, trial: &Trial) -> Result<()> {
        let begun = Instant::now();
        let name = trial.name.as_str();
        let make = ["backup", "make", name];
        if self.first_backup() {
            refused(&make, "there is no key for backups yet")?;
        }
        fs::write(OTHER_KEY, must(&["backup", "new-key"])?)?;
        fs::write(KEY, must(&["backup", "new-key"])?)?;
        let made = json(&make)?;
        let hash = made["backup"].as_str().with_context(|| format!("the job should say which backup it made: {made}"))?.to_owned();
        is(name, "running")?;
        println!("  {:5.1} s  backed up, and runs again", begun.elapsed().as_secs_f32());

        let begun = Instant::now();
        let mut all = vec![hash.clone()];
        for (after, both) in [(200, false), (900, true)] {
            let job = self.interrupted(&make, &Killed { after, both })?;
            ensure!(job["state"] == "done", "the backup should be made after the agent was killed: {job}");
            all.extend(job["backup"].as_str().map(str::to_owned));
            is(name, "running")?;
        }
        ensure!(all.len() == 3, "each job should say which backup it made: {all:?}");
        let restore = ["backup", "restore", &hash, "--key-file", KEY];
        refused(&restore, "is installed here")?;
        must(&["app", "remove", name])?;
        let (_, volumes) = has(name)?;
        if volumes > 0 {
            refused(&restore, "keeps something here already")?;
            ensure!(has(name)? == (0, volumes), "what is kept should stay: {:?}", has(name)?);
        }
        installed(trial)?;
        must(&["app", "remove", name, "--with-data"])?;
        ensure!(has(name)? == (0, 0), "with its data nothing should stay: {:?}", has(name)?);
        refused(&["backup", "restore", &hash, "--key-file", OTHER_KEY], "the backup is for another key")?;
        println!(
            "  {:5.1} s  two more with the agent killed in the middle; what is in the way of a restore was said",
            begun.elapsed().as_secs_f32()
        );

        let begun = Instant::now();
        must(&restore)?;
        holds(trial)?;
        println!("  {:5.1} s  restored: what was kept is there", begun.elapsed().as_secs_f32());
        let begun = Instant::now();
        for (hash, killed) in
            all.iter().zip([Killed { after: 100, both: false }, Killed { after: 700, both: true }, Killed { after: 2500, both: false }])
        {
            must(&["app", "remove", name, "--with-data"])?;
            let job = self.interrupted(&["backup", "restore", hash, "--key-file", KEY], &killed)?;
            ensure!(job["state"] == "done", "the restore should be done after the agent was killed: {job}");
            holds(trial)?;
        }
        for hash in &all {
            must(&["blob", "rm", hash])?;
        }
        must(&["app", "remove", name, "--with-data"])?;
        println!("  {:5.1} s  three times more with the agent killed in the middle, once with its broker", begun.elapsed().as_secs_f32());
        Ok(())
    }
}

/// Installs it with the settings of its trial.
fn installed(trial: &Trial) -> Result<()> {
    let settings: Vec<String> = trial.settings.iter().map(|(key, value)| format!("--set={key}={value}")).collect();
    let words = [&["app", "install", trial.name.as_str()], settings.iter().map(String::as_str).collect::<Vec<_>>().as_slice()].concat();
    must(&words).map(drop)
}

/// The app runs, and has what it kept.
fn holds(trial: &Trial) -> Result<()> {
    is(&trial.name, "running")?;
    trial.steps.iter().filter(|step| step.kept).try_for_each(|each| step(trial, each).with_context(|| format!("restored: {}", each.what)))
}
