//! Disks in every state, and whatever may be asked.

use super::*;
use crate::storage::facts::tests::{id, machine, udev_of_ours};
use contract::guid::Guid;
use disks::{Disk, Use};
use proptest::prelude::*;

fn seen(udev: &str) -> Seen {
    machine(udev).1.look().unwrap().remove(0)
}

fn known() -> Known {
    Known { disks: [(id(), "Photos".to_owned())].into() }
}

/// A device that is mounted; with `!` it can only be read.
fn at(number: &str) -> Mounted {
    Mounted { number: number.trim_end_matches('!').to_owned(), only_read: number.ends_with('!') }
}

fn view(seen: &Seen, known: &Known, mounted: Option<&str>, said: Option<SaidHow>, running: &str) -> DiskView {
    let mounted = mounted.map(|number| (id(), at(number))).into_iter().collect();
    let said = said
        .map(|how| (id(), Said { sequences: vec!["9".to_owned(), "12".to_owned()], how, why: "broken".to_owned() }))
        .into_iter()
        .collect();
    let placed = [("wiki".to_owned(), id())].into();
    views(std::slice::from_ref(seen), Some(running), known, &mounted, &said, &placed).remove(0)
}

#[test]
fn the_disk_of_the_system_is_never_prepared_nor_one_that_is_used() {
    let disk = seen("E:ID_FS_TYPE=vfat\n");
    assert!(may_be_prepared(&disk, Some("sda")).is_ok());
    assert!(matches!(may_be_prepared(&disk, Some("sdb")), Err(NotPrepared::Refused(Refusal::System { .. }))));
    assert!(matches!(may_be_prepared(&disk, None), Err(NotPrepared::NoImage)));
    let at = |at: &str| Use::Mounted { device: "sdb1".to_owned(), at: at.into() };
    for used in [
        at("/"),
        at("/var"),
        at("/mnt/x"),
        Use::Swap { device: "sdb1".to_owned() },
        Use::Held { device: "sdb1".to_owned(), by: "md0".to_owned() },
    ] {
        let mut disk = disk.clone();
        disk.disk.uses.push(used.clone());
        assert!(may_be_prepared(&disk, Some("sda")).is_err(), "{used:?}");
    }
    let small = Seen { disk: Disk { bytes: MIN_BYTES - 1, ..disk.disk.clone() }, ..disk.clone() };
    assert!(may_be_prepared(&small, Some("sda")).is_err());
    // Another disk has the name now, or none has.
    assert!(meant(std::slice::from_ref(&disk), "sdb", &disk.mark(), Some("sda")).is_ok());
    for (name, mark) in [("sdb", "0123456789abcdef"), ("sdc", disk.mark().as_str())] {
        assert!(matches!(meant(std::slice::from_ref(&disk), name, mark, Some("sda")), Err(NotPrepared::Gone)));
    }
    assert!(meant(std::slice::from_ref(&disk), "sdb", &disk.mark(), Some("sdb")).is_err());
}

#[test]
fn each_disk_is_shown_as_it_is() {
    let (ours, other) = (seen(&udev_of_ours()), seen("E:ID_FS_TYPE=vfat\n"));
    let none = Known::default();
    for (seen, known, mounted, said, running, state) in [
        (&other, &none, None, None, "sda", DiskState::Free),
        (&other, &none, None, None, "sdb", DiskState::System),
        (&ours, &none, None, None, "sda", DiskState::Strange),
        (&ours, &known(), None, None, "sda", DiskState::Coming),
        (&ours, &known(), Some("8:17"), None, "sda", DiskState::Ready),
        (&ours, &known(), Some("8:17!"), None, "sda", DiskState::ReadOnly),
        // What was mounted before it was unplugged and plugged in again.
        (&ours, &known(), Some("8:1"), None, "sda", DiskState::Coming),
        (&ours, &known(), None, Some(SaidHow::Ejected), "sda", DiskState::Ejected),
        (&ours, &known(), None, Some(SaidHow::Wrong), "sda", DiskState::Wrong),
        (&ours, &known(), Some("8:17"), Some(SaidHow::Wrong), "sda", DiskState::Ready),
        (&ours, &known(), Some("8:17"), None, "sdb", DiskState::System),
    ] {
        let view = view(seen, known, mounted, said, running);
        assert_eq!(view.state, state, "{view:?}");
        assert_eq!(view.apps.is_empty(), view.id.is_none(), "{view:?}");
    }
    // What was said of it before it was plugged in anew counts no more.
    let again = Seen { sequence: "13".to_owned(), ..ours };
    assert_eq!(view(&again, &known(), None, Some(SaidHow::Ejected), "sda").state, DiskState::Coming);
    // It is missing where an app waits for it, and nobody is told of others.
    let placed = [("wiki".to_owned(), id())].into();
    let gone = views(&[], Some("sda"), &known(), &BTreeMap::new(), &BTreeMap::new(), &placed);
    assert_eq!((gone.len(), gone[0].state, gone[0].name.as_deref()), (1, DiskState::Missing, Some("Photos")));
    assert!(views(&[], Some("sda"), &known(), &BTreeMap::new(), &BTreeMap::new(), &BTreeMap::new()).is_empty());
}

