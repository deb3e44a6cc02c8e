//! The step `browse`: a person goes somewhere, fills a form, presses a button, and sees what came of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::super::browser::{Visitor, check_shown};
use super::super::node::POLL;
use super::raw::Browse;

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
