//! Apps, the catalog and jobs as they are shown: `/api/v1/apps`, `/api/v1/catalog`, `/api/v1/jobs`. No setting stands in any of them.

use super::asked::Asked;
use super::own::{NotSaved, Saved};
use super::plan::{Course, Kind, Phase, Seen, Step};
use super::record::{Installed, Job, Own, Publication, What};
use super::shared::AppSource;
use super::{Apps, Face, Live, ports};
use crate::broker::{Progress, ProjectState, Run};
use contract::apps::SettingKind;
use contract::apps::own::{Definition, Privilege};
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
    /// The signed catalog that it comes from; none where it was added by hand or fetched from a neighbour.
    #[serde(default)]
    pub source: Option<AppSource>,
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
    /// Whether it is published.
    pub published: bool,
    /// The job that is at work on it.
    pub job: Option<u64>,
    /// Whether it is a person's own.
    #[serde(default)]
    pub own: bool,
    /// Another one after each change of what a person sets of it: `If-Match: "REVISION"` changes it only as it was seen.
    #[serde(default)]
    pub revision: u64,
}

/// An app of a person's own that is saved. No value of its environment stands in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct OwnView {
    /// Its name.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// What it is for.
    pub description: String,
    /// `form` or `compose`.
    pub kind: String,
    /// Its images.
    pub image: String,
    /// What must be said to install it.
    pub must: Vec<String>,
    /// Where it would be reached on this node now, by the port's name; none once it is installed.
    pub ports: BTreeMap<String, PortView>,
    /// What it asks of the node.
    pub asked: Vec<AskedView>,
    /// Who granted it something last.
    pub granted_by: Option<String>,
    /// Whether it is installed.
    pub installed: bool,
    /// The container that was made by hand and that it was read from: it is adopted, and not installed.
    #[serde(default)]
    pub by_hand: Option<String>,
    /// What this version does not take of it.
    pub wrong: Option<String>,
}

/// Something that an app of a person's own asks of the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct AskedView {
    /// By its name.
    #[cfg_attr(test, schema(value_type = String))]
    pub privilege: Privilege,
    /// The key that asks.
    pub key: String,
    /// Its line, from 1; 0 in a form.
    pub line: usize,
    /// Its column in characters, from 1; 0 in a form.
    pub column: usize,
    /// Whether an owner granted it.
    pub granted: bool,
}

/// An app of a person's own with all that was saved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct OwnDetails {
    /// What is shown of it.
    #[serde(flatten)]
    pub view: OwnView,
    /// Its form or compose file.
    #[cfg_attr(test, schema(value_type = Object))]
    pub definition: Definition,
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
    /// The backup that it has made, as a blob.
    #[serde(default)]
    pub backup: Option<String>,
    /// Who asked for it, and when.
    #[serde(flatten)]
    pub asked: Asked,
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
            backup: job.backup.clone(),
            asked: job.asked.clone(),
        }
    }
}

/// The step that a job is at.
fn step(course: &Course) -> Option<Step> {
    // Seen as a state in which every step has something to do. What has not begun is at none.
    let busy = Seen { app: ProjectState { run: Run::Running, data: true }, image: false };
    (course.phase != Phase::Queued).then(|| course.follow(busy).1).flatten()
}

/// The ports that an app would get now if these were wished; where there are not enough, those alone.
fn proposed(app: &Face, wished: BTreeMap<String, u16>, held: &[ports::Held]) -> BTreeMap<String, PortView> {
    let chosen = ports::choose(&app.ports, &wished, |port, protocol| ports::holder(held, &app.name, port, protocol)).unwrap_or(wished);
    let view = |(name, port): (&String, &super::face::FacePort)| {
        Some((name.clone(), PortView { port: *chosen.get(name)?, scheme: port.scheme().to_owned() }))
    };
    app.ports.iter().filter_map(view).collect()
}

