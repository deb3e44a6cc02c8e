//! What is done on the pages, step by step, and which of the node's pages somebody has to have been on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;
use xshell::{Shell, cmd};

use super::crawl::{Looks, crawl, of_route};
use crate::board::parse;
use crate::browser::step::{Browse, browse, placeholder};
use crate::browser::{Browser, INSIDE};
use crate::{ask, cmd as commands, parallel, ui};

/// So many browsers at a time.
const AT_ONCE: usize = 2;
/// After so many steps that could not be done it ends: the rest would wait in vain too.
const MOST_FAILED: usize = 4;
/// Between two attempts of a command that is waited for.
const LOOK: Duration = Duration::from_millis(300);
/// How long a command is waited for.
const COMMAND: Duration = Duration::from_secs(60);

/// A node of the lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Node {
    /// With Docker.
    Lab,
    /// Its neighbour.
    Friend,
    /// Nobody's.
    Spare,
}

impl Node {
    fn page(self) -> &'static str {
        match self {
            Self::Lab => "page",
            Self::Friend => "friend-page",
            Self::Spare => "spare-page",
        }
    }

    /// The door to its API's own socket.
    fn socket(self) -> &'static str {
        match self {
            Self::Lab => "socket",
            Self::Friend => "friend",
            Self::Spare => "spare",
        }
    }
}

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Plan {
    /// All pages that a node has, as its router names them: somebody has to come to each. The agent's tests hold the list to the router.
    pages: Vec<String>,
    /// Those on which nobody can be here, and why: links to them lead on.
    #[serde(default)]
    not_here: BTreeMap<String, String>,
    steps: Vec<Step>,
}

/// One step.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
enum Step {
    /// A person does something on a page.
    Browse(Browse),
    /// The node's own command line is used.
    Run(Run),
    /// Docker is asked, past the node.
    Docker(Asked),
    /// A file for the browser to choose.
    File(Given),
    /// People go to every page that a link leads to, each in the browser that they have.
    Crawl(Crawl),
}

/// See [`Step::Run`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Run {
    node: Node,
    /// The command line after `cloudy`; `{NAME}` is what was kept under that name.
    words: Vec<String>,
    /// Tried again until it says this.
    #[serde(default)]
    contains: Vec<String>,
    /// Keeps text of what it says as JSON: name → JSON pointer.
    #[serde(default)]
    save: BTreeMap<String, String>,
}

/// See [`Step::Docker`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Asked {
    /// Of a request of Docker's API that changes something.
    path: String,
    /// JSON.
    body: String,
}

/// See [`Step::File`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Given {
    name: String,
    text: String,
}

/// See [`Step::Crawl`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Crawl {
    node: String,
    people: Vec<String>,
    /// Pictures are taken, at each width.
    #[serde(default)]
    pictures: bool,
    /// Each page is held to axe-core.
    #[serde(default)]
    axe: bool,
}

impl Plan {
    /// Reads it.
    ///
    /// # Errors
    /// With file, line and column where TOML or a key is wrong.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("failed to read `{}`", path.display()))?;
        let plan: Self = parse(path, &text)?;
        for (number, step) in plan.steps.iter().enumerate() {
            step.check().with_context(|| format!("{}: step {}", path.display(), number + 1))?;
        }
        Ok(plan)
    }
}

impl Step {
    fn check(&self) -> Result<()> {
        match self {
            Self::Browse(step) => step.check().and_then(|()| node(&step.node).map(drop)),
            Self::Crawl(step) => node(&step.node).map(drop),
            Self::Docker(asked) => serde_json::from_str::<Value>(&asked.body).context("the body is no JSON").map(drop),
            Self::Run(step) => {
                ensure!(!step.words.is_empty(), "no words");
                Ok(())
            }
            Self::File(file) => {
                let plain = file.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-');
                ensure!(plain && !file.name.starts_with('.'), "a file is named by letters, digits, `.` and -");
                Ok(())
            }
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Browse(step) => format!("{}: {}", step.node, step.shown()),
            Self::Run(step) => format!("{:?}: cloudy {}", step.node, step.words.join(" ")),
            Self::Docker(asked) => format!("Docker: {}", asked.path),
            Self::File(file) => format!("{INSIDE}/{}", file.name),
            Self::Crawl(step) => format!("{}: {} go everywhere", step.node, step.people.join(", ")),
        }
    }
}

