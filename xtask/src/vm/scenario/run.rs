//! Runs a scenario's steps on a lab, says each with its time, and on failure shows what the nodes said last.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use contract::boot::BuildId;
use contract::gpt::SECTOR_BYTES;

use super::super::disk::{Disk, damaged};
use super::super::emulator::Emulator;
use super::super::lab::{DISK_GB, Lab, NodeSpec, prepare_folder};
use super::super::machine::{PAGE_PORT, SSH_PORT};
use super::super::node::POLL;
use super::super::power::Random;
use super::super::visit::{self, Answer};
use super::entries::{Found, Kept};
use super::people::People;
use super::raw::{AddSlot, AssertFile, CorruptFile, CutEachWrite, Deliver, DeliverApps, PowerCutRandom, RawStep, RunCommand, WaitHttp};
use super::{Scenario, Shelf, aftermath, slot};
use crate::browser::Browser;
use crate::browser::step::{Browse, browse};
use crate::ui;

/// How long after a failed attempt the next visit comes.
const VISIT_PAUSE: Duration = Duration::from_secs(1);

/// How a scenario ended.
#[derive(Debug)]
pub struct Outcome {
    /// Its name.
    pub name: String,
    /// Seconds that it took.
    pub seconds: f64,
}

/// Runs one scenario with nodes from `image`; disks and logs lie in `folder`, which is emptied. `repo` is where inputs
/// of commands are. Each line that it says begins with `told_as`, so that scenarios that run beside each other are told apart.
///
/// # Errors
/// When a step does not come true: with the step, and the tails of all serial logs on stderr.
pub fn run(
    emulator: &Emulator,
    repo: &Path,
    shelf: &Shelf<'_>,
    image: &Path,
    folder: &Path,
    scenario: &Scenario,
    told_as: &str,
) -> Result<Outcome> {
    let begun = Instant::now();
    let say = |line: &str| ui::say(&format!("{told_as}{line}"));
    say(&format!("» scenario {}: {}", scenario.name, scenario.title));
    prepare_folder(folder)?;
    let key = visit::make_key(emulator, folder)?;
    let people = People::new(&key, scenario.community.as_deref())?;
    let specs: Vec<NodeSpec> = scenario
        .nodes
        .iter()
        .map(|(spec, _)| NodeSpec { cloudy_toml: spec.cloudy_toml.as_deref().map(|text| people.fill(text)), ..spec.clone() })
        .collect();
    let lab = Lab::new(emulator, image, folder, &specs)?;
    let axe = scenario.axe.as_deref();
    let mut stage = Stage { emulator, repo, shelf, lab, people, browser: None, saved: BTreeMap::new(), begun, told_as, axe, violations: 0 };
    let result = stage.play(scenario);
    if let Err(error) = &result {
        aftermath::show(emulator, &mut stage.lab, told_as);
        say(&format!("  failed: {error:#}"));
        say(&format!("  all logs: {}", folder.display()));
    }
    for node in &mut stage.lab.nodes {
        node.kill()?;
    }
    stage.lab.remove_disks();
    result.with_context(|| format!("scenario {} failed", scenario.name))?;
    let seconds = begun.elapsed().as_secs_f64();
    say(&format!("  scenario {}: {seconds:.0} s", scenario.name));
    Ok(Outcome { name: scenario.name.clone(), seconds })
}

struct Stage<'a> {
    emulator: &'a Emulator,
    repo: &'a Path,
    shelf: &'a Shelf<'a>,
    lab: Lab,
    people: People,
    /// What people use, once the first of them comes.
    browser: Option<Browser>,
    /// What commands printed, by the name under which it was kept.
    saved: BTreeMap<String, String>,
    begun: Instant,
    told_as: &'a str,
    /// The text of axe-core, where pages are held to it.
    axe: Option<&'a str>,
    /// How often it found something. All pages are gone through all the same.
    violations: usize,
}

