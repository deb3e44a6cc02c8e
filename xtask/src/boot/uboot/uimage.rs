//! U-Boot's older image format, in which scripts are wrapped (include/image.h, `struct legacy_img_hdr`).

/// The format's magic number.
const MAGIC: u32 = 0x2705_1956;
const HEADER_BYTES: usize = 64;
/// IH_OS_LINUX, IH_COMP_NONE.
const OS_LINUX: u8 = 5;
const UNCOMPRESSED: u8 = 0;
/// Longest name that fits, one byte of zero not counted.
const NAME_BYTES: usize = 31;

/// What an image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A program that looks like a kernel (IH_TYPE_KERNEL), and where it is put and entered.
    Kernel(u32),
    /// A script (IH_TYPE_SCRIPT).
    Script,
}

/// For which processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processor {
    /// IH_ARCH_ARM.
    Arm,
    /// IH_ARCH_ARM64.
    Arm64,
}

/// A script, wrapped.
pub fn script(text: &str, processor: Processor, name: &str) -> Vec<u8> {
    let text = text.as_bytes();
    // One part: its length, then a zero that ends the list of lengths.
    let mut content = u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes().to_vec();
    content.extend_from_slice(&[0; 4]);
    content.extend_from_slice(text);
    wrap(&content, Kind::Script, processor, name)
}

/// An image around `content`.
pub fn wrap(content: &[u8], kind: Kind, processor: Processor, name: &str) -> Vec<u8> {
    let (kind, address) = match kind {
        Kind::Kernel(address) => (2, address),
        Kind::Script => (6, 0),
    };
    let processor = match processor {
        Processor::Arm => 2,
        Processor::Arm64 => 22,
    };
    let mut header = [0; HEADER_BYTES];
    let mut put = |at: usize, number: u32| header[at..at + 4].copy_from_slice(&number.to_be_bytes());
    // The time at 8 stays 0: the same inputs give the same bytes.
    put(0, MAGIC);
    put(12, u32::try_from(content.len()).unwrap_or(u32::MAX));
    put(16, address);
    put(20, address);
    put(24, crc32fast::hash(content));
    header[28..32].copy_from_slice(&[OS_LINUX, processor, kind, UNCOMPRESSED]);
    let name = name.as_bytes();
    let name = &name[..name.len().min(NAME_BYTES)];
    header[32..32 + name.len()].copy_from_slice(name);
    let checksum = crc32fast::hash(&header);
    header[4..8].copy_from_slice(&checksum.to_be_bytes());
    [header.as_slice(), content].concat()
}
