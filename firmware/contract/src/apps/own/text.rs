//! Texts with `${NAME}` in them, as compose has them; a value is what a person says when the app is installed, and nothing else.

use std::collections::BTreeMap;

/// Characters of a text at most.
pub const CHARS: usize = 16_384;
/// Names in one text at most.
const NAMES: usize = 32;

/// A text whose names are not filled in yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Plain(String),
    Named(String),
}

/// A name, and what holds when nobody says anything.
pub type Named = (String, Option<String>);

impl Text {
    /// A text without names.
    pub fn plain(text: impl Into<String>) -> Self {
        Self(vec![Piece::Plain(text.into())])
    }

    /// What is said for this name.
    pub fn named(name: impl Into<String>) -> Self {
        Self(vec![Piece::Named(name.into())])
    }

    /// Reads compose's interpolation: `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}`, `${NAME:?…}`, `${NAME?…}`, and `$$`.
    ///
    /// # Errors
    /// In a sentence.
    pub fn read(text: &str) -> Result<(Self, Vec<Named>), String> {
        if text.chars().count() > CHARS || text.contains('\0') {
            return Err(format!("a text of {CHARS} characters at most, without NUL, is allowed"));
        }
        let (mut pieces, mut names, mut plain) = (Vec::new(), Vec::new(), String::new());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            plain.push_str(before);
            if let Some(after) = after.strip_prefix('$') {
                plain.push('$');
                rest = after;
                continue;
            }
            let (name, default, after) = match after.strip_prefix('{') {
                Some(inner) => {
                    let (inner, after) = inner.split_once('}').ok_or("`${` has no `}`; a `$` of its own is written `$$`")?;
                    let (name, default) = braced(inner)?;
                    (name, default, after)
                }
                None => {
                    let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
                    let (name, after) = after.split_at(end);
                    (name, None, after)
                }
            };
            if !is_variable(name) {
                return Err("`$` stands before a name; one of its own is written `$$`".to_owned());
            }
            if !plain.is_empty() {
                pieces.push(Piece::Plain(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Named(name.to_owned()));
            names.push((name.to_owned(), default));
            if names.len() > NAMES {
                return Err(format!("more than {NAMES} names in one text"));
            }
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() || pieces.is_empty() {
            pieces.push(Piece::Plain(plain));
        }
        Ok((Self(pieces), names))
    }

    /// The text itself, where it has no names.
    pub fn as_plain(&self) -> Option<String> {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Plain(text) => out.push_str(text),
                Piece::Named(_) => return None,
            }
        }
        Some(out)
    }

    /// The text with its names filled in; the first that has no value otherwise.
    pub fn filled(&self, values: &BTreeMap<String, String>) -> Result<String, String> {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Plain(text) => out.push_str(text),
                Piece::Named(name) => out.push_str(values.get(name).ok_or_else(|| name.clone())?),
            }
        }
        Ok(out)
    }
}

impl std::fmt::Display for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Plain(text) => f.write_str(text),
            Piece::Named(name) => write!(f, "${{{name}}}"),
        })
    }
}

/// What stands between `${` and `}`.
fn braced(inner: &str) -> Result<(&str, Option<String>), String> {
    let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
    let (name, how) = inner.split_at(end);
    let nested = || "a `$` inside `${…}` is not understood: write the value itself".to_owned();
    if how.is_empty() {
        return Ok((name, None));
    }
    if let Some(default) = how.strip_prefix(":-").or_else(|| how.strip_prefix('-')) {
        return if default.contains('$') { Err(nested()) } else { Ok((name, Some(default.to_owned()))) };
    }
    if how.starts_with(":?") || how.starts_with('?') {
        return Ok((name, None));
    }
    Err(format!("`${{{name}…}}` is understood as `${{NAME}}`, `${{NAME:-default}}` and `${{NAME:?…}}` alone"))
}

/// Names of the environment: POSIX's, and lower case as images use it.
pub fn is_variable(name: &str) -> bool {
    (1..=100).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
