//! What U-Boot's state says of a slot, in the words of the boot loader's entries.

use contract::boot::{BuildId, EntryName, Slot};
use contract::state::Seen;

/// The entry of a slot that holds `build`. `None` if it holds nothing that can be read, or was never confirmed nor put on
/// trial: an update that was cut.
pub fn entry(seen: &Seen, slot: Slot, build: Option<BuildId>) -> Option<EntryName> {
    let build = build?;
    let state = seen.state();
    let tries = state.tries(slot);
    let known = tries.is_some() || state.confirmed == slot || seen.was_confirmed(slot);
    known.then_some(EntryName { build, tries })
}

/// Why a slot was not started that should have been, in a sentence with its mend.
pub fn skipped(slot: Slot, why: &str) -> String {
    format!("U-Boot could not start slot {slot}: its {why} is missing or damaged; the next update writes that slot anew")
}

/// Why a slot that was on trial is not the one that runs, in a sentence.
pub fn used_up(entry: EntryName) -> String {
    let done = entry.tries.map_or(0, |tries| tries.done);
    format!("it was started {done} times and did not prove good; its init left no other word")
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::state::State;

    #[test]
    fn a_slot_that_nobody_vouches_for_is_no_way_back() {
        let build = Some(BuildId([2; 16]));
        let seen = |state: State, mark_b| Seen { records: [Some(state), None], marks: [Some(1), mark_b] };
        assert_eq!(entry(&seen(State::SHIPPED, None), Slot::B, None), None);
        assert_eq!(entry(&seen(State::SHIPPED, None), Slot::B, build), None);
        let confirmed = entry(&seen(State::SHIPPED, Some(1)), Slot::B, build).unwrap();
        assert_eq!(confirmed.tries, None);
        let on_trial = State::SHIPPED.with_trial(Slot::B, 3);
        assert!(entry(&seen(on_trial, None), Slot::B, build).unwrap().is_bootable());
        let used_up = State::SHIPPED.with_trial(Slot::B, 0);
        assert!(!entry(&seen(used_up, None), Slot::B, build).unwrap().is_bootable());
        assert_eq!(entry(&seen(State::SHIPPED, None), Slot::A, build).unwrap().tries, None);
    }
}
