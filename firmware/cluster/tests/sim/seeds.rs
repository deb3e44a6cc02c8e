//! Many short lives of small worlds, each from a seed: everything goes wrong, then everything is mended, and then all
//! hold the same, and it is what was acknowledged.

use crate::{
    figure,
    network::Faults,
    say,
    world::{World, id_of},
};
use cluster::{
    Terms, Token,
    hello::{Reason, Reply},
    records::{Change, Kind, Phase, Slot, WriteError},
    roster::Standing,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// Fresh seeds of each run of the tests, unless `CLOUDY_RUNS` says otherwise.
const RUNS: usize = 1000;
/// Seeds that failed once, for ever after.
const BAD_SEEDS: &str = include_str!("bad_seeds.txt");
/// Every one of these must have struck.
const FAULTS: [&str; 22] = [
    "lost",
    "duplicated",
    "reordered",
    "delayed by more than 0.5 s",
    "cut by a partition",
    "partition",
    "one-way partition",
    "killed",
    "power cut",
    "power cut in a commit",
    "disk full",
    "write refused on a full disk",
    "clock step",
    "refused an expired invite",
    "joined by an invite with an end",
    "restored old card",
    "damaged database",
    "hostile answer",
    "revoked",
    "joined",
    "refused a used invite",
    "suspended for a used invite",
];

const YEAR: u64 = 365 * 24 * 3600;
/// When invites with an end end: some clocks that are stepped are before that, some after, and those that are unsure do not know.
const END: u64 = 10 * YEAR;

/// What a slot of a node may hold: what was acknowledged last, or what was tried since and not refused for certain.
#[derive(Default)]
struct Model {
    may_hold: BTreeMap<(usize, Slot), Vec<Option<Vec<u8>>>>,
    /// Nodes whose disk did what no node can help: for them only agreement is asked for.
    loose: BTreeSet<usize>,
    /// Whom the founder took out.
    revoked: BTreeSet<usize>,
    /// Who was let in meanwhile, and by whom.
    let_in: BTreeMap<usize, usize>,
    /// Whom the one that let them in may have forgotten, since its disk is one of before.
    forgotten: BTreeSet<usize>,
}

fn slot(number: u32) -> Slot {
    Slot { kind: Kind::SERVICE, key: format!("service-{number}") }
}

impl Model {
    fn write(&mut self, world: &mut World, node: usize) {
        let slot = slot(world.rng.random_range(0..12));
        let length = if world.rng.random_bool(0.1) { 4000 } else { world.rng.random_range(0..60) };
        let mut value = vec![0; length];
        world.rng.fill(&mut value);
        let value = world.rng.random_bool(0.85).then_some(value);
        let change = match &value {
            Some(value) => Change::Put { slot: slot.clone(), schema: 1, value: value.clone() },
            None => Change::Remove(slot.clone()),
        };
        let now = world.now;
        let written = world.life(node).records.write(now, &[change]);
        world.touch(node);
        let may_hold = self.may_hold.entry((node, slot)).or_insert_with(|| vec![None]);
        match written {
            Ok(_) => *may_hold = vec![value],
            Err(WriteError::Store(_)) => {
                may_hold.push(value);
                if world.disks[node].is_full() {
                    world.faults().count("write refused on a full disk");
                }
            }
            Err(WriteError::Copied) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// The founder takes out another.
    fn revoke(&mut self, world: &mut World, node: usize) {
        let now = world.now;
        if world.nodes[0].is_some() && node > 0 && world.life(0).node.revoke(now, id_of(node)).is_ok() {
            world.touch(0);
            self.revoked.insert(node);
            world.faults().count("revoked");
        }
    }

    /// A newcomer comes with an invite that has an end: whoever is sure that this is over refuses it, which changes nothing, and all others take it for
    /// what it is.
    fn knock(&mut self, world: &mut World, node: usize, token: &Token) {
        let is_over = world.clocks[node].is_some_and(|now| now > END);
        let before = world.life(node).node.roster().to_bytes();
        let result = world.join(node, token);
        let changed = world.life(node).node.roster().to_bytes() != before;
        match result {
            Ok(new) => {
                assert!(!is_over, "node {node} knows that the invite is over, and let {new} in");
                self.let_in.insert(new, node);
                world.faults().count("joined by an invite with an end");
            }
            Err(refused) => {
                let expired = matches!(&refused, Reply::Refused { reason: Reason::EXPIRED, .. });
                assert!(!expired || is_over, "node {node} can't know that the invite is over: {refused:?}");
                assert!(!changed, "node {node} refused somebody, and its roster is another: {refused:?}");
                if expired {
                    world.faults().count("refused an expired invite");
                }
            }
        }
    }

    /// Whether nobody speaks for a node: whoever let it in was taken out itself, or its disk was restored and has forgotten. Then it is one more
    /// that comes with that invite, which others have used meanwhile.
    fn has_nobody(&self, node: usize) -> bool {
        let by_one_that_has = |by: &usize| self.revoked.contains(by) || self.has_nobody(*by);
        self.forgotten.contains(&node) || self.let_in.get(&node).is_some_and(by_one_that_has)
    }

    fn check(&self, world: &World) {
        let members = world.with_standing(Standing::Member);
        for at in &members {
            let life = world.nodes[*at].as_ref().unwrap();
            for gone in self.revoked.iter().filter(|_| !self.loose.contains(&0)) {
                assert_eq!(life.node.roster().standing(&id_of(*gone)), Standing::Revoked, "node {at} holds {gone} for something else");
            }
            let records = &life.records;
            for ((node, slot), may_hold) in self.may_hold.iter().filter(|((node, _), _)| members.contains(node)) {
                let found = records.get(&id_of(*node), slot).unwrap().map(|record| record.value);
                if self.loose.contains(node) {
                    let same = world.nodes[members[0]].as_ref().unwrap().records.get(&id_of(*node), slot).unwrap();
                    assert_eq!(found, same.map(|record| record.value), "node {at} and another differ on {slot:?} of node {node}");
                } else {
                    let short = |value: &Option<Vec<u8>>| value.as_ref().map(|value| (value.len(), value.first().copied()));
                    let (held, expected) = (short(&found), may_hold.iter().map(short).collect::<Vec<_>>());
                    assert!(
                        may_hold.contains(&found),
                        "node {at} holds {held:?} for {slot:?} of node {node}, where {expected:?} was acknowledged"
                    );
                }
            }
        }
    }
}

/// One life of a small world.
fn run(seed: u64) -> Faults {
    let mut script = StdRng::seed_from_u64(seed ^ 0x5EED);
    let mut world = World::new(seed, 0.0);
    let count = script.random_range(3..=6);
    let token = world.token(100);
    while world.nodes.len() < count {
        world.join(0, &token).unwrap();
    }
    world.net.loss = script.random_range(0.0..0.4);
    world.net.duplicates = script.random_range(0.0..0.1);
    world.net.delay = Duration::from_millis(script.random_range(10..400));
    let mut model = Model::default();
    if script.random_bool(0.3) {
        let liar = script.random_range(1..count);
        model.loose.insert(liar);
        world.hostile.insert(liar, Box::new(|rng, _, answer| crate::hostile::twist(rng, answer)));
    }
    let mut images = BTreeMap::new();
    let invite = world.token(1);
    // Some have invites with an end; by choices of their own, so that all others stay as they were.
    let mut own = StdRng::seed_from_u64(seed ^ 0xE4D);
    let terms = Terms { uses: 100, not_after: Some(END) };
    let ending = own.random_bool(0.5).then(|| world.kit.invite(&world.founding, Vec::new(), terms, Vec::new(), &mut own));
    for _ in 0..script.random_range(10..50) {
        world.pass(Duration::from_millis(script.random_range(0..4000)));
        let count = world.nodes.len();
        let node = script.random_range(0..count);
        let on = world.nodes[node].is_some();
        match script.random_range(0..22) {
            0 => {
                let sides: Vec<u32> = (0..count).map(|_| script.random_range(0..2)).collect();
                world.part(|index| sides[index]);
                world.faults().count("partition");
            }
            1 => {
                let other = script.random_range(0..count);
                world.net.blocked.insert((node, other));
                world.faults().count("one-way partition");
            }
            2 | 3 => world.heal(),
            4 if on => {
                world.kill(node);
                world.faults().count("killed");
            }
            5 if on => {
                world.cut(node);
                world.faults().count("power cut");
            }
            6 if on => {
                world.disks[node].die_after(script.random_range(0..25));
                model.write(&mut world, node);
                if world.disks[node].is_dead() {
                    world.faults().count("power cut in a commit");
                }
                world.cut(node);
            }
            7 => {
                let full = !world.disks[node].is_full();
                world.disks[node].set_full(full, script.random_bool(0.5));
                if full {
                    world.faults().count("disk full");
                }
            }
            8 => {
                world.clocks[node] = [None, Some(YEAR), Some(60 * YEAR), Some(crate::world::FLOOR)][script.random_range(0..4)];
                world.faults().count("clock step");
                if let Some(ending) = ending.as_ref().filter(|_| on && count < 9) {
                    model.knock(&mut world, node, ending);
                }
            }
            9 => drop(images.insert(node, (world.disks[node].image(), world.files[node].clone(), count))),
            10 if script.random_bool(0.3) => {
                if let Some((image, files, before)) = images.get(&node) {
                    if on {
                        world.cut(node);
                    }
                    world.disks[node].restore(image);
                    world.files[node] = files.clone();
                    model.loose.insert(node);
                    let later = model.let_in.iter().filter(|(new, by)| **by == node && *new >= before);
                    model.forgotten.extend(later.map(|(new, _)| *new));
                    world.faults().count("restored old card");
                }
            }
            11 if script.random_bool(0.3) => {
                if on {
                    world.cut(node);
                }
                let mut rng = StdRng::seed_from_u64(script.random());
                world.disks[node].damage(&mut rng);
                model.loose.insert(node);
                world.faults().count("damaged database");
            }
            12..=14 => {
                if !on && !world.disks[node].is_full() {
                    world.start(node);
                }
            }
            15 | 16 if on && count < 9 => match world.join(node, &invite) {
                Ok(new) => {
                    model.let_in.insert(new, node);
                    world.faults().count("joined");
                }
                Err(Reply::Refused { reason: Reason::USED, .. }) => world.faults().count("refused a used invite"),
                // Whoever lets in may be out itself, or can't write it down.
                Err(_) => {}
            },
            17 if script.random_bool(0.4) => model.revoke(&mut world, node),
            _ => {
                for _ in 0..script.random_range(1..4) {
                    if world.nodes[node].is_some() {
                        model.write(&mut world, node);
                    }
                }
            }
        }
    }
    world.heal();
    world.net.loss = world.net.loss.min(0.2);
    for node in 0..world.nodes.len() {
        world.disks[node].set_full(false, false);
        if world.nodes[node].is_none() {
            world.start(node);
        }
    }
    let are_known = |world: &World| world.with_standing(Standing::Stranger).into_iter().all(|node| model.has_nobody(node));
    let agreed = |world: &World| world.members_agree() && are_known(world);
    let mut took = world.until(Duration::from_secs(240), agreed);
    // What a node signed, told and then lost with its disk it waits for, since somebody might hold it (`ADOPT_PATIENCE`); nothing else may last so long.
    let adopting = |at: &usize| world.nodes[*at].as_ref().is_some_and(|life| life.records.phase() == Phase::Adopting);
    if took.is_none() && model.loose.iter().any(adopting) {
        took = world.until(Duration::from_secs(600), agreed);
    }
    if took.is_none() {
        let phases: Vec<_> = world
            .nodes
            .iter()
            .flatten()
            .map(|life| (life.records.phase(), life.records.own_order(), life.records.view().marks().len()))
            .collect();
        let founder = world.nodes[0].as_ref().unwrap().node.roster();
        let standings: Vec<_> = (0..world.nodes.len()).map(|node| founder.standing(&id_of(node))).collect();
        let rosters: Vec<_> = world.nodes.iter().flatten().map(|life| life.node.roster().digest()[0]).collect();
        panic!("not the same view after all that time: {phases:?}; the founder holds them for {standings:?}; rosters {rosters:?}");
    }
    world.hostile.clear();
    model.check(&world);
    world.with_standing(Standing::Suspended).iter().for_each(|_| world.net.faults.count("suspended for a used invite"));
    world.net.faults.clone()
}

/// Runs a seed; tells how to run it again if it fails.
fn run_told(seed: u64) -> Option<Faults> {
    let result = catch_unwind(AssertUnwindSafe(|| run(seed)));
    if result.is_err() {
        say(&format!(
            "FAILED: replay with `CLOUDY_SEED={seed} cargo test -p cluster --test sim seeds -- --nocapture`; keep it in tests/sim/bad_seeds.txt"
        ));
    }
    result.ok()
}

#[test]
fn whatever_goes_wrong_in_between_all_end_with_what_was_acknowledged() {
    if let Ok(seed) = std::env::var("CLOUDY_SEED") {
        let faults = run(seed.parse().unwrap());
        println!("{faults:?}");
        return;
    }
    let bad = BAD_SEEDS.lines().filter_map(|line| line.split('#').next()?.trim().parse::<u64>().ok());
    let runs: usize = std::env::var("CLOUDY_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS);
    let first: u64 = rand::rng().random_range(0..1 << 48);
    let seeds: Vec<u64> = bad.chain((0..runs as u64).map(|run| first + run)).collect();
    let (next, total, failed) = (AtomicUsize::new(0), Mutex::new(Faults::default()), Mutex::new(Vec::new()));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from).min(8) {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match run_told(*seed) {
                        Some(faults) => total.lock().unwrap().add(&faults),
                        None => failed.lock().unwrap().push(*seed),
                    }
                }
            });
        }
    });
    let total = total.into_inner().unwrap();
    let known = seeds.len() - runs;
    say(&format!("{runs} seeds from {first} on, and {known} known bad ones, in {:.0} s", begun.elapsed().as_secs_f64()));
    for (fault, count) in &total.0 {
        say(&format!("{count:>9} {fault}"));
    }
    let failed = failed.into_inner().unwrap();
    figure("seeds of all faults at once that failed", failed.len() as f64, 0.0, "");
    assert!(failed.is_empty(), "failed seeds: {failed:?}");
    if runs >= RUNS {
        for fault in FAULTS {
            assert!(total.0.get(fault).is_some_and(|count| *count > 0), "no `{fault}` in {runs} runs");
        }
    }
}
