//! Which build a root belongs to, from the first bytes of its partition.

use crate::boot::BuildId;

/// How many bytes of the partition are read.
pub const SUPERBLOCK_END: usize = 1024 + 128;
const SUPERBLOCK: usize = 1024;
const MAGIC: u32 = 0xE0F5_E1E2;

/// What is known of a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// Its UUID, which is its build id.
    pub build: BuildId,
    /// Its length in bytes.
    pub bytes: u64,
}

/// Reads a superblock from the first [`SUPERBLOCK_END`] bytes of a partition; `None` if there is no erofs
/// (the kernel's fs/erofs/erofs_fs.h, `struct erofs_super_block`).
pub fn superblock(partition: &[u8]) -> Option<Superblock> {
    let block = partition.get(SUPERBLOCK..)?;
    let u32_at = |at: usize| block.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes);
    if u32_at(0)? != MAGIC {
        return None;
    }
    let block_bits = *block.get(12)?;
    let bytes = 1u64.checked_shl(block_bits.into())?.checked_mul(u32_at(36)?.into())?;
    Some(Superblock { build: BuildId(block.get(48..64)?.try_into().ok()?), bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_superblock_of_mkfs_erofs_is_read() {
        // As mkfs.erofs -U 00112233-4455-6677-8899-aabbccddeeff lays it out, for three blocks of 4096 bytes.
        let mut bytes = vec![0; SUPERBLOCK_END];
        bytes[1024..1028].copy_from_slice(&[0xe2, 0xe1, 0xf5, 0xe0]);
        bytes[1024 + 12] = 12;
        bytes[1024 + 36] = 3;
        let uuid: Vec<u8> = (0..16).map(|n| n * 0x11).collect();
        bytes[1024 + 48..1024 + 64].copy_from_slice(&uuid);
        let found = superblock(&bytes).unwrap();
        assert_eq!(found.build.uuid(), "00112233-4455-6677-8899-aabbccddeeff");
        assert_eq!(found.bytes, 3 * 4096);
        bytes[1024] = 0;
        assert_eq!(superblock(&bytes), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(mut bytes in proptest::collection::vec(any::<u8>(), 0..1200)) {
            let _ = superblock(&bytes);
            if let Some(magic) = bytes.get_mut(1024..1028) {
                magic.copy_from_slice(&MAGIC.to_le_bytes());
                let _ = superblock(&bytes);
            }
        }
    }
}
