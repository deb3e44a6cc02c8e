//! U-Boot on the Pis: its script and environment on the config partition, a slot's kernel, initramfs and device trees on
//! the slot's boot partition.
//!
//! U-Boot's gunzip looks at no checksum, and device trees and initramfs have none of their own: so each file that the
//! script loads has a second one beside it, with the CRC-32 that U-Boot's `crc32` makes.

pub mod environment;
mod kernel;
pub mod script;
#[cfg(test)]
mod tests;
pub mod uimage;

use anyhow::{Context, Result, ensure};
use contract::partitions::BOOT_BYTES;
use contract::state::encode_variables;
use serde::Serialize;

use crate::board::Arch;
pub use crate::devicetree::mark::{CONSOLE as TREE_CONSOLE, FILE as TREE_FILE};
pub use crate::plan::boot::{CONSOLE_VARIABLE, DEVICE_TREES};
use crate::plan::{BootPlan, BootSource};
use crate::tree::Content;
use script::ScriptPlan;

/// The script on the config partition, by the name that also U-Boot's built-in environment looks for.
pub const SCRIPT_FILE: &str = "boot.scr";
/// The kernel on a slot's boot partition.
pub const KERNEL_FILE: &str = "linux";
/// The initramfs beside it.
pub const INITRAMFS_FILE: &str = "initrd";
/// The kernel's command line, as the variables [`COMMAND_LINE`].
pub const COMMAND_LINE_FILE: &str = "slot.env";
/// The words before the console that the device tree names, whether that is wanted (empty: no), the words after it.
pub const COMMAND_LINE: [&str; 3] = ["c_args", "c_tree_console", "c_more"];
/// A file's checksum is beside it under its name with this added.
pub const CHECKSUM_SUFFIX: &str = ".crc";
/// Size of [`COMMAND_LINE_FILE`].
const COMMAND_LINE_BYTES: usize = 4096;

/// How the kernel is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KernelForm {
    /// A 64-bit Image, packed by gzip.
    GzippedImage,
    /// A 32-bit zImage, which unpacks itself.
    ZImage,
}

impl KernelForm {
    /// What U-Boot starts on that processor.
    pub const fn of(arch: Arch) -> Self {
        match arch {
            Arch::Armhf => Self::ZImage,
            Arch::Arm64 | Arch::Amd64 => Self::GzippedImage,
        }
    }
}

/// The files that this flow adds to a config partition: script and environment.
pub fn config_files(plan: &ScriptPlan) -> Result<Vec<(String, Content)>> {
    let processor = match plan.kernel {
        KernelForm::GzippedImage => uimage::Processor::Arm64,
        KernelForm::ZImage => uimage::Processor::Arm,
    };
    let script = uimage::script(&script::script(plan), processor, "cloudy");
    let environment = environment::file(&environment::variables())?;
    Ok(vec![(SCRIPT_FILE.to_owned(), Content::Bytes(script.into())), (environment::FILE.to_owned(), Content::Bytes(environment.into()))])
}

/// A slot's files from those that the plan names: the kernel in U-Boot's form, the command line, and all checksums.
///
/// # Errors
/// When the kernel is none, and when there would not be room for a later version.
pub fn slot_files(plan: &BootPlan, form: KernelForm, files: Vec<(String, Content)>) -> Result<Vec<(String, Content)>> {
    let mut all = Vec::new();
    let mut total = 0;
    for ((path, content), planned) in files.into_iter().zip(&plan.files) {
        let content = match planned.from {
            BootSource::Kernel => {
                let packed = kernel::packed(&content.read()?, form).context("failed to prepare the kernel for U-Boot")?;
                Content::Bytes(packed.into())
            }
            _ => content,
        };
        total += content.len();
        all.push((format!("{path}{CHECKSUM_SUFFIX}"), Content::Bytes(checksum(&content.read()?).as_slice().into())));
        all.push((path, content));
    }
    all.push((COMMAND_LINE_FILE.to_owned(), Content::Bytes(command_line(&plan.cmdline)?.into())));
    ensure!(
        total <= BOOT_BYTES / 2,
        "kernel, initramfs and device trees have {total} bytes, of a slot's {BOOT_BYTES} they may take half: leave modules out"
    );
    Ok(all)
}

/// What stands in a file's second file: U-Boot's `crc32` writes the same to memory.
pub fn checksum(content: &[u8]) -> [u8; 4] {
    crc32fast::hash(content).to_le_bytes()
}

/// [`COMMAND_LINE_FILE`] for these words.
pub fn command_line(words: &[String]) -> Result<Vec<u8>> {
    let place = words.iter().position(|word| word == CONSOLE_VARIABLE);
    let (before, after) = words.split_at(place.unwrap_or(words.len()));
    let (before, after) = (before.join(" "), after.get(1..).unwrap_or_default().join(" "));
    for line in [&before, &after] {
        ensure!(!line.contains(['\'', '"', '$', ';', '\\']), "the kernel's command line `{line}` has a character that U-Boot would read");
    }
    let values = [before.as_str(), if place.is_some() { "yes" } else { "" }, &after];
    let variables: Vec<_> = COMMAND_LINE.into_iter().zip(values).filter(|(_, value)| !value.is_empty()).collect();
    encode_variables(&variables, COMMAND_LINE_BYTES).context("the kernel's command line is too long")
}
