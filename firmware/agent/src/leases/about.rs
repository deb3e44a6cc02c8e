//! What is to run on somebody else's node: an app that its lender gives to the microcloud as a blob, and how it is set.

use crate::net::{AppImage, is_hash, is_plain};
use cluster::leases::MAX_ABOUT_BYTES;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Longest words of the lender to the holder, in bytes.
pub const MAX_NOTE_BYTES: usize = 500;
/// Settings at most.
const MAX_SETTINGS: usize = 64;
/// Longest setting in bytes.
const MAX_SETTING_BYTES: usize = 4096;

/// What is offered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct About {
    /// The app, as it is told of its blob.
    pub app: AppImage,
    /// The hash of that blob.
    pub hash: String,
    /// How large it is.
    pub size_bytes: u64,
    /// How it is set. Passwords may stand in it.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// What the lender says to the holder's owner.
    #[serde(default)]
    pub note: String,
}

impl About {
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        self.app.check()?;
        if !is_hash(&self.hash) {
            return Err("the app's blob has no hash".to_owned());
        }
        if self.note.len() > MAX_NOTE_BYTES || !self.note.chars().all(is_plain) {
            return Err(format!("the words to the other node's owner are at most {MAX_NOTE_BYTES} bytes, without control characters"));
        }
        let fits = |(name, value): (&String, &String)| name.len() <= 64 && name.chars().all(is_plain) && value.len() <= MAX_SETTING_BYTES;
        if self.settings.len() > MAX_SETTINGS || !self.settings.iter().all(fits) {
            return Err(format!("there are at most {MAX_SETTINGS} settings, of at most {MAX_SETTING_BYTES} bytes each"));
        }
        Ok(())
    }

    /// As it is signed.
    ///
    /// # Errors
    /// Something is wrong with it, or it is too long together.
    pub fn to_bytes(&self) -> Result<Vec<u8>, String> {
        self.check()?;
        match serde_json::to_vec(self) {
            Ok(bytes) if bytes.len() <= MAX_ABOUT_BYTES => Ok(bytes),
            _ => Err(format!("the app with its settings is more than {MAX_ABOUT_BYTES} bytes")),
        }
    }

    /// Reads it, as it came.
    ///
    /// # Errors
    /// It is not what this version knows, or breaks a limit.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let about: Self = serde_json::from_slice(bytes).map_err(|_| "this version can't read what is offered".to_owned())?;
        about.check()?;
        Ok(about)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::net::an_app;
    use proptest::prelude::*;

    pub fn about(name: &str) -> About {
        let settings = [("title".to_owned(), "Ours".to_owned())].into();
        About { app: an_app(name), hash: "0f".repeat(32), size_bytes: 10, settings, note: "for the school".to_owned() }
    }

    #[test]
    fn what_is_offered_is_read_back_and_what_breaks_a_limit_is_not() {
        let good = about("wiki");
        assert_eq!(About::read(&good.to_bytes().unwrap()).unwrap(), good);
        let many = (0..65).map(|n| (n.to_string(), String::new())).collect();
        for bad in [
            About { hash: "../../etc".to_owned(), ..good.clone() },
            About { note: "a\nb".to_owned(), ..good.clone() },
            About { note: "x".repeat(501), ..good.clone() },
            About { settings: many, ..good.clone() },
            About { settings: [("a".to_owned(), "x".repeat(4097))].into(), ..good.clone() },
            About { app: AppImage { name: "../x".to_owned(), ..an_app("wiki") }, ..good.clone() },
        ] {
            assert!(bad.to_bytes().is_err(), "{bad:?}");
            assert!(About::read(&serde_json::to_vec(&bad).unwrap()).is_err());
        }
        let long = (0..10).map(|n| (n.to_string(), "x".repeat(4000))).collect();
        assert!(About { settings: long, ..good }.to_bytes().unwrap_err().contains("24576"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>()) {
            let _read = About::read(&bytes);
            let mut good = about("wiki").to_bytes().unwrap();
            let at = at.index(good.len());
            good[at] ^= 0x11;
            if let Ok(about) = About::read(&good) {
                prop_assert!(about.check().is_ok());
            }
        }
    }
}
