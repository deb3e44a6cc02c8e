//! Disks as sysfs, mountinfo and udev's files show them, for the agent and the root unit alike. Reading only; a test gives folders of its
//! own. What stands on a disk is a stranger's text: it is cut, and nothing of it says what is done.

use contract::guid::Guid;
use contract::oci::Digest;
use contract::storage::{DiskId, KIND, MOUNTS};
use disks::{Disk, Host, partitions};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Characters of a text of a disk's that are shown.
const SHOWN_CHARS: usize = 48;
/// Bytes of a file of udev's that are read.
const UDEV_BYTES: usize = 64 * 1024;

/// Where all of it is read.
#[derive(Clone, Debug)]
pub struct Places {
    /// `/sys`.
    pub sys: PathBuf,
    /// udev's files, one a device.
    pub udev: PathBuf,
    /// `/proc/self/mountinfo`.
    pub mountinfo: PathBuf,
    /// `/proc/swaps`.
    pub swaps: PathBuf,
    /// Where disks of ours are mounted, and the root unit says what came of them.
    pub mounts: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            sys: "/sys".into(),
            udev: "/run/udev/data".into(),
            mountinfo: "/proc/self/mountinfo".into(),
            swaps: "/proc/swaps".into(),
            mounts: MOUNTS.into(),
        }
    }
}

/// A disk with what is on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The disk.
    pub disk: Disk,
    /// Another number each time that something is plugged in (sysfs' `diskseq`).
    pub sequence: String,
    /// Its serial number, as far as it says one.
    pub serial: String,
    /// How it is attached: `usb`, `ata`, …
    pub bus: String,
    /// The file system on all of it: its kind and label.
    pub whole: (String, String),
    /// Its partitions.
    pub parts: Vec<Part>,
}

/// A partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// The kernel's name: `sdb1`.
    pub name: String,
    /// The kernel's number: `8:17`.
    pub number: String,
    /// Which disk of ours it is, if it is one that was finished.
    pub id: Option<DiskId>,
    /// Kind and label of its file system.
    pub holds: (String, String),
}

impl Seen {
    /// The disk of ours that it is.
    pub fn ours(&self) -> Option<(DiskId, &Part)> {
        match self.parts.as_slice() {
            [part] => part.id.map(|id| (id, part)),
            _ => None,
        }
    }

    /// What it is known by until it is unplugged: another disk that gets its name meanwhile has another mark.
    pub fn mark(&self) -> String {
        let Disk { name, bytes, model, .. } = &self.disk;
        let text = [name, &bytes.to_string(), model, &self.serial, &self.sequence].map(|word| word.replace('\0', " ")).join("\0");
        Digest::of(text.as_bytes()).hex().chars().take(16).collect()
    }

    /// What is on it, for people.
    pub fn holds(&self) -> Vec<String> {
        let all = std::iter::once(&self.whole).chain(self.parts.iter().map(|part| &part.holds));
        let said = |(kind, label): &(String, String)| match (kind.is_empty(), label.is_empty()) {
            (true, true) => None,
            (_, true) => Some(kind.clone()),
            (true, false) => Some(label.clone()),
            (false, false) => Some(format!("{label} ({kind})")),
        };
        let mut found: Vec<String> = all.filter_map(said).collect();
        if found.is_empty() && self.disk.partitions > 0 {
            found.push(format!("{} partitions", self.disk.partitions));
        }
        found
    }
}

/// What is mounted in the folder of a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    /// The kernel's number of the device: `8:17`.
    pub number: String,
    /// The file system takes nothing more: the kernel has seen that it or the disk is broken.
    pub only_read: bool,
}

impl Places {
    /// All disks that a person may mean.
    ///
    /// # Errors
    /// sysfs can't be read.
    pub fn look(&self) -> std::io::Result<Vec<Seen>> {
        let host = Host { sys: self.sys.clone(), mountinfo: self.mountinfo(), swaps: text(&self.swaps) };
        Ok(host.disks()?.into_iter().map(|disk| self.seen(disk)).collect())
    }

    fn seen(&self, disk: Disk) -> Seen {
        let folder = self.sys.join("block").join(&disk.name);
        let facts = self.udev(text(&folder.join("dev")).trim());
        let mut parts = Vec::new();
        for at in partitions(&folder) {
            let number = text(&at.join("dev")).trim().to_owned();
            let name = at.file_name().unwrap_or_default().to_string_lossy().into_owned();
            parts.push(part(name, &self.udev(&number), number));
        }
        parts.sort_by(|one, other| one.name.cmp(&other.name));
        let fact = |name: &str| facts.get(name).map(|text| shown(text)).unwrap_or_default();
        Seen {
            sequence: shown(text(&folder.join("diskseq")).trim()),
            serial: fact("ID_SERIAL_SHORT"),
            bus: fact("ID_BUS"),
            whole: holds(&facts),
            parts,
            disk: Disk { model: shown(&disk.model), ..disk },
        }
    }

