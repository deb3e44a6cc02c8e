//! Setting a node up, once: which step comes next is a pure function of how the node is and what its owner answered.
//!
//! ```text
//! claim ─▶ name ─▶ microcloud ─▶ kit (who holds one) ─▶ place ─▶ done
//! ```
//! Nothing waits for it: each step can be left for later, all of it can be dismissed, and what it sets is set elsewhere too.

use crate::settings::{read_or_put_aside, write_whole};
use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The file, below the agent's data folder.
const FILE: &str = "setup.json";

/// A step, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = SetupStep))]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Somebody becomes its owner.
    Claim,
    /// What the others call it.
    Name,
    /// It joins a microcloud, or founds one.
    Microcloud,
    /// The recovery kit is kept.
    Kit,
    /// Its time zone.
    Place,
    /// All is said.
    Done,
}

impl Step {
    /// Its name, as in its address.
    pub fn word(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Name => "name",
            Self::Microcloud => "microcloud",
            Self::Kit => "kit",
            Self::Place => "place",
            Self::Done => "done",
        }
    }

    /// The step of that name.
    pub fn of(word: &str) -> Option<Self> {
        Self::value_variants().iter().copied().find(|step| step.word() == word)
    }
}

/// What an owner answered to a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It is done.
    Done,
    /// It is left for later.
    Later,
}

/// How the node is, as far as the steps go by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Somebody owns it.
    pub owned: bool,
    /// It belongs to a microcloud.
    pub member: bool,
    /// It holds that one's recovery kit.
    pub founder: bool,
    /// Its time zone was said.
    pub zone: bool,
}

/// What is kept of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Marks {
    /// It was claimed on its page: who set it up before there were these steps is not asked.
    begun: bool,
    answers: BTreeMap<Step, Answer>,
}

impl Marks {
    /// What was answered to a step.
    pub fn answer(&self, step: Step) -> Option<Answer> {
        self.answers.get(&step).copied()
    }

    /// Whether it is over: finished or dismissed.
    pub fn over(&self) -> bool {
        self.answers.contains_key(&Step::Done)
    }
}

/// The steps that this node has: no recovery kit where another node founded the microcloud, or where there is none for now.
pub fn steps(facts: &Facts, marks: &Marks) -> Vec<Step> {
    let kit = facts.founder || (!facts.member && marks.answer(Step::Microcloud).is_none());
    Step::value_variants().iter().copied().filter(|step| *step != Step::Kit || kit).collect()
}

/// The step that comes next: the first that is neither so already nor answered.
pub fn next(facts: &Facts, marks: &Marks) -> Step {
    if facts.owned && marks.over() {
        return Step::Done;
    }
    let open = |step: &Step| match step {
        Step::Claim => !facts.owned,
        Step::Name | Step::Kit => marks.answer(*step).is_none(),
        Step::Microcloud => !facts.member && marks.answer(*step).is_none(),
        Step::Place => !facts.zone && marks.answer(*step).is_none(),
        Step::Done => true,
    };
    steps(facts, marks).into_iter().find(open).unwrap_or(Step::Done)
}

/// Whether its owner is reminded to go on.
pub fn pending(owned: bool, marks: &Marks) -> bool {
    owned && marks.begun && !marks.over()
}

/// What was left for later and is not so meanwhile.
pub fn left(facts: &Facts, marks: &Marks) -> Vec<Step> {
    let so = |step: Step| match step {
        Step::Microcloud => facts.member,
        Step::Place => facts.zone,
        _ => false,
    };
    steps(facts, marks).into_iter().filter(|step| marks.answer(*step) == Some(Answer::Later) && *step != Step::Done && !so(*step)).collect()
}

/// What is kept, and where.
pub struct Setup {
    file: PathBuf,
    marks: Mutex<Marks>,
}

impl Setup {
    /// Reads what is kept in the agent's data folder.
    pub fn load(data: &Path) -> Self {
        let file = data.join(FILE);
        let marks = Mutex::new(read_or_put_aside(&file, "the owner is not reminded of what was left for later"));
        Self { file, marks }
    }

