//! What a boot loader must find of a build on an ESP, wherever the power goes.
//!
//! systemd-boot counts by renaming an entry through the firmware's FAT driver, which writes the folder in one piece of several
//! sectors: of these a cut may leave the ones in which the old name is gone and not those with the new one. Nobody but the
//! firmware can mend that, so an entry on trial may be lost then, and then alone: the confirmed slot starts. What we write
//! ourselves loses nothing at any moment, and of what is confirmed nothing is lost by anybody.

use std::collections::BTreeMap;
use std::io::Read as _;

use anyhow::{Context, Result, anyhow, ensure};
use contract::boot::{BuildId, ENTRIES_DIR, EntryName};

use crate::image::fat::Fat;

/// The entries that a state of the ESP has.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Ours, with their texts.
    entries: Vec<(EntryName, String)>,
    /// All names, to be shown.
    names: Vec<String>,
}

impl Found {
    /// Reads them.
    pub fn read(fat: &Fat) -> Result<Self> {
        let mut found = Self::default();
        for file in fat.root_dir().open_dir(ENTRIES_DIR)?.iter() {
            let file = file?;
            let name = file.file_name();
            if let Some(entry) = EntryName::parse(&name) {
                let mut text = String::new();
                file.to_file().read_to_string(&mut text).with_context(|| format!("`{name}` can't be read"))?;
                found.entries.push((entry, text));
            }
            found.names.push(name);
        }
        Ok(found)
    }
}

/// Follows a build's entry from state to state.
pub struct Kept {
    build: BuildId,
    /// Texts of all builds as they were before the first write, and whether the boot loader had tries left for each.
    first: Option<BTreeMap<BuildId, (String, bool)>>,
    /// Its name in the last complete state that had it.
    name: Option<EntryName>,
    /// It was lost before it was seen that the boot loader counted.
    unexplained: Option<anyhow::Error>,
    /// The last write was the boot loader's counting.
    counting: bool,
    lost: usize,
}

impl Kept {
    /// Of that build.
    pub const fn of(build: BuildId) -> Self {
        Self { build, first: None, name: None, unexplained: None, counting: false, lost: 0 }
    }

    /// Looks at a state; `complete` where it has all writes so far.
    ///
    /// # Errors
    /// When the build is lost in it, and it may not be.
    pub fn look(&mut self, found: &Found, complete: bool) -> Result<()> {
        let build = self.build;
        let first = self.first.get_or_insert_with(|| {
            let mut first = BTreeMap::new();
            for (name, text) in &found.entries {
                let (_, bootable) = first.entry(name.build).or_insert_with(|| (text.clone(), false));
                *bootable |= name.is_bootable();
            }
            first
        });
        ensure!(first.contains_key(&build), "there is no entry of {build} at the start");
        // One that is alone is started also when its tries are used up.
        let alone = found.entries.iter().all(|(name, _)| name.build == build);
        let good = |name: &EntryName, text: &String| {
            first.get(&name.build).is_some_and(|(whole, bootable)| whole == text && (name.is_bootable() || !bootable || alone))
        };
        let own = found.entries.iter().find(|(name, text)| name.build == build && good(name, text));
        if complete {
            self.counting = false;
        }
        if let Some((name, _)) = own {
            if complete && self.name != Some(*name) {
                self.counting = self.name.replace(*name).is_some_and(|before| counted(before, *name));
                // What was lost before is explained by this, or by nothing.
                return self.unexplained.take().filter(|_| !self.counting).map_or(Ok(()), Err);
            }
            return Ok(());
        }
        let error = anyhow!("no whole entry of {build} is left, only {}: {:?}", found.names.join(", "), found.entries);
        let other = |(name, text): &(EntryName, String)| name.build != build && name.tries.is_none() && good(name, text);
        if !found.entries.iter().any(other) {
            return Err(error);
        }
        self.lost += 1;
        if !self.counting {
            self.unexplained.get_or_insert(error);
        }
        Ok(())
    }

