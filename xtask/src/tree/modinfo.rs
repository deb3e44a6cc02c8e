//! What a kernel module says about itself: the `.modinfo` section (linux/module.h, `MODULE_INFO`), strings `key=value`
//! that each end with a zero byte.

use object::read::elf::{ElfFile32, ElfFile64};
use object::{Endianness, Object, ObjectSection};

/// The parts of `.modinfo` that say what a module needs and drives. Module names have `_` for `-`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModInfo {
    /// Modules whose symbols it uses.
    pub depends: Vec<String>,
    /// Patterns of devices (or names) that it answers to.
    pub aliases: Vec<String>,
    /// Firmware files that it may ask for, below `/usr/lib/firmware`; some drivers give globs.
    pub firmware: Vec<String>,
    /// Modules, or aliases of modules, to load before it where they exist.
    pub before: Vec<String>,
    /// The same, after it.
    pub after: Vec<String>,
}

/// `EI_CLASS` of 32-bit files (ELF specification, figure 1-5) and where it stands.
const CLASS_32: (usize, u8) = (4, 1);

/// Reads `.modinfo` of a module; the error says what is wrong with the file.
pub fn read(elf: &[u8]) -> Result<ModInfo, String> {
    let bad = |error: object::Error| format!("no ELF file: {error}");
    if elf.get(CLASS_32.0) == Some(&CLASS_32.1) {
        of(&ElfFile32::<Endianness>::parse(elf).map_err(bad)?)
    } else {
        of(&ElfFile64::<Endianness>::parse(elf).map_err(bad)?)
    }
}

fn of<'data>(file: &impl Object<'data>) -> Result<ModInfo, String> {
    let section = file.section_by_name(".modinfo").ok_or("no section .modinfo")?;
    let data = section.data().map_err(|error| format!("section .modinfo: {error}"))?;
    Ok(parse(data))
}

fn parse(section: &[u8]) -> ModInfo {
    let mut info = ModInfo::default();
    for line in section.split(|byte| *byte == 0) {
        let line = String::from_utf8_lossy(line);
        let Some((key, value)) = line.split_once('=') else { continue };
        match key {
            "depends" => info.depends.extend(value.split(',').filter(|name| !name.is_empty()).map(normal)),
            "alias" => info.aliases.push(value.to_owned()),
            "firmware" => info.firmware.push(value.to_owned()),
            "softdep" => softdep(value, &mut info),
            "weakdep" => info.after.extend(value.split_ascii_whitespace().map(str::to_owned)),
            _ => {}
        }
    }
    info
}

/// `pre: a b post: c` (modprobe.d(5)).
fn softdep(value: &str, info: &mut ModInfo) {
    let mut list: Option<&mut Vec<String>> = None;
    for word in value.split_ascii_whitespace() {
        match word {
            "pre:" => list = Some(&mut info.before),
            "post:" => list = Some(&mut info.after),
            name => {
                if let Some(list) = &mut list {
                    list.push(name.to_owned());
                }
            }
        }
    }
}

/// A module's name as the kernel has it: `-` and `_` are one.
pub fn normal(name: &str) -> String {
    name.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_module_needs_is_read() {
        let info = parse(b"license=GPL\0depends=a-b,c\0softdep=pre: crc32c x post: y\0alias=pci:v*\0firmware=f/*.bin\0depends=\0\0odd");
        assert_eq!(info.depends, ["a_b", "c"]);
        assert_eq!((info.before, info.after), (vec!["crc32c".to_owned(), "x".to_owned()], vec!["y".to_owned()]));
        assert_eq!((info.aliases, info.firmware), (vec!["pci:v*".to_owned()], vec!["f/*.bin".to_owned()]));
    }

    #[test]
    fn what_is_no_module_is_refused() {
        assert!(read(b"#!/bin/sh").unwrap_err().starts_with("no ELF file"));
    }
}