/// What can be changed of an installed app.
pub struct Changeable {
    /// What it takes.
    pub facts: Arc<Face>,
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
        let shown = entries.into_iter().filter_map(|entry| match self.catalog.face(&entry) {
            Ok(app) => Some(CatalogView {
                title: app.title.by_language(),
                description: app.description.by_language(),
                category: app.category.word().to_owned(),
                image: entry.index.to_string(),
                bytes: entry.blobs.values().sum(),
                must: must(&app),
                ports: if installed.contains(&entry.name) { BTreeMap::new() } else { proposed(&app, BTreeMap::new(), &held) },
                installed: installed.contains(&entry.name),
                name: entry.name,
                source: None,
            }),
            Err(error) => {
                log::warn!("`{}` of the catalog can't be shown: {error}", entry.name);
                None
            }
        });
        shown.collect()
    }

    /// What may be chosen before the app of that name is installed: its facts, and the ports that it would get now.
    pub fn offer(&self, name: &str) -> Option<(Arc<Face>, BTreeMap<String, PortView>)> {
        let face = self.face(name, &self.found(name)?).ok()?;
        let ports = proposed(&face, BTreeMap::new(), &self.held());
        Some((face, ports))
    }

    /// All apps of this node.
    pub async fn list(&self) -> Vec<AppView> {
        let seen = self.seen().await;
        let apps: Vec<(String, Installed)> = self.kept().apps.iter().map(|(name, app)| (name.clone(), app.clone())).collect();
        let view = |(name, app): (String, Installed)| {
            let newer = match &app.what {
                What::Entry(now) => self.catalog.get(&name).is_some_and(|entry| entry.index != now.index || entry.facts != now.facts),
                What::Own(now) => self.own.get(&name).is_some_and(|saved| saved.definition != now.saved.definition),
            };
            let facts = self.face(&name, &app.what).ok();
            let scheme = |port: &String| facts.as_ref().and_then(|facts| Some(facts.ports.get(port)?.scheme())).unwrap_or_default();
            let ports = app.choices.ports.iter();
            AppView {
                title: facts.as_ref().map(|facts| facts.title.by_language()).unwrap_or_default(),
                run: Self::of(&seen, &name).map(|state| state.run),
                unknown: seen.as_ref().err().cloned(),
                ports: ports.map(|(port, number)| (port.clone(), PortView { port: *number, scheme: scheme(port).to_owned() })).collect(),
                image: facts.as_ref().map(|facts| facts.image.clone()).unwrap_or_default(),
                own: app.entry().is_none(),
                newer,
                published: app.is_published(),
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
        let ports = proposed(&facts, app.choices.ports.clone(), &self.held());
        Some(Changeable { facts, ports, settings, publication: app.publication(), revision: app.revision })
    }

    /// What an installed app takes; with `update`, the version that the catalog has. It may wait for the disk too.
    pub fn facts(&self, name: &str, update: bool) -> Option<Arc<Face>> {
        self.version(name, update).map(|(_, facts)| facts)
    }

    fn version(&self, name: &str, update: bool) -> Option<(Installed, Arc<Face>)> {
        let app = self.kept().apps.get(name).cloned()?;
        let what = if update { self.next(name, &app.what)? } else { app.what.clone() };
        let facts = self.face(name, &what).ok()?;
        Some((app, facts))
    }

    /// What an update makes of what is installed: the catalog's version, or what is saved now; what is not saved any more stays as it is.
    pub(super) fn next(&self, name: &str, now: &What) -> Option<What> {
        match now {
            What::Entry(_) => self.catalog.get(name).map(What::Entry),
            What::Own(own) => {
                let saved = self.own.get(name).unwrap_or_else(|| own.saved.clone());
                Some(What::Own(Box::new(Own { saved, again: true })))
            }
        }
    }

    /// All apps of people's own that are saved.
    pub fn list_own(&self) -> Vec<OwnView> {
        let held = self.held();
        self.own.all().into_iter().map(|(name, saved)| self.own_view(&name, saved, &held).view).collect()
    }

    /// One of them, with what was saved.
    pub fn own_details(&self, name: &str) -> Option<OwnDetails> {
        Some(self.own_view(name, self.own.get(name)?, &self.held()))
    }

    fn own_view(&self, name: &str, saved: Saved, held: &[ports::Held]) -> OwnDetails {
        let installed = self.kept().apps.contains_key(name);
        let kind = if saved.definition.form.is_some() { "form" } else { "compose" };
        let mut view = OwnView {
            name: name.to_owned(),
            title: saved.definition.title.clone(),
            description: saved.definition.description.clone(),
            kind: kind.to_owned(),
            granted_by: saved.granted_by.clone(),
            // One that took its container's place once is installed like any other.
            by_hand: saved
                .by_hand
                .clone()
                .filter(|container| !installed && self.kept().adopted.get(container).is_none_or(|app| app != name)),
            installed,
            ..OwnView::default()
        };
        match self.own.read(name, &saved.definition) {
            Ok((face, asked)) => {
                view.image.clone_from(&face.image);
                view.must = must(&face);
                if !installed {
                    view.ports = proposed(&face, BTreeMap::new(), held);
                }
                let one = |asked: &contract::apps::own::Asked| AskedView {
                    privilege: asked.privilege.clone(),
                    key: asked.key.clone(),
                    line: asked.place.line,
                    column: asked.place.column,
                    granted: saved.grants.contains(&asked.privilege),
                };
                view.asked = asked.iter().map(one).collect();
            }
            Err(faults) => view.wrong = Some(faults.to_string()),
        }
        OwnDetails { view, definition: saved.definition }
    }

    /// Whether owners alone see and change one that is saved.
    pub fn is_for_owners(&self, name: &str) -> bool {
        self.own.get(name).is_some_and(|saved| saved.owners)
    }

    /// Saves a form or compose file under a name that no app of the catalog has; where it is `new`, that nothing has.
    ///
    /// # Errors
    /// See [`NotSaved`].
    pub fn save_own(&self, name: &str, definition: Definition, new: bool) -> Result<(), NotSaved> {
        let of_catalog = self.kept().apps.get(name).is_some_and(|app| app.entry().is_some());
        if of_catalog || self.catalog.get(name).is_some() {
            return Err(NotSaved::Taken(name.to_owned()));
        }
        if new && (self.own.get(name).is_some() || self.kept().apps.contains_key(name)) {
            return Err(NotSaved::There(name.to_owned()));
        }
        self.own.save(name, definition)
    }

    /// Grants one what an owner ticked, and nothing else.
    ///
    /// # Errors
    /// See [`NotSaved`].
    pub fn grant_own(&self, name: &str, grants: BTreeSet<Privilege>, by: &str) -> Result<(), NotSaved> {
        self.own.grant(name, grants, by)
    }

    /// Forgets one; whether it was there.
    ///
    /// # Errors
    /// See [`NotSaved`].
    pub fn forget_own(&self, name: &str) -> Result<bool, NotSaved> {
        self.own.forget(name)
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
fn set(app: &Installed, facts: &Face) -> BTreeMap<String, String> {
    let shown = |(name, setting): (&String, &contract::apps::Setting)| {
        let said = app.choices.settings.get(name).or(setting.default.as_ref())?;
        let secret = matches!(setting.kind, SettingKind::Password(_));
        Some((name.clone(), if secret { "(set)".to_owned() } else { said.clone() }))
    };
    facts.settings.iter().filter_map(shown).collect()
}

/// The settings that have no default.
fn must(app: &Face) -> Vec<String> {
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
        let app = Face::of(&app, String::new());
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
