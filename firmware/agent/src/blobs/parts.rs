//! Which bytes of which part a range of a blob is (pure).

use crate::net::PART_BYTES;
use std::ops::Range;

/// Bytes of one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The part's number.
    pub part: usize,
    /// Which of its bytes.
    pub range: Range<u64>,
}

/// How many parts a blob of that size has.
pub fn count(size: u64) -> u64 {
    size.div_ceil(PART_BYTES)
}

/// How large a part is.
pub fn size_of(part: u64, size: u64) -> u64 {
    size.saturating_sub(part.saturating_mul(PART_BYTES)).min(PART_BYTES)
}

/// The pieces of a range, in order.
pub fn pieces(range: &Range<u64>) -> impl Iterator<Item = Piece> + use<> {
    let Range { start, end } = range.clone();
    let parts = if start < end { start / PART_BYTES..end.div_ceil(PART_BYTES) } else { 0..0 };
    parts.map(move |part| {
        let first = part * PART_BYTES;
        let range = start.max(first) - first..end.min(first + PART_BYTES) - first;
        Piece { part: usize::try_from(part).unwrap_or(usize::MAX), range }
    })
}

/// The range that a `Range` header of HTTP asks for (RFC 9110, section 14.2), of a blob of that size. None where it asks for the whole:
/// what is no range of bytes, or several, may be passed over.
///
/// # Errors
/// It lies behind the end (416).
pub fn asked(header: Option<&str>, size: u64) -> Result<Option<Range<u64>>, ()> {
    let Some((first, last)) = header.and_then(|header| header.trim().strip_prefix("bytes=")?.split_once('-')) else { return Ok(None) };
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    match (first, last) {
        ("", last) => match number(last) {
            Some(0) => Err(()),
            Some(most) if size > 0 => Ok(Some(size.saturating_sub(most)..size)),
            Some(_) => Err(()),
            None => Ok(None),
        },
        (first, last) => {
            let Some(first) = number(first) else { return Ok(None) };
            let last = if last.is_empty() { Some(u64::MAX) } else { number(last) };
            match last {
                Some(last) if last < first => Ok(None),
                Some(_) if first >= size => Err(()),
                Some(last) => Ok(Some(first..last.saturating_add(1).min(size))),
                None => Ok(None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_range_of_http_is_read_as_the_standard_has_it() {
        for (header, range) in [
            ("bytes=0-0", Ok(Some(0..1))),
            ("bytes=2-5", Ok(Some(2..6))),
            ("bytes=2-", Ok(Some(2..10))),
            ("bytes=2-99999999999999999999", Ok(None)),
            ("bytes=2-18446744073709551615", Ok(Some(2..10))),
            ("bytes=-3", Ok(Some(7..10))),
            ("bytes=-30", Ok(Some(0..10))),
            ("bytes=-0", Err(())),
            ("bytes=10-", Err(())),
            ("bytes=5-2", Ok(None)),
            ("bytes=0-1,4-5", Ok(None)),
            ("bytes=+1-2", Ok(None)),
            ("bytes=-", Ok(None)),
            ("lines=1-2", Ok(None)),
            ("", Ok(None)),
        ] {
            assert_eq!(asked(Some(header), 10), range, "{header}");
        }
        assert_eq!(asked(None, 10), Ok(None));
        assert_eq!(asked(Some("bytes=-1"), 0), Err(()));
    }

    proptest! {
        #[test]
        fn pieces_together_are_the_range(start in 0..200 * PART_BYTES, length in 0..5 * PART_BYTES) {
            let mut at = start;
            for piece in pieces(&(start..start + length)) {
                prop_assert_eq!(piece.part as u64 * PART_BYTES + piece.range.start, at);
                prop_assert!(piece.range.start < piece.range.end && piece.range.end <= PART_BYTES);
                at += piece.range.end - piece.range.start;
            }
            prop_assert_eq!(at, start + length);
        }

        #[test]
        fn no_header_panics_or_asks_for_more_than_there_is(header in "bytes=[0-9+, -]{0,30}|.*", size in any::<u64>()) {
            if let Ok(Some(range)) = asked(Some(&header), size) {
                prop_assert!(range.start < range.end && range.end <= size);
            }
        }

        #[test]
        fn parts_together_are_the_blob(size in 1..100 * PART_BYTES) {
            prop_assert_eq!((0..count(size)).map(|part| size_of(part, size)).sum::<u64>(), size);
            prop_assert!((0..count(size)).all(|part| size_of(part, size) > 0));
        }
    }
}
