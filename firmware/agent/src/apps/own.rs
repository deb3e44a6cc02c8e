//! Apps of people's own that are saved on this node: forms and compose files, and what owners granted them.
//!
//! Architecture invariant: a grant is for what was saved when it was given; who saves something else saves it without grants.

use super::face::Face;
use crate::limits::OWN_APPS_KEPT;
use crate::settings::{read_or_put_aside, write_whole};
use contract::apps::is_name;
use contract::apps::own::{self, Asked, Definition, Faults, Privilege, Project};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of an app's name at most: the project's name on the node has a word before it.
const NAME_BYTES: usize = 33;
/// Definitions whose reading is remembered.
const KNOWN: usize = 64;

/// One that is saved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Saved {
    /// Its form or compose file.
    pub definition: Definition,
    /// What owners granted it.
    #[serde(default)]
    pub grants: BTreeSet<Privilege>,
    /// Who granted it last.
    #[serde(default)]
    pub granted_by: Option<String>,
    /// The container that was made by hand and that it was read from, by Docker's number for it.
    #[serde(default)]
    pub by_hand: Option<String>,
    /// Values stand in it that nobody typed here: owners alone see and change it.
    #[serde(default)]
    pub owners: bool,
}

/// Why nothing was saved.
#[derive(Debug, thiserror::Error)]
pub enum NotSaved {
    /// The name.
    #[error("`{0}` is no name for an app: lower-case letters, digits and `-`, 33 at most")]
    Name(String),
    /// Another app's name.
    #[error("`{0}` is an app of this node's catalog: choose another name")]
    Taken(String),
    /// One's own that is there already.
    #[error("`{0}` is there already: change that one, or choose another name")]
    There(String),
    /// What is wrong in it.
    #[error(transparent)]
    Faults(#[from] Faults),
    /// It is not there.
    #[error("there is no app of one's own called `{0}`: `cloudy app own` lists them")]
    Unknown(String),
    /// It does not ask for that.
    #[error("`{app}` does not ask for the privilege `{privilege}`; it asks for: {asked}")]
    NotAsked {
        /// The app.
        app: String,
        /// What was to be granted.
        privilege: String,
        /// What it asks for.
        asked: String,
    },
    /// There are too many.
    #[error("{OWN_APPS_KEPT} apps of one's own are saved: remove one that nobody needs")]
    Full,
    /// It could not be written.
    #[error("it could not be kept: {0}")]
    NotKept(String),
}

/// What reading a definition gave.
pub type Read = (Arc<Face>, Arc<Vec<Asked>>);

/// The apps of people's own.
#[derive(Debug)]
pub struct OwnApps {
    file: PathBuf,
    saved: Mutex<BTreeMap<String, Saved>>,
    /// Held while something is written.
    altering: Mutex<()>,
    /// What was read, by the name and a hash of what was read: a page that looks every few seconds reads none of it again.
    known: Mutex<BTreeMap<(String, [u8; 32]), Read>>,
}

impl OwnApps {
    /// Opens the file; one that can't be read is said and put aside.
    pub fn open(file: &Path) -> Self {
        let saved = read_or_put_aside(file, "no app of one's own is saved any more; those that are installed go on");
        Self { file: file.to_owned(), saved: Mutex::new(saved), altering: Mutex::new(()), known: Mutex::default() }
    }

    fn saved(&self) -> MutexGuard<'_, BTreeMap<String, Saved>> {
        self.saved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one of that name.
    pub fn get(&self, name: &str) -> Option<Saved> {
        self.saved().get(name).cloned()
    }

    /// All of them, by name.
    pub fn all(&self) -> BTreeMap<String, Saved> {
        self.saved().clone()
    }

    /// What a definition says; it was good when it was saved, by this version or an older one.
    ///
    /// # Errors
    /// What this version does not take any more.
    pub fn read(&self, name: &str, definition: &Definition) -> Result<Read, Faults> {
        let bytes = serde_json::to_vec(definition).unwrap_or_default();
        let key = (name.to_owned(), Sha256::digest(bytes).into());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(read) = known.get(&key) {
            return Ok(read.clone());
        }
        let project: Project = own::read(definition)?;
        let read: Read = (Arc::new(Face::of_own(name, definition, &project)), Arc::new(project.asked));
        if known.len() >= KNOWN {
            known.clear();
        }
        known.insert(key, read.clone());
        Ok(read)
    }

    fn alter<T>(&self, change: impl FnOnce(&mut BTreeMap<String, Saved>) -> Result<T, NotSaved>) -> Result<T, NotSaved> {
        let _one = self.altering.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.saved().clone();
        let mut next = now.clone();
        let out = change(&mut next)?;
        if next != now {
            let not_kept = |error: anyhow::Error| NotSaved::NotKept(format!("{error:#}"));
            let folder = self.file.parent().unwrap_or(Path::new("/"));
            std::fs::create_dir_all(folder).map_err(|error| not_kept(error.into()))?;
            let bytes = serde_json::to_vec(&next).map_err(|error| not_kept(error.into()))?;
            // Values stand in it that are nobody else's.
            write_whole(&self.file, &bytes, 0o600).map_err(not_kept)?;
            *self.saved() = next;
        }
        Ok(out)
    }

