//! Jobs in a small world where steps fail, are half done, and the agent is killed between any two writes.

use super::*;
use crate::broker::Run;
use proptest::prelude::*;

/// What Docker has of one app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct World {
    state: ProjectState,
    /// Whether it runs by what the job wanted, rather than by what there was.
    new: bool,
    /// Whether what it kept before is still there.
    old_data: bool,
    /// Whether what the backup holds is in its volumes.
    filled: bool,
    /// Whether its image is here.
    image: bool,
    /// Whether the container that it takes the place of runs.
    old_up: bool,
    /// Whether all that it keeps lies at another place too, and was read there.
    copied: bool,
}

/// What happens to a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Well,
    /// It fails, and its effect came about or did not.
    Fails(bool),
    /// The broker is gone before it tells.
    Lost(bool),
    /// The agent is killed before the outcome is recorded.
    Killed(bool),
}

impl World {
    fn apply(&mut self, kind: Kind, step: Step) {
        match step {
            Step::Check => {}
            Step::Hold => self.old_up = false,
            Step::MoveIn => {
                assert!(!self.old_up && !self.state.run.is_up(), "it would be torn, or written over");
                (self.filled, self.state.data) = (true, true);
            }
            Step::Steady => assert!(self.state.run.is_up() && !self.old_up, "there is nothing to look at"),
            Step::Release => {
                assert!(!self.state.run.is_up(), "both have the same ports");
                self.old_up = true;
            }
            Step::Pull => {
                assert!(!self.image, "it is here");
                self.image = true;
            }
            Step::Save => assert!(!self.state.run.is_up(), "it writes while it is copied"),
            Step::Create => (self.new, self.state) = (true, ProjectState { run: Run::Stopped, data: true }),
            Step::CreateAsBefore => (self.new, self.state) = (false, ProjectState { run: Run::Stopped, data: true }),
            Step::Copy => {
                assert!(!self.state.run.is_up(), "it writes while it is copied");
                self.copied = true;
            }
            Step::ClearOld => {
                assert!(self.copied && self.new, "what there was goes before it is elsewhere");
                self.old_data = false;
            }
            Step::ClearNew => {
                assert!(!self.new, "what it uses goes");
                self.copied = false;
            }
            Step::Fill => {
                assert!(self.state == ProjectState { run: Run::Stopped, data: true }, "there is nothing to fill");
                self.filled = true;
            }
            Step::Up | Step::UpAsBefore => {
                assert!(kind != Kind::Adopt || (self.filled && !self.old_up), "the new one has what the old one kept, and its ports");
                (self.new, self.state) = (step == Step::Up, ProjectState { run: Run::Running, data: true });
            }
            Step::Restart => self.state.run = Run::Running,
            Step::Stop => self.state.run = Run::Stopped,
            Step::Down => self.state.run = Run::Absent,
            Step::DownWithData => {
                (self.old_data, self.filled, self.state) = (false, false, ProjectState::default());
            }
        }
    }
}

/// Runs a job to its end; how many steps it took.
fn run(kind: Kind, start: ProjectState, fates: &[Fate], rest: Fate) -> (Course, World, usize) {
    run_in(
        World { state: start, new: false, old_data: start.data, filled: false, image: false, old_up: true, copied: false },
        kind,
        fates,
        rest,
    )
}

fn run_in(mut world: World, kind: Kind, fates: &[Fate], rest: Fate) -> (Course, World, usize) {
    let mut recorded = serde_json::to_string(&Course::new(kind)).unwrap();
    let (mut fates, mut steps) = (fates.iter().copied(), 0);
    loop {
        assert!(steps < 200, "it never ends: {recorded}");
        // Each turn begins with what is recorded alone: a restart loses nothing else.
        let course: Course = serde_json::from_str(&recorded).unwrap();
        let (course, step) = course.follow(Seen { app: world.state, image: world.image });
        recorded = serde_json::to_string(&course).unwrap();
        let Some(step) = step else { return (course, world, steps) };
        steps += 1;
        let fate = fates.next().unwrap_or(rest);
        if matches!(fate, Fate::Well | Fate::Fails(true) | Fate::Lost(true) | Fate::Killed(true)) {
            world.apply(kind, step);
        }
        let course = match fate {
            Fate::Well => course.after(Outcome::Done),
            Fate::Fails(_) => course.after(Outcome::Failed("no".to_owned())),
            Fate::Lost(_) => course.after(Outcome::Lost),
            Fate::Killed(_) => continue,
        };
        recorded = serde_json::to_string(&course).unwrap();
    }
}

