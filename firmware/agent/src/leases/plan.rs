//! What a holder does next about a lease: a pure function of what is recorded of it and what is seen.
//!
//! ```text
//! asked ─ owner or policy ─▶ agreed ─ fetched, in the catalog, installed ─▶ runs ─▶ ending ─ stopped, taken away ─▶ over
//! ```
//! Architecture invariant: an exclusive app is started only while its time is not over, and is stopped when it is.

/// How a lease stands on the holder's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = LeaseHeld))]
#[serde(rename_all = "kebab-case")]
pub enum Stands {
    /// An owner is asked.
    Asked,
    /// It is agreed to, and the app is on its way.
    Agreed,
    /// The app is installed.
    Runs,
    /// The app is being taken away.
    Ending,
    /// It is over.
    Over,
}

/// What is seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Whether its time is not over.
    pub may_run: bool,
    /// Whether the catalog has this app in this version.
    pub in_catalog: bool,
    /// Whether its blob was asked for, for this lease.
    pub fetched: bool,
    /// Whether that is being fetched, or taken into the catalog.
    pub coming: bool,
    /// Why it does not come.
    pub not_coming: Option<String>,
    /// Whether the installation was begun for this lease.
    pub begun: bool,
    /// Whether an app of that name is installed.
    pub installed: bool,
    /// Whether a job is at work on it.
    pub busy: bool,
    /// Why its installation came to nothing.
    pub failed: Option<String>,
    /// Whether that was for want of time.
    pub too_late: bool,
    /// Whether it is meant to run; none where Docker can't be asked, or was not.
    pub up: Option<bool>,
    /// Whether it stands still for want of time alone, and not by its owner's wish.
    pub paused: bool,
    /// Whether the last that was done with it was to stop it.
    pub by_hand: bool,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Nothing for now.
    Wait,
    /// Fetch its blob for the catalog.
    Fetch,
    /// Install it.
    Install,
    /// Its installation came too late: it may be begun anew.
    Again,
    /// It runs: say so.
    Runs,
    /// Start it again: its time goes on.
    Start,
    /// It can't be, or is no more: end it.
    End(String),
    /// Take it away; what it keeps stays.
    Remove,
    /// Take away what an installation left that could not be undone.
    Sweep,
    /// Nothing is left of it: say so.
    Over,
}

/// Whether an app must stop at once, whatever else is done with it.
pub fn must_stop(stands: Stands, exclusive: bool, begun: bool, may_run: bool) -> bool {
    exclusive && begun && !may_run && matches!(stands, Stands::Agreed | Stands::Runs | Stands::Ending)
}

/// Why an exclusive app that is installed stands still, if it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Still {
    /// For want of time, or since it ended by itself or with the machine: it may start again.
    pub paused: bool,
    /// By its owner's wish.
    pub stopped: bool,
}

impl Still {
    /// What is known of that now. `by_hand`: the last that was done with the app was to stop it.
    #[must_use]
    pub fn seen(self, up: Option<bool>, may_run: bool, by_hand: bool) -> Self {
        match up {
            Some(true) if may_run => Self::default(),
            Some(false) if self == Self::default() => Self { paused: !by_hand, stopped: by_hand },
            _ => self,
        }
    }
}