    fn lock(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is kept.
    pub fn marks(&self) -> Marks {
        self.lock().clone()
    }

    /// It begins, since somebody claimed the node. Waits for the disk.
    ///
    /// # Errors
    /// That can't be written.
    pub fn begin(&self) -> Result<()> {
        self.alter(|marks| *marks = Marks { begun: true, ..Marks::default() })
    }

    /// An answer to a step; the last one counts. Waits for the disk.
    ///
    /// # Errors
    /// It can't be written.
    pub fn answer(&self, step: Step, answer: Answer) -> Result<()> {
        self.alter(|marks| {
            marks.answers.insert(step, answer);
        })
    }

    fn alter(&self, change: impl FnOnce(&mut Marks)) -> Result<()> {
        let mut marks = self.lock();
        let mut next = marks.clone();
        change(&mut next);
        if next != *marks {
            write_whole(&self.file, &serde_json::to_vec(&next)?, 0o600).context("keeping how far setting up is")?;
            *marks = next;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Answers = [(Step, Answer)];

    fn marks(answers: &[(Step, Answer)]) -> Marks {
        Marks { begun: true, answers: answers.iter().copied().collect() }
    }

    #[test]
    fn the_next_step_is_the_first_that_is_neither_so_nor_answered() {
        use Answer::{Done, Later};
        let fresh = Facts::default();
        let owned = Facts { owned: true, ..fresh };
        let (joined, founded) = (Facts { member: true, ..owned }, Facts { member: true, founder: true, ..owned });
        let named = [(Step::Name, Done)];
        let alone = [(Step::Name, Later), (Step::Microcloud, Later)];
        let kept = [(Step::Name, Done), (Step::Kit, Done)];
        let all = [(Step::Name, Done), (Step::Kit, Later), (Step::Place, Later)];
        let table: &[(Facts, &Answers, Step)] = &[
            (fresh, &[], Step::Claim),
            // Whatever was answered: nobody owns it any more.
            (fresh, &all, Step::Claim),
            (fresh, &[(Step::Done, Done)], Step::Claim),
            (owned, &[], Step::Name),
            (owned, &named, Step::Microcloud),
            (owned, &alone, Step::Place),
            (Facts { zone: true, ..owned }, &alone, Step::Done),
            // Who joins has no kit to keep.
            (joined, &named, Step::Place),
            (Facts { zone: true, ..joined }, &named, Step::Done),
            // Who founds has, also where founding was left for later before.
            (founded, &named, Step::Kit),
            (founded, &alone, Step::Kit),
            (founded, &kept, Step::Place),
            (Facts { zone: true, ..founded }, &kept, Step::Done),
            (founded, &all, Step::Done),
            // A file of settings said all of it already: the name and the kit are asked all the same.
            (Facts { zone: true, ..founded }, &[], Step::Name),
            // Dismissed at any step.
            (owned, &[(Step::Done, Later)], Step::Done),
        ];
        for (facts, answers, expected) in table {
            assert_eq!(next(facts, &marks(answers)), *expected, "{facts:?} {answers:?}");
        }
    }

    #[test]
    fn who_may_still_found_or_has_founded_has_a_kit_to_keep_and_nobody_else() {
        let kit = |facts, answers: &[_]| steps(&facts, &marks(answers)).contains(&Step::Kit);
        let owned = Facts { owned: true, ..Facts::default() };
        assert!(kit(owned, &[]) && kit(Facts { member: true, founder: true, ..owned }, &[]));
        assert!(!kit(Facts { member: true, ..owned }, &[]) && !kit(owned, &[(Step::Microcloud, Answer::Later)]));
        assert!(steps(&owned, &marks(&[])).is_sorted(), "they are counted in their order");
    }

    #[test]
    fn an_owner_is_reminded_until_it_is_over_and_who_claimed_long_ago_is_not() {
        assert!(pending(true, &marks(&[(Step::Name, Answer::Later)])));
        assert!(!pending(true, &Marks::default()) && !pending(false, &marks(&[])));
        assert!(!pending(true, &marks(&[(Step::Done, Answer::Later)])));
    }

    #[test]
    fn what_was_left_for_later_is_said_until_it_is_so() {
        let later = [Step::Name, Step::Microcloud, Step::Place, Step::Done].map(|step| (step, Answer::Later));
        let owned = Facts { owned: true, ..Facts::default() };
        assert_eq!(left(&owned, &marks(&later)), [Step::Name, Step::Microcloud, Step::Place]);
        assert_eq!(left(&Facts { member: true, zone: true, ..owned }, &marks(&later)), [Step::Name]);
    }

    #[test]
    fn answers_stay_over_a_restart_and_a_new_owner_begins_anew() {
        let data = tempfile::tempdir().unwrap();
        let setup = Setup::load(data.path());
        setup.begin().unwrap();
        setup.answer(Step::Kit, Answer::Later).unwrap();
        setup.answer(Step::Kit, Answer::Done).unwrap();
        let again = Setup::load(data.path());
        assert_eq!((again.marks(), again.marks().answer(Step::Kit)), (setup.marks(), Some(Answer::Done)));
        again.begin().unwrap();
        assert_eq!(Setup::load(data.path()).marks(), marks(&[]));
        for step in Step::value_variants() {
            assert_eq!(Step::of(step.word()), Some(*step));
            assert_eq!(serde_json::to_value(step).unwrap(), step.word());
        }
        std::fs::write(data.path().join(FILE), "{").unwrap();
        assert_eq!(Setup::load(data.path()).marks(), Marks::default(), "what can't be read is no reason not to start");
    }
}