const KINDS: [Kind; 11] = [
    Kind::Install,
    Kind::Change,
    Kind::Start,
    Kind::Stop,
    Kind::Restart,
    Kind::Remove { with_data: false },
    Kind::Remove { with_data: true },
    Kind::Backup { shared: false },
    Kind::Restore,
    Kind::Adopt,
    Kind::Move,
];
const STARTS: [ProjectState; 4] = [
    ProjectState { run: Run::Absent, data: false },
    ProjectState { run: Run::Absent, data: true },
    ProjectState { run: Run::Stopped, data: true },
    ProjectState { run: Run::Running, data: true },
];

/// Whether that can be brought about: a backup is not put where something is kept, or runs.
fn can_be(kind: Kind, start: ProjectState) -> bool {
    !matches!(kind, Kind::Restore | Kind::Adopt) || start == STARTS[0]
}

/// What must hold when a job is over.
fn holds(kind: Kind, start: ProjectState, (course, world, _): &(Course, World, usize)) {
    assert!(course.phase.is_over());
    let kept = !start.data || world.old_data || (kind == Kind::Move && world.copied);
    assert!(kept || kind == Kind::Remove { with_data: true }, "data was lost: {course:?} {world:?}");
    let up = world.state.run.is_up();
    match (&course.phase, kind) {
        (Phase::Done, Kind::Install | Kind::Start) => assert!(up && world.new),
        (Phase::Done, Kind::Change) => assert!(!start.run.is_up() || (up && world.new)),
        (Phase::Done, Kind::Restart) => assert!(up),
        (Phase::Done, Kind::Stop) => assert!(!up),
        (Phase::Done, Kind::Remove { with_data }) => {
            assert!(world.state.run == Run::Absent && (!with_data || !world.state.data));
        }
        (Phase::Undone { .. }, Kind::Install) => {
            assert!(world.state.run == Run::Absent && world.state.data == start.data, "{start:?} {world:?}");
        }
        (Phase::Done | Phase::Undone { .. }, Kind::Backup { .. }) => {
            assert!(up == start.run.is_up() && !world.new && world.state.data == start.data);
        }
        (Phase::Done, Kind::Adopt) => assert!(can_be(kind, start) && up && world.new && world.filled && !world.old_up),
        (Phase::Undone { .. }, Kind::Adopt) => assert!(world.state == start && world.old_up, "{start:?} {world:?}"),
        (Phase::Done, Kind::Move) => assert!(up == start.run.is_up() && world.new && world.copied, "{start:?} {world:?}"),
        (Phase::Undone { .. }, Kind::Move) => {
            assert!(up == start.run.is_up() && !world.new && world.old_data == start.data && !world.copied, "{start:?} {world:?}");
        }
        (Phase::Done, Kind::Restore) => assert!(can_be(kind, start) && up && world.new && world.filled),
        (Phase::Undone { .. }, Kind::Restore) => assert!(world.state == start, "{start:?} {world:?}"),
        (Phase::Undone { .. }, Kind::Change) => assert!(up == start.run.is_up() && !world.new),
        (Phase::Undone { .. }, Kind::Start) => assert!(up == start.run.is_up()),
        (Phase::Undone { .. }, _) => panic!("{kind:?} has no way back"),
        (Phase::Failed { .. }, _) => {}
        (Phase::Queued | Phase::Forward { .. } | Phase::Back { .. }, _) => panic!("not over"),
    }
}

#[test]
fn a_job_that_goes_well_is_done() {
    for kind in KINDS {
        for start in STARTS {
            let end = run(kind, start, &[], Fate::Well);
            assert_eq!(end.0.phase == Phase::Done, can_be(kind, start), "{kind:?} {start:?}");
            holds(kind, start, &end);
        }
    }
}

