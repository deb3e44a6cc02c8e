//! What is decided about an installation. Pure.

use super::{Joining, Phase, Request, State};
use contract::boot::{BuildId, ENTRIES_DIR, EntryName};
use contract::settings::Settings;
use disks::Disk;

/// Instance of the unit that may lose what is on the disk.
const ERASE: &str = "erase-";

/// Why the files of an ESP start no system.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EspError {
    /// The boot loader has no entry of the system that runs.
    #[error("the ESP has no entry of the system that runs ({0})")]
    NoEntry(BuildId),
    /// A file is missing.
    #[error("the ESP has nothing below `{0}`")]
    Missing(String),
}

/// The unit that writes the disk of that kernel's name; none if the name is not plain.
pub fn unit(disk: &str, erase: bool) -> Option<String> {
    let erase = if erase { ERASE } else { "" };
    is_name(disk).then(|| format!("cloudy-install@{erase}{disk}.service"))
}

/// What the unit's instance asks for.
pub fn request(instance: &str) -> Option<Request> {
    let (name, erase) = instance.strip_prefix(ERASE).map_or((instance, false), |name| (name, true));
    is_name(name).then(|| Request { disk: format!("/dev/{name}"), erase })
}

/// As the polkit rule has it: a letter, then letters and digits.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
}

/// The kernel's name of a device.
pub fn name_of(device: &str) -> &str {
    device.strip_prefix("/dev/").unwrap_or(device)
}

/// That the kernel shows partitions on a disk, in words.
pub fn partitions(disk: &Disk) -> Option<String> {
    match disk.partitions {
        0 => None,
        1 => Some("it has a partition".to_owned()),
        count => Some(format!("it has {count} partitions")),
    }
}

/// What is on a disk, in words, by the partitions that the kernel shows and by its first and last bytes; none if nothing is.
/// File systems, encryption, RAID and boot loaders all leave a mark there.
pub fn data(disk: &Disk, start: &[u8], end: &[u8]) -> Option<String> {
    let written = || start.iter().chain(end).any(|byte| *byte != 0).then(|| "something is on it".to_owned());
    partitions(disk).or_else(written)
}

/// Of all files of the ESP (paths with `/`) those that start the build that runs, each with its path on the new one. The entry is
/// not on trial there, as in a shipped image; what belongs to another slot, to a failure or to this machine's chance stays behind.
pub fn esp_files(paths: &[String], build: BuildId) -> Result<Vec<(String, String)>, EspError> {
    let entry = |path: &str| {
        let name = path.strip_prefix(ENTRIES_DIR)?.strip_prefix('/')?;
        EntryName::parse(name).filter(|entry| entry.build == build)
    };
    let own = format!("cloudy/{build}/");
    let kept = [own.as_str(), "EFI/BOOT/", "loader/loader.conf"];
    let mut files: Vec<(String, String)> =
        paths.iter().filter(|path| kept.iter().any(|kept| path.starts_with(kept))).map(|path| (path.clone(), path.clone())).collect();
    for missing in kept {
        if !files.iter().any(|(path, _)| path.starts_with(missing)) {
            return Err(EspError::Missing(missing.to_owned()));
        }
    }
    let old = paths.iter().find(|path| entry(path).is_some()).ok_or(EspError::NoEntry(build))?;
    let name = EntryName { build, tries: None };
    files.push((old.clone(), format!("{ENTRIES_DIR}/{name}")));
    Ok(files)
}

/// How the node of those settings comes into a microcloud.
pub fn joining(settings: &Settings) -> Joining {
    match &settings.join {
        join if join.token.is_some() => Joining::Invite,
        join if join.found.is_some() => Joining::Found,
        join if join.lan == Some(true) => Joining::Lan,
        _ => Joining::Nothing,
    }
}

