//! What members say to each other about samples, each in one datagram: who has which, who wants which, the samples.

use super::sample::{Order, Sample};
use crate::{
    keys::NodeId,
    membership::MAX_DATAGRAM_BYTES,
    wire::{self, WireError},
};

/// First byte of a datagram with samples.
pub const SAMPLES: u8 = 0x48;
/// First byte of one that says of which nodes there are samples, and how new.
pub const HAS: u8 = 0x49;
/// First byte of one that asks for samples.
pub const WANTS: u8 = 0x4a;
/// Samples in a datagram.
const MAX_SAMPLES: usize = 8;
/// Nodes named in a datagram.
pub(super) const MAX_NAMED: usize = 64;

/// The first bytes of a node's id: enough to tell members apart, since what they name is signed.
pub type Short = [u8; 8];

/// What names a node in a datagram.
#[must_use]
pub fn short(node: &NodeId) -> Short {
    let [a, b, c, d, e, f, g, h, ..] = node.0;
    [a, b, c, d, e, f, g, h]
}

/// What one member says to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Samples.
    Samples(Vec<Sample>),
    /// It has samples of these nodes, so new.
    Has(Vec<(Short, Order)>),
    /// It wants the samples of these.
    Wants(Vec<Short>),
}

/// Whether a datagram is about samples.
#[must_use]
pub fn is_datagram(bytes: &[u8]) -> bool {
    matches!(bytes.first(), Some(&(SAMPLES | HAS | WANTS)))
}

/// Reads a datagram; samples are not verified. What is of another layout is left out.
///
/// # Errors
/// Not one of these, too long, malformed.
pub fn read(bytes: &[u8]) -> Result<Said, WireError> {
    if bytes.len() > MAX_DATAGRAM_BYTES {
        return Err(WireError::TooLong { bytes: bytes.len(), limit: MAX_DATAGRAM_BYTES });
    }
    match bytes.split_first() {
        Some((&SAMPLES, body)) => read_samples(body).map(Said::Samples),
        Some((&HAS, body)) => read_named(body).map(Said::Has),
        Some((&WANTS, body)) => read_named(body).map(Said::Wants),
        _ => Err(WireError::Malformed),
    }
}

fn read_named<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<Vec<T>, WireError> {
    match wire::decode::<Vec<T>>(body, MAX_DATAGRAM_BYTES) {
        Ok(named) if named.len() <= MAX_NAMED => Ok(named),
        Ok(_) => Err(WireError::Malformed),
        Err(WireError::Version(_)) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn read_samples(mut rest: &[u8]) -> Result<Vec<Sample>, WireError> {
    let (mut samples, mut count) = (Vec::new(), 0);
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let (body, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or(WireError::Malformed)?;
        count += 1;
        if count > MAX_SAMPLES {
            return Err(WireError::Malformed);
        }
        match wire::decode(body, MAX_DATAGRAM_BYTES) {
            Ok(sample) => samples.push(sample),
            Err(WireError::Version(_)) => {}
            Err(error) => return Err(error),
        }
        rest = after;
    }
    if rest.is_empty() { Ok(samples) } else { Err(WireError::Malformed) }
}

/// A datagram that says of which nodes there are samples; at most [`MAX_NAMED`].
pub(super) fn has(named: &[(Short, Order)]) -> Vec<u8> {
    [vec![HAS], wire::encode(&named)].concat()
}

/// A datagram that asks for samples; of at most [`MAX_NAMED`].
pub(super) fn wants(named: &[Short]) -> Vec<u8> {
    [vec![WANTS], wire::encode(&named)].concat()
}

/// As few datagrams as these samples fit in.
pub(super) fn samples<'a>(samples: impl Iterator<Item = &'a Sample>) -> Vec<Vec<u8>> {
    let mut datagrams: Vec<(Vec<u8>, usize)> = Vec::new();
    for sample in samples {
        let encoded = wire::encode(sample);
        let Some(length) = u16::try_from(encoded.len()).ok().filter(|_| encoded.len() + 3 <= MAX_DATAGRAM_BYTES) else { continue };
        match datagrams.last_mut() {
            Some((bytes, count)) if *count < MAX_SAMPLES && bytes.len() + 2 + encoded.len() <= MAX_DATAGRAM_BYTES => {
                bytes.extend(length.to_be_bytes());
                bytes.extend(encoded);
                *count += 1;
            }
            _ => datagrams.push(([&[SAMPLES][..], &length.to_be_bytes(), &encoded].concat(), 1)),
        }
    }
    datagrams.into_iter().map(|(bytes, _)| bytes).collect()
}
