//! Apps, the catalog and jobs as they are shown: `/api/v1/apps`, `/api/v1/catalog`, `/api/v1/jobs`. No setting stands in any of them.

use super::plan::{Course, Kind, Next, Phase, Step};
use super::record::{Installed, Job, Publication};
use super::{Apps, Live, ports};
use crate::broker::{Progress, ProjectState, Run};
use contract::apps::{App, SettingKind};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::watch;

/// An app in the catalog.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct CatalogView {
    /// Its name.
    pub name: String,
    /// What people call it, by language.
    pub title: BTreeMap<String, String>,
    /// What it is for, by language.
    pub description: BTreeMap<String, String>,
    /// Where it stands in the store.
    pub category: String,
    /// The index of its images.
    pub image: String,
    /// Bytes on this node, with what it shares with other apps.
    pub bytes: u64,
    /// What must be said to install it.
    pub must: Vec<String>,
    /// Where it would be reached on this node now, by the port's name; none once it is installed.
    #[serde(default)]
    pub ports: BTreeMap<String, PortView>,
    /// Whether it is installed.
    pub installed: bool,
}

/// An app of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct AppView {
    /// Its name.
    pub name: String,
    /// What people call it, by language.
    pub title: BTreeMap<String, String>,
    /// How it is; none where Docker can't be asked.
    pub run: Option<Run>,
    /// Why that is not known.
    pub unknown: Option<String>,
    /// Where it is reached on this node, by the port's name.
    pub ports: BTreeMap<String, PortView>,
    /// The index of its images.
    pub image: String,
    /// Whether the catalog has another version.
    pub newer: bool,
    /// Whether it is published while it runs.
    pub published: bool,
    /// The job that is at work on it.
    pub job: Option<u64>,
    /// Another one after each change of what a person sets of it: `If-Match: "REVISION"` changes it only as it was seen.
    #[serde(default)]
    pub revision: u64,
}

/// A port of an app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct PortView {
    /// The node's port.
    pub port: u16,
    /// What is spoken there.
    pub scheme: String,
}

/// A job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct JobView {
    /// Its number.
    pub id: u64,
    /// Of which app.
    pub app: String,
    /// What it is for.
    #[serde(flatten)]
    pub kind: Kind,
    /// `queued`, `running`, `undoing`, `done`, `undone`, `failed`.
    pub state: String,
    /// Whether it is over.
    pub over: bool,
    /// What it does now.
    pub step: Option<Step>,
    /// Steps that are done.
    pub done: usize,
    /// Steps in all.
    pub steps: usize,
    /// How far the step is, in bytes.
    pub progress: Option<Progress>,
    /// What it waits for.
    pub waits: Option<String>,
    /// Why it did not come about.
    pub reason: Option<String>,
    /// The last of what was said then, by Docker and by the app.
    pub output: String,
}

impl JobView {
    pub(super) fn of(job: &Job, live: Option<&Live>) -> Self {
        let course = &job.course;
        let (state, done, reason) = match &course.phase {
            Phase::Queued => ("queued", 0, None),
            Phase::Forward { done, .. } => ("running", *done, None),
            Phase::Back { done, reason, .. } => ("undoing", *done, Some(reason)),
            Phase::Done => ("done", course.forward().len(), None),
            Phase::Undone { reason } => ("undone", 0, Some(reason)),
            Phase::Failed { reason } => ("failed", 0, Some(reason)),
        };
        Self {
            id: job.id,
            app: job.app.clone(),
            kind: course.kind,
            state: state.to_owned(),
            over: course.phase.is_over(),
            step: step(course),
            done,
            steps: course.forward().len(),
            progress: live.and_then(|live| live.progress),
            waits: live.and_then(|live| live.waits.clone()),
            reason: reason.cloned(),
            output: job.output.clone(),
        }
    }
}

/// The step that a job is at.
fn step(course: &Course) -> Option<Step> {
    // Seen as a state in which every step has something to do.
    let busy = ProjectState { run: Run::Running, data: true };
    match course.next(busy) {
        Next::Do(step) => Some(step),
        Next::Record(_) | Next::Nothing => None,
    }
}