#[test]
fn an_image_that_is_here_is_not_got_and_nothing_is_recorded_between_two_steps_that_need_no_doing() {
    for start in STARTS {
        for kind in [Kind::Install, Kind::Change] {
            let world = World { state: start, new: false, old_data: start.data, filled: false, image: true, old_up: true, copied: false };
            let end = run_in(world, kind, &[], Fate::Well);
            holds(kind, start, &end);
            assert_eq!(end.2, usize::from(kind == Kind::Install || start.run.is_up()), "{kind:?} {start:?}");
        }
    }
    let (course, step) = Course::new(Kind::Install).follow(Seen { image: true, ..Seen::default() });
    assert_eq!((course.phase.clone(), step), (Phase::Forward { done: 1, lost: 0 }, Some(Step::Up)));
    assert!(course.before.is_some(), "what there was is recorded before anything is done");
    assert_eq!(course.after(Outcome::Done).phase, Phase::Done);
    assert!(Course::new(Kind::Install).may_pull() && !course.may_pull());
}

#[test]
fn a_job_that_is_killed_anywhere_ends_as_if_it_had_not_been() {
    for kind in KINDS {
        for start in STARTS {
            for failing in [None, Some(0), Some(1)] {
                for killed in 0..4 {
                    for done in [false, true] {
                        let fate = |step| if failing == Some(step) { Fate::Fails(false) } else { Fate::Well };
                        let mut fates: Vec<Fate> = (0..4).map(fate).collect();
                        let plain = run(kind, start, &fates, Fate::Well);
                        fates.insert(killed, Fate::Killed(done));
                        let end = run(kind, start, &fates, Fate::Well);
                        holds(kind, start, &end);
                        // What a killed step had done already is not done again, so it can't fail again.
                        if failing.is_none() || !done {
                            assert_eq!(end.0.phase, plain.0.phase, "{kind:?} {start:?} {fates:?}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn the_old_container_comes_back_wherever_adopting_fails_and_only_when_the_new_one_is_gone() {
    for failing in 0..4 {
        for done in [false, true] {
            let mut fates = vec![Fate::Well; failing];
            fates.push(Fate::Fails(done));
            let end = run(Kind::Adopt, STARTS[0], &fates, Fate::Well);
            assert!(matches!(end.0.phase, Phase::Undone { .. }), "{failing} {done}: {end:?}");
            holds(Kind::Adopt, STARTS[0], &end);
        }
    }
}

#[test]
fn what_can_t_be_put_back_is_said_with_both_reasons() {
    let (course, ..) = run(Kind::Install, STARTS[0], &[Fate::Well, Fate::Fails(true)], Fate::Fails(false));
    assert_eq!(course.phase, Phase::Failed { reason: "no; and it could not be put back as it was: no".to_owned() });
    let (course, ..) = run(Kind::Stop, STARTS[3], &[], Fate::Fails(false));
    assert_eq!(course.phase, Phase::Failed { reason: "no".to_owned() });
    // A broker that ends each time, as one that lacks memory, is not asked for ever.
    let (course, _, steps) = run(Kind::Install, STARTS[0], &[Fate::Lost(false); 5], Fate::Well);
    assert!(matches!(course.phase, Phase::Undone { .. }) && steps < 10, "{course:?}");
}

fn fate() -> impl Strategy<Value = Fate> {
    let one = |make: fn(bool) -> Fate| any::<bool>().prop_map(make);
    prop_oneof![2 => Just(Fate::Well), 1 => one(Fate::Fails), 1 => one(Fate::Lost), 1 => one(Fate::Killed)]
}

proptest! {
    /// Whatever fails, and wherever the agent is killed: a job ends done, undone or failed, and no data is lost.
    #[test]
    fn every_job_ends_whole(
        kind in prop::sample::select(KINDS.to_vec()),
        start in prop::sample::select(STARTS.to_vec()),
        fates in prop::collection::vec(fate(), 0..12),
        rest in prop::sample::select(vec![Fate::Well, Fate::Fails(false), Fate::Fails(true)]),
    ) {
        let end = run(kind, start, &fates, rest);
        holds(kind, start, &end);
        if rest == Fate::Well && !fates.iter().any(|fate| matches!(fate, Fate::Fails(_) | Fate::Lost(_))) {
            prop_assert_eq!(end.0.phase == Phase::Done, can_be(kind, start));
        }
    }
}
