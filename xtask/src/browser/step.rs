//! The step `browse`: a person goes somewhere, fills a form, presses a button, and sees what came of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::{POLL, Visitor, check_shown};

/// What a person does on a page. In this order: goes to a path, fills fields, presses a button, waits until the page shows what it shall,
/// takes pictures of it. A fault of the page's script, a thing that its policy kept from happening, or a control without a name in the
/// browser's accessibility tree fails the step.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Browse {
    /// Whose page.
    pub node: String,
    /// Who: each has a browser, and so a session, of their own.
    #[serde(default = "somebody")]
    pub person: String,
    /// The language that this person's browser asks for, where the person first comes.
    #[serde(default = "english")]
    pub language: String,
    /// Whether this person's browser runs scripts, where the person first comes.
    #[serde(default = "yes")]
    pub scripts: bool,
    /// Where to go; without it the person stays where they are.
    pub open: Option<String>,
    /// What fields and button are in: a CSS selector.
    pub within: Option<String>,
    /// Values of fields, by their names; `{NAME}` is what an earlier step kept under that name.
    #[serde(default)]
    pub fill: BTreeMap<String, String>,
    /// What the button (or link) that is pressed shows.
    pub press: Option<String>,
    /// The page then shows all of these.
    #[serde(default)]
    pub see: Vec<String>,
    /// And none of these.
    #[serde(default)]
    pub lacks: Vec<String>,
    /// Keeps the text of elements: name → CSS selector.
    #[serde(default)]
    pub save: BTreeMap<String, String>,
    /// Pictures of it are taken under this name, at the width of a phone, a tablet and a laptop; it may not be wider than they are.
    pub pictures: Option<String>,
    /// Limit.
    pub seconds: u64,
}

fn somebody() -> String {
    "somebody".to_owned()
}

fn english() -> String {
    "en".to_owned()
}

fn yes() -> bool {
    true
}

impl Browse {
    /// What is put into selectors ends none of their strings, and what is taken has a plain name.
    pub fn check(&self) -> Result<()> {
        let path = self.open.as_deref().unwrap_or("/");
        ensure!(path.starts_with('/'), "`{path}` does not begin with /");
        let mut quoted = self.fill.keys().chain(&self.press);
        ensure!(quoted.all(|text| !text.contains(['"', '\\'])), "a field or a button has a quote or a backslash");
        let plain = |name: &String| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        ensure!(self.pictures.iter().all(plain), "pictures are named by letters, digits and -");
        let idle = self.open.is_none() && self.press.is_none() && self.see.is_empty() && self.lacks.is_empty() && self.pictures.is_none();
        ensure!(!idle, "nothing is opened, pressed or seen");
        Ok(())
    }

    /// What the person does, for the line that is printed.
    pub fn shown(&self) -> String {
        let mut words = vec![format!("{}:", self.person)];
        words.extend(self.open.clone());
        words.extend(self.press.as_ref().map(|label| format!("presses `{label}`")));
        words.extend((!self.see.is_empty()).then(|| format!("sees `{}`", self.see.join("`, `"))));
        words.extend((!self.lacks.is_empty()).then(|| format!("does not see `{}`", self.lacks.join("`, `"))));
        words.join(" ")
    }

    /// The same with what was kept in place of each `{NAME}`.
    pub fn with(&self, kept: &BTreeMap<String, String>) -> Self {
        let mut step = self.clone();
        for value in step.fill.values_mut() {
            if let Some(kept) = placeholder(value).and_then(|name| kept.get(name)) {
                *value = kept.clone();
            }
        }
        step
    }
}

/// What a value stands for, if it stands for what was kept.
pub fn placeholder(value: &str) -> Option<&str> {
    value.strip_prefix('{')?.strip_suffix('}')
}

/// What came of a step.
#[derive(Debug)]
pub struct Browsed {
    /// Name → text that is kept.
    pub kept: BTreeMap<String, String>,
    /// Where the pictures are.
    pub pictures: Vec<PathBuf>,
    /// What axe-core finds on the page that keeps people out.
    pub violations: Vec<String>,
}

/// Does the step on the page at `base` (`http://HOST:PORT`); pictures go into `folder`. With the text of axe-core, the page is held to it.
pub fn browse(visitor: &Visitor, base: &str, folder: &Path, step: &Browse, axe: Option<&str>) -> Result<Browsed> {
    let (begun, limit) = (Instant::now(), Duration::from_secs(step.seconds));
    if let Some(path) = &step.open {
        until(begun, limit, || visitor.open(&format!("{base}{path}")))?;
    }
    if !step.fill.is_empty() || step.press.is_some() {
        // The page may make itself anew meanwhile: then all is filled in again.
        until(begun, limit, || {
            visitor.fill(step.within.as_deref(), &step.fill)?;
            step.press.as_ref().map_or(Ok(()), |label| visitor.press(step.within.as_deref(), label))
        })?;
    }
    until(begun, limit, || check_shown(&visitor.text()?, &step.see, &step.lacks))?;
    let complaints = visitor.complaints()?;
    ensure!(complaints.is_empty(), "the browser complains: {}", complaints.join("; "));
    let nameless = visitor.nameless()?;
    ensure!(nameless.is_empty(), "who hears the page can't tell what these are, which have no name: {}", nameless.join(", "));
    let violations = axe.map_or(Ok(Vec::new()), |axe| visitor.violations(axe))?;
    let kept = step.save.iter().map(|(name, selector)| Ok((name.clone(), visitor.text_at(selector)?))).collect::<Result<_>>()?;
    let pictures = step.pictures.as_ref().map_or(Ok(Vec::new()), |name| visitor.pictures(folder, name))?;
    Ok(Browsed { kept, pictures, violations })
}

/// Tries again until it is done or the time is over.
fn until(begun: Instant, limit: Duration, mut attempt: impl FnMut() -> Result<()>) -> Result<()> {
    loop {
        let Err(error) = attempt() else { return Ok(()) };
        if begun.elapsed() >= limit {
            return Err(error).with_context(|| format!("not in {} s", limit.as_secs()));
        }
        std::thread::sleep(POLL);
    }
}
