//! FAT's two names of a file: eight and three upper-case letters for old systems, the long one for all others.

use std::collections::BTreeSet;

use crate::parts::MakeError;

type Result<T> = std::result::Result<T, MakeError>;

/// Bytes of a directory entry.
pub const ENTRY_BYTES: usize = 32;
/// Characters of a long name that one entry holds.
const LONG_CHARS: usize = 13;
/// Where they lie in it.
const LONG_AT: [usize; LONG_CHARS] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
const ATTRIBUTE_LONG: u8 = 0x0f;
const LAST_LONG: u8 = 0x40;
const LONG_MAX_CHARS: usize = 255;

/// A volume label as it is stored.
pub fn label(text: &str) -> Result<[u8; 11]> {
    let allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-' || byte == b' ';
    if text.len() > 11 || !text.bytes().all(allowed) {
        return Err(MakeError::Label(text.to_owned()));
    }
    let mut label = [b' '; 11];
    label[..text.len()].copy_from_slice(text.as_bytes());
    Ok(label)
}

/// Whether FAT can hold a file of that name.
pub fn check(name: &str) -> Result<()> {
    let allowed = |c: char| !c.is_control() && !"\"*/:<>?\\|".contains(c);
    let long = name.encode_utf16().count() > LONG_MAX_CHARS;
    if name.is_empty() || long || !name.chars().all(allowed) || name.ends_with(['.', ' ']) {
        return Err(MakeError::Name(name.to_owned()));
    }
    Ok(())
}

/// The short names that are taken in one folder.
#[derive(Default)]
pub struct Aliases(BTreeSet<[u8; 11]>);

impl Aliases {
    /// The directory entries of a name: those of its long form, if it has one, then the short one with its name only.
    pub fn entries(&mut self, name: &str) -> Vec<u8> {
        let exact = exact(name).filter(|short| self.0.insert(*short));
        let short = exact.unwrap_or_else(|| self.alias(name));
        let mut entries = Vec::new();
        if exact.is_none() {
            let checksum = short.iter().fold(0u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
            let units: Vec<u16> = name.encode_utf16().collect();
            let count = units.len().div_ceil(LONG_CHARS);
            for (index, part) in units.chunks(LONG_CHARS).enumerate().rev() {
                let mut entry = [0; ENTRY_BYTES];
                // At most 20, since a name has 255 units.
                entry[0] = (index + 1) as u8 | if index + 1 == count { LAST_LONG } else { 0 };
                entry[11] = ATTRIBUTE_LONG;
                entry[13] = checksum;
                // A zero ends the name, what follows is filled with ones.
                let padded = part.iter().copied().chain([0]).chain(std::iter::repeat(0xffff));
                for (at, unit) in LONG_AT.iter().zip(padded) {
                    entry[*at..at + 2].copy_from_slice(&unit.to_le_bytes());
                }
                entries.extend_from_slice(&entry);
            }
        }
        let mut entry = [0; ENTRY_BYTES];
        entry[..11].copy_from_slice(&short);
        entries.extend_from_slice(&entry);
        entries
    }

    /// `LONGNA~1.EXT`, with the first number that is free.
    fn alias(&mut self, name: &str) -> [u8; 11] {
        let clean = |text: &str| -> Vec<u8> {
            text.chars()
                .filter(|c| *c != ' ' && *c != '.')
                .map(|c| c.to_ascii_uppercase())
                .map(|c| if plain(c) { c as u8 } else { b'_' })
                .collect()
        };
        let (base, extension) = name.rsplit_once('.').filter(|(base, _)| !base.is_empty()).unwrap_or((name, ""));
        let (base, extension) = (clean(base), clean(extension));
        let mut short = [b' '; 11];
        for (to, from) in short[8..].iter_mut().zip(extension) {
            *to = from;
        }
        let mut number = 1u32;
        loop {
            let tail = format!("~{number}");
            let kept = base.iter().copied().take(8 - tail.len().min(8));
            short[..8].fill(b' ');
            for (to, from) in short[..8].iter_mut().zip(kept.chain(tail.bytes())) {
                *to = from;
            }
            if self.0.insert(short) {
                return short;
            }
            number += 1;
        }
    }
}

/// The short name that is the name itself, if there is one.
fn exact(name: &str) -> Option<[u8; 11]> {
    let (base, extension) = name.split_once('.').unwrap_or((name, ""));
    let fits = |text: &str, most: usize| text.len() <= most && text.chars().all(plain);
    let right = !base.is_empty() && fits(base, 8) && fits(extension, 3) && (extension.is_empty() != name.contains('.'));
    right.then(|| {
        let mut short = [b' '; 11];
        short[..base.len()].copy_from_slice(base.as_bytes());
        short[8..8 + extension.len()].copy_from_slice(extension.as_bytes());
        short
    })
}

/// What needs no replacing in a short name.
fn plain(c: char) -> bool {
    c.is_ascii_uppercase() || c.is_ascii_digit() || "$%'-_@~`!(){}^#&".contains(c)
}
