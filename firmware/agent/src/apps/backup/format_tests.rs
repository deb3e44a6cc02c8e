//! Backups byte by byte: what goes in comes out, and what is cut, changed or made up by others is refused.

use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;

/// What can't be packed.
fn noise(bytes: usize) -> Vec<u8> {
    let mut n = 7_u32;
    std::iter::repeat_with(|| {
        n = n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        u8::try_from(n >> 24).unwrap()
    })
    .take(bytes)
    .collect()
}

fn volume(n: usize) -> Volume {
    Volume { service: "app".to_owned(), target: format!("/data/{n}") }
}

fn manifest(volumes: usize) -> Manifest {
    let definition = contract::apps::own::Definition { title: "x".to_owned(), ..Default::default() };
    let saved = crate::apps::own::Saved { definition, ..Default::default() };
    let what = What::Own(Box::new(crate::apps::record::Own { saved, again: false }));
    Manifest::new("wiki", 1_790_000_000, what, Choices::default(), (0..volumes).map(volume).collect())
}

fn parts(volumes: &[Vec<u8>]) -> VecDeque<Part> {
    let of = |(n, bytes): (usize, &Vec<u8>)| [Part::Volume(volume(n)), Part::Bytes(Bytes::from(bytes.clone()))];
    volumes.iter().enumerate().flat_map(of).chain([Part::End]).collect()
}

fn written(manifest: &Manifest, recipient: &Recipient, mut parts: VecDeque<Part>) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    write(&mut out, recipient, manifest, || parts.pop_front().ok_or_else(|| Error::other("no more came")))?;
    Ok(out)
}

/// What each volume held, as it is read.
fn volumes_of(backup: &[u8], opener: &Opener) -> Result<Vec<Vec<u8>>, NotRead> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    read(backup, opener, |part| {
        match part {
            Part::Volume(at) => {
                assert_eq!(at, volume(all.len()));
                all.push(Vec::new());
            }
            Part::Bytes(bytes) => all.last_mut().unwrap().extend_from_slice(&bytes),
            Part::End => unreachable!(),
        }
        Ok(())
    })?;
    Ok(all)
}

#[test]
fn what_went_in_comes_out_with_the_right_key_alone() {
    let (identity, other) = (Identity::generate(), Identity::generate());
    let volumes = [vec![7; PIECE_BYTES * 2 + 5], b"small".to_vec(), vec![1; PIECE_BYTES]];
    let backup = written(&manifest(3), &identity.to_public(), parts(&volumes)).unwrap();
    let (opener, said) = open(backup.as_slice(), &identity).unwrap();
    assert_eq!(said, manifest(3));
    assert_eq!(volumes_of(&backup, &opener).unwrap(), volumes);
    assert!(matches!(open(backup.as_slice(), &other), Err(NotRead::Key)));
    // What opens one opens no other of the same key.
    let second = written(&manifest(1), &identity.to_public(), parts(&[b"x".to_vec()])).unwrap();
    assert!(matches!(volumes_of(&second, &opener), Err(NotRead::Damaged(_))));
    assert!(!format!("{opener:?}").contains(|c: char| c.is_ascii_digit()));
    for other in [&b""[..], b"age-encryption.org/v1\n", b"PK\x03\x04", &[0; 5000]] {
        assert!(matches!(open(other, &identity), Err(NotRead::Other)), "{other:?}");
    }
}

#[test]
fn what_is_not_finished_is_no_backup_and_none_that_was_cut_is_taken_for_whole() {
    let identity = Identity::generate();
    let volumes = [noise(200_000), b"end".to_vec()];
    for missing in 1..4 {
        let mut some = parts(&volumes);
        some.truncate(some.len() - missing);
        assert!(written(&manifest(2), &identity.to_public(), some).is_err(), "without the last {missing}");
    }
    assert!(written(&manifest(1), &identity.to_public(), parts(&volumes)).is_err(), "more volumes than were said");
    assert!(written(&manifest(3), &identity.to_public(), parts(&volumes)).is_err(), "fewer volumes than were said");
    assert!(written(&manifest(0), &identity.to_public(), [Part::Bytes(Bytes::from_static(b"x")), Part::End].into()).is_err());
    let backup = written(&manifest(2), &identity.to_public(), parts(&volumes)).unwrap();
    let (opener, _) = open(backup.as_slice(), &identity).unwrap();
    for cut in [backup.len() - 1, backup.len() - 17, backup.len() - 600, backup.len() - 3000, 70_000, 300] {
        assert!(volumes_of(&backup[..cut], &opener).is_err(), "cut at {cut} of {}", backup.len());
    }
    assert!(volumes_of(&[backup.as_slice(), b"more"].concat(), &opener).is_err(), "something was put after it");
}

