//! What init does when it can't go on: the rule of "Confirming" in architecture.md.

use contract::boot::{EntryName, Tries};

/// What follows a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start again now: the boot loader counts the slot down, and falls back to the other in the end.
    Reboot,
    /// The slot was confirmed, and there is another: rename its entry so that the boot loader counts again, then
    /// start again.
    PutOnTrial {
        /// The entry's name.
        from: EntryName,
        /// Its name from now on.
        to: EntryName,
    },
    /// No other slot can help: stay for people to read what is wrong, then try again.
    Stay,
}

/// Decides from the boot loader's entries: the failed slot's own (`None` if it can't be read), and the others.
///
/// It ends: a slot on trial loses a try at each start; a confirmed slot is put on trial only while another is
/// bootable, and with one try, so that the next failure hands over to that other; with nothing left, it stays.
pub fn decide(own: Option<EntryName>, others: &[EntryName]) -> Action {
    let rescue = others.iter().any(|entry| entry.is_bootable());
    match own {
        Some(EntryName { tries: Some(tries), .. }) if tries.left > 0 || rescue => Action::Reboot,
        Some(from @ EntryName { tries: None, build }) if rescue => {
            Action::PutOnTrial { from, to: EntryName { build, tries: Some(Tries { left: 1, done: 0 }) } }
        }
        _ => Action::Stay,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::boot::BuildId;
    use proptest::prelude::*;

    fn entry(build: u8, tries: Option<(u32, u32)>) -> EntryName {
        EntryName { build: BuildId([build; 16]), tries: tries.map(|(left, done)| Tries { left, done }) }
    }

    #[test]
    fn a_confirmed_slot_goes_on_trial_only_beside_a_bootable_one() {
        let own = entry(1, None);
        assert_eq!(decide(Some(own), &[]), Action::Stay);
        assert_eq!(decide(Some(own), &[entry(2, Some((0, 3)))]), Action::Stay);
        let to = entry(1, Some((1, 0)));
        assert_eq!(decide(Some(own), &[entry(2, None)]), Action::PutOnTrial { from: own, to });
        assert_eq!(decide(None, &[entry(2, None)]), Action::Stay);
    }

    /// systemd-boot's order among two entries: used-up ones last, then the newer (here: the higher build).
    fn boots(entries: &mut [EntryName]) -> EntryName {
        entries.sort_by_key(|entry| (!entry.is_bootable(), std::cmp::Reverse(entry.build)));
        let first = &mut entries[0];
        if let Some(tries) = &mut first.tries
            && tries.left > 0
        {
            *tries = Tries { left: tries.left - 1, done: tries.done + 1 };
        }
        *first
    }

    proptest! {
        /// Whatever the entries were: if every init fails, it ends in Stay; if only one slot fails, the other runs.
        #[test]
        fn it_always_ends(
            tries_1 in proptest::option::of((0u32..4, 0u32..4)),
            tries_2 in proptest::option::of((0u32..4, 0u32..4)),
            second: bool,
            broken in proptest::sample::subsequence(vec![1u8, 2], 1..=2),
        ) {
            let mut entries = vec![entry(1, tries_1)];
            if second {
                entries.push(entry(2, tries_2));
            }
            let works = |entry: EntryName| !broken.contains(&entry.build.0[0]);
            let could = entries.iter().any(|entry| works(*entry) && entry.is_bootable());
            for _ in 0..20 {
                let own = boots(&mut entries);
                if works(own) {
                    return Ok(());
                }
                let others: Vec<_> = entries.iter().copied().filter(|other| other.build != own.build).collect();
                match decide(Some(own), &others) {
                    Action::Reboot => {}
                    Action::PutOnTrial { from, to } => {
                        let place = entries.iter_mut().find(|entry| **entry == from).unwrap();
                        *place = to;
                    }
                    Action::Stay => {
                        prop_assert!(!could, "stayed although a slot works");
                        return Ok(());
                    }
                }
            }
            prop_assert!(false, "loops for ever");
        }
    }
}
