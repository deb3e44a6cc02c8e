//! A store whose file was damaged: whatever bit it was, the node starts, and never by a panic of the store.

use crate::disk::Disk;
use cluster::store::{Batch, RedbStore, Store, Sync, Table};
use rand::{RngExt, SeedableRng, rngs::StdRng};

/// All that redb keeps before its first page: geometry, and two slots with their checksums.
const HEADER_BYTES: usize = 320;

fn filled() -> Disk {
    let disk = Disk::default();
    let mut store = RedbStore::open(Box::new(disk.clone())).unwrap();
    for number in 0..60_u8 {
        let mut batch = Batch::default();
        batch.put(Table::Records, vec![number; 20], vec![number; 1500]);
        store.commit(&batch, Sync::Now).unwrap();
    }
    drop(store);
    disk
}

/// Opens the damaged disk, reads it through and writes to it, as a node does when it starts. Whether it was put aside.
fn starts(disk: &Disk, what: &str) -> bool {
    let before = disk.aside();
    let mut store = RedbStore::open(Box::new(disk.clone())).unwrap_or_else(|error| panic!("{what}: {error}"));
    let mut found = 0;
    store
        .scan(Table::Records, &[], &mut |_, value| {
            assert!(value.len() == 1500, "{what}: a value of {} bytes", value.len());
            found += 1;
            std::ops::ControlFlow::Continue(())
        })
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let aside = disk.aside() > before;
    assert!(found == if aside { 0 } else { 60 }, "{what}: {found} records are left, aside: {aside}");
    let mut batch = Batch::default();
    batch.put(Table::Records, b"after".to_vec(), vec![0; 1500]);
    store.commit(&batch, Sync::Now).unwrap_or_else(|error| panic!("{what}: {error}"));
    aside
}

#[test]
fn whatever_bit_of_the_header_is_damaged_the_store_opens_or_is_put_aside() {
    let (good, disk) = (filled().image(), Disk::default());
    let mut aside = 0;
    for bit in 0..HEADER_BYTES * 8 {
        disk.restore(&good);
        disk.flip(bit);
        aside += usize::from(starts(&disk, &format!("bit {} of byte {}", bit % 8, bit / 8)));
    }
    println!("of {} bits {aside} put the store aside", HEADER_BYTES * 8);
    assert!(aside > 200);
}

#[test]
fn whatever_was_cut_off_or_changed_the_store_opens_or_is_put_aside() {
    let (good, disk) = (filled().image(), Disk::default());
    let mut rng = StdRng::seed_from_u64(1);
    let mut aside = 0;
    for number in 0..1500 {
        disk.restore(&good);
        let what = if number % 3 == 0 {
            let length = rng.random_range(0..good.len());
            disk.shorten(length);
            format!("cut to {length} bytes")
        } else {
            let bit = rng.random_range(0..good.len() * 8);
            disk.flip(bit);
            format!("bit {} of byte {}", bit % 8, bit / 8)
        };
        aside += usize::from(starts(&disk, &what));
    }
    println!("of 1500 damages {aside} put the store aside");
    assert!(aside > 500);
}
