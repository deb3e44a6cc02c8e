//! `cargo xtask bench api`: Schemathesis sends a node so many requests, as each role, that fit the API's document or do not, and now and then
//! one that must be taken. Ends with an error where an answer was a fault of the server's or broke the document, something panicked, or an
//! operation was never done. That each role is refused what it may not do, the agent's own tests hold (`http/tests.rs`).
//!
//! The node is a real one, with broker and Docker, in the lab; beside it stand a neighbour and a spare node (`apps/lab/doors.rs`). What a
//! valid request is, and what has to be there before, `ci/api` says.

mod roles;
mod tally;

use std::path::{Path, PathBuf};
use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::json;
use xshell::{Shell, cmd};

use self::roles::{Operation, Role, document};
use self::tally::{Tally, Told};
use super::apps;
use crate::apps::OUT;
use crate::apps::lab;
use crate::board::Arch;
use crate::plan::Profile;
use crate::stages;
use crate::{cmd as commands, python, ui};

const VERSION: &str = "4.32.5";
/// The app of the catalog that the nodes have.
const APP: &str = "web";
/// What an answer is looked at for.
const CHECKS: &str = "no_fault_of_the_server,content_type_conformance,response_schema_conformance,status_code_conformance";
/// Streams, which have no end to wait for: the beginning of each is read instead, which has that text.
const STREAMS: [(&str, &str, &str); 4] = [
    ("watch", "/api/v1/watch", "text/event-stream"),
    ("jobs_events", "/api/v1/jobs/events", "text/event-stream"),
    ("job_events", "/api/v1/jobs/{id}/events", "\ndata:"),
    ("app_logs_events", "/api/v1/apps/{name}/logs/events", "\ndata:"),
];
/// How much of what Schemathesis says is shown where it found something.
const SHOWN_LINES: usize = 80;

/// Sends the API what fits its document and what does not.
#[derive(Args)]
pub struct Api {
    /// Requests, of all roles together; each operation is asked as often as the others.
    #[arg(long, default_value_t = 100_000)]
    requests: u64,
    /// Only as this role; may be given more than once.
    #[arg(long, value_name = "ROLE")]
    role: Vec<Role>,
    /// The node's program, instead of a release's that is made for it.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Api {
    /// Runs it.
    pub fn run(self) -> Result<()> {
        ensure!(self.requests > 0, "--requests must be at least 1");
        let schemathesis = installed(&crate::verbs::root()?)?;
        let (shop, trial) = apps::made(APP)?;
        let program = match &self.program {
            Some(program) => program.clone(),
            None => stages::programs_for(&shop, Arch::Amd64, Profile::Release)?.of("agent")?.to_owned(),
        };
        let folder = tempfile::Builder::new().prefix("cloudy-doors-").tempdir().context("failed to make the doors' folder")?;
        let roles = if self.role.is_empty() { Role::ALL.to_vec() } else { self.role.clone() };
        let operations = document(&shop.repo)?;
        let mut tally = Tally::default();
        let (asked, seen) = lab::behind_doors(&shop, &shop.repo.join(OUT), &trial, &program, folder.path(), || {
            let socket = folder.path().join("socket");
            tally.streams = roles::streams(&socket)?;
            roles::people(&socket)?;
            let doors = lab::door_urls(folder.path())?;
            let asking = Asking { repo: &shop.repo, schemathesis: &schemathesis, operations: &operations, socket: &socket, doors };
            let each = self.requests.div_ceil(roles.len() as u64);
            for role in &roles {
                asking.ask(*role, each, &mut tally).with_context(|| format!("failed to ask as {role}"))?;
            }
            Ok(())
        })?;
        if self.json {
            println!(
                "{}",
                serde_json::to_string_pretty(&json!({ "roles": tally.roles, "seen": seen, "never": tally.never(&operations) }))?
            );
        } else {
            tally.lines(&operations).iter().for_each(|line| println!("{line}"));
            println!("the agent had {:.1} MB at most", seen.agent_most_mb.unwrap_or(f64::NAN));
        }
        let mut faults = tally.faults(&operations, &roles);
        faults.extend(asked.err().map(|error| format!("{error:#}")));
        faults.extend(seen.panics);
        if !seen.alive {
            faults.push("the agent or its broker has ended".to_owned());
        }
        ensure!(faults.is_empty(), "{}", faults.join("\n"));
        Ok(())
    }
}