    fn udev(&self, number: &str) -> BTreeMap<String, String> {
        let plain = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || c == ':');
        let said = if plain { std::fs::read(self.udev.join(format!("b{number}"))).unwrap_or_default() } else { Vec::new() };
        udev(&String::from_utf8_lossy(said.get(..UDEV_BYTES).unwrap_or(&said)))
    }

    fn mountinfo(&self) -> String {
        text(&self.mountinfo)
    }

    /// What is mounted in the folders of these disks, by one look.
    pub fn all_mounted(&self, ids: impl Iterator<Item = DiskId>) -> BTreeMap<DiskId, Mounted> {
        let mountinfo = self.mountinfo();
        ids.filter_map(|id| Some((id, mounted(&mountinfo, &self.folder(id))?))).collect()
    }

    /// The folder in which a disk is mounted.
    pub fn folder(&self, id: DiskId) -> PathBuf {
        self.mounts.join(id.to_string())
    }

    /// What is mounted there.
    pub fn mounted(&self, id: DiskId) -> Option<Mounted> {
        mounted(&self.mountinfo(), &self.folder(id))
    }

    /// The folder of a disk, if it is mounted there and its device has not gone.
    pub fn usable(&self, id: DiskId) -> Option<PathBuf> {
        let mounted = self.mounted(id)?;
        self.sys.join("dev/block").join(mounted.number).exists().then(|| self.folder(id))
    }
}

