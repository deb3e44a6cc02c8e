//! What an update changes of an app, said before anybody makes it (pure): two versions are two sets of facts, and a change is a fact that
//! is new, gone, or another.
//!
//! Architecture invariant: nothing is said only where nothing differs, and no secret is said: of one only that it is another.

use super::catalog::Entry;
use super::own::Saved;
use super::record::What;
use super::{Apps, Refused};
use crate::net::is_plain;
use contract::apps::own::{self, Project, Told, Topic};
use contract::apps::{App, Capability, Port, Setting, SettingKind};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

/// Characters of a value that are shown.
const SHOWN_CHARS: usize = 200;
/// Changes that are said at most; what reaches outside of the app comes first.
const MOST: usize = 200;

/// What of an app is another; the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ChangedPart))]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Something that it asks beyond its containers, by its name.
    Privilege,
    /// An image, by the service that runs it.
    Image,
    /// A port, by its name: the container's, and what is spoken there.
    Port,
    /// What is kept or mounted, by its name or path: where.
    Kept,
    /// A setting, by its name: what may stand in it.
    Setting,
    /// A setting that must be said, by its name.
    Must,
    /// A setting's default, by its name.
    Default,
    /// A limit, by its name.
    Limit,
    /// How it runs, by the key; its values are not shown.
    Run,
    /// What people read of it, by its name.
    Words,
    /// Something else of what is written of it.
    Other,
}

/// One thing that an update changes: it is new where there is no `was`, gone where there is no `becomes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = AppChange))]
#[serde(rename_all = "kebab-case")]
pub struct Change {
    /// What it is.
    pub part: Part,
    /// Its name; none where there is but one.
    pub name: String,
    /// As it is in what is installed; empty where it has no value, or none that is shown.
    pub was: Option<String>,
    /// As it would be, likewise.
    pub becomes: Option<String>,
}

/// A fact's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Value {
    said: String,
    /// Whether it is shown.
    shown: bool,
}

/// All that is compared of a version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Version {
    facts: BTreeMap<(Part, String), Value>,
    /// Another one whenever anything at all differs.
    whole: String,
}

/// What an update from one version to another changes, the gravest first; nothing where they are the same.
pub(super) fn changes(old: &Version, new: &Version) -> Vec<Change> {
    let keys: BTreeSet<&(Part, String)> = old.facts.keys().chain(new.facts.keys()).collect();
    let shown = |value: Option<&Value>| value.map(|value| if value.shown { plain(&value.said) } else { String::new() });
    let changed = keys.into_iter().filter_map(|key| {
        let (was, becomes) = (old.facts.get(key), new.facts.get(key));
        let change = || Change { part: key.0, name: plain(&key.1), was: shown(was), becomes: shown(becomes) };
        (was.map(|was| &was.said) != becomes.map(|becomes| &becomes.said)).then(change)
    });
    let mut all: Vec<Change> = changed.take(MOST).collect();
    if all.is_empty() && old.whole != new.whole {
        all.push(Change { part: Part::Other, name: String::new(), was: Some(String::new()), becomes: Some(String::new()) });
    }
    all
}

/// A text of somebody else's in one short line.
fn plain(text: &str) -> String {
    let mut chars = text.chars().map(|c| if is_plain(c) { c } else { '\u{fffd}' });
    let line: String = chars.by_ref().take(SHOWN_CHARS).collect();
    if chars.next().is_some() { line + "…" } else { line }
}

/// Bytes of a version's image that the other has not.
pub(super) fn new_bytes(old: &Entry, new: &Entry) -> u64 {
    new.blobs.iter().filter(|(digest, _)| !old.blobs.contains_key(*digest)).map(|(_, bytes)| bytes).sum()
}

impl Version {
    fn say(&mut self, part: Part, name: impl Into<String>, said: impl Into<String>) {
        self.facts.insert((part, name.into()), Value { said: said.into(), shown: true });
    }

    /// What is compared, and never shown.
    fn hide(&mut self, part: Part, name: impl Into<String>, said: impl Into<String>) {
        self.facts.insert((part, name.into()), Value { said: said.into(), shown: false });
    }

    fn hide_any(&mut self, name: impl Into<String>, said: &impl Debug) {
        self.hide(Part::Run, name, format!("{said:?}"));
    }

    fn setting(&mut self, name: &str, kind: &SettingKind, default: Option<&String>, secret: bool) {
        let takes = match kind {
            SettingKind::Text(_) => "text".to_owned(),
            SettingKind::Password(_) => "password".to_owned(),
            SettingKind::Number(least, most) => format!("{least} … {most}"),
            SettingKind::Choice(choices) => choices.join(", "),
            SettingKind::Switch => "yes, no".to_owned(),
        };
        self.say(Part::Setting, name, takes);
        match default {
            None => self.say(Part::Must, name, ""),
            Some(default) if secret || matches!(kind, SettingKind::Password(_)) => self.hide(Part::Default, name, default),
            Some(default) => self.say(Part::Default, name, default),
        }
    }