fn words(words: &contract::apps::Words) -> BTreeMap<String, String> {
    [("en", &words.en), ("es", &words.es), ("ca", &words.ca)]
        .into_iter()
        .map(|(language, text)| (language.to_owned(), text.clone()))
        .collect()
}

/// The ports that an app would get now if these were wished; where there are not enough, those alone.
fn proposed(app: &App, wished: BTreeMap<String, u16>, held: &[ports::Held]) -> BTreeMap<String, PortView> {
    let chosen = ports::choose(app, &wished, |port, protocol| ports::holder(held, &app.name, port, protocol)).unwrap_or(wished);
    let view = |(name, port): (&String, &contract::apps::Port)| {
        Some((name.clone(), PortView { port: *chosen.get(name)?, scheme: port.scheme.word().to_owned() }))
    };
    app.ports.iter().filter_map(view).collect()
}

/// What can be changed of an installed app.
pub struct Changeable {
    /// What it takes.
    pub facts: Arc<App>,
    /// Its ports.
    pub ports: BTreeMap<String, PortView>,
    /// What is set; of secrets only that they are.
    pub settings: BTreeMap<String, String>,
    /// How it is published.
    pub publication: Option<Publication>,
    /// What it is held against when it is changed.
    pub revision: u64,
}

impl Apps {
    /// All that the catalog has. Facts that were never read wait for the disk, and ports are tried: see [`Apps::in_background`].
    pub fn list_catalog(&self) -> Vec<CatalogView> {
        let installed: BTreeSet<String> = self.kept().apps.keys().cloned().collect();
        let held = self.held();
        let entries = self.catalog.entries();
        let shown = entries.into_iter().filter_map(|entry| match self.catalog.facts(&entry) {
            Ok(app) => Some(CatalogView {
                title: words(&app.title),
                description: words(&app.description),
                category: app.category.word().to_owned(),
                image: entry.index.to_string(),
                bytes: entry.blobs.values().sum(),
                must: must(&app),
                ports: if installed.contains(&entry.name) { BTreeMap::new() } else { proposed(&app, BTreeMap::new(), &held) },
                installed: installed.contains(&entry.name),
                name: entry.name,
            }),
            Err(error) => {
                log::warn!("`{}` of the catalog can't be shown: {error}", entry.name);
                None
            }
        });
        shown.collect()
    }

    /// What may be chosen before the catalog's app of that name is installed: its facts, and the ports that it would get now.
    pub fn offer(&self, name: &str) -> Option<(Arc<App>, BTreeMap<String, PortView>)> {
        let app = self.catalog.get(name).and_then(|entry| self.catalog.facts(&entry).ok())?;
        let ports = proposed(&app, BTreeMap::new(), &self.held());
        Some((app, ports))
    }

    /// All apps of this node.
    pub async fn list(&self) -> Vec<AppView> {
        let seen = self.seen().await;
        let apps: Vec<(String, Installed)> = self.kept().apps.iter().map(|(name, app)| (name.clone(), app.clone())).collect();
        let view = |(name, app): (String, Installed)| {
            let newer = self.catalog.get(&name).is_some_and(|entry| entry.index != app.entry.index || entry.facts != app.entry.facts);
            let facts = self.catalog.facts(&app.entry).ok();
            let scheme = |port: &String| facts.as_ref().and_then(|facts| Some(facts.ports.get(port)?.scheme.word())).unwrap_or_default();
            let ports = app.choices.ports.iter();
            AppView {
                title: facts.as_ref().map(|facts| words(&facts.title)).unwrap_or_default(),
                run: Self::of(&seen, &name).map(|state| state.run),
                unknown: seen.as_ref().err().cloned(),
                ports: ports.map(|(port, number)| (port.clone(), PortView { port: *number, scheme: scheme(port).to_owned() })).collect(),
                image: app.entry.index.to_string(),
                newer,
                published: app.publication.is_some(),
                job: self.kept().busy(&name).map(|job| job.id),
                revision: app.revision,
                name,
            }
        };
        apps.into_iter().map(view).collect()
    }

