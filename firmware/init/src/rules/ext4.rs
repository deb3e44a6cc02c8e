//! When a data partition was last in use, from its superblock: on a machine without a clock that is the best guess
//! of the time before the partition is mounted, and e2fsck finds fault with a superblock from the future.

/// How many bytes of the partition are read.
pub const SUPERBLOCK_END: usize = 2048;
const SUPERBLOCK: usize = 1024;
const MAGIC: u16 = 0xEF53;

/// Seconds since 1970 of the last mount or write; `None` if there is no ext4
/// (the kernel's fs/ext4/ext4.h, `struct ext4_super_block`).
pub fn last_used(partition: &[u8]) -> Option<u64> {
    let block = partition.get(SUPERBLOCK..)?;
    if block.get(0x38..0x3A)? != MAGIC.to_le_bytes() {
        return None;
    }
    let time = |low: usize, high: usize| {
        let low = u32::from_le_bytes(block.get(low..low + 4)?.try_into().ok()?);
        Some(u64::from(*block.get(high)?) << 32 | u64::from(low))
    };
    let (mounted, written) = (time(0x2C, 0x275)?, time(0x30, 0x274)?);
    Some(mounted.max(written))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_later_time_counts() {
        let mut bytes = vec![0; SUPERBLOCK_END];
        assert_eq!(last_used(&bytes), None);
        bytes[1024 + 0x38..1024 + 0x3A].copy_from_slice(&[0x53, 0xEF]);
        bytes[1024 + 0x2C..1024 + 0x30].copy_from_slice(&5u32.to_le_bytes());
        bytes[1024 + 0x30..1024 + 0x34].copy_from_slice(&9u32.to_le_bytes());
        assert_eq!(last_used(&bytes), Some(9));
        bytes[1024 + 0x275] = 1;
        assert_eq!(last_used(&bytes), Some((1 << 32) + 5));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..2100)) {
            let _ = last_used(&bytes);
        }
    }
}