/// An installation whose unit ended without a word.
pub fn stopped(state: State) -> State {
    if state.phase.is_end() {
        return state;
    }
    let error = "it was stopped before its end. The disk has no partition table and is taken for no node; start again".to_owned();
    State { phase: Phase::Failed, error: Some(error), ..state }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn build(n: u8) -> BuildId {
        BuildId([n; 16])
    }

    fn paths(more: &[String]) -> Vec<String> {
        let own = build(1);
        let shipped = ["EFI/BOOT/BOOTX64.EFI", "EFI/BOOT/grubx64.efi", "loader/loader.conf"].map(str::to_owned);
        let slot = [format!("cloudy/{own}/linux"), format!("cloudy/{own}/initrd"), format!("loader/entries/cloudy-{own}+2-1.conf")];
        shipped.into_iter().chain(slot).chain(more.iter().cloned()).collect()
    }

    #[test]
    fn the_running_slot_is_taken_and_nothing_else_comes_along() {
        let other = build(2);
        let more = [
            format!("cloudy/{other}/linux"),
            format!("loader/entries/cloudy-{other}+2-1.conf"),
            "loader/random-seed".to_owned(),
            "loader/entries/debian.conf".to_owned(),
            "cloudy-failure.json".to_owned(),
            "EFI/Microsoft/x".to_owned(),
        ];
        let taken = esp_files(&paths(&more), build(1)).unwrap();
        let to: Vec<&str> = taken.iter().map(|(_, to)| to.as_str()).collect();
        let own = build(1);
        assert_eq!(
            to,
            [
                "EFI/BOOT/BOOTX64.EFI".to_owned(),
                "EFI/BOOT/grubx64.efi".to_owned(),
                "loader/loader.conf".to_owned(),
                format!("cloudy/{own}/linux"),
                format!("cloudy/{own}/initrd"),
                format!("loader/entries/cloudy-{own}.conf"),
            ]
        );
        assert_eq!(taken.last().unwrap().0, format!("loader/entries/cloudy-{own}+2-1.conf"));
    }

    #[test]
    fn an_esp_that_would_not_start_is_refused() {
        assert_eq!(esp_files(&paths(&[]), build(3)), Err(EspError::Missing(format!("cloudy/{}/", build(3)))));
        let mut all = paths(&[]);
        all.retain(|path| !path.starts_with("loader/entries"));
        assert_eq!(esp_files(&all, build(1)), Err(EspError::NoEntry(build(1))));
        all.retain(|path| !path.starts_with("EFI"));
        assert_eq!(esp_files(&all, build(1)), Err(EspError::Missing("EFI/BOOT/".to_owned())));
    }

    #[test]
    fn units_carry_the_request() {
        assert_eq!(unit("nvme0n1", false).unwrap(), "cloudy-install@nvme0n1.service");
        assert_eq!(unit("sda", true).unwrap(), "cloudy-install@erase-sda.service");
        assert_eq!(request("erase-sda"), Some(Request { disk: "/dev/sda".to_owned(), erase: true }));
        for bad in ["", "../x", "sda!0", "erase-", "erase-erase-sda", "SDA", "0a", "a b", "a\n"] {
            assert_eq!((unit(bad, false), request(bad)), (None, None), "{bad}");
        }
    }

    #[test]
    fn the_polkit_rule_lets_just_these_units_be_started() {
        let rule = include_str!("../../../../overlay/common/usr/share/polkit-1/rules.d/50-cloudy.rules");
        assert!(rule.contains(r#"var install = /^cloudy-install@(erase-)?[a-z][a-z0-9]*\.service$/;"#), "{rule}");
        assert!(rule.contains(r#"install.test(action.lookup("unit")) && action.lookup("verb") == "start""#), "{rule}");
    }

    #[test]
    fn any_byte_at_either_end_is_data() {
        let disk = |partitions| Disk {
            name: "sda".to_owned(),
            bytes: 1,
            model: String::new(),
            sector_bytes: 512,
            partitions,
            read_only: false,
            made_up: false,
            uses: Vec::new(),
        };
        assert_eq!(data(&disk(0), &[0; 99], &[0; 9]), None);
        assert!(data(&disk(0), &[0, 1], &[]).is_some());
        assert!(data(&disk(0), &[], &[0, 1]).is_some());
        assert_eq!(data(&disk(2), &[], &[]).unwrap(), "it has 2 partitions");
    }

    proptest! {
        #[test]
        fn a_unit_s_instance_is_read_as_it_was_written(name in "[a-z][a-z0-9]{0,8}", erase: bool) {
            let unit = unit(&name, erase).unwrap();
            let instance = unit.strip_prefix("cloudy-install@").unwrap().strip_suffix(".service").unwrap();
            prop_assert_eq!(request(instance), Some(Request { disk: format!("/dev/{name}"), erase }));
        }

        #[test]
        fn any_instance_is_survived(text in "\\PC*") {
            if let Some(request) = request(&text) {
                prop_assert!(request.disk.starts_with("/dev/") && !request.disk[5..].contains(['/', '.']));
            }
        }
    }
}
