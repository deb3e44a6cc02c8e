//! How a boot is named: build id, slot, kernel command line, and the boot loader's entries with their counters.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Kernel command line: the build that kernel and initramfs belong to (32 hexadecimal digits).
pub const KEY_BUILD: &str = "cloudy.build";
/// Kernel command line: `0` leaves the watchdog alone (virtual machines).
pub const KEY_WATCHDOG: &str = "cloudy.watchdog";
/// Kernel command line: GUID of the partition that the boot loader was started from. Boot loaders that set no EFI
/// variable say it here; where firmware has `LoaderDevicePartUUID`, that one counts and this is not read.
pub const KEY_FROM: &str = "cloudy.from";
/// Kernel command line: the slot that the boot loader started, where it knows slots (U-Boot).
pub const KEY_SLOT: &str = "cloudy.slot";
/// Kernel command line: the slot that the boot loader should have started and could not, and what of it was missing or
/// damaged: `b:kernel`.
pub const KEY_SKIPPED: &str = "cloudy.skipped";

/// Vendor GUID of the variables that systemd-boot sets (systemd's Boot Loader Interface).
pub const LOADER_VENDOR: &str = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
/// Variable: GUID of the ESP that systemd-boot was started from.
pub const LOADER_DEVICE: &str = "LoaderDevicePartUUID";
/// Variable: path of the booted entry, present only while the entry is counted.
pub const LOADER_COUNT_PATH: &str = "LoaderBootCountPath";

/// Folder of the entries on the ESP.
pub const ENTRIES_DIR: &str = "loader/entries";
const ENTRY_PREFIX: &str = "cloudy-";
const ENTRY_SUFFIX: &str = ".conf";

/// Which build a kernel, an initramfs and a root belong to: a hash over all inputs of the build.
///
/// Written as 32 hexadecimal digits; the root's erofs UUID is the same 16 bytes in the same order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BuildId(pub [u8; 16]);

/// What is wrong with a written build id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no build id: 32 hexadecimal digits are expected")]
pub struct BuildIdError(String);

impl FromStr for BuildId {
    type Err = BuildIdError;

    fn from_str(text: &str) -> Result<Self, BuildIdError> {
        let error = || BuildIdError(text.chars().take(40).collect());
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(error());
        }
        u128::from_str_radix(text, 16).map(|number| Self(number.to_be_bytes())).map_err(|_| error())
    }
}

impl TryFrom<String> for BuildId {
    type Error = BuildIdError;

    fn try_from(text: String) -> Result<Self, BuildIdError> {
        text.parse()
    }
}

impl From<BuildId> for String {
    fn from(build: BuildId) -> Self {
        build.to_string()
    }
}

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl BuildId {
    /// The root's UUID as mkfs.erofs takes it (`-U`): 8-4-4-4-12 digits.
    pub fn uuid(self) -> String {
        let digits = self.to_string();
        let at = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
        format!("{}-{}-{}-{}-{}", at(0, 8), at(8, 12), at(12, 16), at(16, 20), at(20, 32))
    }
}

/// One of the two places a build can lie in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Slot {
    /// What images ship.
    A,
    /// Empty until the first update.
    B,
}

impl Slot {
    /// The slot that an update goes to while this one runs.
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

impl FromStr for Slot {
    type Err = SlotError;

    fn from_str(text: &str) -> Result<Self, SlotError> {
        match text {
            "a" => Ok(Self::A),
            "b" => Ok(Self::B),
            _ => Err(SlotError(text.chars().take(40).collect())),
        }
    }
}

/// What is wrong with a written slot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no slot: a or b is expected")]
pub struct SlotError(String);

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "a",
            Self::B => "b",
        })
    }
}

/// What init reads from the kernel command line.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct CommandLine {
    /// Which build was booted; `None` if the key is absent or no build id.
    pub build: Option<BuildId>,
    /// Whether the watchdog is left alone.
    pub no_watchdog: bool,
    /// GUID of the boot loader's partition, as written.
    pub from: Option<String>,
    /// The slot that the boot loader started.
    pub slot: Option<Slot>,
    /// The slot that it could not start, and why not.
    pub skipped: Option<(Slot, String)>,
    /// Module parameters: (module with `_` for `-`, `parameter=value`).
    pub module_parameters: Vec<(String, String)>,
}

impl CommandLine {
    /// Reads `/proc/cmdline`. Never fails: words that are not understood belong to others. The last of several wins.
    pub fn parse(text: &str) -> Self {
        let mut line = Self::default();
        for word in text.split_ascii_whitespace() {
            let Some((key, value)) = word.split_once('=') else { continue };
            match key {
                KEY_BUILD => line.build = value.parse().ok(),
                KEY_WATCHDOG => line.no_watchdog = value == "0",
                KEY_FROM => line.from = Some(value.to_owned()),
                KEY_SLOT => line.slot = value.parse().ok(),
                KEY_SKIPPED => {
                    line.skipped = value.split_once(':').and_then(|(slot, why)| Some((slot.parse().ok()?, why.to_owned())));
                }
                _ => {
                    if let Some((module, parameter)) = key.split_once('.') {
                        line.module_parameters.push((module.replace('-', "_"), format!("{parameter}={value}")));
                    }
                }
            }
        }
        line
    }