/// Has Schemathesis in a folder of its own.
fn installed(repo: &Path) -> Result<PathBuf> {
    let venv = repo.join("target").join(format!("schemathesis-{VERSION}"));
    let program = venv.join("bin/schemathesis");
    if !program.exists() {
        let _stage = ui::stage("schemathesis", format!("{VERSION}, from its package index"));
        let (shell, pip) = (Shell::new()?, python::pip(&venv)?);
        let package = format!("schemathesis=={VERSION}");
        commands::read(cmd!(shell, "{pip} install --quiet {package}"))?;
    }
    Ok(program)
}

struct Asking<'a> {
    repo: &'a Path,
    schemathesis: &'a Path,
    operations: &'a [Operation],
    /// The node's own.
    socket: &'a Path,
    doors: BTreeMap<&'static str, String>,
}

impl Asking<'_> {
    /// Asks as a role until so many requests were sent.
    fn ask(&self, role: Role, requests: u64, tally: &mut Tally) -> Result<()> {
        let operations = self.operations;
        let mut left_out: Vec<&str> = STREAMS.map(|(id, _, _)| id).to_vec();
        left_out.extend(operations.iter().filter(|found| found.local && role != Role::Local).map(|found| found.id.as_str()));
        if matches!(role, Role::Owner | Role::Local) {
            // It would go.
            left_out.push("leave");
        }
        let asked = operations.len() - left_out.len();
        let mut sent = 0;
        for round in 0.. {
            if sent >= requests {
                break;
            }
            let _stage = ui::stage("api", format!("as {role}: {sent} of {requests} requests were sent"));
            let examples = (requests - sent).div_ceil(asked as u64).max(1);
            let told = self.round(role, round, examples, &left_out)?;
            let more = told.sent();
            ensure!(more > 0, "Schemathesis sent nothing");
            sent += more;
            tally.add(role, told);
        }
        Ok(())
    }

    fn round(&self, role: Role, round: u32, examples: u64, left_out: &[&str]) -> Result<Told> {
        let shell = Shell::new()?;
        let work = self.repo.join("target/api");
        fs::create_dir_all(&work).with_context(|| format!("failed to make `{}`", work.display()))?;
        // What it keeps for itself lies there too.
        shell.change_dir(&work);
        let (out, file) = (work.join(format!("{role}-{round}.txt")), work.join("tally.json"));
        let _old = fs::remove_file(&file);
        let url = &self.doors[if role == Role::Local { "socket" } else { "page" }];
        let excluded = left_out.iter().flat_map(|id| ["--exclude-operation-id", id]);
        let (schemathesis, document) = (self.schemathesis, self.repo.join(roles::DOCUMENT));
        let (examples, seed) = (examples.to_string(), (round + 1).to_string());
        let command = cmd!(shell, "{schemathesis} run {document} --url {url} {excluded...} --workers 1 --max-examples {examples} --seed {seed} --phases examples,coverage,fuzzing --checks {CHECKS} --generation-database none --no-color --continue-on-failure")
            .env("SCHEMATHESIS_HOOKS", self.repo.join("ci/api/hooks.py"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("CLOUDY_API_DOORS", serde_json::to_string(&self.doors)?)
            .env("CLOUDY_API_ROLE", role.to_string())
            .env("CLOUDY_API_ROUND", round.to_string())
            .env("CLOUDY_API_TOKEN", role.token(self.socket)?.unwrap_or_default())
            .env("CLOUDY_API_TALLY", &file)
            .quiet()
            .ignore_status();
        let output = command.output()?;
        fs::write(&out, [output.stdout.as_slice(), output.stderr.as_slice()].concat())?;
        let text = String::from_utf8_lossy(&output.stdout);
        let read = fs::read(&file).with_context(|| format!("Schemathesis told nothing; what it said stands in `{}`", out.display()))?;
        let mut told: Told = serde_json::from_slice(&read).context("what was counted can't be read")?;
        if !output.status.success() {
            let lines: Vec<&str> = text.lines().collect();
            lines.iter().skip(lines.len().saturating_sub(SHOWN_LINES)).for_each(|line| ui::say(line));
            told.found = Some(format!("as {role}, Schemathesis found what stands in `{}`", out.display()));
        }
        Ok(told)
    }
}
