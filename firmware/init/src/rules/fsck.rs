//! What follows from e2fsck's exit status (e2fsck(8), "EXIT CODE").

/// How data may be mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing was wrong.
    Clean,
    /// It was mended.
    Repaired,
    /// It is damaged beyond what may be mended without asking: only reading is safe.
    Damaged,
    /// e2fsck itself did not run; the kernel may still mount what it holds good.
    Unknown,
}

const MENDED: i32 = 1 | 2;
const LEFT_DAMAGED: i32 = 4;
const OPERATION_FAILED: i32 = 8;

/// Judges an exit status; `None` if a signal ended it or it could not be started.
pub fn judge(status: Option<i32>) -> Verdict {
    match status {
        Some(0) => Verdict::Clean,
        Some(bits) if bits & !MENDED == 0 => Verdict::Repaired,
        Some(bits) if (0..16).contains(&bits) && bits & (LEFT_DAMAGED | OPERATION_FAILED) != 0 => Verdict::Damaged,
        _ => Verdict::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bit_is_understood() {
        assert_eq!(judge(Some(0)), Verdict::Clean);
        assert_eq!(judge(Some(1)), Verdict::Repaired);
        assert_eq!(judge(Some(3)), Verdict::Repaired);
        assert_eq!(judge(Some(4)), Verdict::Damaged);
        assert_eq!(judge(Some(1 | 4)), Verdict::Damaged);
        assert_eq!(judge(Some(8)), Verdict::Damaged);
        assert_eq!(judge(Some(127)), Verdict::Unknown);
        assert_eq!(judge(Some(-1)), Verdict::Unknown);
        assert_eq!(judge(None), Verdict::Unknown);
    }
}
