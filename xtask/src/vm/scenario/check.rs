//! From the keys of a scenario file to a scenario that can be run: what they name is there.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use anyhow::{Context, Result, bail, ensure};
use contract::boot::BuildId;

use super::super::lab::NodeSpec;
use super::raw::{PlugDisk, RawNode, RawScenario, RawStep, UnplugDisk};
use crate::board::parse;
use crate::browser::step::placeholder;

/// A scenario whose steps name only what is there.
#[derive(Debug)]
pub struct Scenario {
    /// The file's stem.
    pub name: String,
    /// What it shows.
    pub title: String,
    /// Whether only `--full` runs it.
    pub full: bool,
    /// The boards whose images it is for.
    pub boards: Vec<String>,
    /// The community that kit and tokens are for.
    pub community: Option<String>,
    /// The nodes; whether each is on before the first step.
    pub nodes: Vec<(NodeSpec, bool)>,
    /// What is done, in order.
    pub steps: Vec<RawStep>,
    /// The text of axe-core, where pages are held to it.
    pub axe: Option<String>,
}

impl Scenario {
    /// Whether somebody uses a browser in it.
    pub fn browses(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, RawStep::Browse(_)))
    }

    /// Reads the text of `path`.
    ///
    /// # Errors
    /// With file, line and column where TOML or a key is wrong; with the step's number where it names what is not there.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let raw: RawScenario = parse(path, text)?;
        Self::check(path, raw).with_context(|| format!("{} can't be run", path.display()))
    }

    fn check(path: &Path, raw: RawScenario) -> Result<Self> {
        let name = path.file_stem().and_then(|stem| stem.to_str()).context("the file has no name")?.to_owned();
        ensure!(!raw.nodes.is_empty(), "it has no nodes");
        ensure!(!raw.boards.is_empty(), "it is for no boards");
        ensure!(!raw.steps.is_empty(), "it has no steps");
        let mut names = BTreeSet::new();
        for node in &raw.nodes {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            ensure!(!node.name.is_empty() && node.name.chars().all(plain), "`{}` is no name of a node: a-z, 0-9, -", node.name);
            ensure!(names.insert(node.name.as_str()), "two nodes are named `{}`", node.name);
            if let Some(text) = &node.cloudy_toml {
                check_text(text, raw.community.is_some()).with_context(|| format!("cloudy-toml of node {}", node.name))?;
            }
        }
        let mut saved = BTreeSet::new();
        for (number, step) in (1..).zip(&raw.steps) {
            check_step(step, &names, &mut saved, raw.community.is_some()).with_context(|| format!("step {number} ({})", step.verb()))?;
        }
        let nodes = raw.nodes.iter().map(|node| (spec(node), node.start)).collect();
        let (title, full, boards, community, steps) = (raw.title, raw.full, raw.boards, raw.community, raw.steps);
        Ok(Self { name, title, full, boards, community, nodes, steps, axe: None })
    }
}

/// A path in a node that needs no quotes in a shell.
fn plain_path(path: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    ensure!(path.starts_with('/') && path.chars().all(plain), "`{path}` is no plain path");
    Ok(())
}

/// The placeholders that a cloudy.toml may hold.
pub const PLACEHOLDERS: [&str; 5] = ["{ssh-key}", "{kit}", "{token}", "{expired-token}", "{foreign-token}"];

/// Every `{name}` of the text is a placeholder, and there is a community if one is about it.
fn check_text(text: &str, community: bool) -> Result<()> {
    for (at, _) in text.match_indices('{') {
        let rest = text.get(at..).unwrap_or_default();
        let Some(end) = rest.find('}') else { continue };
        let inner = rest.get(1..end).unwrap_or_default();
        // An inline table has blanks or nothing in its braces.
        if inner.is_empty() || inner.contains([' ', '=', '\n']) {
            continue;
        }
        let placeholder = rest.get(..=end).unwrap_or_default();
        if !PLACEHOLDERS.contains(&placeholder) {
            bail!("`{placeholder}` is not known; known are {}", PLACEHOLDERS.join(", "));
        }
        ensure!(community || placeholder == "{ssh-key}", "`{placeholder}` needs a community: write `community = \"…\"` at the top");
    }
    Ok(())
}

