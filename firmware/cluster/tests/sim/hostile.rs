//! A member that does not play by the rules, and inputs that are nearly right.

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
    match rng.random_range(0..4) {
        0 => None,
        1 => Some(answer),
        2 => {
            mutate(rng, &mut answer);
            Some(answer)
        }
        _ => Some(cluster::records::exchange::frame(&cluster::records::exchange::Answer::Bodies(vec![vec![7; 100]; 40]))),
    }
}
