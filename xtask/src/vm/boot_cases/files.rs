//! Cases about a slot's files: what is missing or damaged costs the slot, and the other one is told why.

use std::path::Path;

use anyhow::{Context, Result};
use contract::boot::Slot;
use contract::state::{RECORD_BYTES, State};

use super::Case;
use crate::boot::uboot::{
    CHECKSUM_SUFFIX, COMMAND_LINE_FILE, CONSOLE_VARIABLE, DEVICE_TREES, INITRAMFS_FILE, KERNEL_FILE, checksum, command_line,
};
use crate::vm::disk::{Damage, Disk, damaged};

/// How much of each partition's start is looked at for what a case changed: all of its tables, and these small files.
const COMPARED_BYTES: usize = 4 << 20;
/// A kernel that is none: gzip of nothing, which U-Boot unpacks and then refuses to start.
const NO_KERNEL: [u8; 20] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const LABELS: [&str; 2] = ["boot-a", "boot-b"];

/// Words of the kernel's command line that the card's own tree and the lab add.
pub struct Words {
    from: String,
    trees: Vec<String>,
}

/// Gives both slots of a card files that are quickly read; device trees are the image's own.
pub fn prepare(disk: &Disk) -> Result<Words> {
    let trees: Vec<_> = disk.files("boot-a")?.into_iter().filter(|(path, _)| path.starts_with(DEVICE_TREES)).collect();
    let plain = |path: &&String| !path.ends_with(CHECKSUM_SUFFIX);
    let names = trees.iter().map(|(path, _)| path).filter(plain).cloned().collect();
    for label in LABELS {
        let mut files = trees.clone();
        let words = ["before", CONSOLE_VARIABLE, label].map(str::to_owned);
        files.push((COMMAND_LINE_FILE.to_owned(), command_line(&words)?));
        for (name, content) in [(KERNEL_FILE, NO_KERNEL.to_vec()), (INITRAMFS_FILE, vec![b'i'; 3000])] {
            files.push((format!("{name}{CHECKSUM_SUFFIX}"), checksum(&content).to_vec()));
            files.push((name.to_owned(), content));
        }
        disk.replace_files(label, files)?;
    }
    Ok(Words { from: disk.guid("config")?.to_string().to_lowercase(), trees: names })
}

/// All cases, for the card at `path`, which is as [`prepare`] left it; `own_tree` is the device tree of the machine that it is
/// tried on.
pub fn cases(path: &Path, words: &Words, own_tree: &str) -> Result<Vec<Case>> {
    let mut cases = vec![Case {
        name: "all is well".to_owned(),
        sectors: Vec::new(),
        says: vec![
            "cloudy: slot a (records".to_owned(),
            "cloudy: starting slot a: before console=tty".to_owned(),
            " boot-a cloudy.from=".to_owned(),
            format!("{} cloudy.slot=a cloudy.watchdog=0", words.from),
        ],
        never: vec!["no device tree".to_owned()],
        after: Some(State::SHIPPED),
        ..Case::default()
    }];
    let mut all: Vec<(&str, &str)> = vec![(KERNEL_FILE, "kernel"), (INITRAMFS_FILE, "initramfs"), (COMMAND_LINE_FILE, "command-line")];
    all.extend(words.trees.iter().map(|tree| (tree.as_str(), "device-tree")));
    let mut wanted = Vec::new();
    for (file, why) in all {
        wanted.push((file, Damage::Flip, why));
        // A model that the slot has no tree for is started with the firmware's; see below.
        if why != "device-tree" {
            wanted.push((file, Damage::Remove, why));
            wanted.push((file, Damage::Truncate, why));
        }
    }
    for (file, damage, why) in wanted {
        let sectors = difference(path, |disk| damage_file(disk, "boot-a", file, damage))?;
        // Of several trees, U-Boot takes this model's; whichever other is damaged does not matter.
        let says = if why == "device-tree" && !file.ends_with(&format!("/{own_tree}")) {
            vec!["cloudy: starting slot a: before".to_owned()]
        } else {
            vec![
                format!("cloudy: slot a cannot be started: its {why} is missing or damaged"),
                format!("cloudy: starting slot b: before console=tty"),
                format!("cloudy.slot=b cloudy.skipped=a:{why}"),
            ]
        };
        cases.push(Case { name: format!("{file} of slot a: {damage:?}"), sectors, says, after: Some(State::SHIPPED), ..Case::default() });
    }
    cases.extend(whole_slots(path)?);
    Ok(cases)
}