    /// Of an app of the catalog.
    pub(super) fn of_catalog(entry: &Entry, app: &App) -> Self {
        let mut all = Self { whole: format!("{} {}", entry.index, entry.facts), ..Self::default() };
        all.say(Part::Image, "", entry.index.to_string());
        all.words(&app.title.en, &app.description.en);
        app.run.capabilities.iter().copied().map(Capability::name).for_each(|name| all.say(Part::Privilege, format!("cap-add={name}"), ""));
        if app.store {
            all.say(Part::Privilege, "store", "");
        }
        for (name, Port { container, protocol, scheme, .. }) in &app.ports {
            all.say(Part::Port, name, format!("{container}/{} {}", protocol.word(), scheme.word()));
        }
        app.volumes.iter().for_each(|(name, volume)| all.say(Part::Kept, name, &volume.path));
        for (name, Setting { kind, default, .. }) in &app.settings {
            all.setting(name, kind, default.as_ref(), false);
        }
        let limits = &app.limits;
        all.say(Part::Limit, "memory", format!("{} MiB", limits.memory_mb));
        all.say(Part::Limit, "processes", limits.processes.to_string());
        all.say(Part::Limit, "processor", format!("{} %", limits.cpu_percent));
        let run = &app.run;
        all.hide_any("command", &run.command);
        all.hide_any("environment", &run.environment);
        all.hide_any("user", &(&run.user, run.uid));
        all.hide_any("health", &app.health);
        all.hide_any("more", &(&run.scratch, run.stop_seconds, run.shared_memory_mb, app.category));
        all
    }

    /// Of an app of a person's own.
    pub(super) fn of_own(saved: &Saved, project: &Project) -> Self {
        let mut all = Self { whole: serde_json::to_string(&saved.definition).unwrap_or_default(), ..Self::default() };
        all.words(&saved.definition.title, &saved.definition.description);
        project.asked.iter().for_each(|asked| all.say(Part::Privilege, asked.privilege.to_string(), ""));
        for (name, variable) in &project.variables {
            let secret = Project::is_secret(name);
            let kind = if secret { SettingKind::Password(0) } else { SettingKind::Text(0) };
            all.setting(name, &kind, variable.default.as_ref(), secret || saved.owners);
        }
        for Told { topic, name, said } in project.told() {
            match topic {
                Topic::Image => all.say(Part::Image, name, said),
                Topic::Port => all.say(Part::Port, name, said),
                Topic::Kept => all.say(Part::Kept, name, said),
                Topic::Limit => all.say(Part::Limit, name, said),
                Topic::Run => all.hide(Part::Run, name, said),
            }
        }
        all
    }

    fn words(&mut self, title: &str, description: &str) {
        self.say(Part::Words, "title", title);
        self.say(Part::Words, "description", description);
    }
}

impl Apps {
    /// What an update of an installed app would change. Facts that were never read wait for the disk: see [`Apps::in_background`].
    ///
    /// # Errors
    /// It is not installed, the catalog does not have it any more, or one of both versions can't be read.
    pub fn update(&self, name: &str) -> Result<UpdateView, Refused> {
        let now = self.kept().apps.get(name).map(|app| app.what.clone()).ok_or_else(|| Refused::NotInstalled(name.to_owned()))?;
        let next = self.next(name, &now).ok_or_else(|| Refused::Unknown(name.to_owned()))?;
        let new_bytes = match (&now, &next) {
            (What::Entry(now), What::Entry(next)) => Some(new_bytes(now, next)),
            _ => None,
        };
        let changes = changes(&self.compared(&now)?, &self.compared(&next)?);
        Ok(UpdateView { name: name.to_owned(), changes, new_bytes, again: matches!(next, What::Own(_)) })
    }

    fn compared(&self, what: &What) -> Result<Version, Refused> {
        Ok(match what {
            What::Entry(entry) => Version::of_catalog(entry, &*self.catalog.facts(entry)?),
            What::Own(own) => Version::of_own(&own.saved, &own::read(&own.saved.definition)?),
        })
    }
}

/// What an update would change: `GET /api/v1/apps/NAME/changes`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = AppUpdate))]
#[serde(rename_all = "kebab-case")]
pub struct UpdateView {
    /// Name of the app.
    pub name: String,
    /// What would change, the gravest first; nothing where what there is is what is installed.
    pub changes: Vec<Change>,
    /// Bytes of its image that Docker does not have of the installed one; none where that is not known.
    pub new_bytes: Option<u64>,
    /// Whether its images are asked for anew all the same: those of an app of one's own, whose tags may lead elsewhere by now.
    pub again: bool,
}

impl UpdateView {
    /// Whether something is asked beyond the containers that is not asked now.
    pub fn asks_for_more(&self) -> bool {
        self.changes.iter().any(|change| change.part == Part::Privilege && change.was.is_none())
    }
}

#[cfg(test)]
#[path = "changes_tests.rs"]
pub mod tests;
