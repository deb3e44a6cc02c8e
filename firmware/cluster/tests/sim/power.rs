//! Acknowledged writes survive power cuts and killed processes; without the sync they would not.

use crate::{
    disk::Disk,
    figure,
    world::{id_of, seed_of},
};
use cluster::{
    CommunityId, Millis,
    records::{Change, Kind, Phase, Replica, Slot},
    store::{RedbStore, Storage, Store, Table},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::collections::BTreeMap;

const WRITES: usize = 10_000;
const CUTS: usize = 250;

#[derive(Debug, PartialEq, Eq)]
enum Build {
    Shipped,
    /// Commits without their sync.
    NoSync,
    /// Commits on a disk that does not do what a sync asks for.
    LyingDisk,
}

#[derive(Debug, Default)]
struct Tally {
    writes: usize,
    acknowledged: usize,
    cuts: usize,
    in_a_commit: usize,
    kills: usize,
    lost: usize,
    put_aside: usize,
    syncs: u64,
    epochs: u32,
}

fn open(disk: &Disk, build: &Build, rng: &mut StdRng) -> Replica<RedbStore> {
    let mut store = RedbStore::open(Box::new(disk.clone())).unwrap();
    if *build == Build::NoSync {
        store.never_sync();
    }
    let mut replica = Replica::open(Millis(0), store, seed_of(0), CommunityId([9; 32]), None, rng.random()).unwrap();
    replica.set_members(Millis(0), [id_of(0)].into(), [0; 32]);
    replica.tick(Millis(1));
    assert_eq!(replica.phase(), Phase::Open);
    replica
}

fn write_and_cut(seed: u64, build: &Build) -> Tally {
    let mut rng = StdRng::seed_from_u64(seed);
    let disk = Disk::default();
    if *build == Build::LyingDisk {
        disk.set_lies();
    }
    let mut tally = Tally::default();
    let mut may_hold: BTreeMap<Slot, Vec<Option<Vec<u8>>>> = BTreeMap::new();
    while tally.cuts < CUTS || tally.writes < WRITES {
        let aside = disk.aside();
        let mut replica = open(&disk, build, &mut rng);
        tally.put_aside += (disk.aside() - aside) as usize;
        assert!(replica.own_order().epoch > tally.epochs || *build != Build::Shipped, "an epoch was opened twice");
        tally.epochs = replica.own_order().epoch;
        for (slot, values) in &mut may_hold {
            let found = replica.get(&id_of(0), slot).unwrap().map(|record| record.value);
            if !values.contains(&found) {
                tally.lost += 1;
            }
            *values = vec![found];
        }
        if *build != Build::Shipped && tally.lost > 0 {
            return tally;
        }
        let writes = rng.random_range(0..80);
        let in_a_commit = rng.random_bool(0.5);
        for number in 0..=writes {
            if number == writes && in_a_commit {
                disk.die_after(rng.random_range(0..25));
            }
            let slot = Slot { kind: Kind::SERVICE, key: format!("{}", rng.random_range(0..200)) };
            let mut bytes = vec![0; rng.random_range(8..300)];
            rng.fill(&mut bytes);
            let value = rng.random_bool(0.9).then_some(bytes);
            let change = match &value {
                Some(value) => Change::Put { slot: slot.clone(), schema: 1, value: value.clone() },
                None => Change::Remove(slot.clone()),
            };
            tally.writes += 1;
            let values = may_hold.entry(slot).or_insert_with(|| vec![None]);
            match replica.write(Millis(2), &[change]) {
                Ok(_) => {
                    tally.acknowledged += 1;
                    *values = vec![value];
                }
                Err(_) => values.push(value),
            }
        }
        tally.in_a_commit += usize::from(disk.is_dead());
        if rng.random_bool(0.2) {
            tally.kills += 1;
            disk.kill();
        } else {
            tally.cuts += 1;
            disk.cut(&mut rng);
        }
    }
    tally.syncs = disk.work().0;
    tally
}

#[test]
fn no_acknowledged_write_is_lost_over_250_power_cuts() {
    let seed: u64 = std::env::var("CLOUDY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| rand::rng().random());
    println!("CLOUDY_SEED={seed}");
    let tally = write_and_cut(seed, &Build::Shipped);
    println!("{tally:?}");
    figure("acknowledged writes lost, of 10,000 over 250 power cuts", tally.lost as f64, 0.0, "");
    assert_eq!((tally.lost, tally.put_aside), (0, 0));
    assert!(tally.acknowledged > WRITES * 9 / 10 && tally.cuts >= 200 && tally.in_a_commit > 50, "{tally:?}");
}

#[test]
fn the_sync_is_what_keeps_them() {
    for build in [Build::NoSync, Build::LyingDisk] {
        let tally = write_and_cut(1, &build);
        println!("{build:?}: {tally:?}");
        assert!(tally.lost > 0, "{build:?} lost nothing, so the test above proves nothing");
    }
}

#[test]
fn a_database_of_an_earlier_version_gets_the_tables_that_it_lacks() {
    let mut disk = Disk::default();
    let before = RedbStore::open(Box::new(disk.clone())).unwrap();
    drop(before);
    #[derive(Debug)]
    struct Backend(Box<dyn redb::StorageBackend>);
    impl redb::StorageBackend for Backend {
        fn len(&self) -> std::io::Result<u64> {
            self.0.len()
        }
        fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
            self.0.read(offset, out)
        }
        fn set_len(&self, len: u64) -> std::io::Result<()> {
            self.0.set_len(len)
        }
        fn sync_data(&self) -> std::io::Result<()> {
            self.0.sync_data()
        }
        fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
            self.0.write(offset, data)
        }
    }
    let database = redb::Builder::new().create_with_backend(Backend(disk.open().unwrap())).unwrap();
    let transaction = database.begin_write().unwrap();
    let apps: redb::TableDefinition<'_, &[u8], &[u8]> = redb::TableDefinition::new(Table::Apps.name());
    assert!(transaction.delete_table(apps).unwrap());
    transaction.commit().unwrap();
    drop(database);
    let after = RedbStore::open(Box::new(disk.clone())).unwrap();
    assert_eq!((after.get(Table::Apps, b"x").unwrap(), disk.aside()), (None, 0));
}
