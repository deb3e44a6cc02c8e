//! What a job does next: a pure function of what is recorded of it and what is seen of its app.
//!
//! ```text
//! queued ─ looked at ─▶ forward ─ all steps done ─▶ done
//!                          │ a step failed
//!                          ▼
//!                        back ─ all steps done ─▶ undone
//!                          │ a step failed three times, or there is no way back
//!                          ▼
//!                        failed
//! ```
//! Every step can be done again without harm, so that a job whose agent was killed goes on from what is recorded.
//!
//! Architecture invariant: what an app kept before a job is there after it, unless the job was to remove it with its data.

use crate::broker::{ProjectState, Run};
use serde::{Deserialize, Serialize};

/// How often a step back is tried, and how often one whose outcome nobody told is done again.
const TRIES: u8 = 3;

/// What a job is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = JobKind))]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Kind {
    /// Make an app that is not here run.
    Install,
    /// Make it run by other settings, ports, or image.
    Change,
    /// Start it.
    Start,
    /// Stop it.
    Stop,
    /// Stop and start it.
    Restart,
    /// Make a backup of it.
    #[serde(rename_all = "kebab-case")]
    Backup {
        /// For members of the microcloud to keep copies of.
        shared: bool,
    },
    /// Make it run with what a backup holds.
    Restore,
    /// Make it run in place of a container that was made by hand, with what that one keeps.
    Adopt,
    /// Have its data on another disk.
    Move,
    /// Take it away.
    #[serde(rename_all = "kebab-case")]
    Remove {
        /// With what it keeps.
        with_data: bool,
    },
}

/// What was seen when the job began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Before {
    /// Whether it was meant to run.
    pub up: bool,
    /// Whether it had kept something.
    pub data: bool,
}

/// One thing to do. All can be done again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = JobStep))]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Get its image.
    Pull,
    /// Make it run as it shall be.
    Up,
    /// Make it run as it was.
    UpAsBefore,
    /// Stop it.
    Stop,
    /// Stop and start it.
    Restart,
    /// Take it away; what it keeps stays.
    Down,
    /// Take it away with what it keeps.
    DownWithData,
    /// Make a backup of what it keeps.
    Save,
    /// Look at all of a backup.
    Check,
    /// Make its containers and volumes, and start nothing.
    Create,
    /// Fill its volumes from the backup.
    Fill,
    /// Stop the container that it takes the place of.
    Hold,
    /// Copy what that one keeps.
    MoveIn,
    /// See that it goes on running.
    Steady,
    /// Have that one be as it was.
    Release,
    /// Copy what it keeps to the other disk, and read the copy.
    Copy,
    /// Make its containers as they were, and start nothing.
    CreateAsBefore,
    /// Take away what lies where its data were.
    ClearOld,
    /// Take away what was copied.
    ClearNew,
}

/// How far a job is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Phase {
    /// Nothing was done.
    Queued,
    /// So many steps are done.
    Forward {
        /// Steps.
        done: usize,
        /// How often the next one came to nothing that counts: nobody told its outcome, or it puts back what was.
        lost: u8,
    },
    /// It failed, and so many steps back are done.
    Back {
        /// Steps.
        done: usize,
        /// How often the next one failed.
        tried: u8,
        /// Why it failed.
        reason: String,
    },
    /// It came about.
    Done,
    /// It did not come about, and things are as they were.
    Undone {
        /// Why.
        reason: String,
    },
    /// It did not come about.
    Failed {
        /// Why.
        reason: String,
    },
}

/// What decides of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Course {
    /// What it is for.
    #[serde(flatten)]
    pub kind: Kind,
    /// What there was.
    pub before: Option<Before>,
    /// How far it is.
    #[serde(flatten)]
    pub phase: Phase,
}

/// What is seen before a job goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// How its app is.
    pub app: ProjectState,
    /// Whether the image that it needs is here.
    pub image: bool,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Next {
    /// This course holds: nothing has to be done for it.
    Course(Course),
    /// This step.
    Do(Step),
    /// Nothing any more.
    Nothing,
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// It is not, and this is why.
    Failed(String),
    /// Nobody told.
    Lost,
}

impl Phase {
    /// Whether the job is over.
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Done | Self::Undone { .. } | Self::Failed { .. })
    }
}

