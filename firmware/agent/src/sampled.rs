//! Values that are costly to take and are good for a while.

use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// A value that is taken again when it is asked for and too old. One asks at a time, the others wait for its answer.
pub struct Sampled<T> {
    held: Mutex<Option<(Instant, T)>>,
    max_age: Duration,
}

impl<T: Clone> Sampled<T> {
    /// Nothing is known yet; what is taken is good for `max_age`.
    pub fn new(max_age: Duration) -> Self {
        Self { held: Mutex::new(None), max_age }
    }

    /// The value, taken anew where it is too old.
    pub async fn get(&self, take: impl AsyncFnOnce() -> T) -> T {
        let mut held = self.held.lock().await;
        match held.as_ref() {
            Some((when, value)) if when.elapsed() < self.max_age => value.clone(),
            _ => {
                let value = take().await;
                *held = Some((Instant::now(), value.clone()));
                value
            }
        }
    }

    /// What was known holds no more.
    pub async fn forget(&self) {
        *self.held.lock().await = None;
    }
}
