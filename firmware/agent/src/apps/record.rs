//! What is kept of apps and their jobs: one file, written whole, so that a job's end and what it means for its app are one change.

use super::Refused;
use super::asked::Asked;
use super::backup::Source;
use super::catalog::Entry;
use super::own::Saved;
use super::plan::{Course, Kind, Phase};
use crate::broker::Was;
use crate::limits::JOBS_KEPT;
use crate::revision::Expected;
use crate::settings::{read_or_put_aside, write_whole};
use anyhow::{Context, Result};
use contract::apps::compose::Choices;
use contract::storage::DiskId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// An app of this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Installed {
    /// What it is, as it was when it was installed.
    #[serde(flatten)]
    pub what: What,
    /// Its ports on this node, all of them, and what a person set.
    pub choices: Choices,
    /// Whether and how it is published.
    #[serde(default)]
    publication: Option<Publication>,
    /// Which languages it speaks to people, as it is published. Here, since an older agent reads no publication that says more than it knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    languages: Vec<String>,
    /// Its category as it is published, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    /// Its address as it is published, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// Another one after each change of what a person sets, and never one that this or another app had before.
    #[serde(default)]
    pub revision: u64,
}

/// What an app is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// One of the catalog: its facts and image.
    Entry(Entry),
    /// A person's own.
    Own(Box<Own>),
}

/// An app of a person's own, as it was when it was installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Own {
    /// Its form or compose file, and what owners granted it.
    #[serde(flatten)]
    pub saved: Saved,
    /// Whether its images are asked for anew, although they are here.
    #[serde(default)]
    pub again: bool,
}

impl Installed {
    /// One that is not published.
    pub fn new(what: What, choices: Choices) -> Self {
        Self { what, choices, publication: None, languages: Vec::new(), category: None, url: None, revision: 0 }
    }

    /// Whether it is published.
    pub fn is_published(&self) -> bool {
        self.publication.is_some()
    }

    /// How it is published, if it is.
    pub fn publication(&self) -> Option<Publication> {
        let Self { languages, category, url, .. } = self;
        let whole = |its| Publication { languages: languages.clone(), category: category.clone(), url: url.clone(), ..its };
        self.publication.clone().map(whole)
    }

    /// The same with another publication.
    #[must_use]
    pub fn published(self, wanted: Option<Publication>) -> Self {
        let Publication { languages, category, url, .. } = wanted.clone().unwrap_or_default();
        let publication = wanted.map(|wanted| Publication { languages: Vec::new(), category: None, url: None, ..wanted });
        Self { publication, languages, category, url, ..self }
    }

    /// Its facts and image, if it is one of the catalog.
    pub fn entry(&self) -> Option<&Entry> {
        match &self.what {
            What::Entry(entry) => Some(entry),
            What::Own(_) => None,
        }
    }
}

/// How an app is published.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = AppPublication))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Publication {
    /// Its title; the app's without.
    #[serde(default)]
    pub title: Option<String>,
    /// What it is, in some sentences; the app's without.
    #[serde(default)]
    pub description: Option<String>,
    /// A word to find it by; the app's own category without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Its whole address, where it is reached elsewhere than at its port on this node; then `port` is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Which of its ports; its only one without.
    #[serde(default)]
    pub port: Option<String>,
    /// Which languages it speaks to people, such as `ca`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub languages: Vec<String>,
}

/// What a job is to bring about.
#[derive(Clone, Debug, Default)]
pub struct Aim {
    /// What the app shall be.
    pub target: Option<Installed>,
    /// The backup that it is made from.
    pub source: Option<Source>,
    /// The container whose place it takes.
    pub adopting: Option<Adopting>,
    /// The disk that its data shall lie on; the node's own without.
    pub to: Option<DiskId>,
    /// Who asks for it, and when.
    pub asked: Asked,
}

/// A container that was made by hand and becomes an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Adopting {
    /// Docker's number for it.
    pub container: String,
    /// How it was before anything was done.
    pub was: Was,
}

impl From<Option<Installed>> for Aim {
    fn from(target: Option<Installed>) -> Self {
        Self { target, ..Self::default() }
    }
}

