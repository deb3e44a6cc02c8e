//! How well a node, or what runs on it, is reached from here: rules over what was measured.

use crate::net::{Liveness, ServiceHealth};
use serde::Serialize;
use std::time::Duration;

/// A round trip of so many milliseconds is slow: people begin to wait for pages.
pub const SLOW_MS: u64 = 100;
/// So many packets lost of a thousand are a bad link.
pub const LOSSY_PERMILLE: u16 = 20;
/// A round trip that nobody notices.
const UNNOTICED_MS: f64 = 20.0;
/// So much more than that halves what a service is worth.
const HALVING_MS: f64 = 400.0;
/// A page takes some four packets one after the other: each that is lost is waited for.
const IN_A_ROW: i32 = 4;
/// What one that is not well, or on a node that did not answer lately, is worth of the same.
const UNSURE: f64 = 0.5;

/// How a link is, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quality {
    /// Nobody waits.
    Good,
    /// See [`SLOW_MS`].
    Slow,
    /// See [`LOSSY_PERMILLE`].
    Lossy,
}

impl Quality {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Good, Self::Slow, Self::Lossy];

    /// What the figures come to.
    pub fn of(rtt_ms: u64, lost_permille: u16) -> Self {
        match (lost_permille >= LOSSY_PERMILLE, rtt_ms >= SLOW_MS) {
            (true, _) => Self::Lossy,
            (_, true) => Self::Slow,
            _ => Self::Good,
        }
    }
}

/// What was measured to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The round trip.
    pub rtt: Duration,
    /// Packets lost of a thousand, where enough were sent to say so.
    pub lost_permille: Option<u16>,
}

/// What came of measuring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// It was reached.
    Reached(Reach),
    /// It was not.
    Silent,
}

/// How well a service is reached from this node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ServiceQuality))]
#[serde(rename_all = "kebab-case")]
pub struct QualityView {
    /// All of it in one figure: 100 is as good as on this node itself, 0 is not to be used.
    pub percent: u8,
    /// The round trip to its node in milliseconds; none of this node's own.
    pub rtt_ms: Option<u64>,
    /// Packets lost of a thousand that were sent there.
    pub lost_permille: Option<u16>,
}

/// How well a service is reached: `measure` is none where nothing was measured, and `here` says that it is of this node. None while nothing can
/// be said.
pub fn view(here: bool, state: Option<Liveness>, health: ServiceHealth, measure: Option<Measure>) -> Option<QualityView> {
    let state = if here { Some(Liveness::Alive) } else { state };
    let gone = matches!(state, None | Some(Liveness::Down)) || health == ServiceHealth::Stopped;
    let share = match (here, measure) {
        _ if gone => 0.0,
        (true, _) => 1.0,
        (false, Some(Measure::Reached(reach))) => worth(reach),
        (false, Some(Measure::Silent)) => 0.0,
        (false, None) => return None,
    };
    let unsure = state == Some(Liveness::Suspect) || health != ServiceHealth::Well;
    let percent = (share * if unsure { UNSURE } else { 1.0 } * 100.0).round();
    let reach = measure.and_then(|measure| if let Measure::Reached(reach) = measure { Some(reach) } else { None }).filter(|_| !here);
    Some(QualityView {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "shares are from 0 to 1")]
        percent: percent as u8,
        rtt_ms: reach.map(|reach| u64::try_from(reach.rtt.as_millis()).unwrap_or(u64::MAX)),
        lost_permille: reach.and_then(|reach| reach.lost_permille),
    })
}

/// What a way to a node is worth, from 0 to 1.
fn worth(Reach { rtt, lost_permille }: Reach) -> f64 {
    let noticed = (rtt.as_secs_f64() * 1000.0 - UNNOTICED_MS).max(0.0);
    let lost = f64::from(lost_permille.unwrap_or(0).min(1000)) / 1000.0;
    (1.0 - lost).powi(IN_A_ROW) / (1.0 + noticed / HALVING_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reach(ms: u64, lost_permille: u16) -> Option<Measure> {
        Some(Measure::Reached(Reach { rtt: Duration::from_millis(ms), lost_permille: Some(lost_permille) }))
    }

    fn percent(state: Option<Liveness>, health: ServiceHealth, measure: Option<Measure>) -> Option<u8> {
        view(false, state, health, measure).map(|quality| quality.percent)
    }

    #[test]
    fn what_was_measured_comes_to_a_figure() {
        let (alive, well) = (Some(Liveness::Alive), ServiceHealth::Well);
        let figures = [(1, 0, 100), (20, 0, 100), (60, 0, 91), (420, 0, 50), (2000, 0, 17), (1, 20, 92), (1, 200, 41), (1, 1000, 0)];
        for (ms, lost, expected) in figures {
            assert_eq!(percent(alive, well, reach(ms, lost)), Some(expected), "{ms} ms, {lost} of 1,000 lost");
        }
        let unknown = Some(Measure::Reached(Reach { rtt: Duration::from_millis(3), lost_permille: None }));
        let shown = view(false, alive, well, unknown).unwrap();
        assert_eq!((shown.percent, shown.rtt_ms, shown.lost_permille), (100, Some(3), None));
    }

    #[test]
    fn what_does_not_answer_is_worth_nothing_whatever_was_measured_before() {
        let (well, good) = (ServiceHealth::Well, reach(1, 0));
        assert_eq!(percent(Some(Liveness::Down), well, good), Some(0));
        assert_eq!(percent(None, well, good), Some(0));
        assert_eq!(view(false, Some(Liveness::Alive), well, Some(Measure::Silent)), Some(QualityView::default()));
        assert_eq!(percent(Some(Liveness::Alive), ServiceHealth::Stopped, good), Some(0));
        assert_eq!(percent(Some(Liveness::Alive), ServiceHealth::Stopped, None), Some(0));
        assert_eq!(percent(Some(Liveness::Suspect), well, good), Some(50));
        for health in [ServiceHealth::Ill, ServiceHealth::Starting] {
            assert_eq!(percent(Some(Liveness::Alive), health, good), Some(50), "{health:?}");
        }
    }

    #[test]
    fn nothing_is_said_before_anything_was_measured_but_of_this_node() {
        assert_eq!(percent(Some(Liveness::Alive), ServiceHealth::Well, None), None);
        let own = |health| view(true, None, health, None).unwrap();
        assert_eq!(own(ServiceHealth::Well), QualityView { percent: 100, rtt_ms: None, lost_permille: None });
        assert_eq!((own(ServiceHealth::Ill).percent, own(ServiceHealth::Stopped).percent), (50, 0));
    }

    proptest! {
        /// More waiting and more loss never make it better, and the figure stays one of a hundred.
        #[test]
        fn it_never_gets_better_by_what_is_worse(ms in 0_u64..100_000, more in 0_u64..100_000, lost in 0_u16..1000, lost_more in 0_u16..1000) {
            let of = |ms, lost| percent(Some(Liveness::Alive), ServiceHealth::Well, reach(ms, lost)).unwrap();
            prop_assert!(of(ms, lost) <= 100);
            prop_assert!(of(ms + more, lost) <= of(ms, lost) && of(ms, lost.saturating_add(lost_more)) <= of(ms, lost));
        }
    }
}
