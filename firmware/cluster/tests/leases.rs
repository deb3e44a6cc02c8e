//! Leases: clocks of any two machines, with any network in between, never let an exclusive app run twice; and hostile bytes.
//!
//! The simulation is of the two clocks: a holder that is started again runs nothing, a stop takes less than its lead, and what is said to
//! have stopped has. That the agent keeps to this is decided in its `leases::plan`, and not seen here.

#![expect(clippy::unwrap_used, reason = "a test may end so")]

use cluster::{
    CommunityId, Millis, NodeId,
    leases::{Answer, Holding, Lease, LeaseId, Lending, MAX_ABOUT_BYTES, MAX_QUESTION_BYTES, Offer, Question, Said, Terms},
    wire,
};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::time::Duration;

const TERM: Duration = Duration::from_secs(120);
const LEAD: Duration = Duration::from_secs(20);
const HOLDERS: usize = 3;
/// Real time between two looks at everything.
const STEP_MS: u64 = 250;

/// A machine's clock: it runs at its own rate, and begins anew when the machine does.
struct Machine {
    rate: f64,
    began: u64,
    down_until: u64,
}

impl Machine {
    fn new(rng: &mut StdRng) -> Self {
        Self { rate: rng.random_range(0.96..1.04), began: 0, down_until: 0 }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a few hours of milliseconds")]
    fn now(&self, real: u64) -> Millis {
        Millis((real.saturating_sub(self.began) as f64 * self.rate) as u64)
    }
}

struct Holder {
    machine: Machine,
    /// What it keeps on disk of its lease: which, and whether it is over.
    lease: Option<(usize, bool)>,
    clock: Holding,
    /// Until when a stop that was begun takes, in its own time.
    stopping: Option<Millis>,
    running: bool,
}

enum Parcel {
    Offered { to: usize, lease: usize },
    Question { from: usize, lease: usize, number: u64 },
    Granted { to: usize, lease: usize, number: u64 },
    End { to: usize, lease: usize },
    Ended { lease: usize },
}

#[derive(Default)]
struct Counts {
    runs: u64,
    grants: u64,
    restarts: u64,
    expired: u64,
    late: u64,
    given_back: u64,
    moves: u64,
}

/// Runs a lender and its holders for a few hours; the seed says all that happens.
fn live(seed: u64, counts: &mut Counts) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut lender = Machine::new(&mut rng);
    // What the lender keeps on disk: who has it, and whether that is over.
    let (mut lease, mut with, mut over) = (0_usize, 0_usize, false);
    let mut lending = Lending::new(TERM);
    let mut holders: Vec<Holder> = (0..HOLDERS)
        .map(|_| Holder {
            machine: Machine::new(&mut rng),
            lease: None,
            clock: Holding::new(Millis(0), TERM, 0),
            stopping: None,
            running: false,
        })
        .collect();
    let mut parcels: Vec<(u64, Parcel)> = vec![(0, Parcel::Offered { to: 0, lease: 0 })];
    for real in (0..3 * 3600 * 1000_u64).step_by(usize::try_from(STEP_MS).unwrap()) {
        // What comes now.
        let (due, later): (Vec<_>, Vec<_>) = parcels.into_iter().partition(|(at, _)| *at <= real);
        parcels = later;
        let mut send = |rng: &mut StdRng, parcel| {
            let delay = if rng.random_bool(0.1) { rng.random_range(0..400_000) } else { rng.random_range(0..2_000) };
            let durable = matches!(parcel, Parcel::Offered { .. } | Parcel::End { .. } | Parcel::Ended { .. });
            if durable || rng.random_bool(0.7) {
                parcels.push((real + delay, parcel));
            }
        };
        for (_, parcel) in due {
            match parcel {
                Parcel::Offered { to, lease } => {
                    let holder = &mut holders[to];
                    if holder.lease.is_none_or(|(had, over)| had < lease && over) {
                        holder.lease = Some((lease, false));
                        holder.clock = Holding::new(holder.machine.now(real), TERM, rng.random());
                    }
                }
                Parcel::Question { from, lease: of, number } if lender.down_until <= real => {
                    if of == lease && from == with && lending.grant(lender.now(real)) {
                        counts.grants += 1;
                        send(&mut rng, Parcel::Granted { to: from, lease: of, number });
                    }
                }
                Parcel::Granted { to, lease: of, number } if holders[to].machine.down_until <= real => {
                    if holders[to].lease == Some((of, false)) {
                        holders[to].clock.granted(number);
                    }
                }
                Parcel::End { to, lease: of } => {
                    if let Some((had, over)) = &mut holders[to].lease
                        && *had == of
                    {
                        *over = true;
                    }
                }
                Parcel::Ended { lease: of } => {
                    if of == lease {
                        (over, counts.given_back) = (true, counts.given_back + 1);
                        lending.given_back();
                    }
                }
                // A question or an answer to a machine that is down is gone.
                Parcel::Question { .. } | Parcel::Granted { .. } => counts.late += 1,
            }
        }
        // What holders do.
        for (index, holder) in holders.iter_mut().enumerate() {
            let now = holder.machine.now(real);
            if holder.machine.down_until > real {
                continue;
            }
            if rng.random_bool(0.0002) {
                // The power goes: nothing runs of it until the lender grants it anew.
                counts.restarts += 1;
                (holder.running, holder.stopping) = (false, None);
                holder.machine.down_until = real + rng.random_range(0..600_000);
                holder.machine.began = holder.machine.down_until;
                holder.clock = Holding::new(Millis(0), TERM, rng.random());
                continue;
            }
            let Some((lease, over)) = holder.lease else { continue };
            let may = !over && holder.clock.may_run(now, LEAD);
            match holder.stopping {
                Some(until) if until <= now => {
                    (holder.running, holder.stopping) = (false, None);
                    counts.expired += u64::from(!over);
                }
                None if holder.running && !may => {
                    let takes = rng.random_range(0..u64::try_from(LEAD.as_millis()).unwrap());
                    holder.stopping = Some(now.plus(Duration::from_millis(takes)));
                }
                None if !holder.running && may => {
                    (holder.running, counts.runs) = (true, counts.runs + 1);
                }
                _ => {}
            }
            if over && !holder.running {
                holder.lease = Some((lease, true));
                // Said once it has stopped; saying it again does no harm.
                if rng.random_bool(0.01) {
                    send(&mut rng, Parcel::Ended { lease });
                }
            } else if !over && let Some(number) = holder.clock.ask(now) {
                send(&mut rng, Parcel::Question { from: index, lease, number });
            }
        }
        // What the lender does.
        if lender.down_until <= real {
            let now = lender.now(real);
            if rng.random_bool(0.0002) {
                counts.restarts += 1;
                lender.down_until = real + rng.random_range(0..600_000);
                lender.began = lender.down_until;
                lending = Lending::restored(Millis(0), TERM, over);
            } else if !over && rng.random_bool(0.0003) {
                over = true;
                lending.end();
                if rng.random_bool(0.5) {
                    send(&mut rng, Parcel::End { to: with, lease });
                }
            } else if lending.is_free(now) {
                counts.moves += 1;
                // The one that had it is told in any case, in the end.
                send(&mut rng, Parcel::End { to: with, lease });
                (lease, with, over) = (lease + 1, rng.random_range(0..HOLDERS), false);
                lending = Lending::new(TERM);
                send(&mut rng, Parcel::Offered { to: with, lease });
            }
        }
        let running: Vec<usize> = holders.iter().enumerate().filter(|(_, holder)| holder.running).map(|(index, _)| index).collect();
        assert!(running.len() <= 1, "seed {seed}: after {real} ms the app runs at {running:?}");
    }
}

