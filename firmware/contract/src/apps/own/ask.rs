//! What reading gathers: what is wrong, what is asked of the node, and what a person must say.

use std::collections::BTreeMap;

use super::privilege::BadPrivilege;
use super::project::{Asked, Project, Variable};
use super::text::Text;
use super::yaml::{Node, Value};
use super::{Fault, Faults, Place, Privilege};

/// Faults that are told of one text at most.
const FAULTS: usize = 30;
/// What may be asked, and said, in one project.
const ASKED: usize = 64;
const VARIABLES: usize = 100;

/// What is gathered.
#[derive(Default)]
pub struct Reading {
    faults: Vec<Fault>,
    asked: Vec<Asked>,
    variables: BTreeMap<String, Variable>,
    /// Where what runs is not written out.
    open: Vec<(Place, String)>,
}

/// A key with its value.
#[derive(Clone)]
pub struct Key<'a> {
    /// The key and those above it, with dots between.
    pub path: String,
    /// The key alone.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// What stands there.
    pub node: &'a Node,
}

impl<'a> Key<'a> {
    fn below(&self, name: &str, place: Place, node: &'a Node) -> Self {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        Self { path, name: name.to_owned(), place, node }
    }

    /// Whether nothing stands there.
    pub fn is_null(&self) -> bool {
        matches!(self.node.value, Value::Null)
    }

    /// Whether a single value stands there.
    pub fn is_scalar(&self) -> bool {
        matches!(self.node.value, Value::Scalar(..))
    }

    /// Whether a list stands there.
    pub fn is_list(&self) -> bool {
        matches!(self.node.value, Value::List(_))
    }
}

impl Reading {
    /// Something is wrong.
    pub fn refuse(&mut self, place: Place, key: &str, why: impl Into<String>) {
        if self.faults.len() < FAULTS {
            self.faults.push(Fault::new(place, key, why));
        }
    }

    /// Something is wrong with a key.
    pub fn wrong(&mut self, key: &Key<'_>, why: impl Into<String>) {
        self.refuse(key.node.place, &key.path, why);
    }

    /// Something is asked of the node; false where nobody can allow it.
    pub fn ask(&mut self, place: Place, key: &str, privilege: Result<Option<Privilege>, BadPrivilege>) -> bool {
        match privilege {
            Ok(None) => true,
            Ok(Some(_)) if self.asked.len() >= ASKED => {
                self.refuse(place, key, format!("more than {ASKED} privileges are asked for"));
                false
            }
            Ok(Some(privilege)) => {
                if !self.asked.iter().any(|asked| asked.privilege == privilege) {
                    self.asked.push(Asked { privilege, place, key: key.to_owned() });
                }
                true
            }
            Err(never) => {
                self.refuse(place, key, never.to_string());
                false
            }
        }
    }

    /// A name that a person says. Two defaults for one name would leave open which holds.
    pub fn variable(&mut self, place: Place, key: &str, name: &str, default: Option<String>) {
        if self.variables.len() >= VARIABLES && !self.variables.contains_key(name) {
            self.refuse(place, key, format!("more than {VARIABLES} values would have to be said"));
            return;
        }
        if default.as_ref().is_some_and(|default| default.chars().any(char::is_control)) {
            self.refuse(place, key, format!("what holds for `{name}` must be one line"));
            return;
        }
        let known = self.variables.entry(name.to_owned()).or_insert_with(|| Variable { default: default.clone() });
        match (&known.default, default) {
            (Some(one), Some(other)) if *one != other => {
                self.refuse(place, key, format!("`{name}` has two defaults, and one value: write the same in both places"));
            }
            (None, Some(default)) => known.default = Some(default),
            _ => {}
        }
    }

    /// A text with names in it.
    pub fn filled(&mut self, place: Place, key: &str, text: &str) -> Text {
        match Text::read(text) {
            Ok((text, names)) => {
                for (name, default) in names {
                    self.variable(place, key, &name, default);
                }
                text
            }
            Err(why) => {
                self.refuse(place, key, why);
                Text::default()
            }
        }
    }

    /// A text that says what runs: with names only in an app without privileges, or what an owner allowed would be another thing.
    pub fn runs(&mut self, place: Place, key: &str, text: &str) -> Text {
        let text = self.filled(place, key, text);
        if text.as_plain().is_none() {
            self.open.push((place, key.to_owned()));
        }
        text
    }

