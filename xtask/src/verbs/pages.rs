//! `cargo xtask pages`: people use the pages of a node in a browser, and go through all of them. The node is a real one, with broker and Docker,
//! in the lab; beside it are a neighbour without Docker and a spare node that is nobody's yet (`apps/lab/doors.rs`). Who comes, what they do and
//! where they go, `ci/pages.toml` says; every page that somebody goes to is looked at by `pages/crawl.rs`.

mod crawl;
mod tour;

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Args;

use self::tour::{Plan, SoFar, Tour};
use super::bench;
use crate::apps::OUT;
use crate::apps::lab;
use crate::board::Arch;
use crate::browser::{Browser, axe};
use crate::plan::Profile;
use crate::stages;
use crate::{tools, ui};

/// What is done.
const PLAN: &str = "ci/pages.toml";
/// The app that the store has.
const APP: &str = "mosquitto";

/// Goes through every page of a node in a browser, as each kind of person.
#[derive(Args)]
pub struct PagesVerb {
    /// The node's program, instead of a release's that is made for it.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

impl PagesVerb {
    /// Runs it.
    pub fn run(self) -> Result<()> {
        let begun = Instant::now();
        let (shop, trial) = bench::made(APP)?;
        let plan = Plan::read(&shop.repo.join(PLAN))?;
        let axe = axe::text(&shop.repo)?;
        let browsing = shop.tools.with_layer(&shop.repo, tools::BROWSER_LOCK, &shop.cache, shop.deb_mirror.as_deref())?;
        let program = match &self.program {
            Some(program) => program.clone(),
            None => stages::programs_for(&shop, Arch::Amd64, Profile::Release)?.of("agent")?.to_owned(),
        };
        let work = shop.repo.join("target/pages");
        if work.exists() {
            fs::remove_dir_all(&work).with_context(|| format!("failed to remove `{}`", work.display()))?;
        }
        fs::create_dir_all(&work).with_context(|| format!("failed to make `{}`", work.display()))?;
        let folder = tempfile::Builder::new().prefix("cloudy-doors-").tempdir().context("failed to make the doors' folder")?;
        let (gone, seen) = lab::behind_doors(&shop, &shop.repo.join(OUT), &trial, &program, folder.path(), || {
            let urls = lab::door_urls(folder.path())?;
            let browser = Browser::start(&browsing, &work)?;
            let tour = Tour {
                plan: &plan,
                browser,
                work: &work,
                doors: folder.path(),
                program: &program,
                urls,
                axe: &axe,
                so_far: SoFar::default(),
            };
            tour.go()
        })?;
        // That the agents' words can't be had is no reason to tell of nothing else.
        let said = fs::read(folder.path().join(lab::SAID)).unwrap_or_default();
        let kept = fs::write(work.join(lab::SAID), &said);
        if gone.is_err() {
            // Whoever looks into it elsewhere has the output alone.
            faults_of(&String::from_utf8_lossy(&said)).iter().for_each(|line| ui::say(line));
        }
        gone?;
        kept.context("failed to keep what the agents said")?;
        ensure!(seen.panics.is_empty(), "{}", seen.panics.join("\n"));
        ensure!(seen.alive, "the agent or its broker has ended");
        println!("pictures are in `{}`; {} s", work.join("pictures").display(), begun.elapsed().as_secs());
        Ok(())
    }
}

/// What a log tells of faults: each line once, and how often it was said.
fn faults_of(log: &str) -> Vec<String> {
    let mut found: Vec<(&str, usize)> = Vec::new();
    for line in log.lines().filter(|line| !line.starts_with("info: ")) {
        match found.iter_mut().find(|(said, _)| *said == line) {
            Some((_, times)) => *times += 1,
            None => found.push((line, 1)),
        }
    }
    found.into_iter().map(|(line, times)| if times == 1 { line.to_owned() } else { format!("{line} ({times} times)") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_log_each_fault_is_told_once() {
        let log = "info: up\nwarn: no way\nerror: torn\nwarn: no way\ninfo: warn: not\nnot ours\n";
        assert_eq!(faults_of(log), ["warn: no way (2 times)", "error: torn", "not ours"]);
    }
}
