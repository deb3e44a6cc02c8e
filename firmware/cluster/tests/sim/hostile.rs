//! A member that does not play by the rules, and inputs that are nearly right.

use cluster::{
    NodeId,
    records::{
        exchange::{self, Answer},
        record,
    },
};
use rand::{RngExt, rngs::StdRng};

/// Makes something else of valid bytes: cut, longer, with other bytes in it.
pub fn mutate(rng: &mut StdRng, bytes: &mut Vec<u8>) {
    for _ in 0..rng.random_range(1..4) {
        match rng.random_range(0..4) {
            0 => bytes.truncate(rng.random_range(0..=bytes.len())),
            1 => bytes.extend(std::iter::repeat_n(rng.random::<u8>(), rng.random_range(1..1200))),
            _ if !bytes.is_empty() => {
                let at = rng.random_range(0..bytes.len());
                bytes[at] = rng.random();
            }
            _ => {}
        }
    }
}

/// What a hostile member makes of its answer: often nothing, garbage, or the answer to another question.
pub fn twist(rng: &mut StdRng, mut answer: Vec<u8>) -> Option<Vec<u8>> {
    match rng.random_range(0..5) {
        0 => None,
        1 => Some(answer),
        4 => Some(forge(&answer).unwrap_or(answer)),
        2 => {
            mutate(rng, &mut answer);
            Some(answer)
        }
        _ => Some(exchange::frame(&Answer::Bodies(vec![vec![7; 100]; 40]))),
    }
}

/// Says something else in a node's name: one of its records with another value of the same length.
pub fn forge(answer: &[u8]) -> Option<Vec<u8>> {
    let Ok(Answer::Set { head, mut marks, mut bodies }) = exchange::read_answer(answer) else { return None };
    let node: NodeId = head.node();
    let body = bodies.iter_mut().find(|body| record::Record::from_bytes(body).is_ok_and(|record| !record.value.is_empty()))?;
    let place = marks.binary_search(&record::mark(&node, body)).ok()?;
    *body.last_mut()? ^= 1;
    marks[place] = record::mark(&node, body);
    marks.sort_unstable();
    Some(exchange::frame(&Answer::Set { head, marks, bodies }))
}