/// What is to be done about a lease.
pub fn next(stands: Stands, exclusive: bool, seen: &Seen) -> Act {
    match stands {
        Stands::Asked | Stands::Over => Act::Wait,
        Stands::Agreed if seen.begun => match &seen.failed {
            _ if seen.busy => Act::Wait,
            _ if seen.installed => Act::Runs,
            Some(_) if exclusive && (seen.too_late || !seen.may_run) => Act::Again,
            Some(why) => Act::End(why.clone()),
            None if exclusive && !seen.may_run => Act::Wait,
            // It was written down that it begins, and then the agent ended.
            None => Act::Install,
        },
        Stands::Agreed if seen.installed || seen.busy => Act::End("an app of that name is installed here already".to_owned()),
        Stands::Agreed if !exclusive && !seen.may_run => Act::End("it did not come within its whole term".to_owned()),
        Stands::Agreed if !seen.in_catalog => match &seen.not_coming {
            // What is known of its blob may be of another time.
            _ if !seen.fetched => Act::Fetch,
            Some(why) => Act::End(why.clone()),
            None if seen.coming => Act::Wait,
            None => Act::Fetch,
        },
        Stands::Agreed if exclusive && !seen.may_run => Act::Wait,
        Stands::Agreed => Act::Install,
        Stands::Runs if seen.busy => Act::Wait,
        Stands::Runs if !seen.installed => Act::End("its owner removed the app".to_owned()),
        Stands::Runs if exclusive && seen.up == Some(false) && seen.may_run && seen.paused => Act::Start,
        Stands::Runs if !exclusive && !seen.may_run => Act::End("nothing was heard of its lender for the whole term".to_owned()),
        Stands::Runs => Act::Wait,
        Stands::Ending if seen.busy => Act::Wait,
        Stands::Ending if seen.begun && seen.installed => Act::Remove,
        // Nobody is told that it has stopped before Docker says so.
        Stands::Ending if seen.begun && seen.up == Some(true) => Act::Sweep,
        Stands::Ending if seen.begun && seen.up.is_none() => Act::Wait,
        Stands::Ending => Act::Over,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_comes_runs_and_goes() {
        let at = |stands, seen: &Seen| next(stands, false, seen);
        let mut seen = Seen { may_run: true, ..Seen::default() };
        assert_eq!(at(Stands::Asked, &seen), Act::Wait, "nothing is done before somebody agreed");
        let old = Seen { not_coming: Some("once".to_owned()), ..seen.clone() };
        assert_eq!(at(Stands::Agreed, &old), Act::Fetch, "what was wrong with it in another time is no reason");
        assert!(matches!(at(Stands::Agreed, &Seen { may_run: false, ..seen.clone() }), Act::End(_)));
        (seen.fetched, seen.coming) = (true, true);
        assert_eq!(at(Stands::Agreed, &seen), Act::Wait);
        assert_eq!(at(Stands::Agreed, &Seen { not_coming: Some("no".to_owned()), ..seen.clone() }), Act::End("no".to_owned()));
        seen.in_catalog = true;
        assert_eq!(at(Stands::Agreed, &seen), Act::Install);
        assert!(matches!(at(Stands::Agreed, &Seen { installed: true, ..seen.clone() }), Act::End(_)), "somebody else's app stays as it is");
        seen.begun = true;
        assert_eq!(at(Stands::Agreed, &seen), Act::Install, "the agent ended before the job was recorded");
        assert_eq!(at(Stands::Agreed, &Seen { busy: true, ..seen.clone() }), Act::Wait);
        assert_eq!(at(Stands::Agreed, &Seen { failed: Some("full".to_owned()), ..seen.clone() }), Act::End("full".to_owned()));
        seen.installed = true;
        assert_eq!(at(Stands::Agreed, &seen), Act::Runs);
        assert_eq!(at(Stands::Runs, &Seen { up: Some(false), ..seen.clone() }), Act::Wait, "its owner stopped it");
        assert!(matches!(at(Stands::Runs, &Seen { may_run: false, ..seen.clone() }), Act::End(_)));
        assert!(matches!(at(Stands::Runs, &Seen { installed: false, ..seen.clone() }), Act::End(_)));
        assert_eq!(at(Stands::Ending, &seen), Act::Remove);
        assert_eq!(at(Stands::Ending, &Seen { busy: true, ..seen.clone() }), Act::Wait);
        assert_eq!(at(Stands::Ending, &Seen { begun: false, ..seen.clone() }), Act::Over, "what was not installed for it is not removed");
        let gone = Seen { installed: false, ..seen };
        assert_eq!(at(Stands::Ending, &Seen { up: None, ..gone.clone() }), Act::Wait, "nobody knows whether it still runs");
        assert_eq!(at(Stands::Ending, &Seen { up: Some(true), ..gone.clone() }), Act::Sweep);
        assert_eq!(at(Stands::Ending, &Seen { up: Some(false), ..gone }), Act::Over);
    }

    #[test]
    fn an_exclusive_app_runs_within_its_time_alone() {
        let at = |stands, seen: &Seen| next(stands, true, seen);
        let late = Seen { in_catalog: true, fetched: true, begun: true, installed: true, up: Some(true), ..Seen::default() };
        for stands in [Stands::Agreed, Stands::Runs, Stands::Ending] {
            assert!(must_stop(stands, true, true, false) && !must_stop(stands, true, true, true));
            assert!(!must_stop(stands, false, true, false) && !must_stop(stands, true, false, false), "it is not its app");
        }
        assert!(!must_stop(Stands::Over, true, true, false));
        assert_eq!(at(Stands::Runs, &Seen { up: Some(false), paused: true, ..late.clone() }), Act::Wait);
        let again = Seen { up: Some(false), may_run: true, paused: true, ..late.clone() };
        assert_eq!(at(Stands::Runs, &again), Act::Start);
        assert_eq!(at(Stands::Runs, &Seen { paused: false, ..again }), Act::Wait, "its owner stopped it, and nobody else starts it");
        let (paused, stopped) = (Still { paused: true, stopped: false }, Still { paused: false, stopped: true });
        assert_eq!(Still::default().seen(Some(false), true, true), stopped);
        assert_eq!(Still::default().seen(Some(false), true, false), paused, "it ended by itself");
        assert_eq!(
            (stopped.seen(Some(false), true, false), paused.seen(None, true, true)),
            (stopped, paused),
            "a wish holds until it runs"
        );
        assert_eq!((stopped.seen(Some(true), true, true), paused.seen(Some(true), false, true)), (Still::default(), paused));
        let too_late = Seen { installed: false, failed: Some("too late".to_owned()), too_late: true, ..late.clone() };
        assert_eq!(at(Stands::Agreed, &too_late), Act::Again);
        assert_eq!(at(Stands::Agreed, &Seen { failed: None, ..too_late }), Act::Wait);
        assert_eq!(at(Stands::Agreed, &Seen { begun: false, installed: false, ..late.clone() }), Act::Wait, "not before it is granted");
        assert_eq!(at(Stands::Ending, &late), Act::Remove);
    }
}
