//! The kernel in the form that U-Boot reads quickest, from what Debian ships.

use std::io::{Read, Write};

use anyhow::{Context, Result, bail, ensure};
use flate2::{Compression, GzBuilder};

use super::KernelForm;

/// Level of the packed kernel: reading from the card is slower than unpacking.
const LEVEL: u32 = 9;
/// A kernel is no larger than what lies free for it in memory.
const IMAGE_MAX_BYTES: u64 = 72 << 20;

/// Turns Debian's `vmlinuz` into that form.
///
/// # Errors
/// When it is something else than the processor's kernels are, or too large.
pub fn packed(vmlinuz: &[u8], form: KernelForm) -> Result<Vec<u8>> {
    let at = |from: usize, len: usize| vmlinuz.get(from..from + len).unwrap_or_default();
    match form {
        KernelForm::GzippedImage => {
            // "MZ" and "zimg": an EFI program around a packed Image (drivers/firmware/efi/libstub/zboot-header.S).
            if at(0, 2) == b"MZ" && at(4, 4) == b"zimg" {
                let number = |from| at(from, 4).try_into().ok().map(u32::from_le_bytes).context("it is cut off");
                let (start, len) = (number(8)? as usize, number(12)? as usize);
                let payload = vmlinuz.get(start..start.saturating_add(len)).context("it is cut off")?;
                ensure!(at(24, 4) == b"gzip", "it is packed by `{}`: only gzip is known", String::from_utf8_lossy(at(24, 4)));
                check_image(flate2::read::GzDecoder::new(payload))?;
                return Ok(payload.to_vec());
            }
            check_image(vmlinuz)?;
            let mut packer = GzBuilder::new().mtime(0).write(Vec::new(), Compression::new(LEVEL));
            packer.write_all(vmlinuz)?;
            Ok(packer.finish()?)
        }
        KernelForm::ZImage => {
            // Documentation/arch/arm/booting.rst has no words on it; arch/arm/boot/compressed/head.S has.
            ensure!(at(0x24, 4) == 0x016f_2818u32.to_le_bytes(), "it is no 32-bit ARM zImage");
            Ok(vmlinuz.to_vec())
        }
    }
}

/// Documentation/arch/arm64/booting.rst: the header of an Image.
fn check_image(mut image: impl Read) -> Result<()> {
    let mut header = [0; 64];
    image.read_exact(&mut header).context("it is cut off")?;
    ensure!(header[56..60] == *b"ARM\x64", "it is no 64-bit ARM Image");
    let size = u64::from_le_bytes(header[16..24].try_into()?);
    if size > IMAGE_MAX_BYTES {
        bail!("it takes {size} bytes of memory, {IMAGE_MAX_BYTES} are free for it: move the addresses in script.rs");
    }
    Ok(())
}
