//! What time it is: a node's clock never goes below its build's epoch, nor below the last saved time.

use contract::report::ClockSource;

/// The time to go on with, in seconds since 1970, and where it comes from. If it is [`ClockSource::Hardware`], the
/// clock is right as it is.
pub fn decide(now: u64, epoch: u64, saved: Option<u64>) -> (u64, ClockSource) {
    let saved = saved.unwrap_or(0);
    if now >= epoch.max(saved) {
        (now, ClockSource::Hardware)
    } else if saved > epoch {
        (saved, ClockSource::Saved)
    } else {
        (epoch, ClockSource::Epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_wins() {
        assert_eq!(decide(0, 100, None), (100, ClockSource::Epoch));
        assert_eq!(decide(0, 100, Some(150)), (150, ClockSource::Saved));
        assert_eq!(decide(0, 100, Some(50)), (100, ClockSource::Epoch));
        assert_eq!(decide(200, 100, Some(150)), (200, ClockSource::Hardware));
        assert_eq!(decide(120, 100, Some(150)), (150, ClockSource::Saved));
    }
}