impl Stage<'_> {
    fn say(&self, line: &str) {
        ui::say(&format!("{}{line}", self.told_as));
    }

    fn play(&mut self, scenario: &Scenario) -> Result<()> {
        for (spec, start) in &scenario.nodes {
            if *start {
                self.lab.node(&spec.name)?.1.start(self.emulator)?;
            }
        }
        for (number, step) in (1..).zip(&scenario.steps) {
            self.step(step).with_context(|| format!("step {number} ({})", step.shown()))?;
            self.say(&format!("  {:6.1} s  {}", self.begun.elapsed().as_secs_f64(), step.shown()));
        }
        ensure!(self.violations == 0, "axe-core found {} times what keeps people out: it stands above, beside each step", self.violations);
        Ok(())
    }

    fn step(&mut self, step: &RawStep) -> Result<()> {
        match step {
            RawStep::Start(step) => self.lab.node(&step.node)?.1.start(self.emulator),
            RawStep::PowerCut(step) => self.lab.node(&step.node)?.1.cut_power().map(|_| ()),
            RawStep::PowerOff(step) => self.lab.node(&step.node)?.1.power_off(Duration::from_secs(step.seconds)),
            RawStep::Reset(step) => self.lab.node(&step.node)?.1.reset(),
            RawStep::PowerCutRandom(step) => self.power_cut_random(step),
            RawStep::CutEachWrite(step) => self.cut_each_write(step),
            RawStep::WaitSerial(step) => self.wait_serial(&step.node, &step.text, step.times, step.seconds),
            RawStep::AssertNoSerial(step) => {
                let (_, node) = self.lab.node(&step.node)?;
                ensure!(!node.said().contains(&step.text), "the console has shown it");
                Ok(())
            }
            RawStep::WaitOff(step) => {
                let begun = Instant::now();
                while self.lab.node(&step.node)?.1.is_on()? {
                    ensure!(begun.elapsed().as_secs() < step.seconds, "it is still on after {} s", step.seconds);
                    std::thread::sleep(POLL);
                }
                Ok(())
            }
            RawStep::WaitHttp(step) => self.wait_http(step),
            RawStep::Run(step) => self.run(step),
            RawStep::Deliver(step) => self.deliver(step),
            RawStep::DeliverApps(step) => self.deliver_apps(step),
            RawStep::CutLink(step) => self.set_cut(&step.node, true),
            RawStep::HealLink(step) => self.set_cut(&step.node, false),
            RawStep::LoseFrames(step) => {
                self.lab.hub.set_loss(step.percent, step.seed);
                Ok(())
            }
            RawStep::WriteConfig(step) => {
                let text = self.people.fill(&step.text);
                self.lab.disk(&step.node)?.put("config", &step.name, text.as_bytes())
            }
            RawStep::CorruptFile(step) => self.corrupt_file(step),
            RawStep::CorruptBytes(step) => self.lab.disk(&step.node)?.write_at(&step.partition, step.offset, &[0x5a; 512]),
            RawStep::AssertFile(step) => self.assert_file(step),
            RawStep::AddSlot(step) => self.add_slot(step),
            RawStep::EditData(step) => self.edit_data(&step.node, &step.commands),
            RawStep::AddDisk(step) => self.lab.add_disk(&step.node, step.gb.unwrap_or(DISK_GB), step.blank),
            RawStep::RemoveDisk(step) => self.lab.remove_disk(&step.node),
            RawStep::PlugDisk(step) => self.lab.plug_disk(&step.node, &step.disk, step.gb),
            RawStep::UnplugDisk(step) => self.lab.node(&step.node)?.1.unplug(&step.disk),
            RawStep::Browse(step) => self.browse(step),
            RawStep::Screenshot(step) => {
                let (_, node) = self.lab.node(&step.node)?;
                node.screenshot(&step.name)?;
                let lit = node.lit_pixels()?;
                ensure!(lit >= step.lit, "{lit} pixels of its screen are not black, {} wanted", step.lit);
                Ok(())
            }
        }
    }

    fn browse(&mut self, step: &Browse) -> Result<()> {
        let folder = self.lab.folder().to_owned();
        let port = self.lab.node(&step.node)?.1.plan.host_port(PAGE_PORT)?;
        let browser = match &mut self.browser {
            Some(browser) => browser,
            none => none.insert(Browser::start(self.emulator.tools(), &folder)?),
        };
        let visitor = browser.person(&step.person, &step.language, step.scripts)?;
        let step = step.with(&self.saved);
        let browsed = browse(visitor, &format!("http://127.0.0.1:{port}"), &folder.join("pictures"), &step, self.axe)?;
        self.saved.extend(browsed.kept);
        for violation in browsed.violations {
            self.say(&format!("            axe-core: {violation}"));
            self.violations += 1;
        }
        browsed.pictures.iter().for_each(|picture| self.say(&format!("            {}", picture.display())));
        Ok(())
    }

    fn set_cut(&mut self, node: &str, cut: bool) -> Result<()> {
        let (index, _) = self.lab.node(node)?;
        self.lab.hub.set_cut(index, cut);
        Ok(())
    }

    fn wait_serial(&mut self, name: &str, text: &str, times: usize, seconds: u64) -> Result<()> {
        let begun = Instant::now();
        let (_, node) = self.lab.node(name)?;
        loop {
            // Whether it is on is asked first: what it said last is then in the log.
            let on = node.is_on()?;
            if node.said().matches(text).count() >= times {
                return Ok(());
            }
            ensure!(on, "the node is off, and its console did not show it");
            ensure!(begun.elapsed().as_secs() < seconds, "the console did not show it in {seconds} s");
            std::thread::sleep(POLL);
        }
    }

    fn power_cut_random(&mut self, step: &PowerCutRandom) -> Result<()> {
        let mut random = Random::new(step.seed);
        self.lab.node(&step.node)?.1.set_seed(step.seed);
        for _ in 0..step.times {
            self.lab.node(&step.node)?.1.start(self.emulator)?;
            if let Some(text) = &step.after {
                self.wait_serial(&step.node, text, 1, step.seconds)?;
            }
            let milliseconds = random.below(step.within_milliseconds);
            std::thread::sleep(Duration::from_millis(milliseconds));
            let (_, node) = self.lab.node(&step.node)?;
            let lost = node.cut_power()?;
            let last = node.said().lines().last().unwrap_or_default().trim().to_owned();
            self.say(&format!("            cut {milliseconds} ms later, {} of {} writes lost, after `{last}`", lost.lost, lost.writes));
        }
        Ok(())
    }

    fn wait_http(&mut self, step: &WaitHttp) -> Result<()> {
        let begun = Instant::now();
        let (_, node) = self.lab.node(&step.node)?;
        let port = node.plan.host_port(step.port.unwrap_or(PAGE_PORT))?;
        loop {
            let last = match visit::get(port, &step.path) {
                Ok(answer) => match check_answer(step, &answer, &self.saved) {
                    Ok(text) => {
                        self.saved.extend(step.save.clone().map(|name| (name, text)));
                        return Ok(());
                    }
                    Err(error) => error,
                },
                Err(error) => error,
            };
            ensure!(node.is_on()?, "the node is off; {last:#}");
            if begun.elapsed().as_secs() >= step.seconds {
                return Err(last.context(format!("not in {} s", step.seconds)));
            }
            std::thread::sleep(VISIT_PAUSE);
        }
    }

    fn run(&mut self, step: &RunCommand) -> Result<()> {
        let begun = Instant::now();
        let limit = Duration::from_secs(step.seconds);
        let folder = self.lab.folder().to_owned();
        // A path that begins at the root stays as it is.
        let input = step.input.as_ref().map(|input| self.repo.join(input));
        let (_, node) = self.lab.node(&step.node)?;
        let port = node.plan.host_port(SSH_PORT)?;
        let mut last = None;
        loop {
            let left = limit.saturating_sub(begun.elapsed());
            let ended = visit::run(self.emulator, &folder, port, &step.command, input.as_deref(), left)?;
            let verdict = check_ended(step, &ended, &self.saved);
            if verdict.is_ok() {
                let shown = ended.output.lines().filter(|_| step.show);
                shown.chain(step.verdict.as_deref()).for_each(|line| ui::say(&format!("            {line}")));
                if let Some(name) = &step.save {
                    self.saved.insert(name.clone(), ended.output);
                }
                return Ok(());
            }
            let (_, node) = self.lab.node(&step.node)?;
            ensure!(node.is_on()?, "the node is off");
            // An attempt that the limit cut off says less than the one before it.
            if ended.status.is_some() || last.is_none() {
                last = Some(verdict);
            }
            if begun.elapsed() >= limit {
                return last.unwrap_or(Ok(())).with_context(|| format!("not in {} s", step.seconds));
            }
            std::thread::sleep(VISIT_PAUSE);
        }
    }

    fn cut_each_write(&mut self, step: &CutEachWrite) -> Result<()> {
        let (_, node) = self.lab.node(&step.node)?;
        let build = match &step.build {
            Some(build) => build.parse()?,
            None => slot::build_in_a(&Disk::open(&node.disk()?)?)?,
        };
        let mut kept = Kept::of(build);
        let seen = node.cut_each("esp", |fat, complete| kept.look(&Found::read(fat)?, complete))?;
        ensure!(seen.writes > 0, "nothing was written there: this shows nothing");
        let lost = match kept.end()? {
            0 => String::new(),
            lost => format!(", but for {lost} of them while the boot loader counted: these start the confirmed slot"),
        };
        ui::say(&format!(
            "            {} writes, {} states that a cut could have left: each starts {build}{lost}",
            seen.writes, seen.states
        ));
        Ok(())
    }

    fn assert_file(&mut self, step: &AssertFile) -> Result<()> {
        let glob = globset::Glob::new(&step.path)?.compile_matcher();
        let files = self.lab.disk(&step.node)?.files(&step.partition)?;
        let all: Vec<_> = files.iter().map(|(path, _)| path.as_str()).collect();
        let found = all.iter().filter(|path| glob.is_match(path)).count();
        ensure!(found == usize::from(step.there), "{found} files match; there are: {}", all.join(", "));
        Ok(())
    }

    fn corrupt_file(&mut self, step: &CorruptFile) -> Result<()> {
        let disk = self.lab.disk(&step.node)?;
        let glob = globset::Glob::new(&step.path)?.compile_matcher();
        let mut files = disk.files(&step.partition)?;
        let found: Vec<usize> = (0..files.len()).filter(|at| files.get(*at).is_some_and(|(path, _)| glob.is_match(path))).collect();
        let [at] = found.as_slice() else {
            let all: Vec<_> = files.iter().map(|(path, _)| path.as_str()).collect();
            bail!("{} files match, one must; there are: {}", found.len(), all.join(", "));
        };
        let (path, content) = files.swap_remove(*at);
        if let Some(content) = damaged(&content, step.how).with_context(|| format!("failed to damage `{path}`"))? {
            files.push((path, content));
        }
        disk.replace_files(&step.partition, files)
    }

    fn deliver(&mut self, step: &Deliver) -> Result<()> {
        let content = self.shelf.take(&step.package, &step.file)?.read()?;
        let aside = self.lab.folder().join("delivered");
        std::fs::write(&aside, content)?;
        self.send(&step.node, aside, format!("sudo install -D -m 0755 /dev/stdin {}", step.to), step.seconds)
    }

    fn deliver_apps(&mut self, step: &DeliverApps) -> Result<()> {
        let layout = self.repo.join(crate::apps::OUT);
        ensure!(layout.join("index.json").exists(), "there are no apps in `{}`: `cargo xtask app NAME` makes them", layout.display());
        let aside = self.lab.folder().join("apps.tar");
        let mut tar = tar::Builder::new(File::create(&aside)?);
        tar.append_dir_all(".", &layout).context("failed to pack the apps")?;
        tar.into_inner()?;
        self.send(
            &step.node,
            aside,
            format!("sudo mkdir -p {0} && sudo tar --extract --no-same-owner --directory {0}", step.to),
            step.seconds,
        )
    }

    /// Has a command in a node read a file.
    fn send(&mut self, node: &str, file: PathBuf, command: String, seconds: u64) -> Result<()> {
        let (status, contains, lacks) = (0, Vec::new(), Vec::new());
        let (save, same_as, differs_from) = (None, None, None);
        self.run(&RunCommand {
            node: node.to_owned(),
            command,
            status,
            contains,
            lacks,
            save,
            same_as,
            differs_from,
            input: Some(file),
            verdict: None,
            show: false,
            seconds,
        })
    }

    fn edit_data(&mut self, name: &str, commands: &[String]) -> Result<()> {
        let offset = self.lab.disk(name)?.first_sector("data")? * SECTOR_BYTES as u64;
        let folder = self.lab.folder().to_owned();
        let disk = self.lab.node(name)?.1.plan.disks.first().context("the node has no disk")?.clone();
        visit::debugfs(self.emulator, &folder, &disk, offset, commands)
    }

    fn add_slot(&mut self, step: &AddSlot) -> Result<()> {
        let build: BuildId = step.build.parse()?;
        slot::add(&self.lab.disk(&step.node)?, build, step.tries)
    }
}