    /// A single value, written out.
    pub fn word(&mut self, key: &Key<'_>) -> Option<String> {
        let Value::Scalar(text) = &key.node.value else {
            self.wrong(key, "a single value belongs here");
            return None;
        };
        match Text::read(text).map(|(text, _)| text.as_plain()) {
            Ok(Some(plain)) => Some(plain),
            Ok(None) => {
                let why = "`${…}` is filled in in `image`, `command`, `entrypoint`, `healthcheck.test`, `environment` and `content` alone: write the value itself";
                self.wrong(key, why);
                None
            }
            Err(why) => {
                self.wrong(key, why);
                None
            }
        }
    }

    /// A single value that is good.
    pub fn good(&mut self, key: &Key<'_>, good: impl Fn(&str) -> bool, what: &str) -> Option<String> {
        let word = self.word(key)?;
        if good(&word) {
            return Some(word);
        }
        self.wrong(key, format!("`{}` is no {what}", shown(&word)));
        None
    }

    /// A single value that is read.
    pub fn read<T>(&mut self, key: &Key<'_>, read: impl Fn(&str) -> Option<T>, what: &str) -> Option<T> {
        let word = self.word(key)?;
        let out = read(&word);
        if out.is_none() {
            self.wrong(key, format!("`{}` is no {what}", shown(&word)));
        }
        out
    }

    /// `true` or `false`.
    pub fn truth(&mut self, key: &Key<'_>) -> bool {
        let truth = |word: &str| match word {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        };
        self.read(key, truth, "`true` or `false`").unwrap_or_default()
    }

    /// A table's keys; nothing where nothing stands there.
    pub fn table<'a>(&mut self, key: &Key<'a>) -> Vec<Key<'a>> {
        match &key.node.value {
            Value::Table(pairs) => pairs.iter().map(|(name, place, node)| key.below(name, *place, node)).collect(),
            Value::Null => Vec::new(),
            _ => {
                self.wrong(key, "a table of keys belongs here");
                Vec::new()
            }
        }
    }

    /// A list's items; nothing where nothing stands there.
    pub fn list<'a>(&mut self, key: &Key<'a>) -> Vec<Key<'a>> {
        match &key.node.value {
            Value::List(items) => {
                items.iter().map(|node| Key { path: key.path.clone(), name: key.name.clone(), place: node.place, node }).collect()
            }
            Value::Null => Vec::new(),
            _ => {
                self.wrong(key, "a list belongs here");
                Vec::new()
            }
        }
    }

    /// A list's single values, or one alone.
    pub fn words(&mut self, key: &Key<'_>) -> Vec<String> {
        let items = if key.is_scalar() { vec![key.clone()] } else { self.list(key) };
        items.iter().filter_map(|item| self.word(item)).collect()
    }

    /// Names and values: a table, or a list of `name=value`. A name without a value has none.
    pub fn pairs(&mut self, key: &Key<'_>) -> Vec<(String, Place, Option<String>)> {
        let mut pairs = Vec::new();
        if key.is_list() {
            for item in self.list(key) {
                let Value::Scalar(text) = &item.node.value else {
                    self.wrong(&item, "`NAME=VALUE` belongs here");
                    continue;
                };
                let (name, value) = text.split_once('=').map_or((text.as_str(), None), |(name, value)| (name, Some(value.to_owned())));
                pairs.push((name.to_owned(), item.place, value));
            }
        } else {
            for item in self.table(key) {
                let value = match &item.node.value {
                    Value::Scalar(text) => Some(text.clone()),
                    Value::Null => None,
                    _ => {
                        self.wrong(&item, "a single value belongs here");
                        continue;
                    }
                };
                pairs.push((item.name.clone(), item.place, value));
            }
        }
        pairs
    }

    /// The project, if nothing is wrong.
    pub fn end(mut self, project: Project) -> Result<Project, Faults> {
        if let Some(asked) = self.asked.first().map(|asked| asked.key.clone()) {
            for (place, key) in std::mem::take(&mut self.open) {
                let why = format!("an app that asks for privileges (`{asked}`) has what runs written out, without `${{…}}`");
                self.refuse(place, &key, why);
            }
        }
        if self.faults.is_empty() {
            return Ok(Project { variables: self.variables, asked: self.asked, ..project });
        }
        self.faults.sort_by_key(|fault| fault.place);
        Err(Faults(self.faults))
    }
}

/// What somebody wrote, as it can be shown.
pub fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}
