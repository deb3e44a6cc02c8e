//! What time it is: a node's clock never goes below its build's epoch, nor below the last saved time.

use contract::report::ClockSource;

/// A time so long after the build's epoch is believed of no clock: ten years. (systemd takes back what is fifteen years
/// after its own build, and below our epoch.)
const AHEAD_MAX_SECONDS: u64 = 10 * 365 * 86400;

/// The time to go on with, in seconds since 1970, and where it comes from. If it is [`ClockSource::Hardware`], the
/// clock is right as it is.
pub fn decide(now: u64, epoch: u64, saved: Option<u64>) -> (u64, ClockSource) {
    let believable = |time: &u64| *time >= epoch && *time - epoch <= AHEAD_MAX_SECONDS;
    let saved = saved.filter(believable);
    match (Some(now).filter(believable), saved) {
        (Some(now), saved) if saved.is_none_or(|saved| now >= saved) => (now, ClockSource::Hardware),
        (_, Some(saved)) => (saved, ClockSource::Saved),
        (_, None) => (epoch, ClockSource::Epoch),
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

    #[test]
    fn a_clock_of_2070_is_not_believed() {
        let (epoch, far) = (1_795_000_000, 3_160_000_000);
        assert_eq!(decide(far, epoch, Some(epoch + 5)), (epoch + 5, ClockSource::Saved));
        assert_eq!(decide(far, epoch, Some(far)), (epoch, ClockSource::Epoch));
        assert_eq!(decide(epoch + 9, epoch, Some(far)), (epoch + 9, ClockSource::Hardware));
    }
}