/// Whether an answer is what the step waits for; returns the text that the conditions are about.
pub fn check_answer(step: &WaitHttp, answer: &Answer, saved: &BTreeMap<String, String>) -> Result<String> {
    let wanted = step.status.unwrap_or(200);
    ensure!(answer.status == wanted, "the answer's status is {}, {wanted} wanted: {}", answer.status, short(&answer.body));
    let value = match &step.pointer {
        Some(pointer) => {
            let json: serde_json::Value =
                serde_json::from_str(&answer.body).with_context(|| format!("no JSON: {}", short(&answer.body)))?;
            json.pointer(pointer).cloned().with_context(|| format!("nothing at `{pointer}` in {}", short(&answer.body)))?
        }
        None => serde_json::from_str(&answer.body).unwrap_or(serde_json::Value::String(answer.body.clone())),
    };
    let text = match (&value, &step.pointer) {
        (_, None) => answer.body.clone(),
        (serde_json::Value::String(text), _) => text.clone(),
        (other, _) => other.to_string(),
    };
    if let Some(equals) = &step.equals {
        ensure!(serde_json::to_value(equals)? == value, "it is {}, {equals} wanted", short(&text));
    }
    if let Some(length) = step.length {
        let list = value.as_array().with_context(|| format!("it is no list: {}", short(&text)))?;
        ensure!(list.len() == length, "the list has {} entries, {length} wanted: {}", list.len(), short(&text));
    }
    check_text(&text, &step.contains, &step.lacks)?;
    check_same(&text, step.same_as.as_deref(), saved)?;
    Ok(text)
}

