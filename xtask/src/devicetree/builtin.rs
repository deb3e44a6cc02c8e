//! Which devices a kernel's image drives by itself.
//!
//! `modules.builtin.modinfo` has the aliases of built-in drivers that export them. Interrupt controllers, timers and
//! clocks that start before there are drivers export none: these stand in the image itself, as `struct of_device_id`
//! (linux/mod_devicetable.h): name[32], type[32], compatible[128], each filled up with zeros.

use std::collections::BTreeMap;
use std::io::Read as _;

use memchr::memmem;

const NAME_AND_TYPE_BYTES: usize = 64;
const COMPATIBLE_BYTES: usize = 128;
/// A kernel unpacked has at most so many bytes.
const IMAGE_BYTES_MAX: u64 = 256 << 20;
const XZ_MAGIC: &[u8] = b"\xfd7zXZ\0";
const GZIP_MAGIC: &[u8] = b"\x1f\x8b\x08";
const ZSTD_MAGIC: &[u8] = b"\x28\xb5\x2f\xfd";
/// "ARM\x64" (Documentation/arch/arm64/booting.rst): the image is as it will run.
const ARM64_MAGIC: (usize, &[u8]) = (56, b"ARM\x64");
/// Documentation/arch/arm/booting.rst: a zImage, which unpacks itself.
const ZIMAGE_MAGIC: (usize, &[u8]) = (36, &[0x18, 0x28, 0x6f, 0x01]);

/// Why the kernel's image can't be looked into.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// What it is packed with is not known here.
    #[error("it is neither a 64-bit ARM image nor a zImage that is packed with xz, gzip or zstd")]
    Unknown,
    /// It can't be unpacked.
    #[error("it can't be unpacked")]
    Unpack(#[source] std::io::Error),
}

/// The kernel as it runs, from the file that boot loaders read.
pub fn image(file: &[u8]) -> Result<Vec<u8>, ImageError> {
    let is = |(at, magic): (usize, &[u8])| file.get(at..at + magic.len()) == Some(magic);
    if is(ARM64_MAGIC) {
        return Ok(file.to_vec());
    }
    if !is(ZIMAGE_MAGIC) {
        return Err(ImageError::Unknown);
    }
    // The code that unpacks holds the same magic numbers: what unpacks is the kernel.
    let mut failed = None;
    for (magic, unpack) in [(XZ_MAGIC, xz as Unpack), (ZSTD_MAGIC, zstd), (GZIP_MAGIC, gzip)] {
        for at in memmem::find_iter(file, magic) {
            match unpack(file.get(at..).unwrap_or_default()) {
                Ok(plain) => return Ok(plain),
                Err(error) => failed = Some(error),
            }
        }
    }
    Err(failed.map_or(ImageError::Unknown, ImageError::Unpack))
}

type Unpack = fn(&[u8]) -> std::io::Result<Vec<u8>>;

fn xz(packed: &[u8]) -> std::io::Result<Vec<u8>> {
    all(lzma_rust2::XzReader::new(packed, false))
}

fn zstd(packed: &[u8]) -> std::io::Result<Vec<u8>> {
    all(ruzstd::decoding::StreamingDecoder::new(packed).map_err(std::io::Error::other)?)
}

fn gzip(packed: &[u8]) -> std::io::Result<Vec<u8>> {
    all(flate2::read::GzDecoder::new(packed))
}

fn all(reader: impl std::io::Read) -> std::io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    reader.take(IMAGE_BYTES_MAX).read_to_end(&mut plain)?;
    Ok(plain)
}

/// Whether the image has a driver, or something that starts before there are drivers, for a `compatible` string.
pub fn knows(image: &[u8], compatible: &str) -> bool {
    let mut field = compatible.as_bytes().to_vec();
    if field.len() >= COMPATIBLE_BYTES {
        return false;
    }
    field.resize(COMPATIBLE_BYTES, 0);
    memmem::find_iter(image, &field).any(|at| {
        let before = at.checked_sub(NAME_AND_TYPE_BYTES).and_then(|start| image.get(start..at));
        before.is_some_and(|name_and_type| name_and_type.iter().all(|byte| *byte == 0))
    })
}

/// Aliases of built-in drivers, and where their sources lie: `modules.builtin.modinfo`, strings `name.key=value` that each
/// end with a zero byte. Answers module → (path of its source, aliases).
pub fn aliases(modinfo: &[u8]) -> BTreeMap<String, (String, Vec<String>)> {
    let mut modules = BTreeMap::<String, (String, Vec<String>)>::new();
    for line in modinfo.split(|byte| *byte == 0) {
        let line = String::from_utf8_lossy(line);
        let Some((name, rest)) = line.split_once('.') else { continue };
        match rest.split_once('=') {
            Some(("alias", alias)) => modules.entry(name.to_owned()).or_default().1.push(alias.to_owned()),
            Some(("file", path)) => modules.entry(name.to_owned()).or_default().0 = path.to_owned(),
            _ => {}
        }
    }
    modules
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn kernel(compatible: &[&str]) -> Vec<u8> {
        let mut bytes = vec![0xaa; 300];
        bytes[56..60].copy_from_slice(b"ARM\x64");
        for compatible in compatible {
            bytes.extend([0; NAME_AND_TYPE_BYTES]);
            let end = bytes.len() + COMPATIBLE_BYTES;
            bytes.extend(compatible.as_bytes());
            bytes.resize(end, 0);
            bytes.extend([0xff; 8]);
        }
        // A string that zeros follow, but none stand before.
        bytes.extend(b"\x01a string,elsewhere");
        bytes.extend([0; COMPATIBLE_BYTES]);
        bytes
    }

    #[test]
    fn a_table_is_told_from_a_string() {
        let image = image(&kernel(&["arm,gic-400", "fixed-clock"])).unwrap();
        assert!(knows(&image, "arm,gic-400") && knows(&image, "fixed-clock"));
        assert!(!knows(&image, "arm,gic") && !knows(&image, "a string,elsewhere") && !knows(&image, ""));
    }

    #[test]
    fn a_zimage_is_unpacked() {
        let mut packed = vec![0; 64];
        packed[36..40].copy_from_slice(&[0x18, 0x28, 0x6f, 0x01]);
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&kernel(&["x,y"])).unwrap();
        packed.extend(encoder.finish().unwrap());
        packed.extend(b"more code");
        // As in the code that unpacks.
        packed.splice(44..47, GZIP_MAGIC.iter().copied());
        assert!(knows(&image(&packed).unwrap(), "x,y"));
        assert!(image(&packed[..60]).is_err());
        assert!(matches!(image(b"MZ"), Err(ImageError::Unknown)));
    }

    #[test]
    fn aliases_of_built_in_drivers() {
        let found = aliases(b"clk_x.alias=of:N*T*Ca,b\0clk_x.file=drivers/clk/clk-x\0clk_x.license=GPL\0odd\0");
        assert_eq!(found["clk_x"], ("drivers/clk/clk-x".to_owned(), vec!["of:N*T*Ca,b".to_owned()]));
    }

    proptest! {
        #[test]
        fn any_file_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..300), magic in 0..4usize) {
            let mut file = vec![0; 64];
            file[36..40].copy_from_slice(&[0x18, 0x28, 0x6f, 0x01]);
            file.extend([XZ_MAGIC, GZIP_MAGIC, ZSTD_MAGIC, b""][magic]);
            file.extend(bytes);
            let _ = image(&file);
            let _ = aliases(&file);
        }
    }
}
