//! The files of `ci/compose` on the node in the lab: what works runs by the real `docker compose`, and Docker is asked what it made of it; what
//! is refused is refused before anything is done.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use contract::apps::own::Privilege;
use serde_json::Value;

use super::COMPOSE_FILES;
use super::compose_list::{Case, Refusal, Shows, load};
use super::docker::must as run;
use super::node::{STATE, docker, is, json, must, said_refused};
use super::own::{exec, write};

/// All that Docker has, and the broker's projects: what a refusal does not change.
fn everything() -> Result<Vec<String>> {
    let mut all = Vec::new();
    for words in
        [["ps", "--all", "--quiet"].as_slice(), &["volume", "ls", "--quiet"], &["network", "ls", "--quiet"], &["images", "--quiet"]]
    {
        all.push(docker(words)?);
    }
    if let Ok(projects) = fs::read_dir(Path::new(STATE).join("projects")) {
        for project in projects {
            all.push(project?.file_name().to_string_lossy().into_owned());
        }
    }
    all.sort();
    Ok(all)
}

/// It is refused for that reason, and nothing was done.
fn refused(words: &[&str], refusal: &Refusal, before: &[String]) -> Result<()> {
    let said = said_refused(words)?;
    let Refusal { line, key, owner } = refusal;
    let place = said.contains(&format!("line {line}, column ")) && said.contains(&format!("`{key}`"));
    let who = owner.as_ref().is_none_or(|privilege| said.contains(&format!("`{privilege}`, which an owner of this node may allow")));
    ensure!(place && who, "`cloudy {}` should be refused at {refusal:?}: {said}", words.join(" "));
    ensure!(everything()? == before, "something was done though it was refused");
    Ok(())
}

fn shows(app: &str, container: &Value, what: &Shows) -> Result<()> {
    let at = |place: &str| container.pointer(place).unwrap_or(&Value::Null).clone();
    match what {
        Shows::Is(place, value) => ensure!(at(place) == *value, "{place} should be {value} and is {}", at(place)),
        Shows::Has(place, part) => ensure!(at(place).to_string().contains(part.as_str()), "{place} lacks `{part}`: {}", at(place)),
        Shows::Says(command, said) => {
            let found = exec(&format!("cloudy-{app}-app-1"), command)?;
            ensure!(found.trim() == said, "`{command}` should say `{said}` and says `{found}`");
        }
    }
    Ok(())
}

fn runs(case: &Case, app: &str) -> Result<()> {
    let said: Vec<String> = case.said.iter().map(|(name, value)| format!("--set={name}={value}")).collect();
    must(&[&["app", "install", app], said.iter().map(String::as_str).collect::<Vec<_>>().as_slice()].concat())?;
    is(app, "running")?;
    let container: Value = serde_json::from_str(&run("docker", &["inspect", &format!("cloudy-{app}-app-1")])?)?;
    case.shows.iter().try_for_each(|what| shows(app, &container[0], what))?;
    must(&["app", "remove", app, "--with-data"]).map(drop)
}

fn tried(case: &Case) -> Result<()> {
    let (app, path) = (case.app(), write("listed", &case.text)?);
    let (save, install) = (["app", "compose", &app, &path], ["app", "install", &app]);
    let before = everything()?;
    match &case.refusal {
        Some(refusal @ Refusal { owner: None, .. }) => {
            refused(&save, refusal, &before)?;
            let saved = json(&["app", "own"])?;
            ensure!(!saved.to_string().contains(&app), "what is refused should not be saved: {saved}");
            return Ok(());
        }
        Some(refusal @ Refusal { owner: Some(privilege), .. }) => {
            must(&save)?;
            refused(&install, refusal, &before)?;
            if let Privilege::HostPath(path) | Privilege::HostPathRead(path) = privilege {
                fs::create_dir_all(path)?;
            }
            must(&["app", "allow", &app, &privilege.to_string()])?;
        }
        None => must(&save).map(drop)?,
    }
    if case.not_here.is_none() {
        runs(case, &app)?;
    }
    must(&["app", "own", &app, "--forget"])?;
    ensure!(everything()? == before, "something stays of it");
    Ok(())
}

/// Tries all files, each to its end, and says which did not become what they say.
pub(super) fn compose_list() -> Result<()> {
    let begun = Instant::now();
    let cases = load(Path::new(COMPOSE_FILES))?;
    let wrong: Vec<String> =
        cases.iter().filter_map(|case| tried(case).with_context(|| case.name.clone()).err().map(|error| format!("{error:#}"))).collect();
    ensure!(wrong.is_empty(), "{} compose files of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    let (run, here) = cases.iter().fold((0, 0), |(run, here), case| {
        let works = !case.shows.is_empty();
        (run + usize::from(works), here + usize::from(case.not_here.is_some()))
    });
    println!(
        "  {:5.1} s  of {} compose files {run} ran by the real compose, {here} can't here, the others were refused before anything was done",
        begun.elapsed().as_secs_f32(),
        cases.len()
    );
    Ok(())
}
