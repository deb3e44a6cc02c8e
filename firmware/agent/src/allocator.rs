//! What the allocator keeps for itself. glibc's would hold on to the memory of a busy moment for good: a node that sees sixty others start
//! keeps some 9 MB, one that hashed a password 19 MiB for each thread that ever did.

use nix::libc;
use std::time::Duration;

/// Blocks of this size and larger go back to the kernel at once, such as the memory of a password's hash or a long answer. By itself glibc would
/// raise this with each that it gives back.
const LARGE_BYTES: libc::c_int = 128 << 10;
/// All threads share one pool: those that wait for files would each keep one.
const POOLS: libc::c_int = 1;
/// How often the free pages of smaller blocks go back. It takes a millisecond or two.
const GIVE_BACK_EVERY: Duration = Duration::from_secs(10);

/// Says how memory is kept. To be called before there is a second thread.
#[expect(unsafe_code, reason = "the C library's settings of its allocator; no safe crate has them")]
pub fn set_up() {
    for (setting, value) in [(libc::M_MMAP_THRESHOLD, LARGE_BYTES), (libc::M_ARENA_MAX, POOLS)] {
        // SAFETY: two numbers, and no thread but this one.
        let taken = unsafe { libc::mallopt(setting, value) };
        debug_assert_eq!(taken, 1);
    }
}

/// Gives free pages back as long as the agent runs.
pub async fn give_back_again_and_again() {
    let mut turn = tokio::time::interval(GIVE_BACK_EVERY);
    turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        turn.tick().await;
        give_back();
    }
}

/// Gives the pages back that hold nothing.
#[expect(unsafe_code, reason = "a function of the C library's allocator; no safe crate has it")]
fn give_back() {
    // SAFETY: it takes the allocator's own locks, and what is in use stays where it is.
    unsafe { libc::malloc_trim(0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: usize = 4000;
    const BLOCKS: usize = 16_000;

    fn resident_kib() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// What the last block of a busy moment would keep by itself.
    #[test]
    fn what_is_free_below_what_is_in_use_goes_back() {
        let mut blocks: Vec<Vec<u8>> = (0..BLOCKS).map(|number| vec![number as u8 | 1; BLOCK]).collect();
        let last = blocks.pop().unwrap();
        let full = resident_kib();
        drop(blocks);
        give_back();
        let left = resident_kib();
        let freed = BLOCK * BLOCKS / 1024;
        assert!(left + freed / 2 < full, "{full} KiB in use, {left} KiB left");
        assert_eq!(last.len(), BLOCK);
    }
}