/// A job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Job {
    /// Its number.
    pub id: u64,
    /// Of which app.
    pub app: String,
    /// What decides of it.
    pub course: Course,
    /// What the app shall be; forgotten when the job is over, since passwords stand in it.
    #[serde(default)]
    pub target: Option<Installed>,
    /// The backup that it is made from, likewise.
    #[serde(default)]
    pub source: Option<Source>,
    /// The container whose place it takes.
    #[serde(default)]
    pub adopting: Option<Adopting>,
    /// The backup that it has made, as a blob.
    #[serde(default)]
    pub backup: Option<String>,
    /// The disk to which it moves the app's data; the node's own without.
    #[serde(default)]
    pub to: Option<DiskId>,
    /// The last that was said when a step failed.
    #[serde(default)]
    pub output: String,
    /// Who asked for it, and when.
    #[serde(default)]
    pub asked: Asked,
}

/// All that is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Kept {
    last_job: u64,
    #[serde(default)]
    last_revision: u64,
    /// The apps, by name.
    pub apps: BTreeMap<String, Installed>,
    /// Jobs, the oldest first.
    pub jobs: Vec<Job>,
    /// Services that were published for apps, and are not known to be withdrawn.
    #[serde(default)]
    pub told: BTreeSet<String>,
    /// Containers that became apps and are kept, by Docker's number for them.
    #[serde(default)]
    pub adopted: BTreeMap<String, String>,
    /// Apps whose data lie on another disk than the node's own, also while they are not installed.
    #[serde(default)]
    pub places: BTreeMap<String, DiskId>,
    /// Apps that somebody stopped: they are not started when their disk comes.
    #[serde(default)]
    pub resting: BTreeSet<String>,
}

impl Kept {
    /// Reads the file; nothing where there is none. One that can't be read is said and put aside.
    pub fn load(file: &Path) -> Self {
        read_or_put_aside(file, "no app is known any more; their data is untouched")
    }

    /// Writes the file: on disk when this returns, for this user alone.
    ///
    /// # Errors
    /// It can't be written.
    pub fn save(&self, file: &Path) -> Result<()> {
        let folder = file.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(folder).with_context(|| format!("making `{}`", folder.display()))?;
        write_whole(file, &serde_json::to_vec(self)?, 0o600)
    }

