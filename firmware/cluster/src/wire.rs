//! How values become bytes: one version byte, then postcard; bounded before a byte is looked at.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The version that this code writes.
pub const VERSION: u8 = 1;

/// Why bytes are no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// More than the format allows.
    #[error("{bytes} bytes, where {limit} are allowed")]
    TooLong {
        /// Bytes given.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Written by a version that this code does not know.
    #[error("format version {0}, where this node knows 1")]
    Version(u8),
    /// Cut, or not of this format.
    #[error("not in the expected form")]
    Malformed,
}

/// Writes a value with its version byte.
#[must_use]
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    // Writing to a Vec can't fail for the plain types of this crate; were it to, an empty value fails to decode.
    postcard::to_extend(value, vec![VERSION]).unwrap_or_default()
}

/// Reads a value of at most `limit` bytes; trailing bytes are an error.
///
/// # Errors
/// Too long, another version, or malformed.
pub fn decode<T: DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<T, WireError> {
    if bytes.len() > limit {
        return Err(WireError::TooLong { bytes: bytes.len(), limit });
    }
    match bytes.split_first() {
        Some((&VERSION, body)) => match postcard::take_from_bytes(body) {
            Ok((value, [])) => Ok(value),
            _ => Err(WireError::Malformed),
        },
        Some((&other, _)) => Err(WireError::Version(other)),
        None => Err(WireError::Malformed),
    }
}

/// No character that changes how a terminal or page shows what is around it.
#[must_use]
pub fn is_plain(c: char) -> bool {
    !c.is_control() && !('\u{202a}'..='\u{202e}').contains(&c) && !('\u{2066}'..='\u{2069}').contains(&c)
}

/// A name given by people: 1 to 63 bytes of UTF-8 with no control characters and no blanks at its ends.
/// Reading one from bytes checks that too.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` can't be a name: use 1 to 63 bytes, no control characters, no blanks at the ends")]
pub struct NotAName(String);

/// Longest name in bytes.
pub const MAX_NAME_BYTES: usize = 63;

impl TryFrom<String> for Name {
    type Error = NotAName;
    fn try_from(text: String) -> Result<Self, NotAName> {
        let fits = (1..=MAX_NAME_BYTES).contains(&text.len());
        if fits && text.trim() == text && !text.chars().any(char::is_control) { Ok(Self(text)) } else { Err(NotAName(text)) }
    }
}

impl TryFrom<&str> for Name {
    type Error = NotAName;
    fn try_from(text: &str) -> Result<Self, NotAName> {
        Self::try_from(text.to_owned())
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl Name {
    /// The nearest name to any text: control characters and blanks at the ends left out, cut to length;
    /// `fallback` (or `unnamed`, if that is no name) where nothing is left.
    #[must_use]
    pub fn lossy(text: &str, fallback: &str) -> Self {
        let kept: String = text.chars().filter(|c| !c.is_control()).collect();
        let mut end = kept.trim().len().min(MAX_NAME_BYTES);
        while !kept.trim().is_char_boundary(end) {
            end -= 1;
        }
        let cut = kept.trim()[..end].trim();
        Self::try_from(cut).or_else(|_| Self::try_from(fallback)).unwrap_or_else(|_| Self("unnamed".to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
