//! `cargo xtask bench apps`: an app by one click beside `docker run` of the same image, on the same Docker, turn by turn; what the node's
//! programs weigh with ten apps, and what its first page weighs.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::json;

use super::median;
use crate::apps::lab::{self, Measured, Trial};
use crate::apps::oci::Layout;
use crate::apps::plan::AppPlan;
use crate::apps::{Apps as Catalog, OUT, build};
use crate::board::Arch;
use crate::plan::Profile;
use crate::stages::{self, Workshop};
use crate::trees::Trees;
use crate::verbs::app::fetch_all;

/// What it may take of what `docker run` takes.
const RATIO: f64 = 1.3;
/// What a browser may have to load for the first page.
const PAGE_KB: f64 = 100.0;
/// What agent and broker may weigh together with ten apps.
const MEMORY_MB: f64 = 45.0;

/// Measures apps on a node beside `docker run`.
#[derive(Args)]
pub struct Apps {
    /// The app, which answers HTTP at `/` of a port called `web`.
    #[arg(long, default_value = "web")]
    app: String,
    /// How many times each side; the median is what counts.
    #[arg(long, default_value_t = 20)]
    runs: usize,
    /// The node's program, instead of a release's that is made for it.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Apps {
    /// Runs the benchmark.
    pub fn run(self) -> Result<()> {
        ensure!(self.runs > 0, "--runs must be at least 1");
        let (shop, trial) = made(&self.app)?;
        let program = match self.program {
            Some(program) => program,
            None => stages::programs_for(&shop, Arch::Amd64, Profile::Release)?.of("agent")?.to_owned(),
        };
        let measured = lab::measure(&shop, &shop.repo.join(OUT), &trial, &program, self.runs)?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&json!({ "measured": measured, "rows": rows(&measured) }))?);
        } else {
            rows(&measured).iter().for_each(|row| println!("{}", row.line()));
        }
        Ok(())
    }
}

/// An app of the catalog, made for this machine; and how it is tried.
pub(in crate::verbs) fn made(app: &str) -> Result<(Workshop, Trial)> {
    let repo = crate::verbs::root()?;
    let catalog = Catalog::load(&Trees::of(&repo))?;
    let plan = AppPlan::make(&catalog, catalog.app(app)?, &[Arch::Amd64])?;
    let shop = Workshop::open(repo, None)?;
    fetch_all(&shop, std::slice::from_ref(&plan))?;
    let layout = Layout::at(&shop.repo.join(OUT))?;
    let index = build::app(&shop, &catalog, &plan, &layout)?;
    let trial = Trial::read(&catalog, plan.app, &index.digest, true)?;
    Ok((shop, trial))
}

/// A figure, what it may be at most, and what it is held against.
#[derive(serde::Serialize)]
struct Row {
    what: &'static str,
    is: f64,
    at_most: f64,
    unit: &'static str,
    told: String,
}

impl Row {
    fn line(&self) -> String {
        let verdict = if self.is <= self.at_most { "won" } else { "LOST" };
        format!("{:<44} {:8.2} {:<4} (at most {}: {verdict})  {}", self.what, self.is, self.unit, self.at_most, self.told)
    }
}

fn rows(measured: &Measured) -> Vec<Row> {
    let (click, docker) = (median(&measured.click), median(&measured.docker));
    let worst = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    let page: usize = measured.page.iter().map(|(_, bytes)| bytes).sum();
    vec![
        Row {
            what: "one click until it answers / docker run",
            is: click / docker,
            at_most: RATIO,
            unit: "",
            told: format!(
                "{click:.2} s (worst {:.2}) / {docker:.2} s (worst {:.2}); docker compose up {:.2} s",
                worst(&measured.click),
                worst(&measured.docker),
                median(&measured.compose)
            ),
        },
        Row {
            what: "first page with all that it loads",
            is: page as f64 / 1e3,
            at_most: PAGE_KB,
            unit: "kB",
            told: measured.page.iter().map(|(file, bytes)| format!("{file} {bytes}")).collect::<Vec<_>>().join(", "),
        },
        Row {
            what: "agent and broker with ten apps",
            is: measured.agent_mb + measured.broker_mb,
            at_most: MEMORY_MB,
            unit: "MB",
            told: format!("agent {:.1}, broker {:.1} ({} apps)", measured.agent_mb, measured.broker_mb, measured.apps),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_is_not_won_says_so() {
        let page = vec![("/".to_owned(), 60_000), ("/style.css".to_owned(), 41_000)];
        let measured = Measured {
            click: vec![2.0, 1.0, 9.0],
            docker: vec![1.0; 3],
            compose: vec![1.0; 3],
            page,
            apps: 10,
            agent_mb: 30.0,
            broker_mb: 10.0,
        };
        let lines: Vec<String> = rows(&measured).iter().map(Row::line).collect();
        assert!(lines[0].contains("2.00") && lines[0].contains("LOST") && lines[0].contains("worst 9.00"), "{}", lines[0]);
        assert!(lines[1].contains("101.00 kB") && lines[1].contains("LOST"), "{}", lines[1]);
        assert!(lines[2].contains("40.00 MB") && lines[2].contains("won"), "{}", lines[2]);
    }
}