fn node(name: &str) -> Result<Node> {
    match name {
        "lab" => Ok(Node::Lab),
        "friend" => Ok(Node::Friend),
        "spare" => Ok(Node::Spare),
        _ => bail!("there is no node `{name}`; there are lab, friend, spare"),
    }
}

/// People on the pages.
pub struct Tour<'a> {
    pub plan: &'a Plan,
    pub browser: Browser,
    /// Where pictures go, and what the browser may choose lies.
    pub work: &'a Path,
    /// The folder of the lab's doors.
    pub doors: &'a Path,
    /// The node's program, as its command line.
    pub program: &'a Path,
    pub urls: BTreeMap<&'static str, String>,
    pub axe: &'a str,
    pub so_far: SoFar,
}

/// What has come of the steps.
#[derive(Default)]
pub struct SoFar {
    kept: BTreeMap<String, String>,
    /// The pages that somebody was on, as the router names them.
    reached: BTreeSet<String>,
    /// What is wrong with pages. All of them are looked at before it ends.
    faults: Vec<String>,
}

impl Tour<'_> {
    /// Does all steps.
    ///
    /// # Errors
    /// A step can't be done, a page is not as it has to be, or nobody came to one.
    pub fn go(mut self) -> Result<()> {
        let (begun, mut failed) = (Instant::now(), 0);
        for (number, step) in self.plan.steps.iter().enumerate() {
            ui::say(&format!("{:6.1} s  {}", begun.elapsed().as_secs_f32(), step.shown()));
            if let Err(error) = self.step(step) {
                // Others may go all the same, and one run then tells more.
                let fault = format!("step {}: {}: {error:#}", number + 1, step.shown());
                ui::say(&fault);
                self.so_far.faults.push(fault);
                failed += 1;
                ensure!(failed < MOST_FAILED, "{failed} steps could not be done:\n{}", self.so_far.faults.join("\n"));
            }
        }
        for page in self.plan.pages.iter().filter(|page| !self.so_far.reached.contains(*page)) {
            if !self.plan.not_here.contains_key(page) {
                self.so_far.faults.push(format!("nobody came to `{page}`"));
            }
        }
        for page in self.plan.not_here.keys().filter(|page| self.so_far.reached.contains(*page)) {
            self.so_far.faults.push(format!("somebody came to `{page}`, which is said to be `not-here`"));
        }
        ensure!(self.so_far.faults.is_empty(), "{} faults:\n{}", self.so_far.faults.len(), self.so_far.faults.join("\n"));
        ui::say(&format!("all {} pages were reached but {}", self.plan.pages.len(), self.plan.not_here.len()));
        Ok(())
    }

    fn url(&self, name: &str) -> Result<&String> {
        self.urls.get(node(name)?.page()).context("there is no such door")
    }

    fn pictures(&self) -> PathBuf {
        self.work.join("pictures")
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Browse(step) => {
                let (url, folder) = (self.url(&step.node)?.clone(), self.pictures());
                let visitor = self.browser.person(&step.person, &step.language, step.scripts)?;
                let browsed = browse(visitor, &url, &folder, &step.with(&self.so_far.kept), Some(self.axe))?;
                self.so_far
                    .faults
                    .extend(browsed.violations.into_iter().map(|violation| format!("{}: axe-core: {violation}", step.shown())));
                self.so_far.kept.extend(browsed.kept);
                let path = visitor.script("return location.pathname")?;
                self.so_far.reached.extend(path.as_str().and_then(|path| of_route(path, &self.plan.pages)));
                Ok(())
            }
            Step::Run(step) => self.run(step),
            Step::Docker(asked) => ask::post(&self.doors.join("docker"), &asked.path, &serde_json::from_str(&asked.body)?).map(drop),
            Step::File(file) => {
                fs::write(self.work.join(&file.name), &file.text).with_context(|| format!("failed to write `{}`", file.name))
            }
            Step::Crawl(step) => self.crawl(step),
        }
    }

    fn run(&mut self, step: &Run) -> Result<()> {
        let value = |word: &String| placeholder(word).and_then(|name| self.so_far.kept.get(name)).unwrap_or(word).clone();
        let words: Vec<String> = step.words.iter().map(value).collect();
        let begun = Instant::now();
        let (shell, program, socket) = (Shell::new()?, self.program, self.doors.join(step.node.socket()));
        let said = loop {
            let words = &words;
            let said = commands::read(cmd!(shell, "{program} {words...} --socket {socket}"));
            match said {
                Ok(said) if step.contains.iter().all(|part| said.contains(part.as_str())) => break said,
                Ok(said) => ensure!(begun.elapsed() < COMMAND, "it says {said}"),
                Err(error) if begun.elapsed() >= COMMAND => return Err(error),
                Err(_) => {}
            }
            std::thread::sleep(LOOK);
        };
        if !step.save.is_empty() {
            let json: Value = serde_json::from_str(&said).context("what it says is no JSON")?;
            for (name, pointer) in &step.save {
                let text = json.pointer(pointer).and_then(Value::as_str).with_context(|| format!("nothing is at `{pointer}`"))?;
                self.so_far.kept.insert(name.clone(), text.to_owned());
            }
        }
        Ok(())
    }

    fn crawl(&mut self, step: &Crawl) -> Result<()> {
        let url = self.url(&step.node)?.clone();
        let pictures = step.pictures.then(|| self.pictures());
        let leads_on = self.plan.not_here.keys().map(String::as_str).collect();
        let looks =
            Looks { url: &url, pages: &self.plan.pages, leads_on, pictures: pictures.as_deref(), axe: step.axe.then_some(self.axe) };
        let found = Mutex::new(Vec::new());
        let browser = &self.browser;
        parallel::for_each(&step.people, AT_ONCE, |name| {
            let visitor = browser.known(name)?;
            let seen = crawl(visitor, name, &looks).with_context(|| format!("{name} could go no further"))?;
            found.lock().unwrap_or_else(PoisonError::into_inner).push((name.clone(), seen));
            Ok(())
        })?;
        for (name, seen) in found.into_inner().unwrap_or_else(PoisonError::into_inner) {
            ui::say(&format!("          {name} was on {} pages, {:.1} s", seen.visited, seen.seconds));
            self.so_far.reached.extend(seen.reached);
            self.so_far.faults.extend(seen.faults);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_of_the_repository_is_read_and_what_can_t_be_is_said() {
        let path = crate::verbs::root().unwrap().join(super::super::PLAN);
        let plan = Plan::read(&path).unwrap();
        assert!(plan.not_here.keys().all(|page| plan.pages.contains(page)), "{:?}", plan.not_here);
        let people: BTreeSet<&String> =
            plan.steps.iter().filter_map(|step| if let Step::Browse(step) = step { Some(&step.person) } else { None }).collect();
        for step in &plan.steps {
            if let Step::Crawl(crawl) = step {
                assert!(crawl.people.iter().all(|person| people.contains(person)), "{crawl:?}");
            }
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        let refused = |text: &str| {
            fs::write(file.path(), text).unwrap();
            format!("{:#}", Plan::read(file.path()).unwrap_err())
        };
        assert!(refused("pages = []\n[[steps]]\ncrawl = { node = \"moon\", people = [] }\n").contains("no node `moon`"));
        assert!(refused("pages = []\n[[steps]]\nfile = { name = \"../x\", text = \"\" }\n").contains("step 1"));
        assert!(refused("pages = []\n[[steps]]\nfly = {}\n").contains("fly"));
    }
}