impl Course {
    /// A job that has not begun.
    pub fn new(kind: Kind) -> Self {
        Self { kind, before: None, phase: Phase::Queued }
    }

    fn with(&self, phase: Phase) -> Self {
        Self { phase, ..self.clone() }
    }

    /// The steps of a job that goes well.
    pub fn forward(&self) -> &'static [Step] {
        match self.kind {
            Kind::Install => &[Step::Pull, Step::Up],
            // What does not run takes its new settings when it is started.
            Kind::Change if self.before.is_some_and(|before| before.up) => &[Step::Pull, Step::Up],
            Kind::Change => &[],
            // The broker gets an image that somebody cleaned up; one that is there needs no registry.
            Kind::Start => &[Step::Up],
            Kind::Stop => &[Step::Stop],
            Kind::Restart => &[Step::Restart],
            // What is being written would be torn: it stands still meanwhile.
            Kind::Backup { .. } if self.before.is_some_and(|before| before.up) => &[Step::Stop, Step::Save, Step::UpAsBefore],
            Kind::Backup { .. } => &[Step::Save],
            Kind::Restore => &[Step::Check, Step::Pull, Step::Create, Step::Fill, Step::Up],
            // Both have the same ports, and what is written meanwhile would be torn.
            Kind::Adopt => &[Step::Hold, Step::MoveIn, Step::Up, Step::Steady],
            // The old place is cleared last: until then it is as it was.
            Kind::Move if self.before.is_some_and(|before| before.up) => &[Step::Stop, Step::Copy, Step::Up, Step::ClearOld],
            Kind::Move => &[Step::Copy, Step::Create, Step::ClearOld],
            Kind::Remove { with_data: false } => &[Step::Down],
            Kind::Remove { with_data: true } => &[Step::DownWithData],
        }
    }

    /// The steps back; none where there is no way back.
    fn back(&self) -> Option<&'static [Step]> {
        let before = self.before?;
        match self.kind {
            // What it kept in an earlier life is no part of this one.
            Kind::Install if before.data => Some(&[Step::Down]),
            Kind::Install => Some(&[Step::DownWithData]),
            // It begins only where nothing was kept.
            Kind::Restore => Some(&[Step::DownWithData]),
            // The old one is started when nothing of the new one is left.
            Kind::Adopt => Some(&[Step::DownWithData, Step::Release]),
            Kind::Move if before.up => Some(&[Step::UpAsBefore, Step::ClearNew]),
            Kind::Move => Some(&[Step::CreateAsBefore, Step::ClearNew]),
            Kind::Change | Kind::Backup { .. } if before.up => Some(&[Step::UpAsBefore]),
            Kind::Change | Kind::Backup { .. } => Some(&[]),
            Kind::Start if before.up => Some(&[]),
            Kind::Start => Some(&[Step::Stop]),
            Kind::Stop | Kind::Restart | Kind::Remove { .. } => None,
        }
    }

    /// Whether getting an image may come next.
    pub fn may_pull(&self) -> bool {
        match &self.phase {
            Phase::Queued => matches!(self.kind, Kind::Install | Kind::Change),
            Phase::Forward { done, .. } => self.forward().get(*done) == Some(&Step::Pull),
            _ => false,
        }
    }

    /// The step that is to be done, where things are as they are seen, and the course with which it begins: that is to be recorded first.
    pub fn follow(&self, seen: Seen) -> (Self, Option<Step>) {
        let mut course = self.clone();
        loop {
            match course.next(seen) {
                Next::Course(next) => course = next,
                Next::Do(step) => return (course, Some(step)),
                Next::Nothing => return (course, None),
            }
        }
    }

    fn next(&self, seen: Seen) -> Next {
        let app = seen.app;
        match &self.phase {
            Phase::Queued => {
                let before = Before { up: app.run.is_up(), data: app.data };
                if matches!(self.kind, Kind::Restore | Kind::Adopt) && (app.data || app.run != Run::Absent) {
                    let reason = "the app keeps something here already, which is not replaced: install it and remove it with its data \
                                  first"
                        .to_owned();
                    return Next::Course(self.with(Phase::Undone { reason }));
                }
                Next::Course(Self { before: Some(before), ..self.with(Phase::Forward { done: 0, lost: 0 }) })
            }
            Phase::Forward { done, .. } => match self.forward().get(*done) {
                None => Next::Course(self.with(Phase::Done)),
                Some(step) if is_so(*step, seen) => Next::Course(self.with(Phase::Forward { done: done + 1, lost: 0 })),
                Some(step) => Next::Do(*step),
            },
            Phase::Back { done, reason, .. } => match self.back().unwrap_or_default().get(*done) {
                None => Next::Course(self.with(Phase::Undone { reason: reason.clone() })),
                Some(step) if is_so(*step, seen) => {
                    Next::Course(self.with(Phase::Back { done: done + 1, tried: 0, reason: reason.clone() }))
                }
                Some(step) => Next::Do(*step),
            },
            Phase::Done | Phase::Undone { .. } | Phase::Failed { .. } => Next::Nothing,
        }
    }

    /// Where a step's outcome leads.
    pub fn after(&self, outcome: Outcome) -> Self {
        match (&self.phase, outcome) {
            // The last step's end is the job's.
            (Phase::Forward { done, .. }, Outcome::Done) if done + 1 >= self.forward().len() => self.with(Phase::Done),
            (Phase::Forward { done, .. }, Outcome::Done) => self.with(Phase::Forward { done: done + 1, lost: 0 }),
            (Phase::Forward { done, lost }, Outcome::Lost) if *lost < TRIES => self.with(Phase::Forward { done: *done, lost: lost + 1 }),
            (Phase::Forward { done, .. }, Outcome::Lost) if self.forward().get(*done) == Some(&Step::ClearOld) => self.with(Phase::Done),
            (Phase::Forward { .. }, Outcome::Lost) => self.failed("the broker ended each time before it was done".to_owned()),
            // What a job has brought about stays, though its app needs another try to run as before.
            (Phase::Forward { done, lost }, Outcome::Failed(reason)) if self.forward().get(*done) == Some(&Step::UpAsBefore) => {
                let lost = lost + 1;
                self.with(if lost < TRIES { Phase::Forward { done: *done, lost } } else { Phase::Failed { reason } })
            }
            // Its data are where they shall be, and may have changed there: there is no way back. What is left behind makes room later.
            (Phase::Forward { done, .. }, Outcome::Failed(_)) if self.forward().get(*done) == Some(&Step::ClearOld) => {
                self.with(Phase::Done)
            }
            (Phase::Forward { .. }, Outcome::Failed(reason)) => self.failed(reason),
            (Phase::Back { done, reason, .. }, Outcome::Done) => {
                self.with(Phase::Back { done: done + 1, tried: 0, reason: reason.clone() })
            }
            (Phase::Back { done, tried, reason }, Outcome::Failed(_) | Outcome::Lost) if tried + 1 < TRIES => {
                self.with(Phase::Back { done: *done, tried: tried + 1, reason: reason.clone() })
            }
            (Phase::Back { reason, .. }, Outcome::Failed(again)) => {
                self.with(Phase::Failed { reason: format!("{reason}; and it could not be put back as it was: {again}") })
            }
            (Phase::Back { reason, .. }, Outcome::Lost) => {
                self.with(Phase::Failed { reason: format!("{reason}; and it could not be put back as it was") })
            }
            _ => self.clone(),
        }
    }

    fn failed(&self, reason: String) -> Self {
        self.with(if self.back().is_some() { Phase::Back { done: 0, tried: 0, reason } } else { Phase::Failed { reason } })
    }
}

/// Whether a step's end is there already, so that it need not be done.
fn is_so(step: Step, seen: Seen) -> bool {
    match step {
        Step::Stop => !seen.app.run.is_up(),
        Step::Pull => seen.image,
        // There may be an image, a network, or the broker's file with a password in it, which nobody sees from here.
        Step::Down | Step::DownWithData => false,
        Step::Up | Step::UpAsBefore | Step::Restart => false,
        Step::Save | Step::Check | Step::Create | Step::Fill | Step::Hold | Step::MoveIn | Step::Steady | Step::Release => false,
        Step::Copy | Step::CreateAsBefore | Step::ClearOld | Step::ClearNew => false,
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