#[test]
fn an_exclusive_app_never_runs_twice() {
    let mut counts = Counts::default();
    let first = rand::rng().random_range(0..1_u64 << 48);
    for seed in first..first + 400 {
        live(seed, &mut counts);
    }
    let Counts { runs, grants, restarts, expired, late, given_back, moves } = counts;
    println!("{grants} grants, {runs} runs, {moves} moves, {restarts} restarts, {expired} stopped when their time was over");
    println!("{late} questions or answers to machines that were down, {given_back} given back");
    assert!([runs, grants, restarts, expired, late, given_back, moves].iter().all(|count| *count > 0), "something never happened");
}

fn offer(about: Vec<u8>) -> Offer {
    let terms = Terms { seconds: 600, exclusive: true };
    Offer::sign(&[1; 32], LeaseId([7; 16]), CommunityId([9; 32]), NodeId::of_seed(&[2; 32]), terms, about)
}

#[test]
fn an_offer_is_of_its_lender_to_its_holder_and_a_lease_of_that_offer() {
    let (lender, holder, community) = (NodeId::of_seed(&[1; 32]), NodeId::of_seed(&[2; 32]), CommunityId([9; 32]));
    let good = offer(b"wiki".to_vec());
    assert!(good.is_good(&community, &lender, &holder));
    assert!(!good.is_good(&CommunityId([8; 32]), &lender, &holder) && !good.is_good(&community, &holder, &lender));
    let changes: [fn(&mut Offer); 5] = [
        |offer| offer.about = b"miner".to_vec(),
        |offer| offer.id = LeaseId([8; 16]),
        |offer| offer.terms.seconds += 1,
        |offer| offer.terms.exclusive = false,
        |offer| offer.holder = NodeId::of_seed(&[3; 32]),
    ];
    for change in changes {
        let mut changed = good.clone();
        change(&mut changed);
        let to = changed.holder;
        assert!(!changed.is_good(&community, &lender, &to), "{changed:?}");
        assert!(!Lease::sign(&[2; 32], &changed).is_of(&good));
    }
    assert!(!offer(vec![0; MAX_ABOUT_BYTES + 1]).is_good(&community, &lender, &holder));
    let short = Offer::sign(&[1; 32], good.id, community, holder, Terms { seconds: 5, exclusive: true }, Vec::new());
    assert!(!short.is_good(&community, &lender, &holder), "too short a term to stop in time");
    assert!(Lease::sign(&[2; 32], &good).is_of(&good));
    assert!(!Lease::sign(&[3; 32], &good).is_of(&good), "somebody else agreed");
}