fn placed(up: Option<bool>) -> Placed {
    Placed { app: "wiki".to_owned(), disk: id(), up, resting: false, busy: false }
}

fn disk(state: DiskState) -> DiskView {
    DiskView { id: Some(id()), state, ..DiskView::default() }
}

#[test]
fn an_app_stands_still_without_its_disk_and_starts_with_it_once() {
    let mounted: BTreeMap<DiskId, Mounted> = [(id(), at("8:17"))].into();
    let (none, never) = (BTreeMap::new(), BTreeSet::new());
    let start = vec![Act::Start("wiki".to_owned())];
    let ready = [disk(DiskState::Ready)];
    assert_eq!(next(&ready, &mounted, &[placed(Some(false))], &never), start);
    assert_eq!(next(&ready, &mounted, &[placed(Some(true))], &never), []);
    assert_eq!(next(&ready, &mounted, &[placed(None)], &never), []);
    assert_eq!(next(&ready, &mounted, &[placed(Some(false))], &["wiki".to_owned()].into()), []);
    for other in [Placed { resting: true, ..placed(Some(false)) }, Placed { busy: true, ..placed(Some(false)) }] {
        assert_eq!(next(&ready, &mounted, &[other], &never), []);
    }
    // Unplugged without a word: first the app is stopped, then the disk is let go.
    assert_eq!(next(&[], &mounted, &[placed(Some(true))], &never), [Act::Halt("wiki".to_owned())]);
    assert_eq!(next(&[], &mounted, &[placed(Some(false))], &never), [Act::Ask(Ask::Gone(id()))]);
    // Broken and still there: it stands still, and a person lets it go.
    assert_eq!(next(&[disk(DiskState::ReadOnly)], &mounted, &[placed(Some(true))], &never), [Act::Halt("wiki".to_owned())]);
    assert_eq!(next(&[disk(DiskState::ReadOnly)], &mounted, &[placed(Some(false))], &never), []);
    // Plugged in again before that: what is mounted is of before.
    let coming = [disk(DiskState::Coming)];
    assert_eq!(next(&coming, &mounted, &[placed(Some(true))], &never), [Act::Halt("wiki".to_owned())]);
    assert_eq!(next(&coming, &mounted, &[], &never), [Act::Ask(Ask::Gone(id()))]);
    assert_eq!(next(&coming, &none, &[placed(Some(false))], &never), [Act::Ask(Ask::Mount(id()))]);
    for state in [DiskState::Ejected, DiskState::Wrong, DiskState::Missing, DiskState::Strange] {
        assert_eq!(next(&[disk(state)], &none, &[placed(Some(false))], &never), [], "{state:?}");
    }
}

fn asks() -> impl Strategy<Value = Ask> {
    let id = || (1u128..).prop_map(|number| DiskId(Guid(number)));
    let prepare = ("[a-z][a-z0-9]{0,8}", "[0-9a-f]{16}", id(), "[a-zA-Z0-9]([a-zé _.-]{0,6}[a-z])?");
    prop_oneof![
        prepare.prop_map(|(disk, mark, id, name)| Ask::Prepare { disk, mark, id, name }),
        id().prop_map(Ask::Mount),
        id().prop_map(Ask::Repair),
        id().prop_map(Ask::Eject),
        id().prop_map(Ask::Gone),
        id().prop_map(Ask::Tidy),
    ]
}

