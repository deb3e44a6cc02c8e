//! Rules on programs and libraries.

use std::collections::BTreeSet;
use std::fs::File;

use object::elf::{DT_NEEDED, DT_RPATH, DT_RUNPATH, FileHeader32, FileHeader64};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endianness, ReadCache, ReadRef};

use super::{LintError, Subject};
use crate::board::Arch;
use crate::tree::firmware;
use crate::tree::{Content, Kind, Tree};

type Found = Result<Vec<String>, LintError>;

const ELF_MAGIC: &[u8] = b"\x7fELF";
/// Programs for the kernel's own virtual machine have no processor.
const MACHINE_BPF: u16 = 247;

/// What an ELF file asks of the system.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Elf {
    /// Whose instructions it has (`e_machine`).
    pub machine: u16,
    /// Libraries that it is linked with.
    pub needed: Vec<String>,
    /// Folders to look into first.
    run_path: Vec<String>,
}

pub fn architecture(subject: &Subject<'_>) -> Found {
    wrong_architecture(subject.tree, subject.plan.arch)
}

pub fn libraries(subject: &Subject<'_>) -> Found {
    missing_libraries(subject.tree, subject.plan.arch)
}

/// Programs and libraries of a tree that are not for `arch`.
pub fn wrong_architecture(tree: &Tree, arch: Arch) -> Found {
    let wanted = arch.elf_machine();
    let mut found = Vec::new();
    for_each(tree, |path, elf| {
        if elf.machine != wanted && elf.machine != MACHINE_BPF {
            found.push(format!("/{path} is for ELF machine {}, that of {arch} is {wanted}", elf.machine));
        }
    })?;
    Ok(found)
}

/// Libraries that something in a tree is linked with and that are not in it.
pub fn missing_libraries(tree: &Tree, arch: Arch) -> Found {
    let default = [format!("usr/lib/{}", arch.multiarch()), "usr/lib".to_owned(), "usr/local/lib".to_owned()];
    let mut found = BTreeSet::new();
    for_each(tree, |path, elf| {
        let own = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let run_path: Vec<String> =
            elf.run_path.iter().map(|folder| folder.replace("${ORIGIN}", "$ORIGIN").replace("$ORIGIN", own)).collect();
        // A plug-in finds what the program that loads it has loaded before, from their common folder.
        let folders: Vec<&str> = run_path.iter().chain(&default).map(String::as_str).chain([own]).collect();
        for library in &elf.needed {
            if !folders.iter().any(|folder| tree.file(&format!("{folder}/{library}")).is_some()) {
                found.insert(format!("/{path} needs {library}"));
            }
        }
    })?;
    Ok(found.into_iter().collect())
}

/// Every ELF file of the tree but firmware, which other processors run.
fn for_each(tree: &Tree, mut look: impl FnMut(&str, &Elf)) -> Result<(), LintError> {
    let firmware = format!("{}/", firmware::FOLDER);
    for (path, entry) in tree.iter().filter(|(path, _)| !path.starts_with(&firmware)) {
        let Kind::File(content) = &entry.kind else { continue };
        let may_be = entry.mode & 0o111 != 0 || path.contains(".so") || path.ends_with(".ko");
        if may_be && let Some(elf) = read(content).map_err(|source| LintError { path: path.clone(), source })? {
            look(path, &elf);
        }
    }
    Ok(())
}

/// Reads what is asked for, and of a large file no more than that; `None` if it is no (sound) ELF file.
fn read(content: &Content) -> std::io::Result<Option<Elf>> {
    match content {
        Content::Bytes(bytes) => Ok(parse(&bytes[..])),
        Content::Slice { file, offset, len } => {
            let cache = ReadCache::new(File::open(file.as_path())?);
            Ok(parse(cache.range(*offset, *len)))
        }
    }
}

/// Reads an ELF file; `None` if it is none, or broken.
pub fn parse<'data, R: ReadRef<'data>>(data: R) -> Option<Elf> {
    if data.read_bytes_at(0, 5).ok()?.strip_prefix(ELF_MAGIC)? == [1] {
        dynamic::<FileHeader32<Endianness>, R>(data)
    } else {
        dynamic::<FileHeader64<Endianness>, R>(data)
    }
}

fn dynamic<'data, H: FileHeader<Endian = Endianness>, R: ReadRef<'data>>(data: R) -> Option<Elf> {
    let header = H::parse(data).ok()?;
    let endian = header.endian().ok()?;
    let mut elf = Elf { machine: header.e_machine(endian), ..Elf::default() };
    let segments = header.program_headers(endian, data).ok()?;
    let Some(entries) = segments.iter().find_map(|segment| segment.dynamic(endian, data).ok().flatten()) else { return Some(elf) };
    let value = |tag: u32| entries.iter().find(|entry| entry.tag32(endian) == Some(tag)).map(|entry| entry.d_val(endian).into());
    let (strings, size): (u64, u64) = (value(object::elf::DT_STRTAB)?, value(object::elf::DT_STRSZ)?);
    let table = segments.iter().find_map(|segment| segment.data_range(endian, data, strings, size).ok().flatten())?;
    let text = |offset: u64| -> Option<String> {
        let rest = table.get(usize::try_from(offset).ok()?..)?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        Some(String::from_utf8_lossy(rest.get(..end)?).into_owned())
    };
    for entry in entries {
        let Some(text) = text(entry.d_val(endian).into()) else { continue };
        match entry.tag32(endian) {
            Some(DT_NEEDED) => elf.needed.push(text),
            Some(DT_RPATH | DT_RUNPATH) => elf.run_path.extend(text.split(':').map(str::to_owned)),
            _ => {}
        }
    }
    Some(elf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_needs_the_c_library() {
        let path = std::env::current_exe().unwrap();
        let len = path.metadata().unwrap().len();
        let elf = read(&Content::Slice { file: path.into(), offset: 0, len }).unwrap().unwrap();
        assert!(elf.needed.contains(&"libc.so.6".to_owned()), "{elf:?}");
        assert_eq!(elf.machine, if cfg!(target_arch = "x86_64") { 62 } else { 183 });
    }

    #[test]
    fn what_is_cut_short_is_survived() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        for len in [0, 3, 5, 20, 63, 64, 100, 1000] {
            let _ = parse(&bytes[..len]);
        }
    }
}