    /// The parameters for that module, as finit_module takes them.
    pub fn parameters(&self, module: &str) -> String {
        let of_module = self.module_parameters.iter().filter(|(name, _)| name == module);
        of_module.map(|(_, parameter)| parameter.as_str()).collect::<Vec<_>>().join(" ")
    }
}

/// How often a slot on trial may still be started, and how often it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tries {
    /// Starts that are left, this one not counted.
    pub left: u32,
    /// Starts that were made, this one counted.
    pub done: u32,
}

/// The file name of a boot loader entry: `cloudy-BUILD.conf` once it is confirmed, `cloudy-BUILD+LEFT.conf` or
/// `cloudy-BUILD+LEFT-DONE.conf` while it is on trial (systemd's "Automatic Boot Assessment").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryName {
    /// Which build it starts.
    pub build: BuildId,
    /// The counter; `None` once the build is confirmed.
    pub tries: Option<Tries>,
}

impl EntryName {
    /// Reads a file name, without its folder; `None` for entries that are not ours.
    pub fn parse(name: &str) -> Option<Self> {
        let stem = name.strip_prefix(ENTRY_PREFIX)?.strip_suffix(ENTRY_SUFFIX)?;
        let (build, tries) = match stem.split_once('+') {
            None => (stem, None),
            Some((build, counter)) => {
                let (left, done) = counter.split_once('-').unwrap_or((counter, "0"));
                (build, Some(Tries { left: number(left)?, done: number(done)? }))
            }
        };
        Some(Self { build: build.parse().ok()?, tries })
    }

    /// The same from what `LoaderBootCountPath` holds: a path with backslashes.
    pub fn parse_path(path: &str) -> Option<Self> {
        Self::parse(path.rsplit(['\\', '/']).next()?)
    }

    /// Whether the boot loader would start it before an entry whose tries are used up.
    pub fn is_bootable(self) -> bool {
        self.tries.is_none_or(|tries| tries.left > 0)
    }
}

impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ENTRY_PREFIX}{}", self.build)?;
        match self.tries {
            None => {}
            Some(Tries { left, done: 0 }) => write!(f, "+{left}")?,
            Some(Tries { left, done }) => write!(f, "+{left}-{done}")?,
        }
        f.write_str(ENTRY_SUFFIX)
    }
}

fn number(digits: &str) -> Option<u32> {
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_build_id_is_the_roots_uuid() {
        let build: BuildId = "00112233445566778899aabbccddeeff".parse().unwrap();
        assert_eq!(build.0[..3], [0x00, 0x11, 0x22]);
        assert_eq!(build.uuid(), "00112233-4455-6677-8899-aabbccddeeff");
        for bad in ["", "0011", "+0112233445566778899aabbccddeeff", "00112233-4455-6677-8899-aabbccddeeff"] {
            assert!(bad.parse::<BuildId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_command_line_is_read_beside_other_peoples_words() {
        let line = CommandLine::parse(
            "initrd=\\x quiet cloudy.build=00112233445566778899aabbccddeeff console=tty0 cloudy.watchdog=0 \
             usb-storage.quirks=1234:5678:u usb_storage.delay_use=2 cloudy.from=ABC cloudy.slot=b cloudy.skipped=a:kernel =",
        );
        assert_eq!(line.build.unwrap().to_string(), "00112233445566778899aabbccddeeff");
        assert!(line.no_watchdog);
        assert_eq!(line.from.as_deref(), Some("ABC"));
        assert_eq!(line.slot, Some(Slot::B));
        assert_eq!(line.skipped, Some((Slot::A, "kernel".to_owned())));
        assert_eq!(line.parameters("usb_storage"), "quirks=1234:5678:u delay_use=2");
        assert_eq!(line.parameters("nvme"), "");
    }

    #[test]
    fn entries_of_others_are_left_alone() {
        for name in ["", "cloudy-.conf", "debian.conf", "cloudy-00112233445566778899aabbccddeeff+.conf", ".conf"] {
            assert_eq!(EntryName::parse(name), None, "{name}");
        }
        let path = "\\loader\\entries\\cloudy-00112233445566778899aabbccddeeff+02-1.conf";
        assert_eq!(EntryName::parse_path(path).unwrap().tries, Some(Tries { left: 2, done: 1 }));
    }

    proptest! {
        #[test]
        fn entry_names_are_read_as_written(build: [u8; 16], tries in proptest::option::of((0u32.., 0u32..))) {
            let name = EntryName { build: BuildId(build), tries: tries.map(|(left, done)| Tries { left, done }) };
            prop_assert_eq!(EntryName::parse(&name.to_string()), Some(name));
        }

        #[test]
        fn any_bytes_are_survived(text in "\\PC*") {
            let _ = CommandLine::parse(&text);
            let _ = EntryName::parse_path(&text);
        }
    }
}