/// Cases about a slot as a whole.
fn whole_slots(path: &Path) -> Result<Vec<Case>> {
    let damaged_trees = difference(path, |disk| {
        change_files(disk, "boot-a", |path, bytes| {
            if path.starts_with(DEVICE_TREES) && !path.ends_with(CHECKSUM_SUFFIX) {
                damaged(bytes, Damage::Flip)
            } else {
                Ok(Some(bytes.to_vec()))
            }
        })
    })?;
    let no_trees =
        difference(path, |disk| change_files(disk, "boot-a", |path, bytes| Ok((!path.starts_with(DEVICE_TREES)).then(|| bytes.to_vec()))))?;
    let no_file_system = difference(path, |disk| disk.write_at("boot-a", 0, &[0; RECORD_BYTES]))?;
    let on_trial = State { sequence: 5, ..State::SHIPPED.with_trial(Slot::B, 3) };
    let trial_without_kernel = difference(path, |disk| {
        disk.write_at("state", 0, &on_trial.encode())?;
        damage_file(disk, "boot-b", KERNEL_FILE, Damage::Flip)
    })?;
    let (_, counted) = on_trial.next_start();
    let skipped = |why: &str| vec![format!("cloudy: slot a cannot be started: its {why}"), format!("cloudy.slot=b cloudy.skipped=a:{why}")];
    let case = |name: &str, sectors, says, after| Case { name: name.to_owned(), sectors, says, after, ..Case::default() };
    Ok(vec![
        case("every device tree of slot a is damaged", damaged_trees, skipped("device-tree"), Some(State::SHIPPED)),
        case(
            "slot a has no device tree of this model",
            no_trees,
            vec!["the one of the firmware is taken".to_owned(), "cloudy: starting slot a: before".to_owned()],
            Some(State::SHIPPED),
        ),
        case("slot a has no file system", no_file_system, skipped("command-line"), Some(State::SHIPPED)),
        case(
            "the kernel of a slot on trial is damaged",
            trial_without_kernel,
            vec![
                "cloudy: slot b, on trial, 2 tries left".to_owned(),
                "cloudy: slot b cannot be started: its kernel is missing or damaged".to_owned(),
                "cloudy.slot=a cloudy.skipped=b:kernel".to_owned(),
            ],
            counted,
        ),
    ])
}

fn damage_file(disk: &Disk, label: &str, file: &str, damage: Damage) -> Result<()> {
    change_files(disk, label, |path, bytes| if path == file { damaged(bytes, damage) } else { Ok(Some(bytes.to_vec())) })
}

fn change_files(disk: &Disk, label: &str, change: impl Fn(&str, &[u8]) -> Result<Option<Vec<u8>>>) -> Result<()> {
    let mut files = Vec::new();
    for (path, bytes) in disk.files(label)? {
        if let Some(bytes) = change(&path, &bytes)? {
            files.push((path, bytes));
        }
    }
    disk.replace_files(label, files)
}

/// Sectors that a change of the card touches; the card is put back.
fn difference(path: &Path, change: impl FnOnce(&Disk) -> Result<()>) -> Result<Vec<(u64, [u8; RECORD_BYTES])>> {
    let disk = Disk::open(path)?;
    let labels = ["boot-a", "boot-b", "state"];
    let read = |label: &str| {
        let bytes = usize::try_from(disk.bytes(label)?)?.min(COMPARED_BYTES);
        disk.read_at(label, 0, bytes)
    };
    let before = labels.iter().map(|label| read(label)).collect::<Result<Vec<_>>>()?;
    change(&disk)?;
    let mut sectors = Vec::new();
    for (label, before) in labels.iter().zip(&before) {
        let (now, first) = (read(label)?, disk.first_sector(label)?);
        for (number, (now, before)) in (0..).zip(now.chunks_exact(RECORD_BYTES).zip(before.chunks_exact(RECORD_BYTES))) {
            if now != before {
                sectors.push((first + number, now.try_into().ok().context("no sector")?));
            }
        }
        disk.write_at(label, 0, before)?;
    }
    Ok(sectors)
}