#[test]
fn a_newer_format_is_said_to_be_one() {
    let identity = Identity::generate();
    let newer = Manifest { format: FORMAT + 1, ..manifest(0) };
    let backup = written(&newer, &identity.to_public(), [Part::End].into()).unwrap();
    assert!(matches!(open(backup.as_slice(), &identity), Err(NotRead::Newer(2))));
    let many = written(&manifest(VOLUMES + 1), &identity.to_public(), parts(&vec![b"x".to_vec(); VOLUMES + 1])).unwrap();
    assert!(open(many.as_slice(), &identity).unwrap_err().to_string().contains("are the most"));
}

/// Says the beginning of a head for ever, and counts what is read of it.
struct Endless(u64);

impl Read for Endless {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Error> {
        self.0 += into.len() as u64;
        into.fill(b'x');
        Ok(into.len())
    }
}

#[test]
fn a_head_without_an_end_is_not_read_for_ever() {
    let identity = Identity::generate();
    for begin in ["age-encryption.org/v1\n-> X ", "age-encryption.org/v1\n"] {
        let mut endless = Endless(0);
        let refused = open(begin.as_bytes().chain(&mut endless), &identity);
        assert!(matches!(refused, Err(NotRead::Other)) && endless.0 < 100_000, "{begin}: {} bytes", endless.0);
    }
    let stanzas = "age-encryption.org/v1\n".to_owned() + &"-> X x\n\n".repeat(1_000_000);
    assert!(matches!(open(stanzas.as_bytes(), &identity), Err(NotRead::Other)));
}

/// A tar of whatever files, encrypted well: who knows the public half of a key can make one.
fn hostile(recipient: &Recipient, files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let recipients: [&dyn age::Recipient; 1] = [recipient];
    let mut tar = tar::Builder::new(Encryptor::with_recipients(recipients.into_iter()).unwrap().wrap_output(Vec::new()).unwrap());
    for (name, bytes) in files {
        append(&mut tar, name, 0, bytes).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

#[test]
fn a_piece_that_unpacks_to_too_much_is_refused() {
    let identity = Identity::generate();
    let said = serde_json::to_vec(&manifest(1)).unwrap();
    let taken = |piece: Vec<u8>| {
        let files = [(MANIFEST.to_owned(), said.clone()), ("volumes/0/00000000.gz".to_owned(), piece)];
        let backup = hostile(&identity.to_public(), &files);
        volumes_of(&backup, &open(backup.as_slice(), &identity)?.0)
    };
    assert_eq!(taken(packed(&vec![0; PIECE_BYTES]).unwrap()).unwrap()[0].len(), PIECE_BYTES);
    let error = taken(packed(&vec![0; PIECE_BYTES * 100]).unwrap()).unwrap_err().to_string();
    assert!(error.contains("too long"), "{error}");
    assert!(taken(b"not packed".to_vec()).is_err());
}

#[test]
fn files_that_do_not_come_next_are_refused() {
    let identity = Identity::generate();
    let said = serde_json::to_vec(&manifest(2)).unwrap();
    let tar = |names: &[&str]| {
        let files = names.iter().map(|name| ((*name).to_owned(), if *name == MANIFEST { said.clone() } else { packed(b"x").unwrap() }));
        hostile(&identity.to_public(), &files.collect::<Vec<_>>())
    };
    let taken = |names: &[&str]| {
        let backup = tar(names);
        let (opener, _) = open(backup.as_slice(), &identity)?;
        volumes_of(&backup, &opener)
    };
    let (first, second) = ("volumes/0/00000000.gz", "volumes/1/00000000.gz");
    assert_eq!(taken(&[MANIFEST, first, second]).unwrap().len(), 2);
    for wrong in [
        &[MANIFEST, second][..],
        &[MANIFEST, first],
        &[MANIFEST, first, first, second],
        &[MANIFEST, first, second, "volumes/2/00000000.gz"],
        &[MANIFEST, first, "volumes/0/00000002.gz", second],
        &[MANIFEST, first, second, "etc/passwd"],
        &[MANIFEST, MANIFEST, first, second],
        &[first, MANIFEST],
        &[],
    ] {
        assert!(taken(wrong).is_err(), "{wrong:?}");
    }
}

proptest! {
    #[test]
    fn whatever_is_read_never_panics_and_a_changed_byte_is_noticed(at in 0usize..4000, xor in 1u8.., junk in prop::collection::vec(any::<u8>(), 0..600)) {
        let identity = Identity::generate();
        prop_assert!(open(junk.as_slice(), &identity).is_err());
        let prefixed = [b"age-encryption.org/v1\n-> X25519 ".as_slice(), &junk].concat();
        prop_assert!(open(prefixed.as_slice(), &identity).is_err());
        let mut backup = written(&manifest(1), &identity.to_public(), parts(&[vec![5; 1000]])).unwrap();
        let (opener, _) = open(backup.as_slice(), &identity).unwrap();
        let at = at % backup.len();
        backup[at] ^= xor;
        prop_assert!(volumes_of(&backup, &opener).is_err() || open(backup.as_slice(), &identity).is_err());
    }
}
