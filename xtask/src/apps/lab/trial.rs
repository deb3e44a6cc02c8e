//! `images/apps/<app>/try.toml`: what an app must do when it is used. Data, no code.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use contract::apps::App;
use contract::apps::compose::{Choices, ImageName, PROJECT_PREFIX, compose};
use serde::{Deserialize, Serialize};

use super::registry;
use crate::apps::Apps;
use crate::board::parse;

const FILE: &str = "try.toml";
/// How long a step may take where it doesn't say.
const STEP_SECONDS: u64 = 30;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawTrial {
    /// What a person would set.
    #[serde(default)]
    settings: BTreeMap<String, String>,
    steps: Vec<RawStep>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawStep {
    /// What it shows.
    what: String,
    /// A shell command in the lab, tried again until it ends well and says what it shall. `$PROJECT` is the compose project.
    run: String,
    /// What its stdout contains.
    #[serde(default)]
    contains: Vec<String>,
    /// What its stdout does not contain.
    #[serde(default)]
    lacks: Vec<String>,
    /// Limit.
    seconds: Option<u64>,
    /// Whether it holds too once the app was removed with its data and restored from a backup.
    #[serde(default)]
    kept: bool,
    /// Whether it is done only through a node: compose alone gives no app its store.
    #[serde(default)]
    node: bool,
}

/// An app as the lab tries it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trial {
    /// The app.
    pub name: String,
    /// Its project.
    pub project: String,
    /// What a person would set.
    pub settings: BTreeMap<String, String>,
    /// Its compose file.
    pub compose: String,
    /// Whether it uses the store.
    pub store: bool,
    /// How long its first start may take.
    pub start_seconds: u32,
    /// What is done, in order.
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Step {
    /// What it shows.
    pub what: String,
    /// The shell command.
    pub run: String,
    /// What its stdout contains.
    pub contains: Vec<String>,
    /// What it does not contain.
    pub lacks: Vec<String>,
    /// Limit.
    pub seconds: u64,
    /// Whether it holds too once the app was restored from a backup.
    pub kept: bool,
}

impl Trial {
    /// The trial of `app`, whose image's index has this digest.
    pub fn read(apps: &Apps, app: &App, digest: &str, on_a_node: bool) -> Result<Self> {
        let file = Apps::folder(Some(app)).join(FILE);
        let full = apps.root(Some(app)).join(&file);
        let text = std::fs::read_to_string(&full).with_context(|| format!("failed to read `{}`", full.display()))?;
        let raw: RawTrial = parse(&file, &text)?;
        let choices = Choices { settings: raw.settings.clone(), ..Choices::default() };
        let project = if on_a_node { format!("{PROJECT_PREFIX}{}", app.name) } else { app.name.clone() };
        let image = ImageName::new(registry::ADDRESS, digest)?;
        let compose =
            compose(app, &project, &image, &choices).with_context(|| format!("`{}` does not fit the app", file.display()))?.yaml();
        let step = |raw: RawStep| Step {
            what: raw.what,
            run: raw.run,
            contains: raw.contains,
            lacks: raw.lacks,
            seconds: raw.seconds.unwrap_or(STEP_SECONDS),
            kept: raw.kept,
        };
        let start_seconds = app.health.as_ref().map_or(60, |health| health.start_seconds);
        let steps = raw.steps.into_iter().filter(|step| on_a_node || !step.node).map(step).collect();
        Ok(Self { name: app.name.clone(), project, settings: raw.settings, compose, store: app.store, start_seconds, steps })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apps::testing::{facts, repo, with};
    use crate::trees::Trees;
    use crate::trees::testing::folder;

    const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

    #[test]
    fn every_app_has_a_trial_that_fits_it() {
        let apps = Apps::load(&Trees::new(&repo(), &[])).unwrap();
        for app in &apps.apps {
            let trial = Trial::read(&apps, app, DIGEST, false).unwrap();
            assert!(!trial.steps.is_empty(), "{}", app.name);
        }
    }

    #[test]
    fn the_trial_of_an_added_tree_s_app_stands_beside_it() {
        let community = folder(&[("images/apps/broker/app.toml", &facts(29_999))]);
        let apps = Apps::load(&with(&community)).unwrap();
        let read = || Trial::read(&apps, apps.app("broker").unwrap(), DIGEST, false);
        let place = community.path().join("images/apps/broker/try.toml");
        assert_eq!(read().err().unwrap().to_string(), format!("failed to read `{}`", place.display()));
        std::fs::copy(repo().join("images/apps/mosquitto/try.toml"), &place).unwrap();
        assert_eq!(read().unwrap().name, "broker");
    }
}
