//! Whether another processor's programs would run in a build (binfmt_misc): none needs that. In a user namespace a sandbox has a list of
//! handlers of its own, which is empty; where it has none, the host's counts.

use std::path::Path;

use anyhow::{Result, bail};

use super::{Sandbox, inner};
use crate::board::Arch;

/// Where `e_machine` stands in an ELF file, in hexadecimal digits of the file's start.
const MACHINE_DIGITS: std::ops::Range<usize> = 36..40;

/// Refuses where a handler could run a target's programs in `sandbox`, so that what is built afterwards was built without.
///
/// # Errors
/// The handlers' names, and how they are taken away.
pub fn refuse_emulation(sandbox: &Sandbox) -> Result<()> {
    let list = Path::new("/").join(inner::HANDLERS);
    let own = list.join("status");
    if sandbox.command(["test", "-e", &own.to_string_lossy()]).run().is_ok() {
        return Ok(());
    }
    let found = handlers(&list);
    if found.is_empty() {
        return Ok(());
    }
    bail!(
        "this host runs other processors' programs ({}), so that a build here would prove nothing; take the handlers away as root: echo -1 > {}/NAME",
        found.join(", "),
        list.display()
    )
}

/// Names of the enabled handlers for a board's architecture that is not the builder's.
fn handlers(list: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(list) else { return Vec::new() };
    let mut found: Vec<String> = entries
        .flatten()
        .filter(|entry| std::fs::read_to_string(entry.path()).is_ok_and(|text| is_foreign(&text)))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    found.sort();
    found
}

/// Whether a handler's description is that of an enabled one for ELF files of a foreign board.
fn is_foreign(text: &str) -> bool {
    let magic = text.lines().find_map(|line| line.strip_prefix("magic ")).unwrap_or_default();
    let machine = magic.get(MACHINE_DIGITS).and_then(|digits| u16::from_str_radix(digits, 16).ok()).map(u16::swap_bytes);
    let foreign = Arch::ALL.into_iter().filter(|arch| *arch != Arch::Amd64).any(|arch| machine == Some(arch.elf_machine()));
    text.lines().next() == Some("enabled") && magic.starts_with("7f454c46") && foreign
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARM64: &str = "enabled\ninterpreter /usr/bin/qemu-aarch64\nflags: F\noffset 0\nmagic 7f454c460201010000000000000000000200b700\nmask ffffffffffffff00\n";

    #[test]
    fn handlers_of_arm_are_found_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        assert!(handlers(&folder.path().join("none")).is_empty());
        put("status", "enabled\n");
        put("register", "");
        put("python3.13", "enabled\ninterpreter /usr/bin/python3\nflags: \noffset 0\nmagic f30d0d0a\n");
        put("qemu-riscv64", &ARM64.replace("b700", "f300"));
        put("off", &ARM64.replacen("enabled", "disabled", 1));
        assert!(handlers(folder.path()).is_empty());
        put("qemu-aarch64", ARM64);
        put("qemu-arm", "enabled\ninterpreter x\nflags: \noffset 0\nmagic 7f454c4601010100000000000000000002002800\n");
        assert_eq!(handlers(folder.path()), ["qemu-aarch64", "qemu-arm"]);
    }

    #[test]
    fn what_a_build_is_given_has_nothing_to_emulate_with() {
        let repo = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for name in ["tools", "arm64", "armhf"] {
            let lock = crate::packages::lock::Lock::read(&repo.join(format!("images/tools/{name}.lock"))).unwrap();
            assert!(!lock.packages.iter().any(|package| package.name.starts_with("qemu-user")), "{name}");
        }
    }
}