/// What is mounted at a folder, the last that was (pure). Only a whole ext4 counts.
pub fn mounted(mountinfo: &str, at: &Path) -> Option<Mounted> {
    let there = mountinfo.lines().rev().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut fields = before.split(' ').skip(2);
        let (number, root, point) = (fields.next()?, fields.next()?, fields.next()?);
        let mut of = after.split(' ');
        let (kind, options) = (of.next()?, of.nth(1).unwrap_or_default());
        // Of the file system itself, not of how it is mounted.
        let only_read = options.split(',').any(|option| option == "ro");
        (Path::new(point) == at).then(|| (Mounted { number: number.to_owned(), only_read }, root == "/" && kind == "ext4"))
    });
    there.filter(|(_, whole)| *whole).map(|(mounted, _)| mounted)
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// What udev noted of a device: `E:NAME=VALUE` (pure).
fn udev(said: &str) -> BTreeMap<String, String> {
    let facts = said.lines().filter_map(|line| line.strip_prefix("E:")?.split_once('='));
    facts.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn part(name: String, facts: &BTreeMap<String, String>, number: String) -> Part {
    let guid = |name: &str| facts.get(name).and_then(|text| text.parse::<Guid>().ok());
    let ours = guid("ID_PART_ENTRY_TYPE") == Some(KIND);
    let id = guid("ID_PART_ENTRY_UUID").filter(|id| ours && *id != Guid::ZERO).map(DiskId);
    Part { name, number, id, holds: holds(facts) }
}

/// Kind and label of a file system.
fn holds(facts: &BTreeMap<String, String>) -> (String, String) {
    let fact = |name: &str| facts.get(name).map(String::as_str).unwrap_or_default();
    (shown(fact("ID_FS_TYPE")), shown(&unescaped(fact("ID_FS_LABEL_ENC"))))
}

/// udev writes what is no plain character as `\x20`.
fn unescaped(said: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), said.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let digits = after.strip_prefix(b"x").and_then(|after| after.get(..2)).filter(|_| *first == b'\\');
        match digits.and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()) {
            Some(byte) => (bytes.push(byte), rest = after.get(3..).unwrap_or_default()).0,
            None => (bytes.push(*first), rest = after).0,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A text as it may be shown: without what moves a cursor or hides, and no longer than a line has room for.
fn shown(text: &str) -> String {
    let odd =
        |c: char| c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    let clean: String = text.chars().map(|c| if odd(c) { ' ' } else { c }).take(SHOWN_CHARS).collect();
    clean.trim().to_owned()
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use proptest::prelude::*;

    pub const ID: &str = "0000000000000000000000000000beef";

    pub fn id() -> DiskId {
        ID.parse().unwrap()
    }

    fn write(path: &Path, text: &str) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// A machine with a USB disk `sdb`, on which is what udev says.
    pub fn machine(udev: &str) -> (tempfile::TempDir, Places) {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().to_owned();
        let places = Places {
            sys: at.join("sys"),
            udev: at.join("udev"),
            mountinfo: at.join("mountinfo"),
            swaps: at.join("swaps"),
            mounts: at.join("disks"),
        };
        let sdb = places.sys.join("devices/usb1/block/sdb");
        let files = [("size", "62333952\n"), ("ro", "0\n"), ("dev", "8:16\n"), ("diskseq", "12\n"), ("device/model", "Ultra Fit\n")];
        for (file, text) in files.into_iter().chain([("sdb1/partition", "1\n"), ("sdb1/dev", "8:17\n")]) {
            write(&sdb.join(file), text);
        }
        for (link, to) in [("block/sdb", sdb.clone()), ("dev/block/8:17", sdb.join("sdb1"))] {
            let link = places.sys.join(link);
            std::fs::create_dir_all(link.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(to, link).unwrap();
        }
        write(&places.udev.join("b8:16"), "E:ID_BUS=usb\nE:ID_SERIAL_SHORT=4C53\n");
        write(&places.udev.join("b8:17"), udev);
        std::fs::create_dir_all(&places.mounts).unwrap();
        (dir, places)
    }

    pub fn udev_of_ours() -> String {
        format!(
            "E:ID_PART_ENTRY_TYPE={}\nE:ID_PART_ENTRY_UUID={}\nE:ID_FS_TYPE=ext4\nE:ID_FS_LABEL_ENC=My\\x20photos\n",
            KIND.to_string().to_lowercase(),
            id().0
        )
    }

    /// A line of mountinfo for the disk of that machine.
    pub fn line(places: &Places) -> String {
        format!("90 28 8:17 / {} rw,nosuid,nodev,noatime shared:9 - ext4 /dev/sdb1 rw\n", places.folder(id()).display())
    }

    #[test]
    fn a_disk_of_ours_is_known_by_its_partition_and_by_nothing_else() {
        let (_dir, places) = machine(&udev_of_ours());
        let seen = places.look().unwrap();
        let [disk] = seen.as_slice() else { panic!("{seen:?}") };
        assert_eq!((disk.bus.as_str(), disk.serial.as_str(), disk.sequence.as_str()), ("usb", "4C53", "12"));
        assert_eq!(disk.ours().unwrap().0, id());
        assert_eq!(disk.holds(), ["My photos (ext4)"]);
        let unfinished = udev_of_ours().replace(&KIND.to_string().to_lowercase(), &contract::storage::UNFINISHED.to_string());
        for other in [unfinished.as_str(), "E:ID_PART_ENTRY_TYPE=x\nE:ID_FS_LABEL_ENC=cloudy-apps\n", "", "E:\nE:=\n\\x"] {
            let (_dir, places) = machine(other);
            assert_eq!(places.look().unwrap()[0].ours(), None, "{other}");
        }
    }

    #[test]
    fn another_disk_that_gets_its_name_has_another_mark() {
        let (dir, places) = machine("");
        let mark = places.look().unwrap()[0].mark();
        assert!(mark.len() == 16 && mark == places.look().unwrap()[0].mark());
        write(&dir.path().join("sys/devices/usb1/block/sdb/diskseq"), "13\n");
        assert_ne!(mark, places.look().unwrap()[0].mark());
    }

    #[test]
    fn a_disk_is_usable_while_it_is_mounted_and_its_device_is_there() {
        let (_dir, places) = machine(&udev_of_ours());
        assert_eq!(places.usable(id()), None);
        write(&places.mountinfo, &line(&places));
        assert_eq!(places.usable(id()), Some(places.folder(id())));
        // Pulled out: the mount stays, its device is gone.
        std::fs::remove_file(places.sys.join("dev/block/8:17")).unwrap();
        let still = Mounted { number: "8:17".to_owned(), only_read: false };
        assert_eq!((places.usable(id()), places.mounted(id())), (None, Some(still.clone())));
        let at = places.folder(id());
        let good = line(&places);
        for other in [good.replace(" / ", " /apps "), good.replace("- ext4", "- tmpfs"), good.replace("beef", "beed"), String::new()] {
            assert_eq!(mounted(&other, &at), None, "{other}");
        }
        // What was mounted over it last counts.
        assert_eq!(mounted(&format!("{good}{}", good.replace("- ext4", "- tmpfs")), &at), None);
        let broken = good.replace("/dev/sdb1 rw", "/dev/sdb1 ro,errors=remount-ro");
        assert_eq!(mounted(&broken, &at), Some(Mounted { only_read: true, ..still }));
    }

    proptest! {
        #[test]
        fn whatever_a_disk_says_is_one_short_line(text in "\\PC{0,200}", raw in proptest::collection::vec(any::<u8>(), 0..200)) {
            for said in [shown(&unescaped(&text)), shown(&unescaped(&String::from_utf8_lossy(&raw)))] {
                prop_assert!(said.chars().count() <= SHOWN_CHARS && !said.chars().any(char::is_control));
            }
            let _ = mounted(&text, Path::new("/x"));
            let _ = part("sdb1".to_owned(), &udev(&text), String::new());
        }

        #[test]
        fn what_was_escaped_is_read_back(label in "[a-z \\\\é]{0,12}") {
            let escaped: String = label.bytes().map(|byte| format!("\\x{byte:02x}")).collect();
            prop_assert_eq!(unescaped(&escaped), label);
        }
    }
}
