//! Bytes as text that people copy, print and scan: `cloudy1-KIND-` and lower-case base32 with a checksum.
//!
//! Case, blanks and line breaks do not matter when reading. The checksum is the first 4 bytes of the SHA-256
//! over kind and body, so a kit that is pasted where an invite belongs is named as such, and a cut or
//! mistyped text is told apart from a forged one.

use data_encoding::BASE32_NOPAD;
use sha2::{Digest, Sha256};

const PREFIX: &str = "cloudy1-";
const CHECK_BYTES: usize = 4;

/// What a text carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An invite token.
    Invite,
    /// A recovery kit: secret.
    Kit,
    /// The key of a catalog of apps: secret.
    Publisher,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Invite => "invite",
            Self::Kit => "kit",
            Self::Publisher => "publisher",
        }
    }
}

/// Why a text is not of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// It does not start like one of ours.
    #[error("the text does not start with `cloudy1-{}-`", .0.word())]
    NotOurs(Kind),
    /// It is another of our kinds.
    #[error("this is a cloudy {found}, not a cloudy {}", .wanted.word())]
    OtherKind {
        /// What was wanted.
        wanted: Kind,
        /// The word that the text has.
        found: String,
    },
    /// Longer than any of its kind.
    #[error("the text is too long")]
    TooLong,
    /// A letter was changed, or the end is missing.
    #[error("the text was changed or cut on its way (the checksum is wrong): copy it whole, from `cloudy1` to the last letter")]
    Checksum,
}

fn check(kind: Kind, body: &[u8]) -> [u8; CHECK_BYTES] {
    let hash = Sha256::new().chain_update(kind.word()).chain_update([0]).chain_update(body).finalize();
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&hash[..CHECK_BYTES]);
    check
}

/// The text of `body`.
#[must_use]
pub fn to_text(kind: Kind, body: &[u8]) -> String {
    let whole = [body, &check(kind, body)].concat();
    format!("{PREFIX}{}-{}", kind.word(), BASE32_NOPAD.encode(&whole).to_ascii_lowercase())
}

/// The body of a text, at most `limit` bytes.
///
/// # Errors
/// See [`TextError`].
pub fn from_text(kind: Kind, text: &str, limit: usize) -> Result<Vec<u8>, TextError> {
    // Twice the base32 length leaves room for blanks; more is not looked at.
    if text.len() > 2 * (limit + CHECK_BYTES) * 8 / 5 + 256 {
        return Err(TextError::TooLong);
    }
    let text: String = text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_ascii_lowercase()).collect();
    let rest = text.strip_prefix(PREFIX).ok_or(TextError::NotOurs(kind))?;
    let (word, digits) = rest.split_once('-').ok_or(TextError::NotOurs(kind))?;
    if word != kind.word() {
        let ours = [Kind::Invite, Kind::Kit, Kind::Publisher].iter().any(|other| other.word() == word);
        return Err(if ours { TextError::OtherKind { wanted: kind, found: word.to_owned() } } else { TextError::NotOurs(kind) });
    }
    let whole = BASE32_NOPAD.decode(digits.to_ascii_uppercase().as_bytes()).map_err(|_| TextError::Checksum)?;
    let (body, found) = whole.split_last_chunk::<CHECK_BYTES>().ok_or(TextError::Checksum)?;
    if check(kind, body) != *found {
        return Err(TextError::Checksum);
    }
    if body.len() > limit {
        return Err(TextError::TooLong);
    }
    Ok(body.to_vec())
}
