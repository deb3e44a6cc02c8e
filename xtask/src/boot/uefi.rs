//! UEFI: Debian's signed shim, systemd-boot and kernel on the EFI system partition, so that Secure Boot stays on.
//!
//! An unsigned second stage stops at a box that waits for a key, and an unsigned kernel costs a slot: so both are
//! errors of the build.

use anyhow::{Context, Result, ensure};
use contract::partitions::ESP_BYTES;

use super::pe;
use crate::plan::{BootPlan, BootSource};
use crate::tree::Content;

/// One slot's share of the ESP: two slots and a third while an update is written must fit.
const SLOT_MAX_BYTES: u64 = ESP_BYTES / 3;

/// Checks the files of an ESP, whose programs must be for `machine`.
pub fn check(plan: &BootPlan, machine: u16, files: &[(String, Content)]) -> Result<()> {
    let mut slot_bytes = 0;
    for ((path, content), planned) in files.iter().zip(&plan.files) {
        let of_slot = matches!(planned.from, BootSource::Kernel | BootSource::Initramfs);
        slot_bytes += if of_slot { content.len() } else { 0 };
        let is_program = planned.from == BootSource::Kernel || path.to_ascii_lowercase().ends_with(".efi");
        if is_program {
            let bytes = content.read().with_context(|| format!("failed to read what is to be `{path}` on the ESP"))?;
            check_program(path, machine, &bytes)?;
        }
        // shim's fallback without a list of entries resets the machine for ever.
        ensure!(!path.to_ascii_lowercase().ends_with("fbx64.efi"), "`{path}` must not be on the ESP");
    }
    ensure!(
        slot_bytes <= SLOT_MAX_BYTES,
        "kernel and initramfs have {slot_bytes} bytes, a slot may have {SLOT_MAX_BYTES}: leave modules out of the initramfs"
    );
    Ok(())
}

fn check_program(path: &str, machine: u16, bytes: &[u8]) -> Result<()> {
    let program = pe::read(bytes).with_context(|| format!("`{path}` is no 64-bit UEFI program"))?;
    ensure!(program.machine == machine, "`{path}` is for machine {:#x}", program.machine);
    ensure!(program.signatures.is_some(), "`{path}` is not signed: Secure Boot would refuse it; take it from Debian's signed package");
    Ok(())
}