    /// The job that an app has and that is not over.
    pub fn busy(&self, app: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| job.app == app && !job.course.phase.is_over())
    }

    /// The job that is at work on a container that was made by hand.
    pub fn adopting(&self, container: &str) -> Option<&Job> {
        let its = |job: &&Job| job.adopting.as_ref().is_some_and(|adopting| adopting.container == container);
        self.jobs.iter().filter(|job| !job.course.phase.is_over()).find(its)
    }

    /// How a container was that an earlier job could not put back.
    pub fn left(&self, container: &str) -> Option<Was> {
        let its = self.jobs.iter().filter_map(|job| job.adopting.as_ref()).find(|adopting| adopting.container == container);
        its.map(|adopting| adopting.was.clone())
    }

    /// A new job. What ended long ago is forgotten.
    pub fn begin(&mut self, app: &str, kind: Kind, aim: impl Into<Aim>) -> Job {
        self.last_job += 1;
        let Aim { target, source, adopting, to, asked } = aim.into();
        if let Some(adopting) = &adopting {
            // From here on this job knows how it was.
            let same = |job: &&mut Job| job.adopting.as_ref().is_some_and(|its| its.container == adopting.container);
            self.jobs.iter_mut().filter(same).for_each(|job| job.adopting = None);
        }
        let (app, course) = (app.to_owned(), Course::new(kind));
        let job = Job { id: self.last_job, app, course, target, source, adopting, backup: None, to, output: String::new(), asked };
        self.jobs.push(job.clone());
        let over = self.jobs.iter().filter(|job| job.course.phase.is_over()).count();
        let mut spare = over.saturating_sub(JOBS_KEPT);
        self.jobs.retain(|job| {
            let goes = spare > 0 && job.course.phase.is_over();
            spare -= usize::from(goes);
            !goes
        });
        job
    }

    /// Takes a job's new course; where it is over, what that means for its app.
    pub fn advance(&mut self, id: u64, course: Course, output: Option<String>) {
        let Some(job) = self.jobs.iter_mut().find(|job| job.id == id) else { return };
        job.course = course;
        if let Some(output) = output {
            job.output = output;
        }
        if !job.course.phase.is_over() {
            return;
        }
        job.asked.end();
        let target = job.target.take();
        job.source = None;
        // How a container was that could not be put back is needed yet.
        let failed = matches!(job.course.phase, Phase::Failed { .. });
        let adopting = if failed { job.adopting.clone() } else { job.adopting.take() };
        if let (Phase::Done, Some(adopting)) = (&job.course.phase, adopting) {
            self.adopted.insert(adopting.container, job.app.clone());
        }
        match (&job.course.phase, job.course.kind) {
            (Phase::Done, Kind::Stop) => {
                self.resting.insert(job.app.clone());
            }
            // One that stood still stands still at its new place too.
            (Phase::Done, Kind::Move) if job.course.before.is_some_and(|before| !before.up) => {
                self.resting.insert(job.app.clone());
            }
            (Phase::Done, Kind::Install | Kind::Start | Kind::Restart | Kind::Restore | Kind::Remove { .. }) => {
                self.resting.remove(&job.app);
            }
            _ => {}
        }
        match (&job.course.phase, job.course.kind, job.to) {
            (Phase::Done, Kind::Move, Some(disk)) => {
                self.places.insert(job.app.clone(), disk);
            }
            (Phase::Done, Kind::Move, None) | (Phase::Done, Kind::Remove { with_data: true }, _) => {
                self.places.remove(&job.app);
            }
            _ => {}
        }
        match (&job.course.phase, job.course.kind, target) {
            (Phase::Done, Kind::Install | Kind::Change | Kind::Restore | Kind::Adopt, Some(target)) => {
                self.last_revision += 1;
                self.apps.insert(job.app.clone(), Installed { revision: self.last_revision, ..target });
            }
            (Phase::Done, Kind::Remove { .. }, _) => {
                self.apps.remove(&job.app);
            }
            _ => {}
        }
    }

    /// Notes the backup that a job has made.
    pub fn has_made(&mut self, id: u64, backup: &str) {
        self.jobs.iter_mut().filter(|job| job.id == id).for_each(|job| job.backup = Some(backup.to_owned()));
    }

    /// Publishes an app as it is wanted, or no more.
    ///
    /// # Errors
    /// It is not there, not as it was seen, or a job is at work on it.
    pub fn publish(&mut self, name: &str, wanted: Option<Publication>, expected: &Expected) -> Result<(), Refused> {
        if let Some(busy) = self.busy(name) {
            return Err(Refused::Busy { id: busy.id, app: name.to_owned() });
        }
        let app = self.apps.get_mut(name).ok_or_else(|| Refused::NotInstalled(name.to_owned()))?;
        if !expected.holds(app.revision) {
            return Err(Refused::Changed(name.to_owned()));
        }
        self.last_revision += 1;
        *app = Installed { revision: self.last_revision, ..app.clone().published(wanted) };
        Ok(())
    }

    /// What the catalog must keep: what is installed or about to be.
    pub fn entries(&self) -> Vec<Entry> {
        let targets = self.jobs.iter().filter_map(|job| job.target.as_ref());
        self.apps.values().chain(targets).filter_map(|app| app.entry().cloned()).collect()
    }

    /// Apps that have ports of the node or are about to, by name.
    pub fn with_ports(&self) -> impl Iterator<Item = (&str, &Installed)> {
        let targets = self.jobs.iter().filter_map(|job| Some((job.app.as_str(), job.target.as_ref()?)));
        self.apps.iter().map(|(name, app)| (name.as_str(), app)).chain(targets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::oci::Digest;

    fn installed(layer: &[u8]) -> Installed {
        let digest = Digest::of(layer);
        let entry = Entry { name: "broker".to_owned(), index: digest.clone(), facts: digest, icon: None, blobs: BTreeMap::new() };
        Installed::new(What::Entry(entry), Choices::default())
    }

    fn end(kept: &mut Kept, id: u64, phase: Phase) {
        let course = kept.jobs.iter().find(|job| job.id == id).unwrap().course.clone();
        kept.advance(id, Course { phase, ..course }, None);
    }

    #[test]
    fn an_app_is_there_when_its_job_is_done_and_not_before() {
        let mut kept = Kept::default();
        let job = kept.begin("broker", Kind::Install, Some(installed(b"1")));
        assert!(kept.apps.is_empty() && kept.busy("broker").is_some_and(|busy| busy.id == job.id));
        assert_eq!(kept.entries().len(), 1);
        end(&mut kept, job.id, Phase::Undone { reason: String::new() });
        assert!(kept.apps.is_empty() && kept.busy("broker").is_none() && kept.entries().is_empty());
        let job = kept.begin("broker", Kind::Install, Some(installed(b"1")));
        end(&mut kept, job.id, Phase::Done);
        assert_eq!(kept.apps["broker"], Installed { revision: 1, ..installed(b"1") });
        let job = kept.begin("broker", Kind::Change, Some(installed(b"2")));
        end(&mut kept, job.id, Phase::Undone { reason: String::new() });
        assert_eq!(kept.apps["broker"], Installed { revision: 1, ..installed(b"1") }, "nothing was changed");
        kept.publish("broker", Some(Publication::default()), &Expected::only(1)).unwrap();
        assert_eq!(kept.apps["broker"].revision, 2);
        // Who saw it before that says nothing more of it; nor does anybody of an app that is not there, or that a job is at work on.
        assert!(matches!(kept.publish("broker", None, &Expected::only(1)), Err(Refused::Changed(_))));
        assert!(matches!(kept.publish("other", None, &Expected::anything()), Err(Refused::NotInstalled(_))));
        assert!(kept.apps["broker"].is_published() && kept.apps["broker"].revision == 2);
        let job = kept.begin("broker", Kind::Remove { with_data: false }, None);
        assert!(matches!(kept.publish("broker", None, &Expected::anything()), Err(Refused::Busy { .. })));
        end(&mut kept, job.id, Phase::Failed { reason: String::new() });
        assert_eq!(kept.apps.len(), 1);
        let job = kept.begin("broker", Kind::Remove { with_data: false }, None);
        end(&mut kept, job.id, Phase::Done);
        assert!(kept.apps.is_empty());
        assert!(kept.jobs.iter().all(|job| job.target.is_none()), "no password outlives its job");
    }

    #[test]
    fn apps_of_both_kinds_are_read_back_and_those_of_an_older_version() {
        let saved = Saved { grants: ["privileged".parse().unwrap()].into(), ..Saved::default() };
        let own = Installed { what: What::Own(Box::new(Own { saved, again: true })), ..installed(b"1") };
        for app in [own, installed(b"1")] {
            assert_eq!(serde_json::from_value::<Installed>(serde_json::to_value(&app).unwrap()).unwrap(), app);
        }
        let older = serde_json::json!({ "entry": serde_json::to_value(installed(b"1").entry()).unwrap(), "choices": {} });
        assert_eq!(serde_json::from_value::<Installed>(older).unwrap(), installed(b"1"));
    }

    #[test]
    fn what_is_kept_is_read_back_and_old_jobs_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("apps/apps.json");
        let mut kept = Kept::default();
        let first = kept.begin("busy", Kind::Stop, None);
        for _ in 0..JOBS_KEPT + 10 {
            let job = kept.begin("broker", Kind::Stop, None);
            end(&mut kept, job.id, Phase::Done);
        }
        let last = kept.begin("broker", Kind::Install, Some(installed(b"1")));
        assert_eq!(kept.jobs.len(), JOBS_KEPT + 2);
        assert!(kept.jobs[0] == first && kept.jobs.last() == Some(&last));
        kept.save(&file).unwrap();
        assert_eq!(Kept::load(&file), kept);
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&file).unwrap());
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(&file, "{").unwrap();
        assert_eq!(Kept::load(&file), Kept::default());
        assert!(folder.path().join("apps/apps.json.broken").exists());
    }
}