    /// In how many states it was lost while the boot loader counted.
    ///
    /// # Errors
    /// When it was lost at another time.
    pub fn end(self) -> Result<usize> {
        self.unexplained.map_or(Ok(self.lost), Err)
    }
}

/// Nobody but the boot loader takes one try away and says that it was done.
fn counted(before: EntryName, after: EntryName) -> bool {
    matches!((before.tries, after.tries), (Some(old), Some(new)) if old.left.checked_sub(1) == Some(new.left) && old.done + 1 == new.done)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "cloudy-aa000000000000000000000000000000.conf";
    const ON_TRIAL: &str = "cloudy-bb000000000000000000000000000000+3.conf";
    const COUNTED: &str = "cloudy-bb000000000000000000000000000000+2-1.conf";
    const CONFIRMED: &str = "cloudy-bb000000000000000000000000000000.conf";

    fn found(names: &[&str]) -> Found {
        let entries = names.iter().map(|name| (EntryName::parse(name).unwrap(), format!("of {}", &name[..9]))).collect();
        Found { entries, names: names.iter().map(|name| (*name).to_owned()).collect() }
    }

    /// Names that are there, and whether the state is complete.
    type State<'a> = (&'a [&'a str], bool);

    fn through(states: &[State<'_>]) -> Result<usize> {
        let mut kept = Kept::of("bb000000000000000000000000000000".parse().unwrap());
        states.iter().try_for_each(|(names, complete)| kept.look(&found(names), *complete))?;
        kept.end()
    }

    #[test]
    fn a_trial_may_be_lost_while_the_boot_loader_counts_if_the_confirmed_slot_is_there() {
        let start: State<'_> = (&[A, ON_TRIAL], true);
        // In one write that was torn, and in two.
        assert_eq!(through(&[start, (&[A, COUNTED], true), (&[A], false)]).unwrap(), 1);
        assert_eq!(through(&[start, (&[A], true), (&[A, COUNTED], true), (&[A, COUNTED], false)]).unwrap(), 1);
        assert_eq!(through(&[start, (&[A, COUNTED], true), (&[A, ON_TRIAL], false)]).unwrap(), 0);
        assert!(through(&[start, (&[A, COUNTED], true), (&[], false)]).is_err());
        assert!(through(&[(&[ON_TRIAL], true), (&[COUNTED], true), (&[], false)]).is_err());
    }

    #[test]
    fn it_may_not_be_lost_by_what_we_write() {
        let (start, counted): (State<'_>, State<'_>) = ((&[A, ON_TRIAL], true), (&[A, COUNTED], true));
        assert!(through(&[start, counted, (&[A, CONFIRMED], true), (&[A], false)]).is_err());
        assert!(through(&[start, counted, (&[A], true), (&[A, CONFIRMED], true)]).is_err());
        assert!(through(&[start, counted, counted, (&[A], false)]).is_err());
        assert!(through(&[(&[A, COUNTED], true), (&[A], true), (&[A, CONFIRMED], true)]).is_err());
        assert!(through(&[(&[A, COUNTED], true), (&[A], true)]).is_err());
        assert!(through(&[(&[A, CONFIRMED], true), (&[A], false)]).is_err());
        assert!(through(&[(&[A], true)]).is_err());
    }

    #[test]
    fn a_text_cut_short_and_tries_used_up_are_no_entry() {
        let mut kept = Kept::of("bb000000000000000000000000000000".parse().unwrap());
        kept.look(&found(&[CONFIRMED]), true).unwrap();
        let mut torn = found(&[CONFIRMED]);
        torn.entries[0].1.pop();
        assert!(kept.look(&torn, false).unwrap_err().to_string().contains("only cloudy-bb"));
        let used = COUNTED.replace("+2-1", "+0-3");
        assert!(through(&[(&[A, CONFIRMED], true), (&[A, &used], true)]).is_err());
        assert_eq!(through(&[(&[CONFIRMED], true), (&[&used], true)]).unwrap(), 0);
    }
}