#[test]
fn what_was_asked_before_grants_nothing_and_another_life_knows_nothing() {
    let mut holding = Holding::new(Millis(0), TERM, 5);
    let first = holding.ask(Millis(0)).unwrap();
    assert_eq!(holding.ask(Millis(1)), None);
    let second = holding.ask(Millis(10_000)).unwrap();
    holding.granted(first);
    assert!(!holding.may_run(Millis(10_000), LEAD), "that answer is too late to be told apart");
    holding.granted(second);
    // It counts from the question.
    assert!(holding.may_run(Millis(109_999), LEAD) && !holding.may_run(Millis(110_000), LEAD));
    assert_eq!(holding.ends(LEAD), Some(Millis(110_000)));
    assert!(!Holding::new(Millis(20_000), TERM, second).may_run(Millis(20_000), LEAD));
    let mut lending = Lending::restored(Millis(0), TERM, true);
    assert!(!lending.grant(Millis(5)) && lending.free_at() == Some(Millis(132_000)));
    lending.given_back();
    assert!(lending.is_free(Millis(5)));
}

proptest! {
    #[test]
    fn mutated_words_never_panic_and_never_verify(at in any::<prop::sample::Index>(), bit in 0_u8..8, cut in any::<prop::sample::Index>()) {
        let (lender, holder, community) = (NodeId::of_seed(&[1; 32]), NodeId::of_seed(&[2; 32]), CommunityId([9; 32]));
        let good = offer(b"wiki".to_vec());
        for said in [Said::Offer(good.clone()), Said::Lease(Lease::sign(&[2; 32], &good)), Said::Ended { id: good.id, why: "gone".to_owned() }] {
            let mut bytes = said.to_bytes();
            prop_assert_eq!(&Said::from_bytes(&bytes).unwrap(), &said);
            prop_assert!(Said::from_bytes(&bytes[..cut.index(bytes.len())]).is_err());
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            match Said::from_bytes(&bytes) {
                Ok(Said::Offer(offer)) => prop_assert!(!offer.is_good(&community, &lender, &holder)),
                Ok(Said::Lease(lease)) => prop_assert!(!lease.is_of(&good)),
                _ => {}
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = [&[1], bytes.as_slice()].concat();
        let _ = Said::from_bytes(&bytes);
        let _ = (wire::decode::<Question>(&bytes, MAX_QUESTION_BYTES), wire::decode::<Answer>(&bytes, MAX_QUESTION_BYTES));
    }
}
