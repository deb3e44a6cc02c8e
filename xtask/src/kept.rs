//! Results in the cache, as JSON under the key of all that they were made from. What can't be read is made again.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What was kept at `place`.
pub fn load<T: DeserializeOwned>(place: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(place).ok()?).ok()
}

/// Keeps `value` at `place`, whole or not at all.
pub fn store<T: Serialize>(place: &Path, value: &T) -> Result<()> {
    let write = || -> Result<()> {
        let folder = place.parent().context("it stands in no folder")?;
        std::fs::create_dir_all(folder)?;
        let aside = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer(std::io::BufWriter::new(&aside), value)?;
        aside.persist(place)?;
        Ok(())
    };
    write().with_context(|| format!("failed to keep `{}` in the cache", place.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_found_and_damage_is_as_if_nothing_were() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("new/x.json");
        assert_eq!(load::<Vec<String>>(&place), None);
        let value = vec!["a".to_owned()];
        store(&place, &value).unwrap();
        assert_eq!(load(&place), Some(value));
        std::fs::write(&place, "[\"a").unwrap();
        assert_eq!(load::<Vec<String>>(&place), None);
    }
}