fn instance(unit: &str) -> Option<&str> {
    unit.strip_prefix("cloudy-disk@")?.strip_suffix(".service")
}

#[test]
fn a_disk_is_known_to_hold_apps_data_whether_or_not_it_is_used() {
    let (_dir, places) = machine(&udev_of_ours());
    let seen = places.look().unwrap().remove(0);
    let other = DiskId(Guid(7));
    assert_eq!(on(&seen, &[("wiki".to_owned(), id()), ("mail".to_owned(), other)].into()), ["wiki"]);
    let (_dir, places) = machine("");
    assert!(on(&places.look().unwrap()[0], &[("wiki".to_owned(), id())].into()).is_empty());
}

proptest! {
    #[test]
    fn what_is_asked_is_read_as_it_was_written_and_fits_a_unit_s_name(ask in asks()) {
        let unit = ask.unit();
        prop_assert!(unit.len() < 200 && unit.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-@.".contains(c)), "{}", unit);
        prop_assert_eq!(Ask::read(instance(&unit).unwrap()), Some(ask));
    }

    #[test]
    fn whatever_a_unit_is_called_no_path_and_no_program_s_word_is_read(text in "(prepare-[a-z/.]{0,6}-[0-9a-f]{15,17}-[0-9a-f]{32}-[0-9a-f]{0,40})|(\\PC{0,60})") {
        match Ask::read(&text) {
            Some(Ask::Prepare { disk, name, .. }) => prop_assert!(is_kernels(&disk) && is_name(&name) && !name.starts_with('-')),
            Some(ask) => prop_assert_eq!(instance(&ask.unit()).map(str::to_owned), Some(text)),
            None => {}
        }
    }

    /// Whatever is plugged in and mounted, and however apps are: none is started without its disk, and no disk is let go that one uses.
    #[test]
    fn no_app_is_started_without_its_disk(
        states in prop::collection::vec((0u128..4, 0usize..9), 0..4),
        mounts in prop::collection::btree_set(1u128..5, 0..4),
        apps in prop::collection::vec((1u128..5, prop::option::of(any::<bool>()), any::<bool>(), any::<bool>()), 0..6),
    ) {
        use DiskState as S;
        let all = [S::System, S::Free, S::Refused, S::Strange, S::Coming, S::Ready, S::Ejected, S::Wrong, S::Missing];
        let id = |number: u128| DiskId(Guid(number));
        let disks: Vec<DiskView> =
            states.iter().map(|(number, state)| DiskView { id: Some(id(*number + 1)), state: all[*state], ..DiskView::default() }).collect();
        let mounted = mounts.iter().map(|number| (id(*number), at("8:17"))).collect();
        let placed: Vec<Placed> = apps
            .iter()
            .enumerate()
            .map(|(at, (disk, up, resting, busy))| Placed { app: format!("a{at}"), disk: id(*disk), up: *up, resting: *resting, busy: *busy })
            .collect();
        let state = |disk: DiskId| {
            let its: Vec<S> = disks.iter().filter(|view| view.id == Some(disk)).map(|view| view.state).collect();
            if its.contains(&S::Ready) { Some(S::Ready) } else { its.first().copied() }
        };
        let acts = next(&disks, &mounted, &placed, &BTreeSet::new());
        prop_assert!(acts.iter().skip_while(|act| matches!(act, Act::Halt(_))).all(|act| !matches!(act, Act::Halt(_))), "{:?}", acts);
        for act in acts {
            match act {
                Act::Start(app) => {
                    let its = placed.iter().find(|its| its.app == app).unwrap();
                    prop_assert!(state(its.disk) == Some(S::Ready) && !its.resting && !its.busy && its.up == Some(false));
                }
                Act::Halt(app) => prop_assert!(state(placed.iter().find(|its| its.app == app).unwrap().disk) != Some(S::Ready)),
                Act::Ask(Ask::Gone(disk)) => {
                    prop_assert!(state(disk) != Some(S::Ready) && !placed.iter().any(|its| its.disk == disk && its.up != Some(false)));
                }
                Act::Ask(Ask::Mount(disk)) => prop_assert!(disks.iter().any(|view| view.id == Some(disk) && view.state == S::Coming)),
                Act::Ask(other) => prop_assert!(false, "{other:?} is done for people alone"),
            }
        }
    }
}