    /// Saves one, new or instead of what was there. What is the same keeps its grants; anything else has none.
    pub fn save(&self, name: &str, definition: Definition) -> Result<(), NotSaved> {
        if !is_name(name) || name.len() > NAME_BYTES {
            return Err(NotSaved::Name(name.escape_default().take(60).collect()));
        }
        self.read(name, &definition)?;
        self.alter(|saved| {
            if saved.len() >= OWN_APPS_KEPT && !saved.contains_key(name) {
                return Err(NotSaved::Full);
            }
            let now = saved.get(name);
            if now.is_none_or(|now| now.definition != definition) {
                let owners = now.is_some_and(|now| now.owners);
                saved.insert(name.to_owned(), Saved { definition, owners, ..Saved::default() });
            }
            Ok(())
        })
    }

    /// Saves what a container that was made by hand would be. Something else of that name is not written over; the same keeps its grants.
    pub fn save_by_hand(&self, name: &str, definition: Definition, container: &str) -> Result<Saved, NotSaved> {
        let definition = match self.get(name) {
            // What people call it may be another.
            Some(saved) if saved.definition.form == definition.form => saved.definition,
            Some(_) => return Err(NotSaved::There(name.to_owned())),
            None => definition,
        };
        self.save(name, definition.clone())?;
        self.alter(|saved| match saved.get_mut(name) {
            Some(saved) if saved.definition == definition => {
                (saved.by_hand, saved.owners) = (Some(container.to_owned()), true);
                Ok(saved.clone())
            }
            _ => Err(NotSaved::There(name.to_owned())),
        })
    }

    /// A container that was made by hand is no more.
    pub fn not_by_hand(&self, container: &str) -> Result<(), NotSaved> {
        self.alter(|saved| {
            for its in saved.values_mut().filter(|its| its.by_hand.as_deref() == Some(container)) {
                its.by_hand = None;
            }
            Ok(())
        })
    }

    /// Says what an owner grants one, all of it: what is not named is granted no more.
    pub fn grant(&self, name: &str, grants: BTreeSet<Privilege>, by: &str) -> Result<(), NotSaved> {
        let unknown = || NotSaved::Unknown(name.escape_default().take(60).collect());
        let definition = self.get(name).ok_or_else(unknown)?.definition;
        let (_, asked) = self.read(name, &definition)?;
        if let Some(more) = grants.iter().find(|grant| !asked.iter().any(|asked| asked.privilege == **grant)) {
            let asked: Vec<String> = asked.iter().map(|asked| asked.privilege.to_string()).collect();
            let asked = if asked.is_empty() { "nothing".to_owned() } else { asked.join(", ") };
            return Err(NotSaved::NotAsked { app: name.to_owned(), privilege: more.to_string(), asked });
        }
        self.alter(|saved| match saved.get_mut(name) {
            // Somebody saved another between: what was looked at is not what would be granted.
            Some(saved) if saved.definition == definition => {
                saved.grants = grants;
                saved.granted_by = Some(by.to_owned());
                Ok(())
            }
            _ => Err(unknown()),
        })
    }

    /// Forgets one; what is installed of it goes on. Whether it was there.
    pub fn forget(&self, name: &str) -> Result<bool, NotSaved> {
        self.alter(|saved| Ok(saved.remove(name).is_some()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(compose: &str) -> Definition {
        Definition { title: "x".to_owned(), compose: Some(compose.to_owned()), ..Definition::default() }
    }

    fn grants(words: &[&str]) -> BTreeSet<Privilege> {
        words.iter().map(|word| word.parse().unwrap()).collect()
    }

    const MUSIC: &str = "services: { app: { image: x:1, volumes: [\"/srv/music:/m:ro\"] } }";

    #[test]
    fn a_grant_is_for_what_was_saved_and_for_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("apps/own.json");
        let own = OwnApps::open(&file);
        own.save("radio", definition(MUSIC)).unwrap();
        let more = own.grant("radio", grants(&["privileged"]), "ana").unwrap_err().to_string();
        assert!(more.contains("does not ask for the privilege `privileged`") && more.contains("host-path-read=/srv/music"), "{more}");
        own.grant("radio", grants(&["host-path-read=/srv/music"]), "ana").unwrap();
        own.save("radio", definition(MUSIC)).unwrap();
        let again = OwnApps::open(&file);
        let saved = again.get("radio").unwrap();
        assert_eq!((saved.grants.len(), saved.granted_by.as_deref()), (1, Some("ana")), "the same keeps them");
        // Another image with the same folder is another app.
        again.save("radio", definition(&MUSIC.replace("x:1", "evil:1"))).unwrap();
        assert!(again.get("radio").unwrap().grants.is_empty());
        assert_eq!(std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&file).unwrap()) & 0o777, 0o600);
        assert!(again.forget("radio").unwrap() && !again.forget("radio").unwrap() && again.all().is_empty());
    }

    #[test]
    fn what_can_t_be_saved_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let own = OwnApps::open(&folder.path().join("own.json"));
        for name in ["", "X", "../x", "a\nb", &"x".repeat(34)] {
            assert!(matches!(own.save(name, definition(MUSIC)), Err(NotSaved::Name(_))), "{name}");
        }
        assert!(matches!(own.save("x", definition("services: {}")), Err(NotSaved::Faults(_))));
        assert!(matches!(own.grant("x", BTreeSet::new(), "ana"), Err(NotSaved::Unknown(_))));
        for number in 0..OWN_APPS_KEPT {
            own.save(&format!("a{number}"), definition(MUSIC)).unwrap();
        }
        assert!(matches!(own.save("b", definition(MUSIC)), Err(NotSaved::Full)));
        own.save("a1", definition(&MUSIC.replace("x:1", "y:1"))).unwrap();
    }
}
