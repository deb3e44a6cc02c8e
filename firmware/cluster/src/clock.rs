//! Time as the core sees it: a monotonic count for what it does, and a wall clock that it may distrust.

/// Milliseconds on a monotonic clock since some start of the caller's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Millis(pub u64);

impl Millis {
    /// This moment and `duration` more.
    #[must_use]
    pub fn plus(self, duration: std::time::Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long ago `earlier` was; zero if it is still to come.
    #[must_use]
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// What is known of the wall clock, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// It is later than this for certain, whatever the clock says: the build's date.
    pub floor: u64,
    /// What the clock says, if it was set by something to be trusted.
    pub sure: Option<u64>,
}

/// How a moment lies to now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// It is over for certain.
    Over,
    /// It is still to come for certain.
    Ahead,
    /// The clock is unsure, so nobody knows.
    ClockUnsure,
}

impl Clock {
    /// Where `moment` (seconds since 1970) lies.
    #[must_use]
    pub fn due(&self, moment: u64) -> Due {
        match self.sure {
            _ if moment < self.floor => Due::Over,
            Some(now) if moment < now => Due::Over,
            Some(_) => Due::Ahead,
            None => Due::ClockUnsure,
        }
    }
}