/// Whether a command ended as the step says.
pub fn check_ended(step: &RunCommand, ended: &visit::Ended, saved: &BTreeMap<String, String>) -> Result<()> {
    let status = ended.status.context("it did not end")?;
    let errors = ended.errors.trim();
    ensure!(status == step.status, "its status is {status}, {} wanted; it said: {} {errors}", step.status, short(&ended.output));
    check_text(&ended.output, &step.contains, &step.lacks)?;
    check_same(&ended.output, step.same_as.as_deref(), saved)?;
    if let Some(name) = &step.differs_from {
        ensure!(saved.get(name) != Some(&ended.output), "it printed the same as before: {}", short(&ended.output));
    }
    Ok(())
}

fn check_same(text: &str, name: Option<&str>, saved: &BTreeMap<String, String>) -> Result<()> {
    let Some(name) = name else { return Ok(()) };
    let kept = saved.get(name).with_context(|| format!("nothing is kept as `{name}`"))?;
    ensure!(kept == text, "it is {}, before it was {}", short(text), short(kept));
    Ok(())
}

fn check_text(text: &str, contains: &[String], lacks: &[String]) -> Result<()> {
    if let Some(missing) = contains.iter().find(|part| !text.contains(part.as_str())) {
        bail!("`{missing}` is not in {}", short(text));
    }
    if let Some(there) = lacks.iter().find(|part| text.contains(part.as_str())) {
        bail!("`{there}` is in {}", short(text));
    }
    Ok(())
}

/// A text as it fits into an error.
fn short(text: &str) -> String {
    const CHARS: usize = 600;
    let mut short: String = text.chars().take(CHARS).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("`{}`", short.trim_end())
}