fn check_step<'a>(step: &'a RawStep, nodes: &BTreeSet<&str>, saved: &mut BTreeSet<&'a str>, community: bool) -> Result<()> {
    if let Some(node) = step.node() {
        let all = || nodes.iter().copied().collect::<Vec<_>>().join(", ");
        ensure!(nodes.contains(node), "there is no node `{node}`; there are: {}", all());
    }
    match step {
        RawStep::WaitHttp(wait) => {
            ensure!(wait.path.starts_with('/'), "`{}` does not begin with /", wait.path);
            let pointer = wait.pointer.as_deref().unwrap_or_default();
            ensure!(pointer.is_empty() || pointer.starts_with('/'), "`{pointer}` is no JSON pointer: begin it with /");
            check_saved(saved, wait.same_as.as_deref(), wait.save.as_deref())?;
        }
        RawStep::Run(run) => {
            check_saved(saved, run.differs_from.as_deref(), None)?;
            check_saved(saved, run.same_as.as_deref(), run.save.as_deref())?;
            if let Some(input) = &run.input {
                let normal = Path::new(input).components().all(|part| matches!(part, Component::Normal(_)));
                ensure!(normal, "`{}` must be a path below the repository's root", input.display());
            }
        }
        RawStep::PowerCutRandom(cut) => {
            ensure!(cut.times > 0 && cut.within_milliseconds > 0, "it cuts nothing");
            ensure!(cut.after.is_none() || cut.seconds > 0, "`after` needs a limit: `seconds`");
        }
        RawStep::LoseFrames(lose) => ensure!(lose.percent <= 100, "{} of a hundred frames can't be lost", lose.percent),
        RawStep::AddSlot(add) => {
            add.build.parse::<BuildId>()?;
        }
        RawStep::WriteConfig(write) => {
            ensure!(!write.name.contains('/'), "`{}` must lie in the top folder", write.name);
            check_text(&write.text, community)?;
        }
        RawStep::CorruptFile(corrupt) => {
            globset::Glob::new(&corrupt.path)?;
        }
        RawStep::Deliver(deliver) => {
            for glob in [&deliver.package, &deliver.file] {
                globset::Glob::new(glob)?;
            }
            plain_path(&deliver.to)?;
        }
        RawStep::DeliverApps(deliver) => plain_path(&deliver.to)?,
        RawStep::Browse(browse) => {
            browse.check()?;
            for value in browse.fill.values() {
                check_saved(saved, placeholder(value), None)?;
            }
            saved.extend(browse.save.keys().map(String::as_str));
        }
        RawStep::EditData(edit) => {
            ensure!(!edit.commands.is_empty(), "it has no commands");
            ensure!(edit.commands.iter().all(|command| !command.contains('\n')), "a command is one line");
        }
        RawStep::AssertFile(file) => {
            globset::Glob::new(&file.path)?;
        }
        RawStep::CutEachWrite(cut) => {
            cut.build.as_ref().map(|build| build.parse::<BuildId>()).transpose()?;
        }
        RawStep::WaitSerial(wait) => ensure!(wait.times > 0, "what is never shown is never waited for"),
        RawStep::CorruptBytes(corrupt) => ensure!(corrupt.offset % 512 == 0, "{} is no multiple of 512", corrupt.offset),
        RawStep::PlugDisk(PlugDisk { disk, .. }) | RawStep::UnplugDisk(UnplugDisk { disk, .. }) => {
            let plain = !disk.is_empty() && disk.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
            ensure!(plain, "a disk is named by lower-case letters and digits");
        }
        RawStep::Start(_)
        | RawStep::PowerCut(_)
        | RawStep::PowerOff(_)
        | RawStep::Reset(_)
        | RawStep::AssertNoSerial(_)
        | RawStep::WaitOff(_)
        | RawStep::AddDisk(_)
        | RawStep::RemoveDisk(_)
        | RawStep::CutLink(_)
        | RawStep::HealLink(_)
        | RawStep::Screenshot(_) => {}
    }
    Ok(())
}

/// What is compared with was kept before; what is kept may be compared with from now on.
fn check_saved<'a>(saved: &mut BTreeSet<&'a str>, same_as: Option<&str>, save: Option<&'a str>) -> Result<()> {
    if let Some(name) = same_as {
        ensure!(saved.contains(name), "no step before it saves `{name}`");
    }
    saved.extend(save);
    Ok(())
}

fn spec(raw: &RawNode) -> NodeSpec {
    let usual = NodeSpec::new(&raw.name);
    NodeSpec {
        board: raw.board.clone(),
        memory_mb: raw.memory_mb.unwrap_or(usual.memory_mb),
        disk_gb: raw.disk_gb.unwrap_or(usual.disk_gb),
        disks: raw.disks.unwrap_or(usual.disks),
        disk_bus: raw.disk_bus,
        watchdog: raw.watchdog,
        lose_writes: raw.lose_writes,
        secure_boot: raw.secure_boot,
        clock: raw.clock.clone(),
        cloudy_toml: raw.cloudy_toml.clone(),
        ports: raw.ports.clone(),
        ..usual
    }
}

