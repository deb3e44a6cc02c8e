//! Sets of globs, compiled once where a board or flavour is read.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::{Serialize, Serializer};

/// A set of globs over paths. `*` stays within one folder, `**` crosses folders.
#[derive(Clone, Debug)]
pub struct Globs {
    patterns: Vec<String>,
    set: GlobSet,
}

impl Globs {
    /// Compiles the patterns; the error is the index of the bad one and what is wrong with it.
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Result<Self, (usize, globset::Error)> {
        let mut set = GlobSetBuilder::new();
        for (index, pattern) in patterns.iter().enumerate() {
            set.add(GlobBuilder::new(pattern.as_ref()).literal_separator(true).build().map_err(|error| (index, error))?);
        }
        let set = set.build().map_err(|error| (0, error))?;
        Ok(Self { patterns: patterns.iter().map(|pattern| pattern.as_ref().to_owned()).collect(), set })
    }

    /// Whether any of them matches the whole path.
    pub fn matches(&self, path: &str) -> bool {
        self.set.is_match(path)
    }

    /// Which of the patterns match, by index.
    pub fn matching(&self, path: &str) -> Vec<usize> {
        self.set.matches(path)
    }

    /// The patterns as written.
    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }
}

impl PartialEq for Globs {
    fn eq(&self, other: &Self) -> bool {
        self.patterns == other.patterns
    }
}

impl Eq for Globs {}

impl Serialize for Globs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.patterns.serialize(serializer)
    }
}

/// What is taken: what `keep` matches and `drop` does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Select {
    /// What is wanted.
    pub keep: Globs,
    /// What is not, even where `keep` matches.
    pub drop: Globs,
}

impl Select {
    /// Whether the path is taken.
    pub fn takes(&self, path: &str) -> bool {
        self.keep.matches(path) && !self.drop.matches(path)
    }
}

/// What is left out of a whole: what `drop` matches and `keep` does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Prune {
    /// What goes.
    pub drop: Globs,
    /// What stays, even where `drop` matches.
    pub keep: Globs,
}

impl Prune {
    /// Whether the path goes.
    pub fn drops(&self, path: &str) -> bool {
        self.drop.matches(path) && !self.keep.matches(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stays_in_its_folder() {
        let globs = Globs::new(&["drivers/ata/ahci*", "net/**"]).unwrap();
        assert!(globs.matches("drivers/ata/ahci_platform.ko"));
        assert!(!globs.matches("drivers/ata/ahci/x.ko"));
        assert!(globs.matches("net/ipv4/netfilter/x.ko"));
    }

    #[test]
    fn the_bad_one_is_named() {
        assert_eq!(Globs::new(&["a", "b{"]).unwrap_err().0, 1);
    }

    #[test]
    fn drop_wins_in_a_selection_and_keep_in_a_prune() {
        let all = Globs::new(&["a/**"]).unwrap();
        let some = Globs::new(&["a/b"]).unwrap();
        let select = Select { keep: all.clone(), drop: some.clone() };
        assert!(select.takes("a/c") && !select.takes("a/b") && !select.takes("z"));
        let prune = Prune { drop: all, keep: some };
        assert!(prune.drops("a/c") && !prune.drops("a/b") && !prune.drops("z"));
    }
}
