//! Apps of a person's own: any image by a form, or a compose file. Both are read into one checked [`Project`], which knows what
//! privileges it asks for; [`write`] makes the project that Docker is given from it, and from nothing else.
//!
//! Architecture invariant: what a person wrote never reaches compose. Every key of it is understood here, or refused with its place.

mod ask;
mod form;
mod names;
mod normal;
mod parts;
mod privilege;
mod project;
mod read;
mod service;
#[cfg(test)]
mod tests;
mod text;
mod told;
mod write;
mod yaml;

pub use form::{Form, FormPort, FormVolume, Network as FormNetwork};
pub use names::{bytes as read_bytes, is_image};
pub use normal::check as check_normalised;
pub use parts::short as read_port;
pub use privilege::{BadPrivilege, Privilege, path_refused};
pub use project::{Asked, Project, Published, Variable};
pub use told::{Told, Topic};
pub use write::{NotRun, images, write};
pub use yaml::TEXT_BYTES;

use serde::{Deserialize, Serialize};

/// Characters of a title and of a description at most.
pub const TITLE_CHARS: usize = 40;
/// Characters of a description at most.
pub const DESCRIPTION_CHARS: usize = 400;

/// An app of a person's own, as it is saved and sent: a form or a compose file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Definition {
    /// What people call it.
    pub title: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// One image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<Form>,
    /// A compose file's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compose: Option<String>,
}

/// A place in a text; both 0 where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Place {
    const START: Self = Self { line: 1, column: 1 };
    const NOWHERE: Self = Self { line: 0, column: 0 };
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if *self == Self::NOWHERE { Ok(()) } else { write!(f, "line {}, column {}: ", self.line, self.column) }
    }
}

/// Something that can't be: where, which key, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}{}{why}", quoted(.key))]
pub struct Fault {
    /// Where it stands.
    pub place: Place,
    /// The key, with those that it stands under.
    pub key: String,
    /// What is wrong, and the mend.
    pub why: String,
}

/// All that is wrong, as far as it was looked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Faults(pub Vec<Fault>);

fn quoted(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!("`{key}`: ") }
}

impl Fault {
    fn new(place: Place, key: &str, why: impl Into<String>) -> Self {
        // What came from outside is shown, and shall not change how it is shown.
        let key = key.chars().filter(|c| !c.is_control()).take(100).collect();
        Self { place, key, why: why.into() }
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self(vec![fault])
    }
}

/// Reads and checks an app of a person's own.
///
/// # Errors
/// Everything in it that can't be, up to a bound.
pub fn read(definition: &Definition) -> Result<Project, Faults> {
    let line = |text: &str, most| text.chars().count() <= most && !text.chars().any(char::is_control);
    if definition.title.trim().is_empty() || !line(&definition.title, TITLE_CHARS) {
        return Err(Fault::new(Place::NOWHERE, "title", format!("it must be a line of 1 to {TITLE_CHARS} characters")).into());
    }
    if !line(&definition.description, DESCRIPTION_CHARS) {
        return Err(
            Fault::new(Place::NOWHERE, "description", format!("one line of {DESCRIPTION_CHARS} characters at most is allowed")).into()
        );
    }
    match (&definition.form, &definition.compose) {
        (Some(form), None) => form::read(form),
        (None, Some(text)) => read::read(text),
        _ => Err(Fault::new(Place::NOWHERE, "", "an app of one's own is either a form (`form`) or a compose file (`compose`)").into()),
    }
}