    /// What a person set of an app, of secrets only that they are set; and its revision.
    pub fn settings(&self, name: &str) -> Option<(BTreeMap<String, String>, u64)> {
        let (app, facts) = self.version(name, false)?;
        Some((set(&app, &facts), app.revision))
    }

    /// What can be changed of an installed app; with `update`, of the version that the catalog has. Facts that were never read wait
    /// for the disk, and ports are tried: see [`Apps::in_background`].
    pub fn changeable(&self, name: &str, update: bool) -> Option<Changeable> {
        let (app, facts) = self.version(name, update)?;
        let settings = set(&app, &facts);
        let ports = proposed(&facts, app.choices.ports, &self.held());
        Some(Changeable { facts, ports, settings, publication: app.publication, revision: app.revision })
    }

    /// What an installed app takes; with `update`, the version that the catalog has. It may wait for the disk too.
    pub fn facts(&self, name: &str, update: bool) -> Option<Arc<App>> {
        self.version(name, update).map(|(_, facts)| facts)
    }

    fn version(&self, name: &str, update: bool) -> Option<(Installed, Arc<App>)> {
        let app = self.kept().apps.get(name).cloned()?;
        let entry = if update { self.catalog.get(name)? } else { app.entry.clone() };
        let facts = self.catalog.facts(&entry).ok()?;
        Some((app, facts))
    }

    /// All jobs that are remembered, the newest first.
    pub fn jobs(&self) -> Vec<JobView> {
        let live = self.live().clone();
        self.kept().jobs.iter().rev().map(|job| JobView::of(job, live.get(&job.id))).collect()
    }

    /// One of them.
    pub fn job_view(&self, id: u64) -> Option<JobView> {
        let live = self.live().get(&id).cloned();
        self.kept().jobs.iter().find(|job| job.id == id).map(|job| JobView::of(job, live.as_ref()))
    }

    /// Says each time when a job is not as it was.
    pub fn watch_jobs(&self) -> watch::Receiver<()> {
        self.told.subscribe()
    }
}

/// What is set of what these facts know.
fn set(app: &Installed, facts: &App) -> BTreeMap<String, String> {
    let shown = |(name, setting): (&String, &contract::apps::Setting)| {
        let said = app.choices.settings.get(name).or(setting.default.as_ref())?;
        let secret = matches!(setting.kind, SettingKind::Password(_));
        Some((name.clone(), if secret { "(set)".to_owned() } else { said.clone() }))
    };
    facts.settings.iter().filter_map(shown).collect()
}

/// The settings that have no default.
fn must(app: &App) -> Vec<String> {
    app.settings.iter().filter(|(_, setting)| setting.default.is_none()).map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::apps::Protocol;

    #[test]
    fn an_installed_app_keeps_its_ports_on_its_page_and_a_new_version_gets_what_it_has_more() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../images/apps/mosquitto/app.toml");
        let app = contract::apps::read(std::path::Path::new(file), &std::fs::read_to_string(file).unwrap()).unwrap();
        let wished = |number| [("mqtt".to_owned(), number), ("gone".to_owned(), 9)].into();
        let numbers = |shown: BTreeMap<String, PortView>| shown.into_iter().map(|(name, port)| (name, port.port)).collect::<Vec<_>>();
        let own = ports::Held { port: 1884, protocol: Protocol::Both, by: ports::By::App("mosquitto".to_owned()) };
        let other = ports::Held { port: 1885, protocol: Protocol::Both, by: ports::By::App("wiki".to_owned()) };
        let held = [own, other];
        assert_eq!(numbers(proposed(&app, wished(1884), &held)), [("mqtt".to_owned(), 1884)]);
        assert_eq!(numbers(proposed(&app, wished(1885), &held)), [("mqtt".to_owned(), 1885)], "what it has is shown, taken or not");
        assert_eq!(proposed(&app, BTreeMap::new(), &held).len(), 1);
    }
}