impl RawStep {
    /// Its name as it is written.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Start(_) => "start",
            Self::PowerCut(_) => "power-cut",
            Self::PowerOff(_) => "power-off",
            Self::Reset(_) => "reset",
            Self::PowerCutRandom(_) => "power-cut-random",
            Self::CutEachWrite(_) => "cut-each-write",
            Self::AssertFile(_) => "assert-file",
            Self::WaitSerial(_) => "wait-serial",
            Self::AssertNoSerial(_) => "assert-no-serial",
            Self::WaitOff(_) => "wait-off",
            Self::WaitHttp(_) => "wait-http",
            Self::Run(_) => "run",
            Self::Deliver(_) => "deliver",
            Self::DeliverApps(_) => "deliver-apps",
            Self::CutLink(_) => "cut-link",
            Self::HealLink(_) => "heal-link",
            Self::LoseFrames(_) => "lose-frames",
            Self::WriteConfig(_) => "write-config",
            Self::CorruptFile(_) => "corrupt-file",
            Self::CorruptBytes(_) => "corrupt-bytes",
            Self::AddSlot(_) => "add-slot",
            Self::EditData(_) => "edit-data",
            Self::AddDisk(_) => "add-disk",
            Self::RemoveDisk(_) => "remove-disk",
            Self::PlugDisk(_) => "plug-disk",
            Self::UnplugDisk(_) => "unplug-disk",
            Self::Screenshot(_) => "screenshot",
            Self::Browse(_) => "browse",
        }
    }

    /// The node that it is about, if it is about one.
    pub fn node(&self) -> Option<&str> {
        match self {
            Self::Start(step)
            | Self::PowerCut(step)
            | Self::Reset(step)
            | Self::CutLink(step)
            | Self::HealLink(step)
            | Self::RemoveDisk(step) => Some(&step.node),
            Self::EditData(step) => Some(&step.node),
            Self::Deliver(step) => Some(&step.node),
            Self::DeliverApps(step) => Some(&step.node),
            Self::AddDisk(step) => Some(&step.node),
            Self::PlugDisk(step) => Some(&step.node),
            Self::UnplugDisk(step) => Some(&step.node),
            Self::PowerOff(step) | Self::WaitOff(step) => Some(&step.node),
            Self::PowerCutRandom(step) => Some(&step.node),
            Self::CutEachWrite(step) => Some(&step.node),
            Self::AssertFile(step) => Some(&step.node),
            Self::WaitSerial(step) => Some(&step.node),
            Self::AssertNoSerial(step) => Some(&step.node),
            Self::WaitHttp(step) => Some(&step.node),
            Self::Run(step) => Some(&step.node),
            Self::WriteConfig(step) => Some(&step.node),
            Self::CorruptFile(step) => Some(&step.node),
            Self::CorruptBytes(step) => Some(&step.node),
            Self::AddSlot(step) => Some(&step.node),
            Self::Screenshot(step) => Some(&step.node),
            Self::Browse(step) => Some(&step.node),
            Self::LoseFrames(_) => None,
        }
    }

    /// What it does, for the line that is printed.
    pub fn shown(&self) -> String {
        let what = match self {
            Self::WaitSerial(step) => format!("`{}`", step.text),
            Self::AssertNoSerial(step) => format!("`{}`", step.text),
            Self::WaitHttp(step) => format!("{} {}", step.path, step.pointer.as_deref().unwrap_or_default()),
            Self::Run(step) => format!("`{}`", step.command),
            Self::AssertFile(step) => format!("{}{} on {}", if step.there { "" } else { "no " }, step.path, step.partition),
            Self::CorruptFile(step) => format!("{:?} {} on {}", step.how, step.path, step.partition),
            Self::CorruptBytes(step) => format!("byte {} of {}", step.offset, step.partition),
            Self::PowerCutRandom(step) => format!("{} times", step.times),
            Self::WriteConfig(step) => step.name.clone(),
            Self::PlugDisk(step) => step.disk.clone(),
            Self::UnplugDisk(step) => step.disk.clone(),
            Self::Deliver(step) => format!("{} of {}", step.file, step.package),
            Self::EditData(step) => format!("`{}`", step.commands.join("; ")),
            Self::Browse(step) => step.shown(),
            _ => String::new(),
        };
        format!("{} {} {what}", self.verb(), self.node().unwrap_or_default()).trim_end().to_owned()
    }
}
